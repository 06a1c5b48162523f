import { defineProjection } from '../src/projection.ts';
import { created, timeColumns, touched } from './subject-columns.ts';

/** Invitations of users. Withdrawn ones stay, so that their tokens have an answer. */
export const invitations = defineProjection({
  name: 'invitations',
  version: 1,
  columns: {
    invitation_id: 'text',
    user_id: 'text',
    /** open | accepted | withdrawn. Expiry is expires_at compared with a clock. */
    status: 'text',
    expires_at: 'instant',
    accepted_at: 'instant?',
    ...timeColumns,
  },
  key: ['invitation_id'],
  indexes: [['user_id']],
  on: {
    'invitation.issued': ({ invitationId, userId, expiresAt }, recorded) => ({
      op: 'insert',
      row: {
        invitation_id: invitationId,
        user_id: userId,
        status: 'open',
        expires_at: expiresAt,
        accepted_at: null,
        ...created(recorded),
      },
    }),
    'invitation.accepted': ({ invitationId }, recorded) => ({
      op: 'update',
      where: { invitation_id: invitationId },
      set: { status: 'accepted', accepted_at: recorded.occurredAt, ...touched(recorded) },
    }),
    'invitation.withdrawn': ({ invitationId }, recorded) => ({
      op: 'update',
      where: { invitation_id: invitationId },
      set: { status: 'withdrawn', ...touched(recorded) },
    }),
  },
});
