import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { feeShare, monthlySum, partsOf, shareOf } from '../../src/domain/proration.ts';
import type { Terms } from '../../src/domain/plan.ts';
import { someTerms } from '../support/terms.ts';

const BERLIN = 'Europe/Berlin';
const EUR = 1_000_000_000n;
const plan = (name: string, fee: bigint, different: Partial<Terms> = {}): Terms =>
  someTerms({ plan: name, monthlyFeeNanos: fee, ...different });
const starter = plan('starter', 49n * EUR);
const studio = plan('studio', 149n * EUR);
const from = (effectiveFrom: string, terms: Terms | null) => ({ effectiveFrom, terms });
const days = (versions: readonly ReturnType<typeof from>[], period: string) =>
  partsOf(versions, period, BERLIN).map(({ terms, fromDay, toDay, free }) =>
    [terms.plan, fromDay, toDay, ...(free ? ['free'] : [])].join(' '),
  );

describe('the parts of a month', () => {
  test('begin and end on local days, a change counting from its own day on', () => {
    const begun = from('2026-11-10T15:00:00.000Z', starter);
    expect(days([begun], '2026-10')).toEqual([]);
    expect(days([begun], '2026-11')).toEqual(['starter 9 30']);
    expect(days([begun], '2026-12')).toEqual(['starter 0 31']);
    // 23:30 of the 15th is the 16th in Berlin.
    expect(days([begun, from('2026-11-15T23:30:00.000Z', studio)], '2026-11')).toEqual([
      'starter 9 15',
      'studio 15 30',
    ]);
    expect(days([begun, from('2026-11-20T23:00:00.000Z', null)], '2026-11')).toEqual(['starter 9 20']);
    expect(days([begun, from('2026-11-20T23:00:00.000Z', null)], '2026-12')).toEqual([]);
  });

  test('are several where there were several changes; of two on one day the last counts', () => {
    const versions = [
      from('2026-10-01T10:00:00.000Z', starter),
      from('2026-11-05T08:00:00.000Z', studio),
      from('2026-11-05T17:00:00.000Z', plan('agency', 499n * EUR)),
      from('2026-11-25T10:00:00.000Z', starter),
    ];
    expect(days(versions, '2026-11')).toEqual(['starter 0 4', 'agency 4 24', 'starter 24 30']);
  });

  test('of a trial have no fee, and a change of the plan does not begin it anew', () => {
    const trial = plan('starter', 49n * EUR, { trialDays: 14 });
    const versions = [
      from('2026-11-10T10:00:00.000Z', trial),
      from('2026-11-12T10:00:00.000Z', plan('studio', 149n * EUR, { trialDays: 30 })),
    ];
    expect(days(versions, '2026-11')).toEqual(['starter 9 11 free', 'studio 11 23 free', 'studio 23 30']);
  });
});

test('the worked example: 49.00 for ten days and 149.00 for twenty of November are 16.33 and 99.33', () => {
  const versions = [from('2026-10-01T10:00:00.000Z', starter), from('2026-11-11T08:00:00.000Z', studio)];
  const parts = partsOf(versions, '2026-11', BERLIN);
  // 49.00 * 10/30 = 16.333…; 149.00 - 149.00 * 10/30 = 149.00 - 49.67
  expect(parts.map((part) => feeShare(part.terms.monthlyFeeNanos, part))).toEqual([
    16_330_000_000n,
    99_330_000_000n,
  ]);
  expect(monthlySum(parts, ({ monthlyFeeNanos }) => monthlyFeeNanos, feeShare)).toBe(115_660_000_000n);
});

test('however a month is cut, its parts add up to the month: fees in cents, included usage in nanos', () => {
  const month = fc.constantFrom('2026-02', '2028-02', '2026-03', '2026-10', '2026-11', '2026-12');
  const cuts = fc.uniqueArray(fc.integer({ min: 1, max: 31 }), { maxLength: 6 });
  const cents = fc.bigInt({ min: 0n, max: 100_000n });
  fc.assert(
    fc.property(month, cuts, cents, fc.bigInt({ min: 0n, max: 10n ** 12n }), (period, at, fee, included) => {
      const amount = fee * 10_000_000n;
      const terms = (name: string) => plan(name, amount, { includedUsageNanos: included });
      const versions = [
        from('2025-01-01T00:00:00.000Z', terms('first')),
        ...at
          .toSorted((a, b) => a - b)
          .map((day) =>
            from(`${period}-${String(Math.min(day, 28)).padStart(2, '0')}T11:00:00.000Z`, terms(`p${day}`)),
          ),
      ];
      const parts = partsOf(versions, period, BERLIN);
      expect(monthlySum(parts, ({ monthlyFeeNanos }) => monthlyFeeNanos, feeShare)).toBe(amount);
      expect(monthlySum(parts, ({ includedUsageNanos }) => includedUsageNanos)).toBe(included);
      for (const part of parts) expect(feeShare(amount, part) % 10_000_000n).toBe(0n);
    }),
  );
});

test('a share is rounded half up', () => {
  expect(shareOf(5n, { fromDay: 0, toDay: 1, days: 2 })).toBe(3n);
  expect(shareOf(5n, { fromDay: 1, toDay: 2, days: 2 })).toBe(2n);
});
