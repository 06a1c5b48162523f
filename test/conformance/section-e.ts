import { strict as assert } from 'node:assert';
import { assertBudget, assertStatus, type Answer, type Case, somebody, type Target } from './case.ts';

/** E. Budgets. */
const TINY = 1e-7;
const WINDOW_MS_MAX = 150_000;

/** A tiny budget lets at most one call through. A server that reserves before the call lets none. */
async function exhausted(call: () => Promise<Answer>): Promise<Answer> {
  await call();
  const answer = await call();
  assertBudget(answer);
  return answer;
}

async function team(t: Target, fields: object): Promise<string> {
  const answer = await t.post('/team/new', fields);
  assertStatus(answer, 200);
  return answer.body.team_id;
}

export const sectionE: readonly Case[] = [
  {
    id: '77',
    title: 'a tiny budget is spent after one call at most',
    async run(t) {
      const { key } = await t.key({ max_budget: TINY });
      const refused = await exhausted(() => t.chat(key));
      assert.match(refused.body.error.message, /^Budget has been exceeded!/);
    },
  },
  {
    id: '78',
    title: 'a budget of nothing lets nothing through',
    async run(t) {
      const { key } = await t.key({ max_budget: 0 });
      for (let i = 0; i < 2; i += 1) assertBudget(await t.chat(key));
    },
  },
  {
    id: '80',
    title: 'a raised budget serves again at once',
    async run(t) {
      const { key } = await t.key({ max_budget: TINY });
      await exhausted(() => t.chat(key));
      await t.post('/key/update', { key, max_budget: 10 });
      assertStatus(await t.chat(key), 200);
    },
  },
  {
    id: '81',
    title: 'the budget of a team holds for all its keys',
    async run(t) {
      const team_id = await team(t, { max_budget: TINY });
      const [one, two] = [await t.key({ team_id }), await t.key({ team_id })];
      const refused = await exhausted(() => t.chat(one.key));
      assert.ok(refused.body.error.message.includes(`Team=${team_id}`));
      assertBudget(await t.chat(two.key));
      await t.post('/team/update', { team_id, max_budget: 10 });
      assertStatus(await t.chat(two.key), 200);
    },
  },
  {
    id: '83',
    title: 'the budget of a user holds for the personal keys',
    async run(t) {
      const user = await somebody(t, 'internal_user', { max_budget: TINY });
      await exhausted(() => t.chat(user.key));
      const team_id = await team(t, { members_with_roles: [{ user_id: user.id }] });
      const shared = await t.key({ user_id: user.id, team_id });
      assertStatus(await t.chat(shared.key), 200);
    },
  },
  {
    id: '84',
    title: 'the budget of an organization holds for its teams',
    async run(t) {
      const made = await t.post('/organization/new', {
        organization_alias: t.fresh('org'),
        max_budget: TINY,
      });
      const { organization_id } = made.body;
      const { key } = await t.key({ team_id: await team(t, { organization_id }) });
      const refused = await exhausted(() => t.chat(key));
      assert.ok(refused.body.error.message.includes(`Organization=${organization_id}`));
    },
  },
  {
    id: '85',
    title: 'the budget of a member is the member’s alone',
    async run(t) {
      const team_id = await team(t, {});
      const [poor, rich] = [t.fresh('poor'), t.fresh('rich')];
      await t.post('/team/member_add', {
        team_id,
        member: { user_id: poor, role: 'user' },
        max_budget_in_team: TINY,
      });
      await t.post('/team/member_add', { team_id, member: { user_id: rich, role: 'user' } });
      const keys = [await t.key({ team_id, user_id: poor }), await t.key({ team_id, user_id: rich })];
      await exhausted(() => t.chat(keys[0].key));
      assertStatus(await t.chat(keys[1].key), 200);
    },
  },
  {
    id: '87',
    title: 'the budget of a tag holds for requests that carry it',
    async run(t) {
      const name = t.fresh('tag');
      await t.post('/tag/new', { name, max_budget: TINY });
      const { key } = await t.key();
      await exhausted(() => t.chat(key, { metadata: { tags: [name] } }));
      assertStatus(await t.chat(key, { metadata: { tags: [t.fresh('other')] } }), 200);
    },
  },
  {
    id: '88',
    title: 'a soft budget only warns',
    async run(t) {
      const { key } = await t.key({ soft_budget: 1e-9, max_budget: 1_000 });
      for (let i = 0; i < 3; i += 1) assertStatus(await t.chat(key), 200);
    },
  },
  {
    id: '90',
    title: 'several windows hold together',
    slow: true,
    async run(t) {
      const probe = await t.key();
      assertStatus(await t.chat(probe.key), 200);
      // For more than one call and fewer than two, where a server reserves what a call may cost at most.
      const once = (await t.info(probe.key)).spend * 1.5;
      const windows = [
        { budget_duration: '30s', max_budget: Number(once.toFixed(9)) },
        { budget_duration: '1m', max_budget: 1 },
      ];
      const { key } = await t.key({ budget_limits: windows });
      for (const { reset_at } of (await t.info(key)).budget_limits)
        assert.ok(Date.parse(reset_at) > Date.now());
      await untilAnswer(t, key, (answer) => answer.body.error?.type === 'budget_exceeded', 0);
      await untilAnswer(t, key, ({ status }) => status === 200, 1_000);
    },
  },
  {
    id: '91',
    title: 'a spent window opens again',
    slow: true,
    async run(t) {
      const { key, budget_reset_at: first } = await t.key({ max_budget: 0.00005, budget_duration: '30s' });
      await untilAnswer(t, key, (answer) => answer.body.error?.type === 'budget_exceeded', 0);
      await untilAnswer(t, key, ({ status }) => status === 200, 1_000);
      assert.ok(Date.parse((await t.info(key)).budget_reset_at) > Date.parse(first));
    },
  },
  {
    id: '92',
    title: 'a member’s budget has a window of its own',
    async run(t) {
      const user_id = t.fresh('member');
      const team_id = await team(t, { members_with_roles: [{ user_id, role: 'user' }] });
      const changed = await t.post('/team/member_update', {
        team_id,
        user_id,
        max_budget_in_team: 1,
        budget_duration: '1d',
      });
      assertStatus(changed, 200);
      const { body } = await t.get(`/team/info?team_id=${team_id}`);
      assert.ok(Date.parse(body.team_memberships[0].litellm_budget_table.budget_reset_at) > Date.now());
    },
  },
  {
    id: '94',
    title: 'simultaneous calls never spend more than there is',
    async run(t) {
      const probe = await t.key();
      assertStatus(await t.chat(probe.key, { max_tokens: 50 }), 200);
      const cap = (await t.info(probe.key)).spend * 3;
      const { key } = await t.key({ max_budget: cap });
      await Promise.all(Array.from({ length: 5 }, () => t.chat(key, { max_tokens: 50 })));
      assert.ok((await t.info(key)).spend <= cap * (1 + 1e-9));
    },
  },
  {
    id: '96',
    title: 'a shared budget holds, and follows its changes',
    async run(t) {
      const budget_id = t.fresh('budget');
      await t.post('/budget/new', { budget_id, max_budget: 0 });
      const { key } = await t.key({ budget_id });
      assert.equal((await t.info(key)).litellm_budget_table.max_budget, 0);
      assertBudget(await t.chat(key));
      await t.post('/budget/update', { budget_id, max_budget: 10 });
      assertStatus(await t.chat(key), 200);
    },
  },
];

async function untilAnswer(
  t: Target,
  key: string,
  isTrue: (answer: Answer) => boolean,
  everyMs: number,
): Promise<void> {
  const deadline = Date.now() + WINDOW_MS_MAX;
  while (Date.now() < deadline) {
    const answer = await t.chat(key);
    assert.ok(answer.status < 500, JSON.stringify(answer.body));
    if (isTrue(answer)) return;
    if (everyMs > 0) await t.pause(everyMs);
  }
  throw new Error('the deadline of the case is over');
}
