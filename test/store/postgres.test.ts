import { Pool } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { appendSurely } from '../../src/store/append-surely.ts';
import { hashHolds } from '../../src/store/codec.ts';
import type { EventStore, StreamHead } from '../../src/store/event-store.ts';
import { postgresStore, type PostgresStoreOptions } from '../../src/store/postgres.ts';
import { WALK_MAX } from '../../src/store/postgres-rows.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { AT, keyGenerated, keySettings, newEvent, spendRecorded } from '../support/events.ts';
import {
  all,
  append,
  catchUp,
  eventsOf,
  freshStream,
  gate,
  hasReached,
  isCaughtUp,
  someEvents,
  watch,
  write,
} from '../support/log.ts';
import { eventStoreContract } from './contract.ts';
import { countedPool, emptyLog, insertPlaced, lossyPool, silent, tamper } from './postgres-log.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database?.drop());

function open(options: Partial<PostgresStoreOptions> = {}): EventStore {
  return postgresStore({ pool: database.pool, listenUrl: database.url, log: silent, ...options });
}

eventStoreContract('PostgreSQL', {
  gapless: true,
  comparesHashes: true,
  keepsForeign: false,
  async open(stored = []) {
    await emptyLog(database.pool);
    await insertPlaced(database.pool, stored);
    const [store, other] = [open(), open()];
    const close = async (): Promise<void> => {
      await Promise.all([store.close(), other.close()]);
    };
    return { store, other, start: 0n, close };
  },
});

eventStoreContract('PostgreSQL without notifications', {
  gapless: true,
  comparesHashes: true,
  keepsForeign: false,
  async open(stored = []) {
    await emptyLog(database.pool);
    await insertPlaced(database.pool, stored);
    const [store, other] = [0, 1].map(() => open({ listenUrl: null, pollMs: 5 }));
    const close = async (): Promise<void> => {
      await Promise.all([store!.close(), other!.close()]);
    };
    return { store: store!, other: other!, start: 0n, close };
  },
});

describe('the log in PostgreSQL', () => {
  let store: EventStore;
  beforeEach(async () => {
    await emptyLog(database.pool);
    store = open();
  });
  afterEach(() => store.close());

  test('cannot be changed by statements', async () => {
    await append(store, freshStream(), 'none', 1);
    for (const statement of ['update events set type = type', 'delete from events', 'truncate events']) {
      await expect(database.pool.query(statement)).rejects.toMatchObject({ code: 'P0403' });
    }
    expect(await store.head()).toBe(1n);
  });

  test('shows when somebody changed it nevertheless', async () => {
    const { pool } = database;
    const stream = freshStream();
    await append(store, stream, 'none', 5);
    const read = () => all(store.readLog(0n));
    const [first] = await read();
    expect((await read()).map(hashHolds)).toEqual([true, true, true, true, true]);
    await tamper(pool, `update events set data = '{"keyId":"other"}' where revision = 1`);
    await tamper(pool, `update events set tenant_id = 'ten_2' where revision = 2`);
    await tamper(
      pool,
      `update events set occurred_at = occurred_at + interval '1 millisecond' where revision = 3`,
    );
    expect((await read()).map(hashHolds)).toEqual([true, false, false, false, true]);
    // Whoever also makes the hash right breaks the link to the next one.
    await tamper(pool, `update events set hash = repeat('a', 64) where revision = 0`);
    const [, second] = await read();
    expect(second!.previousHash).toBe(first!.hash);
    await expect(append(store, stream, { revision: 4n, hash: 'b'.repeat(64) }, 1)).rejects.toMatchObject({
      code: 'stream_changed',
    });
  });

  test('keeps following where positions are missing, which only verifying can explain', async () => {
    const watching = watch(store, 0n);
    await watching.until(isCaughtUp);
    const other = open();
    await append(other, freshStream(), 'none', 2);
    await watching.until(hasReached(2n));
    await tamper(database.pool, 'delete from events where position = 2');
    await tamper(database.pool, `update events set position = 5 where position = 1`);
    const { position } = await other.append([write(freshStream(), 'none', 1)]);
    await watching.until(hasReached(position));
    expect(watching.events().at(-1)!.position).toBe(6n);
    await watching.stop();
    await other.close();
  });

  test('records the instant it is given, or its own', async () => {
    const given = open({ now: () => '2026-01-02T03:04:05.678Z' });
    await append(given, freshStream(), 'none', 1);
    await append(store, freshStream(), 'none', 1);
    const [one, two] = await all(store.readLog(0n));
    expect(one!.recordedAt).toBe('2026-01-02T03:04:05.678Z');
    expect(Math.abs(Date.parse(two!.recordedAt) - Date.now())).toBeLessThan(60_000);
    await given.close();
  });

  test('reads the same through a pool with another zone and other parsers', async () => {
    await append(store, freshStream(), 'none', [newEvent(spendRecorded(), 'one')]);
    const pool = new Pool({
      connectionString: database.url,
      options: '-c TimeZone=Asia/Kathmandu -c DateStyle=German',
    });
    const abroad = open({ pool });
    expect(await all(abroad.readLog(0n))).toEqual(await all(store.readLog(0n)));
    const [read] = eventsOf(await catchUp(abroad, 0n));
    expect(read!.occurredAt).toBe(AT);
    await abroad.close();
    await pool.end();
  });

  test('is read the same by who wrote it as by everybody else', async () => {
    const own = watch(store, 0n);
    await own.until(isCaughtUp);
    const metadata = { z: [1.5, null, '\u0000\ud800'], a: { 2: 'b', 1: undefined }, é: true } as never;
    const events = [
      newEvent(keyGenerated({ settings: keySettings({ metadata }) }), 'a'),
      newEvent(spendRecorded(), 'b', { actor: { onBehalfOf: 'x', kind: 'key', id: 'key_1' } }),
    ];
    const { position } = await store.append([write(freshStream(), 'none', events)]);
    await own.until(hasReached(position));
    await own.stop();
    const stranger = open();
    expect(own.events()).toEqual(eventsOf(await catchUp(stranger, 0n)));
    await stranger.close();
  });

  test('is followed across more than memory holds of it', async () => {
    const reading = gate();
    const slow = watch(store, 0n, { prefixes: ['key.'], batchMax: 400, onBatch: () => reading.opened });
    await slow.until(isCaughtUp);
    let head: StreamHead | 'none' = 'none';
    const stream = freshStream();
    for (let i = 0; i < 20; i += 1) head = await append(store, stream, head, 500);
    reading.open();
    await slow.until(hasReached(await store.head()));
    await slow.stop();
    expect(slow.events().map(({ revision }) => revision)).toEqual(
      Array.from({ length: 10_000 }, (_, i) => BigInt(i)),
    );
  });
});

