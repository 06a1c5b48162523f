import { setTimeout as pause } from 'node:timers/promises';
import type { Log } from '../log.ts';
import type { Encoded } from './codec.ts';
import { createListener } from './postgres-listener.ts';
import * as rows from './postgres-rows.ts';
import type { Placed } from './stored-event.ts';
import { createTail, type Cut, cutOf, includesSpend, type Source, type Wanted } from './tail.ts';

/**
 * Keeps the tail of the log while somebody follows it: notifications are the hint, polling is the
 * truth. All subscriptions of a process share one connection that listens and one read of what is
 * new, and what this process appended itself is not read back at all.
 */
export interface Follower {
  readonly source: Source;
  start(): void;
  stop(): void;
  /** Says that an append begins, which will most likely be what the next notifications tell of. */
  appendBegins(): void;
  appendEnds(): void;
  /** Takes what was appended, just now or before; `last` is the position of its last event. */
  keep(appended: readonly Encoded[], last: bigint, recordedAt: string): void;
  /** Resolves when no connection is open any more. Call `stop` first. */
  ended(): Promise<void>;
  /** How often reading failed and began again. */
  readonly restarts: () => number;
}

export interface FollowerOptions {
  readonly page: (statement: rows.Query, values: unknown[]) => Promise<Placed[]>;
  /** Where the newest event after a position is, and the newest of some types; null when there is none. */
  readonly places: (after: bigint, prefixes: readonly string[]) => Promise<Places>;
  readonly head: () => Promise<bigint>;
  readonly listenUrl: string | null;
  readonly pollMs: number;
  readonly log: Pick<Log, 'info' | 'warn'>;
}

export interface Places {
  /** Everything up to here was looked at. */
  readonly newest: bigint;
  readonly last: bigint | null;
  /** There may be more. */
  readonly full: boolean;
}

/** What the tail holds: enough for a subscription that pauses for a moment. */
const TAIL_BOUNDS = { eventsMax: 4_096, charactersMax: 16_000_000, positions: 'gapless' } as const;
/** Events in one read of what is new. */
const PAGE = 500;
const SPEND = ['spend.'];
/** How long a notification waits while appends of this process are under way. */
const OWN_NEWS_MS = 2;
const RETRY_MS_MIN = 50;
const RETRY_MS_MAX = 5_000;

