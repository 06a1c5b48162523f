import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { routesInTable } from '../../src/http/route-roles.ts';
import { type Admin, startAdmin } from '../support/admin.ts';
import { type People, people, PEOPLE, type Person, TEAM } from '../support/people.ts';

let admin: Admin;
let who: People;
beforeAll(async () => {
  admin = await startAdmin();
  who = await people(admin);
});
afterAll(() => admin?.close());

/** What each of them is, in the words of the table. */
const ROLES: Readonly<Record<Person, readonly string[]>> = {
  proxy_admin: ['proxy_admin', 'key'],
  proxy_admin_viewer: ['proxy_admin_viewer', 'key'],
  org_admin: ['internal_user', 'org_admin', 'key'],
  internal_user: ['internal_user', 'key'],
  internal_user_viewer: ['internal_user_viewer', 'key'],
  team_admin: ['internal_user', 'team_admin', 'key'],
  team_user: ['internal_user', 'team_user', 'key'],
  key: ['key'],
};

const routes = () => admin.app.routeTable.routes.filter(({ method, hidden }) => method !== 'HEAD' && !hidden);
const probe = (method: string, url: string, bearer: string | null) =>
  admin.call({
    method: method as 'GET',
    url: url.replaceAll(/:\w+/g, 'x').replace('*', 'x'),
    bearer,
    // No field is right, so that what is allowed changes nothing.
    ...(method === 'GET' ? {} : { body: [] }),
  });

describe('the table of route x role', () => {
  test('has a row for no route that does not exist', () => {
    const registered = new Set(routes().map(({ method, url }) => `${method} ${url}`));
    expect(routesInTable.filter((name) => !registered.has(name))).toEqual([]);
  });

  test.each(PEOPLE)('holds on every route for %s', async (person) => {
    let [opened, refused] = [0, 0];
    for (const { method, url, roles } of routes()) {
      const name = `${method} ${url} as ${person}`;
      const { status, body } = await probe(method, url, who.keys[person]);
      const reason = body?.error?.reason ?? 'none';
      const allowed = roles.includes('public') || ROLES[person].some((role) => roles.includes(role as 'key'));
      if (allowed) {
        expect(['admin_only', 'role_forbidden', 'unknown_key'], name).not.toContain(reason);
        opened += 1;
      } else {
        expect(['admin_only', 'role_forbidden'], name).toContain(reason);
        expect([401, 403], name).toContain(status);
        refused += 1;
      }
    }
    expect(opened).toBeGreaterThan(5);
    if (person !== 'proxy_admin') expect(refused).toBeGreaterThan(20);
  }, 120_000);

  test('lets nobody in without a key but where it says so', async () => {
    for (const { method, url, roles } of routes()) {
      const { status } = await probe(method, url, null);
      if (roles.includes('public')) expect(status, url).not.toBe(401);
      else expect(status, url).toBe(401);
    }
  });

  test('is what the description of the API says', async () => {
    const { paths } = (await admin.call({ url: '/openapi.json', bearer: null })).body;
    for (const { method, url, roles } of routes()) {
      const path = url.replaceAll(/:(\w+)/g, '{$1}').replace('*', '{*}');
      expect(paths[path][method.toLowerCase()]['x-roles'], url).toEqual(roles);
    }
  });
});

