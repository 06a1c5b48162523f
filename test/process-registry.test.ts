import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  type GoneProcess,
  joinProcesses,
  noteEnded,
  type ProcessRegistry,
  tagOf,
} from '../src/process-registry.ts';
import { testDatabase, type TestDatabase } from './support/database.ts';
import { silent } from './support/read-models.ts';

let database: TestDatabase;
const joined: ProcessRegistry[] = [];
beforeEach(async () => {
  database = await testDatabase();
});
afterEach(async () => {
  for (const registry of joined.splice(0)) await registry.leave();
  await database.drop();
});

interface Seat {
  readonly id: string;
  readonly registry: ProcessRegistry;
  readonly gone: GoneProcess[];
  readonly told: string[];
}

async function join(more: { onOthers?: () => Promise<void>; onLapsed?: () => void } = {}): Promise<Seat> {
  const id = randomUUID();
  const gone: GoneProcess[] = [];
  const told: string[] = [];
  const registry = await joinProcesses({
    pool: database.pool,
    id,
    monotonicMs: () => performance.now(),
    log: silent,
    onOthers: async () => {
      told.push('others');
      await more.onOthers?.();
    },
    onLapsed: () => told.push('lapsed'),
    onGone: (found) => Promise.resolve(void gone.push(found)),
    beatMs: 50,
  });
  joined.push(registry);
  return { id, registry, gone, told };
}

async function until(what: () => boolean): Promise<void> {
  while (!what()) await new Promise((resolve) => setImmediate(resolve));
}

test('the only process counts for itself; with a second one, which waits for it, both share', async () => {
  let written = (): void => {};
  const writing = new Promise<void>((resolve) => (written = resolve));
  const first = await join({ onOthers: () => writing });
  await first.registry.joined;
  expect(first.registry.sharing).toBe(false);
  const second = await join();
  expect(second.registry.sharing).toBe(true);
  let serves = false;
  const waiting = second.registry.joined.then(() => (serves = true));
  await until(() => first.told.length > 0);
  for (let i = 0; i < 20; i += 1) await database.pool.query('select 1');
  expect(serves).toBe(false);
  written();
  await waiting;
  expect(first.registry.sharing).toBe(true);
  expect([first.told, second.told]).toEqual([['others'], ['others']]);
});

test('a process that died is settled once, by one of those that live, when its spool is empty', async () => {
  const dead = randomUUID();
  const [a, b] = [await join(), await join()];
  await Promise.all([a.registry.joined, b.registry.joined]);
  await database.pool.query('insert into gateway_processes (id, tag, sharing) values ($1, $2, true)', [
    dead,
    tagOf(dead),
  ]);
  await noteEnded(database.pool, [dead], null);
  await a.registry.trusted();
  expect([...a.gone, ...b.gone]).toEqual([]);
  await noteEnded(database.pool, [dead], 7n);
  await until(() => a.gone.length + b.gone.length > 0);
  await a.registry.trusted();
  await b.registry.trusted();
  expect([...a.gone, ...b.gone]).toEqual([{ id: dead, tag: tagOf(dead), drainedTo: 7n }]);
});

test('a process that was silent for too long hears of it, and nobody waits for one that is silent', async () => {
  const a = await join();
  await a.registry.joined;
  const silence = `update gateway_processes set heard_at = clock_timestamp() - interval '11 seconds' where id = $1`;
  const mute = randomUUID();
  await database.pool.query('insert into gateway_processes (id, tag, sharing) values ($1, $2, false)', [
    mute,
    tagOf(mute),
  ]);
  await database.pool.query(silence, [mute]);
  const b = await join();
  await b.registry.joined;
  await database.pool.query(silence, [a.id]);
  await until(() => a.told.includes('lapsed'));
  expect(b.told).not.toContain('lapsed');
});

test('what is left of others begins anew when all of it is in the log, and is kept while it may not be', async () => {
  const shares = async () => (await database.pool.query('select holder from limit_shares')).rows.length;
  const dead = randomUUID();
  await database.pool.query(
    `insert into gateway_processes (id, tag, sharing, ended_at) values ($1, $2, true, clock_timestamp())`,
    [dead, tagOf(dead)],
  );
  await database.pool.query(
    `insert into limit_shares (meter, holder, granted, turn) values ('b', $1, 5, 1)`,
    [dead],
  );
  const a = await join();
  expect([a.registry.sharing, await shares()]).toEqual([true, 1]);
  await a.registry.leave();
  await noteEnded(database.pool, [dead], 3n);
  const b = await join();
  expect([b.registry.sharing, await shares()]).toEqual([false, 0]);
});
