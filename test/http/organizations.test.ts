import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Admin, startAdmin } from '../support/admin.ts';

let admin: Admin;
beforeAll(async () => {
  admin = await startAdmin();
});
afterAll(() => admin?.close());

type Method = 'POST' | 'PATCH' | 'DELETE';
const send = (
  method: Method,
  url: string,
  body: object,
  headers: Record<string, string> = {},
  bearer?: string,
) => admin.call({ method, url, body, headers, ...(bearer === undefined ? {} : { bearer }) });
const post = (url: string, body: object, headers: Record<string, string> = {}, bearer?: string) =>
  send('POST', url, body, headers, bearer);
const info = (id: string) => admin.call({ url: `/organization/info?organization_id=${id}` });

describe('an organization', () => {
  test('is a tenant with limits of its own, with a contract when a plan is named', async () => {
    const fields = {
      organization_alias: 'Nord',
      max_budget: 100,
      budget_duration: '30d',
      models: ['demo-small'],
      metadata: { region: 'eu' },
    };
    const made = await post('/organization/new', fields);
    expect(made.status).toBe(200);
    expect(made.body).toMatchObject({ ...fields, plan: null, spend: 0, members: [], teams: [] });
    expect(made.body.litellm_budget_table).toMatchObject({ max_budget: 100, budget_duration: '30d' });
    const signed = await post('/organization/new', { organization_alias: 'Süd', plan: 'studio' });
    expect(signed.body.plan).toBe('studio');
    const key = await post('/key/generate', { organization_id: made.body.organization_id });
    expect(key.body.organization_id).toBe(made.body.organization_id);
    const listed = await admin.call({ url: '/organization/list?org_alias=NORD' });
    expect(listed.body).toEqual([made.body]);
    expect((await post('/organization/new', {})).status).toBe(422);
    expect((await post('/organization/new', { organization_alias: 'x', max_budget: -1 })).status).toBe(400);
  });

  test('changes in what is named, and holds its teams within its limits', async () => {
    const { organization_id: id } = (
      await post('/organization/new', {
        organization_alias: 'Within',
        rpm_limit: 10,
        max_budget: 5,
        models: ['demo-small'],
      })
    ).body;
    for (const [field, value] of Object.entries({ rpm_limit: 11, max_budget: 6, models: ['demo-large'] })) {
      const refused = await post('/team/new', { organization_id: id, [field]: value });
      expect(refused, field).toMatchObject({ status: 400, body: { error: { param: field } } });
    }
    expect((await post('/team/new', { organization_id: id, rpm_limit: 10, max_budget: 5 })).status).toBe(200);
    const changed = await send('PATCH', '/organization/update', {
      organization_id: id,
      max_budget: null,
      organization_alias: 'Wider',
    });
    expect(changed.body).toMatchObject({ organization_alias: 'Wider', max_budget: null, rpm_limit: 10 });
    expect((await post('/team/new', { organization_id: id, max_budget: 6 })).status).toBe(200);
    expect((await send('PATCH', '/organization/update', { organization_id: 'nobody' })).status).toBe(404);
  });

  test('has members, whose admins lead it and nothing else', async () => {
    const { organization_id: id } = (await post('/organization/new', { organization_alias: 'Led' })).body;
    const other = (await post('/organization/new', { organization_alias: 'Other' })).body.organization_id;
    const added = await post('/organization/member_add', {
      organization_id: id,
      member: { user_id: 'leader', role: 'org_admin' },
      max_budget_in_organization: 7,
    });
    expect(added.body.updated_organization_memberships).toMatchObject([
      { user_id: 'leader', user_role: 'org_admin', max_budget_in_organization: 7 },
    ]);
    const leader = (await post('/key/generate', { user_id: 'leader', organization_id: id })).body.key;
    expect(
      (
        await post(
          '/organization/member_add',
          { organization_id: id, member: { user_email: 'm@nord.example' } },
          {},
          leader,
        )
      ).status,
    ).toBe(200);
    expect(
      (
        await post(
          '/organization/member_add',
          { organization_id: other, member: { user_id: 'x' } },
          {},
          leader,
        )
      ).status,
    ).toBe(404);
    expect(
      (await send('PATCH', '/organization/update', { organization_id: id, max_budget: 1 }, {}, leader))
        .status,
    ).toBe(403);
    expect((await post('/team/new', { organization_id: id }, {}, leader)).body.admins).toEqual(['leader']);
    const seen = await admin.call({ url: '/organization/list', bearer: leader });
    expect(seen.body.map((one: { organization_id: string }) => one.organization_id)).toEqual([id]);
    const registered = await post('/user/new', { organizations: [id], auto_create_key: false }, {}, leader);
    expect(registered.body.organizations).toEqual([id]);
    const members = await admin.call({ url: '/user/list', bearer: leader });
    expect(members.body.total).toBe(3);
    const changed = await send('PATCH', '/organization/member_update', {
      organization_id: id,
      user_id: 'leader',
      role: 'internal_user',
    });
    expect(changed.body.updated_organization_memberships).toMatchObject([
      { user_role: 'internal_user', max_budget_in_organization: 7 },
    ]);
    expect((await admin.call({ url: '/user/list', bearer: leader })).status).toBe(401);
    const removed = await send('DELETE', '/organization/member_delete', {
      organization_id: id,
      user_email: 'm@nord.example',
    });
    expect(removed.body.updated_organization_memberships).toEqual([]);
    expect(
      (await send('DELETE', '/organization/member_delete', { organization_id: id, user_id: 'nobody' }))
        .status,
    ).toBe(400);
  });

  test('is closed with its teams and keys, unless something is still to be invoiced', async () => {
    const { organization_id: id } = (await post('/organization/new', { organization_alias: 'Going' })).body;
    const team = (await post('/team/new', { organization_id: id })).body.team_id;
    const key = (await post('/key/generate', { team_id: team })).body.key;
    const headers = { 'idempotency-key': 'close' };
    const gone = await send('DELETE', '/organization/delete', { organization_ids: [id] }, headers);
    expect(gone.body).toMatchObject([{ organization_id: id }]);
    expect((await info(id)).status).toBe(404);
    expect((await admin.call({ url: `/team/info?team_id=${team}` })).status).toBe(404);
    expect((await admin.call({ url: '/v1/models', bearer: key })).status).toBe(401);
    expect((await send('DELETE', '/organization/delete', { organization_ids: [id] }, headers)).status).toBe(
      200,
    );
    expect((await send('DELETE', '/organization/delete', { organization_ids: [id] })).status).toBe(404);
    const signed = (await post('/organization/new', { organization_alias: 'Bound', plan: 'studio' })).body
      .organization_id;
    const bound = await send('DELETE', '/organization/delete', { organization_ids: [signed] });
    expect(bound).toMatchObject({ status: 409, body: { error: { reason: 'contract_in_force' } } });
    expect((await send('DELETE', '/organization/delete', { organization_ids: ['ten_own'] })).status).toBe(
      404,
    );
  });
});

