/**
 * What the simulated upstream answers, as a pure function of the request: the same model and messages give the
 * same text and usage, streamed or not, whatever else is in the request. Prompt tokens come from the counter
 * that the gateway uses too. An answer is as long as `max_completion_tokens` (or `max_tokens`) says, up to 1,024,
 * so that the worst case a gateway reserves is what it pays; else it has 24 to 200 tokens. Every word below is
 * one token, first or not, so the text has as many tokens as reported.
 *
 * `metadata: {"simulate": "<rule>"}` in a request asks for a fault (see simulated-faults.ts): a member that
 * gateways forward, and that the official SDKs can set.
 */
import { createHash } from 'node:crypto';
import { countChat, countEmbeddingInput, countText } from '../domain/tokens.ts';

export type ModelKind = 'chat' | 'embedding';

export interface Answer {
  readonly stream: boolean;
  readonly promptTokens: number;
  readonly choices: number;
  /** Of all choices together. */
  readonly completionTokens: number;
  /** The usage object as JSON text. */
  readonly usage: string;
  /** The JSON answer up to where its usage begins; the closing brace is missing too. */
  readonly head: string;
  /** The stream's events in order, without usage and [DONE]; [] where streaming does not exist. */
  readonly events: readonly string[];
  /** An event's JSON up to where its usage begins; null when the stream was not asked for usage. */
  readonly usageEventHead: string | null;
  /** The fault rule that the request carries. */
  readonly simulate: string | null;
  /** Whom the request names in `user`: by that name the books keep single calls. */
  readonly user: string | null;
}

export interface Rejection {
  readonly status: number;
  readonly error: string;
}

interface Completion {
  readonly id: string;
  readonly model: string;
  readonly choices: readonly (readonly string[])[];
  readonly finishReason: 'length' | 'stop';
}

/** Up to here an answer is exactly as long as the request's limit; a larger limit is only a limit. */
const EXACT_TOKENS_MAX = 1_024;
const COMPLETION_TOKENS_MAX = 131_072;
const DEFAULT_TOKENS_MIN = 24;
const DEFAULT_TOKENS_MAX = 200;
const CHOICES_MAX = 128;
const DIMENSIONS_DEFAULT = 256;
const DIMENSIONS_MAX = 4096;
/** Prompt caches work from this length on, in steps. */
const CACHE_TOKENS_MIN = 1024;
const CACHE_TOKENS_STEP = 128;
/** A fixed instant, so that answers do not depend on the clock: 2026-01-01T00:00:00Z in seconds. */
export const CREATED = 1_767_225_600;

const WORDS = (
  'the and for with from this that your our order day week team office people time work plan question answer ' +
  'service price number letter phone help open close start end next first last new good small large quick ' +
  'simple please can will may should send take make find show keep read write call meet today here also more'
).split(' ');

export function rejection(status: number, message: string, code: string | null = null): Rejection {
  const type =
    status === 401 ? 'authentication_error' : status < 500 ? 'invalid_request_error' : 'server_error';
  return { status, error: JSON.stringify({ error: { message, type, param: null, code } }) };
}

/** A stream's event, or a JSON answer: `head`, the usage members it is to report, and the closing brace. */
export function withUsage(head: string, usages: readonly string[]): string {
  return `${head}${usages.map((usage) => `,"usage":${usage}`).join('')}}`;
}

export function event(json: string): string {
  return `data: ${json}\n\n`;
}

