import type { Pool } from 'pg';
import { inTransaction } from './connections.ts';
import { hear } from './hearing.ts';
import type { Log } from './log.ts';

/**
 * Which processes serve over this database. Each has a row, says every second that it lives, and sees
 * the others when it does. The only one there is counts limits for itself; before a second one serves,
 * the first has said that it counts in shares from now on (gateway/shares.ts).
 *
 * Lives are told by the clock of the database. A process believes itself alive for a little less time
 * after it last said so than others believe it, by a clock of its own that never jumps.
 */
export interface ProcessRegistry {
  /** Resolves once every living process knows of this one. Until then it must not serve. */
  readonly joined: Promise<void>;
  /** Whether limits are counted in shares. */
  readonly sharing: boolean;
  /** Until then, on the clock that never jumps, nobody takes this process for dead. */
  readonly trustedUntilMs: number;
  /** Resolves when it has just been said that this process lives; rejects when it cannot be said in time. */
  trusted(): Promise<void>;
  /** Says good-bye. */
  leave(): Promise<void>;
}

/** A process whose spool is empty and that will not come back. */
export interface GoneProcess {
  readonly id: string;
  readonly tag: string;
  /** All that it had recorded is in the log up to here. */
  readonly drainedTo: bigint;
}

export interface ProcessRegistryOptions {
  readonly pool: Pool;
  /** A UUID, the writer id of the spend. */
  readonly id: string;
  readonly monotonicMs: () => number;
  readonly log: Pick<Log, 'debug' | 'warn' | 'info'>;
  /** There are others from now on. Resolves when what is used here is written where they look. */
  readonly onOthers: () => Promise<void>;
  /** The others took this process for dead for a while. */
  readonly onLapsed: () => void;
  /** Replaces what a process had promised by what it used. Runs in one process at a time. */
  readonly onGone: (gone: GoneProcess) => Promise<void>;
  readonly beatMs?: number;
}

const BEAT_MS = 1_000;
/** As in the functions of the database. */
const LAPSE_MS = 10_000;
const MARGIN_MS = 1_000;
const TRUST_MS_MAX = 1_500;
const LOOK_MS = 20;
const CHANNEL = 'gateway_processes';
/** Rows of what ended stay for as long as its requests of the last minute count. */
const KEPT = "interval '5 minutes'";
/** Of a row: the process is there, as far as anybody knows. */
export const LIVES = "ended_at is null and heard_at > clock_timestamp() - interval '10 seconds'";

export function tagOf(processId: string): string {
  return processId.slice(0, 8);
}

interface Seen {
  readonly id: string;
  readonly tag: string;
  readonly lives: boolean;
  readonly sharing: boolean;
  readonly settled: boolean;
  readonly drained_to: bigint | null;
}

export async function joinProcesses(options: ProcessRegistryOptions): Promise<ProcessRegistry> {
  const { pool, id, monotonicMs, log, onOthers, onLapsed, onGone, beatMs = BEAT_MS } = options;
  let sentMs = monotonicMs();
  let trustedUntilMs = sentMs + LAPSE_MS - MARGIN_MS;
  let sharing = await enter(pool, id);
  let beating: Promise<void> | null = null;
  let again = false;
  const leaving = new AbortController();
  const unnoticed = sharing ? onOthers() : Promise.resolve();

  /** One at a time; what is asked for meanwhile happens once afterwards. */
  function beat(): Promise<void> {
    if (beating !== null) {
      again = true;
      return beating;
    }
    beating = beatOnce().finally(() => {
      beating = null;
      if (again && !leaving.signal.aborted) void soon();
      again = false;
    });
    return beating;
  }

  async function soon(): Promise<void> {
    await beat().catch((error: unknown) =>
      log.debug({ err: error }, 'this process could not say that it lives'),
    );
  }

  async function beatOnce(): Promise<void> {
    sentMs = monotonicMs();
    const lapsed = await sayAlive(pool, id, sharing);
    if (leaving.signal.aborted) return;
    if (lapsed) {
      log.warn({}, 'this process was silent for too long and took up its work again');
      onLapsed();
    }
    trustedUntilMs = sentMs + LAPSE_MS - MARGIN_MS;
    const others = await seeOthers(pool, id);
    if (!sharing && others.some(({ lives }) => lives)) await beginSharing();
    for (const { id: gone, tag, settled, drained_to: drainedTo } of others) {
      if (settled || drainedTo === null) continue;
      await settle(pool, gone, () => onGone({ id: gone, tag, drainedTo }));
    }
  }

  async function beginSharing(): Promise<void> {
    log.info({}, 'limits are shared with other processes from now on');
    sharing = true;
    await onOthers();
    await sayAlive(pool, id, true);
    await pool.query(`select pg_notify('${CHANNEL}', '')`);
  }

  async function known(): Promise<void> {
    await unnoticed;
    while (!leaving.signal.aborted) {
      const others = await seeOthers(pool, id);
      if (others.every((other) => !other.lives || other.sharing)) return;
      await new Promise((resolve) => {
        setTimeout(resolve, LOOK_MS);
      });
    }
  }

  const hearing = hear({ pool, channels: [CHANNEL], onHeard: () => void soon(), log });
  await pool.query(`select pg_notify('${CHANNEL}', '')`);
  const timer = setInterval(() => void soon(), beatMs);
  const joined = known();
  joined.catch(() => undefined);
  return {
    joined,
    get sharing() {
      return sharing;
    },
    get trustedUntilMs() {
      return trustedUntilMs;
    },
    async trusted() {
      let late: NodeJS.Timeout | undefined;
      const inTime = new Promise<never>((_, reject) => {
        late = setTimeout(() => reject(new Error('the database does not answer')), TRUST_MS_MAX);
      });
      await Promise.race([beat(), inTime]).finally(() => clearTimeout(late));
    },
    async leave() {
      leaving.abort();
      clearInterval(timer);
      await hearing.stop();
      await beating?.catch(() => undefined);
      await pool
        .query('update gateway_processes set ended_at = clock_timestamp(), settled = true where id = $1', [
          id,
        ])
        .catch((error: unknown) =>
          log.debug({ err: error }, 'the others were not told that this process ends'),
        );
    },
  };
}

