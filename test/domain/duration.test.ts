import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { budgetWindow, expiryAfter, parseDuration, windowsTouched } from '../../src/domain/duration.ts';
import { runs } from '../support/runs.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const BERLIN = 'Europe/Berlin';

/** Zones whose clocks change by an hour, by half an hour, at midnight, by a whole day, or never. */
const anyZone = fc.constantFrom(
  'UTC',
  BERLIN,
  'Asia/Kolkata',
  'Australia/Lord_Howe',
  'America/Havana',
  'America/St_Johns',
  'America/Sao_Paulo',
  'Pacific/Apia',
);
const anyDuration = fc
  .tuple(fc.integer({ min: 1, max: 400 }), fc.constantFrom('s', 'm', 'min', 'h', 'hr', 'd', 'w', 'mo'))
  .map(([count, unit]) => `${count}${unit}`);
/** Any instant, or one that is near a change of some clock: late March, late October, early November … */
const anyMs = fc.oneof(
  fc.integer({ min: Date.parse('2005-01-01T00:00:00Z'), max: Date.parse('2036-01-01T00:00:00Z') }),
  fc
    .tuple(
      fc.constantFrom(
        '2026-03-29T01:00:00Z',
        '2026-10-25T01:00:00Z',
        '2026-04-04T15:00:00Z',
        '2026-10-03T15:30:00Z',
        '2026-11-01T05:00:00Z',
        '2009-11-01T02:31:00Z',
        '2018-11-04T03:00:00Z',
        '2011-12-30T10:00:00Z',
      ),
      fc.integer({ min: -3 * HOUR_MS, max: 3 * HOUR_MS }),
    )
    .map(([change, offset]) => Date.parse(change) + offset),
);

function bounds(duration: string, at: string, zone: string): readonly [string, string] {
  const { startsAt, endsAt } = budgetWindow(duration, at, zone);
  return [startsAt, endsAt];
}

describe('a duration', () => {
  test.each([
    ['30s', 30_000],
    ['5m', 300_000],
    ['30min', 1_800_000],
    ['2h', 2 * HOUR_MS],
    ['1hr', HOUR_MS],
    ['30d', 30 * DAY_MS],
    ['1w', 7 * DAY_MS],
  ])('%s is %d ms', (text, ms) => {
    expect(parseDuration(text)).toEqual({ unit: 'ms', count: ms });
  });

  test('1mo is a month, whatever its length', () => {
    expect(parseDuration('1mo')).toEqual({ unit: 'month', count: 1 });
  });

  test.each([
    '',
    '30',
    '-1',
    '0s',
    '00d',
    '1.5h',
    '5x',
    '1 d',
    ' 1d',
    '1d ',
    '1d\n',
    '1D',
    'd',
    '1dd',
    '1month',
    '9'.repeat(40) + 's',
    '1001000d',
    '12001mo',
  ])('%j is refused, with what is allowed', (text) => {
    expect(() => parseDuration(text)).toThrow(RangeError);
    expect(() => parseDuration(text)).toThrow('such as 30s, 24h, 7d, 1mo');
  });
});

describe('a lifetime', () => {
  test.each([
    ['2026-11-20T10:11:12.345Z', '30s', '2026-11-20T10:11:42.345Z'],
    ['2026-10-24T22:00:00.000Z', '1d', '2026-10-25T22:00:00.000Z'],
    ['2027-01-31T10:00:00.123Z', '1mo', '2027-02-28T10:00:00.123Z'],
    ['2028-01-31T23:59:59.999Z', '1mo', '2028-02-29T23:59:59.999Z'],
    ['2026-12-31T00:00:00.000Z', '2mo', '2027-02-28T00:00:00.000Z'],
    ['2026-11-15T08:00:00.000Z', '12mo', '2027-11-15T08:00:00.000Z'],
    ['1969-12-31T12:00:00.000Z', '2mo', '1970-02-28T12:00:00.000Z'],
  ])('from %s on, %s, ends at %s', (now, duration, end) => {
    expect(expiryAfter(now, duration)).toBe(end);
  });

  test('of any number of months ends on the same day of the month, or on the last one', () => {
    fc.assert(
      fc.property(anyMs, fc.integer({ min: 1, max: 600 }), (ms, months) => {
        const now = new Date(ms);
        const end = new Date(expiryAfter(now.toISOString(), `${months}mo`));
        const passed =
          (end.getUTCFullYear() - now.getUTCFullYear()) * 12 + end.getUTCMonth() - now.getUTCMonth();
        expect(passed).toBe(months);
        expect(end.toISOString().slice(10)).toBe(now.toISOString().slice(10));
        const isLastDay = new Date(end.getTime() + DAY_MS).getUTCDate() === 1;
        expect(
          end.getUTCDate() === now.getUTCDate() || (isLastDay && end.getUTCDate() < now.getUTCDate()),
        ).toBe(true);
      }),
    );
  });

  test('needs an instant to start from', () => {
    expect(() => expiryAfter('yesterday', '1d')).toThrow(RangeError);
  });
});

