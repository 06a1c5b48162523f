import { defineProjection, tenantOf } from '../src/projection.ts';

/** Usage that is not on an invoice yet carries this period. */
export const OPEN = 'open';

/** What each tenant used per project, model, unit, rate and month, and which invoice it belongs to. */
export const usage = defineProjection({
  name: 'usage',
  version: 2,
  columns: {
    agency_id: 'text',
    tenant_id: 'text',
    /** '' for keys without a project. */
    project_id: 'text',
    model: 'text',
    /** input | cached-input | output */
    unit: 'text',
    /** Nanos per million tokens that the tenant pays. */
    price_rate: 'nanos',
    /** `YYYY-MM` of the admission. */
    month: 'text',
    /** `open`, or the `YYYY-MM` whose invoice bills it. */
    invoice_period: 'text',
    /** Tokens. */
    quantity: 'sum',
    /** Requests, each counted at the first line of its usage. */
    requests: 'sum',
    price_nanos: 'sum',
    cost_nanos: 'sum',
  },
  key: ['agency_id', 'tenant_id', 'project_id', 'model', 'unit', 'price_rate', 'month', 'invoice_period'],
  indexes: [['agency_id', 'invoice_period']],
  on: {
    'spend.recorded': ({ projectId, model, month, lines }, recorded) =>
      lines.map(({ unit, quantity, priceRate, priceNanos, costNanos }, index) => ({
        op: 'add',
        key: {
          agency_id: recorded.agencyId,
          tenant_id: tenantOf(recorded),
          project_id: projectId ?? '',
          model,
          unit,
          price_rate: priceRate,
          month,
          invoice_period: OPEN,
        },
        by: {
          quantity: BigInt(quantity),
          requests: index === 0 ? 1n : 0n,
          price_nanos: priceNanos,
          cost_nanos: costNanos,
        },
      })),
    // Closing a period stamps everything recorded so far for that month or earlier. What arrives
    // later stays open and lands on the next invoice, so nothing is billed twice or lost.
    'period.closed': ({ agencyId, period }) => ({
      op: 'update',
      where: { agency_id: agencyId, invoice_period: OPEN, month: { atMost: period } },
      set: { invoice_period: period },
    }),
  },
});
