import { defineProjection } from '../src/projection.ts';

/** The periods that are closed. */
export const periods = defineProjection({
  name: 'periods',
  version: 1,
  columns: {
    agency_id: 'text',
    /** `YYYY-MM` */
    period: 'text',
    closed_at: 'instant',
    /** Where the period was cut: spend before it is on this period's invoice. */
    position: 'bigint',
  },
  key: ['agency_id', 'period'],
  on: {
    'period.closed': ({ agencyId, period }, { occurredAt, position }) => ({
      op: 'insert',
      row: { agency_id: agencyId, period, closed_at: occurredAt, position },
    }),
  },
});