describe('end users', () => {
  test.each(['/customer', '/end_user'])('live and die under %s', async (base) => {
    const id = `visitor of ${base}`;
    const made = await post(`${base}/new`, {
      user_id: id,
      alias: 'V',
      max_budget: 3,
      allowed_model_region: 'eu',
    });
    expect(made.body).toMatchObject({
      alias: 'V',
      max_budget: 3,
      allowed_model_region: 'eu',
      blocked: false,
      spend: 0,
    });
    expect(made.body.litellm_budget_table.max_budget).toBe(3);
    const again = await post(`${base}/new`, { user_id: id });
    expect(again).toMatchObject({
      status: 400,
      body: { error: { message: `Customer already exists, passed user_id=${id}.` } },
    });
    const changed = await post(`${base}/update`, { user_id: id, max_budget: null });
    expect(changed.body).toMatchObject({ alias: 'V', max_budget: null });
    const blocked = await post(`${base}/block`, { user_ids: [id] });
    expect(blocked.body.blocked_users).toMatchObject([{ user_id: id, blocked: true }]);
    const shown = await admin.call({ url: `${base}/info?end_user_id=${encodeURIComponent(id)}` });
    expect(shown.body).toMatchObject({ user_id: id, blocked: true });
    expect((await post(`${base}/unblock`, { user_ids: [id] })).body.blocked_users).toMatchObject([
      { blocked: false },
    ]);
    const list = await admin.call({ url: `${base}/list` });
    expect(list.body.map((one: { user_id: string }) => one.user_id)).toContain(id);
    const gone = await post(`${base}/delete`, { user_ids: [id] });
    expect(gone.body.deleted_customers).toBe(1);
    expect((await admin.call({ url: `${base}/info?end_user_id=${encodeURIComponent(id)}` })).status).toBe(
      404,
    );
    expect((await post(`${base}/delete`, { user_ids: [id] })).status).toBe(404);
    expect((await post(`${base}/update`, { user_id: id })).status).toBe(404);
  });

  test('take a shared budget, or limits of their own; a model that is not served is a fault', async () => {
    await post('/budget/new', { budget_id: 'visitors', max_budget: 1, rpm_limit: 5 });
    const shared = await post('/customer/new', { user_id: 'shared', budget_id: 'visitors' });
    expect(shared.body).toMatchObject({
      budget_id: 'visitors',
      litellm_budget_table: { max_budget: 1, rpm_limit: 5 },
    });
    const both = await post('/customer/new', { user_id: 'both', budget_id: 'visitors', max_budget: 2 });
    expect(both.body).toMatchObject({ budget_id: null, litellm_budget_table: { max_budget: 2 } });
    const fault = await post('/customer/new', { user_id: 'z', default_model: 'none' });
    expect(fault).toMatchObject({ status: 422, body: { detail: [{ loc: ['body', 'default_model'] }] } });
    expect((await post('/customer/new', { user_id: 'z', budget_id: 'none' })).status).toBe(400);
  });

  test('of one organization are nobody of another, and their names are not in the log', async () => {
    const { organization_id: id } = (await post('/organization/new', { organization_alias: 'Apps' })).body;
    expect(
      (await post('/customer/new', { user_id: 'same', organization_id: id, alias: 'Ann Example' })).status,
    ).toBe(200);
    expect((await post('/customer/new', { user_id: 'same' })).status).toBe(200);
    const events: string[] = [];
    for await (const { event } of admin.store.readStream(`customer-${id}/same`)) {
      events.push(
        JSON.stringify(event, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)),
      );
    }
    expect(events).toHaveLength(1);
    expect(events[0]).not.toContain('Ann');
    await post('/customer/delete', { user_ids: ['same'] });
    expect(
      (await admin.call({ url: `/customer/info?end_user_id=same&organization_id=${id}` })).body.alias,
    ).toBe('Ann Example');
  });
});

