import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Admin, type Answer, MASTER_KEY, startAdmin } from '../support/admin.ts';
import { people } from '../support/people.ts';

let admin: Admin;
let tenantId: string;
beforeAll(async () => {
  admin = await startAdmin();
  ({ tenantId } = await people(admin));
});
afterAll(() => admin?.close());

const reasonOf = (answer: Answer) => `${answer.status} ${answer.body?.error?.reason}`;
const make = (body: object, headers: Record<string, string> = {}) =>
  admin.call({ url: '/api/credentials', body, headers });
const listed = async () => (await admin.call({ url: '/api/credentials' })).body.data as { id: string }[];

describe('a credential of a program', () => {
  test('acts in its role on the whole API, under its own name', async () => {
    const { status, body } = await make({ name: 'deploy', role: 'proxy_admin' });
    expect(status).toBe(201);
    const bearer = body.secret as string;
    for (const url of ['/api/tenants', '/api/overview', '/key/list', '/spend/logs'])
      expect((await admin.call({ url, bearer })).status, url).toBe(200);
    const made = await admin.call({ url: '/key/generate', body: { key_alias: 'by a program' }, bearer });
    expect(made.body.created_by).toBe(body.id);
    expect(await listed()).toMatchObject([
      { id: body.id, name: 'deploy', role: 'proxy_admin', tenant_id: null, key_id: body.key_id },
    ]);
    expect(JSON.stringify(await listed())).not.toContain(bearer);
  });

  test('is not among the keys where these are asked for without it', async () => {
    const { key_id: id } = (await make({ name: 'no key of a client', role: 'proxy_admin_viewer' })).body;
    const idsOf = async (query: string) => {
      const url = `/key/list?return_full_object=true&size=100${query}`;
      const { keys, total_count: count } = (await admin.call({ url })).body;
      expect(keys).toHaveLength(count);
      return (keys as { key_id: string }[]).map(({ key_id: one }) => one);
    };
    const [all, without] = [await idsOf(''), await idsOf('&include_credentials=false')];
    expect(all).toContain(id);
    const credentials = (await admin.call({ url: '/api/credentials' })).body.data as { key_id: string }[];
    const theirs = credentials.map(({ key_id: one }) => one);
    expect(without).toEqual(all.filter((one) => !theirs.includes(one)));
    expect(without.length).toBeGreaterThan(0);
  });

  test('reads and changes nothing when its role only reads', async () => {
    const { secret: bearer } = (await make({ name: 'dashboard', role: 'proxy_admin_viewer' })).body;
    expect((await admin.call({ url: '/api/tenants', bearer })).status).toBe(200);
    expect(reasonOf(await admin.call({ url: '/key/generate', body: {}, bearer }))).toBe('403 role_forbidden');
  });

  test('of a tenant sees that tenant and no other', async () => {
    const { secret: bearer, id } = (await make({ name: 'of K', role: 'org_admin', tenant_id: tenantId }))
      .body;
    const { body } = await admin.call({ url: '/organization/list', bearer });
    expect(body.map((one: { organization_id: string }) => one.organization_id)).toEqual([tenantId]);
    expect(reasonOf(await admin.call({ url: '/api/tenants', bearer }))).toBe('401 admin_only');
    expect((await listed()).find((one) => one.id === id)).toMatchObject({
      role: 'org_admin',
      tenant_id: tenantId,
    });
    expect(reasonOf(await make({ name: 'x', role: 'org_admin' }))).toBe('400 bad_request');
    expect(reasonOf(await make({ name: 'x', role: 'proxy_admin', tenant_id: tenantId }))).toBe(
      '400 bad_request',
    );
    expect(reasonOf(await make({ name: 'x', role: 'org_admin', tenant_id: 'ten_none' }))).toBe(
      '404 not_found',
    );
  });

  test('calls no model', async () => {
    const { secret: bearer } = (await make({ name: 'no models', role: 'proxy_admin' })).body;
    const { body } = await admin.call({ url: '/key/info', bearer });
    expect(body.info.allowed_routes).not.toContain('llm_api_routes');
    expect(body.info.allowed_routes.some((route: string) => route.startsWith('/v1/chat'))).toBe(false);
  });

  test('is made once by a repeated request, and has a name of its own', async () => {
    const headers = { 'idempotency-key': 'once' };
    const first = await make({ name: 'repeated', role: 'proxy_admin' }, headers);
    const again = await make({ name: 'repeated', role: 'proxy_admin' }, headers);
    expect(again.body).toMatchObject({ id: first.body.id, secret: first.body.secret });
    const before = await listed();
    expect(reasonOf(await make({ name: 'repeated', role: 'proxy_admin' }))).toBe('400 alias_taken');
    expect(await listed()).toEqual(before);
  });

  test('ends at its instant, and when it is revoked', async () => {
    const expires_at = '2026-11-20T11:00:00.000Z';
    const { secret: bearer, id } = (await make({ name: 'short', role: 'proxy_admin', expires_at })).body;
    const use = async () => reasonOf(await admin.call({ url: '/api/tenants', bearer }));
    expect(await use()).toBe('200 undefined');
    admin.setNow(expires_at);
    expect(await use()).toBe('401 key_expired');
    admin.setNow('2026-11-20T10:00:00.000Z');
    const { status } = await admin.call({ url: `/api/credentials/${id}`, method: 'DELETE' });
    expect(status).toBe(200);
    expect(await use()).toBe('401 unknown_key');
    expect((await listed()).map((one) => one.id)).not.toContain(id);
    const again = await admin.call({ url: `/api/credentials/${id}`, method: 'DELETE' });
    expect(reasonOf(again)).toBe('404 not_found');
  });

  test('is not what a user or a key is', async () => {
    const user = await admin.call({ url: '/api/credentials/user-org_admin', method: 'DELETE' });
    expect(reasonOf(user)).toBe('404 not_found');
  });
});

describe('a bundle', () => {
  const get = (query: string) =>
    admin.app.inject({
      url: `/api/audit/bundles?${query}`,
      headers: { authorization: `Bearer ${MASTER_KEY}` },
    });

  test('of a tenant is sent line by line, with its header and its footer', async () => {
    const { statusCode, headers, body } = await get(`scope=tenant&id=${tenantId}`);
    expect(statusCode).toBe(200);
    expect(headers['content-disposition']).toMatch(/^attachment; filename="keyledger-tenant-.*\.jsonl"$/);
    const lines = body
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(JSON.stringify(lines[0])).toContain(`"id":"${tenantId}"`);
    expect(JSON.stringify(lines.at(-1))).toContain('sha256');
  });

  test('is of something that there is', async () => {
    const of = (query: string) => admin.call({ url: `/api/audit/bundles?${query}` });
    expect(reasonOf(await of('scope=tenant&id=ten_none'))).toBe('404 not_found');
    expect(reasonOf(await of('scope=key&id=key_none'))).toBe('404 not_found');
    expect(reasonOf(await of('scope=invoice&id=RE-1'))).toBe('404 not_found');
    expect(reasonOf(await of('scope=tenant'))).toBe('422 invalid_input');
    expect((await get('scope=all')).statusCode).toBe(200);
  });
});
