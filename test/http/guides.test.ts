import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Admin, MASTER_KEY, startAdmin } from '../support/admin.ts';

/**
 * The requests of the guides that people follow, as they are written there: same paths, bodies and
 * headers. `<key>` stands for the key that was generated last.
 */
let admin: Admin;
beforeAll(async () => {
  admin = await startAdmin();
  await admin.call({ url: '/team/new', body: { team_id: 'team-engineering' } });
});
afterAll(() => admin?.close());

const JSON_HEADER = { 'content-type': 'application/json' };
/** What curl sends with -d and no header of its own. */
const FORM_HEADER = { 'content-type': 'application/x-www-form-urlencoded' };

interface GuideRequest {
  readonly name: string;
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly answers: object;
}

const setUp: readonly GuideRequest[] = [
  { name: 'list the models', method: 'GET', url: '/v1/models', answers: { object: 'list' } },
  {
    name: 'create a virtual key',
    method: 'POST',
    url: '/key/generate',
    headers: JSON_HEADER,
    body: `{
"models": ["YOUR_MODEL_ID"],
"key_alias": "team-a-prod",
"metadata": {"owner": "team-a"},
"tpm_limit": 120000,
"rpm_limit": 300,
"max_budget": 250
}`,
    answers: {
      models: ['YOUR_MODEL_ID'],
      key_alias: 'team-a-prod',
      metadata: { owner: 'team-a' },
      tpm_limit: 120_000,
      rpm_limit: 300,
      max_budget: 250,
    },
  },
  {
    name: 'inspect it',
    method: 'GET',
    url: '/key/info?key=<key>',
    answers: { info: { key_alias: 'team-a-prod', spend: 0 } },
  },
  {
    name: 'block it',
    method: 'POST',
    url: '/key/block',
    headers: JSON_HEADER,
    body: '{"key":"<key>"}',
    answers: { blocked: true },
  },
  {
    name: 'unblock it',
    method: 'POST',
    url: '/key/unblock',
    headers: JSON_HEADER,
    body: '{"key":"<key>"}',
    answers: { blocked: false },
  },
  {
    name: 'delete it',
    method: 'POST',
    url: '/key/delete',
    headers: JSON_HEADER,
    body: '{"keys":["<key>"]}',
    answers: { failed_keys: [] },
  },
  {
    name: 'generate its replacement',
    method: 'POST',
    url: '/key/generate',
    headers: JSON_HEADER,
    body: `{
"models": ["YOUR_MODEL_ID"],
"key_alias": "team-a-prod-v2",
"metadata": {"owner": "team-a"}
}`,
    answers: { key_alias: 'team-a-prod-v2', max_budget: null },
  },
  {
    name: 'revoke that for ever',
    method: 'POST',
    url: '/key/delete',
    headers: JSON_HEADER,
    body: '{"keys":["<key>"]}',
    answers: { failed_keys: [] },
  },
];

const practices: readonly GuideRequest[] = [
  {
    name: 'a key that expires on a date',
    method: 'POST',
    url: '/key/generate',
    headers: JSON_HEADER,
    body: `{
    "models": ["gpt-4o", "claude-3-5-sonnet"],
    "max_budget": 25.50,
    "budget_duration": "30d",
    "rpm_limit": 100,
    "tpm_limit": 200000,
    "expires": "2026-12-31",
    "metadata": {"team": "frontend", "project": "chatbot-v2"}
  }`,
    answers: { max_budget: 25.5, expires: '2026-12-31T23:00:00.000Z', budget_duration: '30d' },
  },
];

const contract: readonly GuideRequest[] = [
  {
    name: 'a basic key',
    method: 'POST',
    url: '/key/generate',
    headers: JSON_HEADER,
    body: `{
    "key_alias": "my-app-key",
    "max_budget": 100.0,
    "budget_duration": "30d",
    "models": ["gpt-4", "claude-3"],
    "metadata": {"app": "my-application"}
}`,
    answers: {
      key_alias: 'my-app-key',
      max_budget: 100,
      budget_duration: '30d',
      budget_reset_at: '2026-11-30T23:00:00.000Z',
    },
  },
  {
    name: 'a key of a team',
    method: 'POST',
    url: '/key/generate',
    headers: JSON_HEADER,
    body: `{
    "team_id": "team-engineering",
    "user_id": "user-123",
    "rpm_limit": 100,
    "tpm_limit": 50000,
    "max_budget": 50.0,
    "duration": "30d"
}`,
    answers: { team_id: 'team-engineering', user_id: 'user-123', expires: '2026-12-20T10:00:00.000Z' },
  },
  {
    name: 'a key that rotates by itself',
    method: 'POST',
    url: '/key/generate',
    headers: JSON_HEADER,
    body: `{
    "key_alias": "rotating-key",
    "auto_rotate": true,
    "rotation_interval": "90d",
    "max_budget": 200.0
}`,
    answers: { auto_rotate: true, rotation_interval: '90d', key_rotation_at: '2027-02-18T10:00:00.000Z' },
  },
];

