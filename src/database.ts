/**
 * The pool of PostgreSQL connections and the query builder over it, with values that lose nothing:
 * whole numbers of 64 bits and money arrive as bigint, instants as text. The parsers belong to this
 * pool; the ones that the driver shares with everybody in the process stay as they are.
 */
import { Kysely, PostgresDialect } from 'kysely';
import { Pool, types } from 'pg';

export interface Database<Tables = unknown> {
  readonly pool: Pool;
  readonly db: Kysely<Tables>;
  /** Resolves when every connection is closed; waits for those in use. May be called twice. */
  close(): Promise<void>;
}

export interface DatabaseOptions {
  readonly url: string;
  /** Most connections at once, at least 1. */
  readonly poolMax: number;
  /** Shown in pg_stat_activity. */
  readonly applicationName: string;
  /** A role to take on from the first moment; it must have been granted to the user of the address. */
  readonly role?: string;
  /** Longest time one statement may take. Default: no limit. */
  readonly statementMsMax?: number;
  /** Longest wait for a free or new connection. Default 10 000. */
  readonly connectMsMax?: number;
  /** Hears of connections that broke while nobody used them. The pool replaces them. */
  readonly log?: (line: string) => void;
}

export function openDatabase<Tables = unknown>(options: DatabaseOptions): Database<Tables> {
  const { url, poolMax, applicationName, role, statementMsMax, connectMsMax = 10_000, log } = options;
  const pool = new Pool({
    connectionString: url,
    max: poolMax,
    application_name: applicationName,
    connectionTimeoutMillis: connectMsMax,
    keepAlive: true,
    options: `-c TimeZone=UTC -c DateStyle=ISO${role === undefined ? '' : ` -c role=${role}`}`,
    types: { getTypeParser: parserFor },
    ...(statementMsMax === undefined ? {} : { statement_timeout: statementMsMax }),
  });
  // Without a listener a broken idle connection would end the process.
  pool.on('error', (error) => log?.(`an idle database connection broke: ${error.message}`));
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
  let closing: Promise<void> | null = null;
  return { pool, db, close: () => (closing ??= pool.end()) };
}

type Parse = (text: string) => unknown;

const { builtins } = types;

/** `text[]`: the driver's own reading of array syntax, for elements that are parsed afterwards. */
const TEXT_ARRAY: number = 1009;
const parseTexts: (text: string) => Nested = types.getTypeParser(TEXT_ARRAY);
type Nested = readonly (string | null | Nested)[];

const parsers: ReadonlyMap<number, Parse> = new Map<number, Parse>([
  [builtins.INT8, BigInt],
  [builtins.NUMERIC, parseNumeric],
  [builtins.TIMESTAMPTZ, parseInstant],
  // A day and a wall clock time have no zone; the driver's Date would lend them the machine's.
  [builtins.DATE, String],
  [builtins.TIMESTAMP, String],
  [builtins.JSON, JSON.parse],
  [builtins.JSONB, JSON.parse],
  [1016, arrayOf(BigInt)],
  [1231, arrayOf(parseNumeric)],
  [1185, arrayOf(parseInstant)],
  [1182, arrayOf(String)],
  [1115, arrayOf(String)],
  [199, arrayOf(JSON.parse)],
  [3807, arrayOf(JSON.parse)],
]);

function parserFor(oid: number, format?: 'text' | 'binary'): Parse {
  const own = format === 'binary' ? undefined : parsers.get(oid);
  return own ?? types.getTypeParser(oid, format);
}

/**
 * Money is kept as whole nanos in `numeric` and becomes bigint, as do sums of bigint. Anything with
 * a decimal point, also 1.0, and NaN stay text: the number of digits is part of such a column's
 * declaration, so one column never mixes the two.
 */
function parseNumeric(text: string): bigint | string {
  return /^-?\d+$/.test(text) ? BigInt(text) : text;
}

/** `2026-11-20T13:45:10.123Z`. Finer digits are cut off; we write none. Infinity stays text. */
function parseInstant(text: string): string {
  const utc = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d+))?\+00$/.exec(text);
  if (utc === null) return parseOddInstant(text);
  const [, day, time, fraction = ''] = utc;
  return `${day}T${time}.${fraction.padEnd(3, '0').slice(0, 3)}Z`;
}

/** Another session time zone (`+05:30`, `-03`), which the URL can ask for. */
function parseOddInstant(text: string): string {
  const iso = text.replace(' ', 'T').replace(/([+-]\d\d)$/, '$1:00');
  const at = new Date(iso);
  return Number.isNaN(at.getTime()) ? text : at.toISOString();
}

function arrayOf(parse: Parse): Parse {
  const map = (items: Nested): unknown[] =>
    items.map((item) => (item === null ? null : typeof item === 'string' ? parse(item) : map(item)));
  return (text) => map(parseTexts(text));
}
