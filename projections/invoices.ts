import { defineProjection, tenantOf, toJson } from '../src/projection.ts';

/** All invoices with their lines. The issued document itself is in invoice_documents. */
export const invoices = defineProjection({
  name: 'invoices',
  version: 1,
  columns: {
    invoice_id: 'text',
    agency_id: 'text',
    tenant_id: 'text',
    period: 'text',
    /** draft | finalized */
    status: 'text',
    number: 'text?',
    currency: 'text',
    net_cents: 'bigint',
    tax_cents: 'bigint',
    gross_cents: 'bigint',
    /** InvoiceLine[] and InvoiceTax[], with amounts as decimal strings. */
    lines: 'json',
    taxes: 'json',
    /** Local date `YYYY-MM-DD`. */
    issued_on: 'text?',
    document_hash: 'text?',
    drafted_at: 'instant',
    finalized_at: 'instant?',
    /** Of the draft in the log: a stable order. */
    position: 'bigint',
  },
  key: ['invoice_id'],
  indexes: [
    ['agency_id', 'period'],
    ['tenant_id', 'period'],
  ],
  on: {
    'invoice.drafted': (draft, recorded) => ({
      op: 'insert',
      row: {
        invoice_id: draft.invoiceId,
        agency_id: recorded.agencyId,
        tenant_id: tenantOf(recorded),
        period: draft.period,
        status: 'draft',
        number: null,
        currency: draft.currency,
        net_cents: draft.netCents,
        tax_cents: draft.taxCents,
        gross_cents: draft.grossCents,
        lines: toJson(draft.lines),
        taxes: toJson(draft.taxes),
        issued_on: null,
        document_hash: null,
        drafted_at: recorded.occurredAt,
        finalized_at: null,
        position: recorded.position,
      },
    }),
    'invoice.finalized': ({ invoiceId, number, issuedOn, documentHash }, { occurredAt }) => ({
      op: 'update',
      where: { invoice_id: invoiceId },
      set: {
        status: 'finalized',
        number,
        issued_on: issuedOn,
        document_hash: documentHash,
        finalized_at: occurredAt,
      },
    }),
  },
});
