import type { Pool } from 'pg';
import { appendSurely } from '../store/append-surely.ts';
import { type EventStore, type StreamHead, WRITE_BYTES_MAX } from '../store/event-store.ts';
import type { Placed } from '../store/stored-event.ts';
import { readBundle } from './bundle.ts';
import { keepRecord } from './records.ts';

/**
 * Replays a full export into an empty installation, on whatever store it has: ids, streams, revisions,
 * order, hashes and payloads are those of the export. Positions are given anew by the store, and are
 * the same wherever they have no gaps. Times of recording are kept by a store that takes them from
 * its caller. An import that was cut off is simply started again.
 */
export interface ImportDeps {
  readonly store: EventStore;
  readonly pool: Pool;
  /** Says which instant of recording the next append is to have. Left out, the store sets its own. */
  readonly setRecordedAt?: (instant: string) => void;
  readonly onProgress?: (events: number) => void;
}

export interface Imported {
  readonly events: number;
  /** Events that were there already from an earlier attempt. */
  readonly found: number;
  readonly records: number;
}

const EVENTS_MAX = 500;
const ATTEMPTS_MAX = 8;
const PROGRESS_EVENTS = 1_000;

/**
 * Throws BundleProblem when the file is no whole bundle, and Error when it is a partial one or the
 * installation has something else, or something more, in its log. Verify the bundle first.
 */
export async function importBundle(deps: ImportDeps, lines: AsyncIterable<string>): Promise<Imported> {
  const { store, pool, setRecordedAt, onProgress } = deps;
  const known = store.readLog(0n)[Symbol.asyncIterator]();
  const heads = new Map<string, StreamHead>();
  const counts = { events: 0, found: 0, records: 0 };
  let isNew = false;
  let batch: { readonly events: Placed[]; bytes: number } | null = null;

  async function flush(): Promise<void> {
    if (batch === null) return;
    const { events } = batch;
    const { stream, recordedAt } = events[0]!;
    setRecordedAt?.(recordedAt);
    const writes = [{ stream, expected: heads.get(stream) ?? ('none' as const), events }];
    const appended = await appendSurely(store, writes, { attemptsMax: ATTEMPTS_MAX });
    heads.set(stream, appended.heads[0]!);
    batch = null;
  }

  async function add(placed: Placed): Promise<void> {
    const bytes = bytesOf(placed);
    const first = batch?.events[0];
    const fits =
      batch !== null &&
      first?.stream === placed.stream &&
      first.recordedAt === placed.recordedAt &&
      batch.events.length < EVENTS_MAX &&
      batch.bytes + bytes <= WRITE_BYTES_MAX;
    if (!fits) {
      await flush();
      batch = { events: [], bytes: 0 };
    }
    batch!.events.push(placed);
    batch!.bytes += bytes;
  }

  /** True when the event is there already. */
  async function isKnown({ stream, revision, hash }: Placed): Promise<boolean> {
    if (isNew) return false;
    const { value, done } = await known.next();
    if (done === true) {
      isNew = true;
      return false;
    }
    if (value.stream !== stream || value.revision !== revision || value.hash !== hash) {
      throw new Error(
        `This installation is not empty: at position ${value.position} it has ${nameOf(value)}, ` +
          `where the bundle has ${nameOf({ stream, revision, hash })}.`,
      );
    }
    heads.set(stream, { revision, hash });
    return true;
  }

  for await (const { entry } of readBundle(lines)) {
    if (entry.kind === 'header' && entry.header.scope.kind !== 'all') {
      throw new Error('Only a full export (--all) can be imported.');
    }
    if (entry.kind === 'event') {
      if (await isKnown(entry.placed)) counts.found += 1;
      else await add(entry.placed);
      counts.events += 1;
      if (counts.events % PROGRESS_EVENTS === 0) onProgress?.(counts.events);
    }
    if (entry.kind === 'record') {
      await keepRecord(pool, entry.record);
      counts.records += 1;
    }
  }
  if (!isNew) await mustEnd(known);
  await flush();
  await known.return?.();
  return counts;
}

/** An installation that has all of the bundle and has gone on since must not be taken for the same. */
async function mustEnd(known: AsyncIterator<Placed>): Promise<void> {
  const { value, done } = await known.next();
  if (done === true) return;
  throw new Error(
    `This installation is not empty: it has all of the bundle, and has gone on with ${value.stream}@${value.revision} ` +
      `at position ${value.position}. There is nothing to import.`,
  );
}

function nameOf({ stream, revision, hash }: Pick<Placed, 'stream' | 'revision' | 'hash'>): string {
  return `${stream}@${revision} with the hash ${hash.slice(0, 12)}…`;
}

/** With its envelope, which counts where a store bounds an append as a whole. */
function bytesOf({ data, ...envelope }: Placed): number {
  const text = JSON.stringify({ ...envelope, revision: null, position: null });
  return Buffer.byteLength(data) + Buffer.byteLength(text);
}
