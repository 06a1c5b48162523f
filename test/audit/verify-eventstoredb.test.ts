import { afterAll, beforeAll, expect, test } from 'vitest';
import { adoptKey, createSealer } from '../../src/audit/sealer.ts';
import type { CheckResult } from '../../src/audit/check.ts';
import { verifyLog, type VerifyOptions, type VerifyReport } from '../../src/audit/verify.ts';
import type { EventStore } from '../../src/store/event-store.ts';
import { eventStoreDb } from '../../src/store/eventstoredb.ts';
import type { Placed } from '../../src/store/stored-event.ts';
import { insertPlaced } from '../store/eventstoredb-log.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { newEvent, spendRecorded } from '../support/events.ts';
import { startStandIn } from '../support/eventstoredb/stand-in.ts';
import { all } from '../support/log.ts';
import { silent } from '../support/read-models.ts';
import { newKey } from './sealed-log.ts';

/** A sealed log in EventStoreDB, whose positions nobody can count, and copies of it that somebody altered. */
const key = newKey();
const closers: (() => unknown)[] = [];
let database: TestDatabase;
let store: EventStore;
let log: readonly Placed[];

beforeAll(async () => {
  database = await testDatabase();
  closers.push(() => database.drop());
  store = await copyOf([]);
  const deps = { store, keys: () => [key], agencyId: 'age_1', now: () => new Date().toISOString() };
  await adoptKey(deps);
  for (const round of [1, 2]) {
    for (const writer of ['a', 'b', 'c']) {
      const stream = `spend-2026-11-${writer}${round}`;
      const events = [1, 2, 3].map((n) =>
        newEvent(spendRecorded({ requestId: `${stream} ${n}` }), `${stream} ${n}`),
      );
      await store.append([{ stream, expected: 'none', events }]);
    }
    await createSealer(deps).seal();
  }
  log = await all(store.readLog(0n));
});
afterAll(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function copyOf(placed: readonly Placed[]): Promise<EventStore> {
  const server = await startStandIn();
  closers.push(() => server.stop());
  await insertPlaced(server.url, placed);
  const copy = eventStoreDb({ url: server.url, log: silent });
  closers.push(() => copy.close());
  return copy;
}

function verify(of: EventStore, options: VerifyOptions): Promise<VerifyReport> {
  const recompute = () => Promise.resolve(null);
  const deps = { store: of, pool: database.pool, recompute, nowMs: () => performance.now() };
  return verifyLog(deps, { trusted: [key], ...options });
}

const failed = ({ checks }: VerifyReport): Readonly<Record<string, CheckResult['at']>> =>
  Object.fromEntries(checks.filter(({ ok }) => !ok).map(({ name, at }) => [name, at]));
const everything = { from: 1n };

test('it verifies as a whole, with both of its seals', async () => {
  const report = await verify(store, everything);
  expect(failed(report)).toEqual({});
  expect(report).toMatchObject({ ok: true, events: log.length, sealedTo: String(log.length - 1) });
});

test('a part of it verifies from any position on, with the seals that are wholly in it', async () => {
  // The second seal begins behind what the first one covers: the key and nine events.
  const from = log[10]!.position;
  for (const at of [from, from - 1n]) {
    const report = await verify(store, { from: at });
    expect(failed(report)).toEqual({});
    expect(report).toMatchObject({ events: log.length - 10, sealedTo: String(log.length - 1) });
  }
  const middle = await verify(store, { from: log[3]!.position, to: log[6]!.position });
  expect(failed(middle)).toEqual({});
  expect(middle).toMatchObject({ events: 4, sealedTo: null });
});

test('a stream that was removed as a whole, which no chain shows, is found by the seal', async () => {
  for (const stream of ['spend-2026-11-b1', 'spend-2026-11-c2']) {
    const copy = await copyOf(log.filter((one) => one.stream !== stream));
    const report = await verify(copy, everything);
    expect(Object.keys(failed(report))).toEqual(['seals']);
  }
});

test('an event that was altered is found where it is', async () => {
  const at = log.findIndex(({ stream, revision }) => stream === 'spend-2026-11-a2' && revision === 1n);
  const altered = await copyOf(
    log.with(at, { ...log[at]!, data: log[at]!.data.replace('262500', '262499') }),
  );
  const { position } = (await all(altered.readLog(0n)))[at]!;
  const report = await verify(altered, everything);
  expect(failed(report)['chains']).toMatchObject([{ position: String(position) }]);
});
