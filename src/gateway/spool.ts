import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
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
import { createSpare, SPARE_SUFFIX } from './spool-spare.ts';

/**
 * The gateway's own append-only files: what a request may cost and what it has cost is on this disk
 * before an answer goes out, whether the log can be reached or not. A record is one line, its CRC-32
 * in hex and a text without line feeds; records that come together share one write and one fdatasync.
 *
 * Files are segments, `<writer>-<number>.spool`, written one after the other and deleted as a whole
 * once nothing in them is needed. Each begins with a record of the writer's choice and may end in
 * zeros, which is room that was made beforehand (spool-spare.ts). After a failed write or sync nothing
 * is accepted any more: what the disk holds is then unknown until a restart reads it.
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
  /** Since when the disk has been at a sync, by `nowMs`; null when it is at none. */
  readonly syncingSinceMs: number | null;
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
  /** A clock that never goes back. */
  readonly nowMs: () => number;
  readonly fault?: SpoolFault;
  /** fdatasync when left out. */
  readonly sync?: (fd: number, done: (error: Error | null) => void) => void;
}

/** For tests: throws in place of the disk. */
export type SpoolFault = (step: 'write' | 'sync') => void;

export function openSpool(options: SpoolOptions): Spool {
  const { dir, writerId, segmentBytesMax, header, nowMs, fault, sync = fdatasync } = options;
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const segments: { readonly number: number; readonly hasRoom: boolean; bytes: number }[] = [];
  const spare = createSpare(join(dir, `${writerId}${SPARE_SUFFIX}`), segmentBytesMax);
  let fd = -1;
  let pending: string[] = [];
  let waiting: ((error: Error | null) => void)[] = [];
  let handedOver: ((error: Error | null) => void)[] = [];
  let busy = false;
  let failure: Error | null = null;
  let syncingSinceMs: number | null = null;
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
    const taken = spare.take(pathOf(number));
    fd = taken ?? openSync(pathOf(number), 'wx', 0o600);
    segments.push({ number, hasRoom: taken !== null, bytes: 0 });
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
    const segment = segments.at(-1)!;
    for (let at = 0; at < bytes.length; )
      at += writeSync(fd, bytes, at, bytes.length - at, segment.bytes + at);
    segment.bytes += bytes.length;
    if (segment.bytes >= SPARE_FROM_BYTES) spare.make();
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
    syncingSinceMs = nowMs();
    sync(fd, (error) => {
      syncingSinceMs = null;
      if (error !== null) return fail(error, served);
      for (const done of served) done(null);
      rest();
    });
  }

  /** Goes on with what came meanwhile, in a new segment when the current one is full. */
  function rest(): void {
    try {
      const { number, bytes, hasRoom } = segments.at(-1)!;
      if (bytes >= segmentBytesMax || (!hasRoom && spare.isReady)) begin(number + 1);
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
    get syncingSinceMs() {
      return syncingSinceMs;
    },
    get bytes() {
      let bytes = 0;
      for (const segment of segments) bytes += segment.bytes;
      return bytes;
    },
    close(remove) {
      if (failure === null) writePending();
      failure ??= new Error('the spool is closed');
      spare.drop();
      ftruncateSync(fd, segments.at(-1)!.bytes);
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
  /** Bytes after the last record that is whole, zeros not counted: a write that was cut off. 0 after an orderly end. */
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
  for (const name of namesIn(dir, SUFFIX)) {
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
/** Who writes less than this needs no room made beforehand. */
const SPARE_FROM_BYTES = 128 * 1024;
/**
 * Between two writes under load. A sync costs the processor as much as three requests do, so a few
 * more share one; who comes alone never waits.
 */
const GAP_MS = 2;
const LINE_FEED = 0x0a;
const CRC_LENGTH = 8;

function namesIn(dir: string, suffix: string): string[] {
  try {
    return readdirSync(dir)
      .filter((name) => name.endsWith(suffix))
      .toSorted();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}

function recordsIn(file: Buffer): { readonly records: readonly string[]; readonly tornBytes: number } {
  const records: string[] = [];
  const bytes = withoutRoom(file);
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

/** The bytes before the zeros at the end. */
function withoutRoom(bytes: Buffer): Buffer {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end -= 1;
  return bytes.subarray(0, end);
}

/** Used again for every write: a write is over when it returns. */
let scratch = Buffer.allocUnsafeSlow(256 * 1024);
const HEX_DIGITS = Buffer.from('0123456789abcdef');

/** The lines of some records, valid until the next call. */
function recordBytes(texts: readonly string[]): Buffer {
  let end = 0;
  for (const text of texts) {
    // No character of a text takes more than three bytes.
    const needed = end + CRC_LENGTH + text.length * 3 + 1;
    if (needed > scratch.length) scratch = Buffer.concat([scratch.subarray(0, end)], needed * 2);
    const start = end + CRC_LENGTH;
    end = start + scratch.write(text, start);
    let crc = crc32(scratch.subarray(start, end));
    for (let at = start - 1; at >= start - CRC_LENGTH; at -= 1) {
      scratch[at] = HEX_DIGITS[crc & 15]!;
      crc >>>= 4;
    }
    scratch[end] = LINE_FEED;
    end += 1;
  }
  return scratch.subarray(0, end);
}

function checksumOf(crc: number): string {
  return crc.toString(16).padStart(CRC_LENGTH, '0');
}

/** Removes the room that earlier processes have made and not used. */
export function removeSpares(dir: string, isAlive: (writerId: string) => boolean): void {
  for (const name of namesIn(dir, SPARE_SUFFIX))
    if (!isAlive(name.slice(0, -SPARE_SUFFIX.length))) unlinkSync(join(dir, name));
}

/** Makes the name of a new file as durable as its content. */
function syncFolder(dir: string): void {
  const fd = openSync(dir, 'r');
  fsyncSync(fd);
  closeSync(fd);
}
