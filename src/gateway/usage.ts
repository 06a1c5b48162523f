import type { JsonObject } from '../domain/json.ts';
import type { OtherUnit, Quantities, Usage } from '../domain/spend.ts';
import { isRecord } from './json-fields.ts';

/** Tokens: what an upstream reports, read with suspicion, and what is counted when it does not. */

/** More than any request can have; a report beyond it is a defect of the upstream, not a usage. */
const TOKENS_MAX = 1_000_000_000;

/**
 * An OpenAI usage object: cached, reasoning and audio tokens are parts of the two counts. Null when
 * it is missing or impossible (negative, fractional, endless, cached above prompt).
 */
export function readUsage(usage: unknown): Usage | null {
  if (!isRecord(usage)) return null;
  return usageOf(
    usage['prompt_tokens'],
    usage['prompt_tokens_details'],
    usage['completion_tokens'] ?? 0,
    usage['completion_tokens_details'],
  );
}

/** The same with the newer names, as responses, images and transcriptions have them. */
export function readNewerUsage(usage: unknown): Usage | null {
  if (!isRecord(usage)) return null;
  return usageOf(
    usage['input_tokens'],
    usage['input_tokens_details'] ?? usage['input_token_details'],
    usage['output_tokens'] ?? 0,
    usage['output_tokens_details'] ?? usage['output_token_details'],
  );
}

function usageOf(
  inputTokens: unknown,
  inputDetails: unknown,
  outputTokens: unknown,
  outputDetails: unknown,
): Usage | null {
  const cachedInputTokens = detail(inputDetails, 'cached_tokens');
  const reasoningTokens = detail(outputDetails, 'reasoning_tokens');
  const heard = detail(inputDetails, 'audio_tokens');
  const spoken = detail(outputDetails, 'audio_tokens');
  if (!isCount(inputTokens) || !isCount(outputTokens)) return null;
  if (!isCount(cachedInputTokens) || cachedInputTokens > inputTokens) return null;
  if (!isCount(reasoningTokens) || reasoningTokens > outputTokens) return null;
  const usage = { inputTokens, cachedInputTokens, outputTokens, reasoningTokens };
  if (heard === 0 && spoken === 0) return usage;
  if (!isCount(heard) || !isCount(spoken) || heard > inputTokens || spoken > outputTokens) return null;
  // What was cached may be audio too, and is charged as cached.
  return withUnits(usage, {
    'audio-input': Math.min(heard, inputTokens - cachedInputTokens),
    'audio-output': spoken,
  });
}

/**
 * An Anthropic usage object: what was read from the cache and written to it comes on top of
 * `input_tokens`. Null when it is missing or impossible.
 */
export function readAnthropicUsage(usage: unknown): Usage | null {
  if (!isRecord(usage)) return null;
  const fresh = usage['input_tokens'];
  const read = usage['cache_read_input_tokens'] ?? 0;
  const written = usage['cache_creation_input_tokens'] ?? 0;
  const outputTokens = usage['output_tokens'] ?? 0;
  const searches = detail(usage['server_tool_use'], 'web_search_requests');
  if (!isCount(fresh) || !isCount(read) || !isCount(written)) return null;
  if (!isCount(outputTokens) || !isCount(searches)) return null;
  const inputTokens = fresh + read + written;
  const tokens = { inputTokens, cachedInputTokens: read, outputTokens, reasoningTokens: 0 };
  return withUnits(tokens, { 'cache-write': written, search: searches });
}

/** Adds other units to a usage, those above zero. */
export function withUnits(usage: Usage, quantities: Quantities): Usage {
  const known = Object.entries(quantities).filter(([, quantity]) => quantity > 0) as [OtherUnit, number][];
  if (known.length === 0) return usage;
  return { ...usage, units: { ...usage.units, ...Object.fromEntries(known) } };
}

function detail(details: unknown, name: string): unknown {
  return isRecord(details) ? (details[name] ?? 0) : 0;
}

export function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= TOKENS_MAX;
}

const RAW_DEPTH_MAX = 3;
const RAW_MEMBERS_MAX = 40;
const RAW_WORD = /^[\w.:/-]{1,40}$/;

/** An upstream's report, fit to be kept: its numbers and short words, nothing else. Undefined when that is nothing. */
export function rawUsage(report: unknown, depth = 0): JsonObject | undefined {
  if (!isRecord(report) || depth === RAW_DEPTH_MAX) return undefined;
  const kept: [string, JsonObject | number | string][] = [];
  for (const [name, value] of Object.entries(report).slice(0, RAW_MEMBERS_MAX)) {
    if (!RAW_WORD.test(name) || name === '__proto__') continue;
    const inner = rawUsage(value, depth + 1);
    if (inner !== undefined) kept.push([name, inner]);
    else if (typeof value === 'number' && Number.isFinite(value)) kept.push([name, value]);
    else if (typeof value === 'string' && RAW_WORD.test(value)) kept.push([name, value]);
  }
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
}

/** Usage as far as it can be counted here. */
export function estimated(inputTokens: number, outputTokens: number): Usage {
  return { inputTokens, cachedInputTokens: 0, outputTokens, reasoningTokens: 0 };
}

/** All that a model wrote in a message or in a delta of one: text, refusal, reasoning, calls of tools. */
export function textOf(message: unknown): string {
  if (!isRecord(message)) return '';
  let text = '';
  for (const name of ['content', 'refusal', 'reasoning_content', 'reasoning']) {
    const part = message[name];
    if (typeof part === 'string') text += part;
  }
  const calls = Array.isArray(message['tool_calls']) ? (message['tool_calls'] as unknown[]) : [];
  for (const call of [...calls, { function: message['function_call'] }]) {
    const called = isRecord(call) ? call['function'] : null;
    if (!isRecord(called)) continue;
    for (const name of ['name', 'arguments']) if (typeof called[name] === 'string') text += called[name];
  }
  return text;
}
