/**
 * Read model definitions as SQL: their tables, and their row changes as few statements. Rows travel
 * as one array per column.
 */
import { createHash } from 'node:crypto';
import { type ColumnType, type Row, type Value, valueText } from './column-values.ts';
import { unreachable } from './domain/decider.ts';
import {
  type Conditions,
  isAtMost,
  type Projection,
  type RowChange,
  rowKey,
  type Sums,
} from './projection.ts';

export interface Statement {
  readonly text: string;
  readonly values: readonly (string | null)[];
}

/** Sums are numeric, so that no number of additions overflows; so is money. */
const SQL_TYPES: Readonly<Record<ColumnType, string>> = {
  text: 'text',
  'text?': 'text',
  bigint: 'bigint',
  'bigint?': 'bigint',
  nanos: 'numeric',
  'nanos?': 'numeric',
  sum: 'numeric',
  instant: 'timestamptz(3)',
  'instant?': 'timestamptz(3)',
  boolean: 'boolean',
  json: 'jsonb',
  'json?': 'jsonb',
  'text[]': 'text[]',
};

/** Columns in the order of the definition, quoted, as a list. */
export function columnList(projection: Projection): string {
  return Object.keys(projection.columns).map(quoted).join(', ');
}

/** The table and its indexes. Text sorts by code point, whatever the locale of the database is. */
export function tableDdl(projection: Projection, table: string, temporary = false): readonly string[] {
  const columns = Object.entries(projection.columns).map(([name, type]) => {
    const collation = type === 'text' || type === 'text?' ? ' collate "C"' : '';
    return `${quoted(name)} ${SQL_TYPES[type]}${collation}${type.endsWith('?') ? '' : ' not null'}`;
  });
  // Rows that are added to keep changing: with room on the page the indexes need not follow.
  const room = Object.values(projection.columns).includes('sum') ? ' with (fillfactor = 80)' : '';
  const key = `primary key (${projection.key.map(quoted).join(', ')})`;
  return [
    `create ${temporary ? 'temporary ' : ''}table ${quoted(table)} (${[...columns, key].join(', ')})${room}` +
      (temporary ? ' on commit drop' : ''),
    ...projection.indexes.map(
      (index) => `create index on ${quoted(table)} (${index.map(quoted).join(', ')})`,
    ),
    ...(projection.lookups.length === 0 ? [] : [lookupDdl(projection, table)]),
    ...projection.searches.map((column) => searchDdl(column, table)),
  ];
}

/** For `like '%part%'`. Not there where the database has no pg_trgm: the search works without it, too. */
function searchDdl(column: string, table: string): string {
  const index = `create index on ${quoted(table)} using gin (${quoted(column)} gin_trgm_ops)`;
  return `do $$ begin if exists (select from pg_extension where extname = 'pg_trgm') then ${index}; end if; end $$`;
}

/**
 * What is known of each range of 32 pages is a filter over its values: a look-up reads the filters
 * and then the few ranges that may have the value.
 */
function lookupDdl({ lookups }: Projection, table: string): string {
  const filters = lookups.map((name) => `${quoted(name)} text_bloom_ops(n_distinct_per_range = 600)`);
  return `create index on ${quoted(table)} using brin (${filters.join(', ')}) with (pages_per_range = 32, autosummarize = on)`;
}

/** Tells whether a table was made from this definition. */
export function tableDigest(projection: Projection): string {
  return createHash('sha256').update(tableDdl(projection, 'table').join(';\n')).digest('hex');
}

/** Changes of one key, merged: later changes of the same row are added to `set` and `by` in place. */
type Pending =
  | { readonly op: 'insert'; row: Row }
  | { readonly op: 'update' | 'add'; readonly key: Row; readonly set: Changed; readonly by: Added };

/** A change of one row that is known by its key; its parts belong to whoever made the change. */
type Keyed =
  | { readonly op: 'insert'; readonly row: Row }
  | { readonly op: 'update' | 'add'; readonly key: Row; readonly set: Row; readonly by: Sums };

type Changed = Record<string, Value>;
type Added = Record<string, bigint>;

const NOTHING = {};

/**
 * The changes as statements with the same effect in the same order. Changes that name their row by
 * its key are merged per row and gathered, one statement per kind; anything else is a statement of
 * its own, before which all that was gathered is written.
 */
