import type { ExtraLimits } from './extra-limits.ts';
import type { JsonObject } from './json.ts';
import type { Limits } from './limits.ts';

/** Whom or what use is limited for, beside keys: users, end users, tags, shared budgets. */
export interface Subject {
  readonly id: string;
  readonly limits: Limits;
  readonly extra: ExtraLimits;
  /** LiteLLM fields that are kept and echoed. Never names, addresses or anything else about a person. */
  readonly options: JsonObject;
}

/** One that may take its limits from a shared budget where it has none of its own. */
export interface BudgetedSubject extends Subject {
  /** Null: only its own limits hold. */
  readonly budgetId: string | null;
}
