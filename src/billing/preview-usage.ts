import type { Kysely } from 'kysely';
import { formatCents, formatNanos } from '../domain/money.ts';
import { periodBounds } from '../domain/period.ts';
import type { Terms } from '../domain/plan.ts';
import type { EventStore } from '../store/event-store.ts';
import { type BillingTables, usageSum } from './billing-records.ts';
import { contractAtCut, projectDays } from './contract-facts.ts';
import { previewInvoice } from './preview-invoice.ts';

export interface PreviewRequest {
  readonly agencyId: string;
  readonly tenantId: string;
  /** `YYYY-MM`. */
  readonly period: string;
  readonly zone: string;
  readonly terms: Terms;
}

/** All usage of the month, whatever invoice has it, under other terms. Amounts are decimals. */
export async function previewOf(store: EventStore, db: Kysely<BillingTables>, request: PreviewRequest) {
  const { tenantId, period, zone, terms } = request;
  const rows = await db
    .selectFrom('usage')
    .selectAll()
    .where('agency_id', '=', request.agencyId)
    .where('tenant_id', '=', tenantId)
    .where('month', '=', period)
    .execute();
  const usage = rows.map((row) => ({ ...usageSum(row), costNanos: row.cost_nanos }));
  const { projects, versions } = await contractAtCut(store, tenantId, await store.head());
  const days = projects.map((project) => projectDays(project, zone));
  const { endsAt } = periodBounds(period, zone);
  const agreed = versions.findLast(({ effectiveFrom }) => effectiveFrom < endsAt)?.agreed ?? null;
  const { draft, unpriced } = previewInvoice(terms, period, usage, days, agreed);
  return {
    lines: draft.lines.map((line) => ({
      kind: line.kind,
      project_id: line.projectId,
      model: line.model,
      unit: line.unit,
      quantity: String(line.quantity),
      exact: formatNanos(line.nanos),
      net: formatCents(line.netCents),
    })),
    net: formatCents(draft.netCents),
    recorded: formatNanos(usage.reduce((sum, { priceNanos }) => sum + priceNanos, 0n)),
    unpriced,
  };
}
