import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openDatabase } from '../../src/database.ts';
import type { Tables } from '../../src/http/read.ts';
import { ErrorAnswer } from '../../src/http/schemas.ts';
import { type Admin, MASTER_KEY, startAdmin } from '../support/admin.ts';

let admin: Admin;
let head: bigint;

beforeAll(async () => {
  admin = await startAdmin();
  head = await admin.store.head();
});
afterAll(() => admin?.close());

const nested = (depth: number): string => `{"metadata": ${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}}`;
const tenant = {
  name: 'Kunde',
  plan: 'studio',
  billing: { name: 'K', street: 's', postal_code: '1', city: 'c', country: 'DE', email: 'a@b.example' },
  projects: [{ name: 'Shop' }],
};

const cases: readonly (readonly [
  name: string,
  url: string,
  body: object | string,
  status: number,
  reason: string,
  loc?: string,
])[] = [
  ['malformed JSON', '/key/generate', '{"max_budget": ', 400, 'malformed_json'],
  ['a prototype in JSON', '/key/generate', '{"metadata": {"__proto__": {"x": 1}}}', 400, 'malformed_json'],
  ['a list instead of an object', '/key/generate', [], 422, 'invalid_input', 'body'],
  ['a text instead of an object', '/key/generate', '"text"', 422, 'invalid_input', 'body'],
  ['no body', '/key/generate', '', 422, 'invalid_input', 'body'],
  ['a word for an amount', '/key/generate', { max_budget: 'abc' }, 422, 'invalid_input', 'body.max_budget'],
  [
    'an amount beyond everything',
    '/key/generate',
    { max_budget: 1e300 },
    422,
    'invalid_input',
    'body.max_budget',
  ],
  ['a text for a list', '/key/generate', { models: 'demo-small' }, 422, 'invalid_input', 'body.models'],
  [
    'a number in a list of texts',
    '/key/generate',
    { models: ['a', 7] },
    422,
    'invalid_input',
    'body.models.1',
  ],
  ['a broken count', '/key/generate', { rpm_limit: 1.5 }, 422, 'invalid_input', 'body.rpm_limit'],
  ['a number for a duration', '/key/generate', { duration: 30 }, 422, 'invalid_input', 'body.duration'],
  ['NUL', '/key/generate', { key_alias: 'a\0b' }, 422, 'invalid_input'],
  ['NUL in a name', '/key/generate', { metadata: { 'a\0': 1 } }, 422, 'invalid_input'],
  ['half of a surrogate pair', '/key/generate', '{"metadata": {"note": "\\ud800"}}', 422, 'invalid_input'],
  ['deep JSON', '/key/generate', nested(40), 422, 'invalid_input'],
  ['JSON deeper than any stack', '/key/generate', nested(100_000), 400, 'malformed_json'],
  ['a negative budget', '/key/generate', { max_budget: -1 }, 400, 'bad_request'],
  ['a negative soft budget', '/key/generate', { soft_budget: -0.5 }, 400, 'bad_request'],
  ['a negative limit', '/key/generate', { tpm_limit: -1 }, 400, 'bad_request'],
  ['an unknown unit', '/key/generate', { duration: '5x' }, 400, 'bad_request'],
  ['a duration without unit', '/key/generate', { duration: '30' }, 400, 'bad_request'],
  ['a window that is none', '/key/generate', { max_budget: 1, budget_duration: 'month' }, 400, 'bad_request'],
  ['a day that does not exist', '/key/generate', { expires: '2026-02-30' }, 400, 'bad_request'],
  ['an expiry in the past', '/key/generate', { expires: '2026-01-01' }, 400, 'bad_request'],
  ['two expiries', '/key/generate', { expires: '2027-01-01', duration: '1d' }, 400, 'bad_request'],
  ['rotation without an interval', '/key/generate', { auto_rotate: true }, 400, 'bad_request'],
  ['half of a temporary budget', '/key/generate', { temp_budget_increase: 5 }, 422, 'invalid_input'],
  [
    'an environment that is none',
    '/key/generate',
    { environment: 'moon' },
    422,
    'invalid_input',
    'body.environment',
  ],
  [
    'an alias without end',
    '/key/generate',
    { key_alias: 'x'.repeat(256) },
    422,
    'invalid_input',
    'body.key_alias',
  ],
  [
    'an organization that is not the team’s',
    '/key/generate',
    { organization_id: 'ten_x' },
    400,
    'bad_request',
  ],
  ['no keys', '/v2/key/info', {}, 422, 'invalid_input', 'body.keys'],
  ['an unknown plan', '/api/tenants', { ...tenant, plan: 'gold' }, 400, 'bad_request'],
  ['an unknown agency', '/api/tenants', { ...tenant, agency_id: 'age_x' }, 400, 'bad_request'],
  ['a field that we do not know', '/api/tenants', { ...tenant, colour: 'red' }, 422, 'invalid_input'],
  [
    'a country that is no code',
    '/api/tenants',
    { ...tenant, billing: { ...tenant.billing, country: 'Germany' } },
    422,
    'invalid_input',
    'body.billing.country',
  ],
  [
    'an address that is none',
    '/api/tenants',
    { ...tenant, billing: { ...tenant.billing, email: 'nobody' } },
    422,
    'invalid_input',
    'body.billing.email',
  ],
  [
    'a project without a name',
    '/api/tenants',
    { ...tenant, projects: [{ name: ' ' }] },
    422,
    'invalid_input',
    'body.projects.0.name',
  ],
  ['a project of nobody', '/api/projects', { tenant_id: 'ten_x', name: 'Shop' }, 404, 'not_found'],
  [
    'a project id with blanks',
    '/api/projects',
    { tenant_id: 'ten_own', name: 'Shop', id: 'a b' },
    422,
    'invalid_input',
    'body.id',
  ],
  ['a team id with a slash', '/team/new', { team_id: 'a/b' }, 422, 'invalid_input', 'body.team_id'],
  ['a team of nobody', '/team/new', { organization_id: 'ten_x' }, 404, 'not_found'],
  ['a month that is none', '/api/invoice-runs', { period: '2026-13' }, 422, 'invalid_input', 'body.period'],
  ['an agency of nobody', '/api/invoice-runs', { period: '2026-11', agency_id: 'age_x' }, 404, 'not_found'],
];

