import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Admin, startAdmin } from '../support/admin.ts';
import { people, type People, TEAM } from '../support/people.ts';

let admin: Admin;
let who: People;
beforeAll(async () => {
  admin = await startAdmin();
  who = await people(admin);
});
afterAll(() => admin?.close());

const post = (url: string, body: object, headers: Record<string, string> = {}, bearer?: string) =>
  admin.call({ url, body, headers, ...(bearer === undefined ? {} : { bearer }) });
const info = async (id: string) => (await admin.call({ url: `/team/info?team_id=${id}` })).body;
const open = async (fields: object = {}) => {
  const answer = await post('/team/new', fields);
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer.body;
};

describe('a team', () => {
  test('is opened with everything that was asked for, and shows it', async () => {
    const fields = {
      team_alias: 'Shop',
      models: ['demo-small'],
      max_budget: 10,
      soft_budget: 8,
      budget_duration: '30d',
      rpm_limit: 60,
      metadata: { cost_center: 7 },
      tags: ['blue'],
      model_max_budget: { 'demo-small': { budget_limit: 1, time_period: '1d' } },
      team_member_budget: 2,
      team_member_budget_duration: '1d',
      team_member_permissions: ['/key/info', '/key/generate'],
    };
    const team = await open({ ...fields, members_with_roles: [{ user_id: 'first', role: 'admin' }] });
    expect(team).toMatchObject({ ...fields, spend: 0, blocked: false, admins: ['first'] });
    expect(team.budget_reset_at).toBe('2026-11-30T23:00:00.000Z');
    const shown = await info(team.team_id);
    expect(shown.team_info).toEqual(team);
    expect(shown.team_memberships).toMatchObject([
      { user_id: 'first', litellm_budget_table: { max_budget: 2, budget_duration: '1d' } },
    ]);
  });

  test.each([
    ['a taken id', { team_id: TEAM }, 'team_id'],
    ['a negative budget', { max_budget: -1 }, 'max_budget'],
    ['a soft budget that is no lower', { max_budget: 1, soft_budget: 1 }, 'soft_budget'],
    ['a window that is none', { max_budget: 1, budget_duration: 'month' }, 'budget_duration'],
    ['an unknown budget', { budget_id: 'none' }, 'budget_id'],
  ])('is refused %s', async (_name, body, param) => {
    expect(await post('/team/new', body)).toMatchObject({ status: 400, body: { error: { param } } });
  });

  test('changes in what is named; null clears, and a second change leaves the first', async () => {
    const { team_id: id } = await open({ team_alias: 'Before', rpm_limit: 5, metadata: { a: 1 } });
    const renamed = await post('/team/update', { team_id: id, team_alias: 'After' });
    expect(renamed.body.data).toMatchObject({ team_alias: 'After', rpm_limit: 5, metadata: { a: 1 } });
    expect((await post('/team/update', { team_id: id, max_budget: 10 })).body.data.max_budget).toBe(10);
    const cleared = await post('/team/update', { team_id: id, max_budget: null });
    expect(cleared.body.data).toMatchObject({ max_budget: null, team_alias: 'After', rpm_limit: 5 });
    expect((await post('/team/update', { team_id: 'nobody' })).status).toBe(404);
    const moved = await post('/team/update', { team_id: id, organization_id: who.tenantId });
    expect(moved).toMatchObject({ status: 400, body: { error: { param: 'organization_id' } } });
  });

  test('takes and gives back models', async () => {
    const { team_id: id } = await open({ models: ['demo-small'] });
    const more = await post('/team/model/add', { team_id: id, models: ['demo-large', 'demo-small'] });
    expect(more.body.models).toEqual(['demo-small', 'demo-large']);
    const less = await post('/team/model/delete', { team_id: id, models: ['demo-small'] });
    expect(less.body.models).toEqual(['demo-large']);
  });

  test('that is deleted takes its keys and memberships with it, and is listed among the deleted', async () => {
    const { team_id: id } = await open({ members_with_roles: [{ user_id: 'goner' }] });
    const key = (await post('/key/generate', { team_id: id })).body;
    const headers = { 'idempotency-key': 'delete-team' };
    const gone = await post('/team/delete', { team_ids: [id] }, headers);
    expect(gone.body.deleted_teams).toMatchObject([{ team_id: id }]);
    expect((await admin.call({ url: '/v1/models', bearer: key.key })).status).toBe(401);
    expect((await admin.call({ url: `/team/info?team_id=${id}` })).status).toBe(404);
    expect((await admin.call({ url: '/user/info?user_id=goner' })).body.teams).toEqual([]);
    const deleted = await admin.call({ url: `/v2/team/list?status=deleted&team_id=${id}` });
    expect(deleted.body).toMatchObject({ total: 1, teams: [{ team_id: id, deleted_by: 'default_user_id' }] });
    expect((await post('/team/delete', { team_ids: [id] }, headers)).status).toBe(200);
    expect((await post('/team/delete', { team_ids: [id] })).status).toBe(404);
    expect((await post('/key/generate', { team_id: id })).status).toBe(400);
  });

  test('repeated with its Idempotency-Key is one team', async () => {
    const body = { team_alias: 'Once', members_with_roles: [{ user_email: 'once@agency.example' }] };
    const headers = { 'idempotency-key': 'team-once' };
    const [first, second] = [await post('/team/new', body, headers), await post('/team/new', body, headers)];
    expect(second).toMatchObject({ status: 200, body: first.body });
    expect(first.body.members).toHaveLength(1);
  });
});

