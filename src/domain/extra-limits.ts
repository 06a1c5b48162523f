import type { Json } from './json.ts';
import type { Budget } from './limits.ts';

/** What may be agreed beyond `Limits`. All of it holds together with them. */
export interface ExtraLimits {
  /** Nanos; reaching it only warns. Null: never. */
  readonly softBudgetNanos: bigint | null;
  /** Further budgets, each with a window of its own; every one of them must have room. */
  readonly budgets: readonly Budget[];
  /** By public model name: what may be used of that model alone. */
  readonly byModel: Readonly<Record<string, ModelLimits>>;
}

export interface ModelLimits {
  /** Whole requests in any 60 seconds; null is unlimited, here and below. */
  readonly requestsPerMinute: number | null;
  readonly tokensPerMinute: number | null;
  readonly budget: Budget | null;
}

/** What only keys have. */
export interface KeyExtra extends ExtraLimits {
  /** The shared budget whose values the key's limits carry; null for none. */
  readonly budgetId: string | null;
  /** Added to the budget until that instant. */
  readonly temporary: { readonly nanos: bigint; readonly until: string } | null;
  /** Names of request parameters that every call must carry. */
  readonly enforcedParams: readonly string[];
  readonly requestsKind: RateKind | null;
  readonly tokensKind: RateKind | null;
  /** Replaces the secret at `dueAt`, and every `interval` (a duration) after that; null never does. */
  readonly rotation: { readonly interval: string; readonly dueAt: string } | null;
}

/** What a limit per minute promises: that there is room for it, or only that it is not exceeded. */
export const RATE_KINDS = ['guaranteed_throughput', 'best_effort_throughput', 'dynamic'] as const;
export type RateKind = (typeof RATE_KINDS)[number];

export const NO_EXTRA: ExtraLimits = { softBudgetNanos: null, budgets: [], byModel: {} };

export const NO_KEY_EXTRA: KeyExtra = {
  ...NO_EXTRA,
  budgetId: null,
  temporary: null,
  enforcedParams: [],
  requestsKind: null,
  tokensKind: null,
  rotation: null,
};

/** Reads what a read model holds: amounts are decimal strings there. Unknown members are passed over. */
export function readExtra(json: Json): ExtraLimits {
  const { softBudgetNanos, budgets, byModel } = json as unknown as Stored<ExtraLimits>;
  return {
    softBudgetNanos: softBudgetNanos === null ? null : BigInt(softBudgetNanos),
    budgets: budgets.map(readBudget),
    byModel: Object.fromEntries(
      Object.entries(byModel).map(([model, { requestsPerMinute, tokensPerMinute, budget }]) => [
        model,
        { requestsPerMinute, tokensPerMinute, budget: budget === null ? null : readBudget(budget) },
      ]),
    ),
  };
}

/** The shape of something in a read model: the same, with bigints as decimal strings. */
type Stored<T> = T extends bigint ? string : T extends object ? { readonly [N in keyof T]: Stored<T[N]> } : T;

function readBudget({ nanos, window }: Stored<Budget>): Budget {
  return { nanos: BigInt(nanos), window };
}

/** `[{nanos, window}]` of a read model. */
export function readBudgets(json: Json): readonly Budget[] {
  return (json as unknown as readonly Stored<Budget>[]).map(readBudget);
}

export function readMemberLimits(json: Json): ModelLimits {
  const { requestsPerMinute, tokensPerMinute, budget } = json as unknown as Stored<ModelLimits>;
  return { requestsPerMinute, tokensPerMinute, budget: budget === null ? null : readBudget(budget) };
}
