import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { Pool } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { spendTotals } from '../projections/spend-totals.ts';
import { usage } from '../projections/usage.ts';
import type { Projection } from '../src/projection.ts';
import { type Projector, startProjector } from '../src/projector.ts';
import { readModels } from '../src/read-models.ts';
import { compareWithRebuild } from '../src/rebuild.ts';
import type { EventStore } from '../src/store/event-store.ts';
import { postgresStore } from '../src/store/postgres.ts';
import { testDatabase, type TestDatabase } from './support/database.ts';
import { spendRecorded } from './support/events.ts';
import { append, happenings } from './support/histories.ts';
import { dropReadModels, silent } from './support/read-models.ts';

/** Several processes over one database: one writes a read model, the others follow along and stand ready. */
const WAIT_MS = 10_000;

let database: TestDatabase;
let pool: Pool;
let store: EventStore;
let spends = 0;
const running: Projector[] = [];
const children: ChildProcess[] = [];
beforeAll(async () => {
  database = await testDatabase();
  ({ pool } = database);
  store = postgresStore({ pool, listenUrl: null, pollMs: 20, log: silent });
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await Promise.all(running.splice(0).map((projector) => projector.stop()));
  await dropReadModels(pool);
});
afterAll(async () => {
  await store.close();
  await database.drop();
});

async function start(projections: readonly Projection[]): Promise<Projector> {
  const projector = await startProjector({
    store,
    pool,
    projections,
    log: silent,
    idleGatherMs: 0,
    retryMs: 1,
  });
  running.push(projector);
  return projector;
}

async function stop(projector: Projector): Promise<void> {
  running.splice(running.indexOf(projector), 1);
  await projector.stop();
}

/** The projections, and the positions of the events that were applied through them. */
function watched(...projections: readonly Projection[]): { applied: bigint[]; projections: Projection[] } {
  const applied: bigint[] = [];
  const note = (projection: Projection): Projection => ({
    ...projection,
    apply(recorded) {
      applied.push(recorded.position);
      return projection.apply(recorded);
    },
  });
  return { applied, projections: projections.map(note) };
}

function spend(count: number): Promise<bigint> {
  const events = Array.from({ length: count }, () => spendRecorded({ requestId: `req_${(spends += 1)}` }));
  return append(store, happenings(...events));
}

const writes = (projector: Projector): boolean[] => projector.status().map((one) => one.writes);
const requests = async (): Promise<unknown> =>
  (await pool.query(`select requests from spend_totals where level = 'key'`)).rows;

/** Ends the connection that has the lock of the projection; how many there were. */
async function killLockHolder({ name, version }: Projection): Promise<number> {
  const { rowCount } = await pool.query(
    `select pg_terminate_backend(pid, 5000) from pg_locks
     where locktype = 'advisory' and granted
       and (classid::bigint << 32 | objid::bigint) = hashtextextended($1, 0)`,
    [`projector ${name} ${version}`],
  );
  return rowCount ?? 0;
}

describe('two processes', () => {
  test('do the work once: one writes, and the other sees it as soon', async () => {
    const [first, second] = [watched(spendTotals, usage), watched(spendTotals, usage)];
    const holder = await start(first.projections);
    await expect.poll(() => writes(holder), { timeout: WAIT_MS }).toEqual([true, true]);
    const follower = await start(second.projections);
    for (let i = 0; i < 10; i += 1) await follower.reached(await spend(5), WAIT_MS);
    await holder.reached(await store.head(), WAIT_MS);
    expect(first.applied).toHaveLength(2 * 50);
    expect(second.applied).toEqual([]);
    expect(writes(follower)).toEqual([false, false]);
    expect(follower.status()).toMatchObject([{ lag: 0, caughtUp: true, error: null }, { lag: 0 }]);
  });

  test('hand over when the one that writes stops', async () => {
    const second = watched(spendTotals);
    const holder = await start([spendTotals]);
    await expect.poll(() => writes(holder), { timeout: WAIT_MS }).toEqual([true]);
    const follower = await start(second.projections);
    const head = await spend(10);
    await Promise.all([holder, follower].map((projector) => projector.reached(head, WAIT_MS)));
    await stop(holder);
    await expect.poll(() => writes(follower), { timeout: WAIT_MS }).toEqual([true]);
    await follower.reached(await spend(10), WAIT_MS);
    expect(second.applied).toHaveLength(10);
  });

  test('hand over when the one that writes has met an event that it cannot apply', async () => {
    const before = await store.head();
    const failing: Projection = {
      ...spendTotals,
      apply(recorded) {
        if (recorded.position > before) throw new Error('cannot');
        return spendTotals.apply(recorded);
      },
    };
    const holder = await start([failing]);
    await expect.poll(() => writes(holder), { timeout: WAIT_MS }).toEqual([true]);
    const follower = await start([spendTotals]);
    const position = await spend(1);
    await follower.reached(position, WAIT_MS);
    expect(holder.status()).toMatchObject([{ stopped: true, writes: false }]);
  });

  test('have every event once when connections with locks are killed again and again', async () => {
    const both = await Promise.all([start([spendTotals]), start([spendTotals])]);
    const before = Number(await store.head());
    for (let i = 0; i < 4; i += 1) {
      const appending = spend(20);
      // A process whose connection was killed believes for a moment that it still has the lock.
      await expect.poll(() => killLockHolder(spendTotals), { timeout: WAIT_MS }).toBe(1);
      const position = await appending;
      await Promise.all(both.map((projector) => projector.reached(position, WAIT_MS)));
    }
    await expect.poll(() => both.flatMap(writes).filter(Boolean), { timeout: WAIT_MS }).toEqual([true]);
    expect(await requests()).toEqual([{ requests: BigInt(before + 80) }]);
    const comparison = await compareWithRebuild({ store, pool, projection: spendTotals });
    expect(comparison).toMatchObject({ equal: true });
  });
});

test('a process that is killed is followed by another at once', async () => {
  const child = fork('dist/test/support/project-elsewhere.js', [database.url], { execArgv: [] });
  children.push(child);
  await once(child, 'message');
  const own = await start(readModels);
  await own.reached(await spend(30), WAIT_MS);
  expect(writes(own)).toEqual(readModels.map(() => false));
  child.kill('SIGKILL');
  const began = performance.now();
  await own.reached(await spend(30), WAIT_MS);
  expect(performance.now() - began).toBeLessThan(5_000);
  await expect.poll(() => writes(own), { timeout: WAIT_MS }).toEqual(readModels.map(() => true));
  for (const projection of readModels) {
    expect(await compareWithRebuild({ store, pool, projection })).toMatchObject({ equal: true });
  }
});
