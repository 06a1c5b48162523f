import type { Limits } from '../src/domain/limits.ts';
import type { BudgetedSubject, Subject } from '../src/domain/subject.ts';
import type { Recorded } from '../src/events.ts';
import { toJson } from '../src/projection.ts';

/** Columns that read models of limited things share. Limits: null is unlimited, no models allows all. */
export const limitedColumns = {
  models: 'text[]',
  requests_per_minute: 'bigint?',
  tokens_per_minute: 'bigint?',
  parallel_requests: 'bigint?',
  budget_nanos: 'nanos?',
  budget_window: 'text?',
  /** Soft budget, further budgets and limits by model, amounts as decimal strings. */
  extra: 'json',
  /** LiteLLM fields that are kept and echoed. */
  options: 'json',
} as const;

export const timeColumns = {
  created_at: 'instant',
  created_by: 'text',
  updated_at: 'instant',
  updated_by: 'text',
} as const;

export function limitColumns({
  models,
  requestsPerMinute,
  tokensPerMinute,
  parallelRequests,
  budget,
}: Limits) {
  return {
    models,
    requests_per_minute: countOrNull(requestsPerMinute),
    tokens_per_minute: countOrNull(tokensPerMinute),
    parallel_requests: countOrNull(parallelRequests),
    budget_nanos: budget === null ? null : budget.nanos,
    budget_window: budget === null ? null : budget.window,
  };
}

export function limitedRow({ limits, extra, options }: Subject) {
  return {
    ...limitColumns(limits),
    extra: toJson(extra),
    options,
  };
}

export function budgetedRow(subject: BudgetedSubject) {
  return { ...limitedRow(subject), budget_id: subject.budgetId };
}

export function created({ occurredAt, actor }: Pick<Recorded, 'occurredAt' | 'actor'>) {
  return {
    created_at: occurredAt,
    created_by: actor.id,
    updated_at: occurredAt,
    updated_by: actor.id,
  };
}

export function touched({ occurredAt, actor }: Pick<Recorded, 'occurredAt' | 'actor'>) {
  return { updated_at: occurredAt, updated_by: actor.id };
}

function countOrNull(value: number | null): bigint | null {
  return value === null ? null : BigInt(value);
}
