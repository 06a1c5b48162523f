import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { keys } from '../projections/keys.ts';
import { projects } from '../projections/projects.ts';
import { spendTotals } from '../projections/spend-totals.ts';
import { usage } from '../projections/usage.ts';
import { ignore } from '../src/connections.ts';
import { follow, loadTable } from '../src/follow.ts';
import { memoryTable } from '../src/memory-table.ts';
import { defineProjection } from '../src/projection.ts';
import { startProjector } from '../src/projector.ts';
import type { EventStore } from '../src/store/event-store.ts';
import { memoryStore } from '../src/store/memory.ts';
import { testDatabase, type TestDatabase } from './support/database.ts';
import {
  AT,
  keyBlocked,
  keyDeleted,
  keyGenerated,
  keyRotated,
  keySettings,
  periodClosed,
  projectBlocked,
  projectOpened,
  projectUnblocked,
  recorded,
  recordedAll,
  spendRecorded,
  TOKEN_HASH,
} from './support/events.ts';
import { append, happenings } from './support/histories.ts';
import { dropReadModels, silent } from './support/read-models.ts';

const WAIT_MS = 10_000;

function keyTable(...events: Parameters<typeof recordedAll>[0]) {
  const table = memoryTable(keys, { indexes: ['token_hash', 'old_token_hash', 'project_id'] });
  for (const event of recordedAll(events)) table.apply(event);
  return table;
}

describe('a look-up', () => {
  test('finds a row by its key and by each indexed column', () => {
    const table = keyTable(keyGenerated(), keyGenerated({ keyId: 'key_2', tokenHash: 'hash-2' }));
    expect(table.get('key_2')).toMatchObject({ token_hash: 'hash-2' });
    expect(table.find('token_hash', TOKEN_HASH)).toMatchObject([{ key_id: 'key_1' }]);
    expect(table.find('project_id', 'prj_1')).toHaveLength(2);
    expect(table.get('key_3')).toBeUndefined();
    expect(table.find('token_hash', 'unknown')).toEqual([]);
  });

  test('by a secret that was rotated finds the key by both, until the old one has no grace', () => {
    const rotated = keyRotated();
    const table = keyTable(keyGenerated(), rotated);
    expect(table.find('token_hash', TOKEN_HASH)).toEqual([]);
    expect(table.find('token_hash', rotated.data.tokenHash)).toHaveLength(1);
    expect(table.find('old_token_hash', TOKEN_HASH)).toHaveLength(1);
    table.apply(recorded(keyDeleted(), { position: 3n }));
    expect(table.find('old_token_hash', TOKEN_HASH)).toEqual([]);
  });

  test('takes a key of several columns in their order', () => {
    const table = memoryTable(spendTotals);
    table.apply(recorded(spendRecorded()));
    expect(table.get('tenant', 'ten_1')).toMatchObject({ requests: 1n });
    expect(table.get('ten_1', 'tenant')).toBeUndefined();
  });

  test('by a column without an index is a mistake, not a scan', () => {
    expect(() => keyTable(keyGenerated()).find('alias', 'shop')).toThrow('no index');
  });
});

