import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { rotateDueKeys } from '../../src/http/rotate-due.ts';
import { type Admin, START, startAdmin } from '../support/admin.ts';
import { people, type People } from '../support/people.ts';

let admin: Admin;
let who: People;
beforeAll(async () => {
  admin = await startAdmin();
  who = await people(admin);
});
afterAll(() => admin?.close());

const post = (url: string, body: object, headers: Record<string, string> = {}, bearer?: string) =>
  admin.call({ url, body, headers, ...(bearer === undefined ? {} : { bearer }) });
const generate = async (fields: object = {}) => {
  const answer = await post('/key/generate', fields);
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer.body;
};
const info = async (key: string) => (await admin.call({ url: `/key/info?key=${key}` })).body.info;
const row = (keyId: string) =>
  admin.db.selectFrom('keys').selectAll().where('key_id', '=', keyId).executeTakeFirstOrThrow();

describe('limits beyond the usual ones', () => {
  const fields = {
    soft_budget: 0.5,
    budget_limits: [
      { budget_duration: '30s', max_budget: 0.000003 },
      { budget_duration: '1d', max_budget: 1 },
    ],
    model_max_budget: { 'demo-small': { budget_limit: 0.1, time_period: '1d', rpm_limit: 3 } },
    model_tpm_limit: { 'demo-large': 1_000 },
    enforced_params: ['user'],
    rpm_limit_type: 'best_effort_throughput',
    temp_budget_increase: 2,
    temp_budget_expiry: '2026-12-01T00:00:00Z',
  };

  test('are resolved in the read model that decides about calls, exactly', async () => {
    const key = await generate(fields);
    expect(await row(key.key_id)).toMatchObject({
      soft_budget_nanos: 500_000_000n,
      budgets: [
        { nanos: '3000', window: '30s' },
        { nanos: '1000000000', window: '1d' },
      ],
      model_limits: {
        'demo-small': {
          requestsPerMinute: 3,
          tokensPerMinute: null,
          budget: { nanos: '100000000', window: '1d' },
        },
        'demo-large': { requestsPerMinute: null, tokensPerMinute: 1_000, budget: null },
      },
      enforced_params: ['user'],
      requests_kind: 'best_effort_throughput',
      temporary_nanos: 2_000_000_000n,
      temporary_until: '2026-12-01T00:00:00.000Z',
    });
    const shown = await info(key.key);
    const { budget_limits: _, ...echoed } = fields;
    expect(shown).toMatchObject(echoed);
    expect(shown.budget_limits).toEqual([
      { budget_duration: '30s', max_budget: 0.000003, reset_at: '2026-11-20T10:00:30.000Z' },
      { budget_duration: '1d', max_budget: 1, reset_at: '2026-11-20T23:00:00.000Z' },
    ]);
  });

  test('change one by one, and null clears', async () => {
    const key = await generate(fields);
    await post('/key/update', {
      key: key.key,
      model_tpm_limit: null,
      soft_budget: null,
      enforced_params: null,
    });
    expect(await row(key.key_id)).toMatchObject({
      soft_budget_nanos: null,
      enforced_params: [],
      model_limits: { 'demo-small': { requestsPerMinute: 3 } },
    });
    await post('/key/update', { key: key.key, budget_limits: null, model_max_budget: {} });
    expect(await row(key.key_id)).toMatchObject({ budgets: [], model_limits: {} });
  });

  test.each([
    ['model_max_budget', { m: { budget_limit: -1 } }],
    ['model_max_budget', { m: 'much' }],
    ['model_max_budget', { m: { budget_limit: 1, time_period: 'month' } }],
    ['model_rpm_limit', { m: -1 }],
    ['budget_limits', [{ budget_duration: '1d' }]],
  ])('are refused when they make no sense: %s', async (field, value) => {
    const answer = await post('/key/generate', { [field]: value });
    expect(answer).toMatchObject({ status: 400, body: { error: { param: field } } });
  });
});

describe('a key that carries a shared budget', () => {
  test('has its limits, shows it, and follows it', async () => {
    await post('/budget/new', { budget_id: 'tier', max_budget: 5, budget_duration: '30d', rpm_limit: 9 });
    const key = await generate({ budget_id: 'tier', rpm_limit: 2 });
    expect(key).toMatchObject({
      budget_id: 'tier',
      max_budget: 5,
      rpm_limit: 2,
      litellm_budget_table: { rpm_limit: 9 },
    });
    const body = { budget_id: 'tier', max_budget: 7, budget_duration: '1d' };
    const changed = await post('/budget/update', body);
    expect(changed.body.not_applied).toEqual([]);
    expect(await info(key.key)).toMatchObject({
      max_budget: 7,
      budget_duration: '1d',
      rpm_limit: 2,
      litellm_budget_table: { max_budget: 7 },
    });
    expect((await post('/key/generate', { budget_id: 'none' })).status).toBe(400);
    await post('/key/update', { key: key.key, budget_id: null });
    await post('/budget/update', { budget_id: 'tier', max_budget: 1 });
    expect(await info(key.key)).toMatchObject({ budget_id: null, max_budget: 7, litellm_budget_table: null });
  });
});

