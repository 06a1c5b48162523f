import { type ContractVersion, type KeyLimits, keyLimitsOf, withVersion } from './contract.ts';
import { canonicalJson } from './json.ts';
import type { Agreed, Terms } from './plan.ts';

/**
 * The contract of a tenant. Its events are in the tenant's stream, whose decider (tenant.ts) hands over
 * what concerns it. Agreeing on a change and bringing the keys in line with it are two events: between
 * them the change is in force all the same, because whoever decides by it compares it with the clock.
 */

/** What is agreed for later, and what holds already while keys still follow the version before. */
interface Planned {
  /** Oldest first; everything that keys do not follow yet. Left out when they follow what was signed. */
  readonly planned?: readonly ContractVersion[] | undefined;
  /** How much usage each version includes, oldest first. Left out: this one and nothing before. */
  readonly included?: readonly IncludedFrom[] | undefined;
}
export interface IncludedFrom {
  readonly effectiveFrom: string;
  readonly nanos: bigint;
}

// Events. These names and shapes are stored for ever; see store/codec.ts before changing one.
export type ContractSigned = {
  readonly type: 'contract.signed';
  readonly data: {
    readonly tenantId: string;
    readonly contractId: string;
    /** Instant from which the terms hold. */
    readonly effectiveFrom: string;
    /** The whole agreement; no reference to a plan that could change. */
    readonly terms: Terms;
    /** Left out: nothing beside the plan. */
    readonly agreed?: Agreed | undefined;
  } & Planned;
};
export type ContractAmended = {
  readonly type: 'contract.amended';
  readonly data: ContractSigned['data'];
};
export type ContractEnded = {
  readonly type: 'contract.ended';
  readonly data: Omit<ContractSigned['data'], 'terms' | 'agreed'>;
};
/** Every key of the tenant follows this version from here on, or is paused with it. */
export type ContractApplied = {
  readonly type: 'contract.applied';
  readonly data: {
    readonly tenantId: string;
    /** Null when the tenant has no contract. */
    readonly version: ContractVersion | null;
    readonly planned: readonly ContractVersion[];
    /** True when its keys may run nothing: it is suspended, or the contract has ended. */
    readonly paused: boolean;
  };
};
export type ContractEvent = ContractSigned | ContractAmended | ContractEnded | ContractApplied;

export type ContractCommand =
  /** `version.terms` null ends the contract. */
  | { readonly type: 'agree'; readonly version: ContractVersion }
  /** `at`: the instant that counts as now. */
  | { readonly type: 'apply-contract'; readonly at: string };

export interface ContractState {
  /** The version that keys follow; null before there was one. */
  readonly applied: ContractVersion | null;
  /** The limits of that version, or of the last one before the contract ended. */
  readonly followed: KeyLimits | null;
  readonly planned: readonly ContractVersion[];
  /** All there ever was and is planned, oldest first, as it is known now. */
  readonly versions: readonly ContractVersion[];
  readonly paused: boolean;
}

export const NO_CONTRACT: ContractState = {
  applied: null,
  followed: null,
  planned: [],
  versions: [],
  paused: false,
};

export function decideContract(
  command: ContractCommand,
  state: ContractState,
  tenantId: string,
  isSuspended: boolean,
): readonly ContractEvent[] {
  if (command.type === 'apply-contract') {
    const { applied, due, paused } = standing(state, command.at, isSuspended);
    if (due.length === 0 && paused === state.paused) return [];
    const planned = state.planned.slice(due.length);
    return [{ type: 'contract.applied', data: { tenantId, version: applied, planned, paused } }];
  }
  const { version } = command;
  const { contractId, effectiveFrom, terms, agreed } = version;
  const before = state.versions.findLast((known) => known.effectiveFrom <= effectiveFrom) ?? null;
  const isLast = state.versions.at(-1) === before;
  if (isLast && before !== null && sameAgreement(before, version)) return [];
  if (before === null && terms === null) return [];
  const planned = withVersion(state.planned, version);
  const included = includedIn(withVersion(state.versions, version));
  const data = { tenantId, contractId, effectiveFrom, planned, included };
  if (terms === null) return [{ type: 'contract.ended', data }];
  const type = before === null || before.terms === null ? 'contract.signed' : 'contract.amended';
  return [{ type, data: { ...data, terms, ...(agreed === null ? {} : { agreed }) } }];
}

/** What holds at an instant, whether keys follow it already or not. */
export function standing(
  { applied, planned }: Pick<ContractState, 'applied' | 'planned'>,
  at: string,
  isSuspended: boolean,
): {
  readonly applied: ContractVersion | null;
  /** What has come into force since keys were brought in line. */
  readonly due: readonly ContractVersion[];
  readonly paused: boolean;
} {
  const due = planned.filter(({ effectiveFrom }) => effectiveFrom <= at);
  const current = due.at(-1) ?? applied;
  return { applied: current, due, paused: isSuspended || (current !== null && current.terms === null) };
}

function sameAgreement(a: ContractVersion, b: ContractVersion): boolean {
  return canonicalJson([a.terms, a.agreed]) === canonicalJson([b.terms, b.agreed]);
}

function includedIn(versions: readonly ContractVersion[]): readonly IncludedFrom[] {
  return versions.map(({ effectiveFrom, terms }) => ({
    effectiveFrom,
    nanos: terms?.includedUsageNanos ?? 0n,
  }));
}

export function evolveContract(state: ContractState, event: ContractEvent): ContractState {
  if (event.type === 'contract.applied') {
    const { version, planned, paused } = event.data;
    const followed = (version && keyLimitsOf(version)) ?? state.followed;
    return { ...state, applied: version, followed, planned, paused };
  }
  const { contractId, effectiveFrom, planned } = event.data;
  const agreement =
    event.type === 'contract.ended'
      ? { terms: null, agreed: null }
      : { terms: event.data.terms, agreed: event.data.agreed ?? null };
  const version: ContractVersion = { contractId, effectiveFrom, ...agreement };
  const versions = withVersion(state.versions, version);
  return planned === undefined
    ? { ...state, applied: version, followed: keyLimitsOf(version), planned: [], versions }
    : { ...state, planned, versions };
}
