import type { SpendRecorded } from '../domain/spend.ts';
import { isRefusal, Refusal } from '../errors.ts';
import type { Cause, NewEvent } from '../events.ts';
import type { EventStore, StreamHead, Write } from '../store/event-store.ts';
import { eventId } from '../transact.ts';

/**
 * Group commit: the spend of many requests shares one durable append. One append is in flight at a
 * time; what arrives meanwhile forms the next batch, so batches grow with load by themselves, and
 * with nothing in flight nothing waits. `writerId` is new for every start of the process: each
 * spend stream has one writer, which therefore always knows its head.
 *
 * An append whose outcome is unknown is repeated as it was until it succeeds; the store recognises
 * what it has already. Meanwhile new requests are refused once the queue is too long or too old.
 */
export interface SpendWriterOptions {
  readonly store: Pick<EventStore, 'append'>;
  readonly writerId: string;
  /** Most events in one append. */
  readonly batchMax: number;
  /** Events waiting, and the age of the oldest, beyond which no new request is admitted. */
  readonly queueMax: number;
  readonly queueMsMax: number;
  /** First and longest pause before an append is repeated; it doubles. */
  readonly retryMs: number;
  readonly retryMsMax: number;
  /** A clock that never goes back. */
  readonly monotonicMs: () => number;
  readonly log: FailureLog;
}

