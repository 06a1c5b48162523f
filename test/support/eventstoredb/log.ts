/**
 * What a stand-in for EventStoreDB keeps: one log and its streams, with the server's rules for
 * expected revisions, repeated ids, deleting and positions. Given a file it appends every write to
 * it as one line, so that a killed process finds again what it had answered for.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  writeSync,
} from 'node:fs';

export interface Proposed {
  readonly id: string;
  readonly type: string;
  readonly contentType: string;
  readonly data: Uint8Array;
  readonly metadata: Uint8Array;
}

export interface StandInEvent extends Proposed {
  readonly stream: string;
  readonly revision: number;
  /** Offset in an imagined file: it grows by the size of what is stored. */
  readonly position: number;
  readonly createdMs: number;
}

export type Expected = number | 'none' | 'any' | 'exists';

export type AppendResult =
  | { readonly kind: 'written' | 'idempotent'; readonly events: readonly StandInEvent[] }
  /** `current` is null when there is no such stream. */
  | { readonly kind: 'wrong-version'; readonly current: number | null }
  | { readonly kind: 'deleted' }
  | { readonly kind: 'too-large' };

interface Stream {
  readonly events: StandInEvent[];
  /** Revisions below this one are hidden. */
  hiddenBelow: number;
  tombstoned: boolean;
}

export interface StandInLog {
  readonly events: readonly StandInEvent[];
  append(stream: string, expected: Expected, proposed: readonly Proposed[]): AppendResult;
  /** Visible events; null when there is none; 'deleted' when there never will be one again. */
  read(stream: string): readonly StandInEvent[] | null | 'deleted';
  /** Hides what there is; the stream may be written again. */
  softDelete(stream: string): void;
  tombstone(stream: string): void;
  /** Calls back after every write. Returns how to stop that. */
  onGrown(listener: () => void): () => void;
  /** Forgets the ids by which appends without a revision are recognised, as a restart does. */
  forgetIds(): void;
  close(): void;
}

export interface StandInLogOptions {
  /** Null: in memory only. */
  readonly file: string | null;
  /** Waits for the disk before an append is answered. */
  readonly durable?: boolean;
  readonly nowMs?: () => number;
}

export const APPEND_BYTES_MAX = 1_048_576;
/** Memory for ids of appends without a revision; each takes 28 bytes and its stream's name. */
const ID_CACHE_BYTES = 8 * 1024 * 1024;

type Line =
  | {
      readonly op: 'append';
      readonly stream: string;
      readonly at: number;
      readonly events: readonly LineEvent[];
    }
  | { readonly op: 'soft-delete' | 'tombstone'; readonly stream: string };
type LineEvent = readonly [id: string, type: string, contentType: string, data: string, metadata: string];

