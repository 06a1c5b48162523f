import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from '../chaos/outage.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { type Server, startServer, temporaryDataDir } from './server.ts';

/**
 * A kill leaves what was written, a loss of power only what was synced: that needs the order of the
 * system calls, which strace shows. Without it (`apt-get install strace`), these tests are skipped.
 */
const traceable = spawnSync('strace', ['-V']).status === 0;
const folder = temporaryDataDir();
let database: TestDatabase;
let server: Server;
let key: string;

beforeAll(async () => {
  database = await testDatabase();
  server = await startServer(folder.path, { DATABASE_URL: database.url, SIMULATED_CHUNK_DELAY_MS: '1' });
  ({ key } = (await server.api<{ key: string }>('POST', '/key/generate', {})).body);
  await ask('first', false);
});
afterAll(async () => {
  await server?.stop();
  await database?.drop();
  folder.remove();
});

async function ask(callId: string, stream: boolean): Promise<void> {
  const answer = await fetch(`${server.url}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${key}`,
      'content-type': 'application/json',
      'x-litellm-call-id': callId,
    },
    body: JSON.stringify({
      model: 'demo-small',
      messages: [{ role: 'user', content: 'Hallo' }],
      max_tokens: 200,
      stream,
    }),
  });
  const text = await answer.text();
  expect(text).toContain(stream ? '[DONE]' : '"usage"');
}

/** One system call; its begin and end are places in the order of all. */
interface SystemCall {
  readonly name: string;
  readonly text: string;
  readonly begin: number;
  end: number;
}

/** The calls that the server makes meanwhile, with the paths of files and the bytes that are written. */
async function traced(task: () => Promise<void>): Promise<readonly SystemCall[]> {
  const file = join(folder.path, 'trace');
  const pid = String(server.child.pid);
  const calls = 'trace=write,writev,pwrite64,fdatasync,fsync,sendmsg';
  const strace = spawn('strace', ['-f', '-y', '-s', '200000', '-e', calls, '-o', file, '-p', pid], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  await once(strace.stderr, 'data');
  // One answer that need not be in the trace shows that tracing has begun.
  await until(async () => {
    await ask('warm-up', false);
    return readFileSync(file, 'utf8').includes('warm-up');
  });
  await task();
  const ended = once(strace, 'exit');
  strace.kill('SIGINT');
  await ended;
  return systemCallsIn(readFileSync(file, 'latin1'));
}

function systemCallsIn(trace: string): readonly SystemCall[] {
  const calls: SystemCall[] = [];
  const open = new Map<string, SystemCall>();
  for (const [place, line] of trace.split('\n').entries()) {
    const [, thread = '', text = ''] = /^(\d+) +(.*)$/.exec(line) ?? [];
    if (text.startsWith('<... ')) {
      const resumed = open.get(thread);
      if (resumed !== undefined) resumed.end = place;
      open.delete(thread);
      continue;
    }
    const [, name] = /^(\w+)\(/.exec(text) ?? [];
    if (name === undefined) continue;
    const call = { name, text, begin: place, end: place };
    if (text.endsWith('<unfinished ...>')) open.set(thread, { ...call, end: Infinity });
    calls.push(open.get(thread) ?? call);
  }
  return calls;
}

const isSpool = ({ text }: SystemCall) => /^\w+\(\d+<[^>]*\.spool>/.test(text);
const isSocket = ({ text }: SystemCall) => /^\w+\(\d+<(socket|TCP)/.test(text);

/** Where a record of this kind of this call was written, as strace quotes it. */
function written(calls: readonly SystemCall[], kind: string, callId: string): SystemCall {
  const found = calls.find(
    (call) =>
      call.name !== 'fdatasync' &&
      isSpool(call) &&
      call.text
        .split('\\n')
        .some(
          (record) =>
            record.includes(`\\"kind\\":\\"${kind}\\"`) &&
            record.includes(`\\"correlationId\\":\\"${callId}\\"`),
        ),
  );
  expect(found, `${kind} of ${callId} in the spool`).toBeDefined();
  return found!;
}

function sent(calls: readonly SystemCall[], text: string, after = 0): SystemCall {
  const found = calls.find((call) => call.begin > after && isSocket(call) && call.text.includes(text));
  expect(found, `${text} on a socket`).toBeDefined();
  return found!;
}

function isSyncedBetween(calls: readonly SystemCall[], write: SystemCall, answer: SystemCall): boolean {
  return calls.some(
    (call) => call.name === 'fdatasync' && isSpool(call) && call.begin > write.end && call.end < answer.begin,
  );
}

const ids = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix}-${i}-end`);

test.skipIf(!traceable)(
  'a sync comes between the spend of every answer in one piece and its first byte',
  async () => {
    const callIds = ids('json', 24);
    const calls = await traced(async () => {
      await Promise.all(callIds.map((id) => ask(id, false)));
    });
    for (const id of callIds) {
      const answer = sent(calls, `x-litellm-call-id: ${id}`);
      expect(isSyncedBetween(calls, written(calls, 'spend', id), answer), id).toBe(true);
    }
  },
);

test.skipIf(!traceable)(
  'a sync comes between the intent of every stream and its first byte, and between its spend and its end',
  async () => {
    const callIds = ids('stream', 6);
    const calls = await traced(async () => {
      // One after the other: the end of a stream does not say whose it is.
      for (const id of callIds) await ask(id, true);
    });
    for (const id of callIds) {
      const head = sent(calls, `x-litellm-call-id: ${id}`);
      expect(isSyncedBetween(calls, written(calls, 'intent', id), head), `head of ${id}`).toBe(true);
      const end = sent(calls, 'data: [DONE]', head.begin - 1);
      // The first one behind the head is the client's: the upstream, in the same process, has ended before.
      const spend = written(calls, 'spend', id);
      const last = calls
        .filter((call) => isSocket(call) && call.text.includes('data: [DONE]'))
        .find(({ begin }) => begin > spend.begin);
      expect(isSyncedBetween(calls, spend, last ?? end), `end of ${id}`).toBe(true);
    }
  },
);

test.skipIf(traceable)(
  'strace is not installed: the order of writes and syncs is not checked',
  () => undefined,
);
