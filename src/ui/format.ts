import type { Money } from './api/shapes-money.ts';
import type { Language } from './words/words.ts';

/** Numbers, money and times as people in the user's language write them, in the agency's zone. */
export interface Formats {
  money(amount: Money | string | number, options?: { readonly whole?: boolean }): string;
  number(value: number): string;
  compact(value: number): string;
  percent(share: number): string;
  dateTime(iso: string): string;
  date(iso: string): string;
  /** `2026-11-20`, which has no zone, or `2026-11`. */
  day(text: string): string;
  shortDay(text: string): string;
  month(text: string): string;
  time(iso: string): string;
  duration(ms: number): string;
  /** Today in the zone, `2026-11-20`. */
  today(): string;
  readonly zone: string;
  readonly currency: string;
}

export function formatsFor(language: Language, zone: string, currency: string): Formats {
  const locale = language === 'de' ? 'de-DE' : 'en-GB';
  const number = new Intl.NumberFormat(locale, { maximumFractionDigits: 2 });
  const compact = new Intl.NumberFormat(locale, { notation: 'compact', maximumFractionDigits: 1 });
  const percent = new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: 0 });
  const zoned = (options: Intl.DateTimeFormatOptions) =>
    new Intl.DateTimeFormat(locale, { ...options, timeZone: zone });
  const plain = (options: Intl.DateTimeFormatOptions) =>
    new Intl.DateTimeFormat(locale, { ...options, timeZone: 'UTC' });
  const dateTime = zoned({ dateStyle: 'medium', timeStyle: 'short' });
  const date = zoned({ dateStyle: 'medium' });
  const time = zoned({ timeStyle: 'medium' });
  const day = plain({ dateStyle: 'medium' });
  const shortDay = plain({ day: 'numeric', month: 'short' });
  const month = plain({ month: 'long', year: 'numeric' });
  const today = new Intl.DateTimeFormat('en-CA', { timeZone: zone, dateStyle: 'short' });
  return {
    zone,
    currency,
    money: (value, { whole = false } = {}) => moneyText(locale, value, currency, whole),
    number: (value) => number.format(value),
    compact: (value) => (Math.abs(value) < 10_000 ? number.format(value) : compact.format(value)),
    percent: (share) => percent.format(share),
    dateTime: (iso) => dateTime.format(new Date(iso)),
    date: (iso) => date.format(new Date(iso)),
    time: (iso) => time.format(new Date(iso)),
    day: (text) => day.format(new Date(`${text.slice(0, 10)}T00:00:00Z`)),
    shortDay: (text) => shortDay.format(new Date(`${text.slice(0, 10)}T00:00:00Z`)),
    month: (text) => month.format(new Date(`${text.slice(0, 7)}-01T00:00:00Z`)),
    duration: (ms) => (ms < 1_000 ? `${Math.round(ms)} ms` : `${number.format(ms / 1_000)} s`),
    today: () => today.format(new Date()),
  };
}

/** Cents, and as many more decimals as a small amount needs to show two digits that count. */
function moneyText(locale: string, value: Money | string | number, currency: string, whole: boolean): string {
  const amount = typeof value === 'object' ? value.amount : String(value);
  const size = Math.abs(Number(amount));
  const decimals = whole ? 0 : size === 0 || size >= 0.1 ? 2 : Math.min(6, 1 - Math.floor(Math.log10(size)));
  const format = new Intl.NumberFormat(locale, {
    style: 'currency',
    currency: typeof value === 'object' ? value.currency : currency,
    minimumFractionDigits: whole ? 0 : 2,
    maximumFractionDigits: Math.max(decimals, whole ? 0 : 2),
  });
  // As text, so that no digit is lost on the way.
  return format.format(/^-?\d+(\.\d+)?$/.test(amount) ? (amount as `${number}`) : size);
}

/** For charts and meters, where a float is exact enough. */
export function amountOf(value: Money | null | undefined): number {
  return value == null ? 0 : Number(value.amount);
}

/** The days from the first to the last, inclusive. */
export function daysBetween(from: string, to: string): string[] {
  const days: string[] = [];
  const end = Date.parse(`${to}T00:00:00Z`);
  for (let at = Date.parse(`${from}T00:00:00Z`); at <= end; at += 86_400_000) {
    days.push(new Date(at).toISOString().slice(0, 10));
  }
  return days;
}

export function addDays(day: string, count: number): string {
  return new Date(Date.parse(`${day}T00:00:00Z`) + count * 86_400_000).toISOString().slice(0, 10);
}

/** The newest first, a year of them. */
export function monthsUpTo(today: string): string[] {
  const [year, month] = today.split('-').map(Number) as [number, number];
  return Array.from({ length: 12 }, (_, back) =>
    new Date(Date.UTC(year, month - 1 - back, 1)).toISOString().slice(0, 7),
  );
}

/** Instant and text of a wall time in a zone, as `<input type="datetime-local">` writes it. */
export function localInput(iso: string, zone: string): string {
  const parts = new Intl.DateTimeFormat('sv-SE', {
    timeZone: zone,
    dateStyle: 'short',
    timeStyle: 'medium',
  }).format(new Date(iso));
  return parts.replace(' ', 'T');
}

export function instantFrom(local: string, zone: string): string | null {
  const wanted = Date.parse(`${local}Z`);
  if (Number.isNaN(wanted)) return null;
  let guess = wanted;
  // The offset at the guess leads to a better guess; twice is enough, also around a change of clocks.
  for (let round = 0; round < 2; round += 1) {
    guess -= Date.parse(`${localInput(new Date(guess).toISOString(), zone)}Z`) - wanted;
  }
  return new Date(guess).toISOString();
}
