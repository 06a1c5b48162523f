import { defineProjection, tenantOf } from '../src/projection.ts';

/** What invoices charge each tenant per month of service, so that none charges it twice. Cancelled ones are not in it. */
export const billedLines = defineProjection({
  name: 'billed_lines',
  version: 2,
  columns: {
    tenant_id: 'text',
    invoice_id: 'text',
    /** `YYYY-MM` of the invoice. */
    period: 'text',
    /** `YYYY-MM` in which the service was rendered. */
    month: 'text',
    /** As in the invoice's lines. */
    kind: 'text',
    /** '' where the line has none, like the unit. */
    model: 'text',
    unit: 'text',
    /** 0 where the line has none. */
    price_rate: 'nanos',
    /** Name of the discount; '' where the line is none. */
    discount: 'text',
    quantity: 'sum',
    requests: 'sum',
    nanos: 'sum',
  },
  key: ['tenant_id', 'invoice_id', 'period', 'month', 'kind', 'model', 'unit', 'price_rate', 'discount'],
  indexes: [['invoice_id']],
  on: {
    'invoice.drafted': ({ invoiceId, period, lines }, recorded) =>
      lines.map(
        ({ serviceMonth, kind, model, unit, priceRate, quantity, requests = 0n, discount, nanos }) => ({
          op: 'add',
          key: {
            tenant_id: tenantOf(recorded),
            invoice_id: invoiceId,
            period,
            month: serviceMonth,
            kind,
            model: model ?? '',
            unit: unit ?? '',
            price_rate: priceRate ?? 0n,
            discount: discount?.name ?? '',
          },
          by: { quantity, requests, nanos },
        }),
      ),
    'invoice.cancelled': ({ invoiceId }) => ({ op: 'remove', where: { invoice_id: invoiceId } }),
  },
});
