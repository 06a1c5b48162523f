import { describe, expect, test } from 'vitest';
import { keys } from '../../projections/keys.ts';
import { NO_KEY_EXTRA } from '../../src/domain/extra-limits.ts';
import {
  AT,
  keyBlocked,
  keyChanged,
  keyDeleted,
  keyGenerated,
  keyLimitsChanged,
  keyRotated,
  keySettings,
  keySpendAdjusted,
  keyUnblocked,
  limits,
  recorded,
  TOKEN_HASH,
} from '../support/events.ts';
import { project } from '../support/project.ts';

const LATER = '2026-11-20T11:00:00.000Z';

describe('a generated key', () => {
  test('has everything that was agreed, and who made it', () => {
    const generated = keyGenerated({
      limits: limits({ models: ['small'], budget: { nanos: 5_000_000_000n, window: '30d' } }),
      settings: keySettings({
        alias: 'shop',
        userId: 'usr_1',
        expiresAt: LATER,
        aliases: { big: 'small' },
        allowedRoutes: ['llm_api_routes'],
        metadata: { team: 'web' },
        options: { guardrails: [] },
      }),
    });
    expect(project(keys, [generated])).toEqual([
      {
        key_id: 'key_1',
        token_hash: TOKEN_HASH,
        key_name: 'sk-...test',
        old_token_hash: null,
        grace_ends_at: null,
        agency_id: 'age_1',
        tenant_id: 'ten_1',
        project_id: 'prj_1',
        environment: 'production',
        user_id: 'usr_1',
        alias: 'shop',
        status: 'active',
        expires_at: LATER,
        models: ['small'],
        requests_per_minute: 60n,
        tokens_per_minute: 10_000n,
        parallel_requests: 4n,
        paused: false,
        paused_parallel: null,
        budget_nanos: 5_000_000_000n,
        budget_window: '30d',
        aliases: { big: 'small' },
        allowed_routes: ['llm_api_routes'],
        metadata: { team: 'web' },
        options: { guardrails: [] },
        soft_budget_nanos: null,
        budgets: [],
        model_limits: {},
        budget_id: null,
        temporary_nanos: null,
        temporary_until: null,
        enforced_params: [],
        requests_kind: null,
        tokens_kind: null,
        rotation_interval: null,
        rotates_at: null,
        spend_adjusted: 0n,
        adjusted_at: null,
        adjusted_position: null,
        adjusted_to: null,
        created_at: AT,
        created_by: 'default_user_id',
        updated_at: AT,
        updated_by: 'default_user_id',
        rotations: 0n,
        last_rotated_at: null,
        deleted_at: null,
        deleted_by: null,
      },
    ]);
  });

  test('keeps unlimited as null, and a limit of zero as zero', () => {
    const generated = keyGenerated({
      limits: limits({
        requestsPerMinute: null,
        parallelRequests: 0,
        budget: { nanos: 0n, window: null },
      }),
    });
    expect(project(keys, [generated])).toMatchObject([
      { requests_per_minute: null, parallel_requests: 0n, budget_nanos: 0n, budget_window: null },
    ]);
  });
});