describe('bad input', () => {
  const named = cases.map(([name, url, body, status, reason, loc]) => ({
    name,
    url,
    body,
    status,
    reason,
    loc,
  }));
  test.each(named)(
    '$name to $url is refused and leaves nothing behind',
    async ({ url, body, status, reason, loc }) => {
      const answer = await admin.call({ method: 'POST', url, body });
      expect(answer.status, JSON.stringify(answer.body)).toBe(status);
      expect(ErrorAnswer.safeParse(answer.body).success).toBe(true);
      expect(answer.body.error).toMatchObject({ reason, code: String(status) });
      expect(Array.isArray(answer.body.detail)).toBe(status === 422);
      if (loc !== undefined) expect(answer.body.detail[0].loc.join('.')).toBe(loc);
      expect(await admin.store.head()).toBe(head);
    },
  );

  test('every fault is named, not only the first', async () => {
    const body = { max_budget: 'abc', rpm_limit: [], metadata: 7 };
    const answer = await admin.call({ url: '/key/generate', body });
    expect(answer.body.detail.map(({ loc }: { loc: string[] }) => loc[1]).toSorted()).toEqual([
      'max_budget',
      'metadata',
      'rpm_limit',
    ]);
  });

  test('a body beyond the limit is refused before it is read', async () => {
    const answer = await admin.call({
      url: '/key/generate',
      body: `{"metadata":{"x":"${'x'.repeat(2_000_000)}"}}`,
    });
    expect(answer).toMatchObject({
      status: 413,
      body: { error: { reason: 'body_too_large', detail: { limitBytes: 1_048_576 } } },
    });
  });

  test('a body of another type is refused', async () => {
    const answer = await admin.call({
      url: '/key/generate',
      body: '<a/>',
      headers: { 'content-type': 'text/xml' },
    });
    expect(answer).toMatchObject({ status: 415, body: { error: { reason: 'unsupported_media_type' } } });
  });

  test('an Idempotency-Key must be readable', async () => {
    const answer = await admin.call({
      url: '/key/generate',
      body: {},
      headers: { 'idempotency-key': 'x'.repeat(256) },
    });
    expect(answer).toMatchObject({ status: 422, body: { error: { param: 'idempotency-key' } } });
  });
});

