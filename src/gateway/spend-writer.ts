import { Refusal } from '../errors.ts';
import type { EventStore } from '../store/event-store.ts';
import { checkedSpendJson } from '../store/spend-json.ts';
import { createDrain, type Entry, type FailureLog } from './drain.ts';
import { openSpool, type SpoolFault } from './spool.ts';
import {
  deliveryText,
  type Intent,
  intentText,
  segmentText,
  spendEvent,
  spendStream,
  spendText,
  type SpendToRecord,
} from './spool-records.ts';

/**
 * Where every request's outcome goes. Three notes per request, each in the spool (spool.ts) before
 * what it stands for happens: that the upstream is called, how far a streamed answer may go out, and
 * how it ended. The last is then taken to the log (drain.ts). What a process that was killed has left
 * in its spool is taken there by the next one (spool-recovery.ts).
 *
 * While the log is away, answers go on from the spool alone, until too much waits or the oldest has
 * waited for too long; when the disk fails, at once nothing new is admitted. What was admitted by
 * then is recorded in the log directly.
 */
export interface SpendWriter {
  /**
   * Notes what will be recorded if this process ends before the request does. `go` runs once that is
   * handed over, with Refusal(log_unavailable) when it cannot be and the upstream must not be called.
   */
  begin(intent: Intent, go: (refusal: Refusal | null) => void): Ticket;
  /** Replaces what `begin` noted for the same request. */
  amend(intent: Intent): void;
  /** `go` runs once so many completion tokens of the answer may go out, with an error when they may not. */
  deliver(ticket: Ticket, tokens: number, go: (error: Error | null) => void): void;
  /** `done` runs once the spend is durable. Refusal(log_unavailable) when it is nowhere. */
  record(
    ticket: Ticket,
    spend: SpendToRecord,
    done: (refusal: Refusal | null, place: SpendPlace) => void,
  ): void;
  /** Null when a new request may be served; else Refusal(log_unavailable). */
  refusal(): Refusal | null;
  /** Resolves once all that was recorded so far is in the log, with the highest position of it. */
  flush(): Promise<bigint>;
  /** The highest position that this writer has written to the log; 0 before the first. */
  readonly position: bigint;
  /** Spend that is not in the log yet. */
  readonly waiting: number;
  readonly spoolBytes: number;
  /** Takes what waits to the log, for at most so long; the rest stays in the spool for the next start. */
  close(graceMs: number): Promise<void>;
}

/** A request that was begun. */
export interface Ticket {
  readonly requestId: string;
  /** The first segment of the spool that has something of it. */
  readonly segment: number;
}

/** Where a spend is in the log; null until the drain has taken it there. */
export interface SpendPlace {
  readonly position: bigint | null;
}

export interface SpendWriterOptions {
  readonly store: Pick<EventStore, 'append'>;
  /** New for every start of the process: each spend stream has one writer, which knows its head. */
  readonly writerId: string;
  /** Folder of the spool. */
  readonly spoolDir: string;
  /** Most events in one append. */
  readonly batchMax: number;
  /** How long spend gathers before it is taken to the log while nobody waits for it. */
  readonly gatherMs: number;
  /** Spends that wait for the log, and the age of the oldest, beyond which no new request is admitted. */
  readonly waitingMax: number;
  readonly waitingMsMax: number;
  /** First and longest pause before an append is repeated; it doubles. */
  readonly retryMs: number;
  readonly retryMsMax: number;
  /** A clock that never goes back. */
  readonly monotonicMs: () => number;
  readonly log: FailureLog;
  readonly segmentBytesMax?: number;
  readonly spoolFault?: SpoolFault;
}

interface Recording extends Entry {
  readonly segment: number;
  /** Set while only the log can make it durable. */
  done: ((refusal: Refusal | null, place: SpendPlace) => void) | null;
}

const SEGMENT_BYTES_MAX = 16 * 1024 * 1024;
const RETRY_AFTER_SECONDS = 5;

