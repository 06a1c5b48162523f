import {
  invoice,
  type InvoiceDraft,
  type InvoiceState,
  isIssued,
  type IssuedState,
} from '../domain/invoice.ts';
import { draftInvoice, isWorthIssuing } from '../domain/invoice-lines.ts';
import { canonicalJson } from '../domain/json.ts';
import { periodOf } from '../domain/period.ts';
import { DOMESTIC } from '../domain/tax.ts';
import { Refusal } from '../errors.ts';
import type { Log } from '../log.ts';
import type { EventStore } from '../store/event-store.ts';
import { type CommandMeta, transact } from '../transact.ts';
import { type BillingRecords, documentHash, type StoredDocument } from './billing-records.ts';
import { checkEInvoice } from './documents/e-invoice-file.ts';
import {
  type InvoiceDocument,
  invoiceDocument,
  readDocument,
  totalsText,
} from './documents/invoice-document.ts';
import { type Parties, readParties, treatmentOf } from './documents/parties.ts';
import { correctedInvoices } from './corrected-invoices.ts';
import { invoiceStream, localDate } from './log-facts.ts';
import type { InTurn } from './side-by-side.ts';
import type { AssignedNumber, NumberBook, Numbering } from './number-book.ts';
import { contractAtCut, contractFacts } from './contract-facts.ts';
import { taxCaseOf, taxStatusesAt } from './tax-facts.ts';

/**
 * One tenant's invoice of a closed period: lines, number, document, finalised. Each step looks for
 * its own earlier result first; a draft in the log is used as it is and never computed again.
 */
export interface InvoiceRunDeps {
  readonly store: EventStore;
  readonly records: BillingRecords;
  /** ISO instant, UTC, milliseconds. */
  readonly now: () => string;
  /** Resolves when every read model has applied the position. */
  readonly settled: (position: bigint) => Promise<void>;
  readonly log: Pick<Log, 'error'>;
  /** Where the invoice will be payable; null, or left out: nowhere but at the bank. */
  readonly paymentLink?: (agencyId: string, invoiceId: string) => Promise<string | null>;
  /** Tenants of a run that are worked on side by side; 6 when left out. */
  readonly atOnce?: number;
}

/** What all invoices of one run share. Zone and series are as they were at the cut. */
export interface Run extends Numbering {
  readonly period: string;
  /** Position of `period.closed`. */
  readonly cut: bigint;
  readonly numbers: NumberBook;
  /** The agency's newest contact and brand when the run began. */
  readonly issuer: { readonly contact: unknown; readonly brand: string | null };
}

export type Issued =
  | { readonly status: 'finalized' | 'repeated' | 'cancelled'; readonly state: IssuedState }
  /** Neither a fee nor usage. */
  | { readonly status: 'skipped' }
  /** No contract at the cut: the run does not concern this tenant. */
  | { readonly status: 'unconcerned' };

/** Which invoice is to be issued. */
export interface Wanted {
  readonly tenantId: string;
  readonly invoiceId: string;
  /** The cancelled invoice that it replaces; null for the first of its period. */
  readonly replaces: IssuedState | null;
  /** As the log had it when it was looked for. */
  readonly known: InvoiceState;
}

/**
 * Throws Refusal(invoice_incomplete | tax_case_unsupported | vat_id_unchecked | tax_case_changed |
 * e_invoice_rule). Whatever it throws, no number has been used up.
 *
 * @param inTurn  gives numbers in the order of the run.
 */
