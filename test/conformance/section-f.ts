import { strict as assert } from 'node:assert';
import { type Answer, assertStatus, type Case } from './case.ts';

/** F. Rate limits. Case 104 needs two servers over one database. */
const WINDOW_MS_MAX = 65_000;

function assertLimited(answer: Answer, kind: string): void {
  assertStatus(answer, 429);
  assert.ok(answer.body.error.message.includes(`Limit type: ${kind}`), answer.body.error.message);
}

export const sectionF: readonly Case[] = [
  {
    id: '98',
    title: 'requests per minute let so many through and say when to come back',
    async run(t) {
      const { key } = await t.key({ rpm_limit: 3 });
      const first = await t.chat(key);
      assertStatus(first, 200);
      assert.equal(first.headers.get('x-ratelimit-api_key-limit-requests'), '3');
      assert.equal(first.headers.get('x-ratelimit-api_key-remaining-requests'), '2');
      for (let i = 0; i < 2; i += 1) assertStatus(await t.chat(key), 200);
      const refused = await t.chat(key);
      assertLimited(refused, 'requests');
      assert.ok(refused.body.error.message.includes('Rate limit exceeded for api_key'));
      assert.match(refused.headers.get('retry-after') ?? '', /^[1-9]\d*$/);
    },
  },
  {
    id: '98b',
    title: 'requests per minute pass again after the window',
    slow: true,
    async run(t) {
      const { key } = await t.key({ rpm_limit: 1 });
      assertStatus(await t.chat(key), 200);
      const refused = await t.chat(key);
      assertLimited(refused, 'requests');
      const seconds = Number(refused.headers.get('retry-after'));
      assert.ok(seconds * 1_000 <= WINDOW_MS_MAX);
      await t.pause(seconds * 1_000);
      assertStatus(await t.chat(key), 200);
    },
  },
  {
    id: '100',
    title: 'tokens per minute refuse what might not fit',
    async run(t) {
      const { key } = await t.key({ tpm_limit: 60 });
      assertStatus(await t.chat(key, { max_tokens: 20 }), 200);
      assertLimited(await t.chat(key, { max_tokens: 55 }), 'tokens');
    },
  },
  {
    id: '101',
    title: 'parallel requests are counted while they run',
    async run(t) {
      const none = await t.key({ max_parallel_requests: 0 });
      assertStatus(await t.chat(none.key), 429);
      const one = await t.key({ max_parallel_requests: 1 });
      for (let i = 0; i < 2; i += 1) assertStatus(await t.chat(one.key), 200);
    },
  },
  {
    id: '101b',
    title: 'of ten streams at once two pass where two may run',
    async run(t) {
      const { key } = await t.key({ max_parallel_requests: 2 });
      const answers = await Promise.all(
        Array.from({ length: 10 }, () => t.chat(key, { max_tokens: 500, stream: true })),
      );
      assert.equal(answers.filter(({ status }) => status === 200).length, 2);
    },
  },
  {
    id: '102',
    title: 'limits of one model leave the others alone',
    async run(t) {
      const { key } = await t.key({ model_rpm_limit: { [t.model]: 1 } });
      assertStatus(await t.chat(key), 200);
      assertStatus(await t.chat(key), 429);
      assertStatus(await t.chat(key, { model: t.otherModel }), 200);
    },
  },
];
