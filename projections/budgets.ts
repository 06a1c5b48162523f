import { defineProjection } from '../src/projection.ts';
import { created, limitedColumns, limitedRow, timeColumns, touched } from './subject-columns.ts';

/** Limits under a name, which others refer to. */
export const budgets = defineProjection({
  name: 'budgets',
  version: 1,
  columns: { budget_id: 'text', agency_id: 'text', ...limitedColumns, ...timeColumns },
  key: ['budget_id'],
  on: {
    'budget.defined': (data, recorded) => ({
      op: 'insert',
      row: {
        budget_id: data.id,
        agency_id: recorded.agencyId,
        ...limitedRow(data),
        ...created(recorded),
      },
    }),
    'budget.changed': (data, recorded) => ({
      op: 'update',
      where: { budget_id: data.id },
      set: { ...limitedRow(data), ...touched(recorded) },
    }),
    'budget.removed': ({ id }) => ({ op: 'remove', where: { budget_id: id } }),
  },
});
