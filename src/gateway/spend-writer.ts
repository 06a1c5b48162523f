import { Refusal } from '../errors.ts';
import type { EventStore } from '../store/event-store.ts';
import { checkedSpendJson } from '../store/spend-json.ts';
import { createDrain, type Entry, type FailureLog } from './drain.ts';
import { createPlaces } from './places.ts';
import { openSpool, type SpoolFault, type SpoolOptions } from './spool.ts';
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
 * then is recorded in the log directly. A disk that neither takes it nor fails is not waited for
 * longer than a few seconds, and is trusted again as soon as it answers.
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
  /** To be called several times a second: what a disk that hangs has kept waiting goes to the log. */
  watch(): void;
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
  readonly spoolSync?: SpoolOptions['sync'];
}

interface Recording extends Entry {
  readonly segment: number;
  /** Null once somebody was told that it is durable. */
  done: ((refusal: Refusal | null, place: SpendPlace) => void) | null;
  /** Among those that the disk has not taken yet; -1 once they are on their way to the log. */
  place: number;
}

const SEGMENT_BYTES_MAX = 16 * 1024 * 1024;
const RETRY_AFTER_SECONDS = 5;
/** A sync takes a few milliseconds. */
const SYNC_MS_MAX = 5_000;

export function createSpendWriter(options: SpendWriterOptions): SpendWriter {
  const { writerId, waitingMax, waitingMsMax, monotonicMs, log } = options;
  const drain = createDrain<Recording>({ ...options, onDrained, onGivenUp });
  const spool = openSpool({
    dir: options.spoolDir,
    writerId,
    segmentBytesMax: options.segmentBytesMax ?? SEGMENT_BYTES_MAX,
    header: () => segmentText(drain.heads),
    nowMs: monotonicMs,
    ...(options.spoolFault === undefined ? {} : { fault: options.spoolFault }),
    ...(options.spoolSync === undefined ? {} : { sync: options.spoolSync }),
  });
  const unsynced = createPlaces<Recording>();
  /** Requests that still need a segment, by segment; ascending, since segments are. */
  const needed = new Map<number, number>();
  let closed = false;
  let told = false;

  function onDrained(recordings: readonly Recording[]): void {
    for (const recording of recordings) {
      const count = needed.get(recording.segment)! - 1;
      if (count === 0) needed.delete(recording.segment);
      else needed.set(recording.segment, count);
      tell(recording, null);
    }
    const [oldest] = needed.keys();
    spool.release(oldest ?? Infinity);
  }

  function onGivenUp(recordings: readonly Recording[]): void {
    for (const recording of recordings) tell(recording, unavailable());
  }

  function tell(recording: Recording, refusal: Refusal | null): void {
    const { done } = recording;
    recording.done = null;
    done?.(refusal, recording);
  }

  /** The disk has it, or the log is to have it without the disk. */
  function toLog(recording: Recording): void {
    if (recording.place === -1) return;
    unsynced.remove(recording.place);
    recording.place = -1;
    drain.add(recording);
  }

  function hangs(): boolean {
    const { syncingSinceMs } = spool;
    return syncingSinceMs !== null && monotonicMs() - syncingSinceMs > SYNC_MS_MAX;
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
        done,
        place: -1,
      };
      if (closed) return done(unavailable(), recording);
      recording.place = unsynced.add(recording);
      spool.add(spendText(spend, json), (error) => {
        if (error === null) tell(recording, null);
        else onDiskFailure(error);
        toLog(recording);
      });
    },
    refusal() {
      const { waiting, oldestMs, failed } = drain;
      const isOld = oldestMs !== null && monotonicMs() - oldestMs > waitingMsMax;
      const refused = closed || failed || isOld || waiting >= waitingMax || spool.failure !== null || hangs();
      return refused ? unavailable() : null;
    },
    watch() {
      if (!hangs() || unsynced.count() === 0) return;
      log.error({ waiting: unsynced.count() }, 'the disk of the spool does not answer');
      for (const recording of unsynced.all()) toLog(recording);
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