describe('a change', () => {
  const by = { occurredAt: LATER, actor: { kind: 'user', id: 'usr_9' } } as const;
  const after = (...events: readonly Parameters<typeof recorded>[0][]) =>
    project(keys, [
      recorded(keyGenerated()),
      ...events.map((event, i) => recorded(event, { ...by, position: BigInt(i + 2) })),
    ]);

  test('of the limits replaces them all and names its author', () => {
    expect(after(keyLimitsChanged())).toMatchObject([
      { requests_per_minute: 120n, updated_at: LATER, updated_by: 'usr_9', created_by: 'default_user_id' },
    ]);
  });

  test('of the settings leaves the limits alone', () => {
    expect(after(keyChanged())).toMatchObject([
      { alias: 'shop', requests_per_minute: 60n, updated_by: 'usr_9' },
    ]);
  });

  test('blocks and unblocks', () => {
    expect(after(keyBlocked())).toMatchObject([{ status: 'blocked', updated_by: 'usr_9' }]);
    expect(after(keyBlocked(), keyUnblocked())).toMatchObject([{ status: 'active' }]);
  });

  test('that rotates keeps the old secret until the grace period ends', () => {
    const rotated = keyRotated();
    expect(after(rotated)).toMatchObject([
      {
        token_hash: rotated.data.tokenHash,
        key_name: rotated.data.keyName,
        old_token_hash: TOKEN_HASH,
        grace_ends_at: rotated.data.graceEndsAt,
        rotations: 1n,
        last_rotated_at: LATER,
        status: 'active',
      },
    ]);
  });

  test('that rotates without a grace period leaves no trace of the old secret to look up', () => {
    expect(after(keyRotated(), keyRotated({ graceEndsAt: null }))).toMatchObject([
      { old_token_hash: null, grace_ends_at: null, rotations: 2n },
    ]);
  });

  test('that deletes keeps the row, says who did it and ends a grace period', () => {
    expect(after(keyRotated(), keyDeleted())).toMatchObject([
      {
        status: 'deleted',
        deleted_at: LATER,
        deleted_by: 'usr_9',
        old_token_hash: null,
        grace_ends_at: null,
        rotations: 1n,
      },
    ]);
  });

  test('concerns only its own key', () => {
    const other = keyGenerated({ keyId: 'key_2', tokenHash: 'other' });
    expect(after(other, keyBlocked({ keyId: 'key_2' }))).toMatchObject([
      { key_id: 'key_1', status: 'active' },
      { key_id: 'key_2', status: 'blocked' },
    ]);
  });
});

test('text that PostgreSQL cannot store is replaced instead of stopping the table', () => {
  const settings = keySettings({
    alias: 'a\0b',
    metadata: { 'k\0': ['\ud800', { deep: '\0' }], fine: 'ü😀' },
    expiresAt: '2027-01-01T00:00:00+01:00',
  });
  expect(project(keys, [keyGenerated({ settings })])).toMatchObject([
    {
      alias: 'a\ufffdb',
      metadata: { 'k\ufffd': ['\ufffd', { deep: '\ufffd' }], fine: 'ü😀' },
      expires_at: '2026-12-31T23:00:00.000Z',
    },
  ]);
});

describe('limits beyond the usual ones', () => {
  const extra = {
    ...NO_KEY_EXTRA,
    softBudgetNanos: 1n,
    budgets: [{ nanos: 10n ** 19n, window: '30s' }],
    byModel: { small: { requestsPerMinute: 1, tokensPerMinute: null, budget: null } },
    budgetId: 'bud_1',
    temporary: { nanos: 2n, until: LATER },
    enforcedParams: ['user'],
    requestsKind: 'guaranteed_throughput',
    rotation: { interval: '90d', dueAt: LATER },
  } as const;

  test('are columns of the key, with amounts inside JSON as decimal strings', () => {
    const generated = keyGenerated({ settings: keySettings({ extra }) });
    expect(project(keys, [generated])).toMatchObject([
      {
        soft_budget_nanos: 1n,
        budgets: [{ nanos: '10000000000000000000', window: '30s' }],
        model_limits: { small: { requestsPerMinute: 1 } },
        budget_id: 'bud_1',
        temporary_nanos: 2n,
        temporary_until: LATER,
        enforced_params: ['user'],
        requests_kind: 'guaranteed_throughput',
        tokens_kind: null,
        rotation_interval: '90d',
        rotates_at: LATER,
      },
    ]);
    expect(project(keys, [generated, keyDeleted()])).toMatchObject([{ rotates_at: null }]);
  });

  test('corrections of the spend add up', () => {
    const rows = project(keys, [
      keyGenerated(),
      keySpendAdjusted({ byNanos: -5n }),
      keySpendAdjusted({ byNanos: 2n, toNanos: 7n }),
    ]);
    expect(rows).toMatchObject([
      { spend_adjusted: -3n, adjusted_position: 3n, adjusted_to: 7n, adjusted_at: AT },
    ]);
  });
});
