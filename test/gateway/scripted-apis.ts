/** An upstream that speaks every API that is served here, with fixed answers and usage, and remembers what it was sent. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { scripted } from './harness.ts';

export interface Sent {
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  /** As Latin-1. */
  readonly body: string;
}

export interface ScriptedApis {
  readonly url: string;
  readonly sent: Sent[];
  stop(): Promise<void>;
}

export async function scriptedApis(): Promise<ScriptedApis> {
  const sent: Sent[] = [];
  const upstream = await scripted((request, response, body) => {
    const path = request.url ?? '';
    sent.push({ path, headers: request.headers, body });
    const answer = answers[path.replace('/v1/', '')];
    if (answer === undefined) return json(response, { error: { message: 'no such route' } }, 404);
    answer(
      response,
      request.headers['content-type']?.startsWith('application/json') ? parse(body) : { form: body },
    );
  });
  return { url: upstream.url, sent, stop: upstream.stop };
}

type Answer = (response: ServerResponse, asked: Record<string, unknown>) => void;

const USAGE = { prompt_tokens: 7, completion_tokens: 5, total_tokens: 12 };
const NEWER = {
  input_tokens: 7,
  input_tokens_details: { cached_tokens: 2 },
  output_tokens: 5,
  output_tokens_details: { reasoning_tokens: 3 },
  total_tokens: 12,
};
const ANTHROPIC = {
  input_tokens: 4,
  cache_creation_input_tokens: 20,
  cache_read_input_tokens: 100,
  output_tokens: 6,
};

const answers: Readonly<Record<string, Answer>> = {
  'chat/completions': (response, asked) => chat(response, asked),
  completions(response, { stream, model }) {
    const head = { id: 'cmpl-1', object: 'text_completion', created: 1, model };
    const choice = { index: 0, text: 'one two', finish_reason: 'stop', logprobs: null };
    if (stream !== true) return json(response, { ...head, choices: [choice], usage: USAGE });
    data(response, [
      { ...head, choices: [{ ...choice, finish_reason: null }] },
      { ...head, choices: [{ ...choice, text: '' }] },
      { ...head, choices: [], usage: USAGE },
      '[DONE]',
    ]);
  },
  embeddings(response, { model }) {
    const usage = { prompt_tokens: 3, total_tokens: 3 };
    json(response, {
      object: 'list',
      model,
      data: [{ object: 'embedding', index: 0, embedding: [0.5, 0.25] }],
      usage,
    });
  },
  responses(response, { stream, model }) {
    const message = { type: 'message', id: 'msg_1', role: 'assistant', status: 'completed' };
    const output = [{ ...message, content: [{ type: 'output_text', text: 'one two', annotations: [] }] }];
    const whole = {
      id: 'resp_1',
      object: 'response',
      created_at: 1,
      status: 'completed',
      model,
      error: null,
      output,
    };
    if (stream !== true) return json(response, { ...whole, usage: NEWER });
    const started = { ...whole, status: 'in_progress', output: [], usage: null };
    events(response, [
      { type: 'response.created', sequence_number: 0, response: started },
      {
        type: 'response.output_text.delta',
        sequence_number: 1,
        item_id: 'msg_1',
        output_index: 0,
        content_index: 0,
        delta: 'one two',
      },
      { type: 'response.completed', sequence_number: 2, response: { ...whole, usage: NEWER } },
    ]);
  },
  messages(response, { stream, model, tools }) {
    const head = { id: 'msg_9', type: 'message', role: 'assistant', model, stop_sequence: null };
    const call = { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { city: 'Ulm' } };
    const content = Array.isArray(tools) ? [call] : [{ type: 'text', text: 'one two' }];
    const stop_reason = Array.isArray(tools) ? 'tool_use' : 'end_turn';
    if (stream !== true) return json(response, { ...head, content, stop_reason, usage: ANTHROPIC });
    events(response, [
      {
        type: 'message_start',
        message: { ...head, content: [], stop_reason: null, usage: { ...ANTHROPIC, output_tokens: 1 } },
      },
      { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
      { type: 'ping' },
      { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'one two' } },
      { type: 'content_block_stop', index: 0 },
      {
        type: 'message_delta',
        delta: { stop_reason: 'end_turn', stop_sequence: null },
        usage: { output_tokens: 6 },
      },
      { type: 'message_stop' },
    ]);
  },
  moderations(response, { model }) {
    json(response, {
      id: 'modr-1',
      model: model ?? 'omni-moderation-latest',
      results: [{ flagged: false, categories: {} }],
    });
  },
  'images/generations'(response, { n = 1 }) {
    json(response, { created: 1, data: Array.from({ length: n as number }, () => ({ b64_json: 'AAAA' })) });
  },
  'audio/transcriptions'(response, { form }) {
    if (/name="response_format"\r\n\r\ntext/.test(String(form))) {
      response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
      return void response.end('one two three four five six seven\n');
    }
    if (!/name="stream"\r\n\r\ntrue/.test(String(form))) {
      return json(response, { text: 'one two', usage: { type: 'duration', seconds: 61.2 } });
    }
    const usage = {
      type: 'tokens',
      input_tokens: 30,
      input_token_details: { audio_tokens: 28 },
      output_tokens: 2,
    };
    events(response, [
      { type: 'transcript.text.delta', delta: 'one two' },
      { type: 'transcript.text.done', text: 'one two', usage: { ...usage, total_tokens: 32 } },
    ]);
  },
  'audio/translations': (response) =>
    json(response, { text: 'one two', duration: 3.5, language: 'english', segments: [] }),
  'audio/speech'(response) {
    response.writeHead(200, { 'content-type': 'audio/mpeg' });
    response.write(Buffer.alloc(70_000, 0xff));
    response.end(Buffer.from([0, 0x80, 0xff]));
  },
  rerank(response) {
    const results = [{ index: 1, relevance_score: 0.9 }];
    json(response, { id: 'rr-1', results, meta: { billed_units: { search_units: 1 } } });
  },
};

