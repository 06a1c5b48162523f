/**
 * Filling a read model anew from the whole log: beside the current table, to take its place while
 * the server runs, or into a temporary one, to prove that the current table is what the log says.
 */
import { DatabaseError, type Pool, type PoolClient } from 'pg';
import { ignore, inTransaction } from './connections.ts';
import type { Projection } from './projection.ts';
import { applyStretch, catchUpFrom } from './projection-catch-up.ts';
import { inSnapshot } from './projection-reader.ts';
import { columnList, quoted, tableDdl } from './projection-sql.ts';
import { abandon, createTable, register, registered, switchTable } from './projection-tables.ts';
import { applyEvents } from './projection-writer.ts';
import type { EventStore } from './store/event-store.ts';
import { dumpTable, type TableDump } from './table-dump.ts';

const BATCH_MAX = 5_000;
const SWITCH_ATTEMPTS_MAX = 30;
const LOCK_NOT_AVAILABLE = '55P03';
const SAMPLE_MAX = 5;

export interface RebuildProgress {
  /** Events of this projection applied so far. */
  readonly events: number;
  /** Position in the log, and its head as last seen. */
  readonly position: bigint;
  readonly head: bigint;
  /** Positions passed per second since the start. */
  readonly positionsPerSecond: number;
  /** Null before it can be told. */
  readonly secondsLeft: number | null;
}

export interface RebuildOptions {
  readonly store: EventStore;
  readonly pool: Pool;
  readonly projection: Projection;
  /** A clock that never jumps, such as performance.now. */
  readonly nowMs: () => number;
  readonly batchMax?: number;
  /** Called after every batch. */
  readonly onProgress?: (progress: RebuildProgress) => void;
}

export interface Rebuilt {
  readonly tableName: string;
  /** Where the log was when the new table took over. */
  readonly position: bigint;
  readonly events: number;
}

/**
 * Fills a new table and makes it the current one; servers go on with it without noticing. Throws
 * Error when another rebuild of the same read model runs or its table is of another version, and
 * FailingEvent when an event cannot be applied; the current table then stays as it is.
 */
export async function rebuild(options: RebuildOptions): Promise<Rebuilt> {
  const { pool, projection } = options;
  const guard = await pool.connect();
  guard.on('error', ignore);
  const lockText = `rebuild ${projection.name}`;
  try {
    const { rows } = await guard.query<{ locked: boolean }>(
      'select pg_try_advisory_lock(hashtextextended($1, 0)) as locked',
      [lockText],
    );
    if (rows[0]?.locked !== true) throw new Error(`Another rebuild of ${projection.name} is running.`);
    try {
      return await rebuildAlone(options);
    } finally {
      await guard.query('select pg_advisory_unlock(hashtextextended($1, 0))', [lockText]);
    }
  } finally {
    // A closed connection has given up its lock, however this ended.
    guard.release(true);
  }
}

async function rebuildAlone(options: RebuildOptions): Promise<Rebuilt> {
  const { pool, store, projection, batchMax = BATCH_MAX } = options;
  const tableName = await inTransaction(pool, (client) => beginGeneration(client, projection));
  try {
    const events = await fill(options, tableName);
    await switchPatiently(pool, projection, tableName, catchUpFrom(store, projection, batchMax));
    const live = await registered(pool, projection.name);
    return { tableName, position: live?.position ?? 0n, events };
  } catch (error) {
    await inTransaction(pool, (client) => abandon(client, tableName)).catch(() => undefined);
    throw error;
  }
}

/** Makes the table to fill, after removing what earlier rebuilds left that did not come to their end. */
async function beginGeneration(client: PoolClient, projection: Projection): Promise<string> {
  const live = await registered(client, projection.name);
  if (live === null || live.version !== projection.version) {
    throw new Error(
      `The table of ${projection.name} is not of version ${projection.version}. Start the server first: it fills the new version by itself.`,
    );
  }
  const base = `${projection.name}__v${projection.version}`;
  const { rows } = await client.query<{ name: string }>(
    'select name from projections where starts_with(name, $1)',
    [`${base}_`],
  );
  for (const { name } of rows) await abandon(client, name);
  const generation = Number(live.tableName.slice(base.length + 1)) || 1;
  const table = `${base}_${generation + 1}`;
  await createTable(client, projection, table);
  await register(client, table, projection, table);
  return table;
}