const early: readonly GuideRequest[] = [
  {
    name: 'a temporary key, sent by curl without a content type',
    method: 'POST',
    url: '/key/generate',
    headers: FORM_HEADER,
    body: '{"models": ["gpt-3.5-turbo", "gpt-4", "claude-2"], "duration": "20m"}',
    answers: { expires: '2026-11-20T10:20:00.000Z' },
  },
  {
    name: 'a key with an alias for a model',
    method: 'POST',
    url: '/key/generate',
    headers: JSON_HEADER,
    body: `{
	"models": ["my-free-tier"], 
	"aliases": {"gpt-3.5-turbo": "my-free-tier"}, 
	"duration": "30min"
}`,
    answers: { aliases: { 'gpt-3.5-turbo': 'my-free-tier' }, expires: '2026-11-20T10:30:00.000Z' },
  },
  {
    name: 'its spend',
    method: 'GET',
    url: '/key/info?key=<key>',
    answers: { info: { spend: 0, config: {}, aliases: { 'gpt-3.5-turbo': 'my-free-tier' } } },
  },
];

let key = '';

describe.each([
  ['setting up a reseller', setUp],
  ['best practices', practices],
  ['the contract of key generation', contract],
  ['early key management', early],
])('the guide to %s', (_guide, requests) => {
  test.each(requests)('$name', async ({ method, url, headers = {}, body, answers }) => {
    const answer = await admin.app.inject({
      method,
      url: url.replace('<key>', key),
      headers: { authorization: `Bearer ${MASTER_KEY}`, ...headers },
      ...(body === undefined ? {} : { payload: body.replace('<key>', key) }),
    });
    expect(answer.statusCode, answer.body).toBe(200);
    expect(answer.json()).toMatchObject(answers);
    if (url === '/key/generate') key = answer.json<{ key: string }>().key;
  });
});

