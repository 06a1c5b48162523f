import { setTimeout as pause } from 'node:timers/promises';
import type { Pool, PoolClient } from 'pg';
import { ignore } from './connections.ts';

/**
 * "Look whether the name is free, then take it" as one step among all processes over one database:
 * whoever claims a name has its advisory lock until the task is over. While there is only this
 * process, its own order is enough and no database is asked.
 *
 * All locks of a process are on one connection; a claim that finds the name taken tries again, since
 * waiting inside PostgreSQL would keep that connection from everybody else.
 */
export interface NameClaims {
  /** Runs the task while nobody else has the name. Within this process nobody may claim it twice at once. */
  claim<T>(name: string, task: () => Promise<T>): Promise<T>;
  /** There are other processes from here on. Resolves once nothing runs that has not claimed its name. */
  share(): Promise<void>;
  stop(): Promise<void>;
}

export interface NameClaimsOptions {
  readonly pool: Pool;
  /** Resolves when the read models have everything that anybody has written so far. */
  readonly current: () => Promise<void>;
}

const TRY_MS = 5;
/** Longest wait for a name that another process has. */
const WAIT_MS_MAX = 10_000;
const LOCK = "select pg_try_advisory_lock(hashtextextended('name ' || $1, 0)) as locked";
const UNLOCK = "select pg_advisory_unlock(hashtextextended('name ' || $1, 0))";

export function nameClaims({ pool, current }: NameClaimsOptions): NameClaims {
  let shared = false;
  let connection: Promise<PoolClient> | null = null;
  const unclaimed = new Set<Promise<unknown>>();

  function connect(): Promise<PoolClient> {
    connection ??= pool.connect().then(
      (client) => {
        const lose = (): void => {
          connection = null;
        };
        client.on('error', lose);
        client.on('end', lose);
        return client;
      },
      (error: unknown) => {
        connection = null;
        throw error;
      },
    );
    return connection;
  }

  async function lock(name: string): Promise<PoolClient> {
    const giveUp = performance.now() + WAIT_MS_MAX;
    for (;;) {
      const client = await connect();
      const { rows } = await client.query<{ locked: boolean }>(LOCK, [name]);
      if (rows[0]!.locked) return client;
      if (performance.now() > giveUp) throw new Error(`the name ${name} is being claimed for too long`);
      await pause(TRY_MS);
    }
  }

  return {
    async claim(name, task) {
      if (!shared) {
        const running = task();
        const over = running.catch(ignore).finally(() => unclaimed.delete(over));
        unclaimed.add(over);
        return await running;
      }
      const client = await lock(name);
      try {
        // Whoever had the name before may have been another process.
        await current();
        return await task();
      } finally {
        // A connection that is lost has lost its locks with it.
        await client.query(UNLOCK, [name]).catch(ignore);
      }
    },
    async share() {
      shared = true;
      await Promise.all(unclaimed);
    },
    async stop() {
      const client = await connection?.catch(() => null);
      connection = null;
      if (client === undefined || client === null) return;
      client.on('error', ignore);
      client.release(true);
    },
  };
}
