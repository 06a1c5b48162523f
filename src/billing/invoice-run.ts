import { billingPeriod } from '../domain/billing-period.ts';
import { invoice, isIssued, type IssuedState } from '../domain/invoice.ts';
import { formatCents } from '../domain/money.ts';
import { Refusal } from '../errors.ts';
import type { Actor } from '../events.ts';
import { derivedId } from '../secrets.ts';
import { load, transact } from '../transact.ts';
import { type InvoiceRunDeps, type Issued, issueInvoice, type Run, type Wanted } from './issue-invoice.ts';
import { agencyAt, closeOf, invoiceStream, localDate, periodStream } from './log-facts.ts';
import { openNumberBook } from './number-book.ts';
import { type InTurn, sideBySide } from './side-by-side.ts';

/**
 * The monthly invoice run of one agency. Closing the period cuts the log; what was recorded before
 * the cut is billed now, the rest on a later invoice. Every step finds its own earlier result, so a
 * run that was killed anywhere is simply started again, and one that had ended changes nothing.
 */
export interface InvoiceRunRequest {
  /** `YYYY-MM`. */
  readonly period: string;
  readonly agencyId: string;
  readonly actor: Actor;
  readonly correlationId: string;
  readonly onProgress?: (progress: InvoiceRunProgress) => void;
}

export interface InvoiceRunProgress {
  /** Tenants. */
  readonly done: number;
  readonly total: number;
  /** The one that is through now; null when the run does not concern it. */
  readonly invoice: ReportedInvoice | null;
}

/** As JSON shows it: amounts and positions are decimal strings. */
export interface InvoiceRunReport {
  readonly agency_id: string;
  readonly period: string;
  readonly currency: string;
  /** The cut: spend at or before it is on invoices up to this period. Null in a dry run of an open period. */
  readonly closed_position: string | null;
  /** Everything that the run wrote is at or before it. */
  readonly position: string;
  /** One entry per tenant that had a contract at the cut, in the order of their ids. */
  readonly invoices: readonly ReportedInvoice[];
}

export interface ReportedInvoice {
  readonly tenant_id: string;
  readonly invoice_id: string;
  /**
   * `repeated` was finalised by an earlier run, and `cancelled` has been taken back since and not
   * replaced; `skipped` had neither a fee nor usage; `planned` is what a dry run would finalise.
   */
  readonly status: 'finalized' | 'repeated' | 'cancelled' | 'skipped' | 'failed' | 'planned';
  /** Null, like the amounts, when there is no finalised invoice. */
  readonly number: string | null;
  readonly net: string | null;
  readonly tax: string | null;
  readonly gross: string | null;
  /** Null unless it failed. */
  readonly error: { readonly reason: string; readonly message: string } | null;
}

/** Few enough to leave the database connections for others. */
export const TENANTS_AT_ONCE = 6;
const PERIOD = /^\d{4}-(0[1-9]|1[0-2])$/;

/** Throws Refusal(invalid_input | not_found | period_not_started | invoice_run_busy), and Error when the lock was lost. */
export async function runInvoices(
  deps: InvoiceRunDeps,
  request: InvoiceRunRequest,
): Promise<InvoiceRunReport> {
  const { period, agencyId, onProgress } = request;
  checkPeriod(period);
  return await deps.records.exclusively(agencyId, async (lost) => {
    const { run, currency } = await openRun(deps, request);
    const tenantIds = await deps.records.tenantIds(agencyId);
    let done = 0;
    const issued = await sideBySide(tenantIds, deps.atOnce ?? TENANTS_AT_ONCE, async (tenantId, inTurn) => {
      if (lost.aborted) throw new Error(`the run of ${agencyId} lost its lock`);
      const invoice = await issueOrReport(deps, run, tenantId, inTurn);
      done += 1;
      onProgress?.({ done, total: tenantIds.length, invoice });
      return invoice;
    });
    const invoices = issued.filter((invoice) => invoice !== null);
    const position = await deps.store.head();
    await deps.settled(position);
    const positions = { closed_position: String(run.cut), position: String(position) };
    return { agency_id: agencyId, period, currency, ...positions, invoices };
  });
}

function checkPeriod(period: string): void {
  if (PERIOD.test(period)) return;
  throw new Refusal('invalid_input', { problems: 'period: write it as YYYY-MM' }, { param: 'period' });
}

/** Throws Refusal(invalid_input | not_found | period_not_started). */
export async function beginning({ store, now }: InvoiceRunDeps, request: InvoiceRunRequest) {
  const { period, agencyId, actor, correlationId } = request;
  checkPeriod(period);
  const agency = await agencyAt(store, agencyId, null);
  if (agency === null) throw new Refusal('not_found', { what: 'agency' });
  const thisMonth = localDate(now(), agency.zone).slice(0, 7);
  if (period > thisMonth) throw new Refusal('period_not_started', { period, zone: agency.zone });
  return { agency, thisMonth, meta: { agencyId, actor, correlationId, causationId: correlationId } };
}

