import type { Decider } from './decider.ts';
import type { Environment, Limits } from './limits.ts';
import { Refusal } from '../errors.ts';
import { canonicalJson } from './json.ts';

/**
 * A plan is a tier that an agency sells. A published version never changes: contracts carry their
 * own copy of its terms, and a replay needs no file from that day.
 */

/** What the tenant pays for a model's tokens, in nanos per million, whole nanos per token. */
export interface ModelPrice {
  readonly inputRate: bigint;
  readonly cachedInputRate: bigint;
  readonly outputRate: bigint;
}

export interface PriceBook {
  /** By public model name. */
  readonly models: Readonly<Record<string, ModelPrice>>;
  /** For a model without a price of its own: cost plus so many percent, a decimal such as "20". Null: such a model cannot be called. */
  readonly markupPercent: string | null;
}

export interface Terms {
  readonly plan: string;
  readonly planVersion: number;
  /** ISO 4217. */
  readonly currency: string;
  /** Per tenant and period, net. */
  readonly monthlyFeeNanos: bigint;
  /** Usage of a period, at its prices, that the fee already covers, net. */
  readonly includedUsageNanos: bigint;
  readonly prices: PriceBook;
  /** Limits of each key by its environment. */
  readonly limits: Readonly<Record<Environment, Limits>>;
  /** Limits of all keys of the tenant together. */
  readonly tenantLimits: Limits;
}

// Events. These names and shapes are stored for ever; see store/codec.ts before changing one.
export type PlanPublished = { readonly type: 'plan.published'; readonly data: { readonly terms: Terms } };
export type PlanEvent = PlanPublished;

export type PlanCommand = { readonly type: 'publish'; readonly terms: Terms };

export interface PlanState {
  /** The newest version; null before the first. */
  readonly terms: Terms | null;
}

export const plan: Decider<PlanCommand, PlanState, PlanEvent> = { initial: { terms: null }, decide, evolve };

function decide({ terms }: PlanCommand, state: PlanState): readonly PlanEvent[] {
  const { plan: name, planVersion: version } = terms;
  const published = state.terms;
  if (published === null) return [{ type: 'plan.published', data: { terms } }];
  if (version < published.planVersion) {
    throw new Refusal('plan_version_order', { plan: name, version, published: published.planVersion });
  }
  if (version > published.planVersion) return [{ type: 'plan.published', data: { terms } }];
  if (canonicalJson(terms) === canonicalJson(published)) return [];
  throw new Refusal('plan_version_immutable', { plan: name, version });
}

function evolve(_state: PlanState, event: PlanEvent): PlanState {
  return { terms: event.data.terms };
}

/** The limits that a contract gives a key of this environment. */
export function limitsFor(terms: Terms, environment: Environment): Limits {
  return terms.limits[environment];
}