function chat(response: ServerResponse, { stream, model, tools, modalities }: Record<string, unknown>): void {
  const head = { id: 'chatcmpl-1', created: 1, model };
  const call = { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Ulm"}' } };
  const called = Array.isArray(tools);
  const finish_reason = called ? 'tool_calls' : 'stop';
  const message = called
    ? { role: 'assistant', content: null, tool_calls: [call] }
    : { role: 'assistant', content: 'one two' };
  const audio = {
    prompt_tokens_details: { audio_tokens: 2 },
    completion_tokens_details: { audio_tokens: 4 },
  };
  const usage = Array.isArray(modalities) ? { ...USAGE, ...audio } : USAGE;
  const answer = {
    ...head,
    object: 'chat.completion',
    choices: [{ index: 0, message, finish_reason }],
    usage,
  };
  if (stream !== true) return json(response, answer);
  const delta = called ? { ...message, tool_calls: [{ index: 0, ...call }] } : message;
  const chunk = { ...head, object: 'chat.completion.chunk' };
  data(response, [
    { ...chunk, choices: [{ index: 0, delta, finish_reason: null }] },
    { ...chunk, choices: [{ index: 0, delta: {}, finish_reason }] },
    { ...chunk, choices: [], usage },
    '[DONE]',
  ]);
}

function json(response: ServerResponse, body: object, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

function data(response: ServerResponse, parts: readonly (object | string)[]): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const texts = parts.map((part) => (typeof part === 'string' ? part : JSON.stringify(part)));
  response.end(texts.map((text) => `data: ${text}\n\n`).join(''));
}

interface Typed {
  readonly type: string;
  readonly [name: string]: unknown;
}

function events(response: ServerResponse, parts: readonly Typed[]): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.end(parts.map((part) => `event: ${part.type}\ndata: ${JSON.stringify(part)}\n\n`).join(''));
}

function parse(body: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(body, 'latin1').toString('utf8')) as Record<string, unknown>;
}
