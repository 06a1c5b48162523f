import { z } from 'zod';
import { type LimitState, limitAnswer, limitRecord } from './limit-fields.ts';
import { limitsOfRow } from './limited-row.ts';
import type { Db, Tables } from './read.ts';

/** Shared budgets as the API shows them. */
const { models: _, model_rpm_limit: __, model_tpm_limit: ___, ...shownLimits } = limitAnswer;
export const BudgetRecord = z
  .looseObject({
    budget_id: z.string(),
    ...shownLimits,
    created_at: z.string(),
    created_by: z.string(),
    updated_at: z.string(),
    updated_by: z.string(),
  })
  .meta({ id: 'Budget' });

export type BudgetRow = Tables['budgets'] & { readonly zone: string };

export function budgetRows(db: Db) {
  return db
    .selectFrom('budgets')
    .innerJoin('agencies', 'agencies.agency_id', 'budgets.agency_id')
    .selectAll('budgets')
    .select('agencies.zone');
}

export function budgetRecord(row: BudgetRow, now: string): z.output<typeof BudgetRecord> {
  const {
    models: _,
    model_rpm_limit: __,
    model_tpm_limit: ___,
    ...limits
  } = limitRecord(limitsOfRow(row), row.zone, now);
  const { budget_id, created_at, created_by, updated_at, updated_by } = row;
  return { budget_id, ...limits, created_at, created_by, updated_at, updated_by };
}

/** `litellm_budget_table`: a thing's own limits where it has any, else the budget it is attached to. */
export const BudgetTable = z
  .looseObject({ budget_id: z.string().nullable(), ...shownLimits })
  .meta({ id: 'BudgetTable', description: 'What limits it' });

export function budgetTable(
  state: LimitState,
  shared: BudgetRow | undefined,
  zone: string,
  now: string,
): z.output<typeof BudgetTable> {
  const own = limitRecord(state, zone, now);
  const { models: _, model_rpm_limit: __, model_tpm_limit: ___, ...limits } = own;
  if (shared === undefined) return { budget_id: null, ...limits };
  const named = Object.fromEntries(Object.entries(limits).filter(([, value]) => isSet(value)));
  return { ...budgetRecord(shared, now), ...named };
}

function isSet(value: unknown): boolean {
  if (value === null) return false;
  return typeof value !== 'object' || Object.keys(value).length > 0;
}

/** The budgets that these rows are attached to, by id. */
export async function sharedBudgets(
  db: Db,
  rows: readonly { readonly budget_id: string | null }[],
): Promise<ReadonlyMap<string | null, BudgetRow>> {
  const ids = [...new Set(rows.flatMap(({ budget_id: id }) => (id === null ? [] : [id])))];
  if (ids.length === 0) return new Map();
  const found = await budgetRows(db).where('budgets.budget_id', 'in', ids).execute();
  return new Map(found.map((row) => [row.budget_id, row]));
}
