import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { budgetWindow } from '../../src/domain/duration.ts';
import {
  isPeriod,
  isStarted,
  localDate,
  nextPeriod,
  parsePeriod,
  periodBounds,
  periodClock,
  periodOf,
} from '../../src/domain/period.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';

const BERLIN = 'Europe/Berlin';

describe('a period', () => {
  test.each(['2026-11', '2024-02', '1999-01', '9998-12'])('%s is one', (text) => {
    expect(isPeriod(text)).toBe(true);
  });

  test.each([
    '2026-13',
    '2026-00',
    '2026-1',
    '26-11',
    '2026-11-01',
    '2026/11',
    ' 2026-11',
    '2026-11\n',
    '',
    '0999-01',
  ])('%j is none', (text) => {
    expect(isPeriod(text)).toBe(false);
    expect(() => parsePeriod(text)).toThrow(RangeError);
    expect(() => periodBounds(text, BERLIN)).toThrow('write YYYY-MM');
  });

  test('has a year and a month, and one after it', () => {
    expect(parsePeriod('2026-11')).toEqual({ year: 2026, month: 11 });
    expect(nextPeriod('2026-12')).toBe('2027-01');
    expect(nextPeriod('2026-01')).toBe('2026-02');
  });

  test('begins at midnight of the zone and ends where the next one begins', () => {
    expect(periodBounds('2026-10', BERLIN)).toEqual({
      startMs: Date.parse('2026-09-30T22:00:00Z'),
      endMs: Date.parse('2026-10-31T23:00:00Z'),
      startsAt: '2026-09-30T22:00:00.000Z',
      endsAt: '2026-10-31T23:00:00.000Z',
    });
    let period = '2024-01';
    while (period !== '2036-01') {
      const next = nextPeriod(period);
      expect(periodBounds(period, BERLIN).endMs).toBe(periodBounds(next, BERLIN).startMs);
      period = next;
    }
  });

  test('holds its first instant and not its last bound', () => {
    const { startMs, endMs } = periodBounds('2026-11', BERLIN);
    expect(periodOf(startMs - 1, BERLIN)).toBe('2026-10');
    expect(periodOf(startMs, BERLIN)).toBe('2026-11');
    expect(periodOf(endMs - 1, BERLIN)).toBe('2026-11');
    expect(periodOf(endMs, BERLIN)).toBe('2026-12');
  });

  test('has started from its first instant on', () => {
    expect(isStarted('2026-11', '2026-10-31T22:59:59.999Z', BERLIN)).toBe(false);
    expect(isStarted('2026-11', '2026-10-31T23:00:00.000Z', BERLIN)).toBe(true);
    expect(isStarted('2026-11', '2030-01-01T00:00:00.000Z', BERLIN)).toBe(true);
  });

  test('has begun, even when the clock is then set back into the month before', () => {
    // In 2009 St. John's went from 00:01 on 1 November back to 23:01 on 31 October.
    const zone = 'America/St_Johns';
    const { startMs } = periodBounds('2009-11', zone);
    expect(startMs).toBe(Date.parse('2009-11-01T02:30:00Z'));
    const clock = periodClock(zone);
    for (const minutes of [0, 0.5, 1, 30, 61, 90]) {
      expect(periodOf(startMs + minutes * 60_000, zone)).toBe('2009-11');
      expect(clock(startMs + minutes * 60_000)).toBe('2009-11');
    }
    expect(clock(startMs - 1)).toBe('2009-10');
  });

  test('is refused for what is no instant or no zone', () => {
    expect(() => periodOf('soon', BERLIN)).toThrow(RangeError);
    expect(() => periodOf(Number.NaN, BERLIN)).toThrow(RangeError);
    expect(() => localDate(0, 'Europe/Atlantis')).toThrow(RangeError);
  });
});

