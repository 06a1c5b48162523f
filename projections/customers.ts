import { defineProjection, tenantOf } from '../src/projection.ts';
import { budgetedRow, created, limitedColumns, timeColumns, touched } from './subject-columns.ts';

/** The registered end users of each tenant. */
export const customers = defineProjection({
  name: 'customers',
  version: 1,
  columns: {
    tenant_id: 'text',
    /** What the app sends as `user`. */
    customer_id: 'text',
    agency_id: 'text',
    blocked: 'boolean',
    contact_version: 'bigint',
    ...limitedColumns,
    budget_id: 'text?',
    ...timeColumns,
  },
  key: ['tenant_id', 'customer_id'],
  indexes: [['budget_id']],
  on: {
    'customer.registered': (data, recorded) => ({
      op: 'insert',
      row: {
        tenant_id: tenantOf(recorded),
        customer_id: data.id,
        agency_id: recorded.agencyId,
        blocked: data.blocked,
        contact_version: BigInt(data.contactVersion),
        ...budgetedRow(data),
        ...created(recorded),
      },
    }),
    'customer.changed': (data, recorded) => ({
      op: 'update',
      where: { tenant_id: tenantOf(recorded), customer_id: data.id },
      set: {
        blocked: data.blocked,
        contact_version: BigInt(data.contactVersion),
        ...budgetedRow(data),
        ...touched(recorded),
      },
    }),
    'customer.removed': ({ id }, recorded) => ({
      op: 'remove',
      where: { tenant_id: tenantOf(recorded), customer_id: id },
    }),
  },
});
