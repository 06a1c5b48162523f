import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Admin, OWN, startAdmin } from '../support/admin.ts';
import { spendRecorded, uuid } from '../support/events.ts';
import { people, type People, TEAM } from '../support/people.ts';

let admin: Admin;
let who: People;
let keyId: string;

beforeAll(async () => {
  admin = await startAdmin();
  who = await people(admin);
  const made = await admin.call({
    url: '/key/generate',
    body: { team_id: TEAM, key_alias: 'shop', max_budget: 1, budget_duration: '1mo', duration: '3d' },
  });
  keyId = made.body.key_id;
  await spend(who.tenantId, [
    { at: '2026-11-18T22:59:59.000Z', model: 'demo-small', nanos: 300_000_000n },
    // Midnight in Berlin: the next day.
    { at: '2026-11-18T23:00:00.000Z', model: 'demo-small', nanos: 400_000_000n },
    { at: '2026-11-20T09:59:30.000Z', model: 'demo-large', nanos: 200_000_000n, status: 502 },
  ]);
  await spend('ten_other', [{ at: '2026-11-20T09:00:00.000Z', model: 'demo-small', nanos: 7_000_000_000n }]);
});
afterAll(() => admin?.close());

interface Spent {
  readonly at: string;
  readonly model: string;
  readonly nanos: bigint;
  readonly status?: number;
}

async function spend(tenantId: string, spends: readonly Spent[]): Promise<void> {
  const isOurs = tenantId === who.tenantId;
  const events = spends.map(({ at, model, nanos, status = 200 }, index) => ({
    id: uuid(`${tenantId} ${index}`),
    occurredAt: at,
    agencyId: OWN.agencyId,
    tenantId,
    actor: { kind: 'system', id: 'test' } as const,
    commandHash: null,
    correlationId: 'test',
    causationId: 'test',
    event: spendRecorded({
      requestId: `req_${tenantId}_${index}`,
      keyId: isOurs ? keyId : 'key_other',
      projectId: isOurs ? TEAM : 'prj_other',
      userId: null,
      admittedAt: at,
      month: '2026-11',
      model,
      status,
      priceNanos: nanos,
      costNanos: 1n,
    }),
  }));
  const { position } = await admin.store.append([
    { stream: `spend-2026-11-${tenantId}`, expected: 'none', events },
  ]);
  await admin.deps.settled(position);
}

const read = async (url: string, person: keyof People['keys'] = 'proxy_admin') =>
  (await admin.call({ url, bearer: who.keys[person] })).body;

test('usage is cut by the days of the agency, and costs are shown to the agency alone', async () => {
  const url = `/api/usage?tenant_id=${who.tenantId}&by=day`;
  expect((await read(url)).data).toMatchObject([
    {
      group: { day: '2026-11-18' },
      requests: 1,
      price: { amount: '0.30', currency: 'EUR' },
      cost: { currency: 'EUR' },
    },
    { group: { day: '2026-11-19' }, requests: 1, price: { amount: '0.40' } },
    { group: { day: '2026-11-20' }, requests: 1, failed: 1, price: { amount: '0.20' } },
  ]);
  const range = await read(`${url},model&from=2026-11-19&to=2026-11-19`, 'org_admin');
  expect(range).toMatchObject({
    truncated: false,
    data: [{ group: { day: '2026-11-19', model: 'demo-small' }, cost: null }],
  });
});

test('weeks begin on Monday in the zone of the agency', async () => {
  const { data } = await read(`/api/usage?tenant_id=${who.tenantId}&by=week`);
  expect(data).toMatchObject([{ group: { week: '2026-11-16' }, requests: 3, price: { amount: '0.90' } }]);
});

test('each sees what they lead: the agency all, a tenant its own, a member nothing of others', async () => {
  const totals = async (person: keyof People['keys']) =>
    (await read('/api/usage?by=tenant', person)).data.map(
      (sum: { price: { amount: string } }) => sum.price.amount,
    );
  expect(await totals('proxy_admin_viewer')).toEqual(['7.00', '0.90']);
  expect(await totals('org_admin')).toEqual(['0.90']);
  expect(await totals('team_admin')).toEqual(['0.90']);
  expect(await totals('team_user')).toEqual([]);
  expect(await totals('internal_user')).toEqual([]);
  const named = await read('/api/usage?by=tenant&tenant_id=ten_other', 'org_admin');
  expect(named.data).toEqual([]);
});

test('requests are listed newest first, page by page, without their content', async () => {
  const first = await read(`/api/requests?limit=2`, 'org_admin');
  expect(first.data).toMatchObject([
    { model: 'demo-large', status: 502, cost: null, deployment: null },
    { at: '2026-11-18T23:00:00.000Z' },
  ]);
  const second = await read(`/api/requests?limit=2&cursor=${first.next_cursor}`, 'org_admin');
  expect(second).toMatchObject({ data: [{ at: '2026-11-18T22:59:59.000Z' }], next_cursor: null });
  const failed = await read('/api/requests?outcome=failed');
  expect(failed.data).toHaveLength(1);
});

test('the overview names keys near their budget and their end, to those who may see them', async () => {
  const overview = await read('/api/overview', 'org_admin');
  expect(overview).toMatchObject({
    month: '2026-11',
    tight: [{ key_id: keyId, alias: 'shop', spent: { amount: '0.90' }, budget: { amount: '1.00' } }],
    expiring: [{ key_id: keyId, expires_at: '2026-11-23T10:00:00.000Z' }],
  });
  expect(await read('/api/overview', 'team_user')).toMatchObject({ tight: [], expiring: [] });
});

test('tenants come with their plan, what they spent this month and what it includes', async () => {
  const { data } = await read('/api/tenant-figures');
  expect(data).toHaveLength(2);
  expect(data.find(({ id }: { id: string }) => id === who.tenantId)).toMatchObject({
    name: 'K',
    plan: 'studio',
    month: '2026-11',
    spent: { amount: '0.90' },
    included_usage: { amount: '10.00' },
    projects: 1,
  });
  expect((await read('/api/tenant-figures', 'org_admin')).data).toHaveLength(1);
  expect((await read('/api/tenant-figures', 'team_user')).data).toEqual([]);
});

test('the directory names what the caller knows', async () => {
  expect((await read('/api/directory', 'team_user')).projects).toMatchObject([{ id: TEAM }]);
  expect(await read('/api/directory', 'internal_user')).toEqual({ tenants: [], projects: [] });
});

test('the limits of a key come level by level with what is used of them now', async () => {
  const { levels } = await read(`/api/keys/${keyId}/limits`, 'org_admin');
  expect(levels).toMatchObject([
    {
      level: 'key',
      limits: { budget: { amount: '1.00', window: '1mo' } },
      last_minute: { requests: 1 },
      spent: { amount: '0.90' },
      resets_at: '2026-11-30T23:00:00.000Z',
    },
    { level: 'project', id: TEAM },
    { level: 'tenant', id: who.tenantId, limits: { requests_per_minute: 1_000 }, spent: null },
  ]);
  expect(
    (await admin.call({ url: `/api/keys/${keyId}/limits`, bearer: who.keys.internal_user })).status,
  ).toBe(404);
});
