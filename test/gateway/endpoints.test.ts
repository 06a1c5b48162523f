import Anthropic, { AuthenticationError } from '@anthropic-ai/sdk';
import OpenAI, { AzureOpenAI, toFile } from 'openai';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { formatNanos } from '../../src/domain/money.ts';
import { errorOf, SECRET, startWorld, UPSTREAM_KEY, type World } from './harness.ts';
import { type ScriptedApis, scriptedApis } from './scripted-apis.ts';

/** Nanos: a token 1 in, half of it cached, 3 out; a cache write 5, an image 40,000, a search 1,000, a character 2, a second 100. */
const RATE = 1_000_000n;
const tokens = { inputRate: 2n * RATE, cachedInputRate: RATE, outputRate: 3n * RATE };
const models = {
  text: tokens,
  claude: { ...tokens, unitRates: { 'cache-write': 5n * RATE } },
  voice: { ...tokens, unitRates: { 'audio-input': 7n * RATE, 'audio-output': 9n * RATE } },
  painter: { inputRate: 0n, cachedInputRate: 0n, outputRate: 0n, unitRates: { image: 40_000n * RATE } },
  'painter-by-token': tokens,
  ranker: { inputRate: 0n, cachedInputRate: 0n, outputRate: 0n, unitRates: { search: 1_000n * RATE } },
  speaker: { inputRate: 0n, cachedInputRate: 0n, outputRate: 0n, unitRates: { character: 2n * RATE } },
  listener: { inputRate: 0n, cachedInputRate: 0n, outputRate: 0n, unitRates: { second: 100n * RATE } },
  'listener-by-token': tokens,
  free: { inputRate: 0n, cachedInputRate: 0n, outputRate: 0n },
  'omni-moderation-latest': tokens,
};

let apis: ScriptedApis;
let world: World;
let openai: OpenAI;
let anthropic: Anthropic;
beforeAll(async () => {
  apis = await scriptedApis();
  world = await startWorld({
    limits: { budget: { nanos: 1_000_000_000n, window: null } },
    terms: { prices: { models, markupPercent: null } },
    deployment: { baseUrl: `${apis.url}/v1` },
  });
  openai = new OpenAI({ baseURL: `${world.url}/v1`, apiKey: SECRET, maxRetries: 0 });
  anthropic = new Anthropic({ baseURL: world.url, apiKey: SECRET, maxRetries: 0 });
});
afterAll(async () => {
  await world.stop();
  await apis.stop();
});
beforeEach(() => {
  apis.sent.length = 0;
});

async function lastSpend() {
  const spend = (await world.spends()).at(-1)!;
  expect(spend.lines.reduce((sum, { priceNanos }) => sum + priceNanos, 0n)).toBe(spend.priceNanos);
  return spend;
}

const say = [{ role: 'user', content: 'Hello you' }] as const;
const weather = { type: 'object', properties: { city: { type: 'string' } } } as const;

