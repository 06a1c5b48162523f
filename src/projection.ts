import type { EventOf, EventType, Recorded } from './events.ts';
import type { Json } from './domain/json.ts';

/**
 * A read model as one definition: its columns, and for each event the row changes that follow. A
 * handler takes an event and returns changes as data; it cannot read and does no I/O, so that the
 * SQL table, the gateway's in-memory table and a unit test without a database all come from it.
 */

/** `?` marks a column that may be null. `nanos` is a whole number of any size. */
export type ColumnType =
  | 'text'
  | 'text?'
  | 'bigint'
  | 'bigint?'
  | 'nanos'
  | 'nanos?'
  | 'instant'
  | 'instant?'
  | 'boolean'
  | 'json'
  | 'json?'
  | 'text[]';

interface ColumnValues {
  text: string;
  'text?': string | null;
  bigint: bigint;
  'bigint?': bigint | null;
  nanos: bigint;
  'nanos?': bigint | null;
  /** ISO instant, UTC, milliseconds. */
  instant: string;
  'instant?': string | null;
  boolean: boolean;
  /** Plain JSON; bigints inside travel as decimal strings. */
  json: Json;
  'json?': Json;
  'text[]': readonly string[];
}

export type Columns = Readonly<Record<string, ColumnType>>;
export type RowOf<C extends Columns> = { readonly [N in keyof C]: ColumnValues[C[N]] };

/** Matches rows: a plain value is equality, `{ atMost }` is `<=`. */
export type Where<R> = { readonly [N in keyof R]?: R[N] | { readonly atMost: R[N] } };

export type Change<R> =
  /** A new row. A row with this key must not exist yet. */
  | { readonly op: 'insert'; readonly row: R }
  | { readonly op: 'update'; readonly where: Where<R>; readonly set: Partial<R> }
  /** Adds to numeric columns; a missing row starts from `otherwise` (the columns that are neither key nor summed) and zeros. */
  | {
      readonly op: 'add';
      readonly key: Partial<R>;
      readonly by: { readonly [N in keyof R]?: bigint };
      /** Columns set on the first and on every later add. */
      readonly set?: Partial<R>;
    }
  | { readonly op: 'remove'; readonly where: Where<R> };

type Handlers<R> = {
  readonly [T in EventType]?: (
    data: EventOf<T>['data'],
    recorded: Recorded<EventOf<T>>,
  ) => Change<R> | readonly Change<R>[];
};

export interface Projection<C extends Columns = Columns> {
  /** Name of the table (a view over the current generation). */
  readonly name: string;
  /** Raise it whenever columns or handlers change: the table is then filled anew beside the old one. */
  readonly version: number;
  readonly columns: C;
  readonly key: readonly (keyof C & string)[];
  /** Further indexes, each a list of columns. */
  readonly indexes: readonly (readonly (keyof C & string)[])[];
  /** Event types it handles; the log is subscribed by these. */
  readonly types: readonly EventType[];
  /** The changes that follow from one event, [] when it is not concerned. */
  readonly apply: (recorded: Recorded) => readonly Change<RowOf<C>>[];
}

export function defineProjection<const C extends Columns>(definition: {
  readonly name: string;
  readonly version: number;
  readonly columns: C;
  readonly key: readonly (keyof C & string)[];
  readonly indexes?: readonly (readonly (keyof C & string)[])[];
  readonly on: Handlers<RowOf<C>>;
}): Projection<C> {
  const { name, version, columns, key, indexes = [], on } = definition;
  type Handler = (data: unknown, recorded: Recorded) => Change<RowOf<C>> | readonly Change<RowOf<C>>[];
  const handlers = on as Readonly<Record<string, Handler | undefined>>;
  return {
    name,
    version,
    columns,
    key,
    indexes,
    types: Object.keys(on) as EventType[],
    apply(recorded) {
      const changes = handlers[recorded.event.type]?.(recorded.event.data, recorded) ?? [];
      return Array.isArray(changes) ? changes : [changes as Change<RowOf<C>>];
    },
  };
}
