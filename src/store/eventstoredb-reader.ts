import type { Readable } from 'node:stream';
import type { ResolvedEvent } from '@eventstore/db-client';

/**
 * Takes events out of one of the client's streams. It reads only when asked, so that a slow reader
 * holds up the server and not this process's memory; it bounds every wait, since the client never
 * ends one; and it keeps what the server says between events in its place among them.
 */
export interface Reader {
  /** What has come already, at most so many; [] when nothing has. */
  take(max: number): readonly ResolvedEvent[];
  /** What the server said and everything before it has been taken; then forgets it. */
  marks(): Marks;
  /** `ended` when the server has ended the stream. Throws what the stream failed with. */
  readonly ended: boolean;
  /** Resolves as soon as there may be something to take. Throws Silence when nothing comes for so long. */
  news(msMax: number): Promise<void>;
  /** Ends the stream, also for whoever waits for news. */
  readonly close: () => void;
}

export interface Marks {
  /** Everything up to here that was asked for has been taken; null when the server did not say. */
  readonly checkpoint: bigint | null;
  /** The server has sent everything that it had. */
  readonly caughtUp: boolean;
}

const NO_MARKS: Marks = { checkpoint: null, caughtUp: false };

/** A server that says nothing at all, which a lost connection looks like too. */
export class Silence extends Error {
  override readonly name = 'Silence';
}

type Stream = Readable & ({ cancel(): Promise<void> } | { unsubscribe(): Promise<void> });

export interface OpenReader extends Reader {
  /** For the client's checkpoint handler, which must never throw. */
  readonly onCheckpoint: (position: bigint) => void;
}

export function openReader(stream: Stream): OpenReader {
  let said = NO_MARKS;
  let failure: unknown = null;
  let ended = false;
  let closed = false;
  let fresh = false;
  let wake = (): void => {};

  function tell(): void {
    fresh = true;
    wake();
  }

  function finish(): void {
    ended = true;
    tell();
  }

  stream.on('readable', tell);
  stream.on('end', finish);
  stream.on('close', finish);
  stream.on('error', (error: unknown) => {
    failure ??= error;
    tell();
  });
  stream.on('caughtUp', () => {
    said = { ...said, caughtUp: true };
    tell();
  });

  return {
    take(max) {
      const events: ResolvedEvent[] = [];
      if (closed) return events;
      while (events.length < max) {
        const event = stream.read() as ResolvedEvent | null;
        if (event === null) break;
        events.push(event);
      }
      return events;
    },
    marks() {
      if (stream.readableLength > 0) return NO_MARKS;
      const marks = said;
      said = NO_MARKS;
      return marks;
    },
    get ended() {
      if (failure !== null && stream.readableLength === 0) throw failure;
      return ended;
    },
    async news(msMax) {
      if (!fresh && !ended) await untilWoken(msMax, (resolve) => (wake = resolve));
      fresh = false;
    },
    close() {
      closed = true;
      finish();
      const ending = 'cancel' in stream ? stream.cancel() : stream.unsubscribe();
      ending.catch(() => undefined);
      stream.destroy();
    },
    onCheckpoint(position) {
      said = { ...said, checkpoint: position };
      tell();
    },
  };
}

async function untilWoken(msMax: number, onWake: (resolve: () => void) => void): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Silence(`EventStoreDB has said nothing for ${msMax} ms`)), msMax);
  });
  try {
    await Promise.race([new Promise<void>(onWake), silence]);
  } finally {
    clearTimeout(timer);
  }
}

/** Everything until the stream ends. Closes it. */
export async function readToEnd(stream: Stream, silenceMs: number): Promise<readonly ResolvedEvent[]> {
  const reader = openReader(stream);
  const events: ResolvedEvent[] = [];
  try {
    for (;;) {
      events.push(...reader.take(Infinity));
      if (reader.ended) return events;
      await reader.news(silenceMs);
    }
  } finally {
    reader.close();
  }
}
