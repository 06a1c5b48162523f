import type { ContractFacts, ProjectDays } from '../domain/contract-lines.ts';
import type { ContractVersion } from '../domain/contract.ts';
import type { BilledLine } from '../domain/invoice.ts';
import { localDate, nextPeriod, periodOf } from '../domain/period.ts';
import { feeShare, monthlySum, partsOf } from '../domain/proration.ts';
import { type ContractState, evolveContract, NO_CONTRACT } from '../domain/tenant-contract.ts';
import type { EventStore } from '../store/event-store.ts';
import { periodDays } from '../domain/billing-period.ts';
import { closeOf } from './log-facts.ts';

/** The contract of a tenant through time, as the log knows it at a cut. */
export interface ContractAtCut {
  readonly versions: readonly ContractVersion[];
  /** When each change was agreed, by place in the log and instant, and from when on it holds. */
  readonly changes: readonly {
    readonly position: bigint;
    readonly occurredAt: string;
    readonly effectiveFrom: string;
    readonly versions: readonly ContractVersion[];
  }[];
  readonly projects: readonly {
    readonly projectId: string;
    readonly openedAt: string;
    readonly closedAt: string | null;
  }[];
}

export async function contractAtCut(
  store: Pick<EventStore, 'readStream'>,
  tenantId: string,
  cut: bigint,
): Promise<ContractAtCut> {
  let state: ContractState = NO_CONTRACT;
  const changes: ContractAtCut['changes'][number][] = [];
  const projects = new Map<string, ContractAtCut['projects'][number]>();
  for await (const { event, position, occurredAt } of store.readStream(`tenant-${tenantId}`)) {
    if (position > cut) break;
    switch (event.type) {
      case 'contract.signed':
      case 'contract.amended':
      case 'contract.ended': {
        state = evolveContract(state, event);
        const { effectiveFrom } = event.data;
        changes.push({ position, occurredAt, effectiveFrom, versions: state.versions });
        break;
      }
      case 'project.opened': {
        const { projectId } = event.data;
        projects.set(projectId, { projectId, openedAt: occurredAt, closedAt: null });
        break;
      }
      case 'project.closed': {
        const project = projects.get(event.data.projectId);
        if (project !== undefined) projects.set(project.projectId, { ...project, closedAt: occurredAt });
        break;
      }
      default:
    }
  }
  return { versions: state.versions, changes, projects: [...projects.values()] };
}

interface Place {
  readonly store: Pick<EventStore, 'readStream'>;
  readonly agencyId: string;
  readonly period: string;
  readonly zone: string;
}

/** What an invoice of the period has to know of the contract. */
export async function contractFacts(
  place: Place,
  contract: ContractAtCut,
  billed: readonly BilledLine[],
): Promise<ContractFacts> {
  const { period, zone } = place;
  const parts = (month: string) => partsOf(contract.versions, month, zone);
  const amended = await amendedMonths(place, contract, billed);
  const inAdvance = parts(period).at(-1)?.terms.feesInAdvance === true;
  return {
    parts,
    feeMonths: [...amended, period, ...(inAdvance ? [nextPeriod(period)] : [])],
    amended,
    projects: contract.projects.map((project) => projectDays(project, zone)),
    billed,
  };
}

/**
 * Closed months before this one whose contract was changed after their close. One that has no invoice
 * although something was due is left to its own run.
 */
async function amendedMonths(
  { store, agencyId, period, zone }: Place,
  { changes }: ContractAtCut,
  billed: readonly BilledLine[],
): Promise<readonly string[]> {
  const found = new Set<string>();
  for (const { position, occurredAt, effectiveFrom } of changes) {
    const last = periodOf(occurredAt, zone);
    for (
      let month = periodOf(effectiveFrom, zone);
      month < period && month <= last;
      month = nextPeriod(month)
    ) {
      if (found.has(month)) continue;
      const close = await closeOf(store as EventStore, agencyId, month);
      if (close === null || close.position > position) continue;
      const known = changes.findLast((change) => change.position < close.position)?.versions ?? [];
      const due = monthlySum(partsOf(known, month, zone), (terms) => terms.monthlyFeeNanos, feeShare);
      if (due === 0n || billed.some((line) => line.period === month)) found.add(month);
    }
  }
  return [...found].toSorted((a, b) => (a < b ? -1 : 1));
}

/** Open from the local day of its opening to the day before that of its closing. */
export function projectDays(
  { projectId, openedAt, closedAt }: ContractAtCut['projects'][number],
  zone: string,
): ProjectDays {
  const opened = localDate(openedAt, zone);
  const closed = closedAt === null ? null : localDate(closedAt, zone);
  return {
    projectId,
    days: (month) => ({
      fromDay: placeIn(month, opened),
      toDay: closed === null ? Infinity : placeIn(month, closed),
    }),
  };
}

function placeIn(month: string, date: string): number {
  if (date.slice(0, 7) === month) return Number(date.slice(8)) - 1;
  return date < month ? 0 : Number(periodDays(month).last.slice(8));
}
