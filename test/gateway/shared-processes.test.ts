import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { LedgerQuestion } from '../../src/gateway/limiter.ts';
import { settleGone } from '../../src/gateway/shared-limits.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { costing, type Seat, type SeatOptions, takeSeat } from './seats.ts';

let database: TestDatabase;
let laterMs = 0;
const seats: Seat[] = [];
beforeAll(async () => {
  database = await testDatabase();
});
afterEach(async () => {
  // One that was cut off cannot give anything back.
  for (const { shares } of seats.splice(0)) await shares.stop().catch(() => undefined);
  await database.pool.query(
    'delete from limit_shares; delete from limit_bases; delete from gateway_processes',
  );
});
afterAll(() => database.drop());

const now = () => ({ wallMs: Date.now(), monotonicMs: performance.now() + laterMs });
const LIMITS = {
  budget: { nanos: 100n, window: '30d' },
  requestsPerMinute: 100,
  parallelRequests: 100,
} as const;
const BUDGET = { budget: LIMITS.budget };
const RATE = { requestsPerMinute: 100 };
const PARALLEL = { parallelRequests: 100 };

async function seat(options: SeatOptions = {}): Promise<Seat> {
  const taken = await takeSeat(database, { now, ...options });
  seats.push(taken);
  return taken;
}

/** How many requests for one nano are admitted until one is refused. */
async function admitted(at: Seat, limits: Parameters<Seat['level']>[1]): Promise<number> {
  laterMs += 100;
  let count = 0;
  for (; (await at.tried([at.level('key', limits)], costing(1))) !== null; count += 1);
  return count;
}

test('what the only process has used and reserved counts when a second one comes', async () => {
  const first = await seat();
  const level = first.level('key', LIMITS);
  const running = [];
  for (let i = 0; i < 50; i += 1) running.push(await first.admit([level], costing(1)));
  for (const reservation of running.slice(0, 40)) first.settle(reservation, 1n);
  await first.share();
  const second = await seat();
  await second.share();
  expect(await admitted(second, PARALLEL)).toBe(90);
  expect(await admitted(second, BUDGET)).toBe(50);
  expect(await admitted(second, RATE)).toBe(50);
  for (const reservation of running.slice(40)) first.limiter.release(reservation);
  expect(await admitted(first, BUDGET)).toBe(10);
});

test('what a killed process held of a budget comes back when it is settled, of the rest when its time is over', async () => {
  const asked: LedgerQuestion[] = [];
  const spentSince = (question: LedgerQuestion) => {
    asked.push(question);
    return Promise.resolve({ nanos: question.tag === dying.tag ? 30n : 0n, position: 9n });
  };
  const dying: Seat = await seat();
  await dying.share();
  const other = await seat({ spentSince });
  await other.share();
  const of = (name: 'user' | 'project' | 'tenant') => (at: Seat) =>
    at.level(name, { user: BUDGET, project: RATE, tenant: PARALLEL }[name]);
  const levels = (['user', 'project', 'tenant'] as const).map(of);
  for (let i = 0; i < 60; i += 1)
    await dying.admit(
      levels.map((level) => level(dying)),
      costing(1),
    );
  dying.cutOff();
  const silentFor = (seconds: number) =>
    database.pool.query(
      `update gateway_processes set heard_at = clock_timestamp() - $2 * interval '1 second' where id = $1`,
      [dying.id, seconds],
    );
  const left = async (level: (at: Seat) => ReturnType<Seat['level']>) => {
    laterMs += 100;
    const passed = [];
    for (;;) {
      const reservation = await other.tried([level(other)], costing(1));
      if (reservation === null) break;
      passed.push(reservation);
    }
    return passed;
  };
  const [budget, rate, parallel] = levels as [(typeof levels)[0], (typeof levels)[0], (typeof levels)[0]];
  await silentFor(11);
  expect(await left(parallel)).toHaveLength(100);
  const before = (await left(rate)).length;
  expect(before).toBeLessThanOrEqual(40);
  await silentFor(72);
  expect(before + (await left(rate)).length).toBe(100);
  const unspent = (await left(budget)).length;
  expect(unspent).toBeLessThanOrEqual(40);
  await settleGone(database.pool, spentSince, { id: dying.id, tag: dying.tag, drainedTo: 7n });
  expect(unspent + (await left(budget)).length).toBe(70);
  expect(asked.at(-1)).toMatchObject({ level: 'user', id: 'x', tag: dying.tag, mustInclude: 7n });
});

