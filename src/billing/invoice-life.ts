import { invoice, type InvoiceCommand, isIssued, type IssuedState } from '../domain/invoice.ts';
import { Refusal } from '../errors.ts';
import { derivedId } from '../secrets.ts';
import { type CommandMeta, load, transact } from '../transact.ts';
import { cancellationDocument, readDocument } from './documents/invoice-document.ts';
import { type InvoiceRunDeps, keepDocument, metaOf } from './issue-invoice.ts';
import { replaceInvoice } from './invoice-run.ts';
import { agencyAt, invoiceStream, localDate } from './log-facts.ts';
import { type Numbering, openNumberBook } from './number-book.ts';

/**
 * What becomes of a finalised invoice: sent, paid, taken back. It is never changed itself.
 *
 * A cancelled invoice's usage does not become open again. It stays stamped with its period, so that
 * every nano keeps its place in the log; the invoice that replaces it bills the same usage again,
 * and between the two the Stornorechnung comes to exactly zero. If it became open, the next month
 * would silently bill what was just taken back.
 */
export interface IssuedRef {
  readonly agencyId: string;
  readonly tenantId: string;
  readonly invoiceId: string;
}

export type LifeCommand = Extract<InvoiceCommand, { readonly type: 'send' | 'pay' | 'fail-payment' }>;

/** Throws Refusal(not_found | invoice_state). */
export async function recordLife(
  deps: Pick<InvoiceRunDeps, 'store'>,
  ref: IssuedRef,
  command: LifeCommand,
  meta: CommandMeta,
): Promise<{ readonly state: IssuedState; readonly position: bigint }> {
  const stream = invoiceStream(ref.agencyId, ref.invoiceId);
  const { state, position } = await transact(deps.store, invoice, stream, command, meta);
  if (!isIssued(state)) throw new Error(`${stream} lives and is not issued`);
  return { state, position };
}

export interface CancelRequest extends IssuedRef {
  readonly reason: string;
  /** True issues the invoice anew, with the contacts and tax facts of today. */
  readonly replace: boolean;
  readonly cause: Pick<CommandMeta, 'actor' | 'correlationId' | 'causationId'>;
}

export interface Cancelled {
  readonly state: IssuedState;
  /** The invoice that replaces it; null when none was asked for, or nothing is left to bill. */
  readonly replacement: IssuedState | null;
  readonly position: bigint;
}

/**
 * Takes an invoice back by a Stornorechnung with a number of its own. Repeating it finds what was
 * done. Throws Refusal(not_found | invoice_state | invoice_run_busy), and what issuing an invoice throws.
 */
export async function cancelInvoice(deps: InvoiceRunDeps, request: CancelRequest): Promise<Cancelled> {
  const { agencyId, tenantId, invoiceId, cause } = request;
  return await deps.records.exclusively(agencyId, async () => {
    const stream = invoiceStream(agencyId, invoiceId);
    const known = await load(deps.store, invoice, stream);
    if (known.status === 'absent') throw new Refusal('not_found', { what: 'invoice' });
    if (!isIssued(known)) throw new Refusal('invoice_state', { status: known.status });
    const state = known.status === 'cancelled' ? known : await takeBack(deps, request, known);
    const { period } = state.draft;
    const issued = request.replace
      ? await replaceInvoice(deps, { ...cause, agencyId, tenantId, period })
      : null;
    const replacement =
      issued !== null && 'state' in issued && issued.state.draft.invoiceId !== invoiceId
        ? issued.state
        : null;
    const position = await deps.store.head();
    await deps.settled(position);
    return { state, replacement, position };
  });
}

async function takeBack(
  deps: InvoiceRunDeps,
  { agencyId, tenantId, invoiceId, reason, cause }: CancelRequest,
  known: IssuedState,
): Promise<IssuedState> {
  const { store, records } = deps;
  const kept = await records.document(invoiceId);
  if (kept === null || kept.hash !== known.finalized.documentHash) {
    throw new Error(`the document of ${invoiceId} is not the one that was finalised`);
  }
  const settings = await agencyAt(store, agencyId, null);
  if (settings === null) throw new Refusal('not_found', { what: 'agency' });
  const { zone, invoiceSeries: series } = settings;
  const numbering: Numbering = { agencyId, series, zone, cause: { ...cause, agencyId } };
  const cancellationId = derivedId('sto', agencyId, invoiceId);
  const stored = await records.document(cancellationId);
  const years = {
    from: known.finalized.issuedOn.slice(0, 4),
    to: localDate(deps.now(), zone).slice(0, 4),
  };
  const number = await (await openNumberBook(deps, numbering, years)).assign(cancellationId);
  const facts = { cancellationId, number: number.number, issuedOn: localDate(number.at, zone), reason };
  const document =
    stored ?? (await keepDocument(records, cancellationDocument(readDocument(kept.document), facts)));
  const { issued_on: issuedOn, number: printed, reason: given } = readDocument(document.document);
  const command = {
    type: 'cancel',
    reason: given ?? reason,
    cancellationId,
    number: printed,
    issuedOn,
    documentHash: document.hash,
  } as const;
  const meta = metaOf(deps, numbering, tenantId)(`cancel ${invoiceId}`);
  const { state } = await transact(store, invoice, invoiceStream(agencyId, invoiceId), command, meta, {
    input: { invoiceId },
  });
  if (!isIssued(state)) throw new Error(`${invoiceId} was cancelled and is not issued`);
  return state;
}
