import type { Budget } from '../domain/limits.ts';
import type { BudgetOwner, LedgerReader } from './budget.ts';
import type { RateWindow } from './rate-window.ts';

/** Where limits are set and use is counted; a request has one of each that concerns it. */
export type LevelName = 'key' | 'project' | 'tenant';

export interface LevelLimits {
  readonly requestsPerMinute: number | null;
  readonly tokensPerMinute: number | null;
  readonly parallelRequests: number | null;
  readonly budget: Budget | null;
}

/** What was used on one level; lives as long as the process, whatever happens to the limits. */
export interface Account extends BudgetOwner {
  readonly requests: RateWindow;
  readonly tokens: RateWindow;
  /** What was spent on this level before. */
  readonly ledger: LedgerReader;
  running: number;
}

export interface Level {
  readonly name: LevelName;
  readonly id: string;
  /** How a budget refusal names it, such as `Team=web`. */
  readonly subject: string;
  readonly limits: LevelLimits;
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
