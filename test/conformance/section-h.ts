import { strict as assert } from 'node:assert';
import { assertIncludes, assertStatus, type Case, somebody } from './case.ts';

/** H. Teams, users, customers, organizations, budgets, tags. */
export const sectionH: readonly Case[] = [
  {
    id: '118',
    title: 'a team is opened once and shown',
    async run(t) {
      const { team_id } = (await t.post('/team/new', { team_alias: 'T' })).body;
      assertStatus(await t.post('/team/new', { team_id }), 400);
      const { body } = await t.get(`/team/info?team_id=${team_id}`);
      for (const member of ['team_id', 'team_info', 'keys', 'team_memberships'])
        assert.ok(member in body, member);
      assertStatus(await t.get(`/team/info?team_id=${t.fresh('none')}`), 404);
      assertStatus(await t.get('/team/info'), 422);
    },
  },
  {
    id: '120',
    title: 'a team changes in what is named',
    async run(t) {
      const { team_id } = (await t.post('/team/new', { team_alias: 'A', rpm_limit: 5 })).body;
      const { data } = (await t.post('/team/update', { team_id, team_alias: 'B' })).body;
      assertIncludes(data, { team_alias: 'B', rpm_limit: 5 });
      assert.equal((await t.post('/team/update', { team_id, max_budget: 10 })).body.data.max_budget, 10);
      assert.equal((await t.post('/team/update', { team_id, max_budget: null })).body.data.max_budget, null);
    },
  },
  {
    id: '122',
    title: 'a blocked team refuses its keys',
    async run(t) {
      const { team_id } = (await t.post('/team/new', {})).body;
      const { key } = await t.key({ team_id });
      await t.post('/team/block', { team_id });
      assertStatus(await t.chat(key), 401);
      assert.equal((await t.get(`/team/info?team_id=${team_id}`)).body.team_info.blocked, true);
      await t.post('/team/unblock', { team_id });
      assertStatus(await t.chat(key), 200);
    },
  },
  {
    id: '123',
    title: 'members come and go',
    async run(t) {
      const { team_id } = (await t.post('/team/new', {})).body;
      const user_id = t.fresh('member');
      const user_email = `${t.fresh('m')}@example.com`;
      const add = (member: object) =>
        t.post('/team/member_add', { team_id, member: { role: 'user', ...member } });
      assertStatus(await add({ user_id }), 200);
      assertStatus(await add({ user_email }), 200);
      const again = await add({ user_id });
      assertStatus(again, 400);
      assert.equal(again.body.error.type, 'team_member_already_in_team');
      const { members_with_roles: members } = (await t.get(`/team/info?team_id=${team_id}`)).body.team_info;
      assert.equal(members.filter((member: { user_id: string }) => member.user_id === user_id).length, 1);
      const { key } = await t.key({ team_id, user_id });
      assertStatus(await t.post('/team/member_delete', { team_id, user_id }), 200);
      assertStatus(await t.get('/v1/models', key), 401);
      assertStatus(await t.post('/team/member_delete', { team_id, user_email }), 200);
      assertStatus(await t.post('/team/member_delete', { team_id, user_id }), 400);
    },
  },
  {
    id: '125',
    title: 'a deleted team is gone with its keys and memberships',
    async run(t) {
      const user_id = t.fresh('member');
      const { team_id } = (await t.post('/team/new', { members_with_roles: [{ user_id, role: 'user' }] }))
        .body;
      const { key } = await t.key({ team_id });
      const deleted = await t.post('/team/delete', { team_ids: [team_id] });
      assert.equal(deleted.body.deleted_teams.length, 1);
      assertStatus(await t.get(`/team/info?team_id=${team_id}`), 404);
      assert.deepEqual((await t.get(`/user/info?user_id=${user_id}`)).body.teams, []);
      assertStatus(await t.chat(key), 401);
    },
  },
  {
    id: '126',
    title: 'a user comes with a key, once',
    async run(t) {
      const email = `${t.fresh('u')}@example.com`;
      const made = await t.post('/user/new', { user_email: email });
      assert.ok(made.body.user_id && made.body.key);
      const bare = await t.post('/user/new', { auto_create_key: false });
      assert.ok(!bare.body.key);
      assertStatus(await t.post('/user/new', { user_id: made.body.user_id }), 409);
      assertStatus(await t.post('/user/new', { user_email: email.toUpperCase() }), 409);
    },
  },
  {
    id: '128',
    title: 'users are listed, and deleted with their keys',
    async run(t) {
      const email = `${t.fresh('u')}@example.com`;
      const made = await t.post('/user/new', { user_email: email });
      const { body } = await t.get(`/user/list?user_email=${email}`);
      assertIncludes(body, { total: 1, page: 1, page_size: 25, total_pages: 1 });
      assert.equal(body.users[0].user_id, made.body.user_id);
      assert.equal((await t.post('/user/delete', { user_ids: [made.body.user_id] })).body, 1);
      assertStatus(await t.get('/v1/models', made.body.key), 401);
    },
  },
  {
    id: '130',
    title: 'end users under both names',
    async run(t) {
      for (const base of ['/customer', '/end_user']) {
        const user_id = t.fresh('visitor');
        assertStatus(await t.post(`${base}/new`, { user_id }), 200);
        assertStatus(await t.post(`${base}/new`, { user_id }), 400);
        assertStatus(await t.get(`${base}/info?end_user_id=${user_id}`), 200);
        assert.equal((await t.post(`${base}/delete`, { user_ids: [user_id] })).body.deleted_customers, 1);
        assertStatus(await t.get(`${base}/info?end_user_id=${user_id}`), 404);
      }
    },
  },
  {
    id: '130b',
    title: 'a blocked end user is refused',
    async run(t) {
      const user = t.fresh('visitor');
      await t.post('/customer/block', { user_ids: [user] });
      const { key } = await t.key();
      const answer = await t.chat(key, { user });
      assert.ok(answer.status >= 400 && answer.status < 500);
    },
  },
  {
    id: '131',
    title: 'organizations, their members and limits',
    async run(t) {
      const organization_alias = t.fresh('org');
      const made = await t.post('/organization/new', { organization_alias, max_budget: 5 });
      const { organization_id } = made.body;
      const listed = await t.get(`/organization/list?org_id=${organization_id}`);
      assert.notEqual(listed.body[0].litellm_budget_table, null);
      const user_id = t.fresh('member');
      const member = { user_id, role: 'internal_user' };
      assertStatus(await t.post('/organization/member_add', { organization_id, member }), 200);
      const change = { organization_id, user_id, role: 'org_admin' };
      assertStatus(await t.send('PATCH', '/organization/member_update', change), 200);
      assertStatus(await t.send('DELETE', '/organization/member_delete', { organization_id, user_id }), 200);
      assertStatus(await t.post('/team/new', { organization_id, max_budget: 6 }), 400);
      const deleted = await t.send('DELETE', '/organization/delete', { organization_ids: [organization_id] });
      assert.equal(deleted.body[0].organization_id, organization_id);
      assertStatus(await t.get(`/organization/info?organization_id=${organization_id}`), 404);
    },
  },
  {
    id: '132',
    title: 'budgets',
    async run(t) {
      const budget_id = t.fresh('budget');
      assertStatus(await t.post('/budget/new', { budget_id, max_budget: 1 }), 200);
      const shown = await t.post('/budget/info', { budgets: [budget_id] });
      assert.ok(Array.isArray(shown.body) && shown.body[0].max_budget === 1);
      assert.ok(
        (await t.get('/budget/list')).body.some((one: { budget_id: string }) => one.budget_id === budget_id),
      );
      assert.equal((await t.post('/budget/update', { budget_id, max_budget: null })).body.max_budget, null);
      assertStatus(await t.post('/budget/update', { max_budget: 1 }), 400);
      assertStatus(await t.post('/budget/new', { max_budget: -1 }), 400);
      const user = await somebody(t, 'internal_user');
      assertStatus(await t.post('/budget/new', {}, user.key), 401, 403);
      assertStatus(await t.post('/budget/delete', { id: budget_id }), 200);
    },
  },
  {
    id: '134',
    title: 'a model is added, priced anew and removed while the server runs',
    async run(t) {
      const { data } = (await t.get('/model/info')).body;
      const of = (id: string) => data.find((one: { model_name: string }) => one.model_name === id);
      const { api_base } = of(t.model).litellm_params;
      const name = t.fresh('model');
      const api_key = 'sk-simulated-upstream';
      const params = {
        model: `openai/${t.model}`,
        api_base,
        api_key,
        input_cost_per_token: 1e-6,
        output_cost_per_token: 2e-6,
      };
      const made = await t.post('/model/new', { model_name: name, litellm_params: params });
      assertStatus(made, 200);
      const { model_id } = made.body;
      assert.ok(!JSON.stringify(made.body).includes(api_key));
      const shown = await t.get(`/model/info?litellm_model_id=${model_id}`);
      assert.equal(shown.body.data[0].model_info.input_cost_per_token, 1e-6);
      assert.ok(!JSON.stringify(shown.body).includes(api_key));
      const listed = (await t.get('/v1/models')).body.data as { id: string }[];
      assert.ok(listed.some(({ id }) => id === name));
      const { key } = await t.key();
      const cost = async (): Promise<number> => {
        const answer = await t.chat(key, { model: name });
        assertStatus(answer, 200);
        const { prompt_tokens: input, completion_tokens: output } = answer.body.usage;
        assert.equal(answer.headers.get('x-litellm-model-id'), model_id);
        return (Number(answer.headers.get('x-litellm-response-cost')) - input * 1e-6) / output;
      };
      assert.ok(Math.abs((await cost()) - 2e-6) < 1e-12);
      const change = { litellm_params: { output_cost_per_token: 5e-6 } };
      assertStatus(await t.send('PATCH', `/model/${model_id}/update`, change), 200);
      assert.ok(Math.abs((await cost()) - 5e-6) < 1e-12);
      const cleared = { litellm_params: { output_cost_per_token: null } };
      assertStatus(await t.send('PATCH', `/model/${model_id}/update`, cleared), 200);
      assert.ok(Math.abs(await cost()) < 1e-12);
      assertStatus(await t.send('PATCH', `/model/${t.fresh('none')}/update`, change), 404);
      assertStatus(await t.post('/model/delete', { id: model_id }), 200);
      assertStatus(await t.post('/model/delete', { id: model_id }), 400);
      assertStatus(await t.get(`/model/info?litellm_model_id=${model_id}`), 400);
      assertStatus(await t.chat(key, { model: name }), 400);
      const user = await somebody(t, 'internal_user');
      assertStatus(
        await t.post('/model/new', { model_name: name, litellm_params: params }, user.key),
        401,
        403,
      );
    },
  },
];
