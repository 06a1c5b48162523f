import { createHash } from 'node:crypto';
import { type Kysely, sql } from 'kysely';
import type { Pool } from 'pg';
import type { billedLines } from '../../projections/billed-lines.ts';
import type { includedUsage } from '../../projections/included-usage.ts';
import type { tenants } from '../../projections/tenants.ts';
import { OPEN, type usage } from '../../projections/usage.ts';
import type { UsageSum } from '../domain/invoice-lines.ts';
import type { BilledLine } from '../domain/invoice.ts';
import type { Unit } from '../domain/spend.ts';
import { Refusal } from '../errors.ts';
import type { RowIn } from '../projection.ts';
import { exclusively } from './exclusive.ts';

export interface TenantOfAgency {
  readonly agencyId: string;
  readonly tenantId: string;
}

/** What billing reads and keeps beside the log. Property tests hold it in memory. */
export interface BillingRecords {
  /** The agency's tenants that have a contract, in the order of their ids. */
  tenantIds(agencyId: string): Promise<readonly string[]>;
  /** What the close of the period put on the tenant's invoice of that period. */
  usage(tenant: TenantOfAgency, period: string): Promise<readonly UsageSum[]>;
  /** What a close of the period would put there now. */
  openUsage(tenant: TenantOfAgency, period: string): Promise<readonly UsageSum[]>;
  /** By month, in nanos: what invoices have granted of the tenant's included usage so far. */
  includedGranted(tenantId: string): Promise<ReadonlyMap<string, bigint>>;
  /** Lines of the tenant's invoices so far, without those of cancelled ones. */
  billed(tenantId: string): Promise<readonly BilledLine[]>;
  /** The newest contact of an agency or tenant as it was given; null when there is none. */
  contact(subjectId: string): Promise<unknown>;
  /** By project id; without those that have no name. */
  projectNames(projectIds: readonly string[]): Promise<ReadonlyMap<string, string>>;
  /** Of the agency's newest brand; null when it has none. */
  brandHash(agencyId: string): Promise<string | null>;
  document(invoiceId: string): Promise<StoredDocument | null>;
  /** Keeps the document unless the invoice has one already, and returns the one that is kept. */
  keepDocument(document: StoredDocument): Promise<StoredDocument>;
  /**
   * Runs a task that must not run twice at once for an agency, whatever process starts it.
   * `lost` is aborted when nobody can say any more that no other one runs; what is under way then is
   * still done once, since the revisions in the log let only one through.
   * Throws Refusal(invoice_run_busy) when one is running.
   */
  exclusively<T>(agencyId: string, task: (lost: AbortSignal) => Promise<T>): Promise<T>;
}

/** A finalised invoice as it was issued. */
export interface StoredDocument {
  readonly invoiceId: string;
  readonly number: string;
  readonly agencyId: string;
  readonly tenantId: string;
  /** Canonical JSON of an InvoiceDocument. */
  readonly document: string;
  /** Lower-case hex SHA-256 of `document`. */
  readonly hash: string;
}

export interface BillingTables {
  readonly tenants: RowIn<typeof tenants>;
  readonly usage: RowIn<typeof usage>;
  readonly included_usage: RowIn<typeof includedUsage>;
  readonly billed_lines: RowIn<typeof billedLines>;
  readonly contacts: { readonly subject_id: string; readonly version: number; readonly data: unknown };
  readonly project_names: { readonly project_id: string; readonly name: string };
  readonly brands: {
    readonly hash: string;
    readonly agency_id: string;
    readonly version: number;
    readonly data: string;
  };
  readonly vat_checks: {
    readonly check_id: string;
    readonly tenant_id: string;
    readonly evidence: string;
    readonly hash: string;
  };
  readonly invoice_documents: {
    readonly invoice_id: string;
    readonly number: string;
    readonly agency_id: string;
    readonly tenant_id: string;
    readonly document: string;
    readonly hash: string;
  };
}

export function documentHash(document: string): string {
  return createHash('sha256').update(document).digest('hex');
}