describe('shared budgets', () => {
  test('are defined, changed, listed and deleted', async () => {
    const made = await post('/budget/new', {
      budget_id: 'b1',
      max_budget: 10,
      budget_duration: '1d',
      tpm_limit: 7,
    });
    expect(made.body).toMatchObject({
      budget_id: 'b1',
      max_budget: 10,
      tpm_limit: 7,
      budget_reset_at: '2026-11-20T23:00:00.000Z',
    });
    expect((await post('/budget/new', { budget_id: 'b1' })).status).toBe(400);
    const cleared = await post('/budget/update', { budget_id: 'b1', max_budget: null });
    expect(cleared.body).toMatchObject({ max_budget: null, tpm_limit: 7 });
    expect((await post('/budget/update', { max_budget: 1 })).status).toBe(400);
    expect((await post('/budget/new', { max_budget: -1 })).status).toBe(400);
    expect((await post('/budget/info', { budgets: ['b1', 'none'] })).body).toMatchObject([
      { budget_id: 'b1' },
    ]);
    expect((await post('/budget/info', { budgets: [] })).status).toBe(400);
    const list = await admin.call({ url: '/budget/list' });
    expect(list.body.map((one: { budget_id: string }) => one.budget_id)).toContain('b1');
    const settings = await admin.call({ url: '/budget/settings?budget_id=b1' });
    expect(settings.body).toContainEqual(
      expect.objectContaining({ field_name: 'tpm_limit', field_value: 7 }),
    );
    expect((await post('/budget/delete', { id: 'b1' })).body.budget_id).toBe('b1');
    expect((await post('/budget/delete', { id: 'b1' })).status).toBe(404);
  });

  test('are in the limits of the teams that carry them, and follow when they change', async () => {
    await post('/budget/new', { budget_id: 'carried', max_budget: 10, rpm_limit: 5 });
    const team = (await post('/team/new', { budget_id: 'carried', rpm_limit: 3 })).body;
    expect(team).toMatchObject({ budget_id: 'carried', max_budget: 10, rpm_limit: 3 });
    await post('/budget/update', { budget_id: 'carried', max_budget: 20 });
    const { team_info: after } = (await admin.call({ url: `/team/info?team_id=${team.team_id}` })).body;
    expect(after).toMatchObject({ max_budget: 20, rpm_limit: 3 });
  });
});

describe('tags', () => {
  test('have a meaning and limits, belong to a tenant, and go', async () => {
    const made = await post('/tag/new', {
      name: 'blue',
      description: 'Blue',
      max_budget: 2,
      models: ['demo-small'],
    });
    expect(made.body).toMatchObject({
      message: 'Tag blue created successfully',
      tag: { name: 'blue', max_budget: 2 },
    });
    expect((await post('/tag/new', { name: 'blue' })).status).toBe(400);
    const changed = await post('/tag/update', { name: 'blue', description: null });
    expect(changed.body.tag).toMatchObject({ description: null, max_budget: 2, models: ['demo-small'] });
    expect((await post('/tag/info', { names: ['blue', 'none'] })).body).toEqual({ blue: changed.body.tag });
    expect((await admin.call({ url: '/tag/list' })).body).toEqual([changed.body.tag]);
    expect((await post('/tag/update', { name: 'none' })).status).toBe(404);
    expect((await post('/tag/delete', { name: 'blue' })).status).toBe(200);
    expect((await post('/tag/delete', { name: 'blue' })).status).toBe(404);
    expect((await admin.call({ url: '/tag/list' })).body).toEqual([]);
  });
});
