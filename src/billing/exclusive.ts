import type { Pool, PoolClient } from 'pg';

/**
 * Runs a task while this process has the advisory lock of that name, and ends the lock with it; null
 * when another process has it. The lock ends with the connection, so `lost` is aborted when that
 * breaks: what makes a step happen once is its own idempotence, and the lock only spares the others
 * the work.
 */
export async function exclusively<T>(
  pool: Pool,
  name: string,
  task: (lost: AbortSignal) => Promise<T>,
): Promise<T | null> {
  const client = await pool.connect();
  const lost = new AbortController();
  let broken: Error | undefined;
  const onError = (error: Error): void => {
    broken = error;
    lost.abort();
  };
  client.on('error', onError);
  try {
    if (!(await tryLock(client, name))) return null;
    try {
      return await task(lost.signal);
    } finally {
      await client.query('select pg_advisory_unlock(hashtextextended($1, 0))', [name]).catch(onError);
    }
  } finally {
    client.off('error', onError);
    client.release(broken);
  }
}

async function tryLock(client: PoolClient, name: string): Promise<boolean> {
  const { rows } = await client.query<{ readonly locked: boolean }>(
    'select pg_try_advisory_lock(hashtextextended($1, 0)) as locked',
    [name],
  );
  return rows[0]?.locked === true;
}
