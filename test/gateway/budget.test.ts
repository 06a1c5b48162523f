import { describe, expect, test } from 'vitest';
import type { Budget } from '../../src/domain/limits.ts';
import {
  addSpent,
  type BudgetMeter,
  type BudgetOwner,
  type LedgerReader,
  type LedgerSum,
  meterOf,
  unreserve,
} from '../../src/gateway/budget.ts';

const ZONE = 'Europe/Berlin';
const NOON = Date.parse('2026-11-20T12:00:00Z');
const HOUR = 3_600_000;
const owner = (): BudgetOwner => ({ meter: null, newestStartMs: -Infinity });
const budget = (window: string | null): Budget => ({ nanos: 1_000n, window });

/** A ledger that answers when it is told to. */
function ledger() {
  const asked: (string | null)[] = [];
  const answers: { resolve: (sum: LedgerSum) => void; reject: (error: Error) => void }[] = [];
  const load = (since: string | null): Promise<LedgerSum> => {
    asked.push(since);
    return new Promise((resolve, reject) => {
      answers.push({ resolve, reject });
    });
  };
  const flush = { before: (): void => undefined };
  const reader: LedgerReader = {
    load,
    flush() {
      flush.before();
      return Promise.resolve();
    },
  };
  return { asked, answers, reader, flush };
}

async function loaded(meter: BudgetMeter): Promise<BudgetMeter> {
  await meter.loading;
  return meter;
}

describe('what was spent', () => {
  test('is read once from the start of the window, and what becomes durable meanwhile counts exactly once', async () => {
    const { asked, answers, reader } = ledger();
    const key = owner();
    const meter = meterOf(key, budget('1d'), ZONE, NOON, reader);
    expect(meterOf(key, budget('1d'), ZONE, NOON + 1, reader)).toBe(meter);
    expect(asked).toEqual(['2026-11-19T23:00:00.000Z']);
    addSpent(key, NOON, 1n, { position: 10n });
    addSpent(key, NOON, 2n, { position: 12n });
    answers[0]!.resolve({ nanos: 100n, position: 11n });
    await loaded(meter);
    // The ledger had read up to 11: the spend at 10 is in its sum, the one at 12 is not.
    expect(meter.spentNanos).toBe(102n);
    addSpent(key, NOON, 4n, { position: 11n });
    addSpent(key, NOON, 8n, { position: 13n });
    expect(meter.spentNanos).toBe(110n);
  });

  test('waits for the place in the log of what became durable while the ledger was read', async () => {
    const { answers, reader, flush } = ledger();
    const key = owner();
    const meter = meterOf(key, budget(null), ZONE, NOON, reader);
    const places: { position: bigint | null }[] = [
      { position: null },
      { position: null },
      { position: null },
    ];
    places.forEach((place, i) => addSpent(key, NOON, 10n ** BigInt(i), place));
    flush.before = () => {
      places[0]!.position = 11n;
      places[1]!.position = 12n;
      // Recorded only now, after the ledger was read.
      addSpent(key, NOON, 5_000n, { position: null });
    };
    answers[0]!.resolve({ nanos: 100_000n, position: 11n });
    await loaded(meter);
    expect(meter.spentNanos).toBe(100_000n + 10n + 100n + 5_000n);
  });

  test('starts from nothing in the next window, without asking', async () => {
    const { asked, answers, reader } = ledger();
    const key = owner();
    meterOf(key, budget('1h'), ZONE, NOON, reader);
    answers[0]!.resolve({ nanos: 100n, position: 1n });
    await loaded(key.meter!);
    const old = key.meter!;
    old.reservedNanos += 7n;
    const next = meterOf(key, budget('1h'), ZONE, NOON + HOUR, reader);
    expect(asked).toHaveLength(1);
    expect([next.spentNanos, next.reservedNanos]).toEqual([0n, 0n]);
    // The request that was admitted before ends now: its spend is the old window's.
    unreserve(old, 7n);
    addSpent(key, NOON, 5n, { position: 2n });
    expect([next.spentNanos, next.reservedNanos, old.reservedNanos]).toEqual([0n, 0n, 0n]);
    addSpent(key, NOON + HOUR, 3n, { position: 3n });
    expect(next.spentNanos).toBe(3n);
  });

  test('is asked again when the window is another one, and running requests stay reserved', async () => {
    const { asked, answers, reader } = ledger();
    const key = owner();
    const old = meterOf(key, budget('1h'), ZONE, NOON, reader);
    answers[0]!.resolve({ nanos: 1n, position: 1n });
    await loaded(old);
    old.reservedNanos += 7n;
    const next = meterOf(key, budget(null), ZONE, NOON, reader);
    expect(asked).toEqual(['2026-11-20T12:00:00.000Z', null]);
    expect(next.reservedNanos).toBe(7n);
    unreserve(old, 7n);
    expect(next.reservedNanos).toBe(0n);
  });

  test('is asked again when no budget was in force while something was spent in a later window', async () => {
    const { asked, answers, reader } = ledger();
    const key = owner();
    meterOf(key, budget('1h'), ZONE, NOON, reader);
    answers[0]!.resolve({ nanos: 1n, position: 1n });
    await loaded(key.meter!);
    addSpent(key, NOON + HOUR, 5n, { position: 2n });
    meterOf(key, budget('1h'), ZONE, NOON + HOUR + 1, reader);
    expect(asked).toHaveLength(2);
  });

  test('is asked again when the clock was set back, and when it passes the same time once more', async () => {
    const { asked, answers, reader } = ledger();
    const key = owner();
    for (const [i, atMs] of [NOON, NOON - HOUR, NOON].entries()) {
      meterOf(key, budget('1h'), ZONE, atMs, reader);
      answers[i]!.resolve({ nanos: 1n, position: 1n });
      await loaded(key.meter!);
    }
    expect(asked).toHaveLength(3);
  });

  test('is asked again after the ledger failed, without losing what came meanwhile', async () => {
    const { asked, answers, reader } = ledger();
    const key = owner();
    const meter = meterOf(key, budget(null), ZONE, NOON, reader);
    addSpent(key, NOON, 5n, { position: 9n });
    answers[0]!.reject(new Error('no database'));
    await expect(meter.loading).rejects.toThrow('no database');
    expect(meterOf(key, budget(null), ZONE, NOON, reader)).toBe(meter);
    expect(asked).toHaveLength(2);
    answers[1]!.resolve({ nanos: 100n, position: 8n });
    await loaded(meter);
    expect(meter.spentNanos).toBe(105n);
  });
});
