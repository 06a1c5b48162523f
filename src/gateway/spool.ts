import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  unlink,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';

/**
 * The gateway's own append-only files: what a request may cost and what it has cost is on this disk
 * before an answer goes out, whether the log can be reached or not. A record is one line, its CRC-32
 * in hex and a text without line feeds; records that come together share one write and one fdatasync.
 *
 * Files are segments, `<writer>-<number>.spool`, written one after the other and deleted as a whole
 * once nothing in them is needed. Each begins with a record of the writer's choice. After a failed
 * write or sync nothing is accepted any more: what the disk holds is then unknown until a restart
 * reads it.
 */
export interface Spool {
  /** Adds a record. `done` runs once it is on disk, or has failed. Returns the earliest segment that it can be in. */
  add(text: string, done: ((error: Error | null) => void) | null): number;
  /**
   * Hands what was added to the operating system, together with what else comes in the same turn; then
   * `done` runs. The end of this process does not lose it any more, and only a loss of power can, until
   * it is synced.
   */
  handOver(done: (error: Error | null) => void): void;
  /** `done` runs once everything added before is on disk, or has failed. */
  settle(done: () => void): void;
  /** Nothing in the segments before this one is needed any more. */
  release(before: number): void;
  /** Why nothing is accepted any more; null as long as all is well. */
  readonly failure: Error | null;
  /** In all segments. */
  readonly bytes: number;
  /** Closes the current segment; with `remove`, nothing of this writer is left. Call it when nothing is waited for. */
  close(remove: boolean): void;
}

export interface SpoolOptions {
  readonly dir: string;
  /** Letters, digits and hyphens. */
  readonly writerId: string;
  /** A segment that has reached this size is the last but one. */
  readonly segmentBytesMax: number;
  /** The first record of a segment that begins now. */
  readonly header: () => string;
  readonly fault?: SpoolFault;
}

/** For tests: throws in place of the disk. */
export type SpoolFault = (step: 'write' | 'sync') => void;

export function openSpool({ dir, writerId, segmentBytesMax, header, fault }: SpoolOptions): Spool {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const segments: { readonly number: number; bytes: number }[] = [];
  let fd = -1;
  let pending: string[] = [];
  let waiting: ((error: Error | null) => void)[] = [];
  let handedOver: ((error: Error | null) => void)[] = [];
  let busy = false;
  let failure: Error | null = null;
  begin(1);

  function pathOf(number: number): string {
    return join(dir, `${writerId}-${String(number).padStart(6, '0')}${SUFFIX}`);
  }

  /** Synchronously: it happens once per some ten thousand requests. */
  function begin(number: number): void {
    if (fd >= 0) {
      // What was handed over since the last sync is waited for, and the next sync is another file's.
      fdatasyncSync(fd);
      closeSync(fd);
    }
    fd = openSync(pathOf(number), 'ax', 0o600);
    segments.push({ number, bytes: 0 });
    write([header()]);
    fsyncSync(fd);
    syncFolder(dir);
  }

  function writePending(): void {
    if (pending.length === 0) return;
    const texts = pending;
    pending = [];
    write(texts);
  }

  function handOverAll(): void {
    const told = handedOver;
    handedOver = [];
    try {
      if (failure === null) writePending();
    } catch (error) {
      fail(error, []);
    }
    for (const done of told) done(failure);
  }

  function write(texts: readonly string[]): void {
    fault?.('write');
    const bytes = recordBytes(texts);
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
    segments.at(-1)!.bytes += bytes.length;
  }

  function flush(): void {
    if (failure !== null) return;
    const served = waiting;
    waiting = [];
    try {
      writePending();
      if (served.length > 0) fault?.('sync');
    } catch (error) {
      return fail(error, served);
    }
    if (served.length === 0) return rest();
    fdatasync(fd, (error) => {
      if (error !== null) return fail(error, served);
      for (const done of served) done(null);
      rest();
    });
  }

  /** Goes on with what came meanwhile, in a new segment when the current one is full. */
  function rest(): void {
    try {
      if (segments.at(-1)!.bytes >= segmentBytesMax) begin(segments.at(-1)!.number + 1);
    } catch (error) {
      return fail(error, []);
    }
    if (pending.length > 0 || waiting.length > 0) setTimeout(flush, GAP_MS);
    else busy = false;
  }

  function fail(error: unknown, served: readonly ((error: Error | null) => void)[]): void {
    failure = error instanceof Error ? error : new Error(String(error));
    const told = [...served, ...waiting];
    waiting = [];
    pending = [];
    for (const done of told) done(failure);
  }

  function accept(text: string | null, done: ((error: Error | null) => void) | null): void {
    if (failure !== null) {
      if (done !== null) queueMicrotask(() => done(failure));
      return;
    }
    if (text !== null) pending.push(text);
    if (done !== null) waiting.push(done);
    if (busy) return;
    busy = true;
    // What the sockets have ready at the same moment is written together.
    setImmediate(flush);
  }

  return {
    add(text, done) {
      accept(text, done);
      return segments.at(-1)!.number;
    },
    handOver(done) {
      handedOver.push(done);
      if (handedOver.length === 1) setImmediate(handOverAll);
    },
    settle(done) {
      if (busy) accept(null, done);
      else done();
    },
    release(before) {
      while (segments.length > 1 && segments[0]!.number < before)
        // Not at once, since removing a large file takes a while; one that stays is removed by the next start.
        unlink(pathOf(segments.shift()!.number), () => undefined);
    },
    get failure() {
      return failure;
    },
    get bytes() {
      let bytes = 0;
      for (const segment of segments) bytes += segment.bytes;
      return bytes;
    },
    close(remove) {
      if (failure === null) writePending();
      failure ??= new Error('the spool is closed');
      closeSync(fd);
      if (remove) for (const { number } of segments) unlinkSync(pathOf(number));
    },
  };
}

