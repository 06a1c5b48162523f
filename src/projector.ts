/**
 * Keeps the SQL tables of read models current: one loop per projection, each with its own
 * subscription, so that one that stands still holds up no other. Of several processes over one
 * database one writes a projection; another takes over when that one stops or dies.
 *
 * While nobody waits, a loop that is current pauses a little before it takes the next batch: a few
 * larger transactions cost far less than many small ones, and a waiter ends the pause at once.
 */
import { setMaxListeners } from 'node:events';
import { positionWaiters } from './position-waiters.ts';
import type { Projection } from './projection.ts';
import {
  type Loop,
  type LoopContext,
  type LoopError,
  type LoopOptions,
  newLoop,
  runLoop,
  saveCheckpoints,
} from './projection-loop.ts';
import { projectionLocks } from './projection-locks.ts';
import { prepareTables } from './projection-tables.ts';

export interface ProjectorOptions extends LoopOptions {
  readonly projections: readonly Projection[];
  /** How often positions are saved that no event of the projection has moved, and the head of the log is asked for. */
  readonly checkpointMs?: number;
  /** A clock that never jumps; performance.now when left out. */
  readonly nowMs?: () => number;
}

export interface ProjectionStatus {
  readonly name: string;
  readonly version: number;
  /** The log has been applied up to here, to the table that is being filled or is current. */
  readonly position: bigint;
  /** True when this process writes it, false while another one does. */
  readonly writes: boolean;
  /** How far behind the head of the log as last seen: events, where positions have no gaps. */
  readonly lag: number;
  /** For how long it has not had everything; 0 when it has. As exact as `checkpointMs`. */
  readonly behindMs: number;
  /** True once the view shows this version and everything that was in the log at that moment. */
  readonly caughtUp: boolean;
  /** True when it stands still until the cause is dealt with and the process restarts. */
  readonly stopped: boolean;
  readonly error: LoopError | null;
}

export interface Projector {
  /**
   * Resolves when the tables have everything up to the position, also when it concerns none of them.
   * Waits for all projections, or for the named ones only. Rejects with Refusal(stale_read) when the
   * time is over, and at once when one of them stands still before the position.
   */
  reached(position: bigint, timeoutMs: number, names?: readonly string[]): Promise<void>;
  status(): readonly ProjectionStatus[];
  /** Newest position of the log that is known here. */
  head(): bigint;
  /** Ends the loops after their current transaction. */
  stop(): Promise<void>;
}

const CHECKPOINT_MS = 1_000;

/** Creates missing tables, then starts the loops. Throws what prepareTables throws. */
export async function startProjector(options: ProjectorOptions): Promise<Projector> {
  const { store, pool, projections, log, checkpointMs = CHECKPOINT_MS, nowMs = monotonicMs } = options;
  await prepareTables(pool, projections);
  const stopping = new AbortController();
  setMaxListeners(0, stopping.signal);
  const all = positionWaiters(0n);
  let head = 0n;
  const loops = projections.map((projection) => newLoop(projection));
  const byName = new Map(loops.map((loop) => [loop.projection.name, loop]));
  const wakeAll = (): void => {
    for (const loop of loops) loop.wake?.();
  };
  const locks = projectionLocks({ pool, projections, log, onChange: wakeAll });
  const context: LoopContext = {
    ...options,
    locks,
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
    for (const loop of loops) noteBehind(loop, head, nowMs());
    await saveOwn();
  }

  async function saveOwn(): Promise<void> {
    await saveCheckpoints(
      pool,
      loops.filter(({ projection }) => locks.holds(projection)),
    );
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
    status: () =>
      loops.map((loop) => statusOf(loop, { head, nowMs: nowMs(), writes: locks.holds(loop.projection) })),
    head: () => head,
    async stop() {
      clearInterval(ticking);
      stopping.abort();
      await Promise.all(running);
      await saveOwn().catch(() => undefined);
      await locks.stop();
      for (const { waiters } of loops) waiters.stop();
      all.stop();
    },
  };
}

/** A loop is behind since it was first seen without a position that it still has not reached. */
function noteBehind(loop: Loop, head: bigint, atMs: number): void {
  if (loop.behind !== null && loop.position >= loop.behind.head) loop.behind = null;
  if (loop.behind === null && loop.position < head) loop.behind = { head, sinceMs: atMs };
}

function monotonicMs(): number {
  return performance.now();
}

function statusOf(
  loop: Loop,
  { head, nowMs, writes }: { readonly head: bigint; readonly nowMs: number; readonly writes: boolean },
): ProjectionStatus {
  const { projection, position, caughtUp, stopped, error, behind } = loop;
  const { name, version } = projection;
  return {
    name,
    version,
    position,
    writes,
    lag: head > position ? Number(head - position) : 0,
    behindMs: behind === null || position >= behind.head ? 0 : nowMs - behind.sinceMs,
    caughtUp,
    stopped,
    error,
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
