import { connect } from 'node:net';
import OpenAI from 'openai';
import { Agent, request } from 'undici';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseFaults } from '../../src/demo/simulated-faults.ts';
import { apiKeyDigest, type SimulatedStats } from '../../src/demo/simulated-stats.ts';
import {
  type SimulatedUpstream,
  type SimulatedUpstreamSettings,
  startSimulatedUpstream,
} from '../../src/demo/simulated-upstream.ts';
import { countChat, countText } from '../../src/domain/tokens.ts';

const messages = [{ role: 'user' as const, content: 'What are your opening hours?' }];
const hello = { model: 'demo-small', messages };

let upstream: SimulatedUpstream;
let agent: Agent;

beforeEach(async () => {
  agent = new Agent({ headersTimeout: 5_000, bodyTimeout: 5_000 });
  upstream = await startSimulatedUpstream();
});

afterEach(async () => {
  await agent.destroy();
  await upstream.stop();
});

async function restart(settings: SimulatedUpstreamSettings): Promise<void> {
  await upstream.stop();
  upstream = await startSimulatedUpstream(settings);
}

interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

async function send(
  body: unknown,
  path = '/v1/chat/completions',
  headers: Record<string, string> = {},
): Promise<Reply> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const answer = await request(upstream.url + path, {
    method: 'POST',
    body: text,
    headers,
    dispatcher: agent,
  });
  return { status: answer.statusCode, headers: answer.headers, text: await answer.body.text() };
}

async function get(path: string): Promise<Reply> {
  const answer = await request(upstream.url + path, { dispatcher: agent });
  return { status: answer.statusCode, headers: answer.headers, text: await answer.body.text() };
}

