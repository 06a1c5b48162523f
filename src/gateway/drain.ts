import type { SpendRecorded } from '../domain/spend.ts';
import { isRefusal, Refusal } from '../errors.ts';
import type { NewEvent } from '../events.ts';
import type { EventStore, StreamHead, Write } from '../store/event-store.ts';

/**
 * Takes spend from the spool to the log: in order, in large appends, one at a time. Nobody waits for
 * it but readers, who say so with `flush`; so it gathers for a moment first, because one append of
 * hundreds costs little more than one of a few. An append whose outcome is unknown is repeated as it
 * was until it succeeds; the store recognises what it has already.
 */
export interface Drain<E extends Entry> {
  /** `entry` is durable in the spool, or cannot be. */
  add(entry: E): void;
  /** Resolves once everything added so far is in the log, with the highest position of it. */
  flush(): Promise<bigint>;
  /** The highest position that this process has written spend to; 0 before the first. */
  readonly position: bigint;
  /** Entries that are not in the log yet, and since when the oldest waits. */
  readonly waiting: number;
  readonly oldestMs: number | null;
  /** The log has refused for good: somebody else has written to a stream of this writer. */
  readonly failed: boolean;
  /** Where the writer's streams stand. */
  readonly heads: ReadonlyMap<string, StreamHead>;
  /** Ends the attempts; what is waiting stays in the spool. */
  stop(): void;
}

/** One spend on its way to the log. */
export interface Entry {
  readonly stream: string;
  readonly event: NewEvent<SpendRecorded>;
  /** Of the event's payload. */
  readonly bytes: number;
  readonly sinceMs: number;
  /** Its place in the log, once it has one. */
  position: bigint | null;
}

export interface DrainOptions<E extends Entry> {
  readonly store: Pick<EventStore, 'append'>;
  /** Most events in one append. */
  readonly batchMax: number;
  readonly gatherMs: number;
  /** First and longest pause before an append is repeated; it doubles. */
  readonly retryMs: number;
  readonly retryMsMax: number;
  readonly onDrained: (entries: readonly E[]) => void;
  /** Nothing takes these to the log any more, unless an append of them is under way still. */
  readonly onGivenUp: (entries: readonly E[]) => void;
  readonly log: FailureLog;
}

/** The part of a logger that failures need. */
export interface FailureLog {
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

/** Below what a store takes in one write. */
const BATCH_BYTES_MAX = 800_000;
/** What an event has beside its payload. */
const ENVELOPE_BYTES = 400;

export function createDrain<E extends Entry>(options: DrainOptions<E>): Drain<E> {
  const { store, batchMax, gatherMs, log } = options;
  const heads = new Map<string, StreamHead>();
  let queue: E[] = [];
  let inFlight: readonly E[] = [];
  let position = 0n;
  let added = 0;
  let drained = 0;
  let state: 'open' | 'stopped' | 'failed' = 'open';
  let running = false;
  let timer: NodeJS.Timeout | null = null;
  let wakeRetry: (() => void) | null = null;
  const flushes: {
    readonly count: number;
    readonly resolve: (position: bigint) => void;
    readonly reject: (error: Error) => void;
  }[] = [];

  /** Starts at once when somebody waits or there is enough, else after a moment. */
  function schedule(): void {
    if (running || queue.length === 0 || state !== 'open') return;
    if (flushes.length > 0 || queue.length >= batchMax) {
      if (timer !== null) clearTimeout(timer);
      timer = null;
      void run();
    } else {
      timer ??= setTimeout(() => {
        timer = null;
        void run();
      }, gatherMs);
    }
  }

  async function run(): Promise<void> {
    running = true;
    do {
      const size = batchSize(queue, batchMax);
      inFlight = queue.slice(0, size);
      queue = queue.slice(size);
    } while ((await appendBatch()) && queue.length > 0 && (flushes.length > 0 || queue.length >= batchMax));
    running = false;
    schedule();
  }

  async function appendBatch(): Promise<boolean> {
    const groups = byStream(inFlight);
    const writes = [...groups].map(([stream, sharing]) => ({
      stream,
      expected: heads.get(stream) ?? ('none' as const),
      events: sharing.map(({ event }) => event),
    }));
    const appended = await appendUntilDurable(writes);
    if (appended === null) return false;
    writes.forEach(({ stream }, i) => heads.set(stream, appended.heads[i]!));
    [...groups.values()].forEach((sharing, i) => {
      sharing.forEach((entry, k) => (entry.position = appended.positions[i]![k]!));
    });
    position = appended.position;
    const done = inFlight;
    inFlight = [];
    drained += done.length;
    while (flushes.length > 0 && flushes[0]!.count <= drained) flushes.shift()!.resolve(position);
    options.onDrained(done);
    return true;
  }

  /** Null when it was given up. */
  async function appendUntilDurable(writes: readonly Write[]) {
    for (
      let pauseMs = options.retryMs;
      state === 'open';
      pauseMs = Math.min(pauseMs * 2, options.retryMsMax)
    ) {
      try {
        return await store.append(writes);
      } catch (error) {
        const { stream } = writes[0]!;
        if (isRefusal(error, 'stream_changed')) {
          // Nobody else writes here. Serving on would mean spend that cannot be recorded.
          log.error({ err: error, stream }, 'the spend stream was changed by somebody else');
          giveUp('failed');
          return null;
        }
        log.warn(
          { err: error, stream, waiting: inFlight.length + queue.length },
          'spend is not in the log yet',
        );
      }
      await pauseOrWake(pauseMs);
    }
    return null;
  }

  function pauseOrWake(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const wait = setTimeout(resolve, ms);
      wakeRetry = () => {
        clearTimeout(wait);
        resolve();
      };
    });
  }

  function giveUp(as: 'stopped' | 'failed'): void {
    if (state === 'open') state = as;
    if (timer !== null) clearTimeout(timer);
    for (const { reject } of flushes.splice(0)) reject(new Refusal('log_unavailable'));
    wakeRetry?.();
    options.onGivenUp([...inFlight, ...queue]);
  }

  return {
    add(entry) {
      if (state !== 'open') options.onGivenUp([entry]);
      queue.push(entry);
      added += 1;
      schedule();
    },
    flush() {
      if (drained === added) return Promise.resolve(position);
      if (state !== 'open') return Promise.reject(new Refusal('log_unavailable'));
      return new Promise((resolve, reject) => {
        flushes.push({ count: added, resolve, reject });
        schedule();
      });
    },
    get position() {
      return position;
    },
    get waiting() {
      return added - drained;
    },
    get oldestMs() {
      return (inFlight[0] ?? queue[0])?.sinceMs ?? null;
    },
    get failed() {
      return state === 'failed';
    },
    heads,
    stop: () => giveUp('stopped'),
  };
}

/** Nearly always one stream, two around the end of a month. */
function byStream<E extends Entry>(entries: readonly E[]): ReadonlyMap<string, E[]> {
  const groups = new Map<string, E[]>();
  for (const entry of entries) {
    const sharing = groups.get(entry.stream);
    if (sharing === undefined) groups.set(entry.stream, [entry]);
    else sharing.push(entry);
  }
  return groups;
}

/** How many from the front of the queue make one append: at least one, as many as surely fit. */
function batchSize(queue: readonly Entry[], batchMax: number): number {
  let bytes = 0;
  for (let i = 0; i < queue.length && i < batchMax; i += 1) {
    bytes += queue[i]!.bytes + ENVELOPE_BYTES;
    if (bytes > BATCH_BYTES_MAX && i > 0) return i;
  }
  return Math.min(queue.length, batchMax);
}