/** Applies all that is in the log to the table of a registry row; answers how many events concerned it. */
export async function fill(options: RebuildOptions, table: string): Promise<number> {
  const { pool, store, projection, nowMs, batchMax = BATCH_MAX, onProgress } = options;
  const ending = new AbortController();
  const startMs = nowMs();
  let events = 0;
  try {
    for await (const batch of store.subscribe(0n, ending.signal, {
      prefixes: projection.prefixes,
      batchMax,
    })) {
      await applyEvents(pool, projection, table, batch.events, batch.position);
      events += batch.events.length;
      if (onProgress !== undefined) {
        const head = await store.head();
        onProgress({ events, ...pace(batch.position, head, nowMs() - startMs) });
      }
      if (batch.caughtUp) return events;
    }
    throw new Error('the log was closed');
  } finally {
    ending.abort();
  }
}

function pace(position: bigint, head: bigint, elapsedMs: number): Omit<RebuildProgress, 'events'> {
  const positionsPerSecond = elapsedMs > 0 ? (Number(position) / elapsedMs) * 1_000 : 0;
  const left = Number(head - position);
  const secondsLeft = positionsPerSecond > 0 ? Math.max(left, 0) / positionsPerSecond : null;
  return { position, head, positionsPerSecond, secondsLeft };
}

/** A long read of the old table holds the switch up; meanwhile the writers go on. */
async function switchPatiently(...args: Parameters<typeof switchTable>): Promise<void> {
  const [, projection] = args;
  for (let attempt = 1; ; attempt += 1) {
    try {
      if (await switchTable(...args)) return;
      throw new Error(`The new table of ${projection.name} was removed meanwhile.`);
    } catch (error) {
      const busy = error instanceof DatabaseError && error.code === LOCK_NOT_AVAILABLE;
      if (!busy || attempt === SWITCH_ATTEMPTS_MAX) throw error;
    }
  }
}

export interface Comparison {
  readonly name: string;
  /** Both tables are the state of the log up to here. */
  readonly position: bigint;
  readonly live: TableDump;
  readonly rebuilt: TableDump;
  readonly equal: boolean;
  /** Keys, as lists of texts, of some rows that only the one or only the other has in this form. */
  readonly onlyLive: readonly (readonly string[])[];
  readonly onlyRebuilt: readonly (readonly string[])[];
}

export interface CompareOptions {
  readonly store: EventStore;
  readonly pool: Pool;
  readonly projection: Projection;
  readonly batchMax?: number;
  /** Position in the log that the rebuild has come to, and the one where it ends. */
  readonly onProgress?: (position: bigint, until: bigint) => void;
}

/**
 * Compares the current table with a rebuild up to exactly its position. Changes nothing. Holds one
 * snapshot for as long as it runs. Throws Error when the table is of another version.
 */
export async function compareWithRebuild(options: CompareOptions): Promise<Comparison> {
  const { store, pool, projection, batchMax = BATCH_MAX, onProgress } = options;
  return await inSnapshot(pool, projection, async (client, { tableName, position, version }) => {
    if (version !== projection.version) {
      throw new Error(`The table of ${projection.name} is of version ${version}, not ${projection.version}.`);
    }
    const live = await dumpTable(client, projection, tableName);
    const table = `rebuilt_${projection.name}`;
    for (const statement of tableDdl(projection, table, true)) await client.query(statement);
    await applyStretch({
      store,
      client,
      projection,
      table,
      from: 0n,
      to: position,
      batchMax,
      onProgress: (progress) => onProgress?.(progress.position, position),
    });
    const rebuilt = await dumpTable(client, projection, table);
    const equal = live.sha256 === rebuilt.sha256;
    const onlyLive = equal ? [] : await missingFrom(client, projection, tableName, table);
    const onlyRebuilt = equal ? [] : await missingFrom(client, projection, table, tableName);
    await client.query(`drop table ${quoted(table)}`);
    return { name: projection.name, position, live, rebuilt, equal, onlyLive, onlyRebuilt };
  });
}

/** Keys of rows of `table` that `other` does not have just so. */
async function missingFrom(
  client: PoolClient,
  projection: Projection,
  table: string,
  other: string,
): Promise<readonly (readonly string[])[]> {
  const columns = columnList(projection);
  const keys = projection.key.map((name) => `d.${quoted(name)}::text`).join(', ');
  const { rows } = await client.query<string[]>({
    text:
      `select ${keys} from (select ${columns} from ${quoted(table)} except select ${columns} from ${quoted(other)}) d` +
      ` order by ${projection.key.map((name) => `d.${quoted(name)}`).join(', ')} limit ${SAMPLE_MAX}`,
    rowMode: 'array',
  });
  return rows;
}
