import { DatabaseError, type Pool, type QueryArrayConfig } from 'pg';
import { Refusal } from '../errors.ts';
import type { Log } from '../log.ts';
import { decode, type Encoded, encodeAll, headAfter } from './codec.ts';
import { type EventStore, highestOf } from './event-store.ts';
import { createFollower, type Places } from './postgres-follower.ts';
import * as rows from './postgres-rows.ts';
import type { Placed } from './stored-event.ts';
import { createSubscriptions } from './subscriptions.ts';

export interface PostgresStoreOptions {
  /** For everything but listening; stays the caller's. */
  readonly pool: Pool;
  /** For the one connection that listens; a pooler in between would lose notifications. Null: polling only. */
  readonly listenUrl: string | null;
  /** Instant of recording for new events; the database's clock when left out. */
  readonly now?: () => string;
  readonly log: Pick<Log, 'info' | 'warn'>;
  /** How often to look for events that no notification told of; default 500. */
  readonly pollMs?: number;
  /** Longest an append may take before its outcome counts as unknown; default 10 000. */
  readonly appendMsMax?: number;
}

const POLL_MS = 500;
const APPEND_MS_MAX = 10_000;
const READ_MS_MAX = 60_000;
/** Events in one page of a stream or of the log. */
const PAGE = 500;
/** What append_events raises when the stream's head is another one. */
const STREAM_CHANGED = 'P0409';

/** The log in PostgreSQL; migrations/0001_event_log.sql holds the other half. */
export function postgresStore(options: PostgresStoreOptions): EventStore {
  const { pool, listenUrl, now, log, pollMs = POLL_MS, appendMsMax = APPEND_MS_MAX } = options;
  const asked = new Set<Promise<unknown>>();
  const follower = createFollower({ page, places, head, listenUrl, pollMs, log });
  const subscriptions = createSubscriptions(follower.source, {
    started: () => follower.start(),
    stopped: () => follower.stop(),
  });
  let closed: Promise<void> | null = null;

  async function query(statement: rows.Query, values: unknown[], msMax: number): Promise<rows.Row[]> {
    const answer = ask(pool, { ...statement, ...rows.AS_TEXT, values, query_timeout: msMax });
    asked.add(answer);
    try {
      return await answer;
    } finally {
      asked.delete(answer);
    }
  }

  async function page(statement: rows.Query, values: unknown[]): Promise<Placed[]> {
    return (await query(statement, values, READ_MS_MAX)).map(rows.toPlaced);
  }

  async function places(after: bigint, prefixes: readonly string[]): Promise<Places> {
    const [row] = await query(rows.PLACES, [after, prefixes], READ_MS_MAX);
    const [newest, last, count] = row!;
    return {
      newest: newest === null ? after : BigInt(newest!),
      last: last === null ? null : BigInt(last!),
      full: Number(count) === rows.WALK_MAX,
    };
  }

  async function head(): Promise<bigint> {
    const [row] = await query(rows.HEAD, [], READ_MS_MAX);
    return BigInt(row![0]!);
  }

  /** The positions of the events, write by write: each write's are consecutive. */
  async function write(writes: readonly (readonly Encoded[])[]): Promise<bigint[][]> {
    const recordedAt = now?.() ?? null;
    const values = writes.flatMap((encoded) => rows.appendValues(encoded, recordedAt));
    follower.appendBegins();
    try {
      const answers = await query(rows.appendQuery(writes.length), values, appendMsMax);
      return answers.map(([position, recordedMs], i) => {
        const last = BigInt(position!);
        const encoded = writes[i]!;
        follower.keep(encoded, last, rows.instant(recordedMs!));
        return encoded.map((_, at) => last - BigInt(encoded.length - 1 - at));
      });
    } catch (error) {
      const changed = error instanceof DatabaseError && error.code === STREAM_CHANGED;
      throw changed ? new Refusal('stream_changed') : error;
    } finally {
      follower.appendEnds();
    }
  }

  async function* readStream(stream: string, after: bigint): AsyncGenerator<Placed, void, void> {
    for (let revision = after, full = true; full; ) {
      const placed = await page(rows.STREAM, [stream, revision, PAGE]);
      yield* placed;
      full = placed.length === PAGE;
      revision = placed.at(-1)?.revision ?? revision;
    }
  }

  async function* readLog(position: bigint): AsyncGenerator<Placed, void, void> {
    const until = await head();
    for (let at = position; at < until; ) {
      const placed = await page(rows.LOG, [at, PAGE]);
      if (placed.length === 0) return;
      for (const one of placed) if (one.position <= until) yield one;
      at = placed.at(-1)!.position;
    }
  }

  function mustBeOpen(): void {
    if (closed !== null) throw new Error('the event store is closed');
  }

  async function closeNow(): Promise<void> {
    subscriptions.close();
    follower.stop();
    await Promise.allSettled(asked);
    await follower.ended();
  }

  return {
    positions: 'gapless',
    async append(writes) {
      mustBeOpen();
      const encoded = encodeAll(writes);
      const positions = await write(encoded);
      return { position: highestOf(positions), positions, heads: encoded.map(headAfter) };
    },
    async *readStream(stream, after = -1n) {
      mustBeOpen();
      for await (const placed of readStream(stream, after)) yield decode(placed);
    },
    async *readLog(position) {
      mustBeOpen();
      yield* readLog(position);
    },
    async *subscribe(position, signal, subscribeOptions) {
      mustBeOpen();
      yield* subscriptions.open(position, signal, subscribeOptions);
    },
    restarts: follower.restarts,
    async head() {
      mustBeOpen();
      return await head();
    },
    close: () => (closed ??= closeNow()),
  };
}

/** Like pool.query, but a connection survives it when the server refuses a statement. */
async function ask(
  pool: Pool,
  query: QueryArrayConfig & { readonly query_timeout: number },
): Promise<rows.Row[]> {
  const client = await pool.connect();
  // A connection that breaks says so to its query as well.
  const ignore = (): void => {};
  client.on('error', ignore);
  let broken: unknown = null;
  try {
    return (await client.query<(string | null)[]>(query)).rows;
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.severity !== 'ERROR') broken = error;
    throw error;
  } finally {
    client.off('error', ignore);
    client.release(broken !== null);
  }
}
