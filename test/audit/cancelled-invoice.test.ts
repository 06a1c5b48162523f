import { afterAll, beforeAll, expect, test } from 'vitest';
import { cancelInvoice } from '../../src/billing/invoice-life.ts';
import { billingRecords } from '../../src/billing/billing-records.ts';
import { verifyInvoice } from '../../src/billing/verify-invoice.ts';
import { type AuditedDatabase, auditedDatabase, log, openStore, seedHistory } from './audited-database.ts';

/** A history in which an invoice was taken back and issued anew, and late usage came after that. */
let audited: AuditedDatabase;
let invoiceId: string;
let replacementId: string;

beforeAll(async () => {
  audited = await auditedDatabase();
  await seedHistory(audited);
  const { invoices } = await audited.invoice('2026-10');
  invoiceId = invoices.find(({ tenant_id }) => tenant_id === 'ten_1')!.invoice_id;
  const store = openStore(audited, () => audited.clock);
  const records = billingRecords(audited);
  const now = () => audited.clock;
  const settled = () => audited.settle();
  const cancelled = await cancelInvoice(
    { store, records, now, settled, log },
    {
      agencyId: 'age_1',
      tenantId: 'ten_1',
      invoiceId,
      reason: 'wrong address',
      replace: true,
      cause: { actor: { kind: 'master', id: 'default_user_id' }, correlationId: 'r', causationId: 'r' },
    },
  );
  replacementId = cancelled.replacement!.draft.invoiceId;
  audited.clock = '2026-12-01T08:00:00.000Z';
  await audited.invoice('2026-11');
  await store.close();
  await audited.settle();
});
afterAll(() => audited?.drop());

test('the whole log is in order: numbers, documents, included usage and sums', async () => {
  const report = await audited.verify();
  expect(report.checks.filter(({ ok }) => !ok)).toEqual([]);
  expect(report.checks.find(({ name }) => name === 'invoices')?.detail).toContain('1 cancelled to zero');
});

test('each invoice is computed again from the log alone, the cancelled one and its replacement too', async () => {
  const store = openStore(audited);
  try {
    const records = billingRecords(audited);
    for (const id of [invoiceId, replacementId]) {
      const ref = { invoiceId: id, agencyId: 'age_1', tenantId: 'ten_1' };
      expect(await verifyInvoice({ store, records }, ref)).toMatchObject({ equal: true, differences: [] });
    }
  } finally {
    await store.close();
  }
});

test('an altered Stornorechnung is found', async () => {
  await audited.pool.query('alter table invoice_documents disable trigger all');
  await audited.pool.query(
    `update invoice_documents set document = document || ' ' where invoice_id like 'sto_%'`,
  );
  const report = await audited.verify();
  const { at } = report.checks.find(({ name }) => name === 'invoices')!;
  expect(at).toMatchObject([
    { problem: expect.stringMatching(/^the document of RE-2026-\d+ \(sto_\w+\) was altered$/) },
  ]);
  const store = openStore(audited);
  try {
    const ref = { invoiceId, agencyId: 'age_1', tenantId: 'ten_1' };
    const proof = await verifyInvoice({ store, records: billingRecords(audited) }, ref);
    expect(proof.differences).toEqual([expect.stringMatching(/was altered/)]);
  } finally {
    await store.close();
  }
});
