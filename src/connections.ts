/** Borrowing a connection from the pool so that it comes back in order, or not at all. */
import type { Pool, PoolClient } from 'pg';

export async function inTransaction<T>(
  pool: Pool,
  task: (client: PoolClient) => Promise<T>,
  begin = 'begin',
): Promise<T> {
  return await withConnection(pool, async (client) => {
    await client.query(begin);
    const result = await task(client);
    await client.query('commit');
    return result;
  });
}

/** A connection that breaks says so twice: its query fails, and an event that, unheard, ends the process. */
export function ignore(): void {}

/** Rolls back when the task fails. A connection that cannot even do that is thrown away. */
export async function withConnection<T>(pool: Pool, task: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  client.on('error', ignore);
  let broken: Error | undefined;
  try {
    return await task(client);
  } catch (error) {
    await client.query('rollback').catch((failure: Error) => {
      broken = failure;
    });
    throw error;
  } finally {
    client.off('error', ignore);
    client.release(broken);
  }
}