/** Resolves when nothing is under way any more: the end of a request is noticed after its last byte. */
async function settled(): Promise<SimulatedStats> {
  for (;;) {
    const stats = upstream.stats();
    if (stats.inFlight === 0) return stats;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function eventsOf(text: string): string[] {
  return text.split('\n\n').filter((event) => event !== '');
}

const simulate = (fault: string, more: object = {}): object => ({
  ...hello,
  metadata: { simulate: fault },
  ...more,
});

describe('a chat completion', () => {
  test('is the same for the same request, with and without /v1, whatever else is in it', async () => {
    const first = await send(hello);
    expect(first.status).toBe(200);
    expect((await send(hello, '/chat/completions')).text).toBe(first.text);
    expect((await send({ ...hello, user: 'somebody', temperature: 0 })).text).toBe(first.text);
    expect((await send({ ...hello, model: 'demo-large' })).text).not.toBe(first.text);
  });

  test('reports the tokens it really has', async () => {
    for (const limit of [{}, { max_tokens: 1 }, { max_completion_tokens: 500, max_tokens: 3 }]) {
      const { choices, usage } = JSON.parse((await send({ ...hello, ...limit })).text);
      expect(usage.prompt_tokens).toBe(countChat(messages));
      expect(usage.completion_tokens).toBe(countText(choices[0].message.content));
      expect(usage.total_tokens).toBe(usage.prompt_tokens + usage.completion_tokens);
    }
  });

  test('is exactly as long as its limit, or 24 to 200 tokens long without one', async () => {
    const limited = JSON.parse((await send({ ...hello, max_completion_tokens: 321, max_tokens: 3 })).text);
    expect(limited.usage.completion_tokens).toBe(321);
    expect(limited.choices[0].finish_reason).toBe('length');
    const free = JSON.parse((await send(hello)).text);
    expect(free.choices[0].finish_reason).toBe('stop');
    expect(free.usage.completion_tokens).toBeGreaterThanOrEqual(24);
    expect(free.usage.completion_tokens).toBeLessThanOrEqual(200);
  });

  test('multiplies the completion by n', async () => {
    const { choices, usage } = JSON.parse((await send({ ...hello, n: 3, max_tokens: 10 })).text);
    expect(choices).toHaveLength(3);
    expect(usage.completion_tokens).toBe(30);
  });

  test('reports a long system prompt as cached, in steps of 128', async () => {
    const system = { role: 'system', content: 'word '.repeat(1500) };
    const { usage } = JSON.parse((await send({ ...hello, messages: [system, ...messages] })).text);
    expect(usage.prompt_tokens_details.cached_tokens).toBe(Math.floor(countText(system.content) / 128) * 128);
    expect(JSON.parse((await send(hello)).text).usage.prompt_tokens_details.cached_tokens).toBe(0);
  });
});

describe('a stream', () => {
  test('says the same as the JSON answer, in the set number of chunks, and ends with [DONE]', async () => {
    await restart({ chunkCount: 8 });
    const whole = JSON.parse((await send(hello)).text);
    const { headers, text } = await send({ ...hello, stream: true });
    expect(headers['content-type']).toMatch('text/event-stream');
    const events = eventsOf(text);
    expect(events).toHaveLength(8 + 2);
    expect(events.at(-1)).toBe('data: [DONE]');
    const chunks = events.slice(0, -1).map((event) => JSON.parse(event.slice(6)));
    expect(chunks.map(({ choices }) => choices[0].delta.content ?? '').join('')).toBe(
      whole.choices[0].message.content,
    );
    expect(chunks.at(-1).choices[0].finish_reason).toBe('stop');
    expect(text).not.toContain('usage');
  });

  test('reports usage in a last chunk without choices when asked to', async () => {
    const { text } = await send({ ...hello, stream: true, n: 2, stream_options: { include_usage: true } });
    const events = eventsOf(text);
    const last = JSON.parse(events.at(-2)?.slice(6) ?? '');
    expect(last.choices).toEqual([]);
    expect(last.usage).toEqual(JSON.parse((await send({ ...hello, n: 2 })).text).usage);
    expect(events.slice(0, -2).every((event) => event.includes('"usage":null'))).toBe(true);
  });

  test('is the same with pauses between its chunks', async () => {
    const fast = await send({ ...hello, stream: true });
    await restart({ chunkDelayMs: 1, latencyMs: 1 });
    expect((await send({ ...hello, stream: true })).text).toBe(fast.text);
  });

  test('has no more chunks than tokens', async () => {
    expect(eventsOf((await send({ ...hello, stream: true, max_tokens: 3 })).text)).toHaveLength(3 + 2);
  });
});

describe('the official client', () => {
  test('completes, streams, embeds and lists models', async () => {
    const client = new OpenAI({ apiKey: 'sk-any', baseURL: `${upstream.url}/v1`, maxRetries: 0 });
    const { choices } = await client.chat.completions.create(hello);
    const stream = await client.chat.completions.create({ ...hello, stream: true });
    let text = '';
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
    expect(text).toBe(choices[0]?.message.content);
    const { data, usage } = await client.embeddings.create({
      model: 'demo-embed',
      input: ['hello', 'hello world'],
      dimensions: 8,
    });
    expect(data[1]?.embedding).toHaveLength(8);
    expect(usage.prompt_tokens).toBe(3);
    const ids: string[] = [];
    for await (const model of client.models.list()) ids.push(model.id);
    expect(ids).toEqual(['demo-small', 'demo-large', 'demo-embed']);
    expect((await client.models.retrieve('demo-small')).id).toBe('demo-small');
  });

  test('gets the same embedding as numbers and as base64', async () => {
    const body = { model: 'demo-embed', input: 'hello', dimensions: 4 };
    const numbers: number[] = JSON.parse((await send(body, '/embeddings')).text).data[0].embedding;
    const base64 = JSON.parse((await send({ ...body, encoding_format: 'base64' }, '/embeddings')).text)
      .data[0].embedding;
    expect([...new Float32Array(new Uint8Array(Buffer.from(base64, 'base64')).buffer)]).toEqual(numbers);
  });
});

describe('what is wrong with a request', () => {
  const cases: readonly (readonly [string, number, unknown, string?])[] = [
    ['malformed JSON', 400, '{"model":'],
    ['JSON that is no object', 400, '[]'],
    ['no model', 400, { messages }],
    ['no messages', 400, { model: 'demo-small' }],
    ['empty messages', 400, { ...hello, messages: [] }],
    ['a message without role', 400, { ...hello, messages: [{ content: 'x' }] }],
    ['a limit of nothing', 400, { ...hello, max_tokens: 0 }],
    ['a limit that is no number', 400, { ...hello, max_tokens: '5' }],
    ['an absurd n', 400, { ...hello, n: 1000 }],
    ['n times limit beyond reason', 400, { ...hello, n: 128, max_tokens: 100_000 }],
    ['stream that is no boolean', 400, { ...hello, stream: 'yes' }],
    ['an unknown model', 404, { ...hello, model: 'gpt-nonsense' }],
    ['an embedding model asked to chat', 404, { ...hello, model: 'demo-embed' }],
    ['an unknown fault', 400, simulate('explode')],
    ['an unknown route', 404, hello, '/v1/unknown'],
    ['nothing to embed', 400, { model: 'demo-embed', input: [] }, '/v1/embeddings'],
    [
      'absurd nesting',
      400,
      `{"model":"demo-small","messages":[{"role":"user","content":${'['.repeat(50_000)}${']'.repeat(50_000)}}]}`,
    ],
  ];
  for (const [what, status, body, path] of cases) {
    test(`${what}: ${status}, OpenAI-shaped`, async () => {
      const answer = await send(body, path);
      expect(answer.status).toBe(status);
      expect(JSON.parse(answer.text).error).toMatchObject({
        type: 'invalid_request_error',
        message: expect.any(String),
      });
      expect(upstream.stats().requests.refused).toBe(1);
    });
  }

  test('a wrong key: 401, when a key is set', async () => {
    await restart({ apiKey: 'sk-right' });
    expect((await send(hello)).status).toBe(401);
    expect((await send(hello, undefined, { authorization: 'Bearer sk-wrong' })).status).toBe(401);
    expect((await send(hello, undefined, { authorization: 'Bearer sk-right' })).status).toBe(200);
  });
});

describe('a fault', () => {
  const stream = { stream: true, stream_options: { include_usage: true } };

  test('is asked for by the header, by metadata, or by a setting, in this order', async () => {
    await restart({ faults: 'status:500' });
    expect((await send(hello, undefined, { 'x-simulate': 'status:502' })).status).toBe(502);
    expect((await send(simulate('status:501'), undefined, { 'x-simulate': 'status:502' })).status).toBe(502);
    expect((await send(simulate('status:501'))).status).toBe(501);
    expect((await send(hello)).status).toBe(500);
    expect((await send(simulate('none'))).status).toBe(200);
  });

  test('can hit the first requests only, or every n-th', async () => {
    const flaky = simulate('status:503@first:2');
    const statuses = [await send(flaky), await send(flaky), await send(flaky)].map(({ status }) => status);
    expect(statuses).toEqual([503, 503, 200]);
    await restart({ faults: 'status:429:7@every:3; none' });
    const answers = [await send(hello), await send(hello), await send(hello)];
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 429]);
    expect(answers[2]?.headers['retry-after']).toBe('7');
  });

  test('is refused at the start when its rule is not known', async () => {
    await expect(startSimulatedUpstream({ faults: 'truncate; explode' })).rejects.toThrow('explode');
    for (const rule of [
      'status',
      'status:99',
      'slow-headers',
      'usage-huge:big',
      'hang@first:0',
      'hang@some:1',
      'hang:1',
    ]) {
      expect(() => parseFaults(rule)).toThrow(rule);
    }
  });

  test('status: that status, an error object, and retry-after as given', async () => {
    const answer = await send(simulate('status:429:Wed, 21 Oct 2026 07:28:00 GMT'));
    expect(answer.status).toBe(429);
    expect(answer.headers['retry-after']).toBe('Wed, 21 Oct 2026 07:28:00 GMT');
    expect(JSON.parse(answer.text).error.message).toContain('429');
  });

  test('reset: the connection is reset before any byte', async () => {
    await expect(send(simulate('reset'))).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect((await settled()).requests.faulted).toBe(1);
  });

  for (const more of [{}, stream]) {
    const kind = 'stream' in more ? 'stream' : 'JSON';

    test(`truncate: half of the answer, then the connection closes (${kind})`, async () => {
      await expect(send(simulate('truncate', more))).rejects.toMatchObject({ code: 'UND_ERR_SOCKET' });
      const { requests, abandoned } = await settled();
      expect(requests.faulted).toBe(1);
      expect(abandoned.completionTokens).toBeGreaterThan(0);
    });

    test(`hang-mid and hang: silence, until the client goes (${kind})`, async () => {
      for (const fault of ['hang-mid', 'hang']) {
        const impatient = new Agent({ headersTimeout: 50, bodyTimeout: 50 });
        const sent = request(`${upstream.url}/v1/chat/completions`, {
          method: 'POST',
          body: JSON.stringify(simulate(fault, more)),
          dispatcher: impatient,
        }).then(({ body }) => body.text());
        await expect(sent).rejects.toThrow(/timeout/i);
        await impatient.destroy();
        await settled();
      }
      expect(upstream.stats().requests.aborted).toBe(2);
    });

    test(`cut-json: ends well, but within an object (${kind})`, async () => {
      const { status, text } = await send(simulate('cut-json', more));
      expect(status).toBe(200);
      expect(text).not.toContain('[DONE]');
      expect(() => JSON.parse(eventsOf(text).at(-1)?.replace('data: ', '') ?? '')).toThrow(SyntaxError);
    });

    test(`html, error-200, empty-stream and redirect instead of an answer (${kind})`, async () => {
      expect((await send(simulate('html', more))).text).toContain('<!doctype html>');
      expect((await send(simulate('error-200', more))).text).toContain('"error":');
      const empty = await send(simulate('empty-stream', more));
      expect([empty.status, empty.text]).toEqual([200, '']);
      const { status, headers } = await send(simulate('redirect', more));
      expect(status).toBe(307);
      expect(new URL(String(headers['location'])).hostname).toBe('localhost');
      await get(new URL(String(headers['location'])).pathname);
      expect(upstream.stats().redirectsFollowed).toBe(1);
      expect((await settled()).requests.faulted).toBe(4);
    });

    test(`no-usage, usage-null, usage-twice and usage-huge: usage in all its wrong forms (${kind})`, async () => {
      const usages = async (fault: string): Promise<number> =>
        (await send(simulate(fault, more))).text.split('"usage":{').length - 1;
      expect(await usages('none')).toBe(1);
      expect(await usages('no-usage')).toBe(0);
      expect(await usages('usage-null')).toBe(0);
      expect((await send(simulate('usage-null', more))).text).toContain('"usage":null}');
      expect(await usages('usage-twice')).toBe(2);
      expect((await send(simulate('usage-huge', more))).text).toContain('"completion_tokens":1e308');
      expect((await send(simulate('usage-huge:nan', more))).text).toContain('"prompt_tokens":NaN');
      expect((await send(simulate('usage-huge:negative', more))).text).toContain('"total_tokens":-1000');
      expect((await send(simulate('usage-huge:over', { ...more, max_tokens: 7 }))).text).toContain(
        '"completion_tokens":14',
      );
    });

    test(`big-line: ten megabytes in one line, and the answer besides (${kind})`, async () => {
      const { text } = await send(simulate('big-line', more));
      expect(text.length).toBeGreaterThan(10_000_000);
      expect(text).toContain('"usage":{');
    });

    test(`slow-headers: the same answer, later (${kind})`, async () => {
      const begun = performance.now();
      const { text } = await send(simulate('slow-headers:60', more));
      expect(performance.now() - begun).toBeGreaterThanOrEqual(55);
      expect(text).toBe((await send({ ...hello, ...more })).text);
    });
  }
});

