import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Admin, OWN, startAdmin, START } from '../support/admin.ts';
import { all } from '../support/log.ts';

const BILLING = {
  name: 'Musterladen GmbH',
  street: 'Hauptstraße 1',
  postal_code: '10115',
  city: 'Berlin',
  country: 'DE',
  email: 'buchhaltung@musterladen.example',
};
let admin: Admin;
let tenants: readonly { readonly id: string; readonly key: string }[];

beforeAll(async () => {
  admin = await startAdmin();
  const plan = (await admin.call({ url: '/api/plans' })).body.data[0].name as string;
  const made = [];
  for (const name of ['One', 'Two']) {
    const body = { name, plan, billing: BILLING, projects: [{ name: 'Shop', environments: ['production'] }] };
    const answer = await admin.call({ url: '/api/tenants', body });
    if (answer.status !== 201) throw new Error(`not onboarded: ${JSON.stringify(answer.body)}`);
    made.push({ id: answer.body.tenant.id, key: answer.body.projects[0].keys[0].id });
  }
  tenants = made;
});
afterAll(() => admin?.close());

async function appoint(scope: 'agency' | 'tenant', id: string, body: object = {}) {
  const answer = await admin.call({ url: '/api/audit/credentials', body: { scope, id, ...body } });
  if (answer.status !== 201) throw new Error(`not appointed: ${JSON.stringify(answer.body)}`);
  return answer.body as { id: string; secret: string; position: string };
}
const status = async (url: string, bearer: string) => (await admin.call({ url, bearer })).status;

test('who looked at what is listed, newest first and page by page', async () => {
  const { id, secret } = await appoint('tenant', tenants[0]!.id);
  await status(`/api/audit/keys/${tenants[0]!.key}`, secret);
  await status(`/api/audit/tenants/${tenants[0]!.id}`, secret);
  const url = `/api/audit/consultations?auditor_id=${id}&limit=1`;
  const first = (await admin.call({ url })).body;
  expect(first.data).toMatchObject([{ route: '/api/audit/tenants/:id', subject: tenants[0]!.id }]);
  const second = (await admin.call({ url: `${url}&cursor=${first.next_cursor}` })).body;
  expect(second.data).toMatchObject([{ route: '/api/audit/keys/:id', subject: tenants[0]!.key }]);
  expect(second.next_cursor).toBeNull();
});

