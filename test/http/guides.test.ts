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
});
