import { createHash } from 'node:crypto';
import { decode } from '../store/codec.ts';
import { UndecodableEvent } from '../store/event-store.ts';
import { BundleProblem, type Entry, type NumberedEntry, readBundle, type Scope } from './bundle.ts';
import { chainCheck } from './chain-check.ts';
import { newCheck } from './check.ts';
import { invoiceSums } from './invoice-sums.ts';
import type { Verdict } from './format-verdict.ts';
import { partCheck } from './part-check.ts';
import { type Checkpoint, isCheckpoint, sealCheck } from './seal-check.ts';
import type { PublicKey } from './signing-key.ts';

/**
 * Checks an export with nothing but the file and, better, a public key that the reader has from
 * elsewhere. The file is read twice, because what seals an event comes after it.
 */
export interface VerifyBundleOptions {
  /** Opens the file anew, line by line. */
  readonly open: () => AsyncIterable<string>;
  readonly trusted?: readonly PublicKey[];
  /** Hashes of events or seals that must be there. */
  readonly expected?: readonly string[];
  /** A clock that never jumps. */
  readonly nowMs: () => number;
  readonly onProgress?: (progress: {
    readonly part: string;
    readonly done: number;
    readonly total: number;
  }) => void;
}

/** As JSON. */
export interface BundleReport extends Verdict {
  /** Null when the file has no readable header. */
  readonly scope: Scope | null;
}

const PROGRESS_EVENTS = 5_000;

export async function verifyBundle(options: VerifyBundleOptions): Promise<BundleReport> {
  const began = options.nowMs();
  const file = newCheck('file');
  const { scope, checkpoints, total } = await survey(options, (problem) => file.fail(null, problem));
  const seals = sealCheck({ ...options, checkpoints });
  const content = scope === null || scope.kind === 'all' ? wholeLog() : partCheck(scope, checkpoints);
  const documents = documentCheck();
  const sums = invoiceSums(scope);
  let events = 0;
  let head = 0n;
  for await (const { entry } of lenient(options.open())) {
    if (entry.kind === 'event') {
      const { placed } = entry;
      events += 1;
      if (placed.position > head) head = placed.position;
      if (scope?.kind === 'all') seals.accept(placed, BigInt(events));
    }
    content.accept(entry);
    documents.accept(entry);
    sums.accept(entry);
    if (events % PROGRESS_EVENTS === 0) options.onProgress?.({ part: 'events', done: events, total });
  }
  const isWhole = scope?.kind === 'all';
  const ofSeals = seals.results({ place: isWhole ? BigInt(events) : head, position: head });
  const checks = [
    file.result('header, lines and footer fit together; the digest is the one of the footer'),
    ...content.results(head),
    // Roots are computed again from all events, or met by proofs.
    ...(isWhole ? ofSeals : ofSeals.filter(({ name }) => name !== 'seals')),
    documents.result(),
    ...sums.results(),
  ];
  const ms = options.nowMs() - began;
  const newest = isWhole ? seals.newest : content.newest;
  return {
    ok: checks.every(({ ok }) => ok),
    scope,
    from: '1',
    head: String(head),
    events,
    streams: content.streams,
    checks,
    sealedTo: newest === null ? null : String(newest.position),
    newestSeal: newest?.hash ?? null,
    durationMs: Math.round(ms),
    eventsPerSecond: ms === 0 ? 0 : Math.round((events / ms) * 1000),
  };
}

/** Reads the file once: is it whole, whom is it about, and which seals does it have? */
async function survey(options: VerifyBundleOptions, fail: (problem: string) => void) {
  const checkpoints: Checkpoint[] = [];
  let scope: Scope | null = null;
  let total = 0;
  try {
    for await (const { entry } of readBundle(options.open())) {
      if (entry.kind === 'header') ({ scope } = entry.header);
      if (entry.kind !== 'event') continue;
      total += 1;
      if (!entry.placed.type.startsWith('log.')) continue;
      try {
        const recorded = decode(entry.placed);
        if (isCheckpoint(recorded)) checkpoints.push(recorded);
      } catch (error) {
        // Named when the events are read.
        if (!(error instanceof UndecodableEvent)) throw error;
      }
    }
  } catch (error) {
    if (!(error instanceof BundleProblem)) throw error;
    fail(error.message);
  }
  return { scope, checkpoints, total };
}

/** The entries up to the first that cannot be read; that it cannot has been said. */
async function* lenient(lines: AsyncIterable<string>): AsyncGenerator<NumberedEntry, void, void> {
  try {
    yield* readBundle(lines);
  } catch (error) {
    if (!(error instanceof BundleProblem)) throw error;
  }
}

/** What a bundle of all events is held to: the same as the log itself. */
function wholeLog() {
  // Another store numbers its events in another way; the order is what counts.
  const chain = chainCheck({ gapless: false });
  return {
    accept(entry: Entry): void {
      if (entry.kind === 'event') chain.accept(entry.placed);
    },
    results: (head: bigint) => chain.results(head),
    get streams() {
      return chain.streams;
    },
    newest: null,
  };
}

/** The documents in the bundle are those that the events name. About 100 bytes per invoice. */
function documentCheck() {
  const check = newCheck('documents');
  const finalized = new Map<string, { readonly position: bigint; readonly hash: string }>();
  let scope: Scope | null = null;
  let documents = 0;

  function acceptDocument(row: Readonly<Record<string, unknown>>): void {
    const { invoice_id: id, document, hash } = row;
    documents += 1;
    if (typeof id !== 'string' || typeof document !== 'string')
      return check.fail(null, 'a document without an invoice');
    const expected = finalized.get(id);
    // A run that was cut off leaves a document whose invoice is still a draft.
    if (expected === undefined) return;
    const actual = createHash('sha256').update(document).digest('hex');
    if (actual !== expected.hash || hash !== expected.hash) {
      check.fail(expected.position, `the document of ${id} was altered`);
    }
    finalized.delete(id);
  }

  return {
    accept(entry: Entry): void {
      if (entry.kind === 'header') ({ scope } = entry.header);
      if (entry.kind === 'record' && entry.record.table === 'invoice_documents')
        acceptDocument(entry.record.row);
      if (entry.kind !== 'event' || entry.placed.type !== 'invoice.finalized') return;
      const data = readJson(entry.placed.data) as { invoiceId?: string; documentHash?: string } | null;
      if (data?.invoiceId === undefined || data.documentHash === undefined) return;
      finalized.set(data.invoiceId, { position: entry.placed.position, hash: data.documentHash });
    },
    result() {
      if (scope?.kind !== 'key') {
        for (const [id, { position }] of finalized) check.fail(position, `the document of ${id} is missing`);
      }
      return check.result(`${documents} documents are those that were finalised`);
    },
  };
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