/** Closes the period and waits until the read models show everything up to here. */
async function openRun(
  deps: InvoiceRunDeps,
  request: InvoiceRunRequest,
): Promise<{ readonly run: Run; readonly currency: string }> {
  const { store, records } = deps;
  const { period, agencyId } = request;
  const { thisMonth, meta } = await beginning(deps, request);

  const stream = periodStream(agencyId, period);
  const closing = { ...meta, commandId: `close ${agencyId} ${period}`, at: deps.now(), tenantId: null };
  await transact(store, billingPeriod, stream, { type: 'close', agencyId, period }, closing);
  const close = await closeOf(store, agencyId, period);
  const agency = close && (await agencyAt(store, agencyId, close.position));
  if (close === null || agency === null) throw new Error(`${stream} is closed and has no cut`);
  // The head, not the cut: drafts of other periods after it have granted included usage, too.
  await deps.settled(await store.head());

  const { zone, invoiceSeries: series, currency } = agency;
  const years = { from: localDate(close.occurredAt, zone).slice(0, 4), to: thisMonth.slice(0, 4) };
  const numbering = { agencyId, series, zone, cause: { ...meta, causationId: close.id } };
  const numbers = await openNumberBook(deps, numbering, years);
  const issuer = { contact: await records.contact(agencyId), brand: await records.brandHash(agencyId) };
  return { run: { ...numbering, period, cut: close.position, numbers, issuer }, currency };
}

/**
 * The newest invoice of a tenant and period: the first one, or the one that replaces it. A cancelled
 * invoice is not replaced by running the month again, only when somebody asks for it.
 */
export async function newestOf(
  store: InvoiceRunDeps['store'],
  { agencyId, period }: Run,
  tenantId: string,
): Promise<{ readonly wanted: Wanted; readonly next: Wanted | null }> {
  let replaces: IssuedState | null = null;
  let newest: Wanted | null = null;
  for (let generation = 0; ; generation += 1) {
    const name = generation === 0 ? tenantId : `${tenantId} ${generation}`;
    const invoiceId = firstInvoiceId({ agencyId, period }, name);
    const known = await load(store, invoice, invoiceStream(agencyId, invoiceId));
    const wanted: Wanted = { tenantId, invoiceId, replaces, known };
    if (known.status === 'absent') return { wanted: newest ?? wanted, next: newest === null ? null : wanted };
    if (!isIssued(known) || known.status !== 'cancelled') return { wanted, next: null };
    newest = wanted;
    replaces = known;
  }
}

/** Of the tenant's first invoice of the period. */
function firstInvoiceId({ agencyId, period }: Pick<Run, 'agencyId' | 'period'>, name: string): string {
  return derivedId('inv', `${agencyId} ${period}`, name);
}

/**
 * Issues the invoice that replaces a cancelled one: the same usage, with the contacts and tax facts
 * of today. Repeating it finds the one that it made. The caller holds the agency's lock.
 */
export async function replaceInvoice(
  deps: InvoiceRunDeps,
  request: Omit<InvoiceRunRequest, 'onProgress'> & { readonly tenantId: string },
): Promise<Issued> {
  const { run } = await openRun(deps, request);
  const { wanted, next } = await newestOf(deps.store, run, request.tenantId);
  return await issueInvoice(deps, run, next ?? wanted);
}

/** One tenant that cannot be invoiced does not stop the others. */
async function issueOrReport(
  deps: InvoiceRunDeps,
  run: Run,
  tenantId: string,
  inTurn: InTurn,
): Promise<ReportedInvoice | null> {
  let invoiceId = firstInvoiceId(run, tenantId);
  try {
    const { wanted } = await newestOf(deps.store, run, tenantId);
    ({ invoiceId } = wanted);
    const issued = await issueInvoice(deps, run, wanted, inTurn);
    return issued.status === 'unconcerned' ? null : reported(tenantId, invoiceId, issued);
  } catch (error) {
    if (!(error instanceof Refusal)) deps.log.error({ err: error, tenantId, invoiceId }, 'an invoice failed');
    return { ...failedInvoice(run, tenantId, error), invoice_id: invoiceId };
  }
}

export function failedInvoice(
  run: Pick<Run, 'agencyId' | 'period'>,
  tenantId: string,
  error: unknown,
): ReportedInvoice {
  const none = { number: null, net: null, tax: null, gross: null };
  const place = { tenant_id: tenantId, invoice_id: firstInvoiceId(run, tenantId), status: 'failed' } as const;
  const [reason, message] =
    error instanceof Refusal
      ? [error.code, error.message]
      : ['defect', 'Internal error; the log of the server has its cause.'];
  return { ...place, ...none, error: { reason, message } };
}

export function reported(
  tenantId: string,
  invoiceId: string,
  issued: Exclude<Issued, { status: 'unconcerned' }>,
): ReportedInvoice {
  const finalized = issued.status === 'skipped' ? null : issued.state;
  const amount = (name: 'netCents' | 'taxCents' | 'grossCents'): string | null =>
    finalized === null ? null : formatCents(finalized.draft[name]);
  return {
    tenant_id: tenantId,
    invoice_id: invoiceId,
    status: issued.status,
    number: finalized?.finalized.number ?? null,
    net: amount('netCents'),
    tax: amount('taxCents'),
    gross: amount('grossCents'),
    error: null,
  };
}
