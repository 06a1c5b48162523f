import { type BilledLine, invoice, type InvoiceDraft, isIssued } from '../domain/invoice.ts';
import type { EventStore } from '../store/event-store.ts';
import { load } from '../transact.ts';
import type { DocumentReference } from './documents/invoice-document.ts';
import { invoiceStream } from './log-facts.ts';

/**
 * The earlier invoices that a draft takes something back of, newest first: those that charged the months
 * of its negative lines. Only a draft that comes to less than nothing has to name them.
 */
export async function correctedInvoices(
  store: EventStore,
  agencyId: string,
  draft: InvoiceDraft,
  billed: readonly BilledLine[],
): Promise<readonly DocumentReference[]> {
  if (draft.grossCents >= 0n) return [];
  const months = new Set(
    draft.lines.flatMap(({ netCents, serviceMonth }) => (netCents < 0n ? [serviceMonth] : [])),
  );
  const ids = new Set(
    billed.flatMap(({ invoiceId, month }) =>
      months.has(month) && invoiceId !== draft.invoiceId ? [invoiceId] : [],
    ),
  );
  const found: DocumentReference[] = [];
  for (const id of ids) {
    const state = await load(store, invoice, invoiceStream(agencyId, id));
    if (isIssued(state) && state.status !== 'cancelled') {
      found.push({ number: state.finalized.number, issued_on: state.finalized.issuedOn });
    }
  }
  return found.toSorted((a, b) => (a.issued_on + a.number < b.issued_on + b.number ? 1 : -1));
}
