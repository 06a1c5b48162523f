import { invoice, type InvoiceDraft, isIssued, type IssuedState } from '../domain/invoice.ts';
import { draftInvoice, isWorthIssuing } from '../domain/invoice-lines.ts';
import { formatInvoiceNumber, invoiceNumber, placeOf } from '../domain/invoice-number.ts';
import { canonicalJson } from '../domain/json.ts';
import { DOMESTIC } from '../domain/tax.ts';
import { Refusal } from '../errors.ts';
import type { Log } from '../log.ts';
import type { EventStore } from '../store/event-store.ts';
import { type CommandMeta, load, transact } from '../transact.ts';
import { type BillingRecords, documentHash, type StoredDocument } from './billing-records.ts';
import { checkEInvoice } from './documents/e-invoice-file.ts';
import {
  type InvoiceDocument,
  invoiceDocument,
  readDocument,
  totalsText,
} from './documents/invoice-document.ts';
import { type Parties, readParties, treatmentOf } from './documents/parties.ts';
import { type AssignedNumber, invoiceStream, localDate, numbersStream } from './log-facts.ts';
import { correctedInvoices } from './corrected-invoices.ts';
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
}

/** Where an agency's numbers come from. */
export type Numbering = Pick<Run, 'agencyId' | 'series' | 'zone' | 'cause'>;

/** What all invoices of one run share. */
export interface Run {
  readonly agencyId: string;
  readonly period: string;
  /** Position of `period.closed`. */
  readonly cut: bigint;
  /** Zone and series as they were at the cut. */
  readonly zone: string;
  readonly series: string;
  /** Numbers that earlier runs assigned, by invoice. */
  readonly numbers: ReadonlyMap<string, AssignedNumber>;
  readonly cause: Pick<CommandMeta, 'agencyId' | 'actor' | 'correlationId' | 'causationId'>;
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
}

/**
 * Throws Refusal(invoice_incomplete | tax_case_unsupported | vat_id_unchecked | tax_case_changed |
 * e_invoice_rule). Whatever it throws, no number has been used up.
 */
export async function issueInvoice(deps: InvoiceRunDeps, run: Run, wanted: Wanted): Promise<Issued> {
  const { store, records } = deps;
  const { tenantId, invoiceId } = wanted;
  const stream = invoiceStream(run.agencyId, invoiceId);
  const known = await load(store, invoice, stream);
  if (isIssued(known)) {
    return { status: known.status === 'cancelled' ? 'cancelled' : 'repeated', state: known };
  }
  const found = known.status === 'draft' ? known.draft : await newDraft(deps, run, wanted);
  if (typeof found === 'string') return { status: found };

  // Before anything is written: an invoice that cannot be issued must not use up a number. One whose
  // document is kept has been issued in all but name, whatever has become of the contacts.
  const kept = await records.document(invoiceId);
  const making = kept === null ? await prepare(deps, run, wanted, found) : null;
  const meta = metaOf(deps, run, tenantId);
  const drafting = { type: 'draft', draft: found } as const;
  const asking = { input: { invoiceId } };
  const drafted = await transact(store, invoice, stream, drafting, meta(`draft ${invoiceId}`), asking);
  if (drafted.state.status === 'absent') throw new Error(`${stream} was drafted and is absent`);
  const { draft } = drafted.state;

  const number = run.numbers.get(invoiceId) ?? (await assignNumber(deps, run, invoiceId));
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

/** What the cut put on the tenant's invoice. */
async function newDraft(
  deps: InvoiceRunDeps,
  run: Run,
  { tenantId, invoiceId, replaces }: Wanted,
): Promise<InvoiceDraft | 'skipped' | 'unconcerned'> {
  const { store, records } = deps;
  const contract = await contractAtCut(store, tenantId, run.cut);
  const terms = contract.versions.findLast((version) => version.terms !== null)?.terms ?? null;
  if (terms === null) return 'unconcerned';
  const { agencyId, period, zone } = run;
  const place = { store, agencyId, period, zone };
  const facts = {
    invoiceId,
    period: run.period,
    terms,
    feeDue: true,
    contract: await contractFacts(place, contract, await records.billed(tenantId)),
    usage: await records.usage(tenantId, run.period),
    includedGranted: await records.includedGranted(tenantId),
    taxCase: DOMESTIC,
    taxStatuses: await taxStatusesAt(store, run.agencyId, null),
    replaces: replaces?.draft.invoiceId ?? null,
  };
  if (!isWorthIssuing(draftInvoice(facts))) return 'skipped';
  const { recipient } = await readContacts(records, run, tenantId);
  return draftInvoice({ ...facts, taxCase: await taxCaseOf(store, tenantId, recipient, deps.now()) });
}

async function readContacts(records: BillingRecords, { agencyId }: Run, tenantId: string): Promise<Parties> {
  return readParties(await records.contact(agencyId), await records.contact(tenantId));
}

interface Numbered {
  readonly draft: InvoiceDraft;
  readonly number: AssignedNumber;
}

/** Reads what the document needs and checks that it will be in order; returns what makes it. */
async function prepare(
  deps: InvoiceRunDeps,
  run: Run,
  { tenantId, replaces }: Wanted,
  draft: InvoiceDraft,
): Promise<(numbered: Numbered) => InvoiceDocument> {
  const { records } = deps;
  const { agencyId, zone } = run;
  const parties = await readContacts(records, run, tenantId);
  const current = treatmentOf(parties.recipient);
  const drafted = draft.taxCase.treatment;
  if (current !== drafted) throw new Refusal('tax_case_changed', { drafted, current });
  const projectIds = new Set(draft.lines.flatMap(({ projectId }) => (projectId === null ? [] : [projectId])));
  const projectNames = await records.projectNames([...projectIds]);
  const brand = await records.brandHash(agencyId);
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
      brand,
    }),
  });
  checkEInvoice(make({ draft, number: { number: `${run.series}-0000-00000`, at: deps.now() } }));
  return make;
}

/** The year of the number is the year of its assignment, which also dates the invoice. */
export async function assignNumber(
  deps: Pick<InvoiceRunDeps, 'store' | 'now'>,
  run: Numbering,
  invoiceId: string,
): Promise<AssignedNumber> {
  const meta = metaOf(deps, run, null)(`number ${invoiceId}`);
  const series = `${run.series}-${localDate(meta.at, run.zone).slice(0, 4)}`;
  const stream = numbersStream(run.agencyId, series);
  const { state } = await transact(deps.store, invoiceNumber, stream, { type: 'assign', invoiceId }, meta);
  const place = placeOf(invoiceId, state);
  if (place === null) throw new Error(`${stream} has no number for ${invoiceId}`);
  return { number: formatInvoiceNumber(series, place), at: meta.at };
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
  { cause }: Pick<Run, 'cause'>,
  tenantId: string | null,
): (commandId: string) => CommandMeta {
  return (commandId) => ({ ...cause, tenantId, commandId, at: deps.now() });
}
