import { strict as assert } from 'node:assert';
import { assertIncludes, assertStatus, type Case, somebody } from './case.ts';

/** C. Block, delete, rotate, reset. */
export const sectionC: readonly Case[] = [
  {
    id: '41',
    title: 'a blocked key is refused from the next call on',
    async run(t) {
      const { key } = await t.key();
      assertStatus(await t.chat(key), 200);
      assertStatus(await t.post('/key/block', { key }), 200);
      const answer = await t.chat(key);
      assertStatus(answer, 401);
      assert.match(answer.body.error.message, /blocked/);
      assert.equal((await t.info(key)).blocked, true);
    },
  },
  {
    id: '42',
    title: 'an unblocked key is served',
    async run(t) {
      const { key } = await t.key();
      await t.post('/key/block', { key });
      assertStatus(await t.post('/key/unblock', { key }), 200);
      assert.equal((await t.info(key)).blocked, false);
      assertStatus(await t.chat(key), 200);
    },
  },
  {
    id: '44',
    title: 'a deleted key is gone',
    async run(t) {
      const { key } = await t.key();
      const deleted = await t.post('/key/delete', { keys: [key] });
      assert.ok(deleted.body.deleted_keys.includes(key));
      assertStatus(await t.get(`/key/info?key=${key}`), 404);
      const answer = await t.chat(key);
      assertStatus(answer, 401);
      assert.equal(answer.body.error.type, 'token_not_found_in_db');
      assertStatus(await t.get('/v1/models', key), 401);
    },
  },
  {
    id: '47',
    title: 'generate anew and delete the old: the old spend stays',
    async run(t) {
      const old = await t.key({ models: [t.model] });
      assertStatus(await t.chat(old.key), 200);
      const { spend } = await t.info(old.key);
      const next = await t.key({ models: [t.model] });
      await t.post('/key/delete', { keys: [old.key] });
      assertStatus(await t.chat(next.key), 200);
      assertStatus(await t.chat(old.key), 401);
      const archived = await t.get(`/key/list?status=deleted&return_full_object=true&key_hash=${old.token}`);
      assert.equal(archived.body.keys[0].spend, spend);
    },
  },
  {
    id: '48',
    title: 'regenerating replaces the secret and nothing else',
    async run(t) {
      const fields = { key_alias: t.fresh('alias'), max_budget: 3, metadata: { a: 1 } };
      const old = await t.key(fields);
      const next = await t.post(`/key/${old.key}/regenerate`, {});
      assertStatus(next, 200);
      assert.notEqual(next.body.key, old.key);
      assertIncludes(next.body, { ...fields, team_id: null, spend: 0 });
      assertStatus(await t.get('/v1/models', old.key), 401);
      assertStatus(await t.get('/v1/models', next.body.key), 200);
    },
  },
  {
    id: '50',
    title: 'regenerating by hash, by body, and refusals',
    async run(t) {
      const key = await t.key();
      assertStatus(await t.post(`/key/${key.token}/regenerate`, {}), 200);
      const other = await t.key();
      const timed = await t.post('/key/regenerate', { key: other.key, duration: '1h' });
      assert.ok(Math.abs(Date.parse(timed.body.expires) - Date.now() - 3_600_000) < 5_000);
      assertStatus(await t.post(`/key/sk-${t.fresh('unknown')}/regenerate`, {}), 404);
      assertStatus(await t.post('/key/regenerate', { key: timed.body.key, new_key: 'abc' }), 400);
    },
  },
  {
    id: '52',
    title: 'the master key sets all spend back',
    async run(t) {
      const admin = await somebody(t, 'proxy_admin');
      assertStatus(await t.post('/global/spend/reset', {}, admin.key), 401);
      const { key } = await t.key();
      assertStatus(await t.chat(key), 200);
      assert.equal((await t.post('/global/spend/reset', {})).body.status, 'success');
      assert.equal((await t.info(key)).spend, 0);
      const { body } = await t.get(`/spend/logs?api_key=${key}`);
      assert.ok(body.length === 1 && body[0].spend > 0);
    },
  },
  {
    id: '52b',
    title: 'a team whose budget was spent serves again when all spend is set back',
    async run(t) {
      const budget = { max_budget: 0.00002, budget_duration: '30d' };
      const { team_id } = (await t.post('/team/new', budget)).body;
      const { key } = await t.key({ team_id });
      let calls = 0;
      while (calls < 50 && (await t.chat(key)).status === 200) calls += 1;
      assert.ok(calls > 0 && calls < 50, `${calls} calls`);
      assert.equal((await t.post('/global/spend/reset', {})).body.status, 'success');
      assert.equal((await t.get(`/team/info?team_id=${team_id}`)).body.team_info.spend, 0);
      assertStatus(await t.chat(key), 200);
    },
  },
  {
    id: '53',
    title: 'a key without callbacks is healthy',
    async run(t) {
      const { key } = await t.key();
      assert.deepEqual((await t.post('/key/health', {}, key)).body, {
        key: 'healthy',
        logging_callbacks: null,
      });
    },
  },
  {
    id: '53b',
    title: 'a viewer reads and changes nothing',
    async run(t) {
      const viewer = await somebody(t, 'proxy_admin_viewer');
      assertStatus(await t.get('/key/list', viewer.key), 200);
      assertStatus(await t.post('/key/generate', {}, viewer.key), 403);
    },
  },
];
