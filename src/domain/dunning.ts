import type { Decider } from './decider.ts';
import { Refusal } from '../errors.ts';
import type { TenantEvent, TenantReinstated, TenantSuspended } from './tenant.ts';

/**
 * What dunning does to a tenant: it suspends one that is active, and lifts only what it has suspended
 * itself. It stands on the tenant's own stream, so that nobody comes between looking and deciding.
 */
const REASON = 'unpaid invoice ';

function unpaidReason(number: string): string {
  return `${REASON}${number}`;
}

/** The invoice for which a tenant is suspended; null when it is suspended for something else. */
function unpaidNumber(reason: string | null): string | null {
  return reason?.startsWith(REASON) === true ? reason.slice(REASON.length) : null;
}

/** How the people of a suspended tenant are refused: what can be put right by paying says so. */
export function suspension(reason: string | null, options: { readonly param?: string } = {}): Refusal {
  const number = unpaidNumber(reason);
  return number === null
    ? new Refusal('tenant_suspended', {}, options)
    : new Refusal('tenant_unpaid', { number }, options);
}

export type DunningCommand =
  | { readonly type: 'suspend-unpaid'; readonly tenantId: string; readonly number: string }
  | { readonly type: 'lift-unpaid'; readonly tenantId: string };

export interface DunningState {
  readonly status: 'absent' | 'active' | 'suspended' | 'closed';
  /** Null unless it is suspended. */
  readonly reason: string | null;
}

export const dunning: Decider<DunningCommand, DunningState, TenantEvent> = {
  initial: { status: 'absent', reason: null },
  decide(command, { status, reason }): readonly (TenantSuspended | TenantReinstated)[] {
    const { tenantId } = command;
    if (command.type === 'suspend-unpaid') {
      if (status !== 'active') return [];
      return [{ type: 'tenant.suspended', data: { tenantId, reason: unpaidReason(command.number) } }];
    }
    if (status !== 'suspended' || unpaidNumber(reason) === null) return [];
    return [{ type: 'tenant.reinstated', data: { tenantId } }];
  },
  evolve(state, event) {
    switch (event.type) {
      case 'tenant.onboarded':
      case 'tenant.reinstated':
        return { status: 'active', reason: null };
      case 'tenant.suspended':
        return { status: 'suspended', reason: event.data.reason };
      case 'tenant.closed':
        return { status: 'closed', reason: null };
      default:
        return state;
    }
  },
};
