import { defineProjection } from '../src/projection.ts';

/** What auditors looked at, one row per look: `audit.consulted` in the order of the log. */
export const consultations = defineProjection({
  name: 'consultations',
  version: 1,
  columns: {
    position: 'bigint',
    auditor_id: 'text',
    at: 'instant',
    /** As registered, such as `/api/audit/keys/:id`. */
    route: 'text',
    /** What was asked for, such as a key id; null when the route names nothing. */
    subject: 'text?',
  },
  key: ['position'],
  indexes: [['auditor_id', 'position']],
  on: {
    'audit.consulted': ({ auditorId, route, subject }, { position, occurredAt }) => ({
      op: 'insert',
      row: { position, auditor_id: auditorId, at: occurredAt, route, subject },
    }),
  },
});
