import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type MailDeps, mailTask } from '../../src/billing/invoice-mail.ts';
import type { Mail, MailResult } from '../../src/billing/mailer.ts';
import type { Task } from '../../src/billing/outbox-records.ts';
import { invoice } from '../../src/domain/invoice.ts';
import { invoiceStream } from '../../src/billing/log-facts.ts';
import { load } from '../../src/transact.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { type Collecting, startCollecting } from './collecting.ts';

let database: TestDatabase;
let collecting: Collecting;
let deps: MailDeps;
let task: Task;
let sent: Mail[];
let result: () => Promise<MailResult>;
let count = 0;

beforeAll(async () => {
  database = await testDatabase();
  collecting = await startCollecting(database, 'http://127.0.0.1:1');
});
afterAll(() => database?.drop());

beforeEach(async () => {
  count += 1;
  sent = [];
  result = () => Promise.resolve({ kind: 'accepted' });
  const place = await collecting.invoice(`ten_m${count}`);
  const kept = (await collecting.billing.records.document(place.invoiceId))!;
  await database.pool.query(
    `insert into invoice_documents (invoice_id, number, agency_id, tenant_id, document, hash)
     values ($1, $2, $3, $4, $5, $6)`,
    [kept.invoiceId, kept.number, kept.agencyId, kept.tenantId, kept.document, kept.hash],
  );
  deps = {
    ...collecting.deps,
    sendMail: async (mail) => {
      sent.push(mail);
      return await result();
    },
    mailFrom: null,
    publicUrl: null,
    newestContact: () => Promise.resolve(null),
  };
  const times = { dueAt: collecting.billing.clock, createdAt: collecting.billing.clock, endedAt: null };
  const state = { status: 'waiting', attempts: 0, note: null, detail: null, position: 1n } as const;
  task = { taskId: `mail-invoice ${count}`, kind: 'mail-invoice', ...place, ...times, ...state };
});

const later = (ms: number) => {
  collecting.billing.clock = new Date(Date.parse(collecting.billing.clock) + ms).toISOString();
};

test('a mail that was accepted is not sent again, and the invoice is sent', async () => {
  expect(await mailTask(deps, task)).toEqual({ status: 'done', note: null });
  expect(await mailTask(deps, task)).toEqual({ status: 'done', note: null });
  expect(sent).toHaveLength(1);
  const state = await load(deps.store, invoice, invoiceStream(task.agencyId, task.invoiceId));
  expect(state.status).toBe('sent');
});

test('a mail that is being sent is not sent by another process at the same time', async () => {
  let accept = (): void => undefined;
  const answered = new Promise<MailResult>((resolve) => {
    accept = () => resolve({ kind: 'accepted' });
  });
  let begun = (): void => undefined;
  const sending = new Promise<void>((resolve) => {
    begun = resolve;
  });
  result = () => {
    begun();
    return answered;
  };
  const first = mailTask(deps, task);
  await sending;
  expect(await mailTask(deps, task)).toMatchObject({ status: 'waiting', retryAfterMs: 30_000 });
  accept();
  expect(await first).toMatchObject({ status: 'done' });
  expect(await mailTask(deps, task)).toMatchObject({ status: 'done' });
  expect(sent).toHaveLength(1);
});

test('a mail whose sender died is sent again with the same id, after the time that an attempt can take', async () => {
  result = () => Promise.reject(new Error('killed'));
  await expect(mailTask(deps, task)).rejects.toThrow('killed');
  result = () => Promise.resolve({ kind: 'accepted' });
  later(299_999);
  expect(await mailTask(deps, task)).toMatchObject({ status: 'waiting' });
  later(1);
  expect(await mailTask(deps, task)).toMatchObject({ status: 'done' });
  expect(sent.map(({ messageId }) => messageId)).toEqual([sent[0]!.messageId, sent[0]!.messageId]);
});

test('a mail that the server did not take can be tried again at once', async () => {
  result = () => Promise.resolve({ kind: 'failed', problem: 'busy' });
  expect(await mailTask(deps, task)).toMatchObject({ status: 'waiting', note: 'busy', retryAfterMs: null });
  result = () => Promise.resolve({ kind: 'accepted' });
  expect(await mailTask(deps, task)).toMatchObject({ status: 'done' });
});