export function statementsFor(
  projection: Projection,
  table: string,
  changes: readonly RowChange[],
): readonly Statement[] {
  const statements: Statement[] = [];
  let pending = new Map<string, Pending>();
  const flush = (): void => {
    statements.push(...pendingStatements(projection, table, pending.values()));
    pending = new Map();
  };
  for (const change of changes) {
    if (change.op === 'add') {
      const known = pending.get(rowKey(projection, change.key));
      // Most of what spend changes: one more to what is in the batch already.
      if (known?.op === 'add') {
        addTo(known, change.set ?? NOTHING, change.by);
        continue;
      }
    }
    const next = byKey(projection, change);
    if (next === null) {
      flush();
      statements.push(searched(projection, table, change));
      continue;
    }
    const key = rowKey(projection, next.op === 'insert' ? next.row : next.key);
    const known = pending.get(key);
    if (known !== undefined && merge(known, next)) continue;
    if (known !== undefined) flush();
    pending.set(key, ownCopy(next));
  }
  flush();
  return statements;
}

/** The change as one of a single row known by its key; null when it is not. */
function byKey(projection: Projection, change: RowChange): Keyed | null {
  const { key } = projection;
  switch (change.op) {
    case 'insert':
      return change;
    case 'add':
      return { op: 'add', key: change.key, set: change.set ?? NOTHING, by: change.by };
    case 'update': {
      const { where, set, by = NOTHING } = change;
      const columns = Object.keys(where);
      const exact =
        columns.length === key.length &&
        key.every((name) => where[name] !== undefined && !isAtMost(where[name]) && !(name in set));
      return exact ? { op: 'update', key: where as Row, set, by } : null;
    }
    case 'remove':
      return null;
    default:
      return unreachable(change);
  }
}

function ownCopy(change: Keyed): Pending {
  if (change.op === 'insert') return { op: 'insert', row: change.row };
  return { ...change, set: { ...change.set }, by: { ...change.by } };
}

/** Makes one change of two of the same row. False when they have to stay two. */
function merge(known: Pending, next: Keyed): boolean {
  if (known.op === 'insert') {
    if (next.op !== 'update') return false;
    known.row = { ...known.row, ...next.set, ...plus(known.row as Sums, next.by) };
    return true;
  }
  if (known.op !== next.op) return false;
  addTo(known, next.set, next.by);
  return true;
}

function addTo(known: { readonly set: Changed; readonly by: Added }, set: Row, by: Sums): void {
  for (const name in set) known.set[name] = set[name]!;
  for (const name in by) known.by[name] = (known.by[name] ?? 0n) + by[name]!;
}

function plus(sums: Sums, by: Sums): Sums {
  const result: Record<string, bigint> = {};
  for (const name of Object.keys(by)) result[name] = (sums[name] ?? 0n) + by[name]!;
  return result;
}

function pendingStatements(
  projection: Projection,
  table: string,
  pending: Iterable<Pending>,
): readonly Statement[] {
  const groups = new Map<string, Row[]>();
  const makers = new Map<string, (rows: readonly Row[]) => Statement>();
  for (const change of pending) {
    const row = change.op === 'insert' ? change.row : { ...change.key, ...change.set, ...change.by };
    const signature =
      change.op === 'insert' ? 'insert' : `${change.op} ${Object.keys(row).toSorted().join(' ')}`;
    const group = groups.get(signature);
    if (group !== undefined) {
      group.push(row);
      continue;
    }
    groups.set(signature, [row]);
    makers.set(signature, (rows) => {
      if (change.op === 'insert') return insert(projection, table, rows);
      const { set, by } = change;
      const columns = { set: Object.keys(set), by: Object.keys(by) };
      return change.op === 'add'
        ? add(projection, table, columns, rows)
        : update(projection, table, columns, rows);
    });
  }
  return [...groups].map(([signature, rows]) => makers.get(signature)!(rows));
}

function insert(projection: Projection, table: string, rows: readonly Row[]): Statement {
  const columns = columnList(projection);
  const names = Object.keys(projection.columns);
  return {
    text: `insert into ${quoted(table)} (${columns}) select ${columns} from ${records(projection, names)}`,
    values: arraysOf(projection, names, rows),
  };
}

interface Changing {
  readonly set: readonly string[];
  readonly by: readonly string[];
}

function add(projection: Projection, table: string, { set, by }: Changing, rows: readonly Row[]): Statement {
  const names = [...projection.key, ...set, ...by];
  const columns = names.map(quoted).join(', ');
  const assignments = [
    ...set.map((name) => `${quoted(name)} = excluded.${quoted(name)}`),
    ...by.map((name) => `${quoted(name)} = t.${quoted(name)} + excluded.${quoted(name)}`),
  ];
  return {
    text:
      `insert into ${quoted(table)} as t (${columns}) select ${columns} from ${records(projection, names)}` +
      ` on conflict (${projection.key.map(quoted).join(', ')}) do update set ${assignments.join(', ')}`,
    values: arraysOf(projection, names, rows),
  };
}