describe('a change', () => {
  test('puts a new row in the place of the old one, which stays as it was', () => {
    const table = keyTable(keyGenerated(), keyGenerated({ keyId: 'key_2' }));
    const before = table.get('key_1');
    const other = table.get('key_2');
    table.apply(recorded(keyBlocked(), { position: 3n }));
    expect(before?.status).toBe('active');
    expect(table.get('key_1')?.status).toBe('blocked');
    expect(table.get('key_2')).toBe(other);
  });

  test('is passed over when the table has it already', () => {
    const table = memoryTable(spendTotals);
    const spend = recorded(spendRecorded(), { position: 5n });
    table.apply(spend);
    table.apply(spend);
    table.advance(9n);
    table.apply(recorded(spendRecorded(), { position: 9n }));
    table.advance(4n);
    expect(table.get('key', 'key_1')).toMatchObject({ requests: 1n });
    expect(table.position).toBe(9n);
  });

  test('of the key moves the row, also in the indexes', () => {
    const table = memoryTable(usage, { indexes: ['invoice_period'] });
    table.apply(recorded(spendRecorded(), { position: 1n }));
    table.apply(recorded(periodClosed(), { position: 2n }));
    expect(table.find('invoice_period', 'open')).toEqual([]);
    expect(table.find('invoice_period', '2026-11')).toHaveLength(3);
    expect(table.size).toBe(3);
  });

  test('finds the rows of an indexed column without looking at the others', async () => {
    let looked = 0;
    const table = memoryTable(
      defineProjection({
        name: 'watched',
        version: 1,
        columns: { id: 'text', project_id: 'text', note: 'text' },
        key: ['id'],
        on: {
          'project.blocked': ({ projectId }) => ({
            op: 'update',
            where: { project_id: projectId },
            set: { note: 'x' },
          }),
          'project.unblocked': ({ projectId }) => ({ op: 'remove', where: { project_id: projectId } }),
        },
      }),
      { indexes: ['project_id'] },
    );
    const row = (id: number) => ({
      id: String(id),
      get project_id() {
        looked += 1;
        return `prj_${id % 100}`;
      },
      note: '',
    });
    async function* pages() {
      yield Array.from({ length: 1_000 }, (_, id) => row(id));
    }
    await table.load(pages(), 0n);
    looked = 0;
    table.apply(recorded(projectBlocked({ projectId: 'prj_7' }), { position: 1n }));
    expect(looked).toBeLessThan(60);
    expect(table.find('project_id', 'prj_7').every(({ note }) => note === 'x')).toBe(true);
    table.apply(recorded(projectUnblocked({ projectId: 'prj_7' }), { position: 2n }));
    expect(table.size).toBe(990);
  });
});

function start(store: EventStore, tables: Parameters<typeof follow>[0]['tables']) {
  const ending = new AbortController();
  const clock = { ms: 0 };
  const failures: unknown[] = [];
  const follower = follow({
    store,
    tables,
    signal: ending.signal,
    nowMs: () => clock.ms,
    log: silent,
    onFailure: (error) => failures.push(error),
  });
  const stop = async (): Promise<void> => {
    ending.abort();
    await follower.done;
  };
  return { follower, clock, failures, stop };
}

