import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Row } from '../../src/column-values.ts';
import { loadTable } from '../../src/follow.ts';
import { memoryTable } from '../../src/memory-table.ts';
import { type Projection, rowKey } from '../../src/projection.ts';
import { type Projector, startProjector } from '../../src/projector.ts';
import { readModels } from '../../src/read-models.ts';
import { compareWithRebuild } from '../../src/rebuild.ts';
import type { EventStore } from '../../src/store/event-store.ts';
import { memoryStore } from '../../src/store/memory.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { AT } from '../support/events.ts';
import { append, histories } from '../support/histories.ts';
import { dropReadModels, silent } from '../support/read-models.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.drop());

const byKey = (projection: Projection) => (a: Row, b: Row) =>
  Buffer.compare(Buffer.from(rowKey(projection, a)), Buffer.from(rowKey(projection, b)));

async function replayed(store: EventStore, projection: Projection): Promise<readonly Row[]> {
  const table = memoryTable(projection);
  const ending = new AbortController();
  for await (const batch of store.subscribe(0n, ending.signal, { batchMax: 13 })) {
    for (const recorded of batch.events) table.apply(recorded);
    if (batch.caughtUp) break;
  }
  return [...table.rows()].toSorted(byKey(projection));
}

async function stored(projection: Projection): Promise<readonly Row[]> {
  const table = memoryTable(projection);
  await loadTable(database.pool, table);
  return [...table.rows()].toSorted(byKey(projection));
}

async function withProjector<T>(
  store: EventStore,
  batchMax: number,
  task: (projector: Projector) => Promise<T>,
): Promise<T> {
  const { pool } = database;
  const projector = await startProjector({
    store,
    pool,
    projections: readModels,
    log: silent,
    batchMax,
    idleGatherMs: 0,
  });
  try {
    return await task(projector);
  } finally {
    await projector.stop();
  }
}

// Guarantee: a read model depends on the log alone. It does not matter whether its events were applied
// live or later, in which batches, in SQL or in memory.
test('live tables, rebuilds in batches of 1, 7 and 500, and tables in memory are the same', async () => {
  const inputs = fc.record({
    history: histories(120),
    liveBatchMax: fc.integer({ min: 1, max: 40 }),
    chunk: fc.integer({ min: 1, max: 60 }),
  });
  await fc.assert(
    fc.asyncProperty(inputs, async ({ history, liveBatchMax, chunk }) => {
      await dropReadModels(database.pool);
      const store = memoryStore({ now: () => AT });
      await withProjector(store, liveBatchMax, async (projector) => {
        for (let i = 0; i < history.length; i += chunk) {
          await append(store, history.slice(i, i + chunk));
          // Sometimes the tables are caught up in between, sometimes not.
          if (i % 2 === 0) await projector.reached(await store.head(), 20_000);
        }
        await projector.reached(await store.head(), 20_000);
        expect(projector.status().filter(({ error }) => error !== null)).toEqual([]);
      });
      for (const projection of readModels) {
        for (const batchMax of [1, 7, 500]) {
          const comparison = await compareWithRebuild({ store, pool: database.pool, projection, batchMax });
          expect(comparison).toMatchObject({
            position: await store.head(),
            onlyLive: [],
            onlyRebuilt: [],
            equal: true,
          });
        }
        expect(await stored(projection)).toEqual(await replayed(store, projection));
      }
    }),
    { numRuns: 12, endOnFailure: true },
  );
}, 120_000);