function update(
  projection: Projection,
  table: string,
  { set, by }: Changing,
  rows: readonly Row[],
): Statement {
  const on = projection.key.map((name) => `t.${quoted(name)} = r.${quoted(name)}`);
  const names = [...projection.key, ...set, ...by];
  return {
    text:
      `update ${quoted(table)} as t set ${assigned(set, by)}` +
      ` from ${records(projection, names)} where ${on.join(' and ')}`,
    values: arraysOf(projection, names, rows),
  };
}

/** An update or removal of all rows that match. */
function searched(projection: Projection, table: string, change: RowChange): Statement {
  if (change.op !== 'update' && change.op !== 'remove') throw new TypeError(`${change.op} needs a key`);
  const { where } = change;
  if (change.op === 'remove') {
    const { text, values } = conditions(projection, where, 0);
    return { text: `delete from ${quoted(table)} as t where ${text}`, values };
  }
  const { set, by = {} } = change;
  const names = [...Object.keys(set), ...Object.keys(by)];
  const { text, values } = conditions(projection, where, names.length);
  return {
    text:
      `update ${quoted(table)} as t set ${assigned(Object.keys(set), Object.keys(by))}` +
      ` from ${records(projection, names)} where ${text}`,
    values: [...arraysOf(projection, names, [{ ...set, ...by }]), ...values],
  };
}

function assigned(set: readonly string[], by: readonly string[]): string {
  return [
    ...set.map((name) => `${quoted(name)} = r.${quoted(name)}`),
    ...by.map((name) => `${quoted(name)} = t.${quoted(name)} + r.${quoted(name)}`),
  ].join(', ');
}

function conditions(projection: Projection, where: Conditions, parametersBefore: number): Statement {
  const values: string[] = [];
  const parameter = (name: string, value: Value): string => {
    values.push(valueText(value));
    return `$${parametersBefore + values.length}::${sqlType(projection, name)}`;
  };
  const texts = Object.entries(where).map(([name, condition]) => {
    const column = `t.${quoted(name)}`;
    if (condition === null) return `${column} is null`;
    return isAtMost(condition)
      ? `${column} <= ${parameter(name, condition.atMost)}`
      : `${column} = ${parameter(name, condition)}`;
  });
  return { text: texts.length === 0 ? 'true' : texts.join(' and '), values };
}

/** The rows as a table r with these columns, each column an array in a parameter of its own, from $1 on. */
function records(projection: Projection, names: readonly string[]): string {
  const arrays = names.map((name, i) => `$${i + 1}::${elementType(projection, name)}[]`);
  const columns = names.map((name) =>
    elementType(projection, name) === sqlType(projection, name)
      ? `u.${quoted(name)}`
      : `u.${quoted(name)}::${sqlType(projection, name)} as ${quoted(name)}`,
  );
  return `(select ${columns.join(', ')} from unnest(${arrays.join(', ')}) as u(${names.map(quoted).join(', ')})) as r`;
}

/** Lists and JSON travel as text: there are no arrays of arrays of different lengths. */
function elementType(projection: Projection, name: string): string {
  const type = sqlType(projection, name);
  return type === 'text[]' || type === 'jsonb' ? 'text' : type;
}

/** The parameters of `records`: PostgreSQL reads arrays several times faster than JSON of the same rows. */
function arraysOf(projection: Projection, names: readonly string[], rows: readonly Row[]): string[] {
  return names.map((name) => {
    const type = sqlType(projection, name);
    return `{${rows.map((row) => element(type, row[name] ?? null)).join(',')}}`;
  });
}

function element(type: string, value: Value): string {
  if (value === null) return 'NULL';
  if (type === 'text') return quotedElement(value as string);
  if (type === 'text[]')
    return quotedElement(`{${(value as readonly string[]).map(quotedElement).join(',')}}`);
  if (type === 'jsonb' || typeof value === 'object') return quotedElement(jsonText(value));
  return String(value);
}

const TO_ESCAPE = /["\\]/;
const TO_ESCAPE_ALL = /["\\]/g;

export function quotedElement(text: string): string {
  return TO_ESCAPE.test(text) ? `"${text.replaceAll(TO_ESCAPE_ALL, '\\$&')}"` : `"${text}"`;
}

export function jsonText(value: Value): string {
  return JSON.stringify(value, (_name, member: unknown) =>
    typeof member === 'bigint' ? String(member) : member,
  );
}

export function sqlType(projection: Projection, name: string): string {
  const type = projection.columns[name];
  if (type === undefined) throw new TypeError(`${projection.name} has no column ${name}`);
  return SQL_TYPES[type];
}

/** Names are those of definitions and contain nothing that needs escaping; see defineProjection. */
export function quoted(name: string): string {
  return `"${name}"`;
}