describe('tables that follow the log', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await testDatabase();
  });
  afterAll(() => database.drop());

  async function sqlTables(store: EventStore): Promise<void> {
    await dropReadModels(database.pool);
    const options = {
      store,
      pool: database.pool,
      projections: [keys, projects],
      log: silent,
      idleGatherMs: 0,
    };
    const projector = await startProjector(options);
    await projector.reached(await store.head(), WAIT_MS);
    await projector.stop();
  }

  test('start from the SQL tables and miss nothing that came since', async () => {
    const store = memoryStore({ now: () => AT });
    await append(
      store,
      happenings(projectOpened(), keyGenerated({ settings: keySettings({ metadata: { a: [1] } }) })),
    );
    await sqlTables(store);
    await append(store, happenings(keyBlocked()));
    const keyRows = memoryTable(keys, { indexes: ['token_hash'] });
    const projectRows = memoryTable(projects);
    expect(await loadTable(database.pool, keyRows)).toBe(2n);
    await loadTable(database.pool, projectRows);
    const { follower, stop } = start(store, [keyRows, projectRows]);
    await follower.reached(3n, WAIT_MS);
    expect(keyRows.find('token_hash', TOKEN_HASH)).toMatchObject([
      { status: 'blocked', metadata: { a: [1] } },
    ]);
    expect(projectRows.get('prj_1')).toMatchObject({ environments: ['production', 'staging'] });
    const position = await append(store, happenings(keyGenerated({ keyId: 'key_2' }), spendRecorded()));
    await follower.reached(position, WAIT_MS);
    expect(keyRows.size).toBe(2);
    await stop();
  });

  test('while the SQL table is of an older version, start empty and read the whole log', async () => {
    const store = memoryStore({ now: () => AT });
    await append(store, happenings(keyGenerated()));
    await sqlTables(store);
    const table = memoryTable({ ...keys, version: keys.version + 1 });
    expect(await loadTable(database.pool, table)).toBe(0n);
    const { follower, stop } = start(store, [table]);
    await follower.reached(1n, WAIT_MS);
    expect(table.size).toBe(1);
    await stop();
  });

  test('know how long ago they were known to be current', async () => {
    const store = memoryStore({ now: () => AT });
    const { follower, clock, stop } = start(store, [memoryTable(keys)]);
    expect(follower.isCurrent(1_000_000, 0)).toBe(false);
    clock.ms = 50;
    await follower.reached(await append(store, happenings(keyGenerated())), WAIT_MS);
    expect(follower.isCurrent(0, 0)).toBe(true);
    clock.ms = 750;
    expect([follower.isCurrent(700, 0), follower.isCurrent(699, 0)]).toEqual([true, false]);
    await stop();
  });

  test('ask the log itself while nothing comes, and count from the asking', async () => {
    const store = memoryStore({ now: () => AT });
    let asked = ignore;
    const clock = { ms: 0 };
    const ending = new AbortController();
    const watched: EventStore = {
      ...store,
      async head() {
        const head = await store.head();
        clock.ms += 10;
        asked();
        return head;
      },
    };
    const tables = [memoryTable(keys)];
    const options = {
      store: watched,
      tables,
      signal: ending.signal,
      nowMs: () => clock.ms,
      log: silent,
      checkMs: 1,
    };
    const follower = follow({ ...options, onFailure: () => undefined });
    for (let i = 0; i < 3; i += 1) await new Promise<void>((resolve) => (asked = resolve));
    await new Promise(setImmediate);
    expect([follower.isCurrent(10, 0), follower.isCurrent(9, 0)]).toEqual([true, false]);
    ending.abort();
    await follower.done;
  });

  test('stay usable for longer while the log does not answer at all', async () => {
    const store = memoryStore({ now: () => AT });
    const clock = { ms: 0 };
    const ending = new AbortController();
    let asked = ignore;
    let down = false;
    const watched: EventStore = {
      ...store,
      async head() {
        const head = await store.head();
        asked();
        if (down) throw new Error('no log');
        return head;
      },
    };
    const options = { store: watched, tables: [memoryTable(keys)], signal: ending.signal };
    const clocked = { nowMs: () => clock.ms, log: silent, checkMs: 1, onFailure: () => undefined };
    const follower = follow({ ...options, ...clocked });
    const askedAgain = async (): Promise<void> => {
      for (let i = 0; i < 2; i += 1) await new Promise<void>((resolve) => (asked = resolve));
      await new Promise(setImmediate);
    };
    await askedAgain();
    down = true;
    await askedAgain();
    clock.ms = 10_000;
    expect([follower.isCurrent(5_000, 10_000), follower.isCurrent(5_000, 9_999)]).toEqual([true, false]);
    down = false;
    await askedAgain();
    expect(follower.isCurrent(0, 0)).toBe(true);
    ending.abort();
    await follower.done;
  });

  test('say so when an event cannot be applied, keep what they have, and refuse to wait', async () => {
    const store = memoryStore({ now: () => AT });
    const table = memoryTable(keys);
    const { follower, failures, stop } = start(store, [table]);
    await append(store, happenings(keyGenerated(), keyGenerated()));
    await follower.done;
    expect(failures).toMatchObject([{ name: 'FailingEvent', position: 2n }]);
    expect(follower.failure).toBe(failures[0]);
    expect(table.size).toBe(1);
    await expect(follower.reached(2n, WAIT_MS)).rejects.toMatchObject({ code: 'stale_read' });
    await stop();
  });
});
