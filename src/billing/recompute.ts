import { draftInvoice } from '../domain/invoice-lines.ts';
import type { BilledLine, InvoiceDraft } from '../domain/invoice.ts';
import type { EventStore } from '../store/event-store.ts';
import type { BillingRecords } from './billing-records.ts';
import { contractAtCut, contractFacts } from './contract-facts.ts';
import { agencyAt, closeOf, contractAt, holdsIn, invoiceStream } from './log-facts.ts';
import { taxStatusesAt } from './tax-facts.ts';

/**
 * Computes a draft again from what was true at its cut: the contract and the agency from the log,
 * and the usage that the close of the period stamped. How the recipient is taxed, and which invoice
 * is replaced, was agreed by the draft itself. Null when the log has no such cut, contract or draft.
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
    /** Lines of those invoices, without the cancelled ones. */
    readonly billed: readonly BilledLine[];
  },
): Promise<InvoiceDraft | null> {
  const { store, records } = deps;
  const { invoiceId, agencyId, tenantId, period, includedGranted } = invoice;
  const close = await closeOf(store, agencyId, period);
  const agency = close && (await agencyAt(store, agencyId, close.position));
  const contract = close && (await contractAt(store, tenantId, close.position));
  const drafted = await draftIn(store, agencyId, invoiceId);
  if (agency === null || contract === null || drafted === null) return null;
  const { taxCase, replaces, rules } = drafted.draft;
  const { zone } = agency;
  const atCut = rules === undefined ? null : await contractAtCut(store, tenantId, close!.position);
  const place = { store, agencyId, period, zone };
  return draftInvoice({
    invoiceId,
    period,
    terms: atCut?.versions.findLast((version) => version.terms !== null)?.terms ?? contract.terms,
    feeDue: holdsIn(contract, period, zone),
    ...(atCut === null ? {} : { contract: await contractFacts(place, atCut, invoice.billed) }),
    usage: await records.usage({ agencyId, tenantId }, period),
    includedGranted,
    taxCase,
    taxStatuses: await taxStatusesAt(store, agencyId, drafted.position),
    replaces,
  });
}

async function draftIn(
  store: Pick<EventStore, 'readStream'>,
  agencyId: string,
  invoiceId: string,
): Promise<{ readonly draft: InvoiceDraft; readonly position: bigint } | null> {
  for await (const { event, position } of store.readStream(invoiceStream(agencyId, invoiceId))) {
    if (event.type === 'invoice.drafted') return { draft: event.data, position };
  }
  return null;
}
