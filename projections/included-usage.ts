import { defineProjection, tenantOf } from '../src/projection.ts';

/** How much of each month's included usage invoices have granted already, so that none grants it twice. */
export const includedUsage = defineProjection({
  name: 'included_usage',
  version: 2,
  columns: {
    tenant_id: 'text',
    /** `YYYY-MM` in which the service was rendered. */
    month: 'text',
    /** Not negative. */
    granted_nanos: 'sum',
  },
  key: ['tenant_id', 'month'],
  on: {
    'invoice.drafted': ({ lines }, recorded) =>
      lines
        .filter(({ kind }) => kind === 'included')
        .map(({ serviceMonth, nanos }) => ({
          op: 'add',
          key: { tenant_id: tenantOf(recorded), month: serviceMonth },
          by: { granted_nanos: -nanos },
        })),
    // What a cancelled invoice had granted can be granted again.
    'invoice.cancelled': ({ included }, recorded) =>
      included.map(({ month, nanos }) => ({
        op: 'add',
        key: { tenant_id: tenantOf(recorded), month },
        by: { granted_nanos: -nanos },
      })),
  },
});
