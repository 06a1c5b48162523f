import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { importBundle } from '../../src/audit/import-bundle.ts';
import { startProjector } from '../../src/projector.ts';
import { readModels } from '../../src/read-models.ts';
import type { EventStore } from '../../src/store/event-store.ts';
import { eventStoreDb } from '../../src/store/eventstoredb.ts';
import { memoryStore } from '../../src/store/memory.ts';
import { dump } from '../../src/table-dump.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { keyBlocked, newEvent, spendRecorded } from '../support/events.ts';
import { startStandIn } from '../support/eventstoredb/stand-in.ts';
import { all, append } from '../support/log.ts';
import {
  type AuditedDatabase,
  auditedDatabase,
  log,
  openStore,
  sealNow,
  seedHistory,
} from './audited-database.ts';
import { asLines, exported, parsed } from './bundles.ts';
import { newKey } from './sealed-log.ts';

let audited: AuditedDatabase;
let whole: readonly string[];
const key = newKey();

beforeAll(async () => {
  audited = await auditedDatabase();
  await seedHistory(audited);
  await audited.pool.query(`insert into project_names values ('prj_1', 'Shop')`);
  await sealNow(audited, key);
  await audited.settle();
  whole = await exported(audited, { kind: 'all' });
});
afterAll(() => audited.drop());

interface Target {
  readonly database: TestDatabase;
  readonly store: EventStore;
  readonly import: (lines: AsyncIterable<string>) => ReturnType<typeof importBundle>;
  close(): Promise<void>;
}

async function emptyInstallation(): Promise<Target> {
  const database = await testDatabase();
  let recordedAt = '2026-11-20T10:00:00.000Z';
  const store = openStore(database, () => recordedAt);
  const deps = {
    store,
    pool: database.pool,
    setRecordedAt: (instant: string) => void (recordedAt = instant),
  };
  return {
    database,
    store,
    import: (lines) => importBundle(deps, lines),
    async close() {
      await store.close();
      await database.drop();
    },
  };
}

async function dumps(database: Pick<TestDatabase, 'pool'>): Promise<Record<string, unknown>> {
  const tables: Record<string, unknown> = {};
  for (const model of readModels) tables[model.name] = await dump(database.pool, model);
  for (const name of ['contacts', 'project_names', 'invoice_documents', 'events']) {
    const { rows } = await database.pool.query(
      `select row_to_json(t)::text as row from ${name} t order by 1`,
    );
    tables[name] = rows;
  }
  return tables;
}

async function fillReadModels({ database, store }: Target): Promise<void> {
  const projector = await startProjector({
    store,
    pool: database.pool,
    projections: readModels,
    log,
    idleGatherMs: 0,
  });
  await projector.reached(await store.head(), 20_000);
  await projector.stop();
}