describe('guaranteed throughput', () => {
  test('is never promised twice, also to keys that are made at once', async () => {
    const { team_id } = (await post('/team/new', { rpm_limit: 100 })).body;
    const wanted = { team_id, rpm_limit_type: 'guaranteed_throughput' };
    const first = await generate({ ...wanted, rpm_limit: 60 });
    const refused = await post('/key/generate', { ...wanted, rpm_limit: 50 });
    expect(refused.status).toBe(400);
    expect(refused.body.error.message).toMatch(/greater than the team RPM limit/);
    const racing = await Promise.all(
      Array.from({ length: 4 }, () => post('/key/generate', { ...wanted, rpm_limit: 30 })),
    );
    expect(racing.filter(({ status }) => status === 200)).toHaveLength(1);
    expect((await post('/key/update', { key: first.key, rpm_limit: 71 })).status).toBe(400);
    expect((await post('/key/update', { key: first.key, rpm_limit: 70 })).status).toBe(200);
  });
});

describe('many keys at once', () => {
  test('are changed each for itself', async () => {
    const keys = [await generate(), await generate()];
    const answer = await post('/key/bulk_update', {
      keys: [
        ...keys.map(({ key }) => ({ key, max_budget: 3 })),
        { key: 'sk-0123456789abcdef', max_budget: 3 },
      ],
    });
    expect(answer.body.total_requested).toBe(3);
    expect(answer.body.successful_updates).toMatchObject(
      keys.map(({ key }) => ({ key, key_info: { max_budget: 3 } })),
    );
    expect(answer.body.failed_updates).toMatchObject([
      { failed_reason: 'Key not found in database', key_info: null },
    ]);
    const many = Array.from({ length: 501 }, () => ({ key: 'sk-0123456789abcdef' }));
    for (const sent of [[], many]) expect((await post('/key/bulk_update', { keys: sent })).status).toBe(400);
    const denied = await post('/key/bulk_update', { keys: [{ key: keys[0].key }] }, {}, who.keys.key);
    expect(denied.status).toBe(403);
  });
});

describe('the spend of a key', () => {
  test('is corrected by an administrator, with an event, and goes down no further than asked', async () => {
    const key = await generate({ max_budget: 5 });
    await post('/key/update', { key: key.key, spend: 4 });
    expect(await info(key.key)).toMatchObject({ spend: 4 });
    const reset = (reset_to: number, bearer?: string) =>
      post(`/key/${key.token}/reset_spend`, { reset_to }, {}, bearer);
    expect((await reset(-1)).status).toBe(400);
    expect((await reset(4.5)).status).toBe(400);
    expect((await reset(1, who.keys.internal_user)).status).toBe(403);
    expect((await reset(1)).body).toMatchObject({
      key_hash: key.token,
      spend: 1,
      previous_spend: 4,
      max_budget: 5,
    });
    expect(await info(key.key)).toMatchObject({ spend: 1 });
    const types: string[] = [];
    for await (const { event } of admin.store.readStream(`key-${key.key_id}`)) types.push(event.type);
    expect(types).toEqual(['key.generated', 'key.spend-adjusted', 'key.spend-adjusted']);
    expect((await post('/key/x/reset_spend', { reset_to: 0 })).status).toBe(404);
    expect((await generate({ spend: 2 })).spend).toBe(2);
  });

  test('is nothing that a user can set', async () => {
    const own = await post('/key/generate', { spend: 0.5 }, {}, who.keys.internal_user);
    expect(own).toMatchObject({ status: 403, body: { error: { param: 'spend' } } });
  });
});

describe('a key that rotates by itself', () => {
  const options = { grace: '7d', keysMax: 100 };

  test('gets a new secret when it is due, once, and whoever holds the old one can ask for it', async () => {
    const key = await generate({ auto_rotate: true, rotation_interval: '90d' });
    expect(key.key_rotation_at).toBe('2027-02-18T10:00:00.000Z');
    expect(await rotateDueKeys(admin.deps, { ...options, now: '2027-02-18T09:59:59.999Z' })).toEqual([]);
    const now = '2027-02-18T10:00:00.000Z';
    admin.setNow(now);
    const both = await Promise.all([1, 2].map(() => rotateDueKeys(admin.deps, { ...options, now })));
    expect(both[0]).toEqual([key.key_id]);
    await admin.deps.settled(await admin.store.head());
    expect(await info(key.key)).toMatchObject({
      rotation_count: 1,
      key_rotation_at: '2027-05-19T10:00:00.000Z',
    });
    const asked = await post('/key/rotated', {}, {}, key.key);
    expect(asked.status).toBe(200);
    expect(asked.body.key).not.toBe(key.key);
    expect((await admin.call({ url: '/v1/models', bearer: asked.body.key })).status).toBe(200);
    expect((await admin.call({ url: '/v1/models', bearer: key.key })).status).toBe(200);
    expect((await post('/key/rotated', {}, {}, asked.body.key)).status).toBe(409);
    admin.setNow('2027-02-25T10:00:00.000Z');
    expect((await post('/key/rotated', {}, {}, key.key)).status).toBe(401);
    admin.setNow(START);
  });

  test('stays as it is when it is blocked, deleted, or no longer wants to', async () => {
    const [blocked, deleted, unwilling] = await Promise.all(
      [1, 2, 3].map(() => generate({ auto_rotate: true, rotation_interval: '1d' })),
    );
    await post('/key/block', { key: blocked.key });
    await post('/key/delete', { keys: [deleted.key] });
    await post('/key/update', { key: unwilling.key, auto_rotate: false });
    expect(await info(unwilling.key)).toMatchObject({ auto_rotate: false, key_rotation_at: null });
    expect(await rotateDueKeys(admin.deps, { ...options, now: '2026-11-25T10:00:00.000Z' })).toEqual([]);
  });

  test('that was rotated by hand tells nobody its new secret', async () => {
    const key = await generate();
    await post('/key/regenerate', { key: key.key, grace_period: '1d' });
    expect((await post('/key/rotated', {}, {}, key.key)).status).toBe(409);
  });
});