/** Notes that processes have ended; with `drainedTo`, that all they had recorded is in the log up to there. */
export async function noteEnded(pool: Pool, ids: readonly string[], drainedTo: bigint | null): Promise<void> {
  await pool.query(
    `update gateway_processes
     set ended_at = coalesce(ended_at, clock_timestamp()), drained_to = coalesce($2, drained_to)
     where id = any($1)`,
    [ids, drainedTo],
  );
  await pool.query(`select pg_notify('${CHANNEL}', '')`);
}

/**
 * Adds the row. True when limits have to be counted in shares: others live, or one may have left spend
 * behind. When all that is left of others is in the log, their shares are wiped and all begins anew.
 */
async function enter(pool: Pool, id: string): Promise<boolean> {
  return await inTransaction(pool, async (client) => {
    await client.query("select pg_advisory_xact_lock(hashtextextended('gateway processes', 0))");
    await client.query(
      `delete from gateway_processes where settled and coalesce(ended_at, heard_at) < clock_timestamp() - ${KEPT}`,
    );
    const { rows } = await client.query(
      `select 1 from gateway_processes
       where (${LIVES}) or (sharing and drained_to is null and not settled) limit 1`,
    );
    const sharing = rows.length > 0;
    if (!sharing) {
      await client.query('delete from limit_shares; delete from limit_bases; delete from gateway_processes');
    }
    await client.query('insert into gateway_processes (id, tag, sharing) values ($1, $2, $3)', [
      id,
      tagOf(id),
      sharing,
    ]);
    return sharing;
  });
}

/** True when the others had reason to take this process for dead. */
async function sayAlive(pool: Pool, id: string, sharing: boolean): Promise<boolean> {
  const { rows } = await pool.query<{ lapsed: boolean }>(
    `update gateway_processes p set heard_at = clock_timestamp(), sharing = $2, ended_at = null
     from (select not (${LIVES}) as lapsed from gateway_processes where id = $1) before
     where p.id = $1 returning before.lapsed`,
    [id, sharing],
  );
  if (rows[0] !== undefined) return rows[0].lapsed;
  await pool.query(
    'insert into gateway_processes (id, tag, sharing) values ($1, $2, $3) on conflict do nothing',
    [id, tagOf(id), sharing],
  );
  return true;
}

async function seeOthers(pool: Pool, id: string): Promise<readonly Seen[]> {
  const { rows } = await pool.query<Seen>(
    `select id::text, tag, ${LIVES} as lives, sharing, settled, drained_to from gateway_processes where id <> $1`,
    [id],
  );
  return rows;
}

/** In one process at a time; whoever comes second finds it done. */
async function settle(pool: Pool, id: string, task: () => Promise<void>): Promise<void> {
  await inTransaction(pool, async (client) => {
    const { rows } = await client.query(
      'select 1 from gateway_processes where id = $1 and not settled for update skip locked',
      [id],
    );
    if (rows.length === 0) return;
    await task();
    await client.query('update gateway_processes set settled = true where id = $1', [id]);
  });
}