describe('the operator', () => {
  test('finds its key by alias, reads it by hash, raises the budget and deletes it', async () => {
    const made = await admin.call({
      url: '/key/generate',
      body: { key_alias: 'example-service', models: ['gpt-4o'], max_budget: 10, budget_duration: '1h' },
    });
    expect(made.body.litellm_budget_table).toBeNull();
    const [hash] = (await admin.call({ url: '/key/list?key_alias=example-service' })).body.keys;
    expect((await admin.call({ url: `/key/info?key=${hash}` })).body.info.max_budget).toBe(10);
    const raised = await admin.call({ url: '/key/update', body: { key: hash, max_budget: 200 } });
    expect(raised.body).toMatchObject({ key: hash, max_budget: 200, budget_duration: '1h' });
    const gone = await admin.call({ url: '/key/delete', body: { key_aliases: ['example-service'] } });
    expect(gone.body.deleted_keys).toEqual(['example-service']);
  });

  /** What its structs decode: a number stays a number, a moment is a text, and no field of another type breaks it. */
  const NUMBERS = ['spend', 'max_budget', 'tpm_limit', 'rpm_limit', 'max_parallel_requests'];
  const TEXTS = [
    'key',
    'key_alias',
    'key_name',
    'token',
    'token_id',
    'team_id',
    'team_alias',
    'user_id',
    'user_email',
    'user_role',
    'organization_id',
    'budget_duration',
    'budget_reset_at',
    'created_at',
    'updated_at',
    'expires',
    'litellm_budget_table',
  ];
  function expectTypes(record: Record<string, unknown>, wanted: readonly string[]): void {
    expect(Object.keys(record)).toEqual(expect.arrayContaining([...wanted]));
    for (const [names, type] of [
      [NUMBERS, 'number'],
      [TEXTS, 'string'],
    ] as const)
      for (const name of names)
        if (record[name] != null) expect([name, typeof record[name]]).toEqual([name, type]);
    if (record['models'] !== undefined) expect(record['models']).toBeInstanceOf(Array);
  }
  const done = async (request: Parameters<Admin['call']>[0]) => {
    const answer = await admin.call(request);
    expect([request.url, answer.status]).toEqual([request.url, 200]);
    return answer.body;
  };

  test('makes, finds, changes and deletes a team, a user, a key and a model, in types that it can decode', async () => {
    for (const url of ['/health/liveness', '/health/readiness']) await done({ url, bearer: null });

    const limits = { max_budget: 10, budget_duration: '30d', tpm_limit: 1_000, rpm_limit: 10 };
    const team = { team_id: 'op-team', team_alias: 'Operator', models: ['demo-small'], ...limits };
    expectTypes(await done({ url: '/team/new', body: team }), [
      'team_id',
      'team_alias',
      'models',
      'max_budget',
    ]);
    const changed = await done({ url: '/team/update', body: { team_id: 'op-team', max_budget: 20 } });
    expect(changed).toMatchObject({ team_id: 'op-team', data: { max_budget: 20, rpm_limit: 10 } });

    const person = { user_email: 'op@kunde.example', user_alias: 'Op', user_role: 'internal_user' };
    const user = await done({ url: '/user/new', body: { ...person, auto_create_key: false, max_budget: 5 } });
    expectTypes(user, ['user_id', 'user_email', 'user_role', 'max_budget']);
    const { user_id } = user;
    const { users } = await done({ url: '/user/list?user_email=op@kunde.example' });
    expect(users).toMatchObject([{ user_id }]);
    await done({ url: '/user/update', body: { user_id, max_budget: 6 } });
    expect((await done({ url: `/user/info?user_id=${user_id}` })).user_info.max_budget).toBe(6);

    const member = { role: 'user', user_id };
    await done({ url: '/team/member_add', body: { team_id: 'op-team', member, max_budget_in_team: 2 } });
    const { team_info } = await done({ url: '/team/info?team_id=op-team' });
    expect(team_info.members_with_roles).toContainEqual(expect.objectContaining(member));

    const fields = { key_alias: 'op-key', team_id: 'op-team', user_id, duration: '30d', ...limits };
    const key = await done({ url: '/key/generate', body: fields });
    expectTypes(key, ['key', 'token', 'key_alias', 'max_budget', 'expires', 'litellm_budget_table']);
    expect(key.litellm_budget_table).toBeNull();
    const { keys } = await done({ url: '/key/list?key_alias=op-key' });
    expect(keys).toEqual([key.token]);
    const { info } = await done({ url: `/key/info?key=${keys[0]}` });
    expectTypes(info, ['key_alias', 'spend', 'max_budget', 'team_id', 'user_id', 'expires']);
    await done({ url: '/key/update', body: { key: key.token, max_budget: 4, rpm_limit: 5 } });
    for (const verb of ['block', 'unblock'])
      expect((await done({ url: `/key/${verb}`, body: { key: key.token } })).blocked).toBe(verb === 'block');
    for (const verb of ['block', 'unblock'])
      expect((await done({ url: `/team/${verb}`, body: { team_id: 'op-team' } })).blocked).toBe(
        verb === 'block',
      );

    const litellm_params = { model: 'openai/op', api_base: 'https://up.example/v1', api_key: 'k', rpm: 3 };
    const model = await done({ url: '/model/new', body: { model_name: 'op-model', litellm_params } });
    expect(typeof model.model_id).toBe('string');
    const patch = { litellm_params: { rpm: 4 } };
    await done({ method: 'PATCH', url: `/model/${model.model_id}/update`, body: patch });
    // What the gateway serves; that it serves a new model is seen in the conformance suite.
    const served = `litellm_model_id=${encodeURIComponent('demo-small at upstream')}`;
    for (const url of [`/model/info?${served}`, `/model?${served}`])
      expect((await done({ url })).data, url).toMatchObject([{ model_name: 'demo-small' }]);

    await done({ url: '/model/delete', body: { id: model.model_id } });
    expect((await done({ url: '/key/delete', body: { keys: [key.token] } })).deleted_keys).toEqual([
      key.token,
    ]);
    await done({ url: '/team/member_delete', body: { team_id: 'op-team', user_id } });
    expect(await done({ url: '/user/delete', body: { user_ids: [user_id] } })).toBe(1);
    await done({ url: '/team/delete', body: { team_ids: ['op-team'] } });
  });
});
