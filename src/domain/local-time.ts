import { Temporal } from 'temporal-polyfill';

/**
 * Between instants and the clock on the wall of an IANA zone. A wall time is a number: the
 * milliseconds since 1970 that the wall would show if it hung in UTC. Months, days and windows are
 * cut in wall time, where they are plain arithmetic, and brought back to instants only here.
 */

export const DAY_MS = 86_400_000;

/** Whether it names an IANA zone, such as Europe/Berlin. */
export function isZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

/** What the clock in `zone` shows at an instant. Throws RangeError for an unknown zone. */
export function wallMsAt(ms: number, zone: string): number {
  return ms + Math.trunc(zoned(ms, zone).offsetNanoseconds / 1_000_000);
}

/**
 * The first instant at which the clock in `zone` shows this time or a later one: when it shows the
 * time twice, the first; when it jumps over it, the jump. Never falls when `wallMs` rises.
 */
export function firstInstantAt(wallMs: number, zone: string): number {
  const wall = zoned(wallMs, 'UTC').toPlainDateTime();
  const earlier = wall.toZonedDateTime(zone, { disambiguation: 'earlier' });
  if (earlier.toPlainDateTime().equals(wall)) return earlier.epochMilliseconds;
  return earlier.getTimeZoneTransition('next')!.epochMilliseconds;
}

/** The stretch around an instant in which the zone's offset does not change; half open. */
export function steadyAround(ms: number, zone: string): { readonly startMs: number; readonly endMs: number } {
  // A transition belongs to the stretch that it begins; 'previous' looks strictly before.
  const startMs = zoned(ms + 1, zone).getTimeZoneTransition('previous')?.epochMilliseconds ?? -Infinity;
  const endMs = zoned(ms, zone).getTimeZoneTransition('next')?.epochMilliseconds ?? Infinity;
  return { startMs, endMs };
}

/** Months since January of year 1 that the wall shows; the inverse of `monthStartMs`. */
export function monthIndex(wallMs: number): number {
  const wall = new Date(wallMs);
  return (wall.getUTCFullYear() - 1) * 12 + wall.getUTCMonth();
}

/** Wall time at which the month begins. */
export function monthStartMs(index: number): number {
  // Date.UTC reads the years 0 to 99 as 19xx.
  return new Date(Date.UTC(2000, index % 12)).setUTCFullYear(Math.floor(index / 12) + 1);
}

/** Milliseconds of an ISO instant or of a number that is one already. Throws RangeError. */
export function instantMs(at: number | string): number {
  const ms = typeof at === 'number' ? at : Date.parse(at);
  if (!Number.isFinite(ms)) throw new RangeError(`not an instant: ${at}`);
  return ms;
}

/** Instants that were written of late, by their last digits: under load, many share a millisecond. */
const WRITTEN = 64;
const written = Array.from({ length: WRITTEN }, () => ({ ms: Number.NaN, text: '' }));

/** ISO instant, UTC, milliseconds. */
export function isoInstant(ms: number): string {
  const last = written[Math.abs(ms) % WRITTEN];
  if (last?.ms === ms) return last.text;
  const text = new Date(ms).toISOString();
  if (last !== undefined) {
    last.ms = ms;
    last.text = text;
  }
  return text;
}

function zoned(ms: number, zone: string): Temporal.ZonedDateTime {
  return Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(zone);
}
