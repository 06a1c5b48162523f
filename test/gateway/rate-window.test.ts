import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { rateWindow, WINDOW_MS } from '../../src/gateway/rate-window.ts';

const LIMIT = fc.integer({ min: 1, max: 200 });
/** Pauses of all sizes: bursts, steady load, and waits around the length of a window. */
const PAUSES = fc.array(
  fc.oneof(
    fc.constant(0),
    fc.integer({ min: 0, max: 5 }),
    fc.integer({ min: 0, max: 2_000 }),
    fc.integer({ min: 59_500, max: 60_500 }),
  ),
  { maxLength: 400 },
);

/** The most that was let through in any 60 seconds, wherever they begin. */
function busiest(admitted: readonly { readonly atMs: number; readonly amount: number }[]): number {
  let most = 0;
  let sum = 0;
  let from = 0;
  for (const { atMs, amount } of admitted) {
    sum += amount;
    while (admitted[from]!.atMs <= atMs - WINDOW_MS) sum -= admitted[from++]!.amount;
    most = Math.max(most, sum);
  }
  return most;
}

test('no 60 seconds, wherever they begin, hold more than the limit', () => {
  fc.assert(
    fc.property(
      LIMIT,
      fc.integer({ min: 0, max: 10_000 }),
      PAUSES,
      fc.integer({ min: 1, max: 20 }),
      (limit, startMs, pauses, most) => {
        const window = rateWindow();
        const admitted: { atMs: number; amount: number }[] = [];
        let atMs = startMs;
        pauses.forEach((pause, i) => {
          atMs += pause;
          const amount = 1 + (i % most);
          if (window.waitMs(atMs, amount, limit) !== 0) return;
          window.add(atMs, amount);
          admitted.push({ atMs, amount });
        });
        expect(busiest(admitted)).toBeLessThanOrEqual(limit);
      },
    ),
  );
});

test('at least 99 % of the limit can be used', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 500 }), fc.integer({ min: 0, max: 300 }), (limit, startMs) => {
      const window = rateWindow();
      const minutes = 10;
      let used = 0;
      for (let atMs = startMs; atMs < startMs + minutes * WINDOW_MS; atMs += 10) {
        while (window.waitMs(atMs, 1, limit) === 0) {
          window.add(atMs, 1);
          used += 1;
        }
      }
      expect(used).toBeGreaterThanOrEqual(0.99 * limit * minutes);
    }),
    { numRuns: 20 },
  );
});

test('the wait it tells is enough, and not a millisecond too much', () => {
  fc.assert(
    fc.property(LIMIT, PAUSES, fc.integer({ min: 1, max: 200 }), (limit, pauses, amount) => {
      const window = rateWindow();
      let atMs = 0;
      for (const pause of pauses) {
        atMs += pause;
        if (window.waitMs(atMs, 1, limit) === 0) window.add(atMs, 1);
      }
      const waitMs = window.waitMs(atMs, amount, limit);
      if (waitMs === null) {
        expect(amount).toBeGreaterThan(limit);
        return;
      }
      expect(waitMs).toBeLessThanOrEqual(WINDOW_MS + 250);
      if (waitMs > 0) expect(window.waitMs(atMs + waitMs - 1, amount, limit)).toBeGreaterThan(0);
      expect(window.waitMs(atMs + waitMs, amount, limit)).toBe(0);
    }),
  );
});

test('what was reserved and not used is free again, but only while it still counted', () => {
  const window = rateWindow();
  const slot = window.add(0, 100);
  window.correct(slot, -90);
  expect(window.used(1_000)).toBe(10);
  window.add(61_000, 5);
  window.correct(slot, 50);
  expect(window.used(61_000)).toBe(5);
});
