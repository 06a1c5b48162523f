import { setTimeout as pause } from 'node:timers/promises';
import type { Log } from '../log.ts';
import { decode, encodeAll, headAfter } from './codec.ts';
import { type EventStore, highestOf } from './event-store.ts';
import { createStreams } from './eventstoredb-appending.ts';
import { connect } from './eventstoredb-connection.ts';
import { createFollower, type FollowerWaits } from './eventstoredb-follower.ts';
import { createGate } from './eventstoredb-gate.ts';
import { Silence } from './eventstoredb-reader.ts';
import { openWalk, type Walk } from './eventstoredb-walk.ts';
import type { Placed } from './stored-event.ts';
import { createSubscriptions } from './subscriptions.ts';

export interface EventStoreDbOptions {
  /** esdb:// with hosts, TLS and credentials as the client reads it. Appears in no message. */
  readonly url: string;
  readonly log: Pick<Log, 'info' | 'warn'>;
  /** Instant of recording for new events, kept beside the server's own; the server's clock when left out. */
  readonly now?: () => string;
  /** Longest an append may take before its outcome counts as unknown; default 10 000. */
  readonly appendMsMax?: number;
  /** Longest silence in the middle of an answer; default 10 000. */
  readonly readMsMax?: number;
  /** Most appends under way; the rest wait. Default 32. */
  readonly appendsMax?: number;
  readonly waits?: Partial<FollowerWaits>;
}

const APPEND_MS_MAX = 10_000;
const READ_MS_MAX = 10_000;
const APPENDS_MAX = 32;
const WAITS: FollowerWaits = {
  firstMsMax: 30_000,
  silenceMsMax: 60_000,
  probeMs: 5_000,
  retryMs: 50,
  retryMsMax: 5_000,
};
/** Events in one page of a stream or of the log. */
const PAGE = 500;
/** How often in a row reading the log may be interrupted before it is given up. */
const INTERRUPTIONS_MAX = 5;

/**
 * The log in EventStoreDB, which must hold nothing else but the server's own events. The files
 * beside this one say how its client has to be used. Positions are commit positions.
 */
export function eventStoreDb(options: EventStoreDbOptions): EventStore {
  const { url, log, now } = options;
  const silenceMsMax = options.readMsMax ?? READ_MS_MAX;
  const waits = { ...WAITS, ...options.waits };
  const [writing, reading, following] = [connect({ url }), connect({ url }), connect({ url })];
  const appendMsMax = options.appendMsMax ?? APPEND_MS_MAX;
  const streams = createStreams({
    writing,
    reading,
    appendMsMax,
    silenceMsMax,
    recordedAt: () => now?.() ?? null,
  });
  const gate = createGate(options.appendsMax ?? APPENDS_MAX);
  const follower = createFollower({ following, reading, head: streams.head, waits, log });
  const subscriptions = createSubscriptions(follower.source, {
    started: follower.start,
    stopped: follower.stop,
  });
  const appending = new Set<Promise<unknown>>();
  let closed: Promise<void> | null = null;

  async function write(
    writes: readonly Parameters<typeof streams.write>[0][],
  ): Promise<(readonly bigint[])[]> {
    const positions: (readonly bigint[])[] = [];
    for (const encoded of writes) positions.push(await gate(() => streams.write(encoded)));
    return positions;
  }

  async function* readStream(stream: string, after: bigint): AsyncGenerator<Placed, void, void> {
    for (let from = after + 1n, full = true; full; ) {
      const placed = await streams.page(stream, from, PAGE);
      yield* placed;
      full = placed.length === PAGE;
      from += BigInt(placed.length);
    }
  }

  async function* readLog(after: bigint): AsyncGenerator<Placed, void, void> {
    const until = await streams.head();
    let walk: Walk | null = null;
    let interruptions = 0;
    try {
      for (let at = after; at < until; ) {
        let placed: readonly Placed[];
        try {
          walk ??= openWalk(reading.client, {
            after: at,
            prefixes: null,
            firstMsMax: silenceMsMax,
            silenceMsMax,
          });
          placed = await walk.next(PAGE);
          interruptions = 0;
        } catch (error) {
          walk?.close();
          walk = null;
          if ((interruptions += 1) > INTERRUPTIONS_MAX || closed !== null) throw error;
          if (error instanceof Silence) reading.renew();
          await pause(waits.retryMs * 2 ** interruptions);
          continue;
        }
        for (const one of placed) if (one.position <= until) yield one;
        at = walk.position;
      }
    } finally {
      walk?.close();
    }
  }

  function mustBeOpen(): void {
    if (closed !== null) throw new Error('the event store is closed');
  }

  async function closeNow(): Promise<void> {
    subscriptions.close();
    follower.stop();
    await Promise.allSettled(appending);
    await follower.ended();
    await Promise.all([writing, reading, following].map(({ close }) => close()));
  }

  return {
    positions: 'increasing',
    async append(writes) {
      mustBeOpen();
      const encoded = encodeAll(writes);
      const written = write(encoded);
      appending.add(written);
      try {
        const positions = await written;
        const position = highestOf(positions);
        follower.know(position);
        return { position, positions, heads: encoded.map(headAfter) };
      } finally {
        appending.delete(written);
      }
    },
    async *readStream(stream, after = -1n) {
      mustBeOpen();
      for await (const placed of readStream(stream, after)) yield decode(placed);
    },
    async *readLog(position) {
      mustBeOpen();
      yield* readLog(position);
    },
    async *subscribe(position, signal, subscribeOptions) {
      mustBeOpen();
      yield* subscriptions.open(position, signal, subscribeOptions);
    },
    restarts: follower.restarts,
    async head() {
      mustBeOpen();
      return await streams.head();
    },
    close: () => (closed ??= closeNow()),
  };
}
