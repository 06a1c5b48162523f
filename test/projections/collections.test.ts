import { expect, test } from 'vitest';
import { collections } from '../../projections/collections.ts';
import { invoices } from '../../projections/invoices.ts';
import {
  invoiceCollectionOpened,
  invoiceDisputeClosed,
  invoiceDisputed,
  invoiceDrafted,
  invoiceFinalized,
  invoicePaid,
  invoiceRefunded,
  invoiceRefundFailed,
  invoiceReminded,
} from '../support/events.ts';
import { project } from '../support/project.ts';

test('who collects an invoice, its reminders and what came back of its money', () => {
  const [row] = project(collections, [
    invoiceDrafted(),
    invoiceFinalized(),
    invoiceReminded(),
    invoiceCollectionOpened(),
    invoiceRefunded({ refundId: 're_1', cents: 500n }),
    invoiceRefunded({ refundId: 're_2', cents: 100n }),
    invoiceRefundFailed({ refundId: 're_2', cents: 100n }),
    invoiceDisputed(),
  ]);
  expect(row).toMatchObject({
    tenant_id: 'ten_1',
    provider: 'stripe',
    reference: 'in_1',
    refunded_cents: 500n,
    dispute_status: 'open',
    reminders: 1n,
    reminded_on: '2026-12-22',
  });
});

test('an invoice whose dispute is lost is open again, and one whose dispute is won stays paid', () => {
  const paid = [invoiceDrafted(), invoiceFinalized(), invoicePaid(), invoiceDisputed()];
  expect(project(invoices, [...paid, invoiceDisputeClosed({ outcome: 'lost' })])).toMatchObject([
    { status: 'sent', paid_on: null, payment_problem: 'fraudulent' },
  ]);
  expect(project(invoices, [...paid, invoiceDisputeClosed({ outcome: 'won' })])).toMatchObject([
    { status: 'paid', paid_on: '2026-12-10' },
  ]);
});
