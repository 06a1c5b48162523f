import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { NO_EXTRA } from '../../src/domain/extra-limits.ts';
import { UNLIMITED } from '../../src/domain/limits.ts';
import { allowanceOf } from '../../src/gateway/allowance.ts';
import { type LevelName, NO_RATES } from '../../src/gateway/levels.ts';
import { levelFor } from '../../src/gateway/scope-levels.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { costing, type Seat, takeSeats } from './seats.ts';

let database: TestDatabase;
let seats: readonly Seat[] = [];
beforeAll(async () => {
  database = await testDatabase();
});
afterEach(async () => {
  for (const { shares } of seats) await shares.stop();
  await database.pool.query(
    'delete from limit_shares; delete from limit_bases; delete from gateway_processes',
  );
});
afterAll(() => database.drop());

const COST = 48;
const PAID = 100;
const REQUESTS = 1_000;
const LEVELS: readonly LevelName[] = ['key', 'project', 'tenant', 'end-user'];
const budget = (nanos: bigint) => ({ nanos, window: null });
/** Time goes by: who was refused may ask again. */
let laterMs = 0;
const now = () => ({ wallMs: Date.now(), monotonicMs: performance.now() + laterMs });
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test.each([1, 2, 4])(
  '1,000 requests at once against budgets for 100 on four levels, over %i processes, spend exactly that',
  async (count) => {
    seats = await takeSeats(count, database);
    const levels = seats.map((seat) =>
      LEVELS.map((name) => seat.level(name, { budget: budget(BigInt(PAID * COST)) })),
    );
    let running = 0;
    let served = 0;
    let most = 0;
    const ask = async (i: number): Promise<void> => {
      const seat = seats[i % count]!;
      const reservation = await seat.tried(levels[i % count]!, costing(COST));
      if (reservation === null) return;
      running += 1;
      most = Math.max(most, running + served);
      for (let turns = i % 7; turns > 0; turns -= 1) await turn();
      running -= 1;
      served += 1;
      seat.settle(reservation, BigInt(COST));
    };
    await Promise.all(Array.from({ length: REQUESTS }, (_, i) => ask(i)));
    expect(most).toBeLessThanOrEqual(PAID);
    expect(served).toBe(PAID);
  },
  60_000,
);

test('what is reserved and not used is free again in every process, to the last nano', async () => {
  seats = await takeSeats(4, database, { now });
  const levels = seats.map((seat) => [seat.level('key', { budget: budget(BigInt(PAID * COST)) })]);
  let spent = 0;
  const ask = async (i: number, tokens: number, used: number): Promise<boolean> => {
    const seat = seats[i % 4]!;
    const reservation = await seat.tried(levels[i % 4]!, costing(tokens));
    if (reservation === null) return false;
    await turn();
    spent += used;
    seat.settle(reservation, BigInt(used));
    return true;
  };
  // Worst cases of eleven answers, of which one comes, beside those that cost what they may.
  await Promise.all(Array.from({ length: 90 }, (_, i) => ask(i, i % 3 === 0 ? COST * 11 : COST, COST)));
  const before = spent;
  laterMs += 100;
  // One after the other, each somewhere else, the shares of all others unused.
  for (let i = 0; await ask(i, COST, COST); i += 1);
  expect(before).toBeLessThan(PAID * COST);
  expect(spent).toBe(PAID * COST);
});

test('requests that run at once are counted in all processes, and every one of them may have all', async () => {
  const MOST = 10;
  seats = await takeSeats(4, database, { now });
  const levels = seats.map((seat) => [seat.level('key', { parallelRequests: MOST })]);
  let running = 0;
  let most = 0;
  const ask = async (i: number): Promise<void> => {
    const reservation = await seats[i % 4]!.tried(levels[i % 4]!, costing(1));
    if (reservation === null) return;
    running += 1;
    most = Math.max(most, running);
    for (let turns = i % 5; turns > 0; turns -= 1) await turn();
    running -= 1;
    seats[i % 4]!.limiter.release(reservation);
  };
  await Promise.all(Array.from({ length: 200 }, (_, i) => ask(i)));
  expect(most).toBeLessThanOrEqual(MOST);
  laterMs += 100;
  for (const [i, seat] of seats.entries()) {
    const all = await Promise.all(Array.from({ length: MOST }, () => seat.tried(levels[i]!, costing(1))));
    expect(all.filter((reservation) => reservation !== null)).toHaveLength(MOST);
    expect(await seats[(i + 1) % 4]!.tried(levels[(i + 1) % 4]!, costing(1))).toBeNull();
    for (const reservation of all) if (reservation !== null) seat.limiter.release(reservation);
    laterMs += 100;
  }
});

test('what goes beyond an included amount goes at its own rate, over all processes together', async () => {
  seats = await takeSeats(3, database, { now });
  const [included, perMinute] = [20, 5];
  const allowance = {
    // A budget with the same window, which is kept apart.
    ...allowanceOf({ ...UNLIMITED, budget: { nanos: BigInt(COST * 1_000), window: '1mo' } }, NO_EXTRA),
    throttle: {
      budget: { nanos: BigInt(COST * included), window: '1mo' },
      temporary: { nanos: 0n, until: '2026-01-01T00:00:00.000Z' },
      rates: { ...NO_RATES, requestsPerMinute: perMinute },
    },
  };
  const scope = { name: 'tenant', id: 'x', subject: 'x', zone: 'UTC' } as const;
  const levels = seats.map(({ limiter }) => [levelFor(limiter.accounts, scope, allowance)]);
  let served = 0;
  const ask = async (i: number): Promise<void> => {
    const reservation = await seats[i % 3]!.tried(levels[i % 3]!, costing(COST));
    if (reservation === null) return;
    await turn();
    served += 1;
    seats[i % 3]!.settle(reservation, BigInt(COST));
  };
  await Promise.all(Array.from({ length: 150 }, (_, i) => ask(i)));
  laterMs += 100;
  for (let i = 0; i < 30; i += 1) await ask(i);
  expect(served).toBe(included + perMinute);
});
