import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freePort, MASTER_KEY, runCommand, type Server, startServer, temporaryDataDir } from './server.ts';

/**
 * Kills with the log in EventStoreDB: of the program, and, where a stand-in serves, of the log as well.
 * EVENTSTORE_TEST_URL names a real server whose log holds nothing but Keyledger's events.
 */
const KILLS = 2;
const REQUESTS = 3;
const realUrl = process.env['EVENTSTORE_TEST_URL'];
const folder = temporaryDataDir();
let port = 0;
let log: ChildProcess | null = null;
let server: Server;

const settings = () => ({
  AGENCY_NAME: 'Nordlicht Digital GmbH',
  EVENT_STORE: 'eventstoredb',
  EVENTSTOREDB_URL: realUrl ?? `esdb://127.0.0.1:${port}?tls=false`,
});

async function startLog(): Promise<void> {
  if (realUrl !== undefined) return;
  const file = join(folder.path, 'log');
  const args = [
    'dist/test/support/eventstoredb/main.js',
    '--file',
    file,
    '--port',
    String(port),
    '--durable',
  ];
  log = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(log.stdout!, 'data');
}

async function killLog(): Promise<void> {
  if (log === null) return;
  const gone = once(log, 'exit');
  log.kill('SIGKILL');
  await gone;
  log = null;
}

beforeAll(async () => {
  port = await freePort();
  await startLog();
  server = await startServer(folder.path, settings());
});
afterAll(async () => {
  await server?.stop();
  await killLog();
  folder.remove();
});

test(`the spend of every answered request survives ${KILLS} SIGKILLs right after the answer, once`, {
  timeout: 120_000,
}, async () => {
  const alias = `survivor-${Date.now()}`;
  const { body } = await server.api<{ key: string }>('POST', '/key/generate', { key_alias: alias });
  let answered = 0;
  for (let round = 0; round < KILLS; round += 1) {
    const sent = Array.from({ length: REQUESTS }, async () => {
      const response = await fetch(`${server.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${body.key}`, 'content-type': 'application/json' },
        body: JSON.stringify({
          model: 'demo-small',
          messages: [{ role: 'user', content: 'Hallo' }],
          max_tokens: 8,
        }),
      });
      if ((await response.text()).includes('"usage"')) answered += 1;
    });
    await Promise.all(sent);
    await server.kill();
    if (round % 2 === 1) await killLog();
    if (log === null) await startLog();
    server = await startServer(folder.path, settings());
  }
  expect(answered).toBe(REQUESTS * KILLS);
  const audit = await server.api<{ spend: { requests: number }[] }>('GET', `/api/audit/keys/${alias}`);
  expect(audit.body.spend.reduce((sum, { requests }) => sum + requests, 0)).toBe(answered);
  const environment = { KEYLEDGER_DATA_DIR: folder.path, LITELLM_MASTER_KEY: MASTER_KEY, ...settings() };
  const verified = await runCommand(['audit', 'verify'], environment);
  expect(verified.code, verified.stdout + verified.stderr).toBe(0);
});