test('without a database requests pass by what is granted, and no further', async () => {
  const at = await seat();
  await at.share();
  const other = await seat();
  await other.share();
  await at.admit([at.level('key', BUDGET)], costing(1));
  at.cutOff();
  let passed = 0;
  const all = async () => {
    for (;;) {
      await at.admit([at.level('key', BUDGET)], costing(1));
      passed += 1;
    }
  };
  await expect(all()).rejects.toThrow('the database is away');
  expect(passed).toBeGreaterThan(10);
  expect(passed + (await admitted(other, BUDGET))).toBeLessThanOrEqual(99);
});

test('a process that the others may take for dead admits nothing that they may have taken over', async () => {
  let trustedUntilMs = Infinity;
  const at = await seat({ trustedUntilMs: () => trustedUntilMs });
  await at.share();
  const levels = [RATE, PARALLEL].map((limits) => at.level('key', limits));
  for (const level of levels) await at.admit([level], costing(1));
  trustedUntilMs = 0;
  for (const level of levels) await expect(at.admit([level], costing(1))).rejects.toThrow('does not answer');
  trustedUntilMs = Infinity;
  at.shares.lapsed();
  expect(await admitted(at, PARALLEL)).toBe(98);
});

test('a budget that is raised or lowered holds for all processes at once', async () => {
  const [a, b] = [await seat(), await seat()];
  await Promise.all([a.share(), b.share()]);
  const of = (nanos: bigint) => ({ budget: { nanos, window: null } });
  expect((await admitted(a, of(40n))) + (await admitted(b, of(40n)))).toBe(40);
  expect(await admitted(b, of(55n))).toBe(15);
  expect(await admitted(a, of(50n))).toBe(0);
  expect(await admitted(a, of(60n))).toBe(5);
});

test('a budget whose spend was set by hand is the same one for whoever comes second', async () => {
  const correction = { position: 3n, atMs: Date.now(), toNanos: 0n, sumNanos: 0n };
  const of = (at: Seat) => ({ ...at.level('key', BUDGET), correction });
  const first = await seat();
  for (let i = 0; i < 40; i += 1) await first.admit([of(first)], costing(1));
  await first.share();
  const second = await seat();
  await second.share();
  let passed = 0;
  while ((await second.tried([of(second)], costing(1))) !== null) passed += 1;
  expect(passed).toBe(60);
});

test('a process that comes to a budget later brings what it has spent there since the others agreed', async () => {
  const asked: LedgerQuestion[] = [];
  const spentSince = (question: LedgerQuestion) => {
    asked.push(question);
    const [nanos, position] = question.tag === undefined ? [30n, 5n] : [7n, 8n];
    return Promise.resolve({ nanos, position });
  };
  const [a, b] = [
    await seat({
      spentSince: (question) =>
        Promise.resolve({ nanos: question.tag === undefined ? 30n : 0n, position: 5n }),
    }),
    await seat({ spentSince }),
  ];
  await Promise.all([a.share(), b.share()]);
  await a.admit([a.level('key', BUDGET)], costing(1));
  expect(await admitted(b, BUDGET)).toBe(100 - 30 - 7 - 1);
  expect(asked).toMatchObject([{ tag: b.tag, after: 5n }]);
  expect(await admitted(a, BUDGET)).toBe(0);
});

test('accounts that nobody uses give their shares back', async () => {
  const [a, b] = [await seat(), await seat()];
  await Promise.all([a.share(), b.share()]);
  const reservation = await a.admit([a.level('key', BUDGET)], costing(1));
  a.settle(reservation, 1n);
  a.limiter.accounts.forget('key', 'x');
  expect(await admitted(b, BUDGET)).toBe(99);
});
