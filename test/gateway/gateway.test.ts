import { request as httpRequest } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { countChat } from '../../src/domain/tokens.ts';
import { ask, MASTER_KEY, startWorld, UPSTREAM_KEY, type World } from './harness.ts';

let world: World;
beforeAll(async () => {
  world = await startWorld({ settings: { alias: 'shop', userId: 'user_1', metadata: { tags: ['web'] } } });
});
afterAll(() => world.stop());

/** Nanos: 2 per token of prompt, 3 per token of completion. */
const priced = (input: number, output: number) => BigInt(input) * 2n + BigInt(output) * 3n;
const PROMPT = countChat([{ role: 'user', content: 'Hello you' }]);

describe('an answered request', () => {
  test('is passed on, and recorded with usage, price and cost', async () => {
    const response = await world.chat({ user: 'anna', metadata: { tags: ['blue', 'web'] } });
    expect(response.status).toBe(200);
    const answer = (await response.json()) as { id: string; usage: object };
    expect(answer.usage).toMatchObject({ prompt_tokens: PROMPT, completion_tokens: 10 });
    const [spend] = (await world.spends()).slice(-1);
    expect(spend).toMatchObject({
      responseId: answer.id,
      keyId: 'key_1',
      projectId: 'prj_1',
      userId: 'user_1',
      endUser: 'anna',
      tags: ['web', 'blue'],
      route: 'chat/completions',
      model: 'demo-small',
      deployment: 'upstream',
      stream: false,
      outcome: 'completed',
      status: 200,
      usageSource: 'reported',
      usage: { inputTokens: PROMPT, cachedInputTokens: 0, outputTokens: 10, reasoningTokens: 0 },
      currency: 'EUR',
      priceNanos: priced(PROMPT, 10),
    });
    expect(spend!.lines.reduce((sum, line) => sum + line.priceNanos, 0n)).toBe(spend!.priceNanos);
    expect(spend!.costNanos).toBe(BigInt(PROMPT) + 15n);
    expect(response.headers.get('x-litellm-response-cost')).toBe(`0.0000000${priced(PROMPT, 10)}`);
    expect(response.headers.get('x-litellm-model-id')).toBe('upstream');
    expect(response.headers.get('x-litellm-key-rpm-limit')).toBe('None');
    expect(response.headers.get('x-litellm-call-id')).toBe(spend!.requestId);
  });

  test('has the call id that the client gave, but an id of our own in the books', async () => {
    const response = await world.chat({}, { 'x-litellm-call-id': 'my-call' });
    await response.arrayBuffer();
    expect(response.headers.get('x-litellm-call-id')).toBe('my-call');
    expect((await world.spends()).at(-1)!.requestId).toMatch(/^request-/);
    const again = await world.chat({}, { 'x-litellm-call-id': 'my-call' });
    expect(again.status).toBe(200);
    const ids = (await world.spends()).map(({ requestId }) => requestId);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('works on both spellings of each route', async () => {
    for (const path of ['/chat/completions', '/v1/chat/completions?x=1']) {
      expect((await world.post(path, ask())).status).toBe(200);
    }
    for (const path of ['/embeddings', '/v1/embeddings']) {
      const response = await world.post(path, { model: 'demo-embed', input: 'a text' });
      expect(response.status).toBe(200);
      await response.arrayBuffer();
      const spend = (await world.spends()).at(-1)!;
      expect(spend).toMatchObject({
        route: 'embeddings',
        usage: { outputTokens: 0 },
        usageSource: 'reported',
      });
      expect(spend.priceNanos).toBe(BigInt(spend.usage.inputTokens));
    }
  });

  test('of the master key is recorded under the own tenant, at cost', async () => {
    const response = await world.chat({}, { authorization: `Bearer ${MASTER_KEY}` });
    expect(response.status).toBe(200);
    const spend = (await world.spends()).at(-1)!;
    expect(spend).toMatchObject({ keyId: 'master', tokenHash: 'master', projectId: null });
    expect(spend.priceNanos).toBe(BigInt(PROMPT) + 20n);
  });

  test('carries nothing of the upstream credential and reaches the upstream with nothing of the client', async () => {
    const response = await world.chat();
    const text = (await response.text()) + JSON.stringify([...response.headers]);
    expect(text).not.toContain(UPSTREAM_KEY);
    expect(Object.keys(world.upstream.stats().apiKeys)).toHaveLength(1);
  });
});

describe('what is refused before any upstream is called, and leaves no trace', () => {
  type Case = readonly [name: string, send: () => Promise<Response>, status: number, reason: string];
  const cases: readonly Case[] = [
    ['no body', () => world.post('/v1/chat/completions', ''), 400, 'malformed_json'],
    ['half a body', () => world.post('/v1/chat/completions', '{"model":'), 400, 'malformed_json'],
    ['a list', () => world.post('/v1/chat/completions', '[]'), 400, 'malformed_json'],
    ['no model', () => world.chat({ model: undefined }), 400, 'bad_request'],
    ['a model that is no text', () => world.chat({ model: 5 }), 400, 'bad_request'],
    ['NUL in the model', () => world.chat({ model: 'a\0b' }), 400, 'bad_request'],
    ['half a character in the user', () => world.chat({ user: '\ud800' }), 400, 'bad_request'],
    ['messages that are no list', () => world.chat({ messages: 'hi' }), 400, 'bad_request'],
    ['a stream that is no flag', () => world.chat({ stream: 'yes' }), 400, 'bad_request'],
    ['negative max_tokens', () => world.chat({ max_tokens: -1 }), 400, 'bad_request'],
    ['n of zero', () => world.chat({ n: 0 }), 400, 'bad_request'],
    ['tags that are no texts', () => world.chat({ metadata: { tags: [1] } }), 400, 'bad_request'],
    ['api_base', () => world.chat({ api_base: 'http://evil' }), 400, 'forbidden_parameter'],
    ['base_url', () => world.chat({ base_url: 'http://evil' }), 400, 'forbidden_parameter'],
    ['api_key', () => world.chat({ api_key: 'sk-x' }), 400, 'forbidden_parameter'],
    ['any *_base', () => world.chat({ Azure_Base: 'http://evil' }), 400, 'forbidden_parameter'],
    ['a model in two spellings', () => world.chat({ Model: 'demo-large' }), 400, 'bad_request'],
    [
      'a model that is named twice',
      () => world.post('/v1/chat/completions', `{"model":"demo-small",${JSON.stringify(ask()).slice(1)}`),
      400,
      'bad_request',
    ],
    [
      'deep nesting',
      () =>
        world.chat({
          messages: [{ role: 'user', content: JSON.parse('['.repeat(500) + ']'.repeat(500)) as unknown }],
        }),
      400,
      'bad_request',
    ],
    [
      'a form',
      () => world.chat({}, { 'content-type': 'application/x-www-form-urlencoded' }),
      415,
      'unsupported_media_type',
    ],
    ['5 MB', () => world.chat({ x: 'y'.repeat(5_000_000) }), 413, 'body_too_large'],
    ['a model without a price', () => world.chat({ model: 'demo-large' }), 403, 'model_not_priced'],
    ['another method', () => fetch(`${world.url}/v1/chat/completions`), 405, 'method_not_allowed'],
  ];

  test.each(cases)('%s', async (_name, send, status, reason) => {
    const before = { spends: (await world.spends()).length, asked: world.upstream.stats().requests };
    const response = await send();
    expect(response.status).toBe(status);
    const body = (await response.json()) as { error: Record<string, unknown> };
    expect(body.error).toMatchObject({ reason, code: String(status) });
    expect(response.headers.get('x-litellm-call-id')).not.toBeNull();
    expect((await world.spends()).length).toBe(before.spends);
    expect(world.upstream.stats().requests).toEqual(before.asked);
  });

  test('a body that is too large without having said so', async () => {
    const { status, body } = await new Promise<{ status: number; body: string }>((resolve, reject) => {
      const headers = { 'content-type': 'application/json', 'transfer-encoding': 'chunked' };
      const sent = httpRequest(
        `${world.url}/v1/chat/completions`,
        { method: 'POST', headers },
        (response) => {
          let text = '';
          response.on('data', (part: Buffer) => {
            text += part.toString();
          });
          response.on('end', () => resolve({ status: response.statusCode!, body: text }));
        },
      );
      sent.on('error', reject);
      for (let i = 0; i < 20; i += 1) sent.write('x'.repeat(1_000_000));
      sent.end();
    });
    expect(status).toBe(413);
    expect(body).toContain('body_too_large');
  });

  test('a whole address as the target', () => {
    expect(world.gateway.matches('POST', 'http://other/v1/chat/completions')).toBe(true);
    expect(world.gateway.matches('GET', '/v1/models')).toBe(false);
    expect(world.gateway.matches('GET', '/v1/embeddings')).toBe(true);
  });
});
