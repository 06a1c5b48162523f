/**
 * Fills in-memory tables from their SQL tables, once, and keeps them current from the log. Says how
 * fresh they are, because whoever decides by them must stop when it cannot know.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Pool } from 'pg';
import type { Recorded } from './events.ts';
import { FailingEvent, isFinal } from './failing-event.ts';
import type { Log } from './log.ts';
import type { MemoryTable } from './memory-table.ts';
import { positionWaiters } from './position-waiters.ts';
import { inSnapshot, readRows } from './projection-reader.ts';
import type { EventStore } from './store/event-store.ts';

const PAGE_ROWS = 5_000;
const RETRY_MS = 500;
const CHECK_MS = 1_000;
/** A log that does not answer for this long cannot be reached. */
const HEAD_MS_MAX = 3_000;

/**
 * Loads the rows of the projection's SQL table and the position they were at, in one snapshot.
 * While that table is still one of an older version, it starts empty at position 0 instead, and
 * following the log fills it. Returns the position.
 */
export async function loadTable(pool: Pool, table: MemoryTable): Promise<bigint> {
  return await inSnapshot(pool, table.projection, async (client, live) => {
    if (live.version !== table.projection.version) {
      await table.load(noPages(), 0n);
      return 0n;
    }
    await table.load(readRows(client, table.projection, live.tableName, PAGE_ROWS), live.position);
    return live.position;
  });
}

async function* noPages(): AsyncIterable<never> {}

export interface Follower {
  /** Every table has the log up to here. */
  readonly position: bigint;
  /** Why it follows no longer; null as long as it does. */
  readonly failure: unknown;
  /** Rejects with Refusal(stale_read) when the time is over or the follower has failed. */
  reached(position: bigint, timeoutMs: number): Promise<void>;
  /**
   * Whether the tables were known to hold everything that was committed at most so long ago; longer
   * while the log cannot be reached at all, when no command can change anything from here either.
   */
  isCurrent(staleMsMax: number, outageMsMax: number): boolean;
  /** How long ago the tables were last known to hold everything that was committed; infinite before that. */
  lastHeardMs(): number;
  /** Resolves when it has ended, after the signal or after a failure. */
  readonly done: Promise<void>;
}

export interface FollowOptions {
  readonly store: EventStore;
  readonly tables: readonly MemoryTable[];
  readonly signal: AbortSignal;
  /** A clock that never jumps, such as performance.now. */
  readonly nowMs: () => number;
  readonly log: Log;
  /** An event could not be applied: the tables stay as they are, and must not be trusted for long. */
  readonly onFailure: (error: unknown) => void;
  /** How often it asks the log for its head while nothing comes. */
  readonly checkMs?: number;
}

/** Keeps the tables current from one subscription, from where they are. */
export function follow(options: FollowOptions): Follower {
  const { store, tables, signal, nowMs, log, onFailure, checkMs = CHECK_MS } = options;
  const prefixes = [...new Set(tables.flatMap(({ projection }) => projection.prefixes))];
  const start = tables.reduce(
    (least, { position }) => (position < least ? position : least),
    tables[0]?.position ?? 0n,
  );
  const waiters = positionWaiters(start);
  let failure: unknown = null;
  let heardMs = -Infinity;
  let unreachable = false;
  /** A head that was seen before the tables had it. */
  let ahead: { readonly head: bigint; readonly askedMs: number } | null = null;

  function heard(atMs: number): void {
    heardMs = Math.max(heardMs, atMs);
  }

  async function run(): Promise<void> {
    for await (const batch of store.subscribe(waiters.reached, signal, { prefixes })) {
      for (const recorded of batch.events) for (const table of tables) apply(table, recorded);
      for (const table of tables) table.advance(batch.position);
      waiters.advance(batch.position);
      if (batch.caughtUp) heard(nowMs());
      if (ahead !== null && ahead.head <= waiters.reached) {
        heard(ahead.askedMs);
        ahead = null;
      }
    }
  }

  async function check(): Promise<void> {
    const askedMs = nowMs();
    const head = await within(store.head(), HEAD_MS_MAX);
    unreachable = head === null;
    if (head === null) return;
    if (head <= waiters.reached) heard(askedMs);
    else ahead ??= { head, askedMs };
  }

  const checking = setInterval(() => void check(), checkMs);
  void check();
  const done = untilAborted(run, signal, log).catch((error: unknown) => {
    failure = error;
    onFailure(error);
  });
  return {
    get position() {
      return waiters.reached;
    },
    get failure() {
      return failure;
    },
    reached: (position, timeoutMs) => waiters.wait(position, timeoutMs),
    lastHeardMs: () => nowMs() - heardMs,
    isCurrent(staleMsMax, outageMsMax) {
      return nowMs() - heardMs <= (unreachable && failure === null ? outageMsMax : staleMsMax);
    },
    done: done.finally(() => {
      clearInterval(checking);
      waiters.stop();
    }),
  };
}

/** Null when it fails or takes longer. */
async function within<T>(value: Promise<T>, ms: number): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), ms);
  });
  return await Promise.race([value.catch(() => null), late]).finally(() => clearTimeout(timer));
}

function apply(table: MemoryTable, recorded: Recorded): void {
  try {
    table.apply(recorded);
  } catch (error) {
    throw new FailingEvent(table.projection.name, recorded, error);
  }
}

/** Runs it again when the log went away; ends when the signal says so, or with an event that nobody can apply. */
async function untilAborted(run: () => Promise<void>, signal: AbortSignal, log: Log): Promise<void> {
  while (!signal.aborted) {
    try {
      await run();
    } catch (error) {
      if (signal.aborted) return;
      if (isFinal(error)) throw error;
      log.warn({ err: error }, 'following the log was interrupted');
    }
    await pause(RETRY_MS, undefined, { signal }).catch(() => undefined);
  }
}
