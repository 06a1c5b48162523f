import { strict as assert } from 'node:assert';
import { type Answer, assertStatus, type Case, somebody } from './case.ts';

/** D. Data-plane authentication. Cases 61 and 73 need a server that is configured for them. */
function assertError(answer: Answer, status: number, type: string, param?: string): void {
  assertStatus(answer, status);
  const { error } = answer.body;
  assert.equal(error.type, type, JSON.stringify(answer.body));
  assert.equal(error.code, String(status));
  if (param !== undefined) assert.equal(error.param, param);
}

const ask = (model: string) => ({ model, messages: [{ role: 'user', content: 'Hello' }], max_tokens: 8 });

export const sectionD: readonly Case[] = [
  {
    id: '54',
    title: 'without a key nothing is served',
    async run(t) {
      const answer = await t.post('/v1/chat/completions', ask(t.model), null);
      assertError(answer, 401, 'auth_error');
      assert.ok(answer.body.error.message.includes('No api key passed in'));
    },
  },
  {
    id: '55',
    title: 'what is no key is refused',
    async run(t) {
      assertStatus(await t.chat('invalid_token'), 401, 403);
    },
  },
  {
    id: '57',
    title: 'a well-formed unknown key is refused',
    async run(t) {
      assertError(await t.chat(`sk-${t.fresh('unknown')}`), 401, 'token_not_found_in_db', 'key');
    },
  },
  {
    id: '58',
    title: 'an expired key is refused',
    slow: true,
    async run(t) {
      const { key } = await t.key({ duration: '1s' });
      await t.pause(2_000);
      assertError(await t.chat(key), 401, 'expired_key');
    },
  },
  {
    id: '59',
    title: 'a key without a duration does not expire',
    async run(t) {
      const { key, expires } = await t.key();
      assert.equal(expires, null);
      assertStatus(await t.chat(key), 200);
    },
  },
  {
    id: '62',
    title: 'a model that is not on the list of the key is refused',
    async run(t) {
      const { key } = await t.key({ models: [t.otherModel] });
      assertError(await t.chat(key), 403, 'key_model_access_denied', 'model');
    },
  },
  {
    id: '63',
    title: 'no list allows every model',
    async run(t) {
      for (const models of [[], null]) {
        const { key } = await t.key({ models });
        for (const model of [t.model, t.otherModel]) assertStatus(await t.chat(key, { model }), 200);
      }
    },
  },
  {
    id: '65',
    title: 'the models of a team hold for its keys, and a change for the next call',
    async run(t) {
      const made = await t.post('/team/new', { models: [t.otherModel] });
      const { team_id } = made.body;
      const { key } = await t.key({ team_id });
      assertError(await t.chat(key), 403, 'team_model_access_denied');
      assertStatus(await t.post('/team/update', { team_id, models: [t.model, t.otherModel] }), 200);
      assertStatus(await t.chat(key), 200);
    },
  },
  {
    id: '66',
    title: 'a personal key without a list has the list of its user',
    async run(t) {
      const user = await somebody(t, 'internal_user', { models: [t.otherModel] });
      const { key } = await t.key({ user_id: user.id, models: [] });
      assertStatus(await t.chat(key, { model: t.otherModel }), 200);
      assertStatus(await t.chat(key), 403, 401);
    },
  },
  {
    id: '67',
    title: 'an alias of a key leads to the model that serves',
    async run(t) {
      const { key } = await t.key({ aliases: { 'gpt-3.5-turbo': t.model }, models: [t.model] });
      const answer = await t.chat(key, { model: 'gpt-3.5-turbo' });
      assertStatus(answer, 200);
    },
  },
  {
    id: '69',
    title: 'a model that nobody serves is named',
    async run(t) {
      const { key } = await t.key();
      const model = t.fresh('nothing');
      const answer = await t.chat(key, { model });
      assertStatus(answer, 400);
      assert.ok(answer.body.error.message.includes(model));
    },
  },
  {
    id: '71',
    title: 'the type of a key decides which routes it may call',
    async run(t) {
      const management = await t.key({ key_type: 'management' });
      assertStatus(await t.chat(management.key), 403);
      const reader = await t.key({ key_type: 'read_only' });
      assertStatus(await t.get(`/key/info?key=${reader.key}`, reader.key), 200);
      assertStatus(await t.post('/key/generate', {}, reader.key), 403, 401);
    },
  },
  {
    id: '74',
    title: 'a parameter that a key enforces must be there',
    async run(t) {
      const { key } = await t.key({ enforced_params: ['user'] });
      const answer = await t.chat(key);
      assertError(answer, 400, 'bad_request_error', 'user');
      assertStatus(await t.chat(key, { user: t.fresh('visitor') }), 200);
    },
  },
  {
    id: '76',
    title: 'what a key sees of the models has no secrets',
    async run(t) {
      const { key } = await t.key({ models: [t.model] });
      const [all, own] = [await t.get('/model/info'), await t.get('/model/info', key)];
      assertStatus(all, 200);
      assertStatus(own, 200);
      assert.ok(all.body.data.length > own.body.data.length);
      for (const { body } of [all, own]) assert.ok(!JSON.stringify(body).includes('"api_key"'));
    },
  },
];
