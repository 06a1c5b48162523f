import type { Decider } from './decider.ts';
import { unreachable } from './decider.ts';
import { Refusal } from '../errors.ts';

/** An invitation lets a user confirm once, with a token of which only the SHA-256 is known here. */

// Events. These names and shapes are stored for ever; see store/codec.ts before changing one.
export type InvitationIssued = {
  readonly type: 'invitation.issued';
  readonly data: {
    readonly invitationId: string;
    readonly userId: string;
    /** Lower-case hex SHA-256 of the token. */
    readonly tokenHash: string;
    /** Instant after which the token is refused. */
    readonly expiresAt: string;
  };
};
export type InvitationAccepted = {
  readonly type: 'invitation.accepted';
  readonly data: { readonly invitationId: string };
};
export type InvitationWithdrawn = {
  readonly type: 'invitation.withdrawn';
  readonly data: { readonly invitationId: string };
};
export type InvitationEvent = InvitationIssued | InvitationAccepted | InvitationWithdrawn;

export type InvitationCommand =
  | { readonly type: 'issue'; readonly invitation: InvitationIssued['data'] }
  /** `tokenHash` null: the administrator vouches for the user. */
  | { readonly type: 'accept'; readonly tokenHash: string | null; readonly at: string }
  | { readonly type: 'withdraw' };

export type InvitationState =
  | { readonly status: 'absent' }
  | {
      readonly status: 'open' | 'accepted' | 'withdrawn';
      readonly invitationId: string;
      readonly tokenHash: string;
      readonly expiresAt: string;
    };

export const invitation: Decider<InvitationCommand, InvitationState, InvitationEvent> = {
  initial: { status: 'absent' },
  decide,
  evolve,
};

function decide(command: InvitationCommand, state: InvitationState): readonly InvitationEvent[] {
  if (command.type === 'issue') {
    if (state.status !== 'absent') throw new Refusal('invitation_used', { status: state.status });
    return [{ type: 'invitation.issued', data: command.invitation }];
  }
  if (state.status === 'absent' || state.status === 'withdrawn') {
    throw new Refusal('not_found', { what: 'invitation' });
  }
  const { invitationId } = state;
  switch (command.type) {
    case 'accept':
      // A wrong token learns nothing about the invitation.
      if (command.tokenHash !== null && command.tokenHash !== state.tokenHash) {
        throw new Refusal('not_found', { what: 'invitation' });
      }
      if (state.status === 'accepted') throw new Refusal('invitation_used', { status: 'accepted' });
      if (state.expiresAt <= command.at) throw new Refusal('invitation_used', { status: 'expired' });
      return [{ type: 'invitation.accepted', data: { invitationId } }];
    case 'withdraw':
      return [{ type: 'invitation.withdrawn', data: { invitationId } }];
    default:
      return unreachable(command);
  }
}

function evolve(state: InvitationState, event: InvitationEvent): InvitationState {
  switch (event.type) {
    case 'invitation.issued': {
      const { invitationId, tokenHash, expiresAt } = event.data;
      return { status: 'open', invitationId, tokenHash, expiresAt };
    }
    case 'invitation.accepted':
      return state.status === 'absent' ? state : { ...state, status: 'accepted' };
    case 'invitation.withdrawn':
      return state.status === 'absent' ? state : { ...state, status: 'withdrawn' };
    default:
      return unreachable(event);
  }
}