test('a clock gives the period of any instant, in any order', () => {
  const clock = periodClock(BERLIN);
  for (const at of [
    '2026-11-20T12:00:00Z',
    '2026-11-30T23:00:00Z',
    '2026-11-01T00:00:00Z',
    '2020-02-29T23:30:00Z',
  ]) {
    expect(clock(Date.parse(at))).toBe(periodOf(at, BERLIN));
  }
});

test('a date is the local one', () => {
  expect(localDate('2026-11-20T23:30:00Z', BERLIN)).toBe('2026-11-21');
  expect(localDate('2026-06-30T22:00:00Z', BERLIN)).toBe('2026-07-01');
  expect(localDate('2026-06-30T21:59:59.999Z', BERLIN)).toBe('2026-06-30');
});

/** In each zone that the process may run in; INSTANTS=5000 compares more. */
const EACH = Number(process.env['INSTANTS'] ?? 1_000);

describe('compared with PostgreSQL, random instants of 2024 to 2035', () => {
  interface Row {
    ms: string;
    month: string;
    day: string;
    month_start: string;
    day_start: string;
    week_start: string;
  }
  const PROCESS_ZONES = ['UTC', 'America/New_York', 'Asia/Kolkata', 'Pacific/Auckland'];
  const zoneBefore = process.env['TZ'];
  let database: TestDatabase;
  let rows: Row[];

  beforeAll(async () => {
    database = await testDatabase();
    ({ rows } = await database.pool.query<Row>(RANDOM_INSTANTS, [PROCESS_ZONES.length * EACH]));
  });
  afterAll(() => database?.drop());
  afterEach(() => {
    if (zoneBefore === undefined) delete process.env['TZ'];
    else process.env['TZ'] = zoneBefore;
  });

  test.each(PROCESS_ZONES)(
    'a process that runs in %s has the same months, days and windows',
    (processZone) => {
      process.env['TZ'] = processZone;
      expect(new Intl.DateTimeFormat().resolvedOptions().timeZone.replace('Calcutta', 'Kolkata')).toBe(
        processZone,
      );
      const clock = periodClock(BERLIN);
      const start = PROCESS_ZONES.indexOf(processZone) * EACH;
      const wrong = rows.slice(start, start + EACH).filter((row) => {
        const ms = Number(row.ms);
        return (
          periodOf(ms, BERLIN) !== row.month ||
          clock(ms) !== row.month ||
          localDate(ms, BERLIN) !== row.day ||
          periodBounds(row.month, BERLIN).startMs !== Number(row.month_start) ||
          budgetWindow('30d', ms, BERLIN).startMs !== Number(row.month_start) ||
          budgetWindow('1d', ms, BERLIN).startMs !== Number(row.day_start) ||
          budgetWindow('1w', ms, BERLIN).startMs !== Number(row.week_start)
        );
      });
      expect(rows).toHaveLength(PROCESS_ZONES.length * EACH);
      expect(wrong).toEqual([]);
    },
  );
});

/** Half of the instants are within two hours of the start of a month. */
const RANDOM_INSTANTS = `
  with instants as (
    select date_trunc('milliseconds', case when n % 2 = 0
      then timestamptz '2024-01-01' + random() * (timestamptz '2036-01-01' - timestamptz '2024-01-01')
      else timestamp '2024-01-01' at time zone 'Europe/Berlin' + floor(random() * 144) * interval '1 month'
           + (random() - 0.5) * interval '4 hours' end) as at
    from generate_series(1, $1::int) as n
  ), local as (select at, at at time zone 'Europe/Berlin' as wall from instants)
  select (extract(epoch from at) * 1000)::bigint::text as ms,
         to_char(wall, 'YYYY-MM') as month,
         to_char(wall, 'YYYY-MM-DD') as day,
         (extract(epoch from date_trunc('month', wall) at time zone 'Europe/Berlin') * 1000)::bigint::text as month_start,
         (extract(epoch from date_trunc('day', wall) at time zone 'Europe/Berlin') * 1000)::bigint::text as day_start,
         (extract(epoch from date_trunc('week', wall) at time zone 'Europe/Berlin') * 1000)::bigint::text as week_start
  from local`;