describe('the official OpenAI client', () => {
  test('gets chat completions with calls of tools, streamed or not', async () => {
    const tools = [{ type: 'function' as const, function: { name: 'weather', parameters: weather } }];
    const whole = await openai.chat.completions.create({ model: 'text', messages: [...say], tools });
    expect(whole.choices[0]!.message.tool_calls).toMatchObject([{ function: { name: 'weather' } }]);
    const stream = openai.chat.completions.stream({ model: 'text', messages: [...say], tools });
    const final = await stream.finalChatCompletion();
    expect(final.choices[0]!.message.tool_calls).toMatchObject([
      { function: { arguments: '{"city":"Ulm"}' } },
    ]);
    expect(await lastSpend()).toMatchObject({
      stream: true,
      usageSource: 'reported',
      priceNanos: 7n * 2n + 5n * 3n,
    });
  });

  test('pays for audio in a chat at its own rates', async () => {
    await openai.chat.completions.create({
      model: 'voice',
      messages: [...say],
      modalities: ['text', 'audio'],
      audio: { voice: 'alloy', format: 'mp3' },
    });
    expect(await lastSpend()).toMatchObject({
      priceNanos: 5n * 2n + 2n * 7n + 1n * 3n + 4n * 9n,
      usage: { units: { 'audio-input': 2, 'audio-output': 4 } },
      rawUsage: { prompt_tokens_details: { audio_tokens: 2 } },
    });
  });

  test('gets the older completions, streamed or not', async () => {
    const whole = await openai.completions.create({ model: 'text', prompt: 'Say it', max_tokens: 9 });
    expect(whole.choices[0]!.text).toBe('one two');
    const stream = await openai.completions.create({ model: 'text', prompt: 'Say it', stream: true });
    const texts: string[] = [];
    for await (const { choices } of stream) texts.push(...choices.map(({ text }) => text));
    expect(texts.join('')).toBe('one two');
    expect(await lastSpend()).toMatchObject({
      route: 'completions',
      usageSource: 'reported',
      priceNanos: 29n,
    });
  });

  test('gets embeddings and moderations', async () => {
    const { data } = await openai.embeddings.create({
      model: 'text',
      input: 'a text',
      encoding_format: 'float',
    });
    expect(data[0]!.embedding).toEqual([0.5, 0.25]);
    expect(await lastSpend()).toMatchObject({ route: 'embeddings', priceNanos: 6n });
    const { results } = await openai.moderations.create({ input: 'a text' });
    expect(results[0]!.flagged).toBe(false);
    expect(await lastSpend()).toMatchObject({
      route: 'moderations',
      model: 'omni-moderation-latest',
      usageSource: 'estimated',
      usage: { inputTokens: 2 },
    });
  });

  test('gets responses, streamed or not, whose cached and reasoning tokens are parts of the counts', async () => {
    const whole = await openai.responses.create({ model: 'text', input: 'Hello you' });
    expect(whole.output_text).toBe('one two');
    const stream = await openai.responses.create({ model: 'text', input: 'Hello you', stream: true });
    const types: string[] = [];
    for await (const { type } of stream) types.push(type);
    expect(types).toEqual(['response.created', 'response.output_text.delta', 'response.completed']);
    expect(await lastSpend()).toMatchObject({
      route: 'responses',
      responseId: 'resp_1',
      stream: true,
      usageSource: 'reported',
      usage: { inputTokens: 7, cachedInputTokens: 2, outputTokens: 5, reasoningTokens: 3 },
      priceNanos: 5n * 2n + 2n * 1n + 5n * 3n,
    });
    expect(JSON.parse(apis.sent[0]!.body)).toMatchObject({ max_output_tokens: 4096 });
  });

  test('gets images, billed by the piece, or by the dearest tokens where nothing is reported', async () => {
    const { data } = await openai.images.generate({ model: 'painter', prompt: 'a tree', n: 2 });
    expect(data).toHaveLength(2);
    expect(await lastSpend()).toMatchObject({
      lines: [{ unit: 'image', quantity: 2, priceNanos: 80_000n }],
      usageSource: 'reported',
    });
    await openai.images.generate({ model: 'painter-by-token', prompt: 'a tree' });
    expect(await lastSpend()).toMatchObject({ usageSource: 'estimated', usage: { outputTokens: 6_300 } });
  });

  test('gets speech as it comes, billed by the character', async () => {
    const response = await openai.audio.speech.create({
      model: 'speaker',
      voice: 'alloy',
      input: 'Grüße 🌲',
    });
    expect(response.headers.get('content-type')).toBe('audio/mpeg');
    const bytes = Buffer.from(await response.arrayBuffer());
    expect(bytes.length).toBe(70_003);
    expect([...bytes.subarray(-3)]).toEqual([0, 0x80, 0xff]);
    expect(await lastSpend()).toMatchObject({ lines: [{ unit: 'character', quantity: 7 }], priceNanos: 14n });
  });

  test('sends a recording through, with its file before or after the model', async () => {
    const sound = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7) % 256));
    const file = await toFile(sound, 'r\u00fc ck.mp3', { type: 'audio/mpeg' });
    const said = await openai.audio.transcriptions.create({ file, model: 'listener' });
    expect(said.text).toBe('one two');
    expect(await lastSpend()).toMatchObject({
      lines: [{ unit: 'second', quantity: 62, priceNanos: 6_200n }],
      rawUsage: { type: 'duration', seconds: 61.2 },
    });
    await openai.audio.translations.create({ model: 'listener', file, response_format: 'verbose_json' });
    expect(await lastSpend()).toMatchObject({ route: 'audio/translations', lines: [{ quantity: 4 }] });
    for (const { body, headers } of apis.sent) {
      expect(body).toContain(sound.toString('latin1'));
      expect(body).toContain('name="model"\r\n\r\nlistener\r\n');
      expect(headers.authorization).toBe(`Bearer ${UPSTREAM_KEY}`);
    }
  });

  test('gets a transcription as a stream, and as plain text', async () => {
    const file = await toFile(Buffer.alloc(2_000), 'a.wav');
    const stream = await openai.audio.transcriptions.create({
      file,
      model: 'listener-by-token',
      stream: true,
    });
    const types: string[] = [];
    for await (const { type } of stream) types.push(type);
    expect(types).toEqual(['transcript.text.delta', 'transcript.text.done']);
    expect(await lastSpend()).toMatchObject({
      stream: true,
      usage: { inputTokens: 30, outputTokens: 2 },
      priceNanos: 66n,
    });
    const text = await openai.audio.transcriptions.create({
      file,
      model: 'listener',
      response_format: 'text',
    });
    expect(text).toBe('one two three four five six seven\n');
    expect(await lastSpend()).toMatchObject({ usageSource: 'estimated', lines: [{ unit: 'second' }] });
  });

  test('gets rerankings by its generic call, billed by the search', async () => {
    const body = { model: 'ranker', query: 'trees', documents: ['a car', 'an oak'] };
    expect(await openai.post('/rerank', { body })).toMatchObject({ id: 'rr-1' });
    expect(await lastSpend()).toMatchObject({ lines: [{ unit: 'search', quantity: 1 }], priceNanos: 1_000n });
  });

  test('for Azure names the model in the path', async () => {
    const azure = new AzureOpenAI({
      endpoint: world.url,
      apiKey: SECRET,
      apiVersion: '2024-10-21',
      maxRetries: 0,
    });
    const whole = await azure.chat.completions.create({ model: 'text', messages: [...say] });
    expect(whole.choices[0]!.message.content).toBe('one two');
    const file = await toFile(Buffer.alloc(2_000), 'a.wav');
    await azure.audio.transcriptions.create({ file, model: 'listener' });
    expect(await lastSpend()).toMatchObject({ route: 'audio/transcriptions', model: 'listener' });
    expect(apis.sent.at(-1)!.body.match(/name="model"/g)).toHaveLength(1);
  });
});

