import { setTimeout as pause } from 'node:timers/promises';
import type { Recorded } from '../events.ts';
import type { Log } from '../log.ts';
import type { EventStore } from '../store/event-store.ts';
import type { Insight } from './sight.ts';
import { LIVE_TOPICS, type LiveTopic, type Touched, touchedBy } from './live-topics.ts';

/**
 * Tells whoever listens that something has changed, and never what: listeners read it again through
 * the routes that decide what they may see. So a listener costs one set of topics, however much happens
 * and however slowly it takes what it is told; nothing queues.
 *
 * Every process follows the log by itself, for as long as somebody listens, and tells of a change once
 * the read models have it. What is not in the log (how far a verification is, what does not work) is
 * looked at once a second meanwhile.
 */
export interface LiveHub {
  /** How often a stream shows that it is alive, and asks whether its listener may still listen. */
  readonly heartbeatMs: number;
  /** Null when as many listen as may. */
  open(listener: Listener): Listening | null;
  /** Ends every stream and takes no more. */
  close(): Promise<void>;
}

export interface Listener {
  /** Who it is: a user may have a few streams open, not all of them. */
  readonly name: string;
  /** What it may know; asked for each time, since it may change while the stream is open. */
  insight(): Insight;
  /** Returns false while it cannot take anything; what happens meanwhile is told by the next call. */
  tell(topics: readonly LiveTopic[], position: bigint): boolean;
  /** The server takes its leave. */
  end(): void;
}

export interface Listening {
  /** Resolves when everything that happens from then on is told. */
  readonly ready: Promise<void>;
  /** What could not be told before is told again soon. */
  wake(): void;
  close(): void;
}

export interface LiveHubDeps {
  readonly store: Pick<EventStore, 'subscribe' | 'head'>;
  /** Resolves when every read model has the position. */
  readonly settled: (position: bigint) => Promise<void>;
  /** Texts that change when something changes that is not in the log. */
  readonly marks: () => Promise<Partial<Readonly<Record<LiveTopic, string>>>>;
  readonly log: Pick<Log, 'warn'>;
  /** Shortest time between two messages to one listener; default 1 s. */
  readonly gapMs?: number;
  /** Default 15 s. */
  readonly heartbeatMs?: number;
}

const LISTENERS_MAX = 1_000;
const LISTENERS_PER_NAME_MAX = 16;
const GAP_MS = 1_000;
const HEARTBEAT_MS = 15_000;
const MARKS_MS = 1_000;
const RETRY_MS = 1_000;

interface Open {
  readonly listener: Listener;
  readonly pending: Set<LiveTopic>;
}

export function createLiveHub(deps: LiveHubDeps): LiveHub {
  const { store, settled, log, gapMs = GAP_MS } = deps;
  const listening = new Set<Open>();
  let following: AbortController | null = null;
  let running: Promise<void> = Promise.resolve();
  let ready: Promise<void> = Promise.resolve();
  let position = 0n;
  let flushing: NodeJS.Timeout | null = null;
  let closed = false;

  function note(touched: readonly Touched[]): void {
    for (const { listener, pending } of listening) {
      if (pending.size === LIVE_TOPICS.length) continue;
      const insight = listener.insight();
      for (const one of touched) if (one.isFor(insight)) pending.add(one.topic);
    }
    schedule();
  }

  function schedule(): void {
    if (closed || flushing !== null || ![...listening].some(({ pending }) => pending.size > 0)) return;
    flushing = setTimeout(() => void flush(), gapMs);
  }

  async function flush(): Promise<void> {
    // A read model that stands still is no reason to be silent: health says so.
    await settled(position).catch(() => undefined);
    flushing = null;
    for (const { listener, pending } of listening) {
      if (pending.size > 0 && listener.tell([...pending], position)) pending.clear();
    }
  }

  async function follow(signal: AbortSignal, began: () => void): Promise<void> {
    while (!signal.aborted) {
      try {
        position = await store.head();
        began();
        for await (const batch of store.subscribe(position, signal)) {
          ({ position } = batch);
          if (batch.events.length > 0) note(distinct(batch.events));
        }
      } catch (error) {
        if (!signal.aborted) log.warn({ err: error }, 'the live streams were interrupted');
      }
      await pause(RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  async function watch(signal: AbortSignal): Promise<void> {
    let known: Partial<Readonly<Record<LiveTopic, string>>> | null = null;
    while (!signal.aborted) {
      const marks = await deps.marks().catch(() => known ?? {});
      const before = known;
      const changed = LIVE_TOPICS.filter((topic) => before !== null && before[topic] !== marks[topic]);
      known = marks;
      if (changed.length > 0) note(changed.map((topic) => ({ topic, isFor: ({ all }) => all })));
      await pause(MARKS_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  function stopFollowing(): void {
    following?.abort();
    following = null;
  }

  return {
    heartbeatMs: deps.heartbeatMs ?? HEARTBEAT_MS,
    open(listener) {
      const own = [...listening].filter((one) => one.listener.name === listener.name).length;
      if (closed || listening.size >= LISTENERS_MAX || own >= LISTENERS_PER_NAME_MAX) return null;
      const open: Open = { listener, pending: new Set() };
      listening.add(open);
      if (following === null) {
        following = new AbortController();
        const { signal } = following;
        ready = new Promise((began) => {
          running = Promise.all([running, follow(signal, began), watch(signal)]).then(() => undefined);
        });
      }
      return {
        ready,
        wake: schedule,
        close() {
          listening.delete(open);
          if (listening.size === 0) stopFollowing();
        },
      };
    },
    async close() {
      closed = true;
      if (flushing !== null) clearTimeout(flushing);
      for (const { listener } of listening) listener.end();
      listening.clear();
      stopFollowing();
      await running;
    },
  };
}

/** A batch of spend touches few things many times. */
function distinct(events: readonly Recorded[]): readonly Touched[] {
  const known = new Map<string, Touched>();
  for (const recorded of events) {
    const touched = touchedBy(recorded);
    if (touched !== null && !known.has(touched.id)) known.set(touched.id, touched);
  }
  return [...known.values()];
}
