import { setTimeout as pause } from 'node:timers/promises';
import type { Log } from '../log.ts';
import type { Recorded } from '../events.ts';
import { decode } from './codec.ts';
import type { Connection } from './eventstoredb-connection.ts';
import { Silence } from './eventstoredb-reader.ts';
import { openWalk, type Walk } from './eventstoredb-walk.ts';
import type { Placed } from './stored-event.ts';
import { createTail, type Cut, type Source, type Wanted } from './tail.ts';

/**
 * Keeps the tail of the log while somebody follows it. One subscription to everything feeds the
 * tail for all readers of the process; a reader that starts further back gets a walk of its own,
 * with only the types that it wants, until it meets the tail. A subscription that fails, ends or
 * falls silent is opened again where it was, over a fresh client.
 *
 * No heartbeat events are written. The server's checkpoints would not do: they come with events that
 * a filter leaves out, and in a quiet log nothing comes. So the head of the log is asked for over
 * another connection: a subscription that has not moved from one question to the next although there
 * was something for it is dead, and in a log where nothing happens at all it is opened anew from
 * time to time. That costs no event, and the log means the same in every store.
 */
export interface Follower {
  readonly source: Source;
  readonly start: () => void;
  readonly stop: () => void;
  /** Notes that something is known to be in the log up to this position. */
  know(position: bigint): void;
  /** Resolves when nothing goes on any more. Call `stop` first. */
  ended(): Promise<void>;
  /** How often a subscription was opened again. */
  readonly restarts: () => number;
}

export interface FollowerWaits {
  /** Longest silence of a fresh subscription, and of one that has caught up. */
  readonly firstMsMax: number;
  readonly silenceMsMax: number;
  /** How often the head of the log is asked for, and how long the tail may be behind it without moving. */
  readonly probeMs: number;
  /** First and longest pause before another attempt. */
  readonly retryMs: number;
  readonly retryMsMax: number;
}

export interface FollowerOptions {
  /** For the tail; a fresh client whenever it fails. */
  readonly following: Connection;
  /** For those who start further back. */
  readonly reading: Connection;
  readonly head: () => Promise<bigint>;
  readonly waits: FollowerWaits;
  readonly log: Pick<Log, 'info' | 'warn'>;
}

/** What the tail holds: enough for a subscription that pauses for a moment. */
const TAIL_BOUNDS = { eventsMax: 8_192, charactersMax: 16_000_000, positions: 'increasing' } as const;
const PORTION = 512;

