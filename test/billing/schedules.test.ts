import * as fc from 'fast-check';
import { Temporal } from 'temporal-polyfill';
import { describe, expect, test } from 'vitest';
import { dueStep } from '../../src/billing/dunning.ts';
import { retryAfterMs } from '../../src/billing/outbox.ts';
import { duePeriod } from '../../src/billing/scheduled-run.ts';

describe('a month that is invoiced by itself', () => {
  const run = { from: '2026-01', graceHours: 24 };

  test.each([
    ['Europe/Berlin', '2026-12-01T22:59:59.999Z', '2026-10'],
    ['Europe/Berlin', '2026-12-01T23:00:00.000Z', '2026-11'],
    ['Asia/Kathmandu', '2026-12-01T18:14:59.999Z', '2026-10'],
    ['Asia/Kathmandu', '2026-12-01T18:15:00.000Z', '2026-11'],
    ['America/New_York', '2026-12-02T05:00:00.000Z', '2026-11'],
    // The first of a month whose night has an hour more or less.
    ['Africa/Casablanca', '2026-04-30T22:59:00.000Z', '2026-03'],
  ])('in %s at %s is %s or waits for its grace', (zone, now, period) => {
    const due = duePeriod(run, zone, now);
    expect(due).toBe(period === '2026-10' ? null : period);
  });

  test('is none before the month in which that was switched on, and none at all when it is off', () => {
    expect(duePeriod({ from: '2026-12', graceHours: 0 }, 'UTC', '2026-12-05T00:00:00.000Z')).toBeNull();
    expect(duePeriod({ from: '2026-12', graceHours: 0 }, 'UTC', '2027-01-01T00:00:00.000Z')).toBe('2026-12');
    expect(duePeriod(null, 'UTC', '2027-01-01T00:00:00.000Z')).toBeNull();
  });
});

describe('what is due of an overdue invoice', () => {
  const settings = { reminderDays: [7, 14, 30], suspendAfterDays: 7 };
  const open = { dueOn: '2026-12-16', level: 0, remindedOn: null };

  test('is a reminder on its day, and nothing before', () => {
    expect(dueStep(settings, open, '2026-12-22')).toBeNull();
    expect(dueStep(settings, open, '2026-12-23')).toEqual({ type: 'remind', level: 1 });
    const second = { ...open, level: 1, remindedOn: '2026-12-23' };
    expect(dueStep(settings, second, '2026-12-29')).toBeNull();
    expect(dueStep(settings, second, '2026-12-30')).toEqual({ type: 'remind', level: 2 });
  });

  test('is a suspension so long after the last reminder, and never when the agency does not want it', () => {
    const last = { ...open, level: 3, remindedOn: '2027-01-15' };
    expect(dueStep(settings, last, '2027-01-21')).toBeNull();
    expect(dueStep(settings, last, '2027-01-22')).toEqual({ type: 'suspend' });
    expect(dueStep({ ...settings, suspendAfterDays: null }, last, '2030-01-01')).toBeNull();
    expect(dueStep({ reminderDays: [], suspendAfterDays: 0 }, open, '2030-01-01')).toBeNull();
  });

  test('comes level by level with its time between, however long nobody looked', () => {
    const day = (n: number) => Temporal.PlainDate.from('2026-12-16').add({ days: n }).toString();
    const looks = fc
      .uniqueArray(fc.nat(120), { maxLength: 40 })
      .map((days) => days.toSorted((a, b) => a - b));
    fc.assert(
      fc.property(looks, (days) => {
        let level = 0;
        let reminded: number | null = null;
        for (const n of days) {
          const remindedOn: string | null = reminded === null ? null : day(reminded);
          const step = dueStep(settings, { dueOn: day(0), level, remindedOn }, day(n));
          if (step === null) continue;
          expect(n).toBeGreaterThanOrEqual(settings.reminderDays[Math.min(level, 2)]!);
          if (step.type === 'suspend') {
            expect(level).toBe(3);
            expect(n - reminded!).toBeGreaterThanOrEqual(7);
            return;
          }
          expect(step.level).toBe(level + 1);
          if (level > 0) {
            const gap = settings.reminderDays[level]! - settings.reminderDays[level - 1]!;
            expect(n - reminded!).toBeGreaterThanOrEqual(gap);
          }
          level = step.level;
          reminded = n;
        }
      }),
    );
  });
});

test('what fails is tried again after 5 s, 10 s … and never later than after an hour', () => {
  expect([0, 1, 2, 9, 10, 1_000].map(retryAfterMs)).toEqual([
    5_000, 10_000, 20_000, 2_560_000, 3_600_000, 3_600_000,
  ]);
});
