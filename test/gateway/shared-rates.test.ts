import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Level } from '../../src/gateway/levels.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { costing, type Seat, takeSeat } from './seats.ts';

let database: TestDatabase;
let seats: Seat[] = [];
beforeAll(async () => {
  database = await testDatabase();
});
afterEach(async () => {
  for (const { shares } of seats.splice(0)) await shares.stop();
  await database.pool.query(
    'delete from limit_shares; delete from limit_bases; delete from gateway_processes',
  );
});
afterAll(() => database.drop());

const WINDOW_MS = 60_000;
/** A request counts until all of its slot has left the window. */
const SLOT_MS = 250;
const PER_MINUTE = 100;

/** Seats whose clocks began at different times, as those of processes do; `at` moves all of them. */
async function seatsWithClocks(count: number): Promise<{ at: (ms: number) => void }> {
  let nowMs = 0;
  for (let i = 0; i < count; i += 1) {
    const offsetMs = 1_000_000 + i * 7_777_777.125;
    seats.push(await takeSeat(database, { now: () => ({ wallMs: nowMs, monotonicMs: nowMs + offsetMs }) }));
  }
  if (count > 1) await Promise.all(seats.map((seat) => seat.share()));
  return { at: (ms) => void (nowMs = ms) };
}

/** All seats ask at once for as much as there is, or only one of them. */
async function burst(
  levels: readonly Level[],
  only: number | null,
  each: number,
  tokens: number,
): Promise<number> {
  const asked = seats.flatMap((seat, i) =>
    only === null || only === i
      ? Array.from({ length: each }, () => seat.tried([levels[i]!], costing(tokens)))
      : [],
  );
  const passed = await Promise.all(asked);
  return passed.filter((reservation) => reservation !== null).length;
}

/** Around the length of a window, and within it. */
const GAPS = [
  [59_749, null],
  [251, 1],
  [60_251, 2],
  [59_999, null],
  [1, 0],
  [250, 3],
  [30_000, null],
  [30_251, 1],
  [60_251, 0],
  [60_000, null],
  [251, null],
  [60_251, 3],
  [100, null],
  [60_151, 2],
  [60_251, null],
] as const;

test.each([
  [1, { requestsPerMinute: PER_MINUTE }, 1],
  [4, { requestsPerMinute: PER_MINUTE }, 1],
  [4, { tokensPerMinute: PER_MINUTE * 10 }, 10],
] as const)(
  'over %i processes no 60 seconds hold more than %o, and bursts at the edges use at least 99 %%',
  async (count, rates, tokens) => {
    const { at } = await seatsWithClocks(count);
    const levels = seats.map((seat) => seat.level('key', rates));
    const admitted: { readonly ms: number; readonly passed: number }[] = [];
    let ms = 1_000;
    for (const [gapMs, only] of GAPS) {
      at((ms += gapMs));
      const passed = await burst(levels, count === 1 ? null : only, PER_MINUTE + 5, tokens);
      const within = (spanMs: number) =>
        admitted.reduce((sum, before) => sum + (before.ms > ms - spanMs ? before.passed : 0), passed);
      expect(within(WINDOW_MS)).toBeLessThanOrEqual(PER_MINUTE);
      expect(within(WINDOW_MS + SLOT_MS)).toBeGreaterThanOrEqual(0.99 * PER_MINUTE);
      admitted.push({ ms, passed });
    }
  },
  60_000,
);

test('who is refused because another process has used the limit hears when it is worth trying again', async () => {
  const { at } = await seatsWithClocks(2);
  const levels = seats.map((seat) => seat.level('key', { requestsPerMinute: PER_MINUTE }));
  at(1_000);
  for (let i = 0; i < PER_MINUTE; i += 1) await seats[0]!.admit([levels[0]!], costing(1));
  at(31_000);
  await expect(seats[1]!.admit([levels[1]!], costing(1))).rejects.toMatchObject({
    code: 'rate_limited',
    retryAfterSeconds: 31,
    detail: { remaining: 0, limit: PER_MINUTE },
  });
});
