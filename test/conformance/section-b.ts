import { strict as assert } from 'node:assert';
import { assertBudget, assertIncludes, assertStatus, type Case, somebody } from './case.ts';

/** B. Reading, listing, updating. */
export const sectionB: readonly Case[] = [
  {
    id: '22',
    title: 'the record of a key has no secret',
    async run(t) {
      const key = await t.key();
      const answer = await t.get(`/key/info?key=${key.key}`);
      assertStatus(answer, 200);
      assert.equal(answer.body.key, key.key);
      assert.ok(!('token' in answer.body.info));
      assert.ok(!JSON.stringify(answer.body.info).includes(key.key));
      assert.match(answer.body.info.key_name, /^sk-\.\.\./);
    },
  },
  {
    id: '24',
    title: 'a key that is not there is 404',
    async run(t) {
      const { key } = await t.key();
      for (const bearer of [undefined, key]) {
        const answer = await t.get(`/key/info?key=sk-${t.fresh('random')}`, bearer);
        assertStatus(answer, 404);
        assertIncludes(answer.body.error, { type: 'not_found_error', message: 'Key not found in database' });
      }
    },
  },
  {
    id: '25',
    title: 'several keys at once',
    async run(t) {
      const { key } = await t.key();
      const answer = await t.post('/v2/key/info', { keys: [key] });
      assert.equal(answer.body.info.length, 1);
      assertStatus(await t.post('/v2/key/info', undefined), 422);
    },
  },
  {
    id: '27',
    title: 'a list finds a key by its alias',
    async run(t) {
      const key = await t.key({ key_alias: t.fresh('alias') });
      const answer = await t.get(`/key/list?key_alias=${key.key_alias}`);
      assert.deepEqual(answer.body.keys, [key.token]);
      assertIncludes(answer.body, { total_count: 1, current_page: 1, total_pages: 1 });
      const full = await t.get(`/key/list?key_alias=${key.key_alias}&return_full_object=true`);
      assert.equal(full.body.keys[0].key_alias, key.key_alias);
    },
  },
  {
    id: '29',
    title: 'users list their own keys',
    async run(t) {
      const user = await somebody(t, 'internal_user');
      const own = await t.get('/key/list?return_full_object=true', user.key);
      assertStatus(own, 200);
      assert.ok(own.body.keys.length > 0);
      assert.ok(own.body.keys.every((key: { user_id: string }) => key.user_id === user.id));
      assertStatus(await t.get(`/key/list?user_id=${t.fresh('other')}`, user.key), 403);
    },
  },
  {
    id: '30',
    title: 'aliases are listed',
    async run(t) {
      const { key_alias } = await t.key({ key_alias: t.fresh('alias') });
      assert.ok((await t.get('/key/aliases')).body.aliases.includes(key_alias));
    },
  },
  {
    id: '31',
    title: 'a changed list of models holds for the next call',
    async run(t) {
      const { key } = await t.key({ models: [t.model] });
      assertStatus(await t.chat(key), 200);
      await t.post('/key/update', { key, models: [t.otherModel] });
      assertStatus(await t.chat(key), 403);
      assertStatus(await t.chat(key, { model: t.otherModel }), 200);
    },
  },
  {
    id: '32',
    title: 'only the named fields change',
    async run(t) {
      const fields = { key_alias: t.fresh('alias'), max_budget: 5, rpm_limit: 9, metadata: { a: 1 } };
      const { key } = await t.key(fields);
      await t.post('/key/update', { key, tpm_limit: 7 });
      assertIncludes(await t.info(key), { ...fields, tpm_limit: 7 });
    },
  },
  {
    id: '33',
    title: 'null clears',
    async run(t) {
      const { key } = await t.key();
      for (const field of ['max_budget', 'rpm_limit', 'tpm_limit']) {
        assert.equal((await t.post('/key/update', { key, [field]: 10 })).body[field], 10);
        assert.equal((await t.post('/key/update', { key, [field]: null })).body[field], null);
      }
    },
  },
  {
    id: '35',
    title: 'a change needs a key that is there',
    async run(t) {
      assertStatus(await t.post('/key/update', { key: `sk-${t.fresh('random')}`, max_budget: 1 }), 404);
      assertStatus(await t.post('/key/update', { max_budget: 1 }), 422);
    },
  },
  {
    id: '37',
    title: 'a user hands no key to another',
    async run(t) {
      const user = await somebody(t, 'internal_user');
      assertStatus(await t.post('/key/update', { key: user.key, user_id: t.fresh('other') }, user.key), 403);
    },
  },
  {
    id: '39',
    title: 'many changes at once, each for itself',
    async run(t) {
      const keys = [await t.key(), await t.key()];
      const wanted = [...keys.map(({ key }) => key), `sk-${t.fresh('unknown')}`].map((key) => ({
        key,
        max_budget: 4,
      }));
      const { status, body } = await t.post('/key/bulk_update', { keys: wanted });
      assert.equal(status, 200);
      assert.deepEqual(
        [body.total_requested, body.successful_updates.length, body.failed_updates.length],
        [3, 2, 1],
      );
      assert.ok(body.failed_updates[0].failed_reason);
      assertStatus(await t.post('/key/bulk_update', { keys: wanted }, keys[0].key), 403);
      assertStatus(
        await t.post('/key/bulk_update', { keys: Array.from({ length: 501 }, () => wanted[0]) }),
        400,
      );
      assertStatus(await t.post('/key/bulk_update', { keys: [] }), 400);
    },
  },
  {
    id: '40',
    title: 'a raised budget serves again',
    async run(t) {
      const { key } = await t.key({ max_budget: 0 });
      assertBudget(await t.chat(key));
      await t.post('/key/update', { key, max_budget: 200 });
      assertStatus(await t.chat(key), 200);
    },
  },
];
