import type { Limits } from '../domain/limits.ts';
import type { ContractVersion } from '../domain/contract.ts';
import { standing } from '../domain/tenant-contract.ts';
import { tenant, type TenantEvent, type TenantState } from '../domain/tenant.ts';
import type { Recorded } from '../events.ts';
import type { EventStore } from '../store/event-store.ts';
import { isAfter } from './replay.ts';

/** A tenant at a moment: the state that decided commands, and what an auditor asks for beyond it. */
export interface TenantFacts {
  readonly state: TenantState;
  /** Why it is suspended; null while it is not. */
  readonly suspendedReason: string | null;
  readonly projects: ReadonlyMap<string, { readonly limits: Limits | null; readonly openedAt: string }>;
  /** Events until then, oldest first. */
  readonly events: readonly Recorded<TenantEvent>[];
}

/** `until` is a position or an instant of recording, inclusive; undefined for everything. */
export async function tenantFacts(
  store: EventStore,
  tenantId: string,
  until: bigint | string | undefined,
): Promise<TenantFacts> {
  let state = tenant.initial;
  let suspendedReason: string | null = null;
  const projects = new Map<string, { limits: Limits | null; openedAt: string }>();
  const events: Recorded<TenantEvent>[] = [];
  for await (const recorded of store.readStream(`tenant-${tenantId}`)) {
    if (isAfter(until, recorded.position, recorded.recordedAt)) break;
    const { event, occurredAt } = recorded as Recorded<TenantEvent>;
    state = tenant.evolve(state, event);
    events.push(recorded as Recorded<TenantEvent>);
    if (event.type === 'tenant.suspended') suspendedReason = event.data.reason;
    if (event.type === 'tenant.reinstated') suspendedReason = null;
    if (event.type === 'project.opened') {
      projects.set(event.data.projectId, { limits: event.data.limits, openedAt: occurredAt });
    }
  }
  return { state, suspendedReason, projects, events };
}

/** What is in force at an instant, whether keys follow it already or not. Null without a contract. */
export function contractOf({ state }: TenantFacts, at: string): ContractVersion | null {
  if (state.status === 'absent') return null;
  return standing(state.contract, at, state.status === 'suspended').applied;
}