export function prepareChat(
  body: string,
  models: ReadonlyMap<string, ModelKind>,
  chunkCount: number,
): Answer | Rejection {
  const request = parseObject(body);
  if (request === null) return rejection(400, 'We could not parse the JSON body of your request.');
  const { model, messages, n = 1, stream, tools } = request;
  if (typeof model !== 'string') return rejection(400, 'You must provide a model.');
  if (models.get(model) !== 'chat') return unknownModel(model);
  if (!isMessages(messages)) {
    return rejection(400, "'messages' must be a list with at least one message, each with a role.");
  }
  const limit = request['max_completion_tokens'] ?? request['max_tokens'] ?? null;
  if (limit !== null && !isCount(limit, COMPLETION_TOKENS_MAX)) {
    return rejection(400, `'max_completion_tokens' must be an integer from 1 to ${COMPLETION_TOKENS_MAX}.`);
  }
  if (!isCount(n, CHOICES_MAX)) return rejection(400, `'n' must be an integer from 1 to ${CHOICES_MAX}.`);
  if (limit !== null && n * limit > COMPLETION_TOKENS_MAX)
    return rejection(400, 'That is too much for one answer.');
  if (stream !== undefined && stream !== null && typeof stream !== 'boolean') {
    return rejection(400, "'stream' must be a boolean.");
  }
  const digest = digestOf(model, messages);
  const seed = digest.readUInt32LE(0);
  const exact = limit !== null && limit <= EXACT_TOKENS_MAX;
  const length = exact ? limit : Math.min(limit ?? COMPLETION_TOKENS_MAX, defaultLength(seed));
  const completion: Completion = {
    id: `chatcmpl-${digest.toString('hex', 0, 12)}`,
    model,
    choices: Array.from({ length: n }, (_, choice) => words(seed + choice, length)),
    finishReason: exact ? 'length' : 'stop',
  };
  const promptTokens = countChat(messages, tools);
  const completionTokens = n * (completion.choices[0]?.length ?? 0);
  const includeUsage =
    isRecord(request['stream_options']) && request['stream_options']['include_usage'] === true;
  return {
    stream: stream === true,
    promptTokens,
    choices: n,
    completionTokens,
    usage: usageJson(promptTokens, completionTokens, cachedTokens(messages)),
    head: completionHead(completion),
    events: stream === true ? completionEvents(completion, chunkCount, includeUsage) : [],
    usageEventHead: includeUsage ? eventHead(completion, '') : null,
    simulate: simulateOf(request),
    user: typeof request['user'] === 'string' ? request['user'] : null,
  };
}

export function prepareEmbeddings(body: string, models: ReadonlyMap<string, ModelKind>): Answer | Rejection {
  const request = parseObject(body);
  if (request === null) return rejection(400, 'We could not parse the JSON body of your request.');
  const { model, input, dimensions = DIMENSIONS_DEFAULT, encoding_format: format = 'float' } = request;
  if (typeof model !== 'string') return rejection(400, 'You must provide a model.');
  if (models.get(model) !== 'embedding') return unknownModel(model);
  const inputs = embeddingInputs(input);
  if (inputs === null)
    return rejection(400, "'input' must be a text or a list of texts or of token numbers.");
  if (!isCount(dimensions, DIMENSIONS_MAX)) return rejection(400, "'dimensions' must be a positive integer.");
  if (format !== 'float' && format !== 'base64')
    return rejection(400, "'encoding_format' must be float or base64.");
  const data = inputs.map((item, index) => ({
    object: 'embedding',
    index,
    embedding: vectorOf(digestOf(model, item).readUInt32LE(0), dimensions, format),
  }));
  const promptTokens = countEmbeddingInput(input);
  return {
    stream: false,
    promptTokens,
    choices: 0,
    completionTokens: 0,
    usage: JSON.stringify({ prompt_tokens: promptTokens, total_tokens: promptTokens }),
    head: JSON.stringify({ object: 'list', model, data }).slice(0, -1),
    events: [],
    usageEventHead: null,
    simulate: simulateOf(request),
    user: typeof request['user'] === 'string' ? request['user'] : null,
  };
}

export function usageJson(promptTokens: number, completionTokens: number, cachedTokens: number): string {
  return JSON.stringify({
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
  });
}

function completionHead({ id, model, choices, finishReason }: Completion): string {
  const answer = {
    id,
    object: 'chat.completion',
    created: CREATED,
    model,
    choices: choices.map((tokens, index) => ({
      index,
      message: { role: 'assistant', content: tokens.join(''), refusal: null },
      logprobs: null,
      finish_reason: finishReason,
    })),
  };
  return JSON.stringify(answer).slice(0, -1);
}

