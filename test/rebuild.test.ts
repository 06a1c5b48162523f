import { Pool } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { keys } from '../projections/keys.ts';
import { spendLog } from '../projections/spend-log.ts';
import { usage } from '../projections/usage.ts';
import { loadTable } from '../src/follow.ts';
import { memoryTable } from '../src/memory-table.ts';
import type { Projection } from '../src/projection.ts';
import { type Projector, startProjector } from '../src/projector.ts';
import { readModels } from '../src/read-models.ts';
import { compareWithRebuild, rebuild, type RebuildProgress } from '../src/rebuild.ts';
import type { EventStore } from '../src/store/event-store.ts';
import { memoryStore } from '../src/store/memory.ts';
import { dump } from '../src/table-dump.ts';
import { testDatabase, type TestDatabase } from './support/database.ts';
import { AT, keyGenerated, keyRotated, keySettings, periodClosed, spendRecorded } from './support/events.ts';
import { append, happenings } from './support/histories.ts';
import { dropReadModels, silent } from './support/read-models.ts';

const WAIT_MS = 10_000;
const nowMs = (): number => performance.now();

let database: TestDatabase;
let pool: Pool;
let store: EventStore;
let projector: Projector;
beforeAll(async () => {
  database = await testDatabase();
  ({ pool } = database);
});
afterEach(async () => {
  await projector.stop();
  await dropReadModels(pool);
});
afterAll(() => database.drop());

/** A log of 200 spends over two months with a closing in between, and some keys; the tables follow it. */
async function running(projections: readonly Projection[] = [usage, spendLog, keys]): Promise<bigint> {
  store = memoryStore({ now: () => AT });
  projector = await startProjector({ store, pool, projections, log: silent, idleGatherMs: 0 });
  for (let i = 0; i < 20; i += 1) {
    const metadata = i % 2 === 0 ? { b: 1, aa: [i], ü: null } : { ü: null, aa: [i], b: 1 };
    await append(store, happenings(keyGenerated({ keyId: `key_${i}`, settings: keySettings({ metadata }) })));
  }
  await append(store, happenings(...Array.from({ length: 100 }, (_, i) => spend(i))));
  await append(store, happenings(periodClosed(), keyRotated()));
  const position = await append(store, happenings(...Array.from({ length: 100 }, (_, i) => spend(100 + i))));
  await projector.reached(position, WAIT_MS);
  return position;
}

const spend = (i: number) =>
  spendRecorded({ requestId: `req_${i}`, month: i % 2 === 0 ? '2026-11' : '2026-12' });
const compare = (projection: Projection, batchMax = 50) =>
  compareWithRebuild({ store, pool, projection, batchMax });

async function tableOf(projection: Projection): Promise<string | undefined> {
  const { rows } = await pool.query<{ table_name: string }>(
    'select table_name from projections where name = $1',
    [projection.name],
  );
  return rows[0]?.table_name;
}

describe('a rebuild', () => {
  test('takes the place of the table while events go on arriving, and loses none', async () => {
    await running();
    let appended = 200;
    const progress: RebuildProgress[] = [];
    const rebuilt = await rebuild({
      store,
      pool,
      projection: usage,
      nowMs,
      batchMax: 20,
      onProgress(one) {
        progress.push(one);
        if (appended < 300) void append(store, happenings(spend(appended), spend(appended + 1)));
        appended += 2;
      },
    });
    expect(rebuilt.tableName).toBe(`usage__v${usage.version}_2`);
    const position = await append(store, happenings(spend(1_000)));
    await projector.reached(position, WAIT_MS);
    expect(await tableOf(usage)).toBe(`usage__v${usage.version}_2`);
    expect(await compare(usage)).toMatchObject({ position, equal: true });
    const { rows } = await pool.query('select count(*) as n from pg_class where relname = $1', [
      `usage__v${usage.version}`,
    ]);
    expect(rows).toEqual([{ n: 0n }]);

    const positions = progress.map((one) => one.position);
    expect(positions).toEqual(positions.toSorted((a, b) => Number(a - b)));
    expect(progress.at(-1)).toMatchObject({ events: rebuilt.events });
    expect(progress.at(-1)!.positionsPerSecond).toBeGreaterThan(0);
    expect(progress.at(-1)!.secondsLeft).toBeGreaterThanOrEqual(0);
  });

  test('never takes the position back', async () => {
    const position = await running();
    const rebuilt = await rebuild({ store, pool, projection: keys, nowMs });
    expect(rebuilt.position).toBeGreaterThanOrEqual(position);
    expect(await rebuild({ store, pool, projection: keys, nowMs })).toMatchObject({
      tableName: `keys__v${keys.version}_3`,
    });
  });

  test('that is behind the table when it takes over first applies what it lacks', async () => {
    const position = await running();
    const hasty: EventStore = {
      ...store,
      async *subscribe(...args) {
        for await (const batch of store.subscribe(...args)) yield { ...batch, caughtUp: true };
      },
    };
    const rebuilt = await rebuild({ store: hasty, pool, projection: usage, nowMs, batchMax: 30 });
    expect(rebuilt).toMatchObject({ events: 30, position });
    expect(await compare(usage)).toMatchObject({ equal: true, position });
  });

  test('repairs what was altered by hand', async () => {
    await running();
    await pool.query(`update usage set quantity = quantity + 1 where unit = 'output'`);
    expect(await compare(usage)).toMatchObject({ equal: false });
    await rebuild({ store, pool, projection: usage, nowMs });
    expect(await compare(usage)).toMatchObject({ equal: true });
  });

  test('runs once at a time', async () => {
    await running();
    const both = [1, 2].map(() => rebuild({ store, pool, projection: usage, nowMs, batchMax: 1 }));
    const settled = await Promise.allSettled(both);
    expect(settled.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    expect(settled.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: { message: 'Another rebuild of usage is running.' },
    });
    await rebuild({ store, pool, projection: usage, nowMs });
  });

  test('that fails leaves the table as it is, and nothing else', async () => {
    const position = await running();
    const failing: Projection = {
      ...usage,
      apply(recorded) {
        if (recorded.position === position) throw new Error('cannot');
        return usage.apply(recorded);
      },
    };
    await expect(rebuild({ store, pool, projection: failing, nowMs })).rejects.toMatchObject({ position });
    expect(await tableOf(usage)).toBe(`usage__v${usage.version}`);
    const { rows } = await pool.query(
      `select relname from pg_class where starts_with(relname, 'usage__v${usage.version}_') and relkind = 'r'`,
    );
    expect(rows).toEqual([]);
  });

  test('removes what one that was killed has left', async () => {
    await running();
    await pool.query(`create table usage__v${usage.version}_2 (left_over int)`);
    await pool.query(
      `insert into projections (name, version, table_name, position) values ('usage__v${usage.version}_2', ${usage.version}, 'usage__v${usage.version}_2', 7)`,
    );
    await rebuild({ store, pool, projection: usage, nowMs });
    expect(await compare(usage)).toMatchObject({ equal: true });
    expect((await pool.query('select name from projections order by name')).rows).toEqual([
      { name: 'keys' },
      { name: 'spend_log' },
      { name: 'usage' },
    ]);
  });

  test('does not pull the table away from somebody who loads it', async () => {
    await running();
    const table = memoryTable(spendLog);
    const [position] = await Promise.all([
      loadTable(pool, table),
      rebuild({ store, pool, projection: spendLog, nowMs, batchMax: 500 }),
    ]);
    expect(table.size).toBe(200);
    expect(position).toBe(await store.head());
  });
});

