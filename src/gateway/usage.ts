import { countChat, countEmbeddingInput, countText } from '../domain/tokens.ts';
import type { Usage } from '../domain/spend.ts';
import { type Call, isRecord } from './call.ts';

/** Tokens: what an upstream reports, read with suspicion, and what is counted when it does not. */

/** More than any request can have; a report beyond it is a defect of the upstream, not a usage. */
const TOKENS_MAX = 1_000_000_000;
const TOKENS_PER_REPLY_PRIMER = 3;

/** An OpenAI usage object; null when it is missing or impossible (negative, fractional, endless, cached above prompt). */
export function readUsage(usage: unknown): Usage | null {
  if (!isRecord(usage)) return null;
  const inputTokens = usage['prompt_tokens'];
  const outputTokens = usage['completion_tokens'] ?? 0;
  const cachedInputTokens = detail(usage['prompt_tokens_details'], 'cached_tokens');
  const reasoningTokens = detail(usage['completion_tokens_details'], 'reasoning_tokens');
  if (!isCount(inputTokens) || !isCount(outputTokens)) return null;
  if (!isCount(cachedInputTokens) || cachedInputTokens > inputTokens) return null;
  if (!isCount(reasoningTokens) || reasoningTokens > outputTokens) return null;
  return { inputTokens, cachedInputTokens, outputTokens, reasoningTokens };
}

function detail(details: unknown, name: string): unknown {
  return isRecord(details) ? (details[name] ?? 0) : 0;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= TOKENS_MAX;
}

/** Tokens of a request's input, counted as upstreams count them. */
export function countInput({ route, json }: Call): number {
  if (route.name === 'embeddings') return countEmbeddingInput(json['input']);
  let tokens = countChat(json['messages'] as readonly unknown[], json['tools']);
  // Schemas of answers and the older form of tools are part of the prompt too.
  for (const name of ['functions', 'response_format']) {
    if (json[name] != null) tokens += countChat([], json[name]) - TOKENS_PER_REPLY_PRIMER;
  }
  return tokens;
}

/** Usage as far as it can be counted here. */
export function estimated(inputTokens: number, outputTokens: number): Usage {
  return { inputTokens, cachedInputTokens: 0, outputTokens, reasoningTokens: 0 };
}

/** Completion tokens of a whole chat answer. */
export function countAnswer(answer: Readonly<Record<string, unknown>>): number {
  const { choices } = answer;
  if (!Array.isArray(choices)) return 0;
  let tokens = 0;
  for (const choice of choices as unknown[])
    if (isRecord(choice)) tokens += countText(textOf(choice['message']));
  return tokens;
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