export function billingRecords(database: {
  readonly pool: Pool;
  readonly db: Kysely<BillingTables>;
}): BillingRecords {
  const { pool, db } = database;
  return {
    async tenantIds(agencyId) {
      const rows = await db
        .selectFrom('tenants')
        .select('tenant_id')
        .where('agency_id', '=', agencyId)
        .where('contract_id', 'is not', null)
        .orderBy(sql`tenant_id collate "C"`)
        .execute();
      return rows.map((row) => row.tenant_id);
    },
    async usage(tenant, period) {
      const rows = await usageRows(db, tenant).where('invoice_period', '=', period).execute();
      return rows.map(usageSum);
    },
    async openUsage(tenant, period) {
      const open = usageRows(db, tenant).where('invoice_period', '=', OPEN);
      const rows = await open.where(sql<boolean>`month collate "C" <= ${period}`).execute();
      return rows.map(usageSum);
    },
    async includedGranted(tenantId) {
      const rows = await db
        .selectFrom('included_usage')
        .select(['month', 'granted_nanos'])
        .where('tenant_id', '=', tenantId)
        .execute();
      return new Map(rows.map((row) => [row.month, row.granted_nanos]));
    },
    async billed(tenantId) {
      const rows = await db
        .selectFrom('billed_lines')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .execute();
      return rows.map(billedLine);
    },
    async contact(subjectId) {
      const row = await db
        .selectFrom('contacts')
        .select('data')
        .where('subject_id', '=', subjectId)
        .orderBy('version', 'desc')
        .limit(1)
        .executeTakeFirst();
      return row?.data ?? null;
    },
    async projectNames(projectIds) {
      if (projectIds.length === 0) return new Map();
      const rows = await db
        .selectFrom('project_names')
        .select(['project_id', 'name'])
        .where('project_id', 'in', projectIds)
        .execute();
      return new Map(rows.map((row) => [row.project_id, row.name]));
    },
    async brandHash(agencyId) {
      const row = await db
        .selectFrom('brands')
        .select('hash')
        .where('agency_id', '=', agencyId)
        .orderBy('version', 'desc')
        .limit(1)
        .executeTakeFirst();
      return row?.hash ?? null;
    },
    document: (invoiceId) => readDocument(db, invoiceId),
    async keepDocument(document) {
      const { invoiceId, number, agencyId, tenantId, document: text, hash } = document;
      const row = {
        invoice_id: invoiceId,
        number,
        agency_id: agencyId,
        tenant_id: tenantId,
        document: text,
        hash,
      };
      const inserted = await db
        .insertInto('invoice_documents')
        .values(row)
        .onConflict((conflict) => conflict.column('invoice_id').doNothing())
        .executeTakeFirst();
      if (inserted.numInsertedOrUpdatedRows === 1n) return document;
      const kept = await readDocument(db, invoiceId);
      if (kept === null) throw new Error(`the document of ${invoiceId} vanished`);
      return kept;
    },
    async exclusively(agencyId, task) {
      const held = await exclusively(pool, `invoice run of ${agencyId}`, async (lost) => [await task(lost)]);
      if (held === null) throw new Refusal('invoice_run_busy', { agencyId }, { retryAfterSeconds: 5 });
      return held[0]!;
    },
  };
}

/** The agency is asked for as well, since the table is sorted by it. */
function usageRows(db: Kysely<BillingTables>, { agencyId, tenantId }: TenantOfAgency) {
  return db
    .selectFrom('usage')
    .select(['project_id', 'model', 'unit', 'price_rate', 'month', 'quantity', 'requests', 'price_nanos'])
    .where('agency_id', '=', agencyId)
    .where('tenant_id', '=', tenantId);
}

export function usageSum(
  row: Pick<
    RowIn<typeof usage>,
    'project_id' | 'model' | 'unit' | 'price_rate' | 'month' | 'quantity' | 'requests' | 'price_nanos'
  >,
): UsageSum {
  return {
    projectId: row.project_id === '' ? null : row.project_id,
    model: row.model,
    unit: row.unit as Unit,
    priceRate: row.price_rate,
    month: row.month,
    quantity: row.quantity,
    requests: row.requests,
    priceNanos: row.price_nanos,
  };
}

export function billedLine(row: RowIn<typeof billedLines>): BilledLine {
  return {
    invoiceId: row.invoice_id,
    period: row.period,
    month: row.month,
    kind: row.kind as BilledLine['kind'],
    model: row.model === '' ? null : row.model,
    unit: row.unit === '' ? null : (row.unit as Unit),
    priceRate: row.kind === 'usage' ? row.price_rate : null,
    quantity: row.quantity,
    requests: row.requests,
    ...(row.discount === '' ? {} : { discount: row.discount }),
    nanos: row.nanos,
  };
}

async function readDocument(db: Kysely<BillingTables>, invoiceId: string): Promise<StoredDocument | null> {
  const row = await db
    .selectFrom('invoice_documents')
    .select(['invoice_id', 'number', 'agency_id', 'tenant_id', 'document', 'hash'])
    .where('invoice_id', '=', invoiceId)
    .executeTakeFirst();
  if (row === undefined) return null;
  const { number, document, hash } = row;
  return { invoiceId, number, agencyId: row.agency_id, tenantId: row.tenant_id, document, hash };
}
