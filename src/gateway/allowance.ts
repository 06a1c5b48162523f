import { type ExtraLimits, type KeyExtra, type ModelLimits, readExtra } from '../domain/extra-limits.ts';
import type { Json } from '../domain/json.ts';
import type { Budget, Limits } from '../domain/limits.ts';
import { type LevelRates, NO_RATES } from './levels.ts';

/** Everything that is allowed on one level, read from the rows that say it. */
export interface Allowance {
  readonly rates: LevelRates;
  /** All of them must have room. */
  readonly budgets: readonly Budget[];
  /** Raises the first budget until an instant. */
  readonly temporary: KeyExtra['temporary'];
  /** Reaching it only warns. */
  readonly soft: Budget | null;
  /** By public model name, `prefix/*` or `*`. */
  readonly byModel: Readonly<Record<string, ModelLimits>>;
  /** Slows down what goes beyond an amount per window; left out: nothing does. */
  readonly throttle?: Throttle | undefined;
}

export interface Throttle {
  readonly budget: Budget;
  /** Added to the budget until an instant; may be negative. */
  readonly temporary: NonNullable<KeyExtra['temporary']>;
  readonly rates: LevelRates;
}

export const NOTHING_LIMITED: Allowance = {
  rates: NO_RATES,
  budgets: [],
  temporary: null,
  soft: null,
  byModel: {},
};

/** The columns that read models of limited things share. */
export interface LimitedRow {
  readonly models: readonly string[];
  readonly requests_per_minute: bigint | null;
  readonly tokens_per_minute: bigint | null;
  readonly parallel_requests: bigint | null;
  readonly budget_nanos: bigint | null;
  readonly budget_window: string | null;
}

export function limitsOf(row: LimitedRow): Limits {
  return {
    requestsPerMinute: numberOrNull(row.requests_per_minute),
    tokensPerMinute: numberOrNull(row.tokens_per_minute),
    parallelRequests: numberOrNull(row.parallel_requests),
    models: row.models,
    budget: row.budget_nanos === null ? null : { nanos: row.budget_nanos, window: row.budget_window },
  };
}

export function allowanceOf(limits: Omit<Limits, 'models'>, extra: ExtraLimits): Allowance {
  const { requestsPerMinute, tokensPerMinute, parallelRequests, budget } = limits;
  return {
    rates: { requestsPerMinute, tokensPerMinute, parallelRequests },
    budgets: budget === null ? extra.budgets : [budget, ...extra.budgets],
    temporary: null,
    soft:
      extra.softBudgetNanos === null
        ? null
        : { nanos: extra.softBudgetNanos, window: budget?.window ?? null },
    byModel: extra.byModel,
  };
}

/** A row that may be attached to a shared budget: what it leaves open, that one says. */
export function sharedAllowance(
  row: LimitedRow & { readonly extra: Json },
  shared: (LimitedRow & { readonly extra: Json }) | undefined,
): Allowance {
  const own = limitsOf(row);
  const extra = readExtra(row.extra);
  return shared === undefined ? allowanceOf(own, extra) : attached(own, extra, shared);
}

export function attached(
  own: Omit<Limits, 'models'>,
  extra: ExtraLimits,
  shared: LimitedRow & { readonly extra: Json },
): Allowance {
  const other = limitsOf(shared);
  const more = readExtra(shared.extra);
  return allowanceOf(
    {
      requestsPerMinute: own.requestsPerMinute ?? other.requestsPerMinute,
      tokensPerMinute: own.tokensPerMinute ?? other.tokensPerMinute,
      parallelRequests: own.parallelRequests ?? other.parallelRequests,
      budget: own.budget ?? other.budget,
    },
    {
      softBudgetNanos: extra.softBudgetNanos ?? more.softBudgetNanos,
      budgets: extra.budgets.length > 0 ? extra.budgets : more.budgets,
      byModel: Object.keys(extra.byModel).length > 0 ? extra.byModel : more.byModel,
    },
  );
}

/** What two say of the same level: both hold. */
export function together(a: Allowance, b: Allowance): Allowance {
  return {
    rates: {
      requestsPerMinute: lower(a.rates.requestsPerMinute, b.rates.requestsPerMinute),
      tokensPerMinute: lower(a.rates.tokensPerMinute, b.rates.tokensPerMinute),
      parallelRequests: lower(a.rates.parallelRequests, b.rates.parallelRequests),
    },
    budgets: [...a.budgets, ...b.budgets],
    temporary: a.temporary ?? b.temporary,
    soft: a.soft ?? b.soft,
    byModel: { ...a.byModel, ...b.byModel },
    throttle: a.throttle ?? b.throttle,
  };
}

export function isLimited({ rates, budgets, soft, throttle }: Allowance): boolean {
  return (
    budgets.length > 0 ||
    throttle !== undefined ||
    soft !== null ||
    Object.values(rates).some((limit) => limit !== null)
  );
}

function lower(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : Math.min(a, b);
}

export function numberOrNull(value: bigint | null): number | null {
  return value === null ? null : Number(value);
}