describe('an auditor of a tenant', () => {
  test('reads the audit of that tenant, and of another one nothing, as if there were none', async () => {
    const { secret } = await appoint('tenant', tenants[0]!.id);
    for (const url of ['', '/diff?from=1']) {
      expect(await status(`/api/audit/tenants/${tenants[0]!.id}${url}`, secret)).toBe(200);
      expect(await status(`/api/audit/keys/${tenants[0]!.key}${url}`, secret)).toBe(200);
      for (const [known, unknown] of [
        [`/api/audit/tenants/${tenants[1]!.id}${url}`, `/api/audit/tenants/ten_none${url}`],
        [`/api/audit/keys/${tenants[1]!.key}${url}`, `/api/audit/keys/key_none${url}`],
      ]) {
        const [foreign, absent] = [
          await admin.call({ url: known!, bearer: secret }),
          await admin.call({ url: unknown!, bearer: secret }),
        ];
        expect(foreign.status).toBe(404);
        expect(foreign.body).toEqual(absent.body);
      }
    }
  });

  test('can call nothing else, and changes nothing', async () => {
    const { secret } = await appoint('tenant', tenants[0]!.id);
    const head = await admin.store.head();
    for (const { method, url, hidden, roles } of admin.app.routeTable.routes) {
      if (hidden || method === 'HEAD' || roles.includes('public')) continue;
      if (/^\/api\/(audit\/(keys|tenants|public-key)|downloads)/.test(url)) continue;
      const path = url.replaceAll(/:\w+/g, 'x').replace('*', 'x');
      const answer = await admin.call({
        method: method as 'GET',
        url: path,
        bearer: secret,
        ...(method === 'POST' ? { body: {} } : {}),
      });
      expect(answer.status, `${method} ${url}`).toBe(401);
    }
    expect(await admin.store.head()).toBe(head);
  });

  test('leaves an event for each use, also for one that was answered with nothing', async () => {
    const { id, secret } = await appoint('tenant', tenants[0]!.id);
    const before = (await admin.call({ url: `/api/audit/credentials` })).body.data;
    expect(before.find((row: { id: string }) => row.id === id)).toMatchObject({ consultations: 0 });
    await status(`/api/audit/keys/${tenants[0]!.key}`, secret);
    await status(`/api/audit/tenants/${tenants[1]!.id}`, secret);
    await status('/api/audit/keys/sk-somebody-elses-secret-0123', secret);
    const events = await all(admin.store.readStream(`auditor-${id}`));
    expect(events.map(({ event }) => event)).toMatchObject([
      { type: 'auditor.appointed', data: { scope: { kind: 'tenant', id: tenants[0]!.id } } },
      { type: 'audit.consulted', data: { route: '/api/audit/keys/:id', subject: tenants[0]!.key } },
      { type: 'audit.consulted', data: { route: '/api/audit/tenants/:id', subject: tenants[1]!.id } },
      { type: 'audit.consulted', data: { subject: 'sk-...' } },
    ]);
    expect(events.at(-1)).toMatchObject({ actor: { kind: 'auditor', id }, tenantId: tenants[0]!.id });
    expect(events.map((event) => JSON.stringify(event.event)).join()).not.toContain(secret);
    const { data } = (await admin.call({ url: '/api/audit/credentials' })).body;
    expect(data.find((row: { id: string }) => row.id === id)).toMatchObject({
      consultations: 3,
      status: 'appointed',
    });
  });

  test('is refused from the next request on when dismissed, and after the expiry', async () => {
    const url = `/api/audit/tenants/${tenants[0]!.id}`;
    const { id, secret } = await appoint('tenant', tenants[0]!.id);
    expect((await admin.call({ method: 'DELETE', url: `/api/audit/credentials/${id}` })).status).toBe(200);
    expect((await admin.call({ url, bearer: secret })).body.error.reason).toBe('unknown_key');
    const short = await appoint('tenant', tenants[0]!.id, { expires: '2026-11-20T11:00:00Z' });
    expect(await status(url, short.secret)).toBe(200);
    admin.setNow('2026-11-20T11:00:00.000Z');
    expect((await admin.call({ url, bearer: short.secret })).body.error.reason).toBe('key_expired');
    admin.setNow(START);
  });
});

test('an auditor of an agency reads all of its tenants', async () => {
  const { secret } = await appoint('agency', OWN.agencyId);
  for (const { id, key } of tenants) {
    expect(await status(`/api/audit/tenants/${id}`, secret)).toBe(200);
    expect(await status(`/api/audit/keys/${key}`, secret)).toBe(200);
  }
});

test('an appointment that is repeated gives the same secret again, and makes no second auditor', async () => {
  const call = () =>
    admin.call({
      url: '/api/audit/credentials',
      body: { scope: 'tenant', id: tenants[0]!.id },
      headers: { 'idempotency-key': 'appoint-1' },
    });
  expect((await call()).body).toEqual((await call()).body);
});

test.each([
  [{ scope: 'tenant', id: 'ten_none' }, 404],
  [{ scope: 'agency', id: 'age_none' }, 404],
  [{ scope: 'project', id: 'x' }, 422],
  [{ scope: 'tenant', id: 'x', expires: 'tomorrow' }, 422],
])('an appointment for %j is refused', async (body, expected) => {
  expect((await admin.call({ url: '/api/audit/credentials', body })).status).toBe(expected);
});

test('the audit of a tenant names the position that it was computed at', async () => {
  const { body } = await admin.call({ url: `/api/audit/tenants/${tenants[0]!.id}` });
  expect(body).toMatchObject({ tenant_id: tenants[0]!.id, log_position: String(await admin.store.head()) });
  expect(body.last_change.actor).toMatchObject({ kind: 'master' });
  const at = await admin.call({ url: `/api/audit/tenants/${tenants[0]!.id}?at=1` });
  expect(at.body).toMatchObject({ state: null, position: null });
});
