import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { timeTravel, type TimeTravel } from '../../src/audit/time-travel.ts';
import type { Json } from '../../src/domain/json.ts';
import type { EventStore } from '../../src/store/event-store.ts';
import {
  contractSigned,
  keyLimitsChanged,
  limits,
  projectBlocked,
  projectOpened,
  spendRecorded,
  tenantSuspended,
  terms,
  TOKEN_HASH,
} from '../support/events.ts';
import { type AuditedDatabase, auditedDatabase, openStore, seedHistory } from './audited-database.ts';

let audited: AuditedDatabase;
let store: EventStore;
let travel: TimeTravel;

beforeAll(async () => {
  audited = await auditedDatabase();
  await seedHistory(audited);
  const budget = (nanos: bigint, window: string | null) => ({ nanos, window });
  audited.clock = '2026-11-10T08:00:00.000Z';
  await audited.append('tenant-ten_1', [
    projectOpened({ projectId: 'prj_b', limits: limits({ budget: budget(5_000_000n, '1mo') }) }),
    contractSigned({
      contractId: 'con_2',
      terms: terms({ plan: 'atelier', tenantLimits: limits({ budget: budget(9_000_000n, null) }) }),
    }),
  ]);
  await audited.append(
    'key-key_1',
    [keyLimitsChanged({ limits: limits({ budget: budget(1_000_000n, '1mo') }) })],
    {
      actor: { kind: 'master', id: 'default_user_id', onBehalfOf: 'kim@agency.example' },
    },
  );
  await audited.append('spend-2026-11-w9', [
    spendRecorded({ requestId: 'w9_1', admittedAt: '2026-10-31T22:59:59.999Z', month: '2026-10' }),
    spendRecorded({ requestId: 'w9_2', admittedAt: '2026-10-31T23:00:00.000Z', month: '2026-11' }),
  ]);
  audited.clock = '2026-11-12T08:00:00.000Z';
  await audited.append('tenant-ten_1', [projectBlocked({ projectId: 'prj_b' }), tenantSuspended()]);
  await audited.settle();
  store = openStore(audited);
  travel = timeTravel({ store, db: audited.db, now: () => '2026-11-20T12:00:00.000Z' });
});

afterAll(async () => {
  await store.close();
  await audited.drop();
});

describe('a key at a moment', () => {
  test('has what was spent in each window it counted on, as the agency cuts its months', async () => {
    const found = await travel.replay('key_1', '2026-11-11T00:00:00.000Z');
    expect(found?.budgets).toEqual([
      {
        level: 'key',
        id: 'key_1',
        window: '1mo',
        starts_at: '2026-10-31T23:00:00.000Z',
        ends_at: '2026-11-30T23:00:00.000Z',
        budget: '0.001',
        spent: expect.stringMatching(/^0\.00\d+$/),
        currency: 'EUR',
      },
      expect.objectContaining({
        level: 'tenant',
        id: 'ten_1',
        window: null,
        starts_at: null,
        budget: '0.009',
      }),
    ]);
    const before = await travel.replay('key_1', '2026-11-09T00:00:00.000Z');
    expect(before?.budgets).toEqual([]);
  });

  test('counts in a window what was admitted in it and known by then, to the nano', async () => {
    const { rows } = await audited.pool.query<{ nanos: bigint }>(
      `select sum(price_nanos) as nanos from spend_log where key_id = 'key_1'
         and admitted_at >= '2026-10-31T23:00:00Z' and admitted_at < '2026-11-30T23:00:00Z'`,
    );
    const found = await travel.replay('key_1', null);
    const nanos = (text: string) => BigInt(Math.round(Number(text) * 1e9));
    expect(nanos(found!.budgets[0]!.spent)).toBe(rows[0]!.nanos);
    const position = (await store.head()) - 3n;
    const earlier = await travel.replay('key_1', position);
    expect(nanos(found!.budgets[0]!.spent) - nanos(earlier!.budgets[0]!.spent)).toBe(262_500n);
  });

  test('names who changed it last, and up to where the log was read', async () => {
    expect(await travel.replay('key_1', null)).toMatchObject({
      log_position: String(await store.head()),
      last_change: {
        type: 'key.limits-changed',
        actor: { id: 'default_user_id', on_behalf_of: 'kim@agency.example' },
      },
    });
  });

  test('at a position is of the instant that was recorded there, also before it existed and long after its last change', async () => {
    for (const position of [1n, await store.head()]) {
      const { rows } = await audited.pool.query<{ recorded_at: string }>(
        'select recorded_at from events where position = $1',
        [position],
      );
      expect(await travel.replay('key_1', position)).toMatchObject({ at: rows[0]!.recorded_at });
      expect(await travel.replayTenant('ten_1', position)).toMatchObject({ at: rows[0]!.recorded_at });
    }
    expect(await travel.replay('key_1', 1n)).toMatchObject({ position: null, state: null });
  });

  test('is compared with itself at another moment', async () => {
    const diff = await travel.diff('key_1', '2026-10-09T00:00:00.000Z', '2026-10-15T00:00:00.000Z');
    expect(diff).toMatchObject({
      from: { at: '2026-10-09T00:00:00.000Z' },
      to: { at: '2026-10-15T00:00:00.000Z' },
    });
    expect(diff?.changes).toEqual([{ field: 'requests_per_minute', before: 60, after: 5 }]);
    expect(await travel.diff('key_none', '2026-10-09T00:00:00.000Z', null)).toBeNull();
  });
});

describe('a tenant at a moment', () => {
  test('has its plan, projects, keys by fingerprint and spend', async () => {
    const found = await travel.replayTenant('ten_1', '2026-11-11T00:00:00.000Z');
    expect(found).toMatchObject({
      tenant_id: 'ten_1',
      agency_id: 'age_1',
      state: {
        status: 'active',
        plan: 'atelier',
        plan_version: 1,
        contract_id: 'con_2',
        projects: {
          prj_1: { status: 'open' },
          prj_b: { status: 'open', limits: { budget: { nanos: '5000000' } } },
        },
        keys: { key_1: { status: 'active', rotations: 1 } },
      },
      budgets: [{ level: 'tenant', window: null }],
      last_change: { type: 'key.limits-changed' },
    });
    expect(Object.keys(found!.state!.keys)).toEqual(['key_1']);
    expect(found!.spend.map(({ month, requests }) => [month, requests])).toEqual([
      ['2026-09', 1],
      ['2026-10', 5],
      ['2026-11', 3],
    ]);
    expect(JSON.stringify(found)).not.toContain(TOKEN_HASH);
    const json: Json = found;
    expect(JSON.parse(JSON.stringify(json))).toEqual(found);
  });

  test('is what it was before, and nothing before it existed', async () => {
    expect((await travel.replayTenant('ten_1', '2026-10-09T00:00:00.000Z'))?.state).toMatchObject({
      plan: 'studio',
    });
    expect(await travel.replayTenant('ten_1', '2020-01-01T00:00:00.000Z')).toMatchObject({
      state: null,
      position: null,
      spend: [],
      last_change: null,
    });
    expect(await travel.replayTenant('ten_none', null)).toBeNull();
  });

  test('is compared with itself at another moment: what changed, by its path', async () => {
    const diff = await travel.diffTenant('ten_1', '2026-11-11T00:00:00.000Z', null);
    expect(diff?.changes).toEqual([
      { field: 'status', before: 'active', after: 'suspended' },
      { field: 'suspended_reason', before: null, after: 'payment overdue' },
      { field: 'projects.prj_b.status', before: 'open', after: 'blocked' },
    ]);
  });
});
