import { expect, test } from 'vitest';
import { type Observation, startLoad } from '../chaos/clients.ts';
import { type Customer, MODEL, onboard } from '../chaos/customers.ts';
import { gather } from '../chaos/evidence.ts';
import { judge } from '../chaos/judge.ts';
import { type Absence, backlog, giveBack, takeAway, until } from '../chaos/outage.ts';
import { chance } from '../chaos/random.ts';
import { openWorld, type Store } from '../chaos/world.ts';
import type { Server } from './server.ts';

/** The log is away for longer than is allowed, which is 15 minutes and 100,000 spends by default. */
const WARM_UP = 80;
const COUNT_MAX = 60;
const CLIENTS = 6;
const TOKENS = 8;

const OUTAGES: readonly (readonly [Store, Absence, 'count' | 'age', Readonly<Record<string, string>>])[] = [
  ['eventstoredb', 'stopped', 'count', { SPEND_WAITING_MAX: String(COUNT_MAX) }],
  ['postgres', 'killed', 'age', { LOG_OUTAGE_SECONDS_MAX: '6' }],
];

test.each(OUTAGES)(
  'with the log in %s %s, answers go on up to the bound of %s, then none and no call; nothing is lost',
  { timeout: 150_000 },
  async (store, how, bound, settings) => {
    const world = await openWorld({ store, latencyMs: 2, chunkDelayMs: 2, callsMax: 50_000, settings });
    try {
      const server = await world.startServer();
      const customers = await onboard(server);
      const load = startLoad({
        customers,
        chance: chance(5),
        clients: CLIENTS,
        requests: 1_000_000,
        port: () => server.port,
        leaving: 0,
        failing: 0,
      });
      await load.reached(WARM_UP);
      await takeAway(world, how);
      const away = performance.now();
      const answered = load.sent;
      await until(async () => load.observations.some(({ status }) => status === 503));
      const awaySeconds = (performance.now() - away) / 1_000;
      if (bound === 'age') expect(awaySeconds).toBeGreaterThan(5);
      else expect(load.sent - answered).toBeGreaterThan(COUNT_MAX / 2);
      await load.finish();

      const { waiting } = await backlog(server);
      if (bound === 'count') {
        expect(waiting).toBeGreaterThanOrEqual(COUNT_MAX);
        // Those that were under way when the bound was reached are recorded all the same.
        expect(waiting).toBeLessThanOrEqual(COUNT_MAX + CLIENTS);
      }
      const calls = (await world.upstreamCalls()).length;
      const probes = [await ask(server, customers[0]!, 'probe-1')];
      expect(probes[0]).toMatchObject({ end: 'refused', status: 503 });
      expect(probes[0]!.retryAfter).toBeGreaterThan(0);
      expect(await world.upstreamCalls()).toHaveLength(calls);

      await giveBack(world, how);
      await until(async () => (await backlog(server)).waiting === 0);
      await until(async () => {
        probes.push(await ask(server, customers[0]!, `probe-${probes.length + 1}`));
        return probes.at(-1)!.status === 200;
      });
      expect(judge(await gather(world, [...load.observations, ...probes]))).toEqual([]);
      expect((await world.command('audit', 'verify')).code).toBe(0);
    } finally {
      await world.close();
    }
  },
);

async function ask(
  { url }: Server,
  customer: Customer,
  marker: string,
): Promise<Observation & { readonly retryAfter: number }> {
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${customer.secret}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      model: MODEL,
      messages: [{ role: 'user', content: 'Hallo' }],
      max_tokens: TOKENS,
      user: marker,
    }),
  });
  await answer.text();
  return {
    marker,
    customer,
    stream: false,
    maxTokens: TOKENS,
    end: answer.ok ? 'whole' : 'refused',
    status: answer.status,
    tokens: answer.ok ? TOKENS : 0,
    usage: null,
    responseId: null,
    retryAfter: Number(answer.headers.get('retry-after')),
  };
}
