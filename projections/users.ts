import { defineProjection } from '../src/projection.ts';
import { budgetedRow, created, limitedColumns, timeColumns, touched } from './subject-columns.ts';

/** Who has a role in the installation. Names and addresses are in the contact records. */
export const users = defineProjection({
  name: 'users',
  version: 1,
  columns: {
    user_id: 'text',
    agency_id: 'text',
    /** proxy_admin | proxy_admin_viewer | internal_user | internal_user_viewer */
    role: 'text',
    contact_version: 'bigint',
    ...limitedColumns,
    budget_id: 'text?',
    ...timeColumns,
  },
  key: ['user_id'],
  indexes: [['budget_id']],
  on: {
    'user.registered': (data, recorded) => ({
      op: 'insert',
      row: {
        user_id: data.id,
        agency_id: recorded.agencyId,
        role: data.role,
        contact_version: BigInt(data.contactVersion),
        ...budgetedRow(data),
        ...created(recorded),
      },
    }),
    'user.changed': (data, recorded) => ({
      op: 'update',
      where: { user_id: data.id },
      set: {
        role: data.role,
        contact_version: BigInt(data.contactVersion),
        ...budgetedRow(data),
        ...touched(recorded),
      },
    }),
    'user.removed': ({ id }) => ({ op: 'remove', where: { user_id: id } }),
  },
});
