import type { z } from 'zod';
import { limitColumns } from '../../projections/subject-columns.ts';
import { budgetWindow } from '../domain/duration.ts';
import { readBudgets } from '../domain/extra-limits.ts';
import type { Json } from '../domain/json.ts';
import { nanosToNumber } from '../domain/money.ts';
import type { KeyRecord, KeyWithSecret } from './key-fields.ts';
import { toJson } from '../projection.ts';
import type { LiveKey } from './issue-key.ts';
import { type BudgetRow, budgetRecord, sharedBudgets } from './budget-view.ts';
import { windowRecords } from './limit-fields.ts';
import { type Db, type KeyView, recordOf } from './read.ts';

/** The LiteLLM-shaped record of a key. Amounts become JSON numbers here and nowhere before. */
export function keyRecord(view: KeyView, now: string, shared?: BudgetRow): z.output<typeof KeyRecord> {
  const options = recordOf(view.options);
  const window = view.budget_window ?? textOf(options['budget_duration']);
  const deletion =
    view.status === 'deleted' ? { deleted_at: view.deleted_at, deleted_by: view.deleted_by } : {};
  return {
    // What LiteLLM shows for fields that were not given.
    config: {},
    permissions: {},
    model_max_budget: {},
    tags: [],
    soft_budget: null,
    auto_rotate: false,
    rotation_interval: null,
    key_rotation_at: null,
    allowed_cache_controls: [],
    access_group_ids: [],
    policies: [],
    router_settings: {},
    budget_id: null,
    ...withoutInternals(options),
    key_id: view.key_id,
    key_name: view.key_name,
    key_alias: view.alias,
    soft_budget_cooldown: false,
    spend: nanosToNumber(view.spend),
    expires: view.expires_at,
    models: [...view.models],
    aliases: recordOf(view.aliases) as Record<string, string>,
    user_id: view.user_id,
    team_id: view.project_id,
    organization_id: view.own ? null : view.tenant_id,
    environment: view.environment,
    max_parallel_requests: numberOf(view.parallel_requests),
    metadata: recordOf(view.metadata),
    blocked: view.status === 'blocked',
    tpm_limit: numberOf(view.tokens_per_minute),
    rpm_limit: numberOf(view.requests_per_minute),
    max_budget: view.budget_nanos === null ? null : nanosToNumber(view.budget_nanos),
    budget_duration: window,
    budget_reset_at: window === null ? null : budgetWindow(window, now, view.zone).endsAt,
    allowed_routes: [...view.allowed_routes],
    model_spend: {},
    object_permission_id: null,
    project_id: null,
    budget_limits: windowRecords(readBudgets(view.budgets), view.zone, now),
    litellm_budget_table:
      shared === undefined ? null : (budgetRecord(shared, now) as unknown as Record<string, Json>),
    created_at: view.created_at,
    created_by: view.created_by,
    updated_at: view.updated_at,
    updated_by: view.updated_by,
    last_active: view.last_active,
    rotation_count: Number(view.rotations),
    last_rotation_at: view.last_rotated_at,
    status: view.status as 'active' | 'blocked' | 'deleted',
    ...deletion,
  };
}

/** The same of several, with the budgets that they carry. */
export async function keyRecords(
  db: Db,
  views: readonly KeyView[],
  now: string,
): Promise<z.output<typeof KeyRecord>[]> {
  const shared = await sharedBudgets(db, views);
  return views.map((view) => keyRecord(view, now, shared.get(view.budget_id)));
}

/** The answer to generating and regenerating: the one place where a secret is shown. */
export function keyWithSecret(
  view: KeyView,
  secret: string,
  now: string,
  shared?: BudgetRow,
): z.output<typeof KeyWithSecret> {
  return {
    ...keyRecord(view, now, shared),
    key: secret,
    token: view.token_hash,
    token_id: view.token_hash,
    duration: textOf(recordOf(view.options)['duration']),
  };
}

/** The view with what a command left behind, whatever has happened to the key since. */
export function asLeftBehind(view: KeyView, state: LiveKey): KeyView {
  const { limits, settings } = state;
  return {
    ...view,
    token_hash: state.tokenHash,
    key_name: state.keyName,
    status: state.status,
    ...limitColumns(limits),
    project_id: settings.projectId,
    environment: settings.environment,
    user_id: settings.userId,
    alias: settings.alias,
    expires_at: settings.expiresAt,
    aliases: settings.aliases,
    allowed_routes: settings.allowedRoutes,
    metadata: settings.metadata,
    options: settings.options,
    budgets: toJson([...(settings.extra?.budgets ?? [])]),
    budget_id: settings.extra?.budgetId ?? null,
    rotations: BigInt(state.rotations),
  };
}

/** Members of `options` that only this product knows. */
const INTERNAL_OPTIONS: ReadonlySet<string> = new Set(['duration', 'budget_duration']);

function withoutInternals(options: Readonly<Record<string, Json>>): Record<string, Json> {
  return Object.fromEntries(Object.entries(options).filter(([name]) => !INTERNAL_OPTIONS.has(name)));
}

function textOf(value: Json | undefined): string | null {
  return typeof value === 'string' ? value : null;
}

function numberOf(value: bigint | null): number | null {
  return value === null ? null : Number(value);
}
