import { Refusal } from '../errors.ts';
import { decode, type Encoded, encodeAll, headAfter } from './codec.ts';
import { type Appended, type EventStore, highestOf, type StreamHead, ZERO_HASH } from './event-store.ts';
import { createSubscriptions } from './subscriptions.ts';
import { createTail } from './tail.ts';
import type { Placed } from './stored-event.ts';

export interface MemoryStoreOptions {
  /** ISO instant, UTC, milliseconds. */
  readonly now: () => string;
  /** A log to start from, in order and complete. */
  readonly stored?: readonly Placed[];
}

/** The log in this process's memory: for tests, and for looking at an export. It keeps everything. */
export function memoryStore({ now, stored = [] }: MemoryStoreOptions): EventStore {
  const log: Placed[] = [];
  const streams = new Map<string, Placed[]>();
  const tail = createTail({ eventsMax: Infinity, charactersMax: Infinity, positions: 'gapless' });
  const subscriptions = createSubscriptions({
    tail,
    refresh: () => Promise.resolve(),
    older: () => Promise.reject(new Error('the tail of a log in memory is all of it')),
    isBehind: () => false,
  });
  let closed = false;
  for (const placed of stored) put(placed);

  function put(placed: Placed, encoded?: Encoded): void {
    log.push(placed);
    const events = streams.get(placed.stream);
    if (events === undefined) streams.set(placed.stream, [placed]);
    else events.push(placed);
    tail.push(placed, encoded);
  }

  function headOf(stream: string): StreamHead {
    return streams.get(stream)?.at(-1) ?? { revision: -1n, hash: ZERO_HASH };
  }

  /** The positions of a write that is stored already; null when it is new and follows the head. */
  function positionsOf(encoded: readonly Encoded[]): readonly bigint[] | null {
    const [first] = encoded;
    const { stream, revision, previousHash } = first!.stored;
    const head = headOf(stream);
    if (head.revision === revision - 1n && head.hash === previousHash) return null;
    const known = streams.get(stream)?.slice(Number(revision), Number(revision) + encoded.length) ?? [];
    if (known.at(-1)?.hash !== headAfter(encoded).hash) throw new Refusal('stream_changed');
    return known.map(({ position }) => position);
  }

  function appendNow(writes: readonly (readonly Encoded[])[]): Appended {
    const known = writes.map(positionsOf);
    const recordedAt = now();
    const positions = writes.map((encoded, i) => {
      const stored = known[i] ?? null;
      if (stored !== null) return stored;
      return encoded.map((one) => {
        const position = BigInt(log.length + 1);
        put({ ...one.stored, position, recordedAt }, one);
        return position;
      });
    });
    return { position: highestOf(positions), positions, heads: writes.map(headAfter) };
  }

  function mustBeOpen(): void {
    if (closed) throw new Error('the event store is closed');
  }

  return {
    positions: 'gapless',
    async append(writes) {
      mustBeOpen();
      const encoded = encodeAll(writes);
      // Another turn of the event loop, as with any real store: callers must not rely on less.
      await Promise.resolve();
      return appendNow(encoded);
    },
    async *readStream(stream, after = -1n) {
      mustBeOpen();
      const events = streams.get(stream) ?? [];
      for (let i = Number(after) + 1; i < events.length; i += 1) yield decode(events[i]!);
    },
    async *readLog(position) {
      mustBeOpen();
      const until = log.length;
      for (let i = Number(position); i < until; i += 1) yield log[i]!;
    },
    async *subscribe(position, signal, options) {
      mustBeOpen();
      yield* subscriptions.open(position, signal, options);
    },
    restarts: () => 0,
    head() {
      return closed ? Promise.reject(new Error('the event store is closed')) : Promise.resolve(tail.to);
    },
    close() {
      closed = true;
      subscriptions.close();
      return Promise.resolve();
    },
  };
}