describe('paths and methods', () => {
  test('an unknown path is 404, known or unknown caller', async () => {
    for (const bearer of [MASTER_KEY, null]) {
      const answer = await admin.call({ url: '/no/such/route', bearer });
      expect(answer).toMatchObject({ status: 404, body: { error: { reason: 'route_not_found' } } });
    }
  });

  test('another method is 405 and says which ones there are', async () => {
    const answer = await admin.call({ method: 'DELETE', url: '/key/generate' });
    expect(answer).toMatchObject({
      status: 405,
      body: { error: { reason: 'method_not_allowed' } },
      headers: { allow: 'POST' },
    });
    const options = await admin.call({ method: 'OPTIONS', url: '/api/tenants', bearer: null });
    expect(options).toMatchObject({ status: 204, headers: { allow: 'GET, HEAD, POST' } });
  });

  test('HEAD answers like GET without a body', async () => {
    const answer = await admin.call({ method: 'HEAD', url: '/key/list' });
    expect(answer).toMatchObject({ status: 200, body: '' });
    expect((await admin.call({ method: 'HEAD', url: '/key/list', bearer: null })).status).toBe(401);
  });

  test('a path that cannot be decoded is refused', async () => {
    const answer = await admin.call({ url: '/api/tenants/%E0%A4%A' });
    expect(answer).toMatchObject({ status: 400, body: { error: { reason: 'bad_request' } } });
  });

  test.each([
    '/api/tenants/ten_x',
    '/api/projects/prj_x',
    '/api/invoices/inv_x',
    '/api/audit/keys/key_x',
    '/team/info?team_id=x',
    '/v1/models/none',
  ])('%s does not exist', async (url) => {
    const answer = await admin.call({ url });
    expect(answer).toMatchObject({ status: 404, body: { error: { type: 'not_found_error' } } });
  });

  test.each([
    '/api/tenants?cursor=x',
    '/api/tenants?limit=0',
    '/api/projects?cursor=W10',
    '/api/invoices?cursor=WyIxIl0',
    '/api/invoices?period=2026',
  ])('%s is refused', async (url) => {
    expect((await admin.call({ url })).status).toBe(422);
  });
});

describe('what goes wrong here', () => {
  test('is answered with an id that is in the log, and nothing of its cause', async () => {
    const broken = await startAdmin({
      deps: {
        models: () => {
          throw new Error('the secret cause');
        },
      },
    });
    try {
      const answer = await broken.call({ url: '/v1/models' });
      expect(answer).toMatchObject({
        status: 500,
        body: { error: { reason: 'defect', type: 'internal_server_error' } },
      });
      expect(JSON.stringify(answer.body)).not.toContain('secret cause');
      expect(answer.body.error.id).toBe(answer.headers['x-request-id']);
      const line = broken.logged.find((line) => line.includes(answer.body.error.id));
      expect(line).toContain('the secret cause');
      expect(line).not.toContain(MASTER_KEY);
    } finally {
      await broken.close();
    }
  });

  test('a lost database is 503, also for keys, and readiness says so', async () => {
    const gone = openDatabase<Tables>({
      url: 'postgresql://nobody@127.0.0.1:1/none',
      poolMax: 1,
      applicationName: 'test',
    });
    const broken = await startAdmin({ deps: { db: gone.db } });
    try {
      const answers = await Promise.all([
        broken.call({ url: '/key/list' }),
        broken.call({ url: '/v1/models', bearer: 'sk-0123456789abcdef' }),
      ]);
      for (const answer of answers) {
        expect(answer).toMatchObject({
          status: 503,
          body: { error: { reason: 'database_unavailable', type: 'no_db_connection' } },
        });
        expect(answer.headers['retry-after']).toBe('1');
      }
      const ready = await broken.call({ url: '/health/readiness', bearer: null });
      expect(ready).toMatchObject({ status: 503, body: { status: 'unhealthy', db: 'Not connected' } });
    } finally {
      await broken.close();
      await gone.close();
    }
  });
});