describe('its own count', () => {
  test('adds up answered requests, in total and by key, and shows no key', async () => {
    await send(hello, undefined, { authorization: 'Bearer sk-one' });
    await send({ ...hello, stream: true }, undefined, { authorization: 'Bearer sk-two' });
    await send({ model: 'demo-embed', input: 'hello world' }, '/v1/embeddings');
    const { usage } = JSON.parse((await send(hello, undefined, { authorization: 'Bearer sk-one' })).text);
    const stats = await settled();
    expect(stats.requests).toEqual({ answered: 4, refused: 0, faulted: 0, aborted: 0 });
    expect(stats.promptTokens).toBe(3 * usage.prompt_tokens + 2);
    expect(stats.completionTokens).toBe(3 * usage.completion_tokens);
    expect(stats.apiKeys[apiKeyDigest('sk-one')]).toEqual({
      requests: 2,
      promptTokens: 2 * usage.prompt_tokens,
      completionTokens: 2 * usage.completion_tokens,
    });
    expect(Object.keys(stats.apiKeys).toSorted()).toEqual(
      [apiKeyDigest('sk-one'), apiKeyDigest('sk-two'), 'none'].toSorted(),
    );
    const shown = await get('/_simulated/stats');
    expect(JSON.parse(shown.text)).toEqual(stats);
    expect(shown.text).not.toContain('sk-');
  });

  test('counts faults by kind', async () => {
    await send(simulate('html'));
    await send(simulate('usage-null'));
    await send(simulate('usage-null'));
    const stats = await settled();
    expect(stats.faults).toEqual({ html: 1, 'usage-null': 2 });
    expect(stats.requests).toMatchObject({ answered: 2, faulted: 1 });
  });

  test('keeps what a client had been sent when it went away', async () => {
    await restart({ chunkDelayMs: 5, chunkCount: 32 });
    const body = JSON.stringify({ ...hello, stream: true, max_tokens: 320 });
    const socket = connect(upstream.port, '127.0.0.1');
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    await new Promise((resolve) => socket.once('data', resolve));
    expect(upstream.stats().inFlight).toBe(1);
    socket.destroy();
    const { requests, abandoned, completionTokens } = await settled();
    expect(requests).toMatchObject({ answered: 0, aborted: 1 });
    expect(completionTokens).toBe(0);
    expect(abandoned.promptTokens).toBe(countChat(messages));
    expect(abandoned.completionTokens).toBeGreaterThanOrEqual(10);
    expect(abandoned.completionTokens).toBeLessThan(320);
    expect(abandoned.completionTokens % 10).toBe(0);
  });

  test('lasts as long as the process serves many keep-alive requests in parallel', async () => {
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, i) => send({ ...hello, stream: i % 2 === 0 })),
    );
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    expect((await settled()).requests.answered).toBe(200);
  });
});
