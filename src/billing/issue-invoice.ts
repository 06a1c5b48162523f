import { invoice, type InvoiceDraft, type InvoiceState } from '../domain/invoice.ts';
import { draftInvoice, isWorthIssuing } from '../domain/invoice-lines.ts';
import { formatInvoiceNumber, invoiceNumber, placeOf } from '../domain/invoice-number.ts';
import { canonicalJson } from '../domain/json.ts';
import type { Log } from '../log.ts';
import type { EventStore } from '../store/event-store.ts';
import { type CommandMeta, load, transact } from '../transact.ts';
import { type BillingRecords, documentHash, type StoredDocument } from './billing-records.ts';
import {
  type InvoiceDocument,
  invoiceDocument,
  type Parties,
  readParties,
  totalsText,
} from './invoice-document.ts';
import {
  type AssignedNumber,
  contractAt,
  holdsIn,
  invoiceStream,
  localDate,
  numbersStream,
} from './log-facts.ts';

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
}

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
  | { readonly status: 'finalized' | 'repeated'; readonly state: InvoiceState }
  /** Neither a fee nor usage. */
  | { readonly status: 'skipped' }
  /** No contract at the cut: the run does not concern this tenant. */
  | { readonly status: 'unconcerned' };

/** Throws Refusal(invoice_incomplete | tax_case_unsupported). */
export async function issueInvoice(
  deps: InvoiceRunDeps,
  run: Run,
  tenantId: string,
  invoiceId: string,
): Promise<Issued> {
  const { store, records } = deps;
  const stream = invoiceStream(run.agencyId, invoiceId);
  const known = await load(store, invoice, stream);
  if (known.status === 'finalized') return { status: 'repeated', state: known };
  const found = known.status === 'draft' ? known.draft : await newDraft(deps, run, tenantId, invoiceId);
  if (typeof found === 'string') return { status: found };

  // Before anything is written: an invoice that cannot be issued must not use up a number. One whose
  // document is kept has been issued in all but name, whatever has become of the contacts.
  const kept = await records.document(invoiceId);
  const parties = kept === null ? await readContacts(records, run, tenantId) : null;
  const meta = metaOf(deps, run, tenantId);
  const drafting = { type: 'draft', draft: found } as const;
  const asking = { input: { invoiceId } };
  const drafted = await transact(store, invoice, stream, drafting, meta(`draft ${invoiceId}`), asking);
  if (drafted.state.status === 'absent') throw new Error(`${stream} was drafted and is absent`);
  const { draft } = drafted.state;

  const number = run.numbers.get(invoiceId) ?? (await assignNumber(deps, run, invoiceId));
  const document =
    parties === null ? kept! : await keepDocument(records, run, { draft, number, tenantId, parties });
  const issuedOn = issuedOnOf(document, draft, number);
  const finalizing = {
    type: 'finalize',
    number: number.number,
    issuedOn,
    documentHash: document.hash,
  } as const;
  const { state } = await transact(store, invoice, stream, finalizing, meta(`finalize ${invoiceId}`));
  return { status: 'finalized', state };
}

async function readContacts(records: BillingRecords, { agencyId }: Run, tenantId: string): Promise<Parties> {
  return readParties(await records.contact(agencyId), await records.contact(tenantId));
}

/** What the cut put on the tenant's invoice. */
async function newDraft(
  { store, records }: InvoiceRunDeps,
  run: Run,
  tenantId: string,
  invoiceId: string,
): Promise<InvoiceDraft | 'skipped' | 'unconcerned'> {
  const contract = await contractAt(store, tenantId, run.cut);
  if (contract === null) return 'unconcerned';
  const draft = draftInvoice({
    invoiceId,
    period: run.period,
    terms: contract.terms,
    feeDue: holdsIn(contract, run.period, run.zone),
    usage: await records.usage(tenantId, run.period),
    includedGranted: await records.includedGranted(tenantId),
  });
  return isWorthIssuing(draft) ? draft : 'skipped';
}

/** The year of the number is the year of its assignment, which also dates the invoice. */
async function assignNumber(deps: InvoiceRunDeps, run: Run, invoiceId: string): Promise<AssignedNumber> {
  const meta = metaOf(deps, run, null)(`number ${invoiceId}`);
  const series = `${run.series}-${localDate(meta.at, run.zone).slice(0, 4)}`;
  const stream = numbersStream(run.agencyId, series);
  const { state } = await transact(deps.store, invoiceNumber, stream, { type: 'assign', invoiceId }, meta);
  const place = placeOf(invoiceId, state);
  if (place === null) throw new Error(`${stream} has no number for ${invoiceId}`);
  return { number: formatInvoiceNumber(series, place), at: meta.at };
}

interface DocumentInput {
  readonly draft: InvoiceDraft;
  readonly number: AssignedNumber;
  readonly tenantId: string;
  readonly parties: Parties;
}

/** Keeps a new document, or finds the one that somebody else kept meanwhile. */
async function keepDocument(
  records: BillingRecords,
  { agencyId, zone }: Run,
  { draft, number, tenantId, parties }: DocumentInput,
): Promise<StoredDocument> {
  const projectIds = new Set(draft.lines.flatMap(({ projectId }) => (projectId === null ? [] : [projectId])));
  const projectNames = await records.projectNames([...projectIds]);
  const issuedOn = localDate(number.at, zone);
  const facts = { draft, number: number.number, issuedOn, agencyId, tenantId, zone, parties, projectNames };
  const document = canonicalJson(invoiceDocument(facts));
  const { invoiceId } = draft;
  const hash = documentHash(document);
  return await records.keepDocument({ invoiceId, number: number.number, agencyId, tenantId, document, hash });
}

/** The date on the document. Throws Error when it is not the document of this draft and number. */
function issuedOnOf(kept: StoredDocument, draft: InvoiceDraft, number: AssignedNumber): string {
  const document = JSON.parse(kept.document) as InvoiceDocument;
  const same =
    kept.hash === documentHash(kept.document) &&
    document.number === number.number &&
    document.lines.length === draft.lines.length &&
    canonicalJson(document.totals) === canonicalJson(totalsText(draft));
  if (!same)
    throw new Error(`the kept document of ${draft.invoiceId} is not the one of this draft and number`);
  return document.issued_on;
}

/** Command ids follow from what is done, so that a repeated run finds its own events. */
function metaOf(
  deps: InvoiceRunDeps,
  { cause }: Run,
  tenantId: string | null,
): (commandId: string) => CommandMeta {
  return (commandId) => ({ ...cause, tenantId, commandId, at: deps.now() });
}
