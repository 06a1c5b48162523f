import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { exclusively } from '../../src/billing/exclusive.ts';
import {
  fillOutbox,
  type OutboxDeps,
  startOutbox,
  type Worked,
  workOutbox,
} from '../../src/billing/outbox.ts';
import { listTasks, outboxFacts, retryTask, type Task } from '../../src/billing/outbox-records.ts';
import type { EventStore } from '../../src/store/event-store.ts';
import { postgresStore } from '../../src/store/postgres.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { invoiceCancelled, invoiceFinalized, invoiceReminded, newEvent } from '../support/events.ts';
import { silent } from '../support/read-models.ts';

let database: TestDatabase;
let store: EventStore;
let clock = '2026-12-01T09:00:00.000Z';

beforeAll(async () => {
  database = await testDatabase();
  store = postgresStore({ pool: database.pool, listenUrl: database.url, log: silent });
  done = depsWith(() => ({ status: 'done', note: null }));
});
afterAll(async () => {
  await store?.close();
  await database?.drop();
});

function depsWith(work: (task: Task) => Promise<Worked> | Worked): OutboxDeps {
  return {
    store,
    pool: database.pool,
    now: () => clock,
    log: silent,
    work: async (task) => await work(task),
  };
}
let done: OutboxDeps;
const all = () => listTasks(database.pool, { status: null, after: null, limit: 100 });

async function append(name: string, event: Parameters<typeof newEvent>[0]): Promise<void> {
  const envelope = newEvent(event, name);
  await store.append([{ stream: `invoice-age_1-${name}`, expected: 'none', events: [envelope] }]);
}

describe('the outbox', () => {
  test('begins at the head: what was in the log before it is not sent out again', async () => {
    await append('old', invoiceFinalized({ invoiceId: 'old' }));
    await fillOutbox(done);
    expect(await all()).toEqual([]);
  });

  test('asks once for what an event asks for, however often the log is read', async () => {
    await append('a', invoiceFinalized({ invoiceId: 'inv_a' }));
    await append('b', invoiceReminded({ invoiceId: 'inv_a', level: 2 }));
    await fillOutbox(done);
    const tasks = await all();
    expect(tasks.map(({ kind, detail }) => [kind, detail])).toEqual([
      ['mail-reminder', '2'],
      ['collect', null],
      ['mail-invoice', null],
    ]);
    await database.pool.query('update outbox_checkpoint set position = 0');
    await fillOutbox(done);
    const again = await all();
    expect(again.filter(({ invoiceId }) => invoiceId === 'inv_a')).toEqual(tasks);
    await workOutbox(done);
  });

  test('tries what fails again after a wait that grows, and the rest is not held up', async () => {
    await append('c', invoiceFinalized({ invoiceId: 'inv_c' }));
    await fillOutbox(done);
    let fails = true;
    const deps = depsWith(({ kind }) => {
      if (kind === 'collect' && fails) throw new Error('defect with a secret');
      return { status: 'done', note: null };
    });
    expect(await workOutbox(deps)).toBe(2);
    const collect = async () => (await all()).find((task) => task.invoiceId === 'inv_c')!;
    expect(await collect()).toMatchObject({
      kind: 'collect',
      status: 'waiting',
      attempts: 1,
      dueAt: '2026-12-01T09:00:05.000Z',
      note: expect.not.stringContaining('secret'),
    });
    expect(await outboxFacts(database.pool)).toMatchObject({ waiting: 1, failing: 1, stopped: 0 });
    expect(await workOutbox(deps)).toBe(0);
    clock = '2026-12-01T09:00:05.000Z';
    await workOutbox(deps);
    expect(await collect()).toMatchObject({ attempts: 2, dueAt: '2026-12-01T09:00:15.000Z' });
    fails = false;
    clock = '2026-12-01T09:00:15.000Z';
    await workOutbox(deps);
    expect(await collect()).toMatchObject({ status: 'done', endedAt: clock });
  });

  test('leaves what was refused to somebody who looks, and tries it again when told to', async () => {
    await append('d', invoiceCancelled({ invoiceId: 'inv_d' }));
    await fillOutbox(done);
    await workOutbox(depsWith(() => ({ status: 'stopped', note: 'refused' })));
    const [task] = await listTasks(database.pool, { status: 'stopped', after: null, limit: 1 });
    expect(await workOutbox(done)).toBe(0);
    await retryTask(database.pool, task!.taskId, clock);
    expect(await workOutbox(done)).toBe(1);
    await expect(retryTask(database.pool, task!.taskId, clock)).rejects.toThrow('No such task');
  });

  test('keeps what was asked for: no task is altered or deleted', async () => {
    for (const sql of ["update outbox_tasks set invoice_id = 'x'", 'delete from outbox_tasks']) {
      await expect(database.pool.query(sql)).rejects.toMatchObject({ code: 'P0403' });
    }
  });

  test('is worked by one process at a time, and by the next one when that ends', async () => {
    await append('e', invoiceReminded({ invoiceId: 'inv_e' }));
    const seen: string[] = [];
    const working = depsWith(({ invoiceId }) => {
      seen.push(invoiceId);
      return { status: 'done', note: null };
    });
    const first = startOutbox(working);
    const second = startOutbox(working);
    while (seen.length === 0) await pause(10);
    await append('f', invoiceReminded({ invoiceId: 'inv_f' }));
    while (seen.length === 1) await pause(10);
    expect(await exclusively(database.pool, 'outbox', () => Promise.resolve('mine'))).toBeNull();
    await Promise.all([first.stop(), second.stop()]);
    expect(seen).toEqual(['inv_e', 'inv_f']);
    expect(await exclusively(database.pool, 'outbox', () => Promise.resolve('mine'))).toBe('mine');
  });
});
