import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Row } from '../../src/column-values.ts';
import { loadTable } from '../../src/follow.ts';
import { memoryTable } from '../../src/memory-table.ts';
import { type Projection, rowKey } from '../../src/projection.ts';
import { prepareTables } from '../../src/projection-tables.ts';
import { startProjector } from '../../src/projector.ts';
import { readModels } from '../../src/read-models.ts';
import type { EventStore } from '../../src/store/event-store.ts';
import { memoryStore } from '../../src/store/memory.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { AT, oneOfEach } from '../support/events.ts';
import { append, type Happening, histories } from '../support/histories.ts';
import { all } from '../support/log.ts';
import { silent } from '../support/read-models.ts';
import type { FromElsewhere } from '../support/rebuild-elsewhere.ts';
import {
  type Dumps,
  dumpAll,
  emptyTables,
  type RebuiltTables,
  rebuiltTables,
} from '../support/rebuilt-tables.ts';

/**
 * A read model depends on the log alone: not on when its events were applied, in which batches, by
 * which process, in which time zone and language, in SQL or in memory. HISTORY_SEED repeats a run
 * that failed; HISTORIES and HISTORY_EVENTS make a longer one.
 */
const SEED = Number(process.env['HISTORY_SEED'] ?? Math.trunc(Math.random() * 2 ** 31));
const HISTORIES = Number(process.env['HISTORIES'] ?? 25);
const EVENTS_MAX = Number(process.env['HISTORY_EVENTS'] ?? 80);
const ELSEWHERE = { TZ: 'Asia/Kathmandu', LANG: 'tr_TR.UTF-8', LC_ALL: 'tr_TR.UTF-8' };
const BATCHES = [1, 7, 500] as const;
const WAIT_MS = 20_000;

let database: TestDatabase;
let rebuilt: RebuiltTables;
let child: ChildProcess;
beforeAll(async () => {
  database = await testDatabase();
  await prepareTables(database.pool, readModels);
  rebuilt = await rebuiltTables(database.pool, 'rebuilt');
  child = fork('dist/test/support/rebuild-elsewhere.js', [database.url], {
    env: { PATH: process.env['PATH'] ?? '', ...ELSEWHERE },
    execArgv: [],
    serialization: 'advanced',
  });
  await said(child);
});
afterAll(async () => {
  if (child?.exitCode === null) {
    const gone = once(child, 'exit');
    child.disconnect();
    await gone;
  }
  await database.drop();
});

/** What the child says next. Rejects when it ends instead. */
async function said(from: ChildProcess): Promise<unknown> {
  const ended = new AbortController();
  const { signal } = ended;
  try {
    const message = once(from, 'message', { signal }).then(([value]: unknown[]) => value);
    const exit = once(from, 'exit', { signal }).then(([code]) => {
      throw new Error(`the process elsewhere ended with ${String(code)}`);
    });
    exit.catch(() => undefined);
    message.catch(() => undefined);
    return await Promise.race([message, exit]);
  } finally {
    ended.abort();
  }
}

async function elsewhere(store: EventStore): Promise<FromElsewhere> {
  const answer = said(child);
  child.send(await all(store.readLog(0n)));
  return (await answer) as FromElsewhere;
}

/** Appends piece by piece while the projector runs. Sometimes the tables are caught up in between, sometimes not. */
async function live(store: EventStore, history: readonly Happening[], chance: number): Promise<Dumps> {
  const { pool } = database;
  await emptyTables(pool, readModels);
  const batchMax = 1 + (chance % 40);
  const piece = 1 + (chance % 23);
  const options = { store, pool, projections: readModels, log: silent, batchMax, idleGatherMs: 0 };
  const projector = await startProjector(options);
  try {
    for (let i = 0; i < history.length; i += piece) {
      await append(store, history.slice(i, i + piece));
      if (i % 2 === 0) await projector.reached(await store.head(), WAIT_MS);
    }
    await projector.reached(await store.head(), WAIT_MS);
  } finally {
    await projector.stop();
  }
  return await dumpAll(pool);
}

const byKey = (projection: Projection) => (a: Row, b: Row) =>
  Buffer.compare(Buffer.from(rowKey(projection, a)), Buffer.from(rowKey(projection, b)));

async function inMemory(store: EventStore, projection: Projection): Promise<readonly Row[]> {
  const table = memoryTable(projection);
  const ending = new AbortController();
  for await (const batch of store.subscribe(0n, ending.signal, { batchMax: 13 })) {
    for (const recorded of batch.events) table.apply(recorded);
    if (batch.caughtUp) break;
  }
  return [...table.rows()].toSorted(byKey(projection));
}

async function loaded(projection: Projection): Promise<readonly Row[]> {
  const table = memoryTable(projection);
  await loadTable(database.pool, table);
  return [...table.rows()].toSorted(byKey(projection));
}

test(`${HISTORIES} random histories give the same bytes live, rebuilt in batches of ${BATCHES.join(', ')}, in another zone and language, and in memory`, async () => {
  // Each type there is happens in one of them for certain.
  const types = Object.keys(oneOfEach) as (keyof typeof oneOfEach)[];
  const samples = Array.from({ length: HISTORIES }, (_, i) => {
    const certain = types.filter((_type, n) => n % HISTORIES === i).map((type) => oneOfEach[type]());
    return fc.sample(histories(EVENTS_MAX, certain), { numRuns: 1, seed: SEED + i })[0]!;
  });
  for (const [index, history] of samples.entries()) {
    const which = `history ${index} of HISTORY_SEED=${SEED}`;
    const store = memoryStore({ now: () => AT });
    const expected = await live(store, history, SEED + index * 7);
    const far = elsewhere(store);
    for (const batchMax of BATCHES) {
      expect(await rebuilt.from(store, batchMax), `${which}, in batches of ${batchMax}`).toEqual(expected);
    }
    const { dumps, language, offsetMinutes } = await far;
    expect({ language, offsetMinutes }).toEqual({ language: 'tr-TR', offsetMinutes: -345 });
    expect(dumps, `${which}, elsewhere`).toEqual(expected);
    for (const model of readModels) {
      expect(await loaded(model), `${which}, ${model.name} in memory`).toEqual(await inMemory(store, model));
    }
  }
  const happened = new Set(samples.flat().map(({ event }) => event.type));
  expect([...happened].toSorted(), `HISTORY_SEED=${SEED}`).toEqual(types.toSorted());
}, 600_000);