describe('an append with an unknown outcome', () => {
  beforeEach(() => emptyLog(database.pool));

  test('was written when only the answer was lost, and is stored once when it is repeated', async () => {
    const { pool, lose } = lossyPool(database.pool);
    const store = open({ pool });
    lose(2);
    const writes = [write(freshStream(), 'none', 2), write(freshStream(), 'none', 1)];
    await expect(store.append(writes)).rejects.toThrow('the connection was lost');
    const answer = await appendSurely(store, writes, { attemptsMax: 3, pause: () => Promise.resolve() });
    expect(answer.position).toBe(3n);
    expect(await store.head()).toBe(3n);
    await store.close();
  });

  test('is reported when the time is over, and can be repeated', async () => {
    const store = open({ appendMsMax: 100 });
    const blocker = await database.pool.connect();
    await blocker.query('begin');
    await blocker.query('select pg_advisory_xact_lock(7305804402)');
    const writes = [write(freshStream(), 'none', 1)];
    await expect(store.append(writes)).rejects.toThrow('timeout');
    await blocker.query('rollback');
    blocker.release();
    expect((await appendSurely(store, writes, { attemptsMax: 5 })).position).toBe(1n);
    expect(await store.head()).toBe(1n);
    await store.close();
  });

  test('is no reason to give a connection up when the server only refused', async () => {
    const pool = new Pool({ connectionString: database.url, max: 1 });
    const store = open({ pool, listenUrl: null });
    const pid = async () =>
      (await pool.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]!.pid;
    const before = await pid();
    const stream = freshStream();
    await append(store, stream, 'none', 1);
    await expect(append(store, stream, 'none', 1)).rejects.toMatchObject({ code: 'stream_changed' });
    expect(await pid()).toBe(before);
    await store.close();
    await pool.end();
  });
});

