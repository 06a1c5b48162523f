import type { Kysely } from 'kysely';
import { z } from 'zod';
import type { invoices } from '../../projections/invoices.ts';
import { periodDays } from '../domain/billing-period.ts';
import { Refusal } from '../errors.ts';
import type { RowIn } from '../projection.ts';
import type { EventStore } from '../store/event-store.ts';
import type { BillingRecords, BillingTables } from './billing-records.ts';
import { DATEV_DEFAULTS, datevBatch, type DatevSettings } from './documents/datev.ts';
import { journalCsv } from './documents/journal.ts';
import type { InvoiceFile } from './invoice-files.ts';
import { documentsById } from './kept-documents.ts';
import { agencyAt } from './log-facts.ts';

/**
 * A month for accounting: every invoice and Stornorechnung that is dated in it, whatever month its
 * service was rendered in; each booking names that month, too.
 */
export const EXPORT_FORMATS = ['datev', 'csv'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

export interface ExportTables extends BillingTables {
  readonly invoices: RowIn<typeof invoices>;
}

export interface ExportDeps {
  readonly store: EventStore;
  readonly db: Kysely<ExportTables>;
  readonly records: Pick<BillingRecords, 'contact'>;
  /** ISO instant, UTC. */
  readonly now: () => string;
}

/** Throws Refusal(not_found | invalid_input). */
export async function exportMonth(
  deps: ExportDeps,
  request: { readonly agencyId: string; readonly month: string; readonly format: ExportFormat },
): Promise<Omit<InvoiceFile, 'documentHash'>> {
  const { agencyId, month, format } = request;
  const agency = await agencyAt(deps.store, agencyId, null);
  if (agency === null) throw new Refusal('not_found', { what: 'agency' }, { param: 'agency' });
  const { first: from, last: to } = periodDays(month);
  const documents = await documentsById(deps.db, await idsIn(deps, agencyId, from, to));
  if (format === 'csv') {
    const bytes = Buffer.from(journalCsv(documents));
    return { name: `journal-${month}.csv`, mediaType: 'text/csv; charset=utf-8', bytes };
  }
  const settings = datevSettings(await deps.records.contact(agencyId));
  const debtors = new Map<string, string>();
  for (const tenantId of new Set(documents.map(({ tenant_id }) => tenant_id))) {
    const account = debtorOf(await deps.records.contact(tenantId));
    if (account !== null) debtors.set(tenantId, account);
  }
  const batch = { settings, month, from, to, createdAt: deps.now(), currency: agency.currency };
  const bytes = datevBatch({ ...batch, documents, debtors });
  return { name: `EXTF_Buchungsstapel_${month}.csv`, mediaType: 'text/csv; charset=windows-1252', bytes };
}

async function idsIn(
  { db }: ExportDeps,
  agencyId: string,
  from: string,
  to: string,
): Promise<readonly string[]> {
  const issued = await db
    .selectFrom('invoices')
    .select('invoice_id as id')
    .where('agency_id', '=', agencyId)
    .where('issued_on', '>=', from)
    .where('issued_on', '<=', to)
    .execute();
  const taken = await db
    .selectFrom('invoices')
    .select('cancellation_id as id')
    .where('agency_id', '=', agencyId)
    .where('cancellation_issued_on', '>=', from)
    .where('cancellation_issued_on', '<=', to)
    .execute();
  return [...issued, ...taken].flatMap(({ id }) => (id === null ? [] : [id]));
}

const DatevFields = z.object({
  datev_consultant: z.coerce.number().int().min(1001).max(9_999_999).optional(),
  datev_client: z.coerce.number().int().min(1).max(99_999).optional(),
  datev_chart: z.enum(['03', '04']).optional(),
  datev_account_length: z.coerce.number().int().min(4).max(8).optional(),
  datev_debtor: z
    .string()
    .regex(/^\d{5,9}$/)
    .optional(),
});

/** What the agency's contact says of its books. */
function datevSettings(contact: unknown): DatevSettings {
  const parsed = DatevFields.safeParse(contact ?? {});
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path }) => path.join('.')).join(', ');
    throw new Refusal('invalid_input', { problems: `contact of the agency: ${problems}` });
  }
  const { data } = parsed;
  return {
    consultant: data.datev_consultant ?? DATEV_DEFAULTS.consultant,
    client: data.datev_client ?? DATEV_DEFAULTS.client,
    chart: data.datev_chart ?? DATEV_DEFAULTS.chart,
    accountLength: data.datev_account_length ?? DATEV_DEFAULTS.accountLength,
    debtor: data.datev_debtor ?? DATEV_DEFAULTS.debtor,
  };
}

function debtorOf(contact: unknown): string | null {
  const parsed = z.object({ debtor_account: z.string().regex(/^\d{5,9}$/) }).safeParse(contact);
  return parsed.success ? parsed.data.debtor_account : null;
}
