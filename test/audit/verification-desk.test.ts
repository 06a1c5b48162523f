import { afterAll, beforeAll, expect, test } from 'vitest';
import { verificationDesk, verificationMark } from '../../src/audit/verification.ts';
import type { VerifyOptions, VerifyReport } from '../../src/audit/verify.ts';
import { memoryStore } from '../../src/store/memory.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { silent } from '../support/read-models.ts';

let database: TestDatabase;
let clock = '2026-11-20T10:00:00.000Z';
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database?.drop());

const REPORT = { ok: true, events: 3 } as unknown as VerifyReport;

/** One process of several over the same database; its verification ends when the test says so. */
function process() {
  let end: (report: VerifyReport) => void = () => undefined;
  let progress: NonNullable<VerifyOptions['onProgress']> = () => undefined;
  let started = 0;
  const desk = verificationDesk({
    store: memoryStore({ now: () => clock }),
    pool: database.pool,
    now: () => clock,
    log: silent,
    verify({ onProgress }) {
      started += 1;
      if (onProgress !== undefined) progress = onProgress;
      return new Promise((resolve) => {
        end = resolve;
      });
    },
  });
  return {
    desk,
    starts: () => started,
    progress: (part: string) => progress({ part, done: 1, total: 2 }),
    async end() {
      end(REPORT);
      await desk.settled();
    },
  };
}

test('a verification is at work once, whichever process is asked, and all of them tell how far it is', async () => {
  const [one, other] = [process(), process()];
  expect(await other.desk.state()).toMatchObject({ status: 'none' });
  await one.desk.start();
  await other.desk.start();
  expect([one.starts(), other.starts()]).toEqual([1, 0]);
  const before = await verificationMark(database.pool);
  one.progress('log');
  await expect.poll(() => verificationMark(database.pool)).not.toBe(before);
  expect(await other.desk.state()).toMatchObject({ status: 'running', part: 'log', done: 1, total: 2 });
  await one.end();
  expect(await other.desk.state()).toMatchObject({ status: 'done', report: { ok: true, events: 3 } });
});

test('one whose process is gone is said to be cut off, and another can start', async () => {
  const [gone, other] = [process(), process()];
  await gone.desk.start();
  clock = '2026-11-20T10:00:31.000Z';
  expect(await other.desk.state()).toMatchObject({ status: 'failed' });
  await other.desk.start();
  expect(other.starts()).toBe(1);
  await other.end();
  await gone.end();
});