describe('a full export in an empty installation', () => {
  test('is the same log, the same records, and byte for byte the same read models', async () => {
    const target = await emptyInstallation();
    try {
      const imported = await target.import(asLines(whole));
      expect(imported).toMatchObject({ found: 0, records: 8 });
      await fillReadModels(target);
      expect(await dumps(target.database)).toEqual(await dumps(audited));
      expect(await exported(target.database, { kind: 'all' }, target.store)).toEqual(whole);
    } finally {
      await target.close();
    }
  });

  test('of another store and back is the same export, however often it moves', async () => {
    let clock = '';
    const memory = memoryStore({ now: () => clock });
    const there = {
      store: memory,
      pool: audited.pool,
      setRecordedAt: (instant: string) => void (clock = instant),
    };
    await importBundle(there, asLines(whole));
    const fromMemory = await exported(audited, { kind: 'all' }, memory);
    expect(fromMemory).toEqual(whole);
    const target = await emptyInstallation();
    try {
      await target.import(asLines(fromMemory));
      expect(await all(target.store.readLog(0n))).toEqual(await all(memory.readLog(0n)));
    } finally {
      await target.close();
    }
  });

  test('on a store that sets its own times differs in these alone', async () => {
    const memory = memoryStore({ now: () => '2030-01-01T00:00:00.000Z' });
    await importBundle({ store: memory, pool: audited.pool }, asLines(whole));
    const events = parsed(whole).flatMap(({ event }) => (event === undefined ? [] : [event]));
    const moved = parsed(await exported(audited, { kind: 'all' }, memory)).flatMap(
      ({ event }) => event ?? [],
    );
    expect(moved).toEqual(events.map((event) => ({ ...event, recordedAt: '2030-01-01T00:00:00.000Z' })));
  });

  test('goes to EventStoreDB in appends that it takes, with the times of recording', async () => {
    let clock = '2026-03-29T00:59:59.999Z';
    const memory = memoryStore({ now: () => clock });
    const tags = Array.from({ length: 40 }, (_, i) => `a tag of some length, number ${i}`);
    const events = Array.from({ length: 700 }, (_, i) =>
      newEvent(spendRecorded({ requestId: `large_${i}`, tags }), `large ${i}`),
    );
    const [first, second] = [events.slice(0, 350), events.slice(350)];
    const { heads } = await memory.append([{ stream: 'spend-large', expected: 'none', events: first }]);
    await memory.append([{ stream: 'spend-large', expected: heads[0]!, events: second }]);
    clock = '2026-03-29T01:00:00.000Z';
    await append(memory, 'key-later', 'none', 1);
    const lines = await exported(audited, { kind: 'all' }, memory);
    const server = await startStandIn();
    let recordedAt = '';
    const target = eventStoreDb({ url: server.url, log, now: () => recordedAt });
    try {
      const setRecordedAt = (instant: string): void => void (recordedAt = instant);
      await importBundle({ store: target, pool: audited.pool, setRecordedAt }, asLines(lines));
      const unplaced = async (store: EventStore) =>
        (await all(store.readLog(0n))).map((placed) => ({ ...placed, position: null }));
      expect(await unplaced(target)).toEqual(await unplaced(memory));
    } finally {
      await target.close();
      server.stop();
    }
  });

  test('that was cut off anywhere is completed by starting it again', async () => {
    for (const stop of [2, 7, 20, whole.length - 2]) {
      const target = await emptyInstallation();
      try {
        await expect(target.import(asLines(whole.slice(0, stop)))).rejects.toThrow('without a footer');
        const { found } = await target.import(asLines(whole));
        expect(found).toBeLessThan(stop);
        expect(await target.import(asLines(whole))).toMatchObject({
          found: parsed(whole).filter(({ event }) => event).length,
        });
        expect(await exported(target.database, { kind: 'all' }, target.store)).toEqual(whole);
      } finally {
        await target.close();
      }
    }
  });
});

describe('an import is refused', () => {
  test('into an installation that has another log', async () => {
    const target = await emptyInstallation();
    try {
      const first = parsed(whole).find(({ event }) => event)!.event;
      await target.store.append([
        { stream: first.stream, expected: 'none', events: [{ ...someEvent(), id: first.id }] },
      ]);
      await expect(target.import(asLines(whole))).rejects.toThrow(
        'This installation is not empty: at position 1',
      );
    } finally {
      await target.close();
    }
  });

  test('where a record is another one', async () => {
    const target = await emptyInstallation();
    try {
      await target.database.pool.query(`insert into project_names values ('prj_1', 'Other')`);
      await expect(target.import(asLines(whole))).rejects.toThrow('project_names has something else');
    } finally {
      await target.close();
    }
  });

  test('of a partial export, and of an event that was altered', async () => {
    const memory = memoryStore({ now: () => '' });
    const part = await exported(audited, { kind: 'tenant', id: 'ten_1' });
    const deps = { store: memory, pool: audited.pool };
    await expect(importBundle(deps, asLines(part))).rejects.toThrow('Only a full export');
    const altered = whole.map((line) => line.replace('"262500\\"', '"262499\\"').replace('262500', '262499'));
    await expect(importBundle(deps, asLines(altered))).rejects.toThrow('it was altered');
  });
});

function someEvent() {
  return {
    id: '',
    agencyId: 'age_1',
    tenantId: null,
    actor: { kind: 'system', id: 'x' } as const,
    correlationId: 'x',
    causationId: 'x',
    occurredAt: '2026-11-20T10:00:00.000Z',
    commandHash: null,
    event: keyBlocked(),
  };
}
