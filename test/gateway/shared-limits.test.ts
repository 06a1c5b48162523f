import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { LevelName } from '../../src/gateway/levels.ts';
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
    expect(served).toBeLessThanOrEqual(PAID);
    expect(served).toBeGreaterThanOrEqual(PAID - 1);
  },
  60_000,
);
