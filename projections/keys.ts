import { type KeyExtra, NO_KEY_EXTRA } from '../src/domain/extra-limits.ts';
import type { KeySettings } from '../src/domain/key.ts';
import type { Recorded } from '../src/events.ts';
import { defineProjection, toJson } from '../src/projection.ts';
import { limitColumns } from './subject-columns.ts';

/** Every virtual key there ever was. Deleted ones stay, so that their spend has an owner. */
export const keys = defineProjection({
  name: 'keys',
  version: 5,
  columns: {
    key_id: 'text',
    /** Lower-case hex SHA-256 of the secret. */
    token_hash: 'text',
    /** `sk-...` and the last four characters. */
    key_name: 'text',
    /** The secret before the last rotation; null unless that rotation granted it a grace period. */
    old_token_hash: 'text?',
    /** Until when the old secret works; null exactly when there is none. */
    grace_ends_at: 'instant?',
    agency_id: 'text',
    tenant_id: 'text',
    project_id: 'text?',
    environment: 'text?',
    user_id: 'text?',
    alias: 'text?',
    /** active | blocked | deleted. Expiry is expires_at compared with a clock. */
    status: 'text',
    /** Null never expires. */
    expires_at: 'instant?',
    // Limits: null is unlimited, no models allows all that the contract does.
    models: 'text[]',
    requests_per_minute: 'bigint?',
    tokens_per_minute: 'bigint?',
    parallel_requests: 'bigint?',
    budget_nanos: 'nanos?',
    budget_window: 'text?',
    /** True while its contract or tenant lets it run nothing: parallel_requests is 0 then. */
    paused: 'boolean',
    /** What parallel_requests is again when it is not paused any more. */
    paused_parallel: 'bigint?',
    /** Requested model name -> model that serves it. */
    aliases: 'json',
    allowed_routes: 'text[]',
    metadata: 'json',
    options: 'json',
    // Limits beyond those above; amounts inside JSON are decimal strings.
    /** Reaching it only warns. */
    soft_budget_nanos: 'nanos?',
    /** Further budgets, [{nanos, window}]; every one of them must have room. */
    budgets: 'json',
    /** Model name -> {requestsPerMinute, tokensPerMinute, budget}. */
    model_limits: 'json',
    /** The shared budget whose values are in the limits above. */
    budget_id: 'text?',
    /** Added to the budget until temporary_until. */
    temporary_nanos: 'nanos?',
    temporary_until: 'instant?',
    /** Request parameters that every call must carry. */
    enforced_params: 'text[]',
    /** guaranteed_throughput | best_effort_throughput | dynamic */
    requests_kind: 'text?',
    tokens_kind: 'text?',
    rotation_interval: 'text?',
    /** When the secret is replaced by itself. */
    rotates_at: 'instant?',
    /** By how much the recorded spend was corrected by hand. */
    spend_adjusted: 'sum',
    /** The last time: when, where in the log, and to how much. */
    adjusted_at: 'instant?',
    adjusted_position: 'bigint?',
    adjusted_to: 'nanos?',
    created_at: 'instant',
    created_by: 'text',
    updated_at: 'instant',
    updated_by: 'text',
    rotations: 'sum',
    last_rotated_at: 'instant?',
    deleted_at: 'instant?',
    deleted_by: 'text?',
  },
  key: ['key_id'],
  indexes: [
    ['token_hash'],
    ['old_token_hash'],
    ['alias'],
    ['project_id'],
    ['tenant_id'],
    ['user_id'],
    ['budget_id'],
    ['rotates_at'],
    ['created_at', 'key_id'],
  ],
  searches: ['alias', 'user_id'],
  on: {
    'key.generated': ({ keyId, tenantId, tokenHash, keyName, limits, settings }, recorded) => ({
      op: 'insert',
      row: {
        key_id: keyId,
        token_hash: tokenHash,
        key_name: keyName,
        old_token_hash: null,
        grace_ends_at: null,
        agency_id: recorded.agencyId,
        tenant_id: tenantId,
        status: 'active',
        ...limitColumns(limits),
        paused: false,
        paused_parallel: null,
        ...settingColumns(settings),
        created_at: recorded.occurredAt,
        created_by: recorded.actor.id,
        ...touched(recorded),
        spend_adjusted: 0n,
        adjusted_at: null,
        adjusted_position: null,
        adjusted_to: null,
        rotations: 0n,
        last_rotated_at: null,
        deleted_at: null,
        deleted_by: null,
      },
    }),
    'key.limits-changed': ({ keyId, limits, pausedParallel }, recorded) => ({
      op: 'update',
      where: { key_id: keyId },
      set: {
        ...limitColumns(limits),
        paused: pausedParallel !== undefined,
        paused_parallel:
          pausedParallel === undefined || pausedParallel === null ? null : BigInt(pausedParallel),
        ...touched(recorded),
      },
    }),
    'key.changed': ({ keyId, settings }, recorded) => ({
      op: 'update',
      where: { key_id: keyId },
      set: { ...settingColumns(settings), ...touched(recorded) },
    }),
    'key.blocked': ({ keyId }, recorded) => ({
      op: 'update',
      where: { key_id: keyId },
      set: { status: 'blocked', ...touched(recorded) },
    }),
    'key.unblocked': ({ keyId }, recorded) => ({
      op: 'update',
      where: { key_id: keyId },
      set: { status: 'active', ...touched(recorded) },
    }),
    'key.rotated': ({ keyId, tokenHash, keyName, oldTokenHash, graceEndsAt }, recorded) => ({
      op: 'update',
      where: { key_id: keyId },
      set: {
        token_hash: tokenHash,
        key_name: keyName,
        old_token_hash: graceEndsAt === null ? null : oldTokenHash,
        grace_ends_at: graceEndsAt,
        last_rotated_at: recorded.occurredAt,
        ...touched(recorded),
      },
      by: { rotations: 1n },
    }),
    'key.spend-adjusted': ({ keyId, byNanos, toNanos }, recorded) => ({
      op: 'update',
      where: { key_id: keyId },
      set: {
        adjusted_at: recorded.occurredAt,
        adjusted_position: recorded.position,
        adjusted_to: toNanos,
        ...touched(recorded),
      },
      by: { spend_adjusted: byNanos },
    }),
    'key.deleted': ({ keyId }, recorded) => ({
      op: 'update',
      where: { key_id: keyId },
      set: {
        status: 'deleted',
        old_token_hash: null,
        grace_ends_at: null,
        rotates_at: null,
        deleted_at: recorded.occurredAt,
        deleted_by: recorded.actor.id,
        ...touched(recorded),
      },
    }),
  },
});

