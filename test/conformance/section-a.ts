import { strict as assert } from 'node:assert';
import { assertIncludes, assertStatus, type Case, sha256, somebody } from './case.ts';

/** A. Key creation. */
const near = (iso: string, ms: number) => Math.abs(Date.parse(iso) - ms) < 5_000;

export const sectionA: readonly Case[] = [
  {
    id: '1',
    title: 'an empty request makes a key',
    async run(t) {
      const key = await t.key();
      assert.match(key.key, /^sk-[A-Za-z0-9_-]{16,}$/);
      assert.notEqual(key.token, key.key);
      assert.deepEqual([key.token, key.token_id], [sha256(key.key), sha256(key.key)]);
      assert.ok(key.created_at && key.updated_at);
      assert.equal(key.expires, null);
      assert.equal(key.key_name, `sk-...${key.key.slice(-4)}`);
    },
  },
  {
    id: '2',
    title: 'ten at once are ten keys',
    async run(t) {
      const keys = await Promise.all(Array.from({ length: 10 }, () => t.key()));
      assert.equal(new Set(keys.map(({ key }) => key)).size, 10);
    },
  },
  {
    id: '3',
    title: 'fields are echoed with value and type',
    async run(t) {
      const fields = {
        models: [t.model],
        key_alias: t.fresh('alias'),
        metadata: { owner: 'team-a' },
        tpm_limit: 120_000,
        rpm_limit: 300,
        max_budget: 250,
      };
      assertIncludes(await t.key(fields), fields);
    },
  },
  {
    id: '4',
    title: 'budget windows end on the calendar',
    async run(t) {
      for (const window of ['30d', '1mo', '7d', '24h', '1d', '30s', '30m', '2h']) {
        const key = await t.key({ max_budget: 1, budget_duration: window });
        assert.ok(Date.parse(key.budget_reset_at) > Date.now() - 1_000, window);
      }
      const [a, b] = [
        await t.key({ max_budget: 1, budget_duration: '30d' }),
        await t.key({ max_budget: 1, budget_duration: '1mo' }),
      ];
      assert.equal(a.budget_reset_at, b.budget_reset_at);
    },
  },
  {
    id: '5',
    title: 'a duration is exactly that long',
    async run(t) {
      for (const [duration, seconds] of [
        ['30m', 1_800],
        ['20m', 1_200],
        ['30h', 108_000],
        ['30s', 30],
      ] as const) {
        const key = await t.key({ duration });
        assert.ok(near(key.expires, Date.now() + seconds * 1_000), `${duration}: ${key.expires}`);
      }
    },
  },
  {
    id: '7',
    title: 'expires is honoured, and unknown fields are ignored',
    async run(t) {
      const year = new Date().getUTCFullYear() + 1;
      const key = await t.key({ expires: `${year}-12-31`, no_such_field: true });
      const over = Date.parse(`${year + 1}-01-01T00:00:00Z`);
      assert.ok(Math.abs(Date.parse(key.expires) - over) <= 14 * 3_600_000, key.expires);
    },
  },
  {
    id: '8',
    title: 'an alias is taken once',
    async run(t) {
      const key_alias = t.fresh('alias');
      await t.key({ key_alias });
      const answer = await t.post('/key/generate', { key_alias });
      assertStatus(answer, 400);
      assertIncludes(answer.body.error, { param: 'key_alias', type: 'bad_request_error' });
      assert.ok(
        answer.body.error.message.includes(key_alias) && answer.body.error.message.includes('already exists'),
      );
    },
  },
  {
    id: '9',
    title: 'a secret of your own needs the prefix',
    async run(t) {
      const key = `sk-mine-${t.fresh('0')}`;
      await t.key({ key });
      assertStatus(await t.get('/v1/models', key), 200);
      const refused = await t.post('/key/generate', { key: 'mine' });
      assertStatus(refused, 400);
      assert.match(refused.body.error.message, /sk-/);
    },
  },
  {
    id: '11',
    title: 'wrong types are 422, never 500',
    async run(t) {
      for (const body of [{ max_budget: 'abc' }, { models: 7 }, { metadata: 'x' }]) {
        assertStatus(await t.post('/key/generate', body), 422);
      }
    },
  },
  {
    id: '12',
    title: 'without rights nothing is made',
    async run(t) {
      const before = (await t.get('/key/list')).body.total_count;
      assertStatus(await t.post('/key/generate', {}, null), 401);
      const { key } = await t.key();
      assertStatus(await t.post('/key/generate', {}, key), 401, 403);
      assert.equal((await t.get('/key/list')).body.total_count, before + 1);
    },
  },
  {
    id: '13',
    title: 'an internal user makes keys for itself only',
    async run(t) {
      const user = await somebody(t, 'internal_user');
      assertStatus(await t.post('/key/generate', { user_id: t.fresh('other') }, user.key), 403);
      assertStatus(await t.post('/key/generate', { user_id: user.id }, user.key), 200);
    },
  },
  {
    id: '14',
    title: 'a key of a team carries it, and its spend is the team’s',
    async run(t) {
      const { team_id } = (await t.post('/team/new', { models: [t.model] })).body;
      const key = await t.key({ team_id });
      assert.equal(key.team_id, team_id);
      assert.equal((await t.info(key.key)).team_id, team_id);
      assertStatus(await t.chat(key.key), 200);
      assertStatus(await t.chat(key.key, { model: t.otherModel }), 403);
      const { spend } = await t.info(key.key);
      const team = await t.get(`/team/info?team_id=${team_id}`);
      assert.ok(spend > 0);
      assert.ok(Math.abs(team.body.team_info.spend - spend) <= spend * 1e-6);
    },
  },
  {
    id: '15',
    title: 'a user whom nobody registered can have a key',
    async run(t) {
      const { key } = await t.key({ user_id: t.fresh('unknown') });
      assertStatus(await t.chat(key), 200);
    },
  },
  {
    id: '18',
    title: 'a key that rotates by itself says when',
    async run(t) {
      const { key } = await t.key({ auto_rotate: true, rotation_interval: '90d' });
      const info = await t.info(key);
      assertIncludes(info, { auto_rotate: true, rotation_interval: '90d' });
      assert.ok(near(info.key_rotation_at, Date.now() + 90 * 86_400_000), info.key_rotation_at);
    },
  },
  {
    id: '20',
    title: 'a service account belongs to a team and to nobody',
    async run(t) {
      assertStatus(await t.post('/key/service-account/generate', {}), 400);
      assertStatus(await t.post('/key/service-account/generate', { team_id: t.fresh('none') }), 400);
      const { team_id } = (await t.post('/team/new', {})).body;
      const made = await t.post('/key/service-account/generate', { team_id, user_id: 'somebody' });
      assertStatus(made, 200);
      assertIncludes(made.body, { team_id, user_id: null });
    },
  },
  {
    id: '21',
    title: 'guaranteed throughput is not promised twice',
    async run(t) {
      const { team_id } = (await t.post('/team/new', { rpm_limit: 100 })).body;
      const wanted = { team_id, rpm_limit_type: 'guaranteed_throughput' };
      await t.key({ ...wanted, rpm_limit: 60 });
      const refused = await t.post('/key/generate', { ...wanted, rpm_limit: 50 });
      assertStatus(refused, 400);
      assert.match(refused.body.error.message, /greater than .*RPM limit/);
    },
  },
];