describe('the official Anthropic client', () => {
  test('gets messages, whose cache reads and writes come on top of the input', async () => {
    const whole = await anthropic.messages.create({ model: 'claude', max_tokens: 20, messages: [...say] });
    expect(whole.content).toMatchObject([{ type: 'text', text: 'one two' }]);
    const spend = await lastSpend();
    expect(spend).toMatchObject({
      route: 'messages',
      responseId: 'msg_9',
      usage: { inputTokens: 124, cachedInputTokens: 100, outputTokens: 6, units: { 'cache-write': 20 } },
      rawUsage: { cache_creation_input_tokens: 20 },
      priceNanos: 4n * 2n + 100n + 20n * 5n + 6n * 3n,
    });
    const { headers } = apis.sent[0]!;
    expect(headers['x-api-key']).toBe(UPSTREAM_KEY);
    expect(headers['anthropic-version']).toMatch(/^\d{4}-\d\d-\d\d$/);
    expect(headers.authorization).toBeUndefined();
  });

  test('gets a streamed message, and the same bill', async () => {
    const stream = anthropic.messages.stream({ model: 'claude', max_tokens: 20, messages: [...say] });
    expect(await stream.finalText()).toBe('one two');
    expect(await lastSpend()).toMatchObject({ stream: true, responseId: 'msg_9', priceNanos: 226n });
  });

  test('gets calls of its tools', async () => {
    const tools = [{ name: 'weather', input_schema: weather }];
    const whole = await anthropic.messages.create({
      model: 'claude',
      max_tokens: 20,
      messages: [...say],
      tools,
    });
    expect(whole.content).toMatchObject([{ type: 'tool_use', input: { city: 'Ulm' } }]);
  });

  test('sees our refusals as errors of its own', async () => {
    const stranger = new Anthropic({ baseURL: world.url, apiKey: 'sk-unknown', maxRetries: 0 });
    const asked = stranger.messages.create({ model: 'claude', max_tokens: 20, messages: [...say] });
    await expect(asked).rejects.toBeInstanceOf(AuthenticationError);
  });
});

