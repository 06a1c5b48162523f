import {
  BACKWARDS,
  END,
  NO_STREAM,
  type ResolvedEvent,
  StreamDeletedError,
  StreamNotFoundError,
  WrongExpectedVersionError,
} from '@eventstore/db-client';
import { Refusal } from '../errors.ts';
import { type Encoded, headAfter } from './codec.ts';
import { LogUnavailable, type StreamHead, ZERO_HASH } from './event-store.ts';
import { type Connection, isFinalAnswer, within } from './eventstoredb-connection.ts';
import { isSystemEvent, positionOf, toEventData, toPlaced } from './eventstoredb-events.ts';
import { readToEnd, Silence } from './eventstoredb-reader.ts';
import type { Placed } from './stored-event.ts';

/**
 * Reading streams, and appending by what the server can compare: it knows revisions and ids, not
 * hashes. So the hash of the event before is compared here, with what this process has read or
 * written, else with the event itself; and what was appended is read back, which answers everything
 * at once: the last hash says that all of it is stored as it was meant, by whichever attempt of
 * whichever process, and every event says its position.
 */
export interface Streams {
  /** Revisions from `from` on, at most `max`; [] when there are none. */
  page(stream: string, from: bigint, max: number): Promise<readonly Placed[]>;
  /** Makes one write durable; the positions of its events. */
  write(encoded: readonly Encoded[]): Promise<readonly bigint[]>;
  /** Position of the newest event that is not the server's own; 0 when there is none. */
  readonly head: () => Promise<bigint>;
}

export interface StreamsOptions {
  readonly writing: Connection;
  readonly reading: Connection;
  readonly appendMsMax: number;
  readonly silenceMsMax: number;
  /** Instant of recording; null leaves it to the server. */
  readonly recordedAt: () => string | null;
}

/** Streams whose last known event is remembered, so that it need not be read before an append. */
const HEADS_MAX = 20_000;
/** How many events are looked at, going back from the end, for one that is not the server's own. */
const HEAD_PAGES = [1, 16, 256, 4_096];
/** How much longer than its deadline an append is waited for. */
const GRACE_MS = 1_000;

export function createStreams(options: StreamsOptions): Streams {
  const { writing, reading, appendMsMax, silenceMsMax, recordedAt } = options;
  const known = new Map<string, StreamHead>();
  let highest = 0n;

  function remember(stream: string, { revision, hash }: StreamHead): void {
    known.delete(stream);
    known.set(stream, { revision, hash });
    if (known.size > HEADS_MAX) known.delete(known.keys().next().value!);
  }

  async function page(stream: string, from: bigint, max: number): Promise<readonly Placed[]> {
    const events = await read(() =>
      reading.client.readStream(stream, { fromRevision: from, maxCount: max, requiresLeader: true }),
    );
    const placed = events.map(({ event }) => toPlaced(event!));
    const last = placed.at(-1);
    if (last !== undefined) remember(stream, last);
    return placed;
  }

  async function read(open: () => Parameters<typeof readToEnd>[0]): Promise<readonly ResolvedEvent[]> {
    try {
      return await readToEnd(open(), silenceMsMax);
    } catch (error) {
      if (error instanceof StreamNotFoundError) return [];
      if (error instanceof Silence) reading.renew();
      throw unavailable(error);
    }
  }

  /** Throws Refusal('stream_changed') unless the event before has the hash that this write continues. */
  async function checkLink(stream: string, revision: bigint, hash: string): Promise<void> {
    const head = known.get(stream);
    if (head?.revision === revision) {
      if (head.hash !== hash) throw new Refusal('stream_changed');
      return;
    }
    const [before] = await page(stream, revision, 1);
    if (before?.revision !== revision || before.hash !== hash) throw new Refusal('stream_changed');
  }

  /** Sends it. False when the server says that the stream is elsewhere. */
  async function send(encoded: readonly Encoded[]): Promise<boolean> {
    const { stream, revision } = encoded[0]!.stored;
    const expectedRevision = revision === 0n ? NO_STREAM : revision - 1n;
    const events = toEventData(encoded, recordedAt());
    try {
      await within(
        writing.client.appendToStream(stream, events, {
          expectedRevision,
          deadline: appendMsMax,
          requiresLeader: true,
        }),
        appendMsMax + GRACE_MS,
        'an append',
      );
      return true;
    } catch (error) {
      if (error instanceof WrongExpectedVersionError) return false;
      if (error instanceof StreamDeletedError) throw new Refusal('stream_changed');
      if (isFinalAnswer(error)) {
        throw new TypeError(`EventStoreDB refuses it: ${(error as Error).message}`, { cause: error });
      }
      throw unavailable(error);
    }
  }

  async function write(encoded: readonly Encoded[]): Promise<readonly bigint[]> {
    const { stream, revision, previousHash } = encoded[0]!.stored;
    if (revision > 0n) await checkLink(stream, revision - 1n, previousHash);
    else if (previousHash !== ZERO_HASH) throw new Refusal('stream_changed');
    const isAccepted = await send(encoded);
    const placed = await page(stream, revision, encoded.length);
    if (isAccepted && placed.length < encoded.length)
      throw new LogUnavailable(`what was appended to ${stream} cannot be read yet`);
    // A hash covers the one before it, so the last one speaks for all.
    if (placed.at(-1)?.hash !== headAfter(encoded).hash) throw new Refusal('stream_changed');
    return placed.map(({ position }) => position);
  }

  async function head(): Promise<bigint> {
    const from = highest;
    let end: { readonly commit: bigint; readonly prepare: bigint } | null = null;
    for (let i = 0; ; i += 1) {
      const max = HEAD_PAGES[i] ?? HEAD_PAGES.at(-1)!;
      const fromPosition = end ?? END;
      const events = await read(() =>
        reading.client.readAll({ direction: BACKWARDS, fromPosition, maxCount: max, requiresLeader: true }),
      );
      for (const { event } of events) {
        if (event === undefined) continue;
        const position = positionOf(event);
        // Below here everything has been looked at before.
        if (position <= from) return highest;
        if (!isSystemEvent(event)) return (highest = position > highest ? position : highest);
        end = { commit: position, prepare: position };
      }
      if (events.length < max) return highest;
    }
  }

  return { page, write, head };
}

function unavailable(error: unknown): LogUnavailable {
  const reason = error instanceof Error ? error.message : String(error);
  return new LogUnavailable(`EventStoreDB does not answer: ${reason}`, { cause: error });
}