describe('a budget window', () => {
  test.each([
    ['30s', '2026-10-07T13:45:00', '2026-10-07T13:45:30'],
    ['30m', '2026-10-07T13:30:00', '2026-10-07T14:00:00'],
    ['30min', '2026-10-07T13:30:00', '2026-10-07T14:00:00'],
    ['1h', '2026-10-07T13:00:00', '2026-10-07T14:00:00'],
    ['1hr', '2026-10-07T13:00:00', '2026-10-07T14:00:00'],
    ['2h', '2026-10-07T12:00:00', '2026-10-07T14:00:00'],
    ['24h', '2026-10-07T00:00:00', '2026-10-08T00:00:00'],
    ['1d', '2026-10-07T00:00:00', '2026-10-08T00:00:00'],
    ['30h', '2026-10-07T00:00:00', '2026-10-08T06:00:00'],
    ['48h', '2026-10-06T00:00:00', '2026-10-08T00:00:00'],
    ['2d', '2026-10-06T00:00:00', '2026-10-08T00:00:00'],
    ['7d', '2026-10-05T00:00:00', '2026-10-12T00:00:00'],
    ['1w', '2026-10-05T00:00:00', '2026-10-12T00:00:00'],
    ['14d', '2026-09-28T00:00:00', '2026-10-12T00:00:00'],
    ['30d', '2026-10-01T00:00:00', '2026-11-01T00:00:00'],
    ['1mo', '2026-10-01T00:00:00', '2026-11-01T00:00:00'],
    ['2mo', '2026-09-01T00:00:00', '2026-11-01T00:00:00'],
    ['3mo', '2026-10-01T00:00:00', '2027-01-01T00:00:00'],
    ['90d', '2026-10-02T00:00:00', '2026-12-31T00:00:00'],
  ])('of %s at 2026-10-07T13:45:10Z runs from %s to %s', (duration, start, end) => {
    expect(bounds(duration, '2026-10-07T13:45:10Z', 'UTC')).toEqual([`${start}.000Z`, `${end}.000Z`]);
  });

  test('begins and ends with the local calendar', () => {
    expect(bounds('1mo', '2026-10-31T23:30:00Z', BERLIN)).toEqual([
      '2026-10-31T23:00:00.000Z',
      '2026-11-30T23:00:00.000Z',
    ]);
    expect(bounds('1h', '2026-11-20T10:10:00Z', 'Asia/Kolkata')).toEqual([
      '2026-11-20T09:30:00.000Z',
      '2026-11-20T10:30:00.000Z',
    ]);
  });

  test.each([
    ['1d', '2026-03-29T12:00:00Z', 23],
    ['1d', '2026-10-25T12:00:00Z', 25],
    ['1w', '2026-10-25T12:00:00Z', 7 * 24 + 1],
    ['1mo', '2026-10-25T12:00:00Z', 31 * 24 + 1],
    ['12h', '2026-10-25T02:00:00Z', 13],
    ['2h', '2026-10-25T00:30:00Z', 3],
    ['2h', '2026-10-25T01:30:00Z', 3],
    ['2h', '2026-03-29T01:30:00Z', 1],
    ['1h', '2026-10-25T00:30:00Z', 1],
    ['1h', '2026-10-25T01:30:00Z', 1],
    ['30m', '2026-10-25T01:15:00Z', 0.5],
  ])('of %s around %s in Berlin lasts %d hours', (duration, at, hours) => {
    const { startMs, endMs } = budgetWindow(duration, at, BERLIN);
    expect((endMs - startMs) / HOUR_MS).toBe(hours);
  });

  test('skips the day that Samoa skipped', () => {
    expect(bounds('1d', '2011-12-30T09:00:00Z', 'Pacific/Apia')).toEqual([
      '2011-12-29T10:00:00.000Z',
      '2011-12-30T10:00:00.000Z',
    ]);
    expect(bounds('1d', '2011-12-30T10:00:00Z', 'Pacific/Apia')[0]).toBe('2011-12-30T10:00:00.000Z');
  });

  test('holds every instant exactly once, without gaps, in every zone', () => {
    fc.assert(
      fc.property(anyDuration, anyMs, anyZone, (duration, ms, zone) => {
        const window = budgetWindow(duration, ms, zone);
        expect(window.startMs).toBeLessThanOrEqual(ms);
        expect(window.endMs).toBeGreaterThan(ms);
        expect(budgetWindow(duration, window.endMs, zone).startMs).toBe(window.endMs);
        expect(budgetWindow(duration, window.startMs - 1, zone).endMs).toBe(window.startMs);
        expect(budgetWindow(duration, window.startMs, zone)).toEqual(window);
        expect(budgetWindow(duration, window.endMs - 1, zone)).toEqual(window);
      }),
      runs(400),
    );
  });

  test('is the same however its duration is written', () => {
    fc.assert(
      fc.property(anyMs, anyZone, (ms, zone) => {
        for (const [a, b] of [
          ['24h', '1d'],
          ['7d', '1w'],
          ['30d', '1mo'],
          ['60min', '1h'],
          ['60s', '1m'],
        ] as const) {
          expect(budgetWindow(a, ms, zone)).toEqual(budgetWindow(b, ms, zone));
        }
      }),
      { numRuns: 100 },
    );
  });

  test('says its bounds as numbers and as text', () => {
    const window = budgetWindow('1d', '2026-11-20T12:00:00Z', BERLIN);
    expect(Date.parse(window.startsAt)).toBe(window.startMs);
    expect(Date.parse(window.endsAt)).toBe(window.endMs);
  });

  test('does not exist for a wrong duration, instant or zone', () => {
    expect(() => budgetWindow('1x', 0, BERLIN)).toThrow(RangeError);
    expect(() => budgetWindow('1d', Number.NaN, BERLIN)).toThrow(RangeError);
    expect(() => budgetWindow('1d', 'now', BERLIN)).toThrow(RangeError);
    expect(() => budgetWindow('1d', 0, 'Europe/Atlantis')).toThrow(RangeError);
  });

  test('is found again after thousands of others were asked for', () => {
    const before = budgetWindow('1d', 0, BERLIN);
    for (let count = 1; count <= 2_500; count += 1) budgetWindow(`${count}m`, 0, 'UTC');
    expect(budgetWindow('1d', 0, BERLIN)).toEqual(before);
  });
});

