import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  billingRecords,
  documentHash,
  type BillingRecords,
  type StoredDocument,
} from '../../src/billing/billing-records.ts';
import { type AuditedDatabase, auditedDatabase, seedHistory } from '../audit/audited-database.ts';

let audited: AuditedDatabase;
let records: BillingRecords;

beforeAll(async () => {
  audited = await auditedDatabase();
  await seedHistory(audited);
  records = billingRecords(audited);
});

afterAll(() => audited.drop());

const DOCUMENT: StoredDocument = {
  invoiceId: 'inv_x',
  number: 'RE-2026-09999',
  agencyId: 'age_1',
  tenantId: 'ten_1',
  document: '{"kind":"invoice"}',
  hash: documentHash('{"kind":"invoice"}'),
};

test('the tenants with a contract come in the order of their ids', async () => {
  expect(await records.tenantIds('age_1')).toEqual(['ten_1', 'ten_2']);
  expect(await records.tenantIds('age_2')).toEqual([]);
});

test('the usage of a period is what its close stamped', async () => {
  const usage = await records.usage({ agencyId: 'age_1', tenantId: 'ten_1' }, '2026-10');
  expect(usage.toSorted((a, b) => a.unit.localeCompare(b.unit))).toEqual([
    {
      projectId: 'prj_1',
      model: 'gpt-4o-mini',
      unit: 'cached-input',
      priceRate: 75_000_000n,
      month: '2026-10',
      quantity: 300n,
      requests: 0n,
      priceNanos: 22_500n,
    },
    {
      projectId: 'prj_1',
      model: 'gpt-4o-mini',
      unit: 'input',
      priceRate: 150_000_000n,
      month: '2026-10',
      quantity: 2_700n,
      requests: 3n,
      priceNanos: 405_000n,
    },
    {
      projectId: 'prj_1',
      model: 'gpt-4o-mini',
      unit: 'output',
      priceRate: 600_000_000n,
      month: '2026-10',
      quantity: 600n,
      requests: 0n,
      priceNanos: 360_000n,
    },
  ]);
  expect(await records.includedGranted('ten_1')).toEqual(
    new Map([
      ['2026-09', 262_500n],
      ['2026-10', 787_500n],
    ]),
  );
});

test('the newest contact of a subject counts', async () => {
  await audited.pool.query(
    `insert into contacts (subject_id, version, data) values ('ten_1', 10, '{"name":"Ten"}'), ('ten_1', 9, '{"name":"Nine"}')`,
  );
  expect(await records.contact('ten_1')).toEqual({ name: 'Ten' });
  expect(await records.contact('ten_none')).toBeNull();
});

test('names of projects are found, and missing ones left out', async () => {
  await audited.pool.query(`insert into project_names (project_id, name) values ('prj_1', 'Shop')`);
  expect(await records.projectNames(['prj_1', 'prj_none'])).toEqual(new Map([['prj_1', 'Shop']]));
  expect(await records.projectNames([])).toEqual(new Map());
});

test('a document is kept once; whoever comes later gets the one that is kept', async () => {
  expect(await records.document('inv_x')).toBeNull();
  expect(await records.keepDocument(DOCUMENT)).toEqual(DOCUMENT);
  const other = { ...DOCUMENT, document: '{"kind":"other"}', hash: documentHash('{"kind":"other"}') };
  expect(await records.keepDocument(other)).toEqual(DOCUMENT);
  expect(await records.document('inv_x')).toEqual(DOCUMENT);
});

test('no number of an agency is on two documents', async () => {
  await expect(
    records.keepDocument({ ...DOCUMENT, invoiceId: 'inv_y', number: 'RE-2026-00001' }),
  ).rejects.toMatchObject({
    code: '23505',
  });
});

test('one run per agency at a time, whichever process starts it; the others are told to come back', async () => {
  let started = (): void => undefined;
  let release = (): void => undefined;
  const running = new Promise<void>((resolve) => {
    started = resolve;
  });
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const first = records.exclusively('age_1', async () => {
    started();
    await held;
    return 'first';
  });
  await running;
  const other = billingRecords(audited);
  const second = other.exclusively('age_1', () => Promise.resolve('second'));
  await expect(second).rejects.toMatchObject({ code: 'invoice_run_busy' });
  await expect(other.exclusively('age_2', () => Promise.resolve('other agency'))).resolves.toBe(
    'other agency',
  );
  release();
  await expect(first).resolves.toBe('first');
  await expect(other.exclusively('age_1', () => Promise.resolve('third'))).resolves.toBe('third');
});

test('a run that fails gives the agency free again', async () => {
  await expect(records.exclusively('age_1', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  await expect(records.exclusively('age_1', () => Promise.resolve(1))).resolves.toBe(1);
});

test('runs at once give every invoice one number, without gaps', async () => {
  audited.clock = '2026-12-01T08:00:00.000Z';
  await audited.pool.query(`delete from contacts where subject_id = 'ten_1' and version > 1`);
  const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => audited.invoice('2026-11')));
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'invoice_run_busy' });
  }
  expect(outcomes.some(({ status }) => status === 'fulfilled')).toBe(true);
  const { invoices } = await audited.invoice('2026-11');
  expect(invoices.map(({ number, status }) => `${number} ${status}`)).toEqual([
    'RE-2026-00005 repeated',
    'RE-2026-00006 repeated',
  ]);
});