/** A file that an earlier process has left. */
export interface Segment {
  readonly path: string;
  readonly writerId: string;
  /** In the order in which they were written. */
  readonly records: readonly string[];
  /** Bytes after the last record that is whole: a write that was cut off. 0 after an orderly end. */
  readonly tornBytes: number;
}

/**
 * What earlier processes have left in the folder, by writer and in order. Only the last segment of a
 * writer may end in the middle of a record; throws when another one does, since that was on disk.
 * What belongs to a living process is not looked at: it changes.
 */
export function readSpool(
  dir: string,
  isAlive: (writerId: string) => boolean = () => false,
): ReadonlyMap<string, readonly Segment[]> {
  const byWriter = new Map<string, Segment[]>();
  for (const name of namesIn(dir)) {
    const writerId = name.slice(0, name.lastIndexOf('-'));
    if (isAlive(writerId)) continue;
    const path = join(dir, name);
    const earlier = byWriter.get(writerId) ?? [];
    const last = earlier.at(-1);
    if (last !== undefined && last.tornBytes > 0)
      throw new Error(`${last.path} is damaged: restore it, or move it away`);
    byWriter.set(writerId, [...earlier, { path, writerId, ...recordsIn(readFileSync(path)) }]);
  }
  return byWriter;
}

const SUFFIX = '.spool';
/**
 * Between two writes under load. A sync costs the processor as much as three requests do, so a few
 * more share one; who comes alone never waits.
 */
const GAP_MS = 2;
const LINE_FEED = 0x0a;
const CRC_LENGTH = 8;
const NO_CHECKSUM = '0'.repeat(CRC_LENGTH);

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir)
      .filter((name) => name.endsWith(SUFFIX))
      .toSorted();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}

function recordsIn(bytes: Buffer): { readonly records: readonly string[]; readonly tornBytes: number } {
  const records: string[] = [];
  for (let at = 0; ; ) {
    const end = bytes.indexOf(LINE_FEED, at);
    if (end < 0) return { records, tornBytes: bytes.length - at };
    const line = bytes.toString('utf8', at, end);
    const text = line.slice(CRC_LENGTH);
    if (line.slice(0, CRC_LENGTH) !== checksumOf(crc32(text)))
      return { records, tornBytes: bytes.length - at };
    records.push(text);
    at = end + 1;
  }
}

/** The lines of some records. Their checksums are filled in once all are bytes, which saves a copy of each. */
function recordBytes(texts: readonly string[]): Buffer {
  const bytes = Buffer.from(`${NO_CHECKSUM}${texts.join(`\n${NO_CHECKSUM}`)}\n`);
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(LINE_FEED, at);
    bytes.write(checksumOf(crc32(bytes.subarray(at + CRC_LENGTH, end))), at, 'latin1');
    at = end + 1;
  }
  return bytes;
}

function checksumOf(crc: number): string {
  return crc.toString(16).padStart(CRC_LENGTH, '0');
}

/** Makes the name of a new file as durable as its content. */
function syncFolder(dir: string): void {
  const fd = openSync(dir, 'r');
  fsyncSync(fd);
  closeSync(fd);
}