/** Content in `chunkCount` events per choice (fewer when there are fewer tokens), then the finish reason. */
function completionEvents(completion: Completion, chunkCount: number, includeUsage: boolean): string[] {
  const usages = includeUsage ? ['null'] : [];
  const length = completion.choices[0]?.length ?? 0;
  const parts = Math.min(chunkCount, length);
  const events: string[] = [];
  const add = (index: number, delta: object, finish_reason: string | null): void => {
    const choice = JSON.stringify({ index, delta, logprobs: null, finish_reason });
    events.push(event(withUsage(eventHead(completion, choice), usages)));
  };
  for (let part = 0; part < parts; part += 1) {
    const from = Math.floor((part * length) / parts);
    const to = Math.floor(((part + 1) * length) / parts);
    for (const [index, tokens] of completion.choices.entries()) {
      const content = tokens.slice(from, to).join('');
      add(index, part === 0 ? { role: 'assistant', content, refusal: null } : { content }, null);
    }
  }
  for (const index of completion.choices.keys()) add(index, {}, completion.finishReason);
  return events;
}

function eventHead({ id, model }: Completion, choices: string): string {
  const object = 'chat.completion.chunk';
  const head = JSON.stringify({ id, object, created: CREATED, model }).slice(0, -1);
  return `${head},"choices":[${choices}]`;
}

function words(seed: number, count: number): string[] {
  const next = generator(seed);
  return Array.from({ length: count }, (_, i) => {
    const word = WORDS[next() % WORDS.length] ?? '';
    return i === 0 ? word : ` ${word}`;
  });
}

function defaultLength(seed: number): number {
  return DEFAULT_TOKENS_MIN + (seed % (DEFAULT_TOKENS_MAX - DEFAULT_TOKENS_MIN + 1));
}

/** Of length about one, as real embeddings are. */
function vectorOf(seed: number, dimensions: number, format: 'float' | 'base64'): number[] | string {
  const next = generator(seed);
  const size = Math.sqrt(3 / dimensions);
  const vector = Float32Array.from({ length: dimensions }, () => (next() / 2 ** 31 - 1) * size);
  return format === 'float' ? [...vector] : Buffer.from(vector.buffer).toString('base64');
}

/** Xorshift: unsigned 32-bit numbers, the same ones for the same seed. */
function generator(seed: number): () => number {
  let state = seed % 2 ** 32 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** A long system prompt counts as cached, as it would be when a customer's program sends it every time. */
function cachedTokens(messages: readonly Record<string, unknown>[]): number {
  let tokens = 0;
  for (const { role, content } of messages) {
    if (role === 'system' && typeof content === 'string') tokens += countText(content);
  }
  return tokens <= CACHE_TOKENS_MIN ? 0 : Math.floor(tokens / CACHE_TOKENS_STEP) * CACHE_TOKENS_STEP;
}

function unknownModel(model: string): Rejection {
  const message = `The model \`${model}\` does not exist or you do not have access to it.`;
  return rejection(404, message, 'model_not_found');
}

function embeddingInputs(input: unknown): readonly unknown[] | null {
  if (typeof input === 'string') return input === '' ? null : [input];
  if (!Array.isArray(input) || input.length === 0) return null;
  const items: readonly unknown[] = input;
  if (items.every((item) => typeof item === 'number')) return [items];
  const texts = items.every((item) => typeof item === 'string' && item !== '');
  const tokens = items.every((item) => Array.isArray(item) && item.every((id) => typeof id === 'number'));
  return texts || tokens ? items : null;
}

function simulateOf(request: Record<string, unknown>): string | null {
  const metadata = request['metadata'];
  const simulate = isRecord(metadata) ? metadata['simulate'] : null;
  return typeof simulate === 'string' ? simulate : null;
}

function digestOf(model: string, input: unknown): Buffer {
  return createHash('sha256').update(model).update('\n').update(JSON.stringify(input)).digest();
}

function isMessages(value: unknown): value is readonly Record<string, unknown>[] {
  if (!Array.isArray(value) || value.length === 0) return false;
  return value.every((message) => isRecord(message) && typeof message['role'] === 'string');
}

function isCount(value: unknown, max: number): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1 && value <= max;
}

function parseObject(body: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(body);
    return isRecord(value) && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