export function createFollower(options: FollowerOptions): Follower {
  const { page, places, head, listenUrl, pollMs, log } = options;
  const tail = createTail(TAIL_BOUNDS);
  const listener =
    listenUrl === null
      ? null
      : createListener({ url: listenUrl, onListening: () => void readNew(), onPosition: hear, log });
  let run: { readonly ending: AbortController; readonly poll: NodeJS.Timeout } | null = null;
  /** Newest position that a notification told of. */
  let told = 0n;
  let appending = 0;
  let news: NodeJS.Timeout | null = null;
  let reading: Promise<void> | null = null;
  let readingNext: Promise<void> | null = null;
  let ended: Promise<void> = Promise.resolve();
  let restarts = 0;

  function hear(position: bigint): void {
    if (position > told) told = position;
    if (told <= tail.to || news !== null || run === null) return;
    news = setTimeout(
      () => {
        news = null;
        if (told > tail.to && run !== null) void readNew();
      },
      appending > 0 ? OWN_NEWS_MS : 0,
    );
  }

  /** Resolves after a read that began after the call. At most one runs and one waits, for all. */
  function readNew(): Promise<void> {
    if (readingNext !== null) return readingNext;
    if (reading === null) return (reading = readOnce());
    readingNext = reading.then(() => {
      readingNext = null;
      return (reading = readOnce());
    });
    return readingNext;
  }

  async function readOnce(): Promise<void> {
    try {
      await persistently(readPage, run?.ending.signal ?? AbortSignal.abort());
    } finally {
      reading = null;
    }
  }

  async function readPage(): Promise<void> {
    if (tail.thin && (await readThin())) return;
    const placed = await page(rows.LOG, [tail.to, PAGE]);
    const follows = placed.every((one) => tail.push(one));
    if (!follows) log.warn({ after: String(tail.to) }, 'the event log lacks positions; verify it');
    if (follows && placed.length < PAGE) return;
    // What is new is read by the subscriptions, at their own pace, until they meet the tail again.
    const newest = await head();
    if (newest > tail.to) tail.reset(newest);
  }

  /**
   * Where nobody reads spend, which is nearly all of the log, but another process writes it: only how
   * far it goes is asked for. False when somebody has begun to read it meanwhile.
   */
  async function readThin(): Promise<boolean> {
    const { newest, last, full } = await places(tail.to, SPEND);
    const others = newest === tail.to ? [] : await page(rows.WITHOUT_SPEND, [tail.to, PAGE]);
    if (!tail.thin) return false;
    if (full || others.length === PAGE) tail.reset(await head());
    else
      tail.pass(
        newest,
        others.filter(({ position }) => position <= newest),
        last,
      );
    return true;
  }

  async function older(after: bigint, wanted: Wanted): Promise<Cut> {
    const { prefixes, batchMax, bare } = wanted;
    if (bare && prefixes !== null) {
      const { newest, last } = await places(after, prefixes);
      return { events: [], last, position: newest, failure: null };
    }
    // Committed before the statement begins, so a page that is not full has all of it.
    let until = tail.to;
    if (prefixes === null) return cutOf(after, await page(rows.LOG, [after, batchMax]), until, wanted);
    const walked = after + BigInt(rows.WALK_MAX);
    if (includesSpend(prefixes) && walked < until) until = walked;
    return cutOf(after, await page(rows.filtered(prefixes), [after, batchMax, prefixes]), until, wanted);
  }

  /** Repeats until it works or `signal` aborts; then null. */
  async function persistently<T>(task: () => Promise<T>, signal: AbortSignal): Promise<T | null> {
    for (let failures = 0; !signal.aborted; failures += 1) {
      try {
        const result = await task();
        if (failures > 0) log.info('the event log can be read again');
        return result;
      } catch (error) {
        if (failures === 0) {
          log.warn({ err: error }, 'the event log cannot be read; trying again');
          restarts += 1;
        }
        const waitMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(failures, 10));
        await pause(waitMs, undefined, { signal }).catch(() => {});
      }
    }
    return null;
  }

  return {
    source: {
      tail,
      refresh: async (signal) => {
        await unlessAborted(readNew(), signal);
      },
      older: (after, wanted, signal) =>
        unlessAborted(
          persistently(() => older(after, wanted), signal),
          signal,
        ),
      isBehind: () => told > tail.to,
    },
    start() {
      if (run !== null) return;
      run = { ending: new AbortController(), poll: setInterval(() => void readNew(), pollMs) };
      listener?.start();
    },
    stop() {
      if (run === null) return;
      clearInterval(run.poll);
      run.ending.abort();
      run = null;
      if (news !== null) clearTimeout(news);
      news = null;
      if (listener !== null) ended = listener.stop();
    },
    appendBegins() {
      appending += 1;
    },
    appendEnds() {
      appending -= 1;
    },
    keep(appended, last, recordedAt) {
      if (run === null) return;
      let position = last - BigInt(appended.length);
      for (const encoded of appended) {
        position += 1n;
        // Somebody else's events lie in between: they have to be read first.
        encoded.stored.position = position;
        encoded.stored.recordedAt = recordedAt;
        if (!tail.push(encoded.stored, encoded)) return hear(last);
      }
    },
    ended: () => ended,
    restarts: () => restarts,
  };
}

/** The value, or null as soon as `signal` aborts. */
async function unlessAborted<T>(value: Promise<T>, signal: AbortSignal): Promise<T | null> {
  if (signal.aborted) return null;
  let stop = (): void => {};
  const aborted = new Promise<null>((resolve) => {
    stop = () => resolve(null);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([value, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
