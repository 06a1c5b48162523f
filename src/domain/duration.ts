import {
  DAY_MS,
  firstInstantAt,
  instantMs,
  isoInstant,
  monthIndex,
  monthStartMs,
  steadyAround,
  wallMsAt,
} from './local-time.ts';

/**
 * Durations such as `30s`, `30min`, `1d` or `1mo`, as lifetimes of keys and as windows of budgets.
 *
 * A lifetime is a stretch of time: it starts now and is never moved to a calendar date.
 *
 * A window belongs to the calendar of the agency's zone. It follows from the duration, an instant
 * and the zone alone: nothing is stored, no job resets anything, and every instant is in exactly
 * one window. Hence a window cannot start "now"; all of them are cut from one grid:
 * - months from January of year 1, in blocks of N: `1mo` starts on the first, `3mo` with a quarter;
 *   `30d` is `1mo`, as LiteLLM has it;
 * - everything else from Monday, 1 January of year 1, 00:00 on the wall, in blocks of N: `1d` starts
 *   at midnight, `7d` = `1w` on Monday, `14d` on every other Monday, `48h` = `2d` at every other
 *   midnight, `2h` at even hours.
 * The end of a window is always after the instant, and at most one duration away, give or take the
 * hour of a changed clock; what a key gets on its first day may be the short rest of a window.
 * When the clock changes, windows longer than an hour keep to the wall, so that the day has 23 or 25
 * hours; windows of up to an hour keep their length and start anew at the change.
 */
const PATTERN = /^(\d{1,12})(s|m|min|h|hr|d|w|mo)$/;
const ALLOWED =
  'write a whole number above 0 and a unit: s, m or min, h or hr, d, w, mo; at most 1000 years, such as 30s, 24h, 7d, 1mo';

const HOUR_MS = 3_600_000;
const UNIT_MS = {
  s: 1_000,
  m: 60_000,
  min: 60_000,
  h: HOUR_MS,
  hr: HOUR_MS,
  d: DAY_MS,
  w: 7 * DAY_MS,
} as const;
const YEARS_MAX = 1_000;
const MS_MAX = YEARS_MAX * 365 * DAY_MS;
const MONTHS_MAX = YEARS_MAX * 12;
/** Wall time of Monday, 1 January of year 1. */
const EPOCH_MS = -62_135_596_800_000;

export type Duration =
  | { readonly unit: 'ms'; readonly count: number }
  | { readonly unit: 'month'; readonly count: number };

/** Half open: `startMs` is in it, `endMs` is not. The texts are the same instants in ISO form. */
export interface BudgetWindow {
  readonly startMs: number;
  readonly endMs: number;
  readonly startsAt: string;
  readonly endsAt: string;
}

/** Throws RangeError, with what is allowed. */
export function parseDuration(text: string): Duration {
  const match = PATTERN.exec(text);
  const count = Number(match?.[1] ?? 0);
  const unit = match?.[2];
  if (count > 0 && unit === 'mo' && count <= MONTHS_MAX) return { unit: 'month', count };
  if (count > 0 && unit !== undefined && unit !== 'mo') {
    const ms = count * UNIT_MS[unit as keyof typeof UNIT_MS];
    if (ms <= MS_MAX) return { unit: 'ms', count: ms };
  }
  throw new RangeError(`not a duration: ${JSON.stringify(text.slice(0, 40))}; ${ALLOWED}`);
}

/**
 * Exactly now plus the duration, in UTC; a day is 24 hours. A month is the same day of the next
 * month, or its last day: 31 January + 1mo = 28 or 29 February.
 */
export function expiryAfter(nowIso: string, duration: string): string {
  const now = instantMs(nowIso);
  const { unit, count } = parseDuration(duration);
  if (unit === 'ms') return isoInstant(now + count);
  const month = monthIndex(now) + count;
  const lastDay = (monthStartMs(month + 1) - monthStartMs(month)) / DAY_MS;
  const day = Math.min(new Date(now).getUTCDate(), lastDay) - 1;
  const timeOfDay = ((now % DAY_MS) + DAY_MS) % DAY_MS;
  return isoInstant(monthStartMs(month) + day * DAY_MS + timeOfDay);
}

