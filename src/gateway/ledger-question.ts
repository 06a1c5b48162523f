import type { LedgerSum } from './budget.ts';
import type { LevelName } from './levels.ts';

/** A question to the ledger. */
export interface LedgerQuestion {
  readonly level: LevelName;
  readonly id: string;
  /** Only of this model: a public name, `prefix/*` or `*`; null for all. */
  readonly model: string | null;
  /** An instant, null for ever. */
  readonly since: string | null;
  /** Only what stands beyond this position of the log; null for all. */
  readonly after: bigint | null;
  /** The answer knows the log up to here at least. */
  readonly mustInclude: bigint;
  /** Only requests of the process whose ids begin so; all when left out. */
  readonly tag?: string;
}

export type SpentSince = (question: LedgerQuestion) => Promise<LedgerSum>;
