/**
 * Keeps the SQL tables of read models current: one loop per projection, each with its own
 * subscription, so that one that stands still holds up no other.
 *
 * While nobody waits, a loop that is current pauses a little before it takes the next batch: a few
 * larger transactions cost far less than many small ones, and a waiter ends the pause at once.
 */
import { setMaxListeners } from 'node:events';
import type { Pool } from 'pg';
import { FailingEvent, isFinal, Superseded } from './failing-event.ts';
import type { Log } from './log.ts';
import { positionWaiters, type PositionWaiters } from './position-waiters.ts';
import type { Projection } from './projection.ts';
import {
  applyEvents,
  buildingTable,
  moveCheckpoint,
  noteError,
  prepareTables,
  type Registered,
  registered,
  switchTable,
  TargetGone,
} from './projection-tables.ts';
import { catchUpFrom } from './projection-catch-up.ts';
import { type EventStore, UndecodableEvent } from './store/event-store.ts';

export interface ProjectorOptions {
  readonly store: EventStore;
  readonly pool: Pool;
  readonly projections: readonly Projection[];
  readonly log: Log;
  /** Most events in one transaction. */
  readonly batchMax?: number;
  /** The pause after a batch while nobody waits; 0 for none. After a batch without events it is four times as long. */
  readonly idleGatherMs?: number;
  /** How often positions are saved that no event of the projection has moved, and the head of the log is asked for. */
  readonly checkpointMs?: number;
  /** First and longest pause after the database or the log failed; doubled each time. */
  readonly retryMs?: number;
  readonly retryMsMax?: number;
}

export interface ProjectionStatus {
  readonly name: string;
  readonly version: number;
  /** The log has been applied up to here, to the table that is being filled or is current. */
  readonly position: bigint;
  /** Events of the whole log behind its head as last seen. */
  readonly lagEvents: number;
  /** True once the view shows this version and everything that was in the log at that moment. */
  readonly caughtUp: boolean;
  /** True when it stands still until the cause is dealt with and the process restarts. */
  readonly stopped: boolean;
  /** Why it stands still, or what it is retrying at the moment. The place is null unless an event is the cause. */
  readonly error: {
    readonly message: string;
    readonly position: bigint | null;
    readonly stream: string | null;
    readonly eventId: string | null;
  } | null;
}

export interface Projector {
  /**
   * Resolves when the tables have everything up to the position, also when it concerns none of them.
   * Waits for all projections, or for the named ones only. Rejects with Refusal(stale_read) when the
   * time is over, and at once when one of them stands still before the position.
   */
  reached(position: bigint, timeoutMs: number, names?: readonly string[]): Promise<void>;
  status(): readonly ProjectionStatus[];
  /** Ends the loops after their current transaction. */
  stop(): Promise<void>;
}

const BATCH_MAX = 2_000;
const IDLE_GATHER_MS = 25;
const CHECKPOINT_MS = 1_000;
const RETRY_MS = 100;
const RETRY_MS_MAX = 5_000;

/** Creates missing tables, then starts the loops. Throws what prepareTables throws. */
export async function startProjector(options: ProjectorOptions): Promise<Projector> {
  const { store, pool, projections, log, checkpointMs = CHECKPOINT_MS } = options;
  await prepareTables(pool, projections);
  const stopping = new AbortController();
  setMaxListeners(0, stopping.signal);
  const all = positionWaiters(0n);
  let head = 0n;
  const loops = projections.map((projection) => newLoop(projection));
  const byName = new Map(loops.map((loop) => [loop.projection.name, loop]));
  const context: Context = {
    ...options,
    signal: stopping.signal,
    isAwaited: () => all.count > 0,
    moved(loop) {
      if (loop.position > head) head = loop.position;
      all.advance(leastReached(loops));
    },
    failed: () => all.stop(),
  };
  const running = loops.map((loop) => runLoop(context, loop));

  async function tick(): Promise<void> {
    head = await store.head();
    for (const loop of loops) await saveCheckpoint(pool, loop);
  }
  const ticking = setInterval(
    () => void tick().catch((error: unknown) => log.debug({ err: error }, 'no checkpoint')),
    checkpointMs,
  );

  return {
    reached(position, timeoutMs, names) {
      const concerned = names === undefined ? loops : names.map((name) => known(byName, name));
      if (concerned.every(({ waiters }) => position <= waiters.reached)) return Promise.resolve();
      const waiting =
        names === undefined
          ? all.wait(position, timeoutMs)
          : Promise.all(concerned.map(({ waiters }) => waiters.wait(position, timeoutMs))).then(
              () => undefined,
            );
      for (const loop of concerned) loop.wake?.();
      return waiting;
    },
    status: () => loops.map((loop) => statusOf(loop, head)),
    async stop() {
      clearInterval(ticking);
      stopping.abort();
      await Promise.all(running);
      for (const loop of loops) await saveCheckpoint(pool, loop).catch(() => undefined);
      for (const { waiters } of loops) waiters.stop();
      all.stop();
    },
  };
}

