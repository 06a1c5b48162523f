/** Reading a read model's table and its position as they are at one moment. */
import { DatabaseError, type Pool, type PoolClient } from 'pg';
import { inTransaction } from './connections.ts';
import type { Row } from './column-values.ts';
import type { Projection } from './projection.ts';
import { columnList, quoted } from './projection-sql.ts';
import { type Registered, registered } from './projection-tables.ts';

/** A table that is gone, as the planner and as the executor put it. */
const DROPPED: ReadonlySet<string | undefined> = new Set(['42P01', 'XX000']);
const ATTEMPTS_MAX = 5;

/**
 * Runs the task in one snapshot, with the table that is current in it. The view will not do: it may
 * show a table that is newer than the snapshot. When the table is dropped before the task has read
 * from it, the task runs again; it must be repeatable.
 */
export async function inSnapshot<T>(
  pool: Pool,
  projection: Projection,
  task: (client: PoolClient, live: Registered) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await inTransaction(
        pool,
        async (client) => {
          const live = await registered(client, projection.name);
          if (live === null) throw new Error(`The read model ${projection.name} has no table yet.`);
          return await task(client, live);
        },
        'begin isolation level repeatable read',
      );
    } catch (error) {
      const dropped = error instanceof DatabaseError && DROPPED.has(error.code);
      if (!dropped || attempt === ATTEMPTS_MAX) throw error;
    }
  }
}

/** All rows, page by page, in no particular order. Needs a transaction. */
export async function* readRows(
  client: PoolClient,
  projection: Projection,
  table: string,
  pageRows: number,
): AsyncGenerator<readonly Row[]> {
  await client.query(
    `declare rows_of_table no scroll cursor for select ${columnList(projection)} from ${quoted(table)}`,
  );
  for (;;) {
    const { rows } = await client.query<Row>(`fetch ${pageRows} from rows_of_table`);
    if (rows.length === 0) break;
    yield rows;
  }
  await client.query('close rows_of_table');
}
