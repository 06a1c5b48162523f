import type { Pool } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { keys } from '../projections/keys.ts';
import { spendTotals } from '../projections/spend-totals.ts';
import { defineProjection, type Projection } from '../src/projection.ts';
import { type Projector, type ProjectorOptions, startProjector } from '../src/projector.ts';
import { encode } from '../src/store/codec.ts';
import type { EventStore } from '../src/store/event-store.ts';
import { memoryStore } from '../src/store/memory.ts';
import { testDatabase, type TestDatabase } from './support/database.ts';
import { AT, keyBlocked, keyGenerated, newEvent, periodClosed, spendRecorded } from './support/events.ts';
import { append, happenings } from './support/histories.ts';
import { dropReadModels, silent } from './support/read-models.ts';

const WAIT_MS = 10_000;

let database: TestDatabase;
let pool: Pool;
const running: Projector[] = [];
beforeAll(async () => {
  database = await testDatabase();
  ({ pool } = database);
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((projector) => projector.stop()));
  await dropReadModels(pool);
});
afterAll(() => database.drop());

const newStore = (): EventStore => memoryStore({ now: () => AT });

async function start(
  store: EventStore,
  projections: readonly Projection[],
  options: Partial<ProjectorOptions> = {},
): Promise<Projector> {
  const projector = await startProjector({
    store,
    pool,
    projections,
    log: silent,
    idleGatherMs: 0,
    retryMs: 1,
    ...options,
  });
  running.push(projector);
  return projector;
}

async function rowsOf(name: string): Promise<readonly Record<string, unknown>[]> {
  return (await pool.query<Record<string, unknown>>(`select * from ${name} order by 1, 2`)).rows;
}

async function registry(name: string) {
  const { rows } = await pool.query<{
    version: number;
    table_name: string;
    position: bigint;
    error: string | null;
  }>('select version, table_name, position, error from projections where name = $1', [name]);
  return rows[0];
}

const spends = (n: number, from = 0) =>
  happenings(...Array.from({ length: n }, (_, i) => spendRecorded({ requestId: `req_${from + i}` })));

/** Counts key events by type; fails at those of `key_bad`. */
const counting = (version = 1, bad: 'fails' | 'passes' = 'fails') =>
  defineProjection({
    name: 'counting',
    version,
    columns: { id: 'text', events: 'sum' },
    key: ['id'],
    on: {
      'key.blocked': ({ keyId }) => {
        if (keyId === 'key_bad' && bad === 'fails') throw new Error('cannot count this');
        return { op: 'add', key: { id: keyId }, by: { events: BigInt(version) } };
      },
    },
  });

describe('tables', () => {
  test('are made once, however many processes start at the same time', async () => {
    const store = newStore();
    await append(store, spends(10));
    const projectors = await Promise.all([1, 2, 3, 4].map(() => start(store, [spendTotals, keys])));
    await Promise.all(projectors.map((projector) => projector.reached(10n, WAIT_MS)));
    expect(await rowsOf('spend_totals')).toHaveLength(3);
    expect(await registry('spend_totals')).toMatchObject({
      version: 2,
      table_name: 'spend_totals__v2',
      position: 10n,
    });
  });

  test('have every event once, however many processes apply them', async () => {
    const store = newStore();
    const projectors = await Promise.all(
      [1, 3, 7].map((batchMax) => start(store, [spendTotals], { batchMax })),
    );
    for (let i = 0; i < 10; i += 1) await append(store, spends(10, i * 10));
    await Promise.all(projectors.map((projector) => projector.reached(100n, WAIT_MS)));
    expect(await rowsOf('spend_totals')).toMatchObject([
      { level: 'key', requests: 100n, price_nanos: 26_250_000n },
      { level: 'project', requests: 100n },
      { level: 'tenant', requests: 100n },
    ]);
  });

  test('that a database has lost the newest rows of are filled again from there, also under a living process', async () => {
    const store = newStore();
    const projector = await start(store, [spendTotals]);
    await append(store, spends(10));
    await projector.reached(10n, WAIT_MS);
    await pool.query('create table copy as table spend_totals__v2');
    const before = (await registry('spend_totals'))!.position;
    await append(store, spends(5, 10));
    await projector.reached(15n, WAIT_MS);
    await pool.query('truncate spend_totals__v2; insert into spend_totals__v2 table copy; drop table copy');
    await pool.query('update projections set position = $1', [before]);
    await append(store, spends(5, 15));
    await projector.reached(20n, WAIT_MS);
    await vi.waitFor(async () => expect((await registry('spend_totals'))!.position).toBe(20n));
    expect((await rowsOf('spend_totals')).map(({ requests }) => requests)).toEqual([20n, 20n, 20n]);
  });

  test('go on where they were after a restart', async () => {
    const store = newStore();
    await append(store, spends(5));
    const first = await start(store, [spendTotals]);
    await first.reached(5n, WAIT_MS);
    await first.stop();
    await append(store, spends(5, 5));
    await (await start(store, [spendTotals])).reached(10n, WAIT_MS);
    expect(await rowsOf('spend_totals')).toMatchObject([
      { requests: 10n },
      { requests: 10n },
      { requests: 10n },
    ]);
  });

  test('remember a position that no event of theirs has moved', async () => {
    const store = newStore();
    const projector = await start(store, [keys, spendTotals]);
    await append(store, spends(20));
    await projector.reached(20n, WAIT_MS);
    await projector.stop();
    expect(await registry('keys')).toMatchObject({ position: 20n });
  });

  test('of a definition that was changed without a new version are refused', async () => {
    const store = newStore();
    await start(store, [counting()]);
    const changed = { ...counting(), columns: { id: 'text', events: 'sum', more: 'text?' } } as const;
    await expect(start(store, [changed])).rejects.toThrow('Raise its version');
  });
});

