import { ENVIRONMENTS, type Environment, type Limits } from './limits.ts';
import { isBudgetWithin, limitsFor, modelsBeyond, type Agreed, type Terms } from './plan.ts';
import { canonicalJson } from './json.ts';

/**
 * A tenant's contract through time: which terms hold from when on, and what a change of them does to
 * the limits of a key. Pure: the clock is an argument, so whoever asks (the gateway for the next
 * request, the job that brings keys in line, an auditor for a moment of the past) gets one answer.
 */

/** What holds from an instant on, until the next version does. */
export interface ContractVersion {
  readonly contractId: string;
  /** Instant, UTC, milliseconds: such texts sort as their instants do. */
  readonly effectiveFrom: string;
  /** Null: the contract has ended. */
  readonly terms: Terms | null;
  readonly agreed: Agreed | null;
}

/** The latest word holds from its moment on: it replaces everything that was to hold from there or later. */
export function withVersion(
  versions: readonly ContractVersion[],
  next: ContractVersion,
): readonly ContractVersion[] {
  return [...versions.filter(({ effectiveFrom }) => effectiveFrom < next.effectiveFrom), next];
}

/** The limits of keys by environment under a version; null when there is no contract. */
export type KeyLimits = Readonly<Record<Environment, Limits>>;

/** From one version to the next, as the limits of keys see it. */
export interface ContractStep {
  /** Null before there was a contract: keys had whatever they were given. */
  readonly before: KeyLimits | null;
  readonly after: KeyLimits;
}

export function keyLimitsOf({ terms, agreed }: Pick<ContractVersion, 'terms' | 'agreed'>): KeyLimits | null {
  if (terms === null) return null;
  const limits = ENVIRONMENTS.map((environment) => [environment, limitsFor(terms, environment, agreed)]);
  return Object.fromEntries(limits) as KeyLimits;
}

/** The steps from the limits that keys follow to the last version that is due. Ends are no steps: they pause. */
export function stepsThrough(
  followed: KeyLimits | null,
  due: readonly ContractVersion[],
): readonly ContractStep[] {
  const steps: ContractStep[] = [];
  let before = followed;
  for (const version of due) {
    const after = keyLimitsOf(version);
    if (after === null) continue;
    steps.push({ before, after });
    before = after;
  }
  return steps;
}

/** A key's limits after the steps, one after the other. A key without an environment is one of production. */
export function carriedOver(
  limits: Limits,
  environment: Environment | null,
  steps: readonly ContractStep[],
): Limits {
  const scope = environment ?? 'production';
  return steps.reduce(
    (own, { before, after }) => carry(own, before === null ? null : before[scope], after[scope]),
    limits,
  );
}

/**
 * What was set lower by hand stays, unless the new contract allows less; all else follows the contract.
 * Doing it again changes nothing, so that a change that was cut off is simply repeated.
 */
function carry(own: Limits, before: Limits | null, after: Limits): Limits {
  return {
    requestsPerMinute: carryCount(own.requestsPerMinute, before?.requestsPerMinute, after.requestsPerMinute),
    tokensPerMinute: carryCount(own.tokensPerMinute, before?.tokensPerMinute, after.tokensPerMinute),
    parallelRequests: carryCount(own.parallelRequests, before?.parallelRequests, after.parallelRequests),
    models: carryModels(own.models, before?.models ?? [], after.models),
    budget: carryBudget(own.budget, before?.budget ?? null, after.budget),
  };
}

function carryCount(own: number | null, before: number | null | undefined, after: number | null) {
  const isLower = own !== null && (before == null || own < before);
  if (!isLower) return after;
  return after === null ? own : Math.min(own, after);
}

/** No deployment serves this name; LiteLLM uses it for the same purpose. */
const NO_MODEL = 'no-default-models';

function carryModels(
  own: readonly string[],
  before: readonly string[],
  after: readonly string[],
): readonly string[] {
  const isNarrower = own.length > 0 && canonicalJson(own) !== canonicalJson(before);
  if (!isNarrower) return after;
  const excess = new Set(modelsBeyond(after, own));
  const left = own.filter((name) => !excess.has(name));
  // An empty list would allow every model.
  return left.length === 0 ? [NO_MODEL] : left;
}

function carryBudget(own: Limits['budget'], before: Limits['budget'], after: Limits['budget']) {
  const follows =
    own === null ||
    (before !== null && (canonicalJson(own) === canonicalJson(before) || !isBudgetWithin(own, before)));
  if (follows) return after;
  return after === null || isBudgetWithin(own, after) ? own : after;
}
