import type { Limits } from '../domain/limits.ts';
import { type ContractSigned, tenant, type TenantEvent, type TenantState } from '../domain/tenant.ts';
import type { Recorded } from '../events.ts';
import type { EventStore } from '../store/event-store.ts';
import { isAfter } from './replay.ts';

/** A tenant at a moment: the state that decided commands, and what an auditor asks for beyond it. */
export interface TenantFacts {
  readonly state: TenantState;
  /** Signed last. Null while there is none, and for the agency's own tenant. */
  readonly contract: ContractSigned['data'] | null;
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
  let contract: ContractSigned['data'] | null = null;
  let suspendedReason: string | null = null;
  const projects = new Map<string, { limits: Limits | null; openedAt: string }>();
  const events: Recorded<TenantEvent>[] = [];
  for await (const recorded of store.readStream(`tenant-${tenantId}`)) {
    if (isAfter(until, recorded.position, recorded.recordedAt)) break;
    const { event, occurredAt } = recorded as Recorded<TenantEvent>;
    state = tenant.evolve(state, event);
    events.push(recorded as Recorded<TenantEvent>);
    if (event.type === 'contract.signed') contract = event.data;
    if (event.type === 'tenant.suspended') suspendedReason = event.data.reason;
    if (event.type === 'tenant.reinstated') suspendedReason = null;
    if (event.type === 'project.opened') {
      projects.set(event.data.projectId, { limits: event.data.limits, openedAt: occurredAt });
    }
  }
  return { state, contract, suspendedReason, projects, events };
}