/** The part of a logger that failures need. */
export interface FailureLog {
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

/** A spend event without its id, which follows from the stream and the request. */
export type SpendToRecord = Omit<Cause, 'causationId'> & {
  readonly occurredAt: string;
  readonly data: SpendRecorded['data'];
};

export interface SpendWriter {
  /** Resolves with the event's position once it is durable. Rejects when the writer was closed before. */
  record(spend: SpendToRecord): Promise<bigint>;
  /** Null when a new request may be served; else Refusal(log_unavailable). */
  refusal(): Refusal | null;
  /** The highest position that this writer knows to be durable. */
  readonly position: bigint;
  /** Events that are not durable yet. */
  readonly waiting: number;
  /** Writes what waits, for at most so long, then gives up on the rest. */
  close(graceMs: number): Promise<void>;
}

interface Waiting {
  readonly spend: SpendToRecord;
  readonly sinceMs: number;
  readonly resolve: (position: bigint) => void;
  readonly reject: (error: Error) => void;
}

const RETRY_AFTER_SECONDS = 5;
/** Below what a store takes in one write; clients choose the tags and names in an event. */
const BATCH_BYTES_MAX = 800_000;
/** What an event has beside the texts that others choose. */
const EVENT_BYTES = 1_500;
/** A character takes up to six bytes in JSON. */
const CHARACTER_BYTES_MAX = 6;

/** How many from the front of the queue make one append: at least one, as many as surely fit. */
function batchSize(queue: readonly Waiting[], batchMax: number): number {
  let bytes = 0;
  for (let i = 0; i < queue.length && i < batchMax; i += 1) {
    const { tags, endUser, model, responseId, userId, projectId, deployment } = queue[i]!.spend.data;
    let characters = model.length + deployment.length;
    for (const text of [endUser, responseId, userId, projectId]) characters += text?.length ?? 0;
    for (const tag of tags) characters += tag.length;
    bytes += EVENT_BYTES + CHARACTER_BYTES_MAX * characters;
    if (bytes > BATCH_BYTES_MAX && i > 0) return i;
  }
  return Math.min(queue.length, batchMax);
}

export function createSpendWriter(options: SpendWriterOptions): SpendWriter {
  const { store, writerId, batchMax, queueMax, queueMsMax, monotonicMs, log } = options;
  const heads = new Map<string, StreamHead>();
  let queue: Waiting[] = [];
  let inFlight: readonly Waiting[] = [];
  let position = 0n;
  let state: 'open' | 'closing' | 'given-up' = 'open';
  let flushing: Promise<void> | null = null;
  let wakeRetry: (() => void) | null = null;

  function record(spend: SpendToRecord): Promise<bigint> {
    if (state === 'given-up') return Promise.reject(unavailable());
    return new Promise((resolve, reject) => {
      queue.push({ spend, sinceMs: monotonicMs(), resolve, reject });
      start();
    });
  }

  function start(): void {
    flushing ??= afterThisTurn()
      .then(flushAll)
      .finally(() => {
        flushing = null;
        if (queue.length > 0 && state !== 'given-up') start();
      });
  }

  async function flushAll(): Promise<void> {
    while (queue.length > 0) {
      const size = batchSize(queue, batchMax);
      inFlight = size === queue.length ? queue : queue.slice(0, size);
      queue = size === queue.length ? [] : queue.slice(size);
      const { writes, order } = toWrites(inFlight);
      const appended = await appendUntilDurable(writes);
      if (appended === null) break;
      writes.forEach(({ stream }, i) => heads.set(stream, appended.heads[i]!));
      position = appended.position;
      const positions = appended.positions.flat();
      inFlight = [];
      order.forEach(({ resolve }, i) => resolve(positions[i]!));
    }
  }

  /** One write per stream; nearly always one, two around the end of a month. */
  function toWrites(batch: readonly Waiting[]): { writes: readonly Write[]; order: readonly Waiting[] } {
    const byStream = new Map<string, Waiting[]>();
    for (const waiting of batch) {
      const stream = `spend-${waiting.spend.data.month}-${writerId}`;
      const sharing = byStream.get(stream);
      if (sharing === undefined) byStream.set(stream, [waiting]);
      else sharing.push(waiting);
    }
    const groups = [...byStream];
    const writes = groups.map(([stream, sharing]) => ({
      stream,
      expected: heads.get(stream) ?? ('none' as const),
      events: sharing.map(({ spend }) => toEvent(stream, spend)),
    }));
    return { writes, order: groups.flatMap(([, sharing]) => sharing) };
  }

  /** Null when the writer has given up. */
  async function appendUntilDurable(writes: readonly Write[]) {
    for (let pauseMs = options.retryMs; ; pauseMs = Math.min(pauseMs * 2, options.retryMsMax)) {
      try {
        return await store.append(writes);
      } catch (error) {
        const stream = writes[0]!.stream;
        if (isRefusal(error, 'stream_changed')) {
          // Nobody else writes here. Serving on would mean spend that cannot be recorded.
          log.error({ err: error, stream }, 'the spend stream was changed by somebody else');
          giveUp();
          return null;
        }
        log.warn({ err: error, stream, waiting: inFlight.length + queue.length }, 'spend is not written yet');
      }
      if (state === 'given-up') return null;
      await pauseOrWake(pauseMs);
    }
  }

  function pauseOrWake(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      wakeRetry = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  function giveUp(): void {
    state = 'given-up';
    const lost = [...inFlight, ...queue];
    inFlight = [];
    queue = [];
    if (lost.length > 0)
      log.error({ lost: lost.map(({ spend }) => spend.data) }, 'spend could not be written');
    for (const { reject } of lost) reject(unavailable());
    wakeRetry?.();
  }

  return {
    record,
    refusal() {
      const oldest = inFlight[0] ?? queue[0];
      const isFull = inFlight.length + queue.length >= queueMax;
      const isOld = oldest !== undefined && monotonicMs() - oldest.sinceMs > queueMsMax;
      return state === 'open' && !isFull && !isOld ? null : unavailable();
    },
    get position() {
      return position;
    },
    get waiting() {
      return inFlight.length + queue.length;
    },
    async close(graceMs) {
      if (state === 'open') state = 'closing';
      const timer = setTimeout(giveUp, graceMs);
      await flushing;
      clearTimeout(timer);
      state = 'given-up';
    },
  };
}

function toEvent(stream: string, spend: SpendToRecord): NewEvent<SpendRecorded> {
  const { data, agencyId, tenantId, actor, correlationId, occurredAt } = spend;
  const { requestId } = data;
  return {
    id: eventId(stream, requestId, 0),
    agencyId,
    tenantId,
    actor,
    correlationId,
    causationId: requestId,
    occurredAt,
    commandHash: null,
    event: { type: 'spend.recorded', data },
  };
}

/** What the sockets have ready at the same moment is recorded together. */
function afterThisTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function unavailable(): Refusal {
  const detail = { retryAfterSeconds: RETRY_AFTER_SECONDS };
  return new Refusal('log_unavailable', detail, { retryAfterSeconds: RETRY_AFTER_SECONDS });
}
