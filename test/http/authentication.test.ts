import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Admin, type Answer, MASTER_KEY, startAdmin } from '../support/admin.ts';

let admin: Admin;
let key: Answer['body'];

beforeAll(async () => {
  admin = await startAdmin();
  key = (await admin.call({ url: '/key/generate', body: { key_alias: 'caller', user_id: 'user-7' } })).body;
});
afterAll(() => admin?.close());

const count = async () => (await admin.call({ url: '/key/list' })).body.total_count as number;

describe('without a usable key', () => {
  const random = 'sk-0123456789abcdef';
  test.each([
    ['no header', {}, 401, 'no_key', 'auth_error', 'None'],
    ['an empty bearer', { authorization: 'Bearer ' }, 401, 'no_key', 'auth_error', 'None'],
    ['no Bearer prefix', { authorization: random }, 401, 'malformed_key', 'auth_error', 'None'],
    [
      'something else than sk-',
      { authorization: 'Bearer invalid_token' },
      401,
      'not_a_virtual_key',
      'auth_error',
      'None',
    ],
    [
      'an unknown key',
      { authorization: `Bearer ${random}` },
      401,
      'unknown_key',
      'token_not_found_in_db',
      'key',
    ],
    [
      'SQL',
      { authorization: "Bearer sk-' or 1=1; drop table keys; --" },
      401,
      'unknown_key',
      'token_not_found_in_db',
      'key',
    ],
    [
      'two headers',
      { authorization: `Bearer ${MASTER_KEY}`, 'x-api-key': MASTER_KEY },
      400,
      'two_credentials',
      'bad_request_error',
      null,
    ],
    ['the hash of a key', { authorization: 'Bearer {hash}' }, 401, 'not_a_virtual_key', 'auth_error', 'None'],
  ])('%s is refused everywhere', async (_name, headers, status, reason, type, param) => {
    const before = await count();
    const sent = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, value.replace('{hash}', key.token)]),
    );
    for (const [method, url] of [
      ['GET', '/key/list'],
      ['POST', '/key/generate'],
      ['GET', '/v1/models'],
      ['GET', '/key/info'],
    ] as const) {
      const answer = await admin.call({
        method,
        url,
        bearer: null,
        headers: sent,
        ...(method === 'POST' ? { body: {} } : {}),
      });
      expect(answer.status, url).toBe(status);
      expect(answer.body.error).toMatchObject({ reason, type, param, code: String(status) });
      expect(JSON.stringify(answer.body)).not.toContain(MASTER_KEY);
    }
    expect(await count()).toBe(before);
  });

  test.each([
    'authorization',
    'api-key',
    'x-api-key',
    'x-litellm-api-key',
    'x-goog-api-key',
    'ocp-apim-subscription-key',
  ])('the header %s carries one', async (name) => {
    const headers = { [name]: name === 'authorization' ? `Bearer ${key.key}` : key.key };
    expect((await admin.call({ url: '/v1/models', bearer: null, headers })).status).toBe(200);
  });

  test('the reason is the first thing that is wrong: blocked, expired, project, tenant', async () => {
    await admin.call({ url: '/team/new', body: { team_id: 'team-gate' } });
    const made = await admin.call({ url: '/key/generate', body: { team_id: 'team-gate', duration: '1h' } });
    const reason = async () =>
      (await admin.call({ url: '/v1/models', bearer: made.body.key })).body.error?.reason ?? 'none';
    expect(await reason()).toBe('none');
    await admin.call({ url: '/team/block', body: { team_id: 'team-gate' } });
    expect(await reason()).toBe('project_blocked');
    admin.setNow('2026-11-20T11:00:00.000Z');
    expect(await reason()).toBe('key_expired');
    await admin.call({ url: '/key/block', body: { key: made.body.key } });
    expect(await reason()).toBe('key_blocked');
    admin.setNow('2026-11-20T10:00:00.000Z');
  });
});

describe('a virtual key', () => {
  test('reads itself and nobody else', async () => {
    const own = await admin.call({ url: '/key/info', bearer: key.key });
    expect(own.body).toMatchObject({ key: key.token, info: { key_alias: 'caller' } });
    for (const name of [key.key, key.token]) {
      expect((await admin.call({ url: `/key/info?key=${name}`, bearer: key.key })).status).toBe(200);
    }
    const other = (await admin.call({ url: '/key/generate', body: {} })).body;
    for (const name of [other.key, other.token, other.key_id, 'sk-0123456789abcdef']) {
      const answer = await admin.call({ url: `/key/info?key=${name}`, bearer: key.key });
      expect(answer.body.error).toMatchObject({ reason: 'key_not_found', code: '404' });
    }
  });

  test('lists models and asks for its health', async () => {
    expect((await admin.call({ url: '/models', bearer: key.key })).status).toBe(200);
    const health = await admin.call({ url: '/key/health', body: {}, bearer: key.key });
    expect(health.body).toEqual({ key: 'healthy', logging_callbacks: null });
  });

  test('can call no route of the administrator', async () => {
    const before = await count();
    const reserved = admin.app.routeTable.routes.filter(({ method, hidden }) => method !== 'HEAD' && !hidden);
    let refused = 0;
    for (const { method, url, roles } of reserved) {
      if (roles.includes('key') || roles.includes('public')) continue;
      const path = url.replace(':key', key.token).replaceAll(/:\w+/g, 'x').replace('*', 'x');
      const answer = await admin.call({
        method: method as 'GET',
        url: path,
        bearer: key.key,
        ...(method === 'POST' ? { body: { key: key.key } } : {}),
      });
      const { reason, message } = answer.body.error;
      if (reason === 'role_forbidden') {
        expect(answer.status, url).toBe(403);
        continue;
      }
      refused += 1;
      expect(answer.status, url).toBe(401);
      expect(message).toContain(`Route=${path}`);
      expect(message).toContain('Your user_id=user-7');
    }
    expect(refused).toBeGreaterThan(20);
    expect(await count()).toBe(before);
  });

  test('stays within its allowed routes', async () => {
    const reader = (await admin.call({ url: '/key/generate', body: { key_type: 'read_only' } })).body.key;
    expect((await admin.call({ url: '/key/info', bearer: reader })).status).toBe(200);
    const generate = await admin.call({ url: '/key/generate', body: {}, bearer: reader });
    expect(generate).toMatchObject({ status: 403, body: { error: { reason: 'route_not_allowed' } } });
    const chat = (await admin.call({ url: '/key/generate', body: { allowed_routes: ['/v1/chat/*'] } })).body
      .key;
    expect((await admin.call({ url: '/v1/models', bearer: chat })).status).toBe(403);
  });
});

describe('a header of your own', () => {
  test('replaces the usual ones', async () => {
    const other = await startAdmin({ deps: { keyHeader: 'x-my-key' } });
    try {
      const usual = await other.call({ url: '/key/list' });
      expect(usual.body.error.reason).toBe('no_key');
      const own = await other.call({
        url: '/key/list',
        bearer: null,
        headers: { 'x-my-key': `Bearer ${MASTER_KEY}` },
      });
      expect(own.status).toBe(200);
    } finally {
      await other.close();
    }
  });
});