interface Loop {
  readonly projection: Projection;
  readonly waiters: PositionWaiters;
  /** The registry row that is written to. */
  target: string;
  position: bigint;
  /** The position that the registry has. */
  saved: bigint;
  caughtUp: boolean;
  stopped: boolean;
  error: ProjectionStatus['error'];
  /** Ends the current pause. */
  wake: (() => void) | null;
}

interface Context extends ProjectorOptions {
  readonly signal: AbortSignal;
  /** Somebody waits for all projections. */
  readonly isAwaited: () => boolean;
  readonly moved: (loop: Loop) => void;
  readonly failed: () => void;
}

function newLoop(projection: Projection): Loop {
  return {
    projection,
    waiters: positionWaiters(0n),
    target: projection.name,
    position: 0n,
    saved: 0n,
    caughtUp: false,
    stopped: false,
    error: null,
    wake: null,
  };
}

function leastReached(loops: readonly Loop[]): bigint {
  let least: bigint | null = null;
  for (const { waiters } of loops) if (least === null || waiters.reached < least) least = waiters.reached;
  return least ?? 0n;
}

function known(loops: ReadonlyMap<string, Loop>, name: string): Loop {
  const loop = loops.get(name);
  if (loop === undefined) throw new TypeError(`no projection ${name} is running here`);
  return loop;
}

async function runLoop(context: Context, loop: Loop): Promise<void> {
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
        context.failed();
        await noteError(pool, loop.projection, loop.target, loop.error.message).catch(() => undefined);
        return;
      }
      log.warn({ err: error, projection: name }, `the read model ${name} could not go on, trying again`);
      await pause(loop, pauseMs, signal);
      pauseMs = Math.min(pauseMs * 2, retryMsMax);
    }
  }
}

/** One subscription, from where the registry says. Ends with the signal, or throws. */
async function project(context: Context, loop: Loop): Promise<void> {
  const { store, pool, signal, batchMax = BATCH_MAX } = context;
  const { projection } = loop;
  const start = await findTarget(pool, loop);
  for await (const batch of store.subscribe(start, signal, { prefixes: projection.prefixes, batchMax })) {
    if (batch.events.length > 0) {
      await applyEvents(pool, projection, loop.target, batch.events, batch.position);
      loop.saved = batch.position;
    }
    loop.position = batch.position;
    loop.error = null;
    if (loop.target !== projection.name && batch.caughtUp) {
      await saveCheckpoint(pool, loop);
      await switchTable(pool, projection, loop.target, catchUpFrom(store, projection, batchMax));
      throw new TargetGone('the new table is the current one now');
    }
    if (loop.target === projection.name) {
      if (batch.caughtUp) loop.caughtUp = true;
      loop.waiters.advance(batch.position);
      context.moved(loop);
    }
    if (batch.caughtUp) await gather(context, loop, batch.events.length > 0);
  }
  if (!signal.aborted) throw new Error('the log was closed');
}

/** Points the loop at the current table, or at the one that is being filled for this version; returns its position. */
async function findTarget(pool: Pool, loop: Loop): Promise<bigint> {
  const { projection } = loop;
  const live = await must(pool, projection.name);
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

async function must(pool: Pool, name: string): Promise<Registered> {
  const live = await registered(pool, name);
  if (live === null) throw new Error(`the read model ${name} is missing in the registry`);
  return live;
}

async function saveCheckpoint(pool: Pool, loop: Loop): Promise<void> {
  const { position, saved, projection, target, stopped } = loop;
  if (stopped || position <= saved) return;
  await moveCheckpoint(pool, projection, target, position);
  loop.saved = position;
}

async function gather(context: Context, loop: Loop, hadEvents: boolean): Promise<void> {
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

function describe(error: unknown): NonNullable<ProjectionStatus['error']> {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof FailingEvent || error instanceof UndecodableEvent) {
    const { position, stream, eventId } = error;
    return { message, position, stream, eventId };
  }
  return { message, position: null, stream: null, eventId: null };
}

function statusOf(loop: Loop, head: bigint): ProjectionStatus {
  const { projection, position, caughtUp, stopped, error } = loop;
  const { name, version } = projection;
  return {
    name,
    version,
    position,
    lagEvents: head > position ? Number(head - position) : 0,
    caughtUp,
    stopped,
    error,
  };
}