export function createSpendWriter(options: SpendWriterOptions): SpendWriter {
  const { writerId, waitingMax, waitingMsMax, monotonicMs, log } = options;
  const drain = createDrain<Recording>({ ...options, onDrained, onGivenUp });
  const spool = openSpool({
    dir: options.spoolDir,
    writerId,
    segmentBytesMax: options.segmentBytesMax ?? SEGMENT_BYTES_MAX,
    header: () => segmentText(drain.heads),
    ...(options.spoolFault === undefined ? {} : { fault: options.spoolFault }),
  });
  /** Requests that still need a segment, by segment; ascending, since segments are. */
  const needed = new Map<number, number>();
  let closed = false;
  let told = false;

  function onDrained(recordings: readonly Recording[]): void {
    for (const recording of recordings) {
      const count = needed.get(recording.segment)! - 1;
      if (count === 0) needed.delete(recording.segment);
      else needed.set(recording.segment, count);
      recording.done?.(null, recording);
    }
    const [oldest] = needed.keys();
    spool.release(oldest ?? Infinity);
  }

  function onGivenUp(recordings: readonly Recording[]): void {
    for (const recording of recordings) {
      recording.done?.(unavailable(), recording);
      recording.done = null;
    }
  }

  /** Resolves once everything recorded so far is on disk, or has failed to be. */
  function onDisk(): Promise<void> {
    return new Promise((resolve) => {
      spool.settle(resolve);
    });
  }

  function onDiskFailure(error: Error): void {
    if (!told)
      log.error({ err: error }, 'the spool cannot be written; nothing new is served until a restart');
    told = true;
  }

  return {
    begin(intent, go) {
      const segment = spool.add(intentText(intent), null);
      spool.handOver((error) => {
        if (error !== null) onDiskFailure(error);
        go(error === null ? null : unavailable());
      });
      needed.set(segment, (needed.get(segment) ?? 0) + 1);
      return { requestId: intent.requestId, segment };
    },
    amend(intent) {
      spool.add(intentText(intent), null);
    },
    deliver({ requestId }, tokens, go) {
      spool.add(deliveryText(requestId, tokens), go);
    },
    record({ segment }, spend, done) {
      const json = checkedSpendJson(spend.data);
      const stream = spendStream(writerId, spend);
      const recording: Recording = {
        stream,
        event: spendEvent(stream, spend, json),
        bytes: Buffer.byteLength(json),
        sinceMs: monotonicMs(),
        position: null,
        segment,
        done: null,
      };
      if (closed) return done(unavailable(), recording);
      spool.add(spendText(spend, json), (error) => {
        if (error === null) done(null, recording);
        else {
          onDiskFailure(error);
          recording.done = done;
        }
        drain.add(recording);
      });
    },
    refusal() {
      const { waiting, oldestMs, failed } = drain;
      const isOld = oldestMs !== null && monotonicMs() - oldestMs > waitingMsMax;
      const refused = closed || failed || isOld || waiting >= waitingMax || spool.failure !== null;
      return refused ? unavailable() : null;
    },
    async flush() {
      await onDisk();
      return await drain.flush();
    },
    get position() {
      return drain.position;
    },
    get waiting() {
      return drain.waiting;
    },
    get spoolBytes() {
      return spool.bytes;
    },
    async close(graceMs) {
      closed = true;
      await onDisk();
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, graceMs);
      });
      await Promise.race([
        drain.flush().then(
          () => undefined,
          () => undefined,
        ),
        late,
      ]);
      clearTimeout(timer);
      drain.stop();
      const { waiting } = drain;
      if (waiting > 0) log.warn({ waiting }, 'spend stays in the spool until the next start');
      spool.close(waiting === 0 && needed.size === 0);
    },
  };
}

function unavailable(): Refusal {
  const detail = { retryAfterSeconds: RETRY_AFTER_SECONDS };
  return new Refusal('log_unavailable', detail, { retryAfterSeconds: RETRY_AFTER_SECONDS });
}
