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
  /** True while nobody reads spend but without its content: then `pass` may be called. */
  readonly thin: boolean;
  /**
   * Takes what follows up to `position`, where spend is left out: the rest of the events, and the
   * position of the newest spend among them. What is known already is passed over.
   */
  pass(position: bigint, others: readonly Placed[], spend: bigint | null): void;
  /** Forgets what it holds and continues after `position`. */
  reset(position: bigint): void;
  /**
   * Somebody who reads after `position` from now on. What no reader waits for any more is forgotten
   * at once: an event that is gone before the next garbage collection costs it nothing.
   */
  open(position: bigint, wanted: Wanted): Reader;
  close(reader: Reader): void;
  /** Reads on, for a reader who is not below `from`. */
  cut(reader: Reader): Cut;
  /** Resolves as soon as something after `position` is known, or when it is woken. */
  grown(position: bigint): Promise<void>;
  wake(): void;
}

export interface Wanted {
  readonly prefixes: readonly string[] | null;
  readonly batchMax: number;
  /** Without the events themselves. */
  readonly bare: boolean;
}

export interface Reader extends Wanted {
  /** Everything up to here it has had, or does not want. */
  at: bigint;
}

/** Consecutive events of a log that a reader wants. */
export interface Cut {
  readonly events: readonly Recorded[];
  /** Where the newest wanted one is, also when it is left out. */
  readonly last: bigint | null;
  /** Everything up to here has been looked at. */
  readonly position: bigint;
  /** Why reading cannot go on after `position`; null when it can. */
  readonly failure: Error | null;
}

interface Held {
  readonly position: bigint;
  readonly type: string;
  /** Null when it was left out. */
  readonly placed: Placed | null;
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
  let to = 0n;
  let thin = true;
  /** Where the newest spend that was left out is. */
  let leftOutTo = 0n;
  let characters = 0;
  const waiting = new Set<() => void>();
  const readers = new Set<Reader>();
  /** The readers that want a type of event. */
  const wanting = new Map<string, readonly Reader[]>();
  const size = (): number => held.length - first;

  function trim(): void {
    while (size() > 1 && (size() > bounds.eventsMax || characters > bounds.charactersMax)) forgetFirst();
    compact();
  }

  function forgetFirst(): void {
    const { position, placed } = held[first]!;
    characters -= placed?.data.length ?? 0;
    from = position;
    first += 1;
  }

  function compact(): void {
    if (first < held.length && (first <= 1_024 || first <= held.length / 2)) return;
    held = held.slice(first);
    first = 0;
  }

  function wantedBy(type: string): readonly Reader[] {
    let those = wanting.get(type);
    if (those === undefined)
      wanting.set(type, (those = [...readers].filter((reader) => wants(reader, type))));
    return those;
  }

  /** Forgets what every reader has had or does not want; one who reads what is older is not waited for. */
  function forgetRead(): void {
    if (bounds.eventsMax === Infinity) return;
    const before = from;
    while (size() > 0) {
      const { position, type } = held[first]!;
      if (wantedBy(type).some(({ at }) => at >= before && at < position)) break;
      forgetFirst();
    }
    if (from === before) return;
    for (const reader of readers) if (reader.at >= before && reader.at < from) reader.at = from;
    compact();
  }

  function hold(placed: Placed, decoded?: Pick<Encoded, 'event' | 'actor'>): void {
    const one = heldOf(placed);
    if (decoded !== undefined) one.recorded = toRecorded(placed, decoded.event, decoded.actor);
    held.push(one);
    characters += placed.data.length;
    to = placed.position;
  }

  function leaveOut(position: bigint): null {
    if (position <= to) return null;
    held.push({ position, type: SPEND, placed: null, recorded: null });
    to = position;
    leftOutTo = position;
    return null;
  }

  /** Somebody who wants all of the spend cannot read on from what was left out. */
  function readersChanged(): void {
    wanting.clear();
    thin = [...readers].every((reader) => reader.bare || !includesSpend(reader.prefixes));
    if (!thin && leftOutTo > from) tail.reset(to);
  }

