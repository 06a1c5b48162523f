import { canonicalJson } from '../domain/json.ts';
import { formatNanos } from '../domain/money.ts';
import { type LimitFields, type LimitState, patchLimits } from './limit-fields.ts';
import { limitsOfRow, requireBudget } from './limited-row.ts';
import type { Db } from './read.ts';

/**
 * Keys and teams carry the values of the budget that they are attached to in their own limits, so
 * that whoever decides about a call needs to know nothing else. Changing the budget changes them,
 * each with an event of its own.
 */

/** What a budget says, as the fields of a request; what it leaves open is left out. */
export function fieldsOf({ limits, extra, options }: LimitState): LimitFields {
  const { budget } = limits;
  const named: LimitFields = {
    max_budget: budget === null ? null : formatNanos(budget.nanos),
    budget_duration: budget?.window ?? null,
    rpm_limit: limits.requestsPerMinute,
    tpm_limit: limits.tokensPerMinute,
    max_parallel_requests: limits.parallelRequests,
    soft_budget: extra.softBudgetNanos === null ? null : formatNanos(extra.softBudgetNanos),
    model_max_budget: (options['model_max_budget'] ?? null) as LimitFields['model_max_budget'],
  };
  return Object.fromEntries(Object.entries(named).filter(([, value]) => value !== null));
}

/** The fields with what the named budget adds to them: what a request names itself counts more. */
export async function withSharedBudget<F extends LimitFields & { budget_id?: string | null | undefined }>(
  db: Db,
  fields: F,
): Promise<F> {
  if (!fields.budget_id) return fields;
  const shared = fieldsOf(limitsOfRow(await requireBudget(db, fields.budget_id)));
  const named = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
  return { ...fields, ...shared, ...named };
}

/** What differs between two versions of a budget, as the fields of a request; null where it ceased to say anything. */
export function changedFields(before: LimitState, after: LimitState): LimitFields {
  const [old, current] = [fieldsOf(before), fieldsOf(after)] as Record<string, unknown>[];
  const names = new Set([...Object.keys(old!), ...Object.keys(current!)]);
  const differing = [...names].filter(
    (name) => canonicalJson(old![name] ?? null) !== canonicalJson(current![name] ?? null),
  );
  return Object.fromEntries(differing.map((name) => [name, current![name] ?? null]));
}

/** A limit state after the budget that it carries has changed. */
export function patchedByBudget(now: LimitState, changed: LimitFields): LimitState {
  return patchLimits(changed, now);
}
