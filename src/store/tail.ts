import type { Recorded } from '../events.ts';
import { decode, type Encoded, toRecorded } from './codec.ts';
import type { Batch, EventStore } from './event-store.ts';
import type { Placed } from './stored-event.ts';

/**
 * The newest part of a log in memory, and the reading that all subscriptions of a process share.
 * An event that several of them want is fetched and decoded once.
 */
export interface Tail {
  /** Positions above this one are held. */
  readonly from: bigint;
  /** Position of the newest event known here. */
  readonly to: bigint;
  /**
   * Takes the event that follows. Where positions have no gaps, it returns false, and takes nothing,
   * when one in between is missing; elsewhere it takes what whoever pushes has read in order.
   */
  push(placed: Placed, decoded?: Pick<Encoded, 'event' | 'actor'>): boolean;
  /** Forgets what it holds and continues after `position`. */
  reset(position: bigint): void;
  /** Reads after a position that is not below `from`. */
  cut(after: bigint, wanted: Wanted): Cut;
  /** Resolves as soon as something after `position` is known, or when it is woken. */
  grown(position: bigint): Promise<void>;
  wake(): void;
}

export interface Wanted {
  readonly prefixes: readonly string[] | null;
  readonly batchMax: number;
}

/** Consecutive events of a log that a reader wants. */
export interface Cut {
  readonly events: readonly Recorded[];
  /** Everything up to here has been looked at. */
  readonly position: bigint;
  /** Why reading cannot go on after `position`; null when it can. */
  readonly failure: Error | null;
}

interface Held {
  readonly placed: Placed;
  recorded: Recorded | null;
}

export interface TailOptions {
  readonly eventsMax: number;
  readonly charactersMax: number;
  readonly positions: EventStore['positions'];
}

export function createTail(bounds: TailOptions): Tail {
  let held: Held[] = [];
  let first = 0;
  let from = 0n;
  let characters = 0;
  const waiting = new Set<() => void>();
  const size = (): number => held.length - first;

  function trim(): void {
    while (size() > 1 && (size() > bounds.eventsMax || characters > bounds.charactersMax)) {
      characters -= held[first]!.placed.data.length;
      from = held[first]!.placed.position;
      first += 1;
    }
    if (first > 1_024 && first > held.length / 2) {
      held = held.slice(first);
      first = 0;
    }
  }

  const tail: Tail = {
    get from() {
      return from;
    },
    get to() {
      return size() === 0 ? from : held.at(-1)!.placed.position;
    },
    push(placed, decoded) {
      const { to } = tail;
      if (placed.position <= to) return true;
      if (bounds.positions === 'gapless' && placed.position !== to + 1n) return false;
      held.push({
        placed,
        recorded: decoded === undefined ? null : toRecorded(placed, decoded.event, decoded.actor),
      });
      characters += placed.data.length;
      trim();
      tail.wake();
      return true;
    },
    reset(position) {
      held = [];
      first = 0;
      characters = 0;
      from = position;
      tail.wake();
    },
    cut: (after, wanted) => collect(after, held, firstBehind(held, first, after), wanted),
    grown: (position) =>
      tail.to > position ? Promise.resolve() : new Promise((resolve) => waiting.add(resolve)),
    wake() {
      for (const resolve of waiting) resolve();
      waiting.clear();
    },
  };
  return tail;
}

/** Index of the first one behind a position; those before `low` do not count. */
function firstBehind(held: readonly Held[], low: number, position: bigint): number {
  let high = held.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (held[middle]!.placed.position > position) high = middle;
    else low = middle + 1;
  }
  return low;
}

function collect(after: bigint, held: readonly Held[], start: number, { prefixes, batchMax }: Wanted): Cut {
  const events: Recorded[] = [];
  let position = after;
  for (let i = start; i < held.length && events.length < batchMax; i += 1) {
    const one = held[i]!;
    if (prefixes === null || prefixes.some((prefix) => one.placed.type.startsWith(prefix))) {
      try {
        one.recorded ??= decode(one.placed);
      } catch (error) {
        return { events, position, failure: error as Error };
      }
      events.push(one.recorded);
    }
    position = one.placed.position;
  }
  return { events, position, failure: null };
}

/** What a page of the log gives that was read after `after`, and, when it is not full, at least up to `until`. */
export function cutOf(after: bigint, page: readonly Placed[], until: bigint, batchMax: number): Cut {
  const held = page.map((placed) => ({ placed, recorded: null }));
  const cut = collect(after, held, 0, { prefixes: null, batchMax });
  const whole = cut.failure === null && page.length < batchMax && until > cut.position;
  return whole ? { ...cut, position: until } : cut;
}

export interface Source {
  readonly tail: Tail;
  /** Brings the tail up to what is committed now. Keeps trying until it has, or `signal` aborts. */
  refresh(signal: AbortSignal): Promise<void>;
  /** Reads after a position that the tail no longer holds. Keeps trying like `refresh`. */
  older(after: bigint, wanted: Wanted, signal: AbortSignal): Promise<Cut | null>;
  /** True when something newer than the tail is known to exist. */
  isBehind(): boolean;
}

const BATCH_MAX = 500;

/**
 * One subscription: what the tail no longer holds is read first, then the tail is followed. Whoever
 * aborts `signal` also wakes the tail.
 */
export async function* follow(
  source: Source,
  position: bigint,
  signal: AbortSignal,
  { prefixes = null, batchMax = BATCH_MAX }: Partial<Wanted>,
): AsyncGenerator<Batch, void, void> {
  const { tail } = source;
  const wanted = { prefixes, batchMax };
  await source.refresh(signal);
  if (signal.aborted) return;
  if (position < 0n || position > tail.to) {
    throw new RangeError(`the log ends at position ${tail.to}; nothing can follow ${position}`);
  }
  let at = position;
  let begun = false;
  while (!signal.aborted) {
    if (begun && at >= tail.to) {
      await tail.grown(at);
      continue;
    }
    const cut = at >= tail.from ? tail.cut(at, wanted) : await source.older(at, wanted, signal);
    if (cut === null) return;
    if (!begun || cut.position > at) {
      at = cut.position;
      begun = true;
      yield { events: cut.events, position: at, caughtUp: at >= tail.to && !source.isBehind() };
    }
    if (cut.failure !== null) throw cut.failure;
  }
}