describe('windows in a window', () => {
  test.each([
    ['1d', '1mo', 31],
    ['1d', '1w', 7],
    ['1w', '1mo', 6],
    ['1mo', '1w', 2],
    ['1mo', '1d', 1],
    ['1h', '1d', 24],
    ['5h', '1d', 6],
    ['1d', '1h', 1],
    ['1mo', '12mo', 12],
    ['12mo', '1mo', 1],
    ['30d', '1mo', 1],
    ['2d', '1w', 4],
    [null, '1d', 1],
    [null, null, 1],
    ['1d', null, Infinity],
  ])('of %s, %s touches at most %d', (inner, outer, most) => {
    expect(windowsTouched(inner, outer)).toBe(most);
  });

  test('are never more than that', () => {
    const longer = fc
      .tuple(fc.integer({ min: 1, max: 90 }), fc.constantFrom('d', 'w', 'mo'))
      .map(([count, unit]) => `${count}${unit}`);
    fc.assert(
      fc.property(longer, longer, anyMs, (inner, outer, ms) => {
        const { startMs, endMs } = budgetWindow(outer, ms, 'UTC');
        const most = windowsTouched(inner, outer);
        let count = 0;
        for (let at = startMs; at < endMs && count <= most; at = budgetWindow(inner, at, 'UTC').endMs)
          count += 1;
        expect(count).toBeLessThanOrEqual(most);
      }),
      runs(100),
    );
  });
});
