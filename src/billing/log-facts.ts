import { Temporal } from 'temporal-polyfill';
import { agency, type AgencySettings } from '../domain/agency.ts';
import type { Terms } from '../domain/plan.ts';
import type { AgencyEvent } from '../domain/agency.ts';
import type { EventStore } from '../store/event-store.ts';

/** What the log says at the cut of a period. It reads the same whenever a run is repeated. */

/** The agency as it was at `until`, a position; null for now. Null when there is no such agency. */
export async function agencyAt(
  store: EventStore,
  agencyId: string,
  until: bigint | null,
): Promise<AgencySettings | null> {
  let state = agency.initial;
  for await (const { position, event } of store.readStream(`agency-${agencyId}`)) {
    if (until !== null && position > until) break;
    state = agency.evolve(state, event as AgencyEvent);
  }
  return state.settings;
}

export interface Contract {
  readonly terms: Terms;
  /** Instant. */
  readonly effectiveFrom: string;
}

/** The contract that was agreed last at `until`; null when none was. It held for whole months once. */
export async function contractAt(
  store: EventStore,
  tenantId: string,
  until: bigint,
): Promise<Contract | null> {
  let contract: Contract | null = null;
  for await (const { position, event } of store.readStream(`tenant-${tenantId}`)) {
    if (position > until) break;
    if (event.type === 'contract.signed' || event.type === 'contract.amended') contract = event.data;
  }
  return contract;
}

/** Where and when a period was closed; null while it is open. */
export async function closeOf(
  store: EventStore,
  agencyId: string,
  period: string,
): Promise<{ readonly position: bigint; readonly id: string; readonly occurredAt: string } | null> {
  for await (const { position, id, occurredAt } of store.readStream(periodStream(agencyId, period))) {
    return { position, id, occurredAt };
  }
  return null;
}

export function periodStream(agencyId: string, period: string): string {
  return `period-${agencyId}-${period}`;
}

export function invoiceStream(agencyId: string, invoiceId: string): string {
  return `invoice-${agencyId}-${invoiceId}`;
}

/** `series` includes the year, such as `RE-2026`. */
export function numbersStream(agencyId: string, series: string): string {
  return `numbers-${agencyId}-${series}`;
}

/** The local date `YYYY-MM-DD` of an instant. */
export function localDate(instant: string, zone: string): string {
  return Temporal.Instant.from(instant).toZonedDateTimeISO(zone).toPlainDate().toString();
}

/** True when a contract holds for at least a part of the period. */
export function holdsIn(contract: Contract, period: string, zone: string): boolean {
  return localDate(contract.effectiveFrom, zone).slice(0, period.length) <= period;
}
