/**
 * Which of the processes over one database keeps a read model current: the one that has the
 * projection's advisory lock. The others follow along and stand ready.
 *
 * All locks of a process belong to one connection, so that PostgreSQL frees them by itself when the
 * process dies. They spare the others the work; that every event is applied once does not depend on
 * them, but on the row of the registry (projection-writer.ts), which also covers the moment in which
 * a process does not know yet that its connection is gone.
 */
import type { Pool, PoolClient } from 'pg';
import { ignore } from './connections.ts';
import type { Log } from './log.ts';
import type { Projection } from './projection.ts';

export interface ProjectionLocks {
  holds(projection: Projection): boolean;
  /** Leaves it to others for as long as this process runs. */
  giveUp(projection: Projection): void;
  /** Frees all locks, then resolves. */
  stop(): Promise<void>;
}

export interface LockOptions {
  readonly pool: Pool;
  readonly projections: readonly Projection[];
  readonly log: Pick<Log, 'debug'>;
  /** Some locks came or went. */
  readonly onChange: () => void;
}

/**
 * How soon a lock that was freed is taken over. Waiting for it inside PostgreSQL would be sooner, and
 * would keep a snapshot open for as long as it lasts, behind which nothing can be vacuumed.
 */
const TRY_MS = 200;
/** How often a process that has all locks makes sure that its connection is still there. */
const CHECK_MS = 1_000;
const ANSWER_MS_MAX = 5_000;

const TRY = `select name, pg_try_advisory_lock(hashtextextended('projector ' || name, 0)) as locked from unnest($1::text[]) as name`;
const UNLOCK = `select pg_advisory_unlock(hashtextextended('projector ' || name, 0)) from unnest($1::text[]) as name`;

export function projectionLocks({ pool, projections, log, onChange }: LockOptions): ProjectionLocks {
  const names = projections.map(lockName);
  const held = new Set<string>();
  const givenUp = new Set<string>();
  const stopping = new AbortController();
  let wake = (): void => {};
  const running = run(stopping.signal);

  async function run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await hold(signal);
      } catch (error) {
        log.debug({ err: error }, 'the connection that holds the locks of the read models broke');
      }
      if (!signal.aborted) await pause(TRY_MS);
    }
  }

  /** Over one connection, until it breaks or all is over. */
  async function hold(signal: AbortSignal): Promise<void> {
    const client = await pool.connect();
    const broken = new AbortController();
    const lose = (): void => {
      broken.abort();
      wake();
    };
    client.on('error', lose);
    client.on('end', lose);
    try {
      while (!signal.aborted && !broken.signal.aborted) {
        await giveBack(client);
        const missing = names.filter((name) => !held.has(name) && !givenUp.has(name));
        await take(client, missing);
        await pause(held.size + givenUp.size < names.length ? TRY_MS : CHECK_MS);
      }
      if (!broken.signal.aborted) await ask(client, UNLOCK, [...held]);
    } finally {
      held.clear();
      client.off('error', lose);
      client.on('error', ignore);
      client.release(true);
      onChange();
    }
  }

  async function take(client: PoolClient, missing: readonly string[]): Promise<void> {
    const rows = await ask(client, TRY, missing);
    const taken = rows.filter(({ locked }) => locked === true);
    for (const { name } of taken) held.add(name!);
    if (taken.length > 0) onChange();
  }

  async function giveBack(client: PoolClient): Promise<void> {
    const unwanted = [...held].filter((name) => givenUp.has(name));
    if (unwanted.length === 0) return;
    for (const name of unwanted) held.delete(name);
    await ask(client, UNLOCK, unwanted);
  }

  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
      if (stopping.signal.aborted) wake();
    });
  }

  return {
    holds: (projection) => held.has(lockName(projection)) && !givenUp.has(lockName(projection)),
    giveUp(projection) {
      givenUp.add(lockName(projection));
      wake();
    },
    async stop() {
      stopping.abort();
      wake();
      await running;
    },
  };
}

/** An old and a new version are kept current side by side, by processes of an old and a new build. */
function lockName({ name, version }: Projection): string {
  return `${name} ${version}`;
}

async function ask(
  client: PoolClient,
  text: string,
  names: readonly string[],
): Promise<readonly { readonly name?: string; readonly locked?: boolean }[]> {
  const query = { text, values: [names], query_timeout: ANSWER_MS_MAX };
  return (await client.query<{ name?: string; locked?: boolean }>(query)).rows;
}