describe('members', () => {
  test('are added by id or address, registered when unknown, and once only', async () => {
    const { team_id: id } = await open();
    const added = await post('/team/member_add', {
      team_id: id,
      member: [{ user_id: 'new-one', role: 'admin' }, { user_email: 'new-two@agency.example' }],
      max_budget_in_team: 3,
    });
    expect(added.body.updated_users).toHaveLength(2);
    expect(added.body.updated_team_memberships).toMatchObject([
      { role: 'admin', litellm_budget_table: { max_budget: 3 } },
      { role: 'user', litellm_budget_table: { max_budget: 3 } },
    ]);
    const again = await post('/team/member_add', {
      team_id: id,
      member: { user_email: 'NEW-two@agency.example' },
    });
    expect(again).toMatchObject({ status: 400, body: { error: { type: 'team_member_already_in_team' } } });
    expect((await info(id)).team_info.members).toHaveLength(2);
    expect((await post('/team/member_add', { team_id: 'nobody', member: { user_id: 'x' } })).status).toBe(
      404,
    );
    expect((await post('/team/member_add', { team_id: id, member: {} })).status).toBe(400);
  });

  test('change in what is named', async () => {
    const { team_id: id } = await open({ members_with_roles: [{ user_id: 'changing' }] });
    const changed = await post('/team/member_update', {
      team_id: id,
      user_id: 'changing',
      max_budget_in_team: 4,
      budget_duration: '1d',
    });
    expect(changed.body).toMatchObject({
      max_budget_in_team: 4,
      budget_reset_at: '2026-11-20T23:00:00.000Z',
      rpm_limit: null,
      role: 'user',
    });
    const later = await post('/team/member_update', {
      team_id: id,
      user_id: 'changing',
      role: 'admin',
      rpm_limit: 9,
    });
    expect(later.body).toMatchObject({ max_budget_in_team: 4, rpm_limit: 9, role: 'admin' });
    expect((await post('/team/member_update', { team_id: id, user_id: 'nobody' })).status).toBe(400);
  });

  test('leave with their keys of that team, and nobody else does', async () => {
    const { team_id: id } = await open({
      members_with_roles: [{ user_id: 'leaving' }, { user_id: 'staying' }],
    });
    const key = async (user_id: string) => (await post('/key/generate', { team_id: id, user_id })).body.key;
    const [leaving, staying] = [await key('leaving'), await key('staying')];
    const headers = { 'idempotency-key': 'leave' };
    const answer = await post('/team/member_delete', { team_id: id, user_id: 'leaving' }, headers);
    expect(answer.body.members).toEqual(['staying']);
    expect((await admin.call({ url: '/v1/models', bearer: leaving })).status).toBe(401);
    expect((await admin.call({ url: '/v1/models', bearer: staying })).status).toBe(200);
    expect((await post('/team/member_delete', { team_id: id, user_id: 'leaving' }, headers)).status).toBe(
      200,
    );
    for (const body of [
      { team_id: id, user_id: 'leaving' },
      { team_id: id },
      { team_id: 'nobody', user_id: 'staying' },
    ]) {
      expect((await post('/team/member_delete', body)).status).toBe(400);
    }
  });

  test('of many are added each for itself', async () => {
    const { team_id: id } = await open({ members_with_roles: [{ user_id: 'in-already' }] });
    const answer = await post('/team/bulk_member_add', {
      team_id: id,
      members: [{ user_id: 'in-already' }, { user_id: 'fresh' }],
    });
    expect(answer.body).toMatchObject({ total_requested: 2, successful_additions: 1, failed_additions: 1 });
    expect((await post('/team/bulk_member_add', { team_id: id, members: [] })).status).toBe(400);
  });

  test('do with the team’s keys what the team lets them', async () => {
    const make = () => post('/key/generate', { team_id: TEAM }, {}, who.keys.team_user);
    expect(await make()).toMatchObject({
      status: 401,
      body: { error: { type: 'team_member_permission_error' } },
    });
    const permissions = { team_id: TEAM, team_member_permissions: ['/key/info', '/key/generate'] };
    expect((await post('/team/permissions_update', permissions, {}, who.keys.team_user)).status).toBe(401);
    expect((await post('/team/permissions_update', permissions, {}, who.keys.team_admin)).status).toBe(200);
    const made = await make();
    expect(made.body).toMatchObject({ team_id: TEAM, user_id: 'user-team_user' });
    const list = await admin.call({
      url: `/team/permissions_list?team_id=${TEAM}`,
      bearer: who.keys.team_user,
    });
    expect(list.body.team_member_permissions).toEqual(['/key/info', '/key/generate']);
  });
});