/** The last answer for each duration and zone: on the hot path nearly every next one is the same. */
const latest = new Map<string, BudgetWindow>();
const LATEST_MAX = 1_000;

/**
 * The window that the instant is in. Costs a look-up and two comparisons while the window lasts.
 * Throws RangeError for what is no duration, no instant or no zone.
 */
export function budgetWindow(duration: string, at: number | string, zone: string): BudgetWindow {
  const ms = instantMs(at);
  const name = `${duration} ${zone}`;
  const known = latest.get(name);
  if (known !== undefined && known.startMs <= ms && ms < known.endMs) return known;
  const { startMs, endMs } = windowAround(gridOf(duration), ms, zone);
  const window = { startMs, endMs, startsAt: isoInstant(startMs), endsAt: isoInstant(endMs) };
  if (latest.size >= LATEST_MAX) latest.clear();
  latest.set(name, window);
  return window;
}

/** `30d` and `1mo` are the same window. */
function gridOf(duration: string): Duration {
  const parsed = parseDuration(duration);
  return parsed.unit === 'ms' && parsed.count === 30 * DAY_MS ? { unit: 'month', count: 1 } : parsed;
}

function windowAround(grid: Duration, ms: number, zone: string): { startMs: number; endMs: number } {
  const wallMs = wallMsAt(ms, zone);
  let block = blockOf(grid, wallMs);
  if (grid.unit === 'ms' && grid.count <= HOUR_MS) {
    const offsetMs = wallMs - ms;
    const steady = steadyAround(ms, zone);
    const startMs = Math.max(blockStartMs(grid, block) - offsetMs, steady.startMs);
    return { startMs, endMs: Math.min(blockStartMs(grid, block + 1) - offsetMs, steady.endMs) };
  }
  // After the clock was set back, the wall may show a time whose block is over already.
  while (firstInstantAt(blockStartMs(grid, block + 1), zone) <= ms) block += 1;
  return {
    startMs: firstInstantAt(blockStartMs(grid, block), zone),
    endMs: firstInstantAt(blockStartMs(grid, block + 1), zone),
  };
}

function blockOf({ unit, count }: Duration, wallMs: number): number {
  return Math.floor((unit === 'month' ? monthIndex(wallMs) : wallMs - EPOCH_MS) / count);
}

function blockStartMs({ unit, count }: Duration, block: number): number {
  return unit === 'month' ? monthStartMs(block * count) : EPOCH_MS + block * count;
}

/**
 * How many windows of `inner` one window of `outer` can touch, at most; null lasts for ever. A
 * budget per inner window cannot let more through in an outer one than its amount times this.
 * Nominal lengths: the hour of a change of the clock is not counted. Where months meet days it may
 * be one too high, never too low.
 */
export function windowsTouched(inner: string | null, outer: string | null): number {
  if (inner === null) return 1;
  if (outer === null) return Infinity;
  const [a, b] = [gridOf(inner), gridOf(outer)];
  if (a.unit === b.unit) return touched(a.count, b.count, divisor(a.count, b.count));
  if (a.unit === 'ms') return touched(a.count, longestMs(b.count), divisor(a.count, DAY_MS));
  return touched(a.count * 28 * DAY_MS, b.count, divisor(b.count, DAY_MS));
}

/** Blocks of `size` that a stretch of `length` touches when it starts at a multiple of `step`. */
function touched(size: number, length: number, step: number): number {
  return 1 + Math.ceil((length - step) / size);
}

/** At least as long as so many months can be. */
function longestMs(months: number): number {
  return Math.min(31 * months, Math.ceil(30.5 * months) + 1) * DAY_MS;
}

function divisor(a: number, b: number): number {
  return b === 0 ? a : divisor(b, a % b);
}
