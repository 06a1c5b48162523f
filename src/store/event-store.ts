import type { NewEvent, Recorded } from '../events.ts';
import type { Placed, StoredEvent } from './stored-event.ts';

/** Where a stream stands: its last revision, and the hash that the next event continues. */
export interface StreamHead {
  readonly revision: bigint;
  readonly hash: string;
}

export interface Write {
  readonly stream: string;
  /** The stream's head as the writer knows it, or 'none' when it must not exist yet. There is no "any". */
  readonly expected: StreamHead | 'none';
  /**
   * At least one, and together at most WRITE_BYTES_MAX as stored. Those that come in their stored form
   * are kept to the byte, hash and payload version included: that is how a log moves to another store.
   */
  readonly events: readonly (NewEvent | StoredEvent)[];
}

/** Most bytes of JSON in one write. EventStoreDB takes one MiB in all; the rest is for envelopes. */
export const WRITE_BYTES_MAX = 960_000;

export interface Appended {
  /** Highest position written: a reader that has reached it has seen everything. */
  readonly position: bigint;
  /** The position of every event, write by write. */
  readonly positions: readonly (readonly bigint[])[];
  /** The new head of each write's stream, in the order of the writes. */
  readonly heads: readonly StreamHead[];
}

export function highestOf(positions: readonly (readonly bigint[])[]): bigint {
  let highest = 0n;
  for (const write of positions) for (const position of write) if (position > highest) highest = position;
  return highest;
}

export interface Batch {
  /** In log order; may be empty when only events of other types were passed. */
  readonly events: readonly Recorded[];
  /** Position of the newest event in it that is of the wanted types, also when it was left out; else null. */
  readonly last: bigint | null;
  /** The log has been read up to here, filtered-out events included. A complete checkpoint. */
  readonly position: bigint;
  /** True when the reader knew of nothing newer when the batch was cut. */
  readonly caughtUp: boolean;
}

export interface SubscribeOptions {
  /** Only events whose type starts with one of these, such as `key.`; all events when left out. */
  readonly prefixes?: readonly string[];
  /** Most events in one batch; default 500. */
  readonly batchMax?: number;
  /** Leaves the events out: for whoever only has to know that there are some, and how far they go. */
  readonly bare?: boolean;
}

/**
 * The log. The implementations stand beside this file; test/store/contract.ts holds all of them to
 * this text.
 */
export interface EventStore {
  /**
   * `gapless`: the log counts its events from 1, so that a missing position is a missing event.
   * `increasing`: positions only grow; how far two are apart says nothing, and only 0 and what the
   * store itself gave are positions to read after.
   */
  readonly positions: 'gapless' | 'increasing';
  /**
   * Makes every event durable, then resolves. Each write is atomic; several writes together need
   * not be. No two of them name the same stream. Appending the identical events again is a no-op
   * that answers as if they had just been written, however much has been appended since, so an
   * append with an unknown outcome is simply repeated (append-surely.ts).
   * Throws Refusal('stream_changed') when an expectation does not hold, TypeError for what cannot
   * be stored or read back, and whatever the transport throws when the outcome is unknown.
   */
  append(writes: readonly Write[]): Promise<Appended>;
  /**
   * One stream, oldest first, up to where it stood when the reading got there; with `after`, only what
   * follows that revision. An unknown stream is an empty one.
   */
  readStream(stream: string, after?: bigint): AsyncIterable<Recorded>;
  /**
   * The whole log after `position` as it is stored, oldest first, up to where it stood when the
   * reading began. Nothing is decoded or checked: for verifying, exporting and moving logs.
   */
  readLog(position: bigint): AsyncIterable<Placed>;
  /**
   * The whole log after `position` in order, then live until `signal` aborts or the store closes;
   * then it ends. The first batch comes at once, also when it is empty, so that a reader knows
   * when it has caught up. A reader that is slower than the writers only falls behind.
   * Survives lost connections by itself: it resumes where it was. Throws RangeError when the log
   * ends before `position` (the reader has seen another log), and UndecodableEvent after having
   * yielded everything before that event.
   */
  subscribe(position: bigint, signal: AbortSignal, options?: SubscribeOptions): AsyncIterable<Batch>;
  /** How often following the log had to begin anew: after an error, an end, or silence. */
  restarts(): number;
  /** Position of the newest event; 0 when the log is empty. */
  head(): Promise<bigint>;
  /** Waits for appends under way, ends the subscriptions, and takes nothing new. */
  close(): Promise<void>;
}

/** Hash that the first event of every stream continues. */
export const ZERO_HASH = '0'.repeat(64);

/** The log does not answer at the moment. What was being appended may be written or not. */
export class LogUnavailable extends Error {
  override readonly name = 'LogUnavailable';
}

/** A stored event that this build cannot read: damaged, or written by a newer build. */
export class UndecodableEvent extends Error {
  override readonly name = 'UndecodableEvent';
  readonly position: bigint;
  readonly stream: string;
  readonly revision: bigint;
  readonly eventId: string;
  readonly eventType: string;

  constructor(
    at: { position: bigint; stream: string; revision: bigint; id: string; type: string },
    reason: string,
    options?: ErrorOptions,
  ) {
    super(
      `event ${at.id} (${at.type}) at position ${at.position}, ${at.stream}@${at.revision}: ${reason}`,
      options,
    );
    this.position = at.position;
    this.stream = at.stream;
    this.revision = at.revision;
    this.eventId = at.id;
    this.eventType = at.type;
  }
}