  const tail: Tail = {
    get from() {
      return from;
    },
    get to() {
      return to;
    },
    get thin() {
      return thin;
    },
    push(placed, decoded) {
      if (placed.position <= to) return true;
      if (bounds.positions === 'gapless' && placed.position !== to + 1n) return false;
      hold(placed, decoded);
      trim();
      tail.wake();
      return true;
    },
    pass(position, others, spend) {
      let left = spend;
      for (const placed of others) {
        if (left !== null && left < placed.position) left = leaveOut(left);
        if (placed.position > to) hold(placed);
      }
      if (left !== null) leaveOut(left);
      if (position > to) to = position;
      trim();
      tail.wake();
    },
    reset(position) {
      held = [];
      first = 0;
      characters = 0;
      from = position;
      to = position;
      tail.wake();
    },
    open(position, wanted) {
      const reader = { ...wanted, at: position };
      readers.add(reader);
      readersChanged();
      return reader;
    },
    close(reader) {
      readers.delete(reader);
      readersChanged();
    },
    cut(reader) {
      const { at } = reader;
      const found = collect(at, held, firstBehind(held, first, at), reader);
      // Behind the newest event that is held there may be some that nobody wants.
      const whole = found.failure === null && found.events.length < reader.batchMax;
      const cut = whole ? { ...found, position: to } : found;
      reader.at = cut.position;
      forgetRead();
      return cut;
    },
    grown: (position) => (to > position ? Promise.resolve() : new Promise((resolve) => waiting.add(resolve))),
    wake() {
      for (const resolve of waiting) resolve();
      waiting.clear();
    },
  };
  return tail;
}

function heldOf(placed: Placed): Held {
  return { position: placed.position, type: placed.type, placed, recorded: null };
}

/** Index of the first one behind a position; those before `low` do not count. */
function firstBehind(held: readonly Held[], low: number, position: bigint): number {
  let high = held.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (held[middle]!.position > position) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Nearly all of a log is of this type. */
const SPEND = 'spend.recorded';
const SPEND_PREFIX = 'spend.';

/** Whether some of these types, all types when null, are spend. */
export function includesSpend(prefixes: readonly string[] | null): boolean {
  if (prefixes === null) return true;
  return prefixes.some((prefix) => prefix.startsWith(SPEND_PREFIX) || SPEND_PREFIX.startsWith(prefix));
}

function wants({ prefixes }: Wanted, type: string): boolean {
  return prefixes === null || prefixes.some((prefix) => type.startsWith(prefix));
}

function collect(after: bigint, held: readonly Held[], start: number, wanted: Wanted): Cut {
  const events: Recorded[] = [];
  let last: bigint | null = null;
  let position = after;
  for (let i = start; i < held.length && events.length < wanted.batchMax; i += 1) {
    const one = held[i]!;
    if (wants(wanted, one.type)) {
      try {
        if (!wanted.bare) events.push((one.recorded ??= decode(one.placed!)));
      } catch (error) {
        return { events, last, position, failure: error as Error };
      }
      last = one.position;
    }
    position = one.position;
  }
  return { events, last, position, failure: null };
}

/** What a page of wanted events gives that was read after `after`, and, when it is not full, at least up to `until`. */
export function cutOf(after: bigint, page: readonly Placed[], until: bigint, wanted: Wanted): Cut {
  const { batchMax } = wanted;
  const held = page.map(heldOf);
  const cut = collect(after, held, 0, { ...wanted, prefixes: null });
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
  { prefixes = null, batchMax = BATCH_MAX, bare = false }: Partial<Wanted>,
): AsyncGenerator<Batch, void, void> {
  const { tail } = source;
  const wanted = { prefixes, batchMax, bare };
  await source.refresh(signal);
  if (signal.aborted) return;
  if (position < 0n || position > tail.to) {
    throw new RangeError(`the log ends at position ${tail.to}; nothing can follow ${position}`);
  }
  const reader = tail.open(position, wanted);
  try {
    yield* readOn(source, reader, signal);
  } finally {
    tail.close(reader);
  }
}

async function* readOn(
  source: Source,
  reader: Reader,
  signal: AbortSignal,
): AsyncGenerator<Batch, void, void> {
  const { tail } = source;
  let told = reader.at;
  let begun = false;
  let caughtUp = false;
  const isAtEnd = (): boolean => told >= tail.to && !source.isBehind();
  while (!signal.aborted) {
    if (begun && told >= tail.to) {
      // What is older is read from the log itself, which may be further than the tail: then the end is
      // known to be one only when the tail has come there too.
      if (!caughtUp && isAtEnd()) {
        caughtUp = true;
        yield { events: [], last: null, position: told, caughtUp };
      } else await tail.grown(told);
      continue;
    }
    const cut = reader.at >= tail.from ? tail.cut(reader) : await source.older(reader.at, reader, signal);
    if (cut === null) return;
    if (cut.position > reader.at) reader.at = cut.position;
    if (!begun || cut.position > told) {
      told = cut.position;
      begun = true;
      caughtUp = isAtEnd();
      yield { events: cut.events, last: cut.last, position: told, caughtUp };
    }
    if (cut.failure !== null) throw cut.failure;
  }
}