describe('a team’s admin', () => {
  test('leads the team and gives it no more than it was given', async () => {
    const lead = (body: object) => post('/team/update', { team_id: TEAM, ...body }, {}, who.keys.team_admin);
    expect((await lead({ metadata: { by: 'admin' } })).body.data.metadata).toEqual({ by: 'admin' });
    for (const body of [{ max_budget: 1 }, { models: [] }, { rpm_limit: null }, { blocked: true }]) {
      expect(await lead(body)).toMatchObject({ status: 403, body: { error: { reason: 'not_yours' } } });
    }
    expect((await post('/team/block', { team_id: TEAM }, {}, who.keys.team_admin)).status).toBe(401);
  });

  test('of one team has nothing to say in another', async () => {
    const other = await open({ organization_id: who.tenantId });
    const foreign = await open();
    const add = (team_id: string) =>
      post('/team/member_add', { team_id, member: { user_id: 'x' } }, {}, who.keys.team_admin);
    expect((await add(other.team_id)).status).toBe(403);
    expect((await add(foreign.team_id)).status).toBe(404);
    const seen = await admin.call({
      url: `/team/info?team_id=${foreign.team_id}`,
      bearer: who.keys.team_admin,
    });
    expect(seen.status).toBe(404);
  });
});

describe('lists of teams', () => {
  test('show members their own', async () => {
    const all = await admin.call({ url: '/team/list' });
    const own = await admin.call({ url: '/team/list', bearer: who.keys.team_user });
    const led = await admin.call({ url: '/v2/team/list?page_size=100', bearer: who.keys.org_admin });
    expect(own.body.map(({ team_id }: { team_id: string }) => team_id)).toEqual([TEAM]);
    expect(all.body.length).toBeGreaterThan(5);
    const tenants = new Set(led.body.teams.map((team: { organization_id: string }) => team.organization_id));
    expect([...tenants]).toEqual([who.tenantId]);
    const other = await admin.call({ url: '/team/list?user_id=first', bearer: who.keys.internal_user });
    expect(other.status).toBe(403);
  });

  test('are cut into pages that do not overlap, and filtered by a part of the name', async () => {
    for (let i = 0; i < 5; i += 1) await open({ team_id: `paged-${i}`, team_alias: `Paged ${i}` });
    const page = async (n: number) =>
      (await admin.call({ url: `/v2/team/list?team_alias=PAGED&page=${n}&page_size=2&sort_by=team_id` }))
        .body;
    const pages = [await page(1), await page(2), await page(3)];
    expect(pages[0]).toMatchObject({ total: 5, total_pages: 3, page_size: 2 });
    expect(pages.flatMap(({ teams }) => teams.map((team: { team_id: string }) => team.team_id))).toEqual(
      [4, 3, 2, 1, 0].map((i) => `paged-${i}`),
    );
    expect((await admin.call({ url: '/v2/team/list?status=gone' })).status).toBe(400);
  });
});
