import { describe, test } from 'vitest';
import { invitation, type InvitationEvent } from '../../src/domain/invitation.ts';
import { AT, invitationIssued } from '../support/events.ts';
import { specification } from '../support/specification.ts';

const given = specification(invitation);
const issued = invitationIssued();
const { data } = issued;
const accepted: InvitationEvent = { type: 'invitation.accepted', data: { invitationId: 'inv_1' } };
const withdrawn: InvitationEvent = { type: 'invitation.withdrawn', data: { invitationId: 'inv_1' } };
const accept = { type: 'accept', tokenHash: data.tokenHash, at: AT } as const;

describe('an invitation', () => {
  test('is accepted with its token, once', () => {
    given(issued).when(accept).gives(accepted).andThen({ status: 'accepted' });
    given(issued, accepted).when(accept).refuses('invitation_used', { status: 'accepted' });
  });

  test('does not exist for who has another token, and is over at its end', () => {
    given(issued)
      .when({ ...accept, tokenHash: 'another' })
      .refuses('not_found');
    given(issued, accepted)
      .when({ ...accept, tokenHash: 'another' })
      .refuses('not_found');
    given(issued)
      .when({ ...accept, at: data.expiresAt })
      .refuses('invitation_used', { status: 'expired' });
  });

  test('that was withdrawn is gone, and none is issued twice', () => {
    given(issued).when({ type: 'withdraw' }).gives(withdrawn);
    given(issued, withdrawn).when(accept).refuses('not_found');
    given().when({ type: 'withdraw' }).refuses('not_found');
    given(issued).when({ type: 'issue', invitation: data }).refuses('invitation_used', { status: 'open' });
  });
});
