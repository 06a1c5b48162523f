import { defineProjection, tenantOf } from '../src/projection.ts';
import { budgetedRow, created, limitedColumns, timeColumns, touched } from './subject-columns.ts';

/** The tags of each tenant that have a meaning or limits. Requests may carry others, too. */
export const tags = defineProjection({
  name: 'tags',
  version: 1,
  columns: {
    tenant_id: 'text',
    name: 'text',
    agency_id: 'text',
    description: 'text?',
    ...limitedColumns,
    budget_id: 'text?',
    ...timeColumns,
  },
  key: ['tenant_id', 'name'],
  indexes: [['budget_id']],
  on: {
    'tag.defined': (data, recorded) => ({
      op: 'insert',
      row: {
        tenant_id: tenantOf(recorded),
        name: data.id,
        agency_id: recorded.agencyId,
        description: data.description,
        ...budgetedRow(data),
        ...created(recorded),
      },
    }),
    'tag.changed': (data, recorded) => ({
      op: 'update',
      where: { tenant_id: tenantOf(recorded), name: data.id },
      set: { description: data.description, ...budgetedRow(data), ...touched(recorded) },
    }),
    'tag.removed': ({ id }, recorded) => ({
      op: 'remove',
      where: { tenant_id: tenantOf(recorded), name: id },
    }),
  },
});
