/**
 * One projection's loop: reads the log from where its table is, writes, and reads on, until it is
 * told to end or meets an event that it cannot apply. Fills the table of a raised version first,
 * and switches to it. While another process has the projection's lock, it only looks how far the log
 * goes, and waits for that one to have written.
 */
import type { Pool } from 'pg';
import { FailingEvent, isFinal, Superseded } from './failing-event.ts';
import type { Log } from './log.ts';
import { positionWaiters, type PositionWaiters } from './position-waiters.ts';
import type { Projection } from './projection.ts';
import { catchUpFrom } from './projection-catch-up.ts';
import type { ProjectionLocks } from './projection-locks.ts';
import { buildingTable, registered, switchTable, TargetGone } from './projection-tables.ts';
import { applyEvents, moveCheckpoints, noteError } from './projection-writer.ts';
import { type EventStore, UndecodableEvent } from './store/event-store.ts';

export interface LoopOptions {
  readonly store: EventStore;
  readonly pool: Pool;
  readonly log: Log;
  /** Most events in one transaction; default 2 000. */
  readonly batchMax?: number;
  /**
   * The pause after a batch while nobody waits; 0 for none, default 100. After a batch without
   * events it is four times as long.
   */
  readonly idleGatherMs?: number;
  /** First and longest pause after the database or the log failed; doubled each time. Default 100 and 5 000. */
  readonly retryMs?: number;
  readonly retryMsMax?: number;
}

/** Why a loop stands still, or what it is retrying. The place is null unless an event is the cause. */
export interface LoopError {
  readonly message: string;
  readonly position: bigint | null;
  readonly stream: string | null;
  readonly eventId: string | null;
}

const BATCH_MAX = 2_000;
const IDLE_GATHER_MS = 100;
/** How often it is looked whether another process has written: while somebody waits for it, and otherwise. */
const AWAITED_LOOK_MS = 5;
const IDLE_LOOK_MS = 100;
const RETRY_MS = 100;
const RETRY_MS_MAX = 5_000;

export interface Loop {
  readonly projection: Projection;
  readonly waiters: PositionWaiters;
  /** The registry row that is written to. */
  target: string;
  position: bigint;
  /** The position that the registry has. */
  saved: bigint;
  /** A head of the log that it has not reached, and since when that is known. */
  behind: { readonly head: bigint; readonly sinceMs: number } | null;
  caughtUp: boolean;
  stopped: boolean;
  error: LoopError | null;
  /** Ends the current pause. */
  wake: (() => void) | null;
}

export interface LoopContext extends LoopOptions {
  readonly signal: AbortSignal;
  readonly locks: Pick<ProjectionLocks, 'holds' | 'giveUp'>;
  /** Somebody waits for all projections. */
  readonly isAwaited: () => boolean;
  readonly moved: (loop: Loop) => void;
  readonly failed: () => void;
}

export function newLoop(projection: Projection): Loop {
  return {
    projection,
    waiters: positionWaiters(0n),
    target: projection.name,
    position: 0n,
    saved: 0n,
    behind: null,
    caughtUp: false,
    stopped: false,
    error: null,
    wake: null,
  };
}

export async function runLoop(context: LoopContext, loop: Loop): Promise<void> {
  const { signal, log, pool, retryMs = RETRY_MS, retryMsMax = RETRY_MS_MAX } = context;
  const { name } = loop.projection;
  let pauseMs = retryMs;
  while (!signal.aborted) {
    const before = loop.position;
    try {
      await project(context, loop);
    } catch (error) {
      if (error instanceof TargetGone) continue;
      if (loop.position > before) pauseMs = retryMs;
      loop.error = describe(error);
      if (isFinal(error)) {
        log.error({ err: error, projection: name }, `the read model ${name} stands still`);
        loop.stopped = true;
        loop.waiters.stop();
        context.locks.giveUp(loop.projection);
        context.failed();
        await noteError(pool, loop.projection, loop.target, loop.error.message).catch(() => undefined);
        // What came before the event in its batch has been applied.
        const there = await registered(pool, loop.target).catch(() => null);
        if (there !== null && there.position > loop.position) loop.position = there.position;
        return;
      }
      log.warn({ err: error, projection: name }, `the read model ${name} could not go on, trying again`);
      await pause(loop, pauseMs, signal);
      pauseMs = Math.min(pauseMs * 2, retryMsMax);
    }
  }
}

/**
 * One subscription, from where the registry says: with the events for whoever writes, else without.
 * Returns when another one is needed or the signal aborts, or throws.
 */
