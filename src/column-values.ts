/**
 * Values of read model columns in the one form that PostgreSQL, the in-memory tables and a dump all
 * hold alike. Events keep what callers sent; a table must not fail on it, since a failing event
 * stops a read model: NUL and lone surrogates, which PostgreSQL cannot store, become U+FFFD, and
 * instants get their milliseconds.
 */
import type { Json } from './domain/json.ts';

/** `?` marks a column that may be null. */
export type ColumnType =
  | 'text'
  | 'text?'
  | 'bigint'
  | 'bigint?'
  /** A whole number of any size. */
  | 'nanos'
  | 'nanos?'
  /** A whole number of any size that changes by adding. A row made by adding starts at 0. */
  | 'sum'
  | 'instant'
  | 'instant?'
  | 'boolean'
  | 'json'
  | 'json?'
  | 'text[]';

export interface ColumnValues {
  text: string;
  'text?': string | null;
  bigint: bigint;
  'bigint?': bigint | null;
  nanos: bigint;
  'nanos?': bigint | null;
  sum: bigint;
  /** ISO instant, UTC, milliseconds, years 1 to 9999. */
  instant: string;
  'instant?': string | null;
  boolean: boolean;
  /** Plain JSON; bigints inside travel as decimal strings. Not null at the top. */
  json: NonNullable<Json>;
  'json?': Json;
  'text[]': readonly string[];
}

export type Value = ColumnValues[ColumnType];
export type Row = Readonly<Record<string, Value>>;

/** A value of a plain column as text, for keys and parameters. */
export function valueText(value: Value | undefined): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

const UNSTORABLE = /[\0\p{Cs}]/u;
const UNSTORABLE_ALL = /[\0\p{Cs}]/gu;
/** The same in JSON text, where both are always written as escapes. May match a little more. */
const UNSTORABLE_JSON = /\\u(?:0000|d[89a-f])/;
const NORMAL_INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const FIRST_MS = Date.parse('0001-01-01T00:00:00.000Z');
const LAST_MS = Date.parse('9999-12-31T23:59:59.999Z');

/** The value as every table holds it; the same object when it is in that form already. */
export function storable(type: ColumnType, value: Value): Value {
  if (typeof value === 'string') {
    return type === 'instant' || type === 'instant?' ? normalInstant(value) : storableText(value);
  }
  if (typeof value !== 'object' || value === null || (Array.isArray(value) && value.length === 0))
    return value;
  return UNSTORABLE_JSON.test(JSON.stringify(value)) ? storableJson(value) : value;
}

function storableText(text: string): string {
  return UNSTORABLE.test(text) ? text.replaceAll(UNSTORABLE_ALL, '\u{fffd}') : text;
}

/** Throws RangeError when the text is no instant. */
function normalInstant(text: string): string {
  if (NORMAL_INSTANT.test(text)) return text;
  const ms = new Date(text).getTime();
  if (Number.isNaN(ms)) throw new RangeError(`not an instant: ${text}`);
  return new Date(Math.min(Math.max(ms, FIRST_MS), LAST_MS)).toISOString();
}

function storableJson(value: Json): Json {
  if (typeof value === 'string') return storableText(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item: Json) => storableJson(item));
  return Object.fromEntries(
    Object.entries(value).map(([name, member]: [string, Json]) => [storableText(name), storableJson(member)]),
  );
}
