import type { Decider } from './decider.ts';
import type { Discount } from './discount.ts';
import { windowsTouched } from './duration.ts';
import { canonicalJson } from './json.ts';
import { type Budget, type Environment, type Limits, UNLIMITED } from './limits.ts';
import { formatNanos } from './money.ts';
import type { OtherUnit, Rates, Unit } from './spend.ts';
import type { Tiers } from './tiers.ts';
import { Refusal } from '../errors.ts';

/**
 * A plan is a tier that an agency sells. A published version never changes: contracts carry their
 * own copy of its terms, and a replay needs no file from that day.
 */

/** What the tenant pays for a model's tokens, in nanos per million, whole nanos per token. */
export interface ModelPrice {
  readonly inputRate: bigint;
  readonly cachedInputRate: bigint;
  readonly outputRate: bigint;
  /** Nanos per million of other units; left out when the model has no price for any. */
  readonly unitRates?: UnitRates | undefined;
  /** Prices that depend on the month's quantity, by unit; the rates above are those of the first step. */
  readonly tiers?: Readonly<Partial<Record<Unit, Tiers>>> | undefined;
}
export type UnitRates = Readonly<Partial<Record<OtherUnit, bigint>>>;

export interface PriceBook {
  /** By public model name. */
  readonly models: Readonly<Record<string, ModelPrice>>;
  /** For a model without a price of its own: cost plus so many percent, a decimal such as "20". Null: such a model cannot be called. */
  readonly markupPercent: string | null;
}

/**
 * `block`: what the month includes is all that may be used. `throttle`: what goes beyond it goes slower,
 * at no more than these rates of all keys of the tenant together, and is billed like all usage.
 */
export type Overage = { readonly policy: 'block' } | ({ readonly policy: 'throttle' } & ThrottledRates);
export type ThrottledRates = Pick<Limits, 'requestsPerMinute' | 'tokensPerMinute'>;

/** What keys and projects have to keep to; null or left out: no rule. */
export interface KeyRules {
  /** Longest life of a key, a duration. */
  readonly lifetimeMax: string | null;
  /** How often a key has to get a new secret, a duration. */
  readonly rotation: string | null;
  /** Keys and open projects of the tenant. */
  readonly keysMax: number | null;
  readonly projectsMax: number | null;
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
  /** Per open project and period, net; left out: nothing. */
  readonly projectFeeNanos?: bigint | undefined;
  /** Tokens of a period that the fee already covers, beside `includedUsageNanos`; left out: none. */
  readonly includedTokens?: bigint | undefined;
  /** The same, in requests. */
  readonly includedRequests?: bigint | undefined;
  /** The least that usage of a period comes to, what is included taken off; left out: nothing. */
  readonly commitmentNanos?: bigint | undefined;
  /** True: fees are due on the invoice before their month. */
  readonly feesInAdvance?: boolean | undefined;
  /** What happens beyond the included usage; left out: it is billed. */
  readonly overage?: Overage | undefined;
  readonly keyRules?: KeyRules | undefined;
  /** Days from the beginning of the contract on which no fees are due; left out: none. */
  readonly trialDays?: number | undefined;
  /** How long before its end a contract has to be given notice, a duration; left out: not at all. */
  readonly notice?: string | undefined;
}

/** What a contract sets apart from its plan, higher or lower. What is left out is the plan's. */
export interface Agreed {
  readonly limits?: Readonly<Partial<Record<Environment, AgreedLimits | undefined>>> | undefined;
  readonly tenantLimits?: AgreedLimits | undefined;
  readonly prices?: AgreedPrices | undefined;
  readonly discounts?: readonly Discount[] | undefined;
}
export interface AgreedPrices {
  /** In the place of the plan's, by public model name. */
  readonly models: PriceBook['models'];
  /** In the place of the plan's; left out: the plan's. */
  readonly markupPercent?: string | undefined;
}
export type AgreedLimits = { readonly [N in keyof Limits]?: Limits[N] | undefined };

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

/** What requests are recorded at. */
export function ratesOf({ inputRate, cachedInputRate, outputRate, unitRates }: ModelPrice): Rates {
  const rates = { input: inputRate, 'cached-input': cachedInputRate, output: outputRate };
  return unitRates === undefined ? rates : { ...rates, ...unitRates };
}

/** The terms with the prices that were agreed apart from the plan: what usage is sold and settled at. */
export function termsInForce(terms: Terms, agreed: Agreed | null | undefined): Terms {
  if (agreed?.prices === undefined) return terms;
  const { models, markupPercent = terms.prices.markupPercent } = agreed.prices;
  return { ...terms, prices: { models: { ...terms.prices.models, ...models }, markupPercent } };
}

/** The limits that a contract gives a key of this environment. */
export function limitsFor(terms: Terms, environment: Environment, agreed: Agreed | null): Limits {
  return withAgreed(terms.limits[environment], agreed?.limits?.[environment]);
}

/** The limits that a contract gives all keys of the tenant together. */
export function tenantLimitsFor(terms: Terms, agreed: Agreed | null): Limits {
  return withAgreed(terms.tenantLimits, agreed?.tenantLimits);
}

/**
 * What limits usage beyond what the month includes, beside everything else that does. Null: it is
 * billed and limited no further.
 */
export function overageFor({ overage, includedUsageNanos }: Terms): OverageLimit | null {
  if (overage === undefined) return null;
  if (overage.policy === 'block') return { includedNanos: includedUsageNanos, rates: null };
  const { requestsPerMinute, tokensPerMinute } = overage;
  return { includedNanos: includedUsageNanos, rates: { requestsPerMinute, tokensPerMinute } };
}

