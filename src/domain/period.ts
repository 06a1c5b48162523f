import { firstInstantAt, instantMs, isoInstant, monthIndex, monthStartMs, wallMsAt } from './local-time.ts';

/**
 * Periods: calendar months `YYYY-MM` in the agency's zone. A month begins at the first instant at
 * which the local clock shows its first day, and ends where the next one begins.
 */
const PATTERN = /^[1-9]\d{3}-(?:0[1-9]|1[0-2])$/;

/** Half open: `startMs` is in it, `endMs` is not. The texts are the same instants in ISO form. */
export interface PeriodBounds {
  readonly startMs: number;
  readonly endMs: number;
  readonly startsAt: string;
  readonly endsAt: string;
}

export function isPeriod(text: string): boolean {
  return PATTERN.test(text);
}

/** Throws RangeError unless the text is `YYYY-MM` with a month from 01 to 12. */
export function parsePeriod(text: string): { readonly year: number; readonly month: number } {
  if (!isPeriod(text))
    throw new RangeError(
      `not a period: ${JSON.stringify(text.slice(0, 40))}; write YYYY-MM, such as 2026-11`,
    );
  return { year: Number(text.slice(0, 4)), month: Number(text.slice(5)) };
}

/**
 * The period of an instant, given as epoch milliseconds or ISO text. When the clock is set back
 * over the start of a month, the month has begun all the same: periods follow each other.
 */
export function periodOf(at: number | string, zone: string): string {
  const ms = instantMs(at);
  const shown = monthIndex(wallMsAt(ms, zone));
  return formatPeriod(firstInstantAt(monthStartMs(shown + 1), zone) <= ms ? shown + 1 : shown);
}

/** `YYYY-MM-DD` that the local calendar shows. */
export function localDate(at: number | string, zone: string): string {
  return new Date(wallMsAt(instantMs(at), zone)).toISOString().slice(0, 10);
}

export function periodBounds(period: string, zone: string): PeriodBounds {
  const index = indexOf(period);
  const startMs = firstInstantAt(monthStartMs(index), zone);
  const endMs = firstInstantAt(monthStartMs(index + 1), zone);
  return { startMs, endMs, startsAt: isoInstant(startMs), endsAt: isoInstant(endMs) };
}

export function nextPeriod(period: string): string {
  return formatPeriod(indexOf(period) + 1);
}

/** True from the first instant of the period on; a period that is over has started too. */
export function isStarted(period: string, nowIso: string, zone: string): boolean {
  return periodBounds(period, zone).startMs <= instantMs(nowIso);
}

/**
 * `periodOf` for a clock that moves on: it remembers the month that it is in, so that an answer
 * costs two comparisons. Any instant may be asked, in any order.
 */
export function periodClock(zone: string): (ms: number) => string {
  let period = '';
  let startMs = Infinity;
  let endMs = -Infinity;
  return (ms) => {
    if (startMs <= ms && ms < endMs) return period;
    period = periodOf(ms, zone);
    ({ startMs, endMs } = periodBounds(period, zone));
    return period;
  };
}

function indexOf(period: string): number {
  const { year, month } = parsePeriod(period);
  return (year - 1) * 12 + month - 1;
}

function formatPeriod(index: number): string {
  return isoInstant(monthStartMs(index)).slice(0, 7);
}
