import type { BudgetOwner, Correction, LedgerReader } from './budget.ts';
import type { RateWindow } from './rate-window.ts';
import type { Share } from './shares.ts';

/** Where limits are set and use is counted; a request has one of each that concerns it, and as many tags as it carries. */
export type LevelName =
  | 'key'
  | 'project'
  | 'member'
  | 'user'
  | 'tenant'
  /** What a tenant uses beyond what its contract includes. */
  | 'overage'
  | 'tenant-member'
  | 'end-user'
  | 'tag'
  /** What the agency pays: of no request's levels, and counted in costs instead of prices. */
  | 'provider'
  | 'installation';

/** Null is unlimited. */
export interface LevelRates {
  readonly requestsPerMinute: number | null;
  readonly tokensPerMinute: number | null;
  readonly parallelRequests: number | null;
}

export const NO_RATES: LevelRates = {
  requestsPerMinute: null,
  tokensPerMinute: null,
  parallelRequests: null,
};

/** A budget in force: no two of one level have the same window, but for one that goes on beyond it. */
export interface BudgetCap {
  readonly nanos: bigint;
  /** A duration; null lasts for ever. */
  readonly window: string | null;
  /** What holds instead of `nanos` until that instant; the same, and the beginning of time, when nothing does. */
  readonly raisedNanos: bigint;
  readonly raisedUntilMs: number;
  /** Where it is counted. */
  readonly owner: BudgetOwner;
  /** What a request that does not fit counts on as well; left out: it is refused. */
  readonly beyond?: Level | undefined;
  /** What a refusal says of it beside the subject: nothing of a level's first budget. */
  readonly note: string;
}

/** An amount that only warns when it is reached. */
export interface SoftBudget {
  readonly nanos: bigint;
  readonly window: string | null;
  readonly owner: BudgetOwner;
}

/** What was used on one level; lives until nobody has used it for a while, whatever happens to the limits. */
export interface Account {
  readonly requests: RateWindow;
  readonly tokens: RateWindow;
  /** One per budget of the level, in their order; all of them learn what is spent. */
  readonly owners: BudgetOwner[];
  /** What was spent on this level before. */
  readonly ledger: LedgerReader;
  running: number;
  /** Which level, and of which model. */
  readonly scope: readonly [name: LevelName, id: string, model: string | null];
  /** This process's parts of the limits that others keep, too; null while it counts alone. */
  shares: AccountShares | null;
  /** How many sweeps have passed since it was last used. */
  quietSweeps: number;
}

export interface AccountShares {
  readonly requests: Share;
  readonly tokens: Share;
  readonly running: Share;
}

export interface Level {
  readonly name: LevelName;
  /** As callers know it; with the model where only that one is limited. */
  readonly id: string;
  /** LiteLLM's name of the level, such as `api_key`. */
  readonly scope: string;
  /** How a budget refusal names it, such as `Team=web`. */
  readonly subject: string;
  readonly limits: LevelRates;
  readonly budgets: readonly BudgetCap[];
  readonly soft: SoftBudget | null;
  /** The last time its spend was set by hand. */
  readonly correction: Correction | null;
  /** Zone of the calendar that budget windows follow. */
  readonly zone: string;
  readonly account: Account;
}

export interface Instant {
  /** Of a clock that never goes back. */
  readonly monotonicMs: number;
  /** Since 1970. */
  readonly wallMs: number;
}

/** What holds of a budget at an instant. */
export function capAt({ nanos, raisedNanos, raisedUntilMs }: BudgetCap, wallMs: number): bigint {
  return wallMs < raisedUntilMs ? raisedNanos : nanos;
}
