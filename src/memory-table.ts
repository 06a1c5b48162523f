/**
 * A read model in memory: the same definition and the same changes as its SQL table, applied to
 * Maps. There is no cache to invalidate, because there is no cache.
 *
 * Rows are never altered: a change puts a new object in the place of the old one. Whatever is
 * derived from a row can therefore be kept in a WeakMap by the row itself.
 */
import type { Row, Value } from './column-values.ts';
import type { Recorded } from './events.ts';
import {
  type Conditions,
  isAtMost,
  type Projection,
  type RowChange,
  type RowIn,
  rowKey,
  type Sums,
} from './projection.ts';

export interface MemoryTable<P extends Projection = Projection> {
  readonly projection: P;
  /** The log has been applied up to here. */
  readonly position: bigint;
  readonly size: number;
  /** How often rows have changed. As long as it stays the same, so do all rows. */
  readonly changes: number;
  /** By the whole key, its columns in order. */
  get(...key: readonly (string | bigint)[]): RowIn<P> | undefined;
  /** The rows with this value in an indexed column. Throws TypeError when the column has no index. */
  find(column: keyof P['columns'] & string, value: string): readonly RowIn<P>[];
  rows(): IterableIterator<RowIn<P>>;
  /** Applies the next event. Events at or below `position` are passed over. */
  apply(recorded: Recorded): void;
  /** Notes that the log was read up to here. Never goes back. */
  advance(position: bigint): void;
  /** Takes these rows in the place of all it has, at once, when the last page has come. */
  load(pages: AsyncIterable<readonly Row[]>, position: bigint): Promise<void>;
}

export function memoryTable<P extends Projection>(
  projection: P,
  options: { readonly indexes?: readonly (keyof P['columns'] & string)[] } = {},
): MemoryTable<P> {
  const { indexes: indexed = [] } = options;
  let rows = new Map<string, Row>();
  let indexes = emptyIndexes(indexed);
  let position = 0n;
  let changes = 0;

  function put(key: string, row: Row, before: Row | undefined): void {
    rows.set(key, row);
    for (const [column, index] of indexes) {
      const value = row[column]!;
      if (before !== undefined) {
        if (before[column] === value) continue;
        index.remove(before[column]!, key);
      }
      index.add(value, key);
    }
  }

  function drop(key: string, row: Row): void {
    rows.delete(key);
    for (const [column, index] of indexes) index.remove(row[column]!, key);
  }

  /** Keys of the rows that match, without a scan when the key or an indexed column is given. */
  function matching(where: Conditions): readonly string[] {
    const candidates = candidatesFor(where);
    return candidates.filter((key) => {
      const row = rows.get(key);
      return row !== undefined && matches(row, where);
    });
  }

  function candidatesFor(where: Conditions): readonly string[] {
    if (projection.key.every((column) => isEquality(where[column])))
      return [rowKey(projection, where as Row)];
    for (const [column, index] of indexes) {
      const condition = where[column];
      if (condition !== null && isEquality(condition)) return index.keys(condition);
    }
    return [...rows.keys()];
  }

  function change(change: RowChange): void {
    changes += 1;
    switch (change.op) {
      case 'insert': {
        const key = rowKey(projection, change.row);
        if (rows.has(key)) throw new Error(`${projection.name} already has a row ${key}`);
        return put(key, change.row, undefined);
      }
      case 'add': {
        const key = rowKey(projection, change.key);
        const before = rows.get(key);
        return put(key, { ...(before ?? change.key), ...change.set, ...added(before, change.by) }, before);
      }
      case 'update': {
        // All rows leave before any comes back: a new key may be one that another row is giving up.
        const found = matching(change.where).map((key) => ({ key, before: rows.get(key)! }));
        const moves = projection.key.some((column) => column in change.set);
        if (moves) for (const { key, before } of found) drop(key, before);
        for (const { key, before } of found) {
          const row = { ...before, ...change.set, ...added(before, change.by) };
          const newKey = moves ? rowKey(projection, row) : key;
          if (moves && rows.has(newKey)) throw new Error(`${projection.name} already has a row ${newKey}`);
          put(newKey, row, moves ? undefined : before);
        }
        return;
      }
      case 'remove':
        for (const key of matching(change.where)) drop(key, rows.get(key)!);
    }
  }

  return {
    projection,
    get position() {
      return position;
    },
    get size() {
      return rows.size;
    },
    get changes() {
      return changes;
    },
    get(...key) {
      if (key.length === 1) return rows.get(String(key[0])) as never;
      let whole = '';
      for (const part of key) whole += `${part}\0`;
      return rows.get(whole) as never;
    },
    find(column, value) {
      const index = indexes.get(column);
      if (index === undefined) throw new TypeError(`${projection.name} has no index on ${column} in memory`);
      return index.keys(value).map((key) => rows.get(key)) as never;
    },
    rows: () => rows.values() as never,
    apply(recorded) {
      if (recorded.position <= position) return;
      for (const next of projection.apply(recorded)) change(next);
      position = recorded.position;
    },
    advance(to) {
      if (to > position) position = to;
    },
    async load(pages, at) {
      const loaded = new Map<string, Row>();
      const loadedIndexes = emptyIndexes(indexed);
      for await (const page of pages) {
        for (const row of page) {
          const key = rowKey(projection, row);
          loaded.set(key, row);
          for (const [column, index] of loadedIndexes) index.add(row[column]!, key);
        }
      }
      rows = loaded;
      indexes = loadedIndexes;
      position = at;
      changes += 1;
    },
  };
}

function added(before: Row | undefined, by: Sums = {}): Row {
  const sums: Record<string, bigint> = {};
  for (const [column, amount] of Object.entries(by))
    sums[column] = ((before?.[column] ?? 0n) as bigint) + amount;
  return sums;
}

function isEquality(condition: Conditions[string] | undefined): condition is Value {
  return condition !== undefined && !isAtMost(condition);
}

function matches(row: Row, where: Conditions): boolean {
  for (const [column, condition] of Object.entries(where)) {
    const value = row[column]!;
    if (isAtMost(condition) ? !atMost(value, condition.atMost) : value !== condition) return false;
  }
  return true;
}

/** In the order that the tables have: numbers by size, texts by code point. Null is never at most anything. */
function atMost(value: Value, bound: Value): boolean {
  if (value === null || bound === null) return false;
  if (typeof value !== 'string' || typeof bound !== 'string') return value <= bound;
  return Buffer.compare(Buffer.from(value), Buffer.from(bound)) <= 0;
}

interface Index {
  add(value: Value, key: string): void;
  remove(value: Value, key: string): void;
  keys(value: Value): readonly string[];
}

function emptyIndexes(columns: readonly string[]): ReadonlyMap<string, Index> {
  return new Map(columns.map((column) => [column, emptyIndex()]));
}

const NONE: readonly string[] = [];

/** Value -> keys. Most values belong to one row, which then costs no Set. Null is not indexed. */
function emptyIndex(): Index {
  const entries = new Map<Value, string | Set<string>>();
  return {
    add(value, key) {
      if (value === null) return;
      const entry = entries.get(value);
      if (entry === undefined) entries.set(value, key);
      else if (typeof entry === 'string') entries.set(value, new Set([entry, key]));
      else entry.add(key);
    },
    remove(value, key) {
      const entry = entries.get(value);
      if (entry === key) entries.delete(value);
      else if (typeof entry === 'object' && entry.delete(key) && entry.size === 0) entries.delete(value);
    },
    keys(value) {
      const entry = entries.get(value);
      if (entry === undefined) return NONE;
      return typeof entry === 'string' ? [entry] : [...entry];
    },
  };
}
