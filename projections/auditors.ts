import { defineProjection } from '../src/projection.ts';

/** Who may read the audit API of what, and how often that was done. Dismissed ones stay. */
export const auditors = defineProjection({
  name: 'auditors',
  version: 1,
  columns: {
    auditor_id: 'text',
    /** Lower-case hex SHA-256 of the secret. */
    token_hash: 'text',
    key_name: 'text',
    /** agency | tenant */
    scope_kind: 'text',
    scope_id: 'text',
    agency_id: 'text',
    /** Null never expires. */
    expires_at: 'instant?',
    /** appointed | dismissed */
    status: 'text',
    appointed_at: 'instant',
    appointed_by: 'text',
    consultations: 'sum',
    last_consulted_at: 'instant?',
  },
  key: ['auditor_id'],
  indexes: [['token_hash']],
  on: {
    'auditor.appointed': ({ auditorId, tokenHash, keyName, scope, expiresAt }, recorded) => ({
      op: 'insert',
      row: {
        auditor_id: auditorId,
        token_hash: tokenHash,
        key_name: keyName,
        scope_kind: scope.kind,
        scope_id: scope.id,
        agency_id: recorded.agencyId,
        expires_at: expiresAt,
        status: 'appointed',
        appointed_at: recorded.occurredAt,
        appointed_by: recorded.actor.id,
        consultations: 0n,
        last_consulted_at: null,
      },
    }),
    'auditor.dismissed': ({ auditorId }) => ({
      op: 'update',
      where: { auditor_id: auditorId },
      set: { status: 'dismissed' },
    }),
    'audit.consulted': ({ auditorId }, { occurredAt }) => ({
      op: 'update',
      where: { auditor_id: auditorId },
      set: { last_consulted_at: occurredAt },
      by: { consultations: 1n },
    }),
  },
});
