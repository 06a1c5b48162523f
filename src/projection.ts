import {
  type ColumnType,
  type ColumnValues,
  type Row,
  storable,
  type Value,
  valueText,
} from './column-values.ts';
import { unreachable } from './domain/decider.ts';
import { canonicalJson, type Json } from './domain/json.ts';
import type { EventOf, EventType, Recorded } from './events.ts';

/**
 * A read model as one definition: its columns, and for each event the row changes that follow. A
 * handler takes an event and returns changes as data; it cannot read and does no I/O, so that the
 * SQL table, the gateway's in-memory table and a unit test without a database all come from it.
 */
export type Columns = Readonly<Record<string, ColumnType>>;
export type RowOf<C extends Columns> = { readonly [N in keyof C]: ColumnValues[C[N]] };
/** The rows of a projection: `RowIn<typeof keys>`. */
export type RowIn<P extends Projection> = RowOf<P['columns']>;

type Named<C extends Columns, T extends ColumnType> = {
  [N in keyof C & string]: C[N] extends T ? N : never;
}[keyof C & string];
type Comparable<C extends Columns> = Exclude<keyof C & string, Named<C, 'json' | 'json?' | 'text[]'>>;
type Settable<C extends Columns> = Omit<RowOf<C>, Named<C, 'sum'>>;
type Rest<C extends Columns, K> = Exclude<keyof C & string, Named<C, 'sum'> | K>;

/** Matches rows: a plain value is equality (null too), `{ atMost }` is `<=` in the order of code points. */
export type Where<C extends Columns> = {
  readonly [N in Comparable<C>]?: RowOf<C>[N] | { readonly atMost: NonNullable<RowOf<C>[N]> };
};

export type Change<C extends Columns, K extends keyof C & string> =
  /** A new row. A row with this key must not exist yet. */
  | { readonly op: 'insert'; readonly row: RowOf<C> }
  | {
      readonly op: 'update';
      readonly where: Where<C>;
      readonly set: Partial<Settable<C>>;
      /** Added to sums. */
      readonly by?: { readonly [N in Named<C, 'sum'>]?: bigint };
    }
  /** Adds to the sums of the row with this key, which is made when it is missing. */
  | ({
      readonly op: 'add';
      readonly key: Pick<RowOf<C>, K>;
      readonly by: { readonly [N in Named<C, 'sum'>]: bigint };
      // The columns that are neither key nor sum are set by every add: the last one in the log wins.
    } & (Rest<C, K> extends never ? { readonly set?: never } : { readonly set: Pick<RowOf<C>, Rest<C, K>> }))
  | { readonly op: 'remove'; readonly where: Where<C> };

type Handlers<C extends Columns, K extends keyof C & string> = {
  readonly [T in EventType]?: (
    data: EventOf<T>['data'],
    recorded: Recorded<EventOf<T>>,
  ) => Change<C, K> | readonly Change<C, K>[];
};

export type Conditions = Readonly<Record<string, Value | { readonly atMost: Value }>>;
export type Sums = Readonly<Record<string, bigint>>;

/** A change as tables apply it: the columns are data, the values are storable. */
export type RowChange =
  | { readonly op: 'insert'; readonly row: Row }
  | { readonly op: 'update'; readonly where: Conditions; readonly set: Row; readonly by?: Sums }
  | { readonly op: 'add'; readonly key: Row; readonly by: Sums; readonly set?: Row }
  | { readonly op: 'remove'; readonly where: Conditions };

export interface Projection<C extends Columns = Columns> {
  /** Name of the table (a view over the current generation): lower case letters and `_`. */
  readonly name: string;
  /** Raise it whenever columns or handlers change: the table is then filled anew beside the old one. */
  readonly version: number;
  readonly columns: C;
  /** Column names. */
  readonly key: readonly string[];
  /** Further indexes, each a list of columns. */
  readonly indexes: readonly (readonly string[])[];
  readonly lookups: readonly string[];
  readonly searches: readonly string[];
  /** Event types it handles. */
  readonly types: readonly EventType[];
  /**
   * What the log is subscribed by, such as `key.`: whole families, so that an event of a handled
   * family that this build does not know stops the projection instead of being passed over.
   */
  readonly prefixes: readonly string[];
  /** The changes that follow from one event, [] when it is not concerned. */
  readonly apply: (recorded: Recorded) => readonly RowChange[];
}

