import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type AskingOthers, askOthers, type AskedProcess } from '../src/asking-others.ts';
import { testDatabase, type TestDatabase } from './support/database.ts';
import { silent } from './support/read-models.ts';

let database: TestDatabase;
const all: AskingOthers[] = [];
beforeAll(async () => {
  database = await testDatabase();
});
afterEach(async () => {
  for (const one of all.splice(0)) await one.stop();
  await database.pool.query('delete from gateway_processes');
});
afterAll(() => database.drop());

async function process(own: Partial<AskedProcess>, answerMsMax = 10_000): Promise<AskingOthers> {
  const id = randomUUID();
  await database.pool.query('insert into gateway_processes (id, tag, sharing) values ($1, $2, true)', [
    id,
    id.slice(0, 8),
  ]);
  const asking = askOthers({
    pool: database.pool,
    id,
    log: silent,
    monotonicMs: () => performance.now(),
    isAlone: () => false,
    own: { spent: () => Promise.resolve(0n), known: () => Promise.resolve(), ...own },
    answerMsMax,
  });
  all.push(asking);
  return asking;
}

/** Until they hear each other: a notification that nobody listens for is lost. */
async function listening(count: number): Promise<void> {
  for (;;) {
    const { rows } = await database.pool.query(
      `select 1 from pg_stat_activity where datname = current_database() and query like 'listen gateway_questions%'`,
    );
    if (rows.length >= count) return;
  }
}

test('everybody is asked, and the highest of their positions counts', async () => {
  const asking = await process({ spent: () => Promise.resolve(99n) });
  await process({ spent: () => Promise.resolve(5n) });
  await process({ spent: () => Promise.resolve(8n) });
  await listening(3);
  expect(await asking.spent()).toBe(8n);
});

test('what is asked meanwhile becomes one question, for the furthest position', async () => {
  const asking = await process({});
  const asked: bigint[] = [];
  await process({ known: (position) => Promise.resolve(void asked.push(position)) });
  await listening(2);
  await Promise.all([7n, 3n, 9n, 4n].map((position) => asking.known(position)));
  expect(asked).toEqual([7n, 9n]);
});

test('who does not answer is waited for once, and again as soon as something is heard of him', async () => {
  const asking = await process({}, 300);
  let mute = true;
  const answered: bigint[] = [];
  const other = await process({
    async known(position) {
      if (mute) throw new Error('busy');
      await new Promise((resolve) => setImmediate(resolve));
      answered.push(position);
    },
  });
  await listening(2);
  const took = async (): Promise<number> => {
    const sinceMs = performance.now();
    await asking.known(1n);
    return performance.now() - sinceMs;
  };
  expect(await took()).toBeGreaterThan(290);
  expect(await took()).toBeLessThan(290);
  mute = false;
  await other.spent();
  await asking.known(2n);
  expect(answered.at(-1)).toBe(2n);
});

test('a process that is dead is not asked', async () => {
  const asking = await process({}, 60_000);
  const dead = await process({ spent: () => new Promise(() => undefined) });
  await dead.stop();
  await database.pool.query(
    `update gateway_processes set heard_at = clock_timestamp() - interval '11 seconds'`,
  );
  expect(await asking.spent()).toBe(0n);
});
