import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Deployment } from '../../src/domain/deployment.ts';
import { ROUTING_DEFAULT } from '../../src/domain/routing.ts';
import { Refusal } from '../../src/errors.ts';
import { type Claim, settleClaim } from '../../src/gateway/claims.ts';
import { createCooldownNews } from '../../src/gateway/cooldown-news.ts';
import { createRouter, type Router } from '../../src/gateway/router.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { type Seat, takeSeat } from './seats.ts';
import { deploymentOf as deployment } from '../support/deployment.ts';

let database: TestDatabase;
const seats: Seat[] = [];
beforeAll(async () => {
  database = await testDatabase();
});
afterEach(async () => {
  for (const { shares } of seats.splice(0)) await shares.stop();
  await database.pool.query('delete from limit_shares; delete from gateway_processes');
});
afterAll(() => database.drop());

let nowMs = 0;
const now = () => ({ wallMs: nowMs, monotonicMs: nowMs });

/** Routers of as many processes. */
async function routers(count: number, deployments: readonly Deployment[]): Promise<readonly Router[]> {
  nowMs = 1_000;
  const made: Router[] = [];
  for (let i = 0; i < count; i += 1) {
    const seat = await takeSeat(database, { now });
    seats.push(seat);
    const router = createRouter(
      deployments,
      () => 0.5,
      ROUTING_DEFAULT,
      () => nowMs,
    );
    if (count > 1) router.share(seat.shares);
    made.push(router);
  }
  if (count > 1) await Promise.all(seats.map((seat) => seat.share()));
  return made;
}

interface Sent {
  readonly to: string;
  readonly claim: Claim;
}

/** As the gateway sends a request of so many tokens; null when nobody takes it. */
async function sent(router: Router, tokens: number): Promise<Sent | null> {
  const arrivedMs = nowMs;
  const without: Deployment[] = [];
  for (;;) {
    let picked: Deployment;
    try {
      picked = router.pick('m', { arrivedMs, without })!;
    } catch (error) {
      if (error instanceof Refusal) return null;
      throw error;
    }
    const claim = router.claim(picked, tokens, { nowMs, arrivedMs });
    if (claim === null) without.push(picked);
    else if (claim instanceof Promise) await claim;
    else return { to: picked.id, claim };
  }
}

async function burst(among: readonly Router[], count: number, tokens: number): Promise<readonly Sent[]> {
  const all = await Promise.all(
    Array.from({ length: count }, (_, i) => sent(among[i % among.length]!, tokens)),
  );
  return all.filter((one) => one !== null);
}

const to = (all: readonly Sent[], id: string) => all.filter((one) => one.to === id).length;

test.each([1, 4])(
  'a deployment gets no more requests in 60 seconds than it takes, of %i processes together, and at least 99 %% of them',
  async (count) => {
    const among = await routers(count, [
      deployment('a', { requestsPerMinute: 100 }),
      deployment('b', { requestsPerMinute: 50 }),
    ]);
    const first = await burst(among, 400, 1);
    expect(to(first, 'a')).toBeLessThanOrEqual(100);
    expect(to(first, 'b')).toBeLessThanOrEqual(50);
    expect(first.length).toBeGreaterThanOrEqual(149);
    nowMs += 59_749;
    expect(first.length + (await burst(among, 20, 1)).length).toBeLessThanOrEqual(150);
    nowMs += 502;
    // Whoever has to be asked alone gets all of it, although others had it last.
    expect((await burst([among[count - 1]!], 200, 1)).length).toBeGreaterThanOrEqual(149);
  },
);

test('tokens are reserved at the worst case and settled, in all processes', async () => {
  const among = await routers(2, [deployment('a', { tokensPerMinute: 1_000 })]);
  const first = await burst(among, 30, 100);
  expect(first).toHaveLength(10);
  // Half of what was reserved is free again, for either of them.
  for (const { claim } of first) settleClaim(claim, 50);
  nowMs += 300;
  expect(await burst([among[1]!], 30, 100)).toHaveLength(5);
  nowMs += 60_300;
  // More than all of a minute: one at a time.
  expect(await burst(among, 4, 5_000)).toHaveLength(1);
});

test('what one process has sent before there was another counts', async () => {
  const [first] = await routers(1, [deployment('a', { requestsPerMinute: 10 })]);
  expect(await burst([first!], 7, 1)).toHaveLength(7);
  first!.share(seats[0]!.shares);
  await seats[0]!.share();
  const seat = await takeSeat(database, { now });
  seats.push(seat);
  const second = createRouter(
    [deployment('a', { requestsPerMinute: 10 })],
    () => 0,
    ROUTING_DEFAULT,
    () => nowMs,
  );
  second.share(seat.shares);
  await seat.share();
  expect(await burst([second], 10, 1)).toHaveLength(3);
});

test('a minute goes on when a deployment is changed', () => {
  let served = [deployment('a', { requestsPerMinute: 2 })];
  const router = createRouter(
    () => served,
    () => 0,
    ROUTING_DEFAULT,
    () => nowMs,
  );
  const time = { nowMs, arrivedMs: nowMs };
  expect(router.claim(router.pick('m')!, 1, time)).not.toBeNull();
  served = [deployment('a', { requestsPerMinute: 2, weight: 3 })];
  expect(router.claim(router.pick('m')!, 1, time)).not.toBeNull();
  expect(() => router.pick('m')).toThrow('No deployments available');
});

test('a deployment that one process leaves alone is left alone by the others, for as long', () => {
  nowMs = 1_000;
  const all = [deployment('a', {}), deployment('b', {}), { ...deployment('c', {}), publicName: 'alone' }];
  const [here, there] = [0, 1].map(() =>
    createRouter(
      all,
      () => 0,
      ROUTING_DEFAULT,
      () => nowMs,
    ),
  );
  const monotonicMs = () => nowMs;
  const [tells, hears] = [here!, there!].map((router) => createCooldownNews(router, monotonicMs));
  tells!.tell(all[0]!, 5_000, 'status 429');
  tells!.share(hears!.told);
  expect(there!.pick('m')!.id).toBe('a');
  tells!.tell(all[0]!, 5_000, 'status 429');
  // Nobody else would answer for it.
  tells!.tell(all[2]!, 5_000, 'status 500');
  expect([there!.pick('m')!.id, there!.pick('alone')!.id]).toEqual(['b', 'c']);
  expect(there!.standings()[0]).toMatchObject({ lastProblem: 'status 429', cooledUntilMs: 6_000 });
  nowMs += 5_000;
  expect(there!.pick('m')!.id).toBe('a');
});