test('a table is loaded as it was at the position that goes with it, whatever is written meanwhile', async () => {
  const position = await running();
  const table = memoryTable(spendLog);
  const slow = Object.create(table, {
    load: {
      async value(...args: Parameters<typeof table.load>) {
        await projector.reached(await append(store, happenings(spend(900))), WAIT_MS);
        await table.load(...args);
      },
    },
  }) as typeof table;
  expect(await loadTable(pool, slow)).toBe(position);
  expect(table.size).toBe(200);
});

describe('a comparison', () => {
  test('finds and locates a changed, a removed and an added row', async () => {
    await running();
    const places = await pool.query<{ position: bigint }>(
      `select position from spend_log where request_id in ('req_7', 'req_8') order by request_id`,
    );
    const [changed, removed] = places.rows.map(({ position }) => [String(position)]);
    await pool.query(`update spend_log set price_nanos = price_nanos + 1 where request_id = 'req_7'`);
    await pool.query(`delete from spend_log where request_id = 'req_8'`);
    await pool.query(
      `insert into spend_log select 1000000 as position, l.* from (
      select request_id, agency_id, tenant_id, project_id, key_id, token_hash, user_id, end_user, tags, route, model, deployment,
      stream, admitted_at, recorded_at, month, outcome, status, usage_source, input_tokens, cached_input_tokens, output_tokens,
      reasoning_tokens, currency, price_nanos, cost_nanos, duration_ms, first_byte_ms, response_id
      from spend_log where request_id = 'req_9') l`,
    );
    expect(await compare(spendLog)).toMatchObject({
      equal: false,
      live: { rows: 200 },
      rebuilt: { rows: 200 },
      onlyLive: [changed, ['1000000']],
      onlyRebuilt: [changed, removed],
    });
  });

  test('is of one position, whatever is appended meanwhile', async () => {
    const position = await running();
    await projector.stop();
    await append(store, happenings(spend(500)));
    expect(await compare(usage, 3)).toMatchObject({ equal: true, position });
  });

  test('leaves nothing behind', async () => {
    await running();
    await compare(usage);
    expect((await pool.query(`select relname from pg_class where relname like 'rebuilt%'`)).rows).toEqual([]);
  });
});

describe('a dump', () => {
  test('is the same in every time zone and with a driver that reads values in its own way', async () => {
    await running(readModels);
    const elsewhere = new Pool({
      connectionString: database.url,
      options: '-c TimeZone=Asia/Kathmandu -c DateStyle=German -c IntervalStyle=sql_standard',
    });
    try {
      for (const projection of readModels) {
        expect(await dump(elsewhere, projection)).toEqual(await dump(pool, projection));
        const comparison = await compareWithRebuild({ store, pool: elsewhere, projection, batchMax: 7 });
        expect(comparison).toMatchObject({ equal: true });
      }
    } finally {
      await elsewhere.end();
    }
  });

  test('tells null from an empty text, and one amount from another', async () => {
    await running();
    const before = await dump(pool, spendLog);
    await pool.query(`update spend_log set user_id = '' where request_id = 'req_1'`);
    const after = await dump(pool, spendLog);
    expect(after.rows).toBe(before.rows);
    expect(after.sha256).not.toBe(before.sha256);
  });

  test('does not depend on where the rows lie in the table', async () => {
    await running();
    const before = await dump(pool, keys);
    await pool.query(`update keys set alias = 'moved'; update keys set alias = null`);
    expect(await dump(pool, keys)).toEqual(before);
  });
});