async function project(context: LoopContext, loop: Loop): Promise<void> {
  const { store, pool, signal, locks, batchMax = BATCH_MAX } = context;
  const { projection } = loop;
  const start = await findTarget(pool, loop);
  const bare = !locks.holds(projection);
  for await (const batch of store.subscribe(start, signal, {
    prefixes: projection.prefixes,
    batchMax,
    bare,
  })) {
    if (batch.last !== null) {
      const turn = await turnOf(context, loop, batch.last);
      if (turn === 'ended') return;
      const writes = turn === 'write';
      if (writes === bare) return;
      if (writes) await applyEvents(pool, projection, loop.target, batch.events, batch.position, loop.saved);
      loop.saved = writes ? batch.position : batch.last;
    }
    loop.position = batch.position;
    loop.error = null;
    if (loop.target !== projection.name && batch.caughtUp) {
      if ((await turnOf(context, loop, null)) === 'ended' || bare) return;
      await saveCheckpoints(pool, [loop]);
      await switchTable(pool, projection, loop.target, catchUpFrom(store, projection, batchMax));
      throw new TargetGone('the new table is the current one now');
    }
    if (loop.target === projection.name) {
      if (batch.caughtUp) loop.caughtUp = true;
      loop.waiters.advance(batch.position);
      context.moved(loop);
    }
    if (batch.caughtUp) await gather(context, loop, batch.last !== null);
  }
  if (!signal.aborted) throw new Error('the log was closed');
}

/**
 * Waits until this process may write, or another one has written up to the position; null: until the
 * other one has switched tables. Throws TargetGone and Superseded like a writer.
 */
async function turnOf(
  context: LoopContext,
  loop: Loop,
  position: bigint | null,
): Promise<'write' | 'written' | 'ended'> {
  const { pool, signal, locks, isAwaited } = context;
  const { projection, target } = loop;
  while (!signal.aborted) {
    if (locks.holds(projection)) return 'write';
    const there = await registered(pool, target);
    if (there === null) throw new TargetGone(`there is no ${target} any more`);
    if (there.version > projection.version)
      throw new Superseded(projection.name, projection.version, there.version);
    if (position !== null && there.position >= position) return 'written';
    await pause(loop, isAwaited() || loop.waiters.count > 0 ? AWAITED_LOOK_MS : IDLE_LOOK_MS, signal);
  }
  return 'ended';
}

/** Points the loop at the current table, or at the one that is being filled for this version; returns its position. */
async function findTarget(pool: Pool, loop: Loop): Promise<bigint> {
  const { projection } = loop;
  const live = await registered(pool, projection.name);
  if (live === null) throw new Error(`the read model ${projection.name} is missing in the registry`);
  if (live.version > projection.version)
    throw new Superseded(projection.name, projection.version, live.version);
  const building =
    live.version === projection.version ? null : await registered(pool, buildingTable(projection));
  loop.target = building === null ? projection.name : building.tableName;
  const { position } = building ?? live;
  loop.position = position;
  loop.saved = position;
  return position;
}

/** Only for the process that has the locks of these projections. */
export async function saveCheckpoints(pool: Pool, loops: readonly Loop[]): Promise<void> {
  const moved = loops.filter(({ stopped, position, saved }) => !stopped && position > saved);
  const moves = moved.map(({ projection, target, saved, position }) => ({
    projection,
    target,
    saved,
    position,
  }));
  await moveCheckpoints(pool, moves);
  moved.forEach((loop, i) => {
    const { target, position } = moves[i]!;
    if (loop.target === target && loop.saved < position) loop.saved = position;
  });
}

async function gather(context: LoopContext, loop: Loop, hadEvents: boolean): Promise<void> {
  const { idleGatherMs = IDLE_GATHER_MS, signal, isAwaited } = context;
  if (idleGatherMs === 0 || isAwaited() || loop.waiters.count > 0) return;
  await pause(loop, hadEvents ? idleGatherMs : idleGatherMs * 4, signal);
}

/** Waits for the time, the signal, or somebody who calls `wake`. */
function pause(loop: Loop, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      loop.wake = null;
      resolve();
    };
    const timer = setTimeout(end, ms);
    loop.wake = end;
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  });
}

function describe(error: unknown): LoopError {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof FailingEvent || error instanceof UndecodableEvent) {
    const { position, stream, eventId } = error;
    return { message, position, stream, eventId };
  }
  return { message, position: null, stream: null, eventId: null };
}
