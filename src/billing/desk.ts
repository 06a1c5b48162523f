import type { Kysely } from 'kysely';
import type { z } from 'zod';
import type { Json } from '../domain/json.ts';
import { agencyTaxStatus } from '../domain/tax-status.ts';
import type { TaxStatus } from '../domain/tax.ts';
import { Refusal } from '../errors.ts';
import { type CommandMeta, transact } from '../transact.ts';
import { billingRecords } from './billing-records.ts';
import { GivenBrand, PLAIN_BRAND } from './documents/brand.ts';
import { type ExportTables, exportMonth } from './exports.ts';
import { type FileKind, invoiceFile } from './invoice-files.ts';
import {
  type CancelRequest,
  cancelInvoice,
  type IssuedRef,
  type LifeCommand,
  recordLife,
} from './invoice-life.ts';
import type { InvoiceRunDeps } from './issue-invoice.ts';
import { keepBrand, newestBrand } from './kept-documents.ts';
import { taxStatusesAt, taxStatusStream } from './tax-facts.ts';
import { type PreviewRequest, previewOf } from './preview-usage.ts';
import { checkVatId, type VatCheckRequest, vatChecksOf } from './vat-checks.ts';
import { verifyInvoice } from './verify-invoice.ts';
import type { AskVies } from './vies.ts';
import type { Pool } from 'pg';

/** Everything that can be asked of billing, over one database and log: what the API serves. */
export interface DeskDeps extends Omit<InvoiceRunDeps, 'records'> {
  readonly pool: Pool;
  readonly db: Kysely<ExportTables>;
  readonly askVies: AskVies;
}

export function billingDesk(deps: DeskDeps) {
  const { db, pool, store, now } = deps;
  // The tables of billing are a part of those of exports; the query builder's types do not see it.
  const tables = db as unknown as Parameters<typeof billingRecords>[0]['db'];
  const records = billingRecords({ pool, db: tables });
  const run: InvoiceRunDeps = { ...deps, records };
  return {
    file: (name: string, kind: FileKind) => invoiceFile(tables, name, kind),
    preview: (request: PreviewRequest) => previewOf(store, tables, request),
    record: (ref: IssuedRef, command: LifeCommand, meta: CommandMeta) => recordLife(run, ref, command, meta),
    cancel: (request: CancelRequest) => cancelInvoice(run, request),
    proof: async (ref: IssuedRef) => (await verifyInvoice({ store, records }, ref)) as unknown as Json,
    exportMonth: (request: Parameters<typeof exportMonth>[1]) =>
      exportMonth({ store, db, records, now }, request),
    checkVatId: (request: VatCheckRequest) =>
      checkVatId({ store, db: tables, records, askVies: deps.askVies }, request),
    vatChecks: (tenantId: string) => vatChecksOf(tables, tenantId),
    declareTaxStatus: (
      declaration: { readonly agencyId: string; readonly from: string; readonly status: TaxStatus },
      meta: CommandMeta,
    ) =>
      transact(
        store,
        agencyTaxStatus,
        taxStatusStream(declaration.agencyId),
        { type: 'declare', ...declaration },
        meta,
      ),
    taxStatuses: (agencyId: string) => taxStatusesAt(store, agencyId, null),
    async keepBrand(agencyId: string, given: unknown) {
      const parsed = GivenBrand.safeParse(given);
      if (!parsed.success) throw new Refusal('invalid_input', { problems: problemsOf(parsed.error) });
      const { version, brand } = await keepBrand(tables, agencyId, parsed.data);
      return { version, brand: brand as unknown as Json };
    },
    async brand(agencyId: string) {
      const { version, brand } = (await newestBrand(tables, agencyId)) ?? { version: 0, brand: PLAIN_BRAND };
      return { version, brand: brand as unknown as Json };
    },
  };
}

function problemsOf(error: z.ZodError): string {
  return error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');
}
