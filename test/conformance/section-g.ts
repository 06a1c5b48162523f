import { strict as assert } from 'node:assert';
import { assertStatus, type Case, type Target } from './case.ts';

/** G. Spend and reporting. */
const today = (): string => new Date().toISOString().slice(0, 10);
const dates = (): string => `start_date=${today()}&end_date=${today()}`;

function assertClose(a: number, b: number, what: string): void {
  assert.ok(Math.abs(a - b) <= 1e-6 * Math.max(Math.abs(a), Math.abs(b)), `${what}: ${a} and ${b}`);
}

/** Everything that takes GET and tells of spend. */
const ROUTES = [
  '/spend/logs',
  `/spend/logs?DATES`,
  '/spend/logs/v2?DATES',
  '/spend/logs/ui?DATES',
  '/spend/logs/session/ui',
  '/spend/keys',
  '/spend/users',
  '/spend/tags',
  '/global/spend',
  '/global/spend/logs',
  '/global/spend/keys?limit=5',
  '/global/spend/models?limit=5',
  '/global/spend/teams',
  '/global/spend/provider?DATES',
  '/global/spend/tags?DATES',
  '/global/spend/all_tag_names',
  '/global/spend/report?DATES',
  '/global/spend/report?DATES&group_by=customer',
  '/global/spend/report?DATES&group_by=api_key',
  '/global/activity?DATES',
  '/global/activity/model?DATES',
  '/global/activity/exceptions?DATES&model_group=x',
  '/global/activity/exceptions/deployment?DATES&model_group=x',
  '/user/daily/activity?DATES',
  '/user/daily/activity/aggregated?DATES',
  '/team/daily/activity?DATES',
  '/customer/daily/activity?DATES',
  '/end_user/daily/activity?DATES',
  '/organization/daily/activity?DATES',
  '/tag/daily/activity?DATES',
  '/agent/daily/activity?DATES',
  '/provider/budgets',
];

/** A question that nobody asked before, so that a repeated answer is not taken for it. */
const asked = (t: Target) => ({ messages: [{ role: 'user', content: t.fresh('question') }] });

async function keyInTeam(
  t: Target,
): Promise<{ key: string; token: string; team_id: string; user_id: string }> {
  const { team_id } = (await t.post('/team/new', {})).body;
  const user_id = t.fresh('user');
  const { key, token } = await t.key({ team_id, user_id });
  return { key, token, team_id, user_id };
}

export const sectionG: readonly Case[] = [
  {
    id: '105',
    title: 'a call is one row with its tokens and its price',
    async run(t) {
      const { key, token } = await t.key();
      const answer = await t.chat(key, asked(t));
      assertStatus(answer, 200);
      const { body } = await t.get(`/spend/logs?request_id=${answer.body.id}`);
      assert.equal(body.length, 1);
      const [row] = body;
      const { usage } = answer.body;
      assert.equal(row.api_key, token);
      assert.equal(row.status, 'success');
      assert.equal(row.prompt_tokens, usage.prompt_tokens);
      assert.equal(row.completion_tokens, usage.completion_tokens);
      assert.equal(row.total_tokens, usage.total_tokens);
      assertClose(row.spend, Number(answer.headers.get('x-litellm-response-cost')), 'row and header');
    },
  },
  {
    id: '106',
    title: 'row, key, team and daily activity say the same amount',
    async run(t) {
      const { key, token, team_id, user_id } = await keyInTeam(t);
      for (let i = 0; i < 3; i += 1) assertStatus(await t.chat(key, asked(t)), 200);
      const rows = (await t.get(`/spend/logs?api_key=${token}`)).body as { spend: number }[];
      const spent = rows.reduce((sum, row) => sum + row.spend, 0);
      assert.ok(rows.length === 3 && spent > 0);
      assertClose((await t.info(key)).spend, spent, 'key');
      assertClose((await t.get(`/team/info?team_id=${team_id}`)).body.team_info.spend, spent, 'team');
      for (const family of [
        `user/daily/activity/aggregated?user_id=${user_id}`,
        `team/daily/activity?team_ids=${team_id}`,
      ]) {
        const { body } = await t.get(`/${family}&${dates()}`);
        assertClose(body.metadata.total_spend, spent, family);
        assert.equal(body.metadata.total_api_requests, 3);
      }
    },
  },
  {
    id: '110',
    title: 'tags, end user and team are on the row',
    async run(t) {
      const { key, team_id } = await keyInTeam(t);
      const user = t.fresh('visitor');
      const tag = t.fresh('tag');
      const answer = await t.chat(key, { ...asked(t), user, metadata: { tags: [tag] } });
      const [row] = (await t.get(`/spend/logs?request_id=${answer.body.id}`)).body;
      assert.deepEqual(row.request_tags, [tag]);
      assert.equal(row.end_user, user);
      assert.equal(row.team_id, team_id);
      assert.equal(row.metadata.user_api_key_team_id, team_id);
    },
  },
  {
    id: '114',
    title: 'the paged list needs dates and has stable pages',
    async run(t) {
      assertStatus(await t.get('/spend/logs/v2'), 400);
      assertStatus(await t.get(`/spend/logs/v2?${dates()}&page_size=101`), 422);
      const { key, token } = await t.key();
      for (let i = 0; i < 3; i += 1) assertStatus(await t.chat(key, asked(t)), 200);
      const page = async (n: number): Promise<string[]> => {
        const { body } = await t.get(`/spend/logs/v2?${dates()}&api_key=${token}&page=${n}&page_size=2`);
        assert.equal(body.total, 3);
        assert.equal(body.total_pages, 2);
        return body.data.map((row: { request_id: string }) => row.request_id);
      };
      const first = await page(1);
      assert.deepEqual(await page(1), first);
      assert.equal(new Set([...first, ...(await page(2))]).size, 3);
    },
  },
  {
    id: '115',
    title: 'daily activity of every family',
    async run(t) {
      for (const family of ['user', 'team', 'tag', 'customer', 'organization']) {
        assertStatus(await t.get(`/${family}/daily/activity`), 400);
        const { status, body } = await t.get(`/${family}/daily/activity?${dates()}`);
        assert.equal(status, 200, family);
        assert.ok(Array.isArray(body.results) && 'total_spend' in body.metadata, family);
      }
    },
  },
  {
    id: '116',
    title: 'every route about spend answers',
    async run(t) {
      for (const path of ROUTES) {
        const { status } = await t.get(path.replace('DATES', dates()));
        assert.ok(status === 200, `${path}: ${status}`);
      }
      assertStatus(await t.post('/global/spend/end_users', {}), 200);
      assertStatus(
        await t.post('/spend/calculate', { model: t.model, messages: [{ role: 'user', content: 'Hi' }] }),
        200,
      );
    },
  },
];