export function defineProjection<const C extends Columns, const K extends keyof C & string>(definition: {
  readonly name: string;
  readonly version: number;
  readonly columns: C;
  readonly key: readonly K[];
  readonly indexes?: readonly (readonly (keyof C & string)[])[];
  /** Columns of single rows in a table that only grows: found by a scan of few blocks, at hardly any cost to writers. */
  readonly lookups?: readonly (keyof C & string)[];
  /** Columns that are searched for a part of their text, by `like '%part%'`. */
  readonly searches?: readonly (keyof C & string)[];
  readonly on: Handlers<C, K>;
}): Projection<C> {
  const { name, version, columns, key, indexes = [], lookups = [], searches = [], on } = definition;
  for (const identifier of [name, ...Object.keys(columns)]) {
    if (!/^[a-z][a-z0-9_]{0,39}$/.test(identifier))
      throw new TypeError(`not a name for a table or column: ${identifier}`);
  }
  type Handler = (data: unknown, recorded: Recorded) => RowChange | readonly RowChange[];
  const handlers = on as unknown as Readonly<Record<string, Handler | undefined>>;
  const types = Object.keys(on) as EventType[];
  const prefixes = [...new Set(types.map((type) => type.slice(0, type.indexOf('.') + 1)))];
  const apply = (recorded: Recorded): readonly RowChange[] => {
    const changes = handlers[recorded.event.type]?.(recorded.event.data, recorded);
    if (changes === undefined) return [];
    return (Array.isArray(changes) ? (changes as RowChange[]) : [changes as RowChange]).map((change) =>
      storableChange(columns, change),
    );
  };
  return { name, version, columns, key, indexes, lookups, searches, types, prefixes, apply };
}

function storableChange(columns: Columns, change: RowChange): RowChange {
  switch (change.op) {
    case 'insert': {
      const row = storableRow(columns, change.row);
      return row === change.row ? change : { op: 'insert', row };
    }
    case 'update':
      return {
        ...change,
        where: storableWhere(columns, change.where),
        set: storableRow(columns, change.set),
      };
    case 'add': {
      const key = storableRow(columns, change.key);
      const set = change.set === undefined ? undefined : storableRow(columns, change.set);
      if (key === change.key && set === change.set) return change;
      return { op: 'add', key, by: change.by, ...(set === undefined ? {} : { set }) };
    }
    case 'remove':
      return { op: 'remove', where: storableWhere(columns, change.where) };
    default:
      return unreachable(change);
  }
}

function storableRow(columns: Columns, row: Row): Row {
  let copy: Record<string, Value> | null = null;
  for (const name in row) {
    const value = row[name]!;
    const stored = storable(columnType(columns, name), value);
    if (stored !== value) (copy ??= { ...row })[name] = stored;
  }
  return copy ?? row;
}

function storableWhere(columns: Columns, where: Conditions): Conditions {
  return Object.fromEntries(
    Object.entries(where).map(([name, condition]) => {
      const type = columnType(columns, name);
      return [
        name,
        isAtMost(condition) ? { atMost: storable(type, condition.atMost) } : storable(type, condition),
      ];
    }),
  );
}

function columnType(columns: Columns, name: string): ColumnType {
  const type = columns[name];
  if (type === undefined) throw new TypeError(`there is no column ${name}`);
  return type;
}

/** Conditions never are on JSON columns, so an object is always this one. */
export function isAtMost(condition: Conditions[string]): condition is { readonly atMost: Value } {
  return typeof condition === 'object' && condition !== null;
}

/** The key of a row as one text. NUL cannot be in a storable text, so two keys never look alike. */
export function rowKey(projection: Projection, row: Row): string {
  const { key } = projection;
  if (key.length === 1) return valueText(row[key[0]!]);
  let text = '';
  for (const name of key) text += `${valueText(row[name])}\0`;
  return text;
}

/** Anything from an event as plain JSON: keys sorted, bigints as decimal strings. */
export function toJson(value: object): NonNullable<Json> {
  return JSON.parse(canonicalJson(value)) as NonNullable<Json>;
}

/** The tenant of an event that cannot be without one. */
export function tenantOf(recorded: Pick<Recorded, 'tenantId' | 'event'>): string {
  if (recorded.tenantId === null) throw new TypeError(`${recorded.event.type} without a tenant`);
  return recorded.tenantId;
}