export function createFollower({ following, reading, head, waits, log }: FollowerOptions): Follower {
  const tail = createTail(TAIL_BOUNDS);
  const walks = new Map<AbortSignal, OpenWalk>();
  let running: AbortController | null = null;
  /** True once the tail ends where the log ended when following began, or later. */
  let placed = false;
  let told = 0n;
  /** Where the tail was when the last probe found it behind; null when it was not. */
  let stuckAt: bigint | null = null;
  let troubled = false;
  let restarts = 0;
  let done: Promise<void> = Promise.resolve();

  async function run(signal: AbortSignal): Promise<void> {
    const newest = await persistently(head, signal, following.renew);
    if (newest === null) return;
    if (newest > tail.to) tail.reset(newest);
    placed = true;
    tail.wake();
    await persistently(() => feed(signal), signal, following.renew);
  }

  /** Returns only when `signal` aborts. */
  async function feed(signal: AbortSignal): Promise<void> {
    const walk = openWalk(following.client, { after: tail.to, prefixes: null, ...waits });
    const close = (): void => walk.close();
    signal.addEventListener('abort', close, { once: true });
    const probing = setInterval(() => void probe(walk), waits.probeMs);
    stuckAt = null;
    try {
      while (!signal.aborted) {
        for (const one of await walk.next(PORTION)) tail.push(one);
        works();
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      clearInterval(probing);
      signal.removeEventListener('abort', close);
      walk.close();
    }
  }

  /** A subscription that brings nothing although there is something has to be opened again. */
  async function probe(walk: Walk): Promise<void> {
    know(await head().catch(() => 0n));
    const { to } = tail;
    if (told > to && stuckAt === to) {
      log.warn({ head: String(told), position: String(to) }, 'the subscription brings nothing');
      // Over a fresh client: the connection may be one that only this side believes in.
      following.renew();
      walk.close();
    }
    stuckAt = told > to ? to : null;
  }

  /** Reads after a position that the tail no longer holds. */
  async function older(after: bigint, wanted: Wanted, signal: AbortSignal): Promise<Cut> {
    const { prefixes, batchMax, bare } = wanted;
    const until = tail.to;
    if (prefixes?.length === 0) return { events: [], last: null, position: until, failure: null };
    let open = walks.get(signal);
    if (open === undefined || open.walk.position !== after) {
      open?.walk.close();
      open = { walk: openWalk(reading.client, { after, prefixes, ...waits }), known: until };
      walks.set(signal, open);
      signal.addEventListener('abort', () => drop(signal), { once: true });
    }
    const { walk } = open;
    try {
      const cut = await gather(open, until, batchMax);
      if (cut.position >= tail.from || walk.caughtUp || walk.position > cut.position) drop(signal);
      const last = cut.events.at(-1)?.position ?? null;
      return { ...cut, last, events: bare ? [] : cut.events };
    } catch (error) {
      drop(signal);
      throw error;
    }
  }

  function drop(signal: AbortSignal): void {
    walks.get(signal)?.walk.close();
    walks.delete(signal);
  }

  /** Repeats until it works or `signal` aborts; then null. */
  async function persistently<T>(
    task: () => Promise<T>,
    signal: AbortSignal,
    renew: () => void,
  ): Promise<T | null> {
    let waitMs = waits.retryMs;
    while (!signal.aborted) {
      const before = tail.to;
      try {
        const result = await task();
        works();
        return result;
      } catch (error) {
        if (signal.aborted) return null;
        if (!troubled) log.warn({ err: error }, 'the event log cannot be read; trying again');
        troubled = true;
        restarts += 1;
        if (error instanceof Silence) renew();
        if (tail.to > before) ({ retryMs: waitMs } = waits);
        await pause(waitMs, undefined, { signal }).catch(() => {});
        waitMs = Math.min(waits.retryMsMax, waitMs * 2);
      }
    }
    return null;
  }

  function works(): void {
    if (troubled) log.info('the event log can be read again');
    troubled = false;
  }

  function know(position: bigint): void {
    if (position > told) told = position;
  }

  return {
    source: {
      tail,
      async refresh(signal) {
        const newest = await persistently(head, signal, reading.renew);
        know(newest ?? 0n);
        if (newest === null) return;
        const isThere = (): boolean => placed && tail.to >= newest;
        while (!signal.aborted && !isThere()) await tail.grown(tail.to);
      },
      older: (after, wanted, signal) =>
        persistently(() => older(after, wanted, signal), signal, reading.renew),
      isBehind: () => told > tail.to,
    },
    start() {
      if (running !== null) return;
      const { signal } = (running = new AbortController());
      placed = false;
      done = done.then(() => run(signal));
    },
    stop() {
      running?.abort();
      running = null;
    },
    know,
    ended: () => done,
    restarts: () => restarts,
  };
}

interface OpenWalk {
  readonly walk: Walk;
  /** The log was known to have this position when the walk was opened. */
  readonly known: bigint;
}

/** Events of a walk up to `until`, as many as there are and are wanted. */
async function gather(
  { walk, known }: OpenWalk,
  until: bigint,
  batchMax: number,
): Promise<Omit<Cut, 'last'>> {
  const events: Recorded[] = [];
  let position = walk.position;
  while (events.length < batchMax) {
    const placed = await walk.next(batchMax - events.length);
    for (const one of placed) {
      if (one.position > until) return { events, position: until, failure: null };
      const recorded = readable(one);
      if (recorded instanceof Error) return { events, position, failure: recorded };
      events.push(recorded);
      ({ position } = one);
    }
    if (walk.position >= until) return { events, position: until, failure: null };
    ({ position } = walk);
    if (walk.caughtUp) return { events, position: position > known ? position : known, failure: null };
    if (events.length === 0) break;
  }
  return { events, position, failure: null };
}

function readable(placed: Placed): Recorded | Error {
  try {
    return decode(placed);
  } catch (error) {
    return error as Error;
  }
}