describe('waiting for a position', () => {
  test('succeeds for events that concern no projection', async () => {
    const store = newStore();
    const projector = await start(store, [keys]);
    const position = await append(store, happenings(periodClosed()));
    await expect(projector.reached(position, WAIT_MS)).resolves.toBeUndefined();
  });

  test('shows the rows at once to thousands of readers', async () => {
    const store = newStore();
    const projector = await start(store, [spendTotals, keys]);
    const reads = Array.from({ length: 5_000 }, (_, i) => projector.reached(BigInt((i % 100) + 1), WAIT_MS));
    for (let i = 0; i < 10; i += 1) await append(store, spends(10, i * 10));
    await Promise.all(reads);
    expect(await rowsOf('spend_totals')).toMatchObject([
      { requests: 100n },
      { requests: 100n },
      { requests: 100n },
    ]);
  });

  test('ends the pause in which a batch would grow', async () => {
    const store = newStore();
    const projector = await start(store, [spendTotals], { idleGatherMs: 3_600_000 });
    await append(store, spends(1));
    await projector.reached(1n, WAIT_MS);
    await append(store, spends(1, 1));
    await projector.reached(2n, WAIT_MS);
    await append(store, spends(1, 2));
    await projector.reached(3n, WAIT_MS, ['spend_totals']);
    expect(await registry('spend_totals')).toMatchObject({ position: 3n });
  });

  test('keeps the pause from beginning until the position is there', async () => {
    const store = newStore();
    const projector = await start(store, [spendTotals], { idleGatherMs: 3_600_000 });
    const waiting = [projector.reached(3n, WAIT_MS), projector.reached(2n, WAIT_MS, ['spend_totals'])];
    for (let i = 0; i < 3; i += 1) {
      await append(store, spends(1, i));
      // What was appended is written before the next comes.
      while ((await registry('spend_totals'))!.position <= BigInt(i)) await pool.query('select 1');
    }
    expect(await Promise.all(waiting)).toHaveLength(2);
  });

  test('is refused as stale when the time is over', async () => {
    const store = newStore();
    const projector = await start(store, [spendTotals]);
    await projector.reached(0n, WAIT_MS);
    const blocker = await pool.connect();
    try {
      await blocker.query(`begin; select from projections where name = 'spend_totals' for update`);
      const position = await append(store, spends(1));
      await expect(projector.reached(position, 20)).rejects.toMatchObject({ code: 'stale_read' });
      await blocker.query('commit');
      await projector.reached(position, WAIT_MS);
    } finally {
      blocker.release();
    }
  });
});