describe('a subscription', () => {
  beforeEach(() => emptyLog(database.pool));

  test('survives the loss of every connection, and hears of new events again', async () => {
    const lines: string[] = [];
    const log = {
      info: (text: string) => void lines.push(text),
      warn: (_: unknown, text: string) => void lines.push(text),
    };
    const pool = new Pool({ connectionString: database.url, max: 2, application_name: 'reader' });
    pool.on('error', () => {});
    const again = gate();
    const onInfo = (text: string): void => {
      lines.push(text);
      if (text === 'hearing of new events again') again.open();
    };
    // Too slow to be of help: what arrives was heard of.
    const store = open({ pool, pollMs: 3_600_000, log: { ...log, info: onInfo } as never });
    const writer = open({ listenUrl: null });
    const watching = watch(store, 0n);
    await watching.until(isCaughtUp);
    const head = await append(writer, 'key-a', 'none', 1);
    await watching.until(() => watching.events().length === 1);
    await database.pool.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and application_name in ('reader', 'keyledger listener')`,
    );
    await append(writer, 'key-a', head, 2);
    await again.opened;
    await watching.until(() => watching.events().length === 3);
    await append(writer, 'key-b', 'none', 1);
    await watching.until(() => watching.events().length === 4);
    expect(lines.filter((line) => line.includes('lost'))).toHaveLength(1);
    await watching.stop();
    await Promise.all([store.close(), writer.close()]);
    await pool.end();
  });

  test('keeps trying while the log cannot be read', async () => {
    const { pool, lose } = lossyPool(database.pool);
    const store = open({ pool, listenUrl: null, pollMs: 3_600_000 });
    await append(store, freshStream(), 'none', 3);
    lose(3);
    expect(eventsOf(await catchUp(store, 0n, { batchMax: 2 }))).toHaveLength(3);
    await store.close();
  });

  test('can be ended while the log cannot be read', async () => {
    const { pool, lose } = lossyPool(database.pool);
    const store = open({ pool, listenUrl: null });
    lose(Number.POSITIVE_INFINITY);
    const watching = watch(store, 0n);
    await watching.stop();
    expect(watching.batches).toEqual([]);
    await store.close();
  });

  test('that ends leaves no connection behind', async () => {
    const store = open();
    const watching = [watch(store, 0n), watch(store, 0n)];
    for (const one of watching) await one.until(isCaughtUp);
    await expect.poll(listeners).toBe(1);
    await watching[0]!.stop();
    expect(await listeners()).toBe(1);
    await watching[1]!.stop();
    await expect.poll(listeners).toBe(0);
    await store.close();
  });

  test('can follow again after all others have ended', async () => {
    const store = open();
    const first = watch(store, 0n);
    await first.until(isCaughtUp);
    await first.stop();
    for (let i = 0; i < 3; i += 1) await append(store, freshStream(), 'none', 400);
    const second = watch(store, 0n);
    await second.until(() => second.events().length === 1_200);
    await append(store, freshStream(), 'none', 1);
    await second.until(() => second.events().length === 1_201);
    await second.stop();
    expect(second.events().map(({ id }) => id)).toEqual((await all(store.readLog(0n))).map(({ id }) => id));
    await store.close();
  });

  test('finds the rare events that it wants behind very many that it does not', async () => {
    const store = open();
    await append(store, 'key-a', 'none', 1);
    await database.pool.query(
      `insert into events
       select 1 + n, stream, n, id, type, schema, agency_id, tenant_id, occurred_at, recorded_at, actor,
         correlation_id, causation_id, command_hash, hash, previous_hash, data
       from events, generate_series(1, $1::int) as n`,
      [2 * WALK_MAX + 10],
    );
    const { position } = await store.append([write('spend-a', 'none', [newEvent(spendRecorded(), 'a')])]);
    await store.close();
    // Without anything in memory yet.
    const reader = open();
    const batches = await catchUp(reader, 0n, { prefixes: ['spend.'] });
    expect(eventsOf(batches).map((event) => event.position)).toEqual([position]);
    expect(batches.at(-1)).toMatchObject({ position, caughtUp: true });
    await reader.close();
  });

  test('of what its own process appends reads nothing back', async () => {
    const { pool, statements } = countedPool(database.pool);
    const store = open({ pool, pollMs: 3_600_000 });
    const watching = [
      watch(store, 0n),
      watch(store, 0n, { prefixes: ['key.'] }),
      watch(store, 0n, { prefixes: ['x'] }),
    ];
    for (const one of watching) await one.until(isCaughtUp);
    await expect.poll(listeners).toBe(1);
    const before = statements();
    let head: StreamHead | 'none' = 'none';
    for (let i = 0; i < 50; i += 1) head = await append(store, 'key-a', head, someEvents(2));
    for (const one of watching) await one.until(hasReached(100n));
    expect(statements().appends - before.appends).toBe(50);
    // It may look once when it begins to listen, and when a notification is faster than the answer.
    expect(statements().reads - before.reads).toBeLessThanOrEqual(5);
    for (const one of watching) await one.stop();
    expect(watching.map((one) => one.events().length)).toEqual([100, 100, 0]);
    await store.close();
  });

  test('costs one read for all, however many there are, when others append', async () => {
    const { pool, statements } = countedPool(database.pool);
    const store = open({ pool, pollMs: 3_600_000 });
    const writer = open({ listenUrl: null });
    const watching = Array.from({ length: 10 }, () => watch(store, 0n));
    for (const one of watching) await one.until(isCaughtUp);
    await expect.poll(listeners).toBe(1);
    const before = statements().reads;
    for (let i = 0; i < 10; i += 1) {
      const { position } = await writer.append([write(freshStream(), 'none', 3)]);
      for (const one of watching) await one.until(hasReached(position));
    }
    expect(statements().reads - before).toBeLessThanOrEqual(12);
    for (const one of watching) await one.stop();
    await Promise.all([store.close(), writer.close()]);
  });
});

async function listeners(): Promise<number> {
  const { rows } = await database.pool.query<{ count: number }>(
    `select count(*)::int as count from pg_stat_activity
     where datname = current_database() and application_name = 'keyledger listener' and query ilike 'listen%'`,
  );
  return rows[0]!.count;
}