describe('nobody gives away more than they have', () => {
  test('a key of a limited maker has the same limits, and naming wider ones is refused', async () => {
    const limited = {
      rpm_limit: 10,
      max_budget: 5,
      budget_duration: '1d',
      models: ['demo-small'],
      duration: '1d',
    };
    const user = await admin.call({
      url: '/user/new',
      body: { user_id: 'maker', auto_create_key: false, tpm_limit: 1_000 },
    });
    expect(user.status).toBe(200);
    const maker = (await admin.call({ url: '/key/generate', body: { user_id: 'maker', ...limited } })).body;
    const make = (body: object) => admin.call({ url: '/key/generate', bearer: maker.key, body });
    const same = await make({});
    expect(same.body).toMatchObject({
      user_id: 'maker',
      rpm_limit: 10,
      tpm_limit: 1_000,
      max_budget: 5,
      models: ['demo-small'],
      expires: maker.expires,
    });
    for (const [field, value] of Object.entries({
      rpm_limit: 11,
      tpm_limit: 1_001,
      max_budget: 6,
      models: ['demo-large'],
      duration: '2d',
    })) {
      const refused = await make({ [field]: value });
      expect(refused, field).toMatchObject({ status: 403, body: { error: { reason: 'wider_than_maker' } } });
      const update = { key: same.body.token, [field]: value };
      const changed = await admin.call({ url: '/key/update', bearer: maker.key, body: update });
      expect(changed, field).toMatchObject({ status: 403, body: { error: { reason: 'wider_than_maker' } } });
    }
    expect((await make({ rpm_limit: 5 })).body.rpm_limit).toBe(5);
  });

  test('a key that may call some routes makes none that may call others', async () => {
    const body = { user_id: 'user-internal_user', allowed_routes: ['/key/*'] };
    const maker = (await admin.call({ url: '/key/generate', body })).body.key;
    const make = (fields: object) => admin.call({ url: '/key/generate', bearer: maker, body: fields });
    expect((await make({})).body.allowed_routes).toEqual(['/key/*']);
    expect((await make({ allowed_routes: ['/key/info'] })).status).toBe(200);
    for (const allowed_routes of [['llm_api_routes'], ['/team/*'], ['*']]) {
      expect((await make({ allowed_routes })).body.error.reason).toBe('wider_than_maker');
    }
  });

  test('what narrows the maker narrows the keys that are made, and stays as it was given', async () => {
    const given = {
      budget_limits: [{ budget_duration: '1d', max_budget: 1 }],
      model_rpm_limit: { 'demo-small': 3 },
      enforced_params: ['user'],
    };
    const body = { user_id: 'user-internal_user', ...given };
    const maker = (await admin.call({ url: '/key/generate', body })).body;
    const call = (url: string, fields: object) => admin.call({ url, bearer: maker.key, body: fields });
    const made = await call('/key/generate', {});
    expect(made.body).toMatchObject({ model_rpm_limit: { 'demo-small': 3 }, enforced_params: ['user'] });
    expect(made.body.budget_limits).toMatchObject([{ max_budget: 1 }]);
    for (const fields of [
      { budget_limits: [] },
      { model_rpm_limit: { 'demo-small': 4 } },
      { enforced_params: null },
    ]) {
      expect((await call('/key/generate', fields)).status).toBe(403);
      expect((await call('/key/update', { key: maker.key, ...fields })).status).toBe(403);
    }
    const raised = { temp_budget_increase: 5, temp_budget_expiry: '2026-12-01T00:00:00Z' };
    expect((await call('/key/generate', raised)).status).toBe(403);
    expect((await call('/key/update', { key: maker.key, ...raised })).status).toBe(403);
  });

  test('an organization admin reaches no other organization through a new user', async () => {
    await admin.call({ url: '/team/new', body: { team_id: 'team-elsewhere' } });
    const registered = await admin.call({
      url: '/user/new',
      bearer: who.keys.org_admin,
      body: { organizations: [who.tenantId], team_id: 'team-elsewhere' },
    });
    expect(registered.status).toBe(404);
    const keys = await admin.call({ url: '/key/list?team_id=team-elsewhere' });
    expect(keys.body.total_count).toBe(0);
  });

  test('nobody becomes an administrator by themselves', async () => {
    for (const person of ['internal_user', 'team_admin', 'org_admin'] as const) {
      const body = { user_id: `user-${person}`, user_role: 'proxy_admin' };
      const answer = await admin.call({ url: '/user/update', bearer: who.keys[person], body });
      expect(answer, person).toMatchObject({ status: 403, body: { error: { param: 'user_role' } } });
    }
    const viewer = await admin.call({
      url: '/user/update',
      bearer: who.keys.proxy_admin_viewer,
      body: { user_id: 'user-proxy_admin_viewer', user_role: 'proxy_admin' },
    });
    expect(viewer.status).toBe(403);
    const made = await admin.call({
      url: '/user/new',
      bearer: who.keys.org_admin,
      body: { user_role: 'proxy_admin', organizations: [who.tenantId] },
    });
    expect(made).toMatchObject({ status: 403, body: { error: { reason: 'not_yours' } } });
  });
});