function touched({ occurredAt, actor }: Pick<Recorded, 'occurredAt' | 'actor'>) {
  return { updated_at: occurredAt, updated_by: actor.id };
}

function settingColumns(settings: KeySettings) {
  return {
    project_id: settings.projectId,
    environment: settings.environment,
    user_id: settings.userId,
    alias: settings.alias,
    expires_at: settings.expiresAt,
    aliases: settings.aliases,
    allowed_routes: settings.allowedRoutes,
    metadata: settings.metadata,
    options: settings.options,
    ...extraColumns(settings.extra ?? NO_KEY_EXTRA),
  };
}

function extraColumns(extra: KeyExtra) {
  const { budgets, byModel, temporary, rotation } = extra;
  return {
    soft_budget_nanos: extra.softBudgetNanos,
    budgets: toJson(budgets),
    model_limits: toJson(byModel),
    budget_id: extra.budgetId,
    temporary_nanos: temporary === null ? null : temporary.nanos,
    temporary_until: temporary === null ? null : temporary.until,
    enforced_params: extra.enforcedParams,
    requests_kind: extra.requestsKind,
    tokens_kind: extra.tokensKind,
    rotation_interval: rotation === null ? null : rotation.interval,
    rotates_at: rotation === null ? null : rotation.dueAt,
  };
}
