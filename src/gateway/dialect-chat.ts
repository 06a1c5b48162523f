import { countChat, countEmbeddingInput, countText } from '../domain/tokens.ts';
import type { Quantities, Usage } from '../domain/spend.ts';
import type { Asked, Dialect, StreamDialect, StreamReader, Verdict } from './dialect.ts';
import { isRecord, type Json, listIn, readCount, requireList, requireTextOrList } from './json-fields.ts';
import { readUsage, textOf } from './usage.ts';

/** The APIs whose usage speaks of prompt and completion: chat, the older completions, embeddings, moderations. */
export const CHOICES_MAX = 128;
export const TOKENS_LIMIT_MAX = 1_000_000_000;
const TOKENS_PER_REPLY_PRIMER = 3;
const WEB_SEARCHES_MAX = 1;

/** How a chat streams; the older completions stream alike. */
const chatStream: StreamDialect = {
  special: /"usage"\s*:\s*\{|"finish_reason"\s*:\s*"|\[DONE\]|"error"\s*:/,
  closing: 'data: [DONE]\n\n',
  failure: (message) =>
    `data: ${JSON.stringify({ error: { message, type: null, param: null, code: '500' } })}\n\n`,
  texts(event, add) {
    for (const choice of listIn(event, 'choices')) {
      if (!isRecord(choice)) continue;
      const index = typeof choice['index'] === 'number' ? choice['index'] : 0;
      const { text } = choice;
      add(index, typeof text === 'string' ? text : textOf(choice['delta']));
    }
  },
  open: chatReader,
};

function chatReader(call: Asked): StreamReader {
  const finished = new Set<number>();
  const reader: StreamReader = { usage: null, report: null, responseId: null, finished: false, take };

  function take(event: Json): Verdict {
    const reported = readUsage(event['usage']);
    if (reported !== null) {
      reader.usage = withSearches(reported, call.quantities);
      reader.report = event['usage'];
    }
    const choices = listIn(event, 'choices');
    for (const choice of choices) {
      if (isRecord(choice) && typeof choice['finish_reason'] === 'string')
        finished.add(Number(choice['index'] ?? 0));
    }
    if (finished.size >= call.choices) reader.finished = true;
    const onlyUsage = choices.length === 0 && isRecord(event['usage']);
    return onlyUsage && !call.wantsUsage ? 'drop' : 'pass';
  }

  return reader;
}

/** Searches are not in the usage; a request that asked for one is charged for it. */
function withSearches(usage: Usage, quantities: Quantities | null): Usage {
  return quantities?.search === undefined ? usage : { ...usage, units: { ...usage.units, ...quantities } };
}

/** Upstreams differ in which of the two names they know, so the larger one is what may come. */
function readMaxTokens(json: Json): number | null {
  const newer = readCount(json, 'max_completion_tokens', 0, TOKENS_LIMIT_MAX);
  const older = readCount(json, 'max_tokens', 0, TOKENS_LIMIT_MAX);
  return newer === null || older === null ? (newer ?? older) : Math.max(newer, older);
}

const nothing = () => null;
const none = () => 0;
const one = () => 1;

export const chat: Dialect = {
  defaultModel: null,
  stream: chatStream,
  asksForUsage: true,
  limitName: 'max_tokens',
  generates: true,
  check: (json) => requireList(json, 'messages'),
  choices: (json) => readCount(json, 'n', 1, CHOICES_MAX) ?? 1,
  maxOutputTokens: readMaxTokens,
  countInput(json) {
    let tokens = countChat(json['messages'] as readonly unknown[], json['tools']);
    // Schemas of answers and the older form of tools are part of the prompt too.
    for (const name of ['functions', 'response_format']) {
      if (json[name] != null) tokens += countChat([], json[name]) - TOKENS_PER_REPLY_PRIMER;
    }
    return tokens;
  },
  quantities: (json) => (json['web_search_options'] == null ? null : { search: WEB_SEARCHES_MAX }),
  reportIn: (answer) => answer['usage'],
  readUsage(answer, call) {
    const usage = readUsage(answer['usage']);
    return usage === null ? null : withSearches(usage, call.quantities);
  },
  countAnswer(answer) {
    let tokens = 0;
    for (const choice of listIn(answer, 'choices'))
      if (isRecord(choice)) tokens += countText(textOf(choice['message']));
    return tokens;
  },
};

export const completions: Dialect = {
  ...chat,
  check: (json) => requireTextOrList(json, 'prompt'),
  // Each prompt of a list has answers of its own; of `best_of`, all are produced and few are shown.
  choices(json) {
    const shown = readCount(json, 'n', 1, CHOICES_MAX) ?? 1;
    const produced = readCount(json, 'best_of', 1, CHOICES_MAX) ?? 1;
    return prompts(json['prompt']) * Math.max(shown, produced);
  },
  maxOutputTokens: (json) => readCount(json, 'max_tokens', 0, TOKENS_LIMIT_MAX),
  countInput: (json) => countEmbeddingInput(json['prompt']),
  quantities: nothing,
  readUsage: (answer) => readUsage(answer['usage']),
  countAnswer(answer) {
    let tokens = 0;
    for (const choice of listIn(answer, 'choices'))
      if (isRecord(choice) && typeof choice['text'] === 'string') tokens += countText(choice['text']);
    return tokens;
  },
};

/** A list of texts or of lists of token numbers is several prompts; a list of numbers is one. */
function prompts(prompt: unknown): number {
  if (!Array.isArray(prompt) || typeof prompt[0] === 'number') return 1;
  return Math.max(prompt.length, 1);
}

export const embeddings: Dialect = {
  ...chat,
  stream: null,
  limitName: null,
  generates: false,
  check: (json) => requireTextOrList(json, 'input'),
  choices: one,
  maxOutputTokens: nothing,
  countInput: (json) => countEmbeddingInput(json['input']),
  quantities: nothing,
  readUsage: (answer) => readUsage(answer['usage']),
  countAnswer: none,
};

/** Moderations report no usage at most upstreams; their input is counted then. */
export const moderations: Dialect = {
  ...embeddings,
  defaultModel: 'omni-moderation-latest',
  countInput(json) {
    const { input } = json;
    const parts = Array.isArray(input) && input.some(isRecord);
    return parts ? countChat([{ content: input as unknown }]) : countEmbeddingInput(input);
  },
};