describe('an event that cannot be applied', () => {
  const poisoned = happenings(
    keyBlocked({ keyId: 'key_1' }),
    keyBlocked({ keyId: 'key_bad' }),
    keyBlocked({ keyId: 'key_2' }),
  );

  test('stops only its projection, right before it, and is named', async () => {
    const store = newStore();
    const projector = await start(store, [counting(), keys]);
    await append(store, poisoned);
    await projector.reached(3n, WAIT_MS, ['keys']);
    await expect(projector.reached(3n, WAIT_MS)).rejects.toMatchObject({ code: 'stale_read' });
    expect(await rowsOf('counting')).toEqual([{ id: 'key_1', events: 1n }]);
    const [status, other] = projector.status();
    expect(status).toMatchObject({ name: 'counting', stopped: true, error: { position: 2n } });
    expect(status?.error?.stream).toMatch(/^test-/);
    expect(status?.error?.message).toContain(status?.error?.eventId);
    expect(other).toMatchObject({ name: 'keys', stopped: false, error: null, caughtUp: true });
    await projector.stop();
    expect(await registry('counting')).toMatchObject({ position: 1n, error: status?.error?.message });
  });

  test('is not skipped by a restart, and applied by a build that can', async () => {
    const store = newStore();
    await append(store, poisoned);
    for (const _ of [1, 2]) {
      const projector = await start(store, [counting()]);
      await expect(projector.reached(3n, WAIT_MS)).rejects.toMatchObject({ code: 'stale_read' });
      await projector.stop();
    }
    await (await start(store, [counting(1, 'passes')])).reached(3n, WAIT_MS);
    expect(await rowsOf('counting')).toHaveLength(3);
    expect(await registry('counting')).toMatchObject({ position: 3n, error: null });
  });

  test('is found in its batch when the table refuses it', async () => {
    const store = newStore();
    await append(
      store,
      happenings(keyGenerated(), keyBlocked(), keyGenerated(), keyGenerated({ keyId: 'key_2' })),
    );
    const projector = await start(store, [keys]);
    await expect(projector.reached(4n, WAIT_MS)).rejects.toMatchObject({ code: 'stale_read' });
    expect(projector.status()[0]).toMatchObject({ stopped: true, error: { position: 3n } });
    expect(await rowsOf('keys')).toMatchObject([{ key_id: 'key_1', status: 'blocked' }]);
  });

  test('may also be one that this build cannot read', async () => {
    const [known] = encode({ stream: 's', expected: 'none', events: [newEvent(keyBlocked(), 's')] });
    const stored = {
      ...('stored' in known! ? known.stored : known!),
      position: 1n,
      recordedAt: AT,
      type: 'key.exploded',
      data: {},
    };
    const store = memoryStore({ now: () => AT, stored: [stored as never] });
    const projector = await start(store, [keys, spendTotals]);
    await projector.reached(1n, WAIT_MS, ['spend_totals']);
    await expect(projector.reached(1n, WAIT_MS, ['keys'])).rejects.toMatchObject({ code: 'stale_read' });
    expect(projector.status()[0]).toMatchObject({ stopped: true, error: { position: 1n, stream: 's' } });
  });
});

test('a connection that dies in the middle of a transaction only delays', async () => {
  const store = newStore();
  const projector = await start(store, [spendTotals]);
  await projector.reached(0n, WAIT_MS);
  const blocker = await pool.connect();
  try {
    await blocker.query(`begin; select from projections where name = 'spend_totals' for update`);
    const position = await append(store, spends(10));
    for (const _ of [1, 2, 3]) await killWaiting();
    await blocker.query('commit');
    await projector.reached(position, WAIT_MS);
  } finally {
    blocker.release();
  }
  expect(projector.status()).toMatchObject([{ error: null, stopped: false, position: 10n, lag: 0 }]);
  expect(await rowsOf('spend_totals')).toMatchObject([
    { requests: 10n },
    { requests: 10n },
    { requests: 10n },
  ]);
});

/** Ends the connection that waits for a lock, as soon as there is one. */
async function killWaiting(): Promise<void> {
  for (;;) {
    const { rows } = await pool.query(
      `select pg_terminate_backend(pid, 5000) from pg_stat_activity
       where datname = current_database() and wait_event_type = 'Lock'`,
    );
    if (rows.length > 0) return;
  }
}

describe('a raised version', () => {
  const events = happenings(...[1, 2, 3, 4, 5].map((n) => keyBlocked({ keyId: `key_${n}` })));

  test('is filled beside the old table and takes its place when it has caught up', async () => {
    const store = newStore();
    await append(store, events);
    const old = await start(store, [counting(1)]);
    await old.reached(5n, WAIT_MS);
    const raised = await start(store, [counting(2)], { batchMax: 2 });
    await raised.reached(5n, WAIT_MS);
    expect(await registry('counting')).toMatchObject({
      version: 2,
      table_name: 'counting__v2',
      position: 5n,
    });
    expect((await rowsOf('counting')).map(({ events }) => events)).toEqual([2n, 2n, 2n, 2n, 2n]);
    expect((await pool.query(`select to_regclass('counting__v1') as old`)).rows).toEqual([{ old: null }]);
    expect((await pool.query('select count(*) as n from projections')).rows).toEqual([{ n: 1n }]);

    await append(store, happenings(keyBlocked({ keyId: 'key_6' })));
    await raised.reached(6n, WAIT_MS);
    await expect(old.reached(6n, WAIT_MS)).rejects.toMatchObject({ code: 'stale_read' });
    expect(old.status()[0]?.error?.message).toContain('newer Keyledger');
    expect((await rowsOf('counting')).at(-1)).toEqual({ id: 'key_6', events: 2n });
  });

  test('is filled by several processes together, each event once', async () => {
    const store = newStore();
    await append(store, events);
    await (await start(store, [counting(1)])).reached(5n, WAIT_MS);
    const several = await Promise.all([1, 2, 3].map(() => start(store, [counting(3)], { batchMax: 1 })));
    await append(store, events);
    await Promise.all(several.map((projector) => projector.reached(10n, WAIT_MS)));
    expect((await rowsOf('counting')).map(({ events }) => events)).toEqual([6n, 6n, 6n, 6n, 6n]);
  });

  test('cannot be taken back by an older build', async () => {
    const store = newStore();
    await (await start(store, [counting(2)])).stop();
    await expect(start(store, [counting(1)])).rejects.toThrow('newer Keyledger');
  });
});