export function standInLog(options: StandInLogOptions): StandInLog {
  const { file, durable = false, nowMs = Date.now } = options;
  const events: StandInEvent[] = [];
  const streams = new Map<string, Stream>();
  const ids = new Map<string, number>();
  const listeners = new Set<() => void>();
  let idBytes = 0;
  /** The server's own records come first. */
  let nextPosition = 1_217;
  let fd: number | null = null;

  function streamOf(name: string): Stream {
    let stream = streams.get(name);
    if (stream === undefined) {
      stream = { events: [], hiddenBelow: 0, tombstoned: false };
      streams.set(name, stream);
    }
    return stream;
  }

  function put(name: string, proposed: readonly Proposed[], createdMs: number): StandInEvent[] {
    const stream = streamOf(name);
    return proposed.map((one) => {
      const event = {
        ...one,
        stream: name,
        revision: stream.events.length,
        position: nextPosition,
        createdMs,
      };
      nextPosition += 110 + 2 * name.length + 2 * one.type.length + one.data.length + one.metadata.length;
      stream.events.push(event);
      events.push(event);
      return event;
    });
  }

  function rememberIds(written: readonly StandInEvent[]): void {
    for (const { stream, id, revision } of written) {
      ids.set(`${stream}\n${id}`, revision);
      idBytes += 28 + stream.length;
    }
    for (const key of ids.keys()) {
      if (idBytes <= ID_CACHE_BYTES) break;
      ids.delete(key);
      idBytes -= 28 + key.indexOf('\n');
    }
  }

  function save(line: Line): void {
    if (fd === null) return;
    writeSync(fd, withDigest(line));
    if (durable) fdatasyncSync(fd);
  }

  function repeated(stream: Stream, from: number, proposed: readonly Proposed[]): AppendResult | null {
    const stored = stream.events.slice(from, from + proposed.length);
    const equal = proposed.every(
      ({ id }, i) => stored[i]?.id === id && stored[i].revision >= stream.hiddenBelow,
    );
    return equal ? { kind: 'idempotent', events: stored } : null;
  }

  function append(name: string, expected: Expected, proposed: readonly Proposed[]): AppendResult {
    const bytes = proposed.reduce(
      (sum, { data, metadata, type }) => sum + data.length + metadata.length + 2 * type.length,
      0,
    );
    if (bytes > APPEND_BYTES_MAX) return { kind: 'too-large' };
    const stream = streamOf(name);
    if (stream.tombstoned) return { kind: 'deleted' };
    const current = stream.events.length - 1;
    const visible = current >= stream.hiddenBelow;
    const wrong: AppendResult = { kind: 'wrong-version', current: current < 0 ? null : current };
    if (expected === 'any' || expected === 'exists') {
      const from = ids.get(`${name}\n${proposed[0]?.id}`);
      if (from !== undefined) return repeated(stream, from, proposed) ?? wrong;
      if (expected === 'exists' && !visible) return wrong;
    } else {
      const revision = expected === 'none' ? -1 : expected;
      const mayBegin = expected === 'none' && !visible;
      if (revision > current) return wrong;
      if (revision < current && !mayBegin) return repeated(stream, revision + 1, proposed) ?? wrong;
    }
    const createdMs = nowMs();
    save({ op: 'append', stream: name, at: createdMs, events: proposed.map(toLine) });
    const written = put(name, proposed, createdMs);
    rememberIds(written);
    for (const listener of listeners) listener();
    const twice = expected === 'none' && new Set(proposed.map(({ id }) => id)).size < proposed.length;
    return twice
      ? { kind: 'wrong-version', current: stream.events.length - 1 }
      : { kind: 'written', events: written };
  }

  function apply(line: Line): void {
    if (line.op === 'append') put(line.stream, line.events.map(fromLine), line.at);
    else if (line.op === 'tombstone') streamOf(line.stream).tombstoned = true;
    else streamOf(line.stream).hiddenBelow = streamOf(line.stream).events.length;
  }

  put(
    '$users',
    [
      {
        id: '00000000-0000-4000-8000-000000000001',
        type: '$UserCreated',
        contentType: 'application/json',
        data: Buffer.from('{}'),
        metadata: Buffer.alloc(0),
      },
    ],
    0,
  );
  if (file !== null) fd = openLog(file, apply);

  return {
    events,
    append,
    read(name) {
      const stream = streams.get(name);
      if (stream?.tombstoned) return 'deleted';
      const visible = stream?.events.slice(stream.hiddenBelow) ?? [];
      return visible.length === 0 ? null : visible;
    },
    softDelete(stream) {
      save({ op: 'soft-delete', stream });
      apply({ op: 'soft-delete', stream });
    },
    tombstone(stream) {
      save({ op: 'tombstone', stream });
      apply({ op: 'tombstone', stream });
    },
    onGrown(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    forgetIds() {
      ids.clear();
      idBytes = 0;
    },
    close() {
      if (fd !== null) closeSync(fd);
      fd = null;
    },
  };
}

/** Reads what is whole, cuts off what a killed process left half-written, and opens it for appending. */
function openLog(file: string, apply: (line: Line) => void): number {
  let whole = 0;
  const content = existsSync(file) ? readFileSync(file) : Buffer.alloc(0);
  for (let end = content.indexOf(10); end !== -1; end = content.indexOf(10, whole)) {
    const line = lineOf(content.toString('utf8', whole, end));
    if (line === null) break;
    apply(line);
    whole = end + 1;
  }
  const fd = openSync(file, 'a');
  if (whole < content.length) ftruncateSync(fd, whole);
  return fd;
}

function withDigest(line: Line): string {
  const text = JSON.stringify(line);
  return `${digestOf(text)} ${text}\n`;
}

function lineOf(text: string): Line | null {
  const [digest, json] = [text.slice(0, 16), text.slice(17)];
  return digestOf(json) === digest ? (JSON.parse(json) as Line) : null;
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

function toLine({ id, type, contentType, data, metadata }: Proposed): LineEvent {
  return [
    id,
    type,
    contentType,
    Buffer.from(data).toString('base64'),
    Buffer.from(metadata).toString('base64'),
  ];
}

function fromLine([id, type, contentType, data, metadata]: LineEvent): Proposed {
  return {
    id,
    type,
    contentType,
    data: Buffer.from(data, 'base64'),
    metadata: Buffer.from(metadata, 'base64'),
  };
}
