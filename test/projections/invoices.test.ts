import { expect, test } from 'vitest';
import { invoices } from '../../projections/invoices.ts';
import { AT, invoiceDrafted, invoiceFinalized, recorded } from '../support/events.ts';
import { project } from '../support/project.ts';

test('a draft has all its lines and sums, and no number', () => {
  expect(project(invoices, [invoiceDrafted()])).toMatchObject([
    {
      invoice_id: 'inv_1',
      agency_id: 'age_1',
      tenant_id: 'ten_1',
      period: '2026-11',
      status: 'draft',
      number: null,
      currency: 'EUR',
      net_cents: 4_901n,
      tax_cents: 931n,
      gross_cents: 5_832n,
      lines: [
        { kind: 'fee', nanos: '49000000000', priceRate: null },
        { kind: 'usage', quantity: '20000', priceRate: '600000000' },
      ],
      taxes: [{ category: 'S', ratePercent: '19', netCents: '4901', taxCents: '931' }],
      drafted_at: AT,
      finalized_at: null,
      position: 1n,
    },
  ]);
});

test('finalising adds number, date and hash, and leaves the rest as it was', () => {
  const rows = project(invoices, [
    recorded(invoiceDrafted(), { position: 3n }),
    recorded(invoiceFinalized(), { position: 9n, occurredAt: '2026-12-01T00:00:00.000Z' }),
  ]);
  expect(rows).toMatchObject([
    {
      status: 'finalized',
      number: 'RE-2026-00001',
      issued_on: '2026-12-01',
      document_hash: invoiceFinalized().data.documentHash,
      finalized_at: '2026-12-01T00:00:00.000Z',
      position: 3n,
      gross_cents: 5_832n,
    },
  ]);
});