describe('keys of others', () => {
  const verbs = ['block', 'unblock', 'update', 'regenerate'] as const;

  test('do not exist for people of another tenant, and are refused to people of the same', async () => {
    const theirs = (await admin.call({ url: '/key/generate', body: { team_id: TEAM } })).body.token;
    const own = (await admin.call({ url: '/key/generate', body: { user_id: 'somebody' } })).body.token;
    for (const verb of verbs) {
      const url = `/key/${verb}`;
      const foreign = await admin.call({ url, bearer: who.keys.internal_user, body: { key: theirs } });
      expect(foreign, verb).toMatchObject({ status: 404, body: { error: { reason: 'key_not_found' } } });
      const near = await admin.call({ url, bearer: who.keys.internal_user, body: { key: own } });
      expect(near, verb).toMatchObject({ status: 403, body: { error: { reason: 'not_yours' } } });
      const member = await admin.call({ url, bearer: who.keys.team_user, body: { key: theirs } });
      expect(member, verb).toMatchObject({ status: 401, body: { error: { reason: 'member_permission' } } });
    }
    const gone = { keys: [theirs] };
    expect(
      (await admin.call({ url: '/key/delete', bearer: who.keys.internal_user, body: gone })).status,
    ).toBe(404);
    const { info } = (await admin.call({ url: `/key/info?key=${theirs}` })).body;
    expect(info).toMatchObject({ blocked: false, rotation_count: 0 });
  });

  test('are in the hands of the admins of the team and the organization', async () => {
    for (const person of ['team_admin', 'org_admin'] as const) {
      const { token } = (await admin.call({ url: '/key/generate', body: { team_id: TEAM } })).body;
      for (const verb of ['block', 'unblock'] as const) {
        const answer = await admin.call({
          url: `/key/${verb}`,
          bearer: who.keys[person],
          body: { key: token },
        });
        expect(answer, `${person} ${verb}`).toMatchObject({
          status: 200,
          body: { blocked: verb === 'block' },
        });
      }
      const gone = await admin.call({
        url: '/key/delete',
        bearer: who.keys[person],
        body: { keys: [token] },
      });
      expect(gone.status).toBe(200);
    }
  });

  test('are not in the lists of others', async () => {
    const list = await admin.call({
      url: '/key/list?size=100&return_full_object=true',
      bearer: who.keys.internal_user,
    });
    const owners = new Set(list.body.keys.map((key: { user_id: string }) => key.user_id));
    expect([...owners]).toEqual(['user-internal_user']);
    const other = await admin.call({ url: '/key/list?user_id=somebody', bearer: who.keys.internal_user });
    expect(other.status).toBe(403);
    const all = await admin.call({ url: '/key/list?user_id=somebody', bearer: who.keys.proxy_admin_viewer });
    expect(all.body.total_count).toBe(1);
  });

  test('cannot be made for somebody else, nor handed over', async () => {
    const body = { user_id: 'somebody' };
    const made = await admin.call({ url: '/key/generate', bearer: who.keys.internal_user, body });
    expect(made).toMatchObject({ status: 403, body: { error: { param: 'user_id' } } });
    const own = await admin.call({ url: '/key/generate', bearer: who.keys.internal_user, body: {} });
    expect(own.body).toMatchObject({ user_id: 'user-internal_user', created_by: 'user-internal_user' });
    const handed = { key: own.body.token, user_id: 'somebody' };
    const update = await admin.call({ url: '/key/update', bearer: who.keys.internal_user, body: handed });
    expect(update).toMatchObject({ status: 403, body: { error: { param: 'user_id' } } });
  });

  test('of a member stay in the tenant that pays for them', async () => {
    const made = await admin.call({ url: '/key/generate', bearer: who.keys.org_admin, body: {} });
    expect(made.body).toMatchObject({ organization_id: who.tenantId, user_id: 'user-org_admin' });
    const elsewhere = { organization_id: 'ten_own' };
    const escape = await admin.call({ url: '/key/generate', bearer: who.keys.org_admin, body: elsewhere });
    expect(escape.status).toBe(404);
  });
});
