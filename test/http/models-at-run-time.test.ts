import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Admin, startAdmin } from '../support/admin.ts';
import { type People, people } from '../support/people.ts';

const CANARY = 'sk-upstream-canary-2f1d';
const PARAMS = {
  model: 'openai/gpt-4o-mini',
  api_base: 'https://upstream.example/v1',
  api_key: CANARY,
  extra_headers: { 'x-canary': CANARY },
  input_cost_per_token: 1.5e-7,
};
let admin: Admin;
let who: People;
beforeAll(async () => {
  admin = await startAdmin();
  who = await people(admin);
});
afterAll(() => admin?.close());

const add = (id: string, params: object = {}, headers: Record<string, string> = {}) =>
  admin.call({
    url: '/model/new',
    body: { model_name: 'mini', litellm_params: { ...PARAMS, ...params }, model_info: { id, mode: 'chat' } },
    headers,
  });
const patch = (id: string, body: object) => admin.call({ method: 'PATCH', url: `/model/${id}/update`, body });
const sealedOf = async (id: string) =>
  (await admin.db.selectFrom('models').select('sealed').where('model_id', '=', id).executeTakeFirstOrThrow())
    .sealed!;

describe('a model that is added', () => {
  test('is shown without its credentials, which are nowhere in clear', async () => {
    const { status, body } = await add('added');
    expect(status).toBe(200);
    expect(body).toMatchObject({
      model_id: 'added',
      model_name: 'mini',
      litellm_params: { model: 'openai/gpt-4o-mini', input_cost_per_token: 1.5e-7 },
      model_info: { id: 'added', db_model: true, mode: 'chat' },
      created_by: 'default_user_id',
    });
    expect(JSON.stringify(body)).not.toContain('canary');
    for (const table of ['events', 'models']) {
      const { rows } = await admin.pool.query(`select t::text as row from ${table} t`);
      expect(rows.filter(({ row }: { row: string }) => row.includes(CANARY))).toEqual([]);
    }
    expect(admin.deps.credentials.open('added', await sealedOf('added'))).toEqual({
      api_key: CANARY,
      extra_headers: { 'x-canary': CANARY },
    });
  });

  test('is added once, and again by the same request', async () => {
    const headers = { 'idempotency-key': 'model-once' };
    const first = await add('once', {}, headers);
    expect((await add('once', {}, headers)).body).toEqual(first.body);
    expect(await add('once')).toMatchObject({ status: 400, body: { error: { reason: 'model_exists' } } });
    const taken = await add('demo-small at upstream');
    expect(taken).toMatchObject({ status: 422 });
  });

  test.each([
    [{ model: null }, 'litellm_params.model'],
    [{ api_base: null }, 'litellm_params.api_base'],
    [{ api_base: `https://u:${CANARY}@upstream.example` }, 'litellm_params.api_base'],
    [{ api_key: { canary: CANARY } }, 'litellm_params.api_key'],
    [{ output_cost_per_token: CANARY }, 'litellm_params.output_cost_per_token'],
  ])('is refused when it cannot be served, without a word of what was sent: %j', async (params, param) => {
    const { status, body } = await add('wrong', params);
    expect(status).toBe(422);
    expect(body.error.param).toBe(param);
    expect(JSON.stringify(body)).not.toContain('canary');
  });

  test('is nothing for others to add, change or remove', async () => {
    await add('mine');
    for (const person of ['org_admin', 'internal_user', 'team_admin', 'proxy_admin_viewer', 'key'] as const) {
      const bearer = who.keys[person];
      const calls = [
        { url: '/model/new', body: { model_name: 'x', litellm_params: PARAMS } },
        { url: '/model/update', body: { model_info: { id: 'mine' } } },
        { method: 'PATCH' as const, url: '/model/mine/update', body: {} },
        { url: '/model/delete', body: { id: 'mine' } },
      ];
      for (const call of calls) expect((await admin.call({ ...call, bearer })).status, person).toBe(403);
    }
  });
});

describe('a model that is changed', () => {
  test('keeps what is not named and loses what is null', async () => {
    await add('change', { rpm: 5, tpm: 100 });
    const changed = await patch('change', {
      litellm_params: { rpm: 7, tpm: null, output_cost_per_token: 3e-6 },
      model_info: { mode: null, tier: 'free' },
    });
    expect(changed.body.litellm_params).toEqual({
      model: 'openai/gpt-4o-mini',
      api_base: 'https://upstream.example/v1',
      input_cost_per_token: 1.5e-7,
      output_cost_per_token: 3e-6,
      rpm: 7,
    });
    expect(changed.body.model_info).toEqual({ id: 'change', db_model: true, tier: 'free' });
    expect(admin.deps.credentials.open('change', await sealedOf('change'))).toMatchObject({
      api_key: CANARY,
    });
  });

  test('has other credentials when they are named, and writes nothing when nothing changes', async () => {
    await add('renewed');
    const before = await sealedOf('renewed');
    const head = await admin.store.head();
    await patch('renewed', { litellm_params: { input_cost_per_token: 1.5e-7 } });
    expect(await admin.store.head()).toBe(head);
    expect(await sealedOf('renewed')).toBe(before);
    const body = {
      model_info: { id: 'renewed' },
      litellm_params: { api_key: 'sk-next', extra_headers: null },
    };
    expect((await admin.call({ url: '/model/update', body })).status).toBe(200);
    expect(admin.deps.credentials.open('renewed', await sealedOf('renewed'))).toEqual({ api_key: 'sk-next' });
  });

  test('is there, and none of the configuration', async () => {
    expect((await patch('nobody', {})).status).toBe(404);
    expect((await admin.call({ url: '/model/update', body: {} })).status).toBe(400);
    const configured = encodeURIComponent('demo-small at upstream');
    expect((await patch(configured, {})).status).toBe(422);
  });
});

describe('what somebody sees of the models', () => {
  test('is what they may use, at what they pay, and not where it comes from', async () => {
    const key = (await admin.call({ url: '/key/generate', body: { models: ['demo-small'] } })).body.key;
    const own = (await admin.call({ url: '/model/info', bearer: key })).body.data;
    expect(own).toHaveLength(1);
    expect(own[0]).toMatchObject({
      model_name: 'demo-small',
      model_info: { input_cost_per_token: 1e-6, output_cost_per_token: 2e-6, db_model: false },
    });
    expect(JSON.stringify(own)).not.toContain('upstream.example');
    const all = (await admin.call({ url: '/v2/model/info?size=2&page=2' })).body;
    expect(all).toMatchObject({ total_count: 4, total_pages: 2, current_page: 2, size: 2 });
    expect(all.data[0].litellm_params.api_base).toBe('https://upstream.example/v1');
    const groups = (await admin.call({ url: '/model_group/info', bearer: key })).body.data;
    expect(groups.map((group: { model_group: string }) => group.model_group)).toEqual(['demo-small']);
    expect((await admin.call({ url: '/model/info?litellm_model_id=x', bearer: key })).status).toBe(400);
  });
});
