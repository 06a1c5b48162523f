import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startLoad } from '../chaos/clients.ts';
import { type Customer, MODEL, onboard } from '../chaos/customers.ts';
import { gather } from '../chaos/evidence.ts';
import { judge } from '../chaos/judge.ts';
import { chance } from '../chaos/random.ts';
import { openWorld, type World } from '../chaos/world.ts';
import type { Server } from './server.ts';

/** Two workers behind one port, one of which is killed under load, twice. */
const REQUESTS = 320;
/** Of a key whose requests cost about 0.0008 EUR: forty of them ask for more than that together. */
const CAP_EUR = 0.012;
const REVOKED_MS_MAX = 1_000;

let world: World;
let server: Server;
let customers: readonly Customer[];
beforeAll(async () => {
  world = await openWorld({
    store: 'postgres',
    latencyMs: 2,
    chunkDelayMs: 2,
    callsMax: 50_000,
    args: ['--workers', '2'],
  });
  server = await world.startServer();
  customers = await onboard(server);
}, 120_000);
afterAll(() => world.close());

/** Linux only, like the kills of other journeys. */
function workersOf(pid: number): readonly number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
  return children.filter((child) => readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('cli.js'));
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** On a connection of its own, so that the next worker gets it. */
function statusOf(secret: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const call = request({
      port: server.port,
      host: '127.0.0.1',
      agent: false,
      method: 'POST',
      path: '/v1/chat/completions',
      headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
    });
    call.on('error', reject);
    call.on('response', (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode!));
    });
    call.end(
      JSON.stringify({
        model: MODEL,
        messages: [{ role: 'user', content: 'Hallo' }],
        max_tokens: 1,
        user: 'after',
      }),
    );
  });
}

test('a name is given once, whichever workers are asked for it at the same time', async () => {
  const asked = await Promise.all(
    Array.from({ length: 8 }, () =>
      server.api('POST', '/key/generate', { key_alias: 'only-one' }, { connection: 'close' }),
    ),
  );
  expect(asked.filter(({ status }) => status === 200)).toHaveLength(1);
});

test('a blocked key is blocked in every worker within a second', async () => {
  const { body } = await server.api<{ key: string }>('POST', '/key/generate', {});
  for (let i = 0; i < 4; i += 1) expect(await statusOf(body.key)).not.toBe(401);
  await server.api('POST', '/key/block', { key: body.key });
  const blockedMs = performance.now();
  let refused = 0;
  while (refused < 8) {
    const sentMs = performance.now() - blockedMs;
    if ((await statusOf(body.key)) === 401) refused += 1;
    else {
      expect(sentMs).toBeLessThan(REVOKED_MS_MAX);
      refused = 0;
    }
  }
});

test('workers that are killed under load lose nothing, bill nothing twice, and pass no budget', {
  timeout: 120_000,
}, async () => {
  const capped = customers[2]!;
  await server.api('POST', '/key/update', { key: capped.keyId, max_budget: CAP_EUR });
  const load = startLoad({
    customers,
    chance: chance(11),
    clients: 12,
    requests: REQUESTS,
    port: () => server.port,
  });
  for (const [kills, at] of [100, 200].entries()) {
    await load.reached(at);
    const before = workersOf(server.child.pid!);
    process.kill(before[kills % before.length]!, 'SIGKILL');
  }
  await load.reached(REQUESTS);
  await load.finish();
  // Each of them was replaced.
  while (workersOf(server.child.pid!).length < 2) await turn();
  const evidence = await gather(world, load.observations);
  const own = evidence.spends.filter(({ data }) => data.endUser !== 'after');
  expect(
    judge({ ...evidence, spends: own, calls: evidence.calls.filter(({ user }) => user !== 'after') }),
  ).toEqual([]);
  expect(new Set(own.map(({ data }) => data.requestId.slice(0, 8))).size).toBeGreaterThanOrEqual(2);
  const spent = evidence.keySpend.get(capped.keyId)!;
  expect(spent).toBeLessThanOrEqual(CAP_EUR);
  expect(spent).toBeGreaterThan(CAP_EUR / 2);
  const { code, stdout } = await world.command('audit', 'verify');
  expect([code, stdout]).toEqual([0, expect.any(String)]);
});
