/** Short ways to write to and read from an event store in tests. */
import { randomBytes } from 'node:crypto';
import type { DomainEvent, NewEvent, Recorded } from '../../src/events.ts';
import type {
  Appended,
  Batch,
  EventStore,
  StreamHead,
  SubscribeOptions,
  Write,
} from '../../src/store/event-store.ts';
import { keyBlocked, newEvent } from './events.ts';

/** A stream that no other test has. */
export function freshStream(kind = 'key'): string {
  return `${kind}-${randomBytes(8).toString('hex')}`;
}

/** So many small events, each with an id of its own. */
export function someEvents(count: number, name: string = randomBytes(8).toString('hex')): NewEvent[] {
  return Array.from({ length: count }, (_, i) =>
    newEvent(keyBlocked({ keyId: `${name}-${i}` }), `${name} ${i}`),
  );
}

export function write(
  stream: string,
  expected: StreamHead | 'none',
  events: readonly NewEvent[] | number,
): Write {
  return { stream, expected, events: typeof events === 'number' ? someEvents(events) : events };
}

/** Appends to one stream and answers with its new head. */
export async function append(
  store: EventStore,
  stream: string,
  expected: StreamHead | 'none',
  events: readonly NewEvent[] | number,
): Promise<StreamHead> {
  const { heads } = await store.append([write(stream, expected, events)]);
  return heads[0]!;
}

/** Appends events to a fresh stream, in one write. */
export function appendNew(store: EventStore, ...events: readonly DomainEvent[]): Promise<Appended> {
  const stream = freshStream();
  const named = events.map((event, i) => newEvent(event, `${stream} ${i}`));
  return store.append([{ stream, expected: 'none', events: named }]);
}

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

/** The batches up to the first that is caught up. */
export async function catchUp(
  store: EventStore,
  position: bigint,
  options: SubscribeOptions = {},
): Promise<Batch[]> {
  const batches: Batch[] = [];
  for await (const batch of store.subscribe(position, new AbortController().signal, options)) {
    batches.push(batch);
    if (batch.caughtUp) break;
  }
  return batches;
}

export function eventsOf(batches: readonly Batch[]): Recorded[] {
  return batches.flatMap(({ events }) => events);
}

/** Holds up whoever waits for it until it is opened. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

export interface Watch {
  readonly batches: Batch[];
  /** Resolves when a batch has been read that makes it true. */
  until(isTrue: (batches: readonly Batch[]) => boolean): Promise<void>;
  readonly events: () => Recorded[];
  /** Ends the subscription; rejects with what it failed with. */
  stop(): Promise<void>;
  /** Settles when it has ended. */
  readonly ended: Promise<void>;
}

/** A subscription that runs beside the test. */
export function watch(
  store: EventStore,
  position: bigint,
  options: SubscribeOptions & { readonly onBatch?: (batch: Batch) => Promise<void> | void } = {},
): Watch {
  const { onBatch, ...subscribeOptions } = options;
  const ending = new AbortController();
  const batches: Batch[] = [];
  const waiting = new Set<{ isTrue: (batches: readonly Batch[]) => boolean; resolve: () => void }>();
  async function run(): Promise<void> {
    for await (const batch of store.subscribe(position, ending.signal, subscribeOptions)) {
      batches.push(batch);
      for (const one of waiting) if (one.isTrue(batches)) one.resolve();
      await onBatch?.(batch);
    }
  }
  const ended = run();
  const endedEarly = ended.then(() => Promise.reject(new Error('the subscription ended before it was so')));
  endedEarly.catch(() => {});
  return {
    batches,
    events: () => eventsOf(batches),
    async until(isTrue) {
      if (isTrue(batches)) return;
      const met = new Promise<void>((resolve) => waiting.add({ isTrue, resolve }));
      await Promise.race([met, endedEarly]);
    },
    async stop() {
      ending.abort();
      await ended;
    },
    ended,
  };
}

export const isCaughtUp = (batches: readonly Batch[]): boolean => batches.at(-1)?.caughtUp === true;

export function hasReached(position: bigint): (batches: readonly Batch[]) => boolean {
  return (batches) => (batches.at(-1)?.position ?? -1n) >= position;
}
