import { unlinkSync } from 'node:fs';
import { NO_USAGE, rate } from '../domain/spend.ts';
import { appendSurely } from '../store/append-surely.ts';
import type { EventStore, StreamHead } from '../store/event-store.ts';
import type { FailureLog } from './drain.ts';
import { readSpool, removeSpares, type Segment } from './spool.ts';
import {
  type Intent,
  readRecord,
  spendEvent,
  spendStream,
  type SpendToRecord,
  type SpoolRecord,
} from './spool-records.ts';

/**
 * Takes what killed processes have left in the spool to the log, before anything is served. Each
 * event has the id that the drain would have given it, so what is in the log already is found there
 * and nothing is written twice, however often this is interrupted itself.
 */
export interface Recovered {
  /** Spends that were not in the log yet. */
  readonly spends: number;
  /** Those of them that nobody had settled: requests that ended with their process. */
  readonly interrupted: number;
}

export interface RecoveryOptions {
  readonly dir: string;
  readonly store: Pick<EventStore, 'append' | 'readStream'>;
  readonly log: FailureLog;
  /** A spool that belongs to a living process is left alone. */
  readonly isAlive?: (writerId: string) => boolean;
  /** Nothing is left of this writer. */
  readonly onEmptied?: (writerId: string) => void;
}

const BATCH_MAX = 500;
const ATTEMPTS_MAX = 20;

export async function recoverSpool({
  dir,
  store,
  log,
  isAlive,
  onEmptied,
}: RecoveryOptions): Promise<Recovered> {
  let spends = 0;
  let interrupted = 0;
  for (const [writerId, segments] of readSpool(dir, isAlive)) {
    for (const { path, tornBytes } of segments) {
      // Cut off while it was written: nobody was told that it was there.
      if (tornBytes > 0) log.warn({ path, tornBytes }, 'the end of the spool was not written to the end');
    }
    const left = outcomes(segments.flatMap(({ records }) => records.map(readRecord)));
    const missing = await appendMissing(store, writerId, left);
    spends += missing.length;
    interrupted += missing.filter(({ data }) => data.outcome === 'interrupted').length;
    removeAll(segments);
    onEmptied?.(writerId);
  }
  removeSpares(dir, (writerId) => isAlive?.(writerId) === true);
  return { spends, interrupted };
}

interface Left {
  /** In the order in which they ended; those that were cut off come last. */
  readonly spends: readonly SpendToRecord[];
  /** Where the streams stood before the oldest of them. */
  readonly heads: ReadonlyMap<string, StreamHead>;
}

/** One outcome per request: how it was settled, or what may have been delivered when it was cut off. */
function outcomes(records: readonly SpoolRecord[]): Left {
  const open = new Map<string, Intent>();
  const delivered = new Map<string, number>();
  const spends: SpendToRecord[] = [];
  let heads: ReadonlyMap<string, StreamHead> | null = null;
  for (const record of records) {
    if (record.kind === 'segment') heads ??= record.heads;
    else if (record.kind === 'intent') open.set(record.intent.requestId, record.intent);
    else if (record.kind === 'delivery') delivered.set(record.requestId, record.tokens);
    else {
      open.delete(record.spend.data.requestId);
      spends.push(record.spend);
    }
  }
  for (const [requestId, intent] of open) spends.push(cutOff(intent, delivered.get(requestId) ?? null));
  return { spends, heads: heads ?? new Map() };
}

/** Status of an answer that had not begun when the process was killed. */
const INTERRUPTED_STATUS = 503;

/**
 * What is recorded of a request whose process was killed. Of an answer that never began, nothing is
 * charged; of one that had begun, the prompt and as much as may have gone out, never more than what
 * was reserved.
 */
function cutOff(intent: Intent, tokens: number | null): SpendToRecord {
  const { agencyId, tenantId, actor, correlationId, occurredAt, estimate, ...known } = intent;
  const began = tokens !== null && estimate !== null;
  const usage = began
    ? {
        ...NO_USAGE,
        inputTokens: estimate.inputTokens,
        outputTokens: Math.min(tokens, estimate.outputTokensMax),
        ...(estimate.units === undefined ? {} : { units: estimate.units }),
      }
    : NO_USAGE;
  const lines = began ? rate(usage, estimate.prices, estimate.costs) : [];
  let priceNanos = 0n;
  let costNanos = 0n;
  for (const line of lines) {
    priceNanos += line.priceNanos;
    costNanos += line.costNanos;
  }
  return {
    agencyId,
    tenantId,
    actor,
    correlationId,
    occurredAt,
    data: {
      ...known,
      outcome: 'interrupted',
      status: began ? 200 : INTERRUPTED_STATUS,
      usageSource: began ? 'estimated' : 'none',
      usage,
      lines,
      priceNanos,
      costNanos,
      durationMs: 0,
      firstByteMs: null,
      responseId: null,
    },
  };
}

async function appendMissing(
  store: RecoveryOptions['store'],
  writerId: string,
  { spends, heads }: Left,
): Promise<readonly SpendToRecord[]> {
  const byStream = new Map<string, SpendToRecord[]>();
  for (const spend of spends) {
    const stream = spendStream(writerId, spend);
    const sharing = byStream.get(stream);
    if (sharing === undefined) byStream.set(stream, [spend]);
    else sharing.push(spend);
  }
  const appended: SpendToRecord[] = [];
  for (const [stream, all] of byStream) {
    const known = await readKnown(store, stream, heads.get(stream) ?? null);
    const missing = all.filter((spend) => !known.ids.has(spendEvent(stream, spend).id));
    let { head } = known;
    for (let at = 0; at < missing.length; at += BATCH_MAX) {
      const events = missing.slice(at, at + BATCH_MAX).map((spend) => spendEvent(stream, spend));
      const write = { stream, expected: head ?? ('none' as const), events };
      head = (await appendSurely(store, [write], { attemptsMax: ATTEMPTS_MAX })).heads[0]!;
    }
    appended.push(...missing);
  }
  return appended;
}

/** What the stream has beyond where it stood, and where it stands now; null when it does not exist. */
async function readKnown(store: RecoveryOptions['store'], stream: string, from: StreamHead | null) {
  const ids = new Set<string>();
  let head = from;
  for await (const { id, revision, hash } of store.readStream(stream, from?.revision)) {
    ids.add(id);
    head = { revision, hash };
  }
  return { ids, head };
}

function removeAll(segments: readonly Segment[]): void {
  for (const { path } of segments) unlinkSync(path);
}