export async function issueInvoice(
  deps: InvoiceRunDeps,
  run: Run,
  wanted: Wanted,
  inTurn: InTurn = (task) => task(),
): Promise<Issued> {
  const { store, records } = deps;
  const { tenantId, invoiceId, known } = wanted;
  const stream = invoiceStream(run.agencyId, invoiceId);
  if (isIssued(known)) return alreadyIssued(known);
  const parties = partiesOf(records, run, tenantId);
  const found = known.status === 'draft' ? known.draft : await newDraft(deps, run, wanted, parties);
  if (typeof found === 'string') return { status: found };

  // Before anything is written: an invoice that cannot be issued must not use up a number. One whose
  // document is kept has been issued in all but name, whatever has become of the contacts.
  const kept = await records.document(invoiceId);
  const making =
    kept === null ? await prepare(deps, run, { ...wanted, parties: await parties() }, found) : null;
  const meta = metaOf(deps, run, tenantId);
  const drafting = { type: 'draft', draft: found } as const;
  const asking = { input: { invoiceId } };
  const drafted = await transact(store, invoice, stream, drafting, meta(`draft ${invoiceId}`), asking);
  if (drafted.state.status === 'absent') throw new Error(`${stream} was drafted and is absent`);
  const { draft } = drafted.state;

  const number = run.numbers.numberOf(invoiceId) ?? (await inTurn(() => run.numbers.assign(invoiceId)));
  const stored = making === null ? kept! : await keepDocument(records, making({ draft, number }));
  const { issued_on: issuedOn, due_on: dueOn } = documentOf(stored, draft, number);
  const finalizing = {
    type: 'finalize',
    number: number.number,
    issuedOn,
    dueOn,
    documentHash: stored.hash,
  } as const;
  const { state } = await transact(store, invoice, stream, finalizing, meta(`finalize ${invoiceId}`));
  if (!isIssued(state)) throw new Error(`${stream} was finalised and is not final`);
  return { status: 'finalized', state };
}

/** What issuing the invoice would make of it; the same checks, and nothing is written. Throws what that throws. */
export async function planInvoice(
  deps: InvoiceRunDeps,
  run: Run,
  wanted: Wanted,
): Promise<Issued | { readonly status: 'planned'; readonly draft: InvoiceDraft }> {
  const { known, invoiceId, tenantId } = wanted;
  if (isIssued(known)) return alreadyIssued(known);
  const parties = partiesOf(deps.records, run, tenantId);
  const draft = known.status === 'draft' ? known.draft : await newDraft(deps, run, wanted, parties);
  if (typeof draft === 'string') return { status: draft };
  if ((await deps.records.document(invoiceId)) === null) {
    await prepare(deps, run, { ...wanted, parties: await parties() }, draft);
  }
  return { status: 'planned', draft };
}

function alreadyIssued(state: IssuedState): Issued {
  return { status: state.status === 'cancelled' ? 'cancelled' : 'repeated', state };
}

/** What the cut put on the tenant's invoice. */
async function newDraft(
  deps: InvoiceRunDeps,
  run: Run,
  { tenantId, invoiceId, replaces }: Wanted,
  parties: () => Promise<Parties>,
): Promise<InvoiceDraft | 'skipped' | 'unconcerned'> {
  const { store, records } = deps;
  const contract = await contractAtCut(store, tenantId, run.cut);
  const terms = contract.versions.findLast((version) => version.terms !== null)?.terms ?? null;
  const { agencyId, period, zone } = run;
  // What was used in months before there was a contract was the agency's own.
  const isOwn = contract.versions.every(({ effectiveFrom }) => periodOf(effectiveFrom, zone) > period);
  if (terms === null) return 'unconcerned';
  if (isOwn) return 'skipped';
  const place = { store, agencyId, period, zone };
  const facts = {
    invoiceId,
    period: run.period,
    terms,
    feeDue: true,
    contract: await contractFacts(place, contract, await records.billed(tenantId)),
    usage: await records.usage({ agencyId, tenantId }, run.period),
    includedGranted: await records.includedGranted(tenantId),
    taxCase: DOMESTIC,
    taxStatuses: await taxStatusesAt(store, run.agencyId, null),
    replaces: replaces?.draft.invoiceId ?? null,
  };
  const draft = draftInvoice(facts);
  if (!isWorthIssuing(draft)) return 'skipped';
  const { recipient } = await parties();
  const taxCase = await taxCaseOf(store, tenantId, recipient, deps.now());
  return canonicalJson(taxCase) === canonicalJson(DOMESTIC) ? draft : draftInvoice({ ...facts, taxCase });
}