test('a deployment’s own headers go along, and the client’s do not', async () => {
  const other = await startWorld({
    terms: { prices: { models, markupPercent: null } },
    deployment: { baseUrl: `${apis.url}/v1`, extraHeaders: { 'x-of-the-deployment': 'yes' } },
  });
  try {
    const headers = { 'x-of-the-client': 'no', cookie: 'a=b', 'x-forwarded-for': '1.2.3.4' };
    expect((await other.post('/v1/embeddings', { model: 'text', input: 'x' }, headers)).status).toBe(200);
    const [sent] = apis.sent;
    expect(sent!.headers).toMatchObject({
      'x-of-the-deployment': 'yes',
      authorization: `Bearer ${UPSTREAM_KEY}`,
    });
    for (const name of Object.keys(headers)) expect(sent!.headers[name]).toBeUndefined();
  } finally {
    await other.stop();
  }
});

describe('every route', () => {
  const bodies: Readonly<Record<string, object>> = {
    'chat/completions': { model: 'text', messages: say },
    completions: { model: 'text', prompt: 'x' },
    embeddings: { model: 'text', input: 'x' },
    responses: { model: 'text', input: 'x' },
    messages: { model: 'text', max_tokens: 5, messages: say },
    moderations: { model: 'text', input: 'x' },
    'images/generations': { model: 'painter', prompt: 'x' },
    'audio/speech': { model: 'speaker', input: 'x', voice: 'alloy' },
    rerank: { model: 'ranker', query: 'x', documents: ['y'] },
  };

  test.each(Object.entries(bodies))('%s is served under all its spellings', async (name, body) => {
    const { model } = body as { model: string };
    const paths = [
      `/${name}`,
      `/v1/${name}`,
      `/engines/${model}/${name}`,
      `/v1/engines/${model}/${name}?x=1`,
    ];
    for (const path of [...paths, `/openai/deployments/${model}/${name}?api-version=1`]) {
      const inPath = path.includes(`/${model}/`);
      const response = await world.post(path, inPath ? { ...body, model: undefined } : body);
      expect([path, response.status]).toEqual([path, 200]);
      await response.arrayBuffer();
      expect(await lastSpend()).toMatchObject({ route: name, model });
    }
    const sent = apis.sent.map(({ body: text }) => (JSON.parse(text) as { model: string }).model);
    expect(new Set(sent)).toEqual(new Set([model]));
  });

  test('that nobody knows stays unknown', async () => {
    for (const path of [
      '/v1/files',
      '/engines//chat/completions',
      '/engines/text/files',
      '/v1/v1/embeddings',
      '/engines/%ff/embeddings',
    ]) {
      expect(world.gateway.matches('POST', path)).toBe(false);
      expect((await world.post(path, {})).status).toBe(404);
    }
  });

  const unpriced: readonly (readonly [what: string, path: string, body: object])[] = [
    [
      'images of a model with a price of nothing for tokens only',
      '/images/generations',
      { model: 'free', prompt: 'x' },
    ],
    ['speech of a model without a price per character', '/audio/speech', { model: 'text', input: 'x' }],
    [
      'searches of a model without a price for them',
      '/rerank',
      { model: 'free', query: 'x', documents: ['y'] },
    ],
    ['a web search in a chat', '/chat/completions', { model: 'text', messages: say, web_search_options: {} }],
    [
      'a web search in a response',
      '/responses',
      { model: 'text', input: 'x', tools: [{ type: 'web_search' }] },
    ],
    [
      'a tool that the upstream runs',
      '/responses',
      { model: 'text', input: 'x', tools: [{ type: 'code_interpreter' }] },
    ],
    [
      'a web search in a message',
      '/messages',
      { model: 'text', messages: say, tools: [{ type: 'web_search_20250305', name: 'web_search' }] },
    ],
  ];
  test.each(unpriced)('refuses %s', async (_, path, body) => {
    const before = (await world.spends()).length;
    const response = await world.post(path, body);
    expect(response.status).toBe(403);
    expect(errorOf(await response.json()).reason).toBe('unit_not_priced');
    expect(apis.sent).toEqual([]);
    expect((await world.spends()).length).toBe(before);
  });

  test.each(['previous_response_id', 'conversation', 'background', 'prompt'])(
    'refuses %s, which would share state between tenants or escape the bill',
    async (name) => {
      const response = await world.post('/responses', { model: 'text', input: 'x', [name]: 'abc' });
      expect([response.status, errorOf(await response.json()).param]).toEqual([400, name]);
    },
  );
});

