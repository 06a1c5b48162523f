import { draftInvoice } from '../domain/invoice-lines.ts';
import type { InvoiceDraft } from '../domain/invoice.ts';
import type { EventStore } from '../store/event-store.ts';
import type { BillingRecords } from './billing-records.ts';
import { agencyAt, closeOf, contractAt, holdsIn } from './log-facts.ts';

/**
 * Computes a draft again from what was true at its cut: the contract and the agency from the log,
 * and the usage that the close of the period stamped. Null when the log has no such cut or contract.
 */
export async function recomputeDraft(
  deps: { readonly store: EventStore; readonly records: Pick<BillingRecords, 'usage'> },
  invoice: {
    readonly invoiceId: string;
    readonly agencyId: string;
    readonly tenantId: string;
    readonly period: string;
    /** By month, in nanos: what invoices drafted before this one granted. */
    readonly includedGranted: ReadonlyMap<string, bigint>;
  },
): Promise<InvoiceDraft | null> {
  const { store, records } = deps;
  const { invoiceId, agencyId, tenantId, period, includedGranted } = invoice;
  const close = await closeOf(store, agencyId, period);
  const agency = close && (await agencyAt(store, agencyId, close.position));
  const contract = close && (await contractAt(store, tenantId, close.position));
  if (agency === null || contract === null) return null;
  return draftInvoice({
    invoiceId,
    period,
    terms: contract.terms,
    feeDue: holdsIn(contract, period, agency.zone),
    usage: await records.usage(tenantId, period),
    includedGranted,
  });
}
