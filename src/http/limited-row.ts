import { readExtra } from '../domain/extra-limits.ts';
import type { Json } from '../domain/json.ts';
import type { Limits } from '../domain/limits.ts';
import type { LimitState } from './limit-fields.ts';
import { type Db, recordOf } from './read.ts';
import { Refusal } from '../errors.ts';

/** The columns of projections/subject-columns.ts. */
export interface LimitedRow {
  readonly models: readonly string[];
  readonly requests_per_minute: bigint | null;
  readonly tokens_per_minute: bigint | null;
  readonly parallel_requests: bigint | null;
  readonly budget_nanos: bigint | null;
  readonly budget_window: string | null;
  readonly extra: Json;
  readonly options: Json;
}

export function limitsOfRow(row: LimitedRow): LimitState {
  return { limits: limitsOfColumns(row), extra: readExtra(row.extra), options: recordOf(row.options) };
}

export function limitsOfColumns(row: Omit<LimitedRow, 'extra' | 'options'>): Limits {
  return {
    requestsPerMinute: numberOrNull(row.requests_per_minute),
    tokensPerMinute: numberOrNull(row.tokens_per_minute),
    parallelRequests: numberOrNull(row.parallel_requests),
    models: row.models,
    budget: row.budget_nanos === null ? null : { nanos: row.budget_nanos, window: row.budget_window },
  };
}

export function numberOrNull(value: bigint | null): number | null {
  return value === null ? null : Number(value);
}

/** Throws Refusal(bad_request) when there is no such budget. */
export async function requireBudget(db: Db, budgetId: string) {
  const row = await db.selectFrom('budgets').selectAll().where('budget_id', '=', budgetId).executeTakeFirst();
  if (row !== undefined) return row;
  const problem = `There is no budget ${budgetId}. Make it with /budget/new.`;
  throw new Refusal('bad_request', { problem }, { param: 'budget_id' });
}

/** Reads a budget_id: left out stays, null or '' clears, anything else must exist. */
export async function budgetIdFrom(
  db: Db,
  sent: string | null | undefined,
  now: string | null,
): Promise<string | null> {
  if (sent === undefined) return now;
  if (sent === null || sent === '') return null;
  return (await requireBudget(db, sent)).budget_id;
}