describe('a form', () => {
  const head = { 'content-type': 'multipart/form-data; boundary=XX' };
  const send = (body: string, headers: Record<string, string> = head) =>
    world.post('/v1/audio/transcriptions', body, headers);
  const field = (name: string, value: string) =>
    `--XX\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;

  const wrongForms: readonly (readonly [what: string, body: string, status: number, type: string | null])[] =
    [
      ['that ends early', field('model', 'listener'), 400, null],
      ['without a model', `${field('language', 'de')}--XX--\r\n`, 400, null],
      ['with two models', `${field('model', 'listener')}${field('model', 'text')}--XX--\r\n`, 400, null],
      ['of another kind', '{}', 415, 'application/json'],
      ['whose part has no name', '--XX\r\nx: y\r\n\r\nz\r\n--XX--\r\n', 400, null],
      ['with a model that is not for sale', `${field('model', 'nobody')}--XX--\r\n`, 403, null],
    ];
  test.each(wrongForms)('%s is refused and leaves nothing reserved', async (_, body, status, type) => {
    const response = await send(body, type === null ? head : { 'content-type': type });
    expect([response.status, errorOf(await response.json()).code]).toEqual([status, String(status)]);
    const spend = (await world.spends()).at(-1)!;
    const next = await world.post('/embeddings', { model: 'text', input: 'x' });
    const spent = (await world.spends()).reduce((sum, { priceNanos }) => sum + priceNanos, 0n);
    expect(next.headers.get('x-litellm-key-spend')).toBe(formatNanos(spent));
    expect(['completed', 'truncated']).toContain(spend.outcome);
    expect(world.gateway.inFlight()).toBe(0);
  });

  test('is not read for somebody without a key', async () => {
    const response = await send(`${field('model', 'listener')}--XX--\r\n`, {
      ...head,
      authorization: 'Bearer sk-no',
    });
    expect(response.status).toBe(401);
    expect(apis.sent).toEqual([]);
  });
});