/** Whether usage beyond the included is limited more than before. */
export function limitsOverageMore(before: Terms, after: Terms): boolean {
  const [was, is] = [before.overage, after.overage];
  const rank = (overage: Overage | undefined): number =>
    overage === undefined ? 0 : overage.policy === 'throttle' ? 1 : 2;
  if (was?.policy !== 'throttle' || is?.policy !== 'throttle') return rank(is) > rank(was);
  const isLower = (most: number | null, now: number | null): boolean =>
    now !== null && (most === null || now < most);
  return (
    isLower(was.requestsPerMinute, is.requestsPerMinute) || isLower(was.tokensPerMinute, is.tokensPerMinute)
  );
}

export interface OverageLimit {
  /** Of a whole month. */
  readonly includedNanos: bigint;
  /** Null: nothing beyond it is served. */
  readonly rates: ThrottledRates | null;
}

function withAgreed(limits: Limits, agreed: AgreedLimits | undefined): Limits {
  if (agreed === undefined) return limits;
  const set = Object.entries(agreed).filter(([, value]) => value !== undefined);
  return { ...limits, ...(Object.fromEntries(set) as Partial<Limits>) };
}

/**
 * The limits of a new or changed key: what was asked for where it stays within the contract, and
 * the plan's own limit where nothing was asked (left out, null, or no models). A key without an
 * environment gets the limits of `production`. Without a contract what was asked holds as it is.
 * Throws Refusal(contract_forbids).
 */
export function resolveLimits(
  terms: Terms | null,
  environment: Environment | null,
  asked: Partial<Limits>,
  agreed: Agreed | null = null,
): Limits {
  const scope = environment ?? 'production';
  const own = terms === null ? UNLIMITED : limitsFor(terms, scope, agreed);
  const resolved: Limits = {
    requestsPerMinute: asked.requestsPerMinute ?? own.requestsPerMinute,
    tokensPerMinute: asked.tokensPerMinute ?? own.tokensPerMinute,
    parallelRequests: asked.parallelRequests ?? own.parallelRequests,
    models: asked.models === undefined || asked.models.length === 0 ? own.models : asked.models,
    budget: asked.budget ?? own.budget,
  };
  if (terms !== null) guard(terms, scope, resolved, agreed);
  return resolved;
}

/**
 * Refuses limits that allow more than the contract gives a key of this environment. Null asks for
 * no limit at all.
 *
 * A budget is within the contract's when no window of the contract's can hold more than its amount,
 * however the two calendars meet: 5.00 per `1d` is at most 155.00 per `1mo`. A longer window, or
 * none, may therefore hold no more than one of the contract's does.
 * Throws Refusal(contract_forbids), and RangeError when a window is no duration.
 */
export function guard(
  terms: Terms,
  environment: Environment,
  asked: Limits,
  agreed: Agreed | null = null,
): void {
  const own = limitsFor(terms, environment, agreed);
  const forbid = (term: string, param: string, allowed: string, wanted: string): never => {
    throw new Refusal('contract_forbids', { term, allowed, asked: wanted, environment }, { param });
  };
  for (const [name, term, param] of COUNTS) {
    const [most, wanted] = [own[name], asked[name]];
    if (most !== null && (wanted === null || wanted > most))
      forbid(term, param, String(most), textOf(wanted));
  }
  if (own.budget !== null && !isBudgetWithin(asked.budget, own.budget)) {
    const allowed = budgetText(own.budget, terms.currency);
    forbid('budget', 'max_budget', allowed, budgetText(asked.budget, terms.currency));
  }
  const excess = modelsBeyond(own.models, asked.models);
  if (excess.length > 0) forbid('models', 'models', own.models.join(', '), excess.join(', '));
}

const COUNTS = [
  ['requestsPerMinute', 'requests_per_minute', 'rpm_limit'],
  ['tokensPerMinute', 'tokens_per_minute', 'tpm_limit'],
  ['parallelRequests', 'parallel_requests', 'max_parallel_requests'],
] as const;

/** Whether no window of `own` can hold more than its amount when `asked` holds. */
export function isBudgetWithin(asked: Budget | null, own: Budget): boolean {
  if (asked === null) return false;
  const times = windowsTouched(asked.window, own.window);
  if (asked.nanos === 0n) return true;
  return Number.isFinite(times) && asked.nanos * BigInt(times) <= own.nanos;
}

/** The asked names and patterns that are not wholly inside the allowed ones. */
export function modelsBeyond(allowed: readonly string[], asked: readonly string[]): readonly string[] {
  if (allowed.length === 0) return [];
  if (asked.length === 0) return ['every model'];
  return asked.filter((name) => !allowed.some((pattern) => covers(pattern, name)));
}

/** `name` may be a pattern itself: `openai/*` covers `openai/gpt-*` and `openai/*`, not `*`. */
function covers(pattern: string, name: string): boolean {
  if (!pattern.endsWith('*')) return pattern === name;
  return name.startsWith(pattern.slice(0, -1));
}

function budgetText(budget: Budget | null, currency: string): string {
  if (budget === null) return textOf(null);
  const span = budget.window === null ? 'in all' : `per ${budget.window}`;
  return `${formatNanos(budget.nanos, 2)} ${currency} ${span}`;
}

function textOf(count: number | null): string {
  return count === null ? 'unlimited' : String(count);
}
