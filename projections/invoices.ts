import { defineProjection, tenantOf, toJson } from '../src/projection.ts';

/** All invoices with their lines. The issued document itself is in invoice_documents. */
export const invoices = defineProjection({
  name: 'invoices',
  version: 2,
  columns: {
    invoice_id: 'text',
    agency_id: 'text',
    tenant_id: 'text',
    period: 'text',
    /** draft | finalized | sent | paid | cancelled; overdue follows from `due_on`. */
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
    due_on: 'text?',
    paid_on: 'text?',
    /** The cancelled invoice that it replaces. */
    replaces: 'text?',
    /** Id and number of the Stornorechnung. */
    cancellation_id: 'text?',
    cancellation_number: 'text?',
    cancellation_issued_on: 'text?',
    cancel_reason: 'text?',
    /** Why the newest payment failed; null when none did since. */
    payment_problem: 'text?',
    document_hash: 'text?',
    drafted_at: 'instant',
    finalized_at: 'instant?',
    sent_at: 'instant?',
    cancelled_at: 'instant?',
    /** Of the draft in the log: a stable order. */
    position: 'bigint',
  },
  key: ['invoice_id'],
  indexes: [
    ['agency_id', 'period'],
    ['tenant_id', 'period'],
    ['agency_id', 'issued_on'],
    ['number'],
    ['cancellation_number'],
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
        due_on: null,
        paid_on: null,
        replaces: draft.replaces,
        cancellation_id: null,
        cancellation_number: null,
        cancellation_issued_on: null,
        cancel_reason: null,
        payment_problem: null,
        document_hash: null,
        drafted_at: recorded.occurredAt,
        finalized_at: null,
        sent_at: null,
        cancelled_at: null,
        position: recorded.position,
      },
    }),
    'invoice.finalized': ({ invoiceId, number, issuedOn, dueOn, documentHash }, { occurredAt }) => ({
      op: 'update',
      where: { invoice_id: invoiceId },
      set: {
        status: 'finalized',
        number,
        issued_on: issuedOn,
        due_on: dueOn,
        document_hash: documentHash,
        finalized_at: occurredAt,
      },
    }),
    'invoice.sent': ({ invoiceId }, { occurredAt }) => ({
      op: 'update',
      where: { invoice_id: invoiceId },
      set: { status: 'sent', sent_at: occurredAt },
    }),
    'invoice.paid': ({ invoiceId, paidOn }) => ({
      op: 'update',
      where: { invoice_id: invoiceId },
      set: { status: 'paid', paid_on: paidOn, payment_problem: null },
    }),
    'invoice.payment-failed': ({ invoiceId, reason }) => ({
      op: 'update',
      where: { invoice_id: invoiceId },
      set: { payment_problem: reason },
    }),
    // A lost dispute took the money back: the invoice is open again.
    'invoice.dispute-closed': ({ invoiceId, outcome, reason }) =>
      outcome === 'won'
        ? []
        : {
            op: 'update',
            where: { invoice_id: invoiceId, status: 'paid' },
            set: { status: 'sent', paid_on: null, payment_problem: reason },
          },
    'invoice.cancelled': ({ invoiceId, cancellationId, number, issuedOn, reason }, { occurredAt }) => ({
      op: 'update',
      where: { invoice_id: invoiceId },
      set: {
        status: 'cancelled',
        cancellation_id: cancellationId,
        cancellation_number: number,
        cancellation_issued_on: issuedOn,
        cancel_reason: reason,
        cancelled_at: occurredAt,
      },
    }),
  },
});
