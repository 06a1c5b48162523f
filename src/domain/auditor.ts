import type { Decider } from './decider.ts';
import { unreachable } from './decider.ts';
import { Refusal } from '../errors.ts';

/**
 * An auditor may read the audit API of one agency or one tenant, and nothing else. What the auditor
 * looked at is part of the same stream.
 */

export interface AuditScope {
  readonly kind: 'agency' | 'tenant';
  readonly id: string;
}

// Events. These names and shapes are stored for ever; see store/codec.ts before changing one.
export type AuditorAppointed = {
  readonly type: 'auditor.appointed';
  readonly data: {
    readonly auditorId: string;
    readonly scope: AuditScope;
    /** Lower-case hex SHA-256 of the secret. */
    readonly tokenHash: string;
    /** `sk-...` and the last four characters. */
    readonly keyName: string;
    /** Instant after which the secret is refused; null never expires. */
    readonly expiresAt: string | null;
  };
};
export type AuditorDismissed = {
  readonly type: 'auditor.dismissed';
  readonly data: { readonly auditorId: string };
};
export type AuditConsulted = {
  readonly type: 'audit.consulted';
  readonly data: {
    readonly auditorId: string;
    /** As registered, such as `/api/audit/keys/:id`. */
    readonly route: string;
    /** What was asked for, such as a key id; null when the route names nothing. */
    readonly subject: string | null;
  };
};
export type AuditorEvent = AuditorAppointed | AuditorDismissed | AuditConsulted;

export type AuditorCommand =
  | { readonly type: 'appoint'; readonly auditor: AuditorAppointed['data'] }
  | { readonly type: 'dismiss' }
  | { readonly type: 'consult'; readonly route: string; readonly subject: string | null };

export type AuditorState =
  | { readonly status: 'absent' }
  | { readonly status: 'appointed' | 'dismissed'; readonly auditorId: string };

export const auditor: Decider<AuditorCommand, AuditorState, AuditorEvent> = {
  initial: { status: 'absent' },
  decide,
  evolve,
};

function decide(command: AuditorCommand, state: AuditorState): readonly AuditorEvent[] {
  if (command.type === 'appoint') {
    if (state.status !== 'absent') throw new Refusal('key_already_exists');
    return [{ type: 'auditor.appointed', data: command.auditor }];
  }
  if (state.status === 'absent') throw new Refusal('not_found', { what: 'auditor' });
  const { auditorId } = state;
  switch (command.type) {
    case 'dismiss':
      return state.status === 'dismissed' ? [] : [{ type: 'auditor.dismissed', data: { auditorId } }];
    case 'consult': {
      if (state.status === 'dismissed') throw new Refusal('unknown_key', {}, { param: 'key' });
      const { route, subject } = command;
      return [{ type: 'audit.consulted', data: { auditorId, route, subject } }];
    }
    default:
      return unreachable(command);
  }
}

function evolve(state: AuditorState, event: AuditorEvent): AuditorState {
  switch (event.type) {
    case 'auditor.appointed':
      return { status: 'appointed', auditorId: event.data.auditorId };
    case 'auditor.dismissed':
      return state.status === 'absent' ? state : { ...state, status: 'dismissed' };
    case 'audit.consulted':
      return state;
    default:
      return unreachable(event);
  }
}