/** Read when they are first asked for, and once: draft and document name the same people. */
function partiesOf(records: BillingRecords, { issuer }: Run, tenantId: string): () => Promise<Parties> {
  let read: Promise<Parties> | null = null;
  return () => (read ??= records.contact(tenantId).then((contact) => readParties(issuer.contact, contact)));
}

interface Numbered {
  readonly draft: InvoiceDraft;
  readonly number: AssignedNumber;
}

/** Reads what the document needs and checks that it will be in order; returns what makes it. */
async function prepare(
  deps: InvoiceRunDeps,
  run: Run,
  { tenantId, replaces, parties }: Wanted & { readonly parties: Parties },
  draft: InvoiceDraft,
): Promise<(numbered: Numbered) => InvoiceDocument> {
  const { records } = deps;
  const { agencyId, zone, issuer } = run;
  const current = treatmentOf(parties.recipient);
  const drafted = draft.taxCase.treatment;
  if (current !== drafted) throw new Refusal('tax_case_changed', { drafted, current });
  const projectIds = new Set(draft.lines.flatMap(({ projectId }) => (projectId === null ? [] : [projectId])));
  const projectNames = await records.projectNames([...projectIds]);
  const preceding =
    replaces === null ? null : { number: replaces.finalized.number, issued_on: replaces.finalized.issuedOn };
  const billed = draft.grossCents < 0n ? await records.billed(tenantId) : [];
  const corrects = await correctedInvoices(deps.store, agencyId, draft, billed);
  const link = draft.grossCents > 0n ? await deps.paymentLink?.(agencyId, draft.invoiceId) : null;
  const make = (numbered: Numbered): InvoiceDocument => ({
    ...(link == null ? {} : { payment_link: link }),
    ...invoiceDocument({
      draft: numbered.draft,
      number: numbered.number.number,
      issuedOn: localDate(numbered.number.at, zone),
      agencyId,
      tenantId,
      zone,
      parties,
      projectNames,
      preceding,
      corrects,
      brand: issuer.brand,
    }),
  });
  checkEInvoice(make({ draft, number: { number: `${run.series}-0000-00000`, at: deps.now() } }));
  return make;
}

/** Keeps a new document, or finds the one that somebody else kept meanwhile. */
export async function keepDocument(
  records: Pick<BillingRecords, 'keepDocument'>,
  made: InvoiceDocument,
): Promise<StoredDocument> {
  const { invoice_id: invoiceId, number, agency_id: agencyId, tenant_id: tenantId } = made;
  const document = canonicalJson(made);
  const hash = documentHash(document);
  return await records.keepDocument({ invoiceId, number, agencyId, tenantId, document, hash });
}

/** Throws Error when the kept document is not the one of this draft and number. */
function documentOf(kept: StoredDocument, draft: InvoiceDraft, number: AssignedNumber): InvoiceDocument {
  const document = readDocument(kept.document);
  const same =
    kept.hash === documentHash(kept.document) &&
    document.number === number.number &&
    document.lines.length === draft.lines.length &&
    canonicalJson(document.totals) === canonicalJson(totalsText(draft));
  if (!same)
    throw new Error(`the kept document of ${draft.invoiceId} is not the one of this draft and number`);
  return document;
}

/** Command ids follow from what is done, so that a repeated run finds its own events. */
export function metaOf(
  deps: Pick<InvoiceRunDeps, 'now'>,
  { cause }: Pick<Numbering, 'cause'>,
  tenantId: string | null,
): (commandId: string) => CommandMeta {
  return (commandId) => ({ ...cause, tenantId, commandId, at: deps.now() });
}
