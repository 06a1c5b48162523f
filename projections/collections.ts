import { defineProjection, tenantOf } from '../src/projection.ts';

/** What becomes of the money of each invoice: who collects it, reminders, refunds, disputes. */
export const collections = defineProjection({
  name: 'collections',
  version: 1,
  columns: {
    invoice_id: 'text',
    agency_id: 'text',
    tenant_id: 'text',
    /** stripe; null while nobody collects it. */
    provider: 'text?',
    /** The provider's own id of the invoice. */
    reference: 'text?',
    refunded_cents: 'sum',
    /** open | won | lost: of the newest dispute. */
    dispute_status: 'text?',
    dispute_reason: 'text?',
    /** Level of the newest reminder; 0 before the first. */
    reminders: 'bigint',
    /** Local date of the newest reminder. */
    reminded_on: 'text?',
  },
  key: ['invoice_id'],
  indexes: [['tenant_id'], ['reference']],
  on: {
    'invoice.drafted': ({ invoiceId }, recorded) => ({
      op: 'insert',
      row: {
        invoice_id: invoiceId,
        agency_id: recorded.agencyId,
        tenant_id: tenantOf(recorded),
        provider: null,
        reference: null,
        refunded_cents: 0n,
        dispute_status: null,
        dispute_reason: null,
        reminders: 0n,
        reminded_on: null,
      },
    }),
    'invoice.collection-opened': ({ invoiceId, provider, reference }) => ({
      op: 'update',
      where: { invoice_id: invoiceId },
      set: { provider, reference },
    }),
    'invoice.refunded': ({ invoiceId, cents }) => ({
      op: 'update',
      where: { invoice_id: invoiceId },
      set: {},
      by: { refunded_cents: cents },
    }),
    'invoice.refund-failed': ({ invoiceId, cents }) => ({
      op: 'update',
      where: { invoice_id: invoiceId },
      set: {},
      by: { refunded_cents: -cents },
    }),
    'invoice.disputed': ({ invoiceId, reason }) => ({
      op: 'update',
      where: { invoice_id: invoiceId },
      set: { dispute_status: 'open', dispute_reason: reason },
    }),
    'invoice.dispute-closed': ({ invoiceId, outcome }) => ({
      op: 'update',
      where: { invoice_id: invoiceId },
      set: { dispute_status: outcome },
    }),
    'invoice.reminded': ({ invoiceId, level, on }) => ({
      op: 'update',
      where: { invoice_id: invoiceId },
      set: { reminders: BigInt(level), reminded_on: on },
    }),
  },
});
