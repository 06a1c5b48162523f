import { formatCents } from '../domain/money.ts';
import { Refusal } from '../errors.ts';
import {
  beginning,
  failedInvoice,
  type InvoiceRunReport,
  type InvoiceRunRequest,
  newestOf,
  reported,
  runInvoices,
  type ReportedInvoice,
  TENANTS_AT_ONCE,
} from './invoice-run.ts';
import { type InvoiceRunDeps, planInvoice, type Run } from './issue-invoice.ts';
import { closeOf } from './log-facts.ts';
import type { NumberBook } from './number-book.ts';
import { sideBySide } from './side-by-side.ts';

export function runOrPreview(
  deps: InvoiceRunDeps,
  request: InvoiceRunRequest & { readonly dryRun?: boolean },
): Promise<InvoiceRunReport> {
  return request.dryRun === true ? previewInvoices(deps, request) : runInvoices(deps, request);
}

/**
 * What an invoice run of the period would do now: the same lines, sums and checks, and nothing is
 * written, no period closed and no number used. Of an open period it bills what is recorded up to now.
 */
async function previewInvoices(deps: InvoiceRunDeps, request: InvoiceRunRequest): Promise<InvoiceRunReport> {
  const { store, records } = deps;
  const { period, agencyId, onProgress } = request;
  const { agency, meta } = await beginning(deps, request);
  const close = await closeOf(store, agencyId, period);
  const head = await store.head();
  await deps.settled(head);
  const { zone, invoiceSeries: series, currency } = agency;
  const issuer = { contact: await records.contact(agencyId), brand: await records.brandHash(agencyId) };
  const cut = close?.position ?? head;
  const run: Run = { agencyId, period, cut, zone, series, cause: meta, numbers: NO_NUMBERS, issuer };
  const looking: InvoiceRunDeps =
    close === null ? { ...deps, records: { ...records, usage: records.openUsage } } : deps;
  const tenantIds = await records.tenantIds(agencyId);
  let done = 0;
  const planned = await sideBySide(tenantIds, deps.atOnce ?? TENANTS_AT_ONCE, async (tenantId) => {
    const invoice = await planOrReport(looking, run, tenantId);
    done += 1;
    onProgress?.({ done, total: tenantIds.length, invoice });
    return invoice;
  });
  const positions = { closed_position: close === null ? null : String(cut), position: String(head) };
  const invoices = planned.filter((invoice) => invoice !== null);
  return { agency_id: agencyId, period, currency, ...positions, invoices };
}

const NO_NUMBERS: NumberBook = {
  numberOf: () => null,
  assign: () => Promise.reject(new Error('a dry run gives no numbers')),
};

async function planOrReport(
  deps: InvoiceRunDeps,
  run: Run,
  tenantId: string,
): Promise<ReportedInvoice | null> {
  try {
    const { wanted } = await newestOf(deps.store, run, tenantId);
    const planned = await planInvoice(deps, run, wanted);
    if (planned.status === 'unconcerned') return null;
    const { invoiceId } = wanted;
    if (planned.status !== 'planned') return reported(tenantId, invoiceId, planned);
    const { netCents, taxCents, grossCents } = planned.draft;
    const [net, tax, gross] = [netCents, taxCents, grossCents].map(formatCents) as [string, string, string];
    const place = { tenant_id: tenantId, invoice_id: invoiceId, status: 'planned', number: null } as const;
    return { ...place, net, tax, gross, error: null };
  } catch (error) {
    if (!(error instanceof Refusal)) deps.log.error({ err: error, tenantId }, 'an invoice cannot be planned');
    return failedInvoice(run, tenantId, error);
  }
}
