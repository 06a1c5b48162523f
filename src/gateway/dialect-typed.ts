import { countChat, countText } from '../domain/tokens.ts';
import type { Usage } from '../domain/spend.ts';
import { Refusal } from '../errors.ts';
import { TOKENS_LIMIT_MAX } from './dialect-chat.ts';
import type { Dialect, StreamDialect, StreamReader, Verdict } from './dialect.ts';
import {
  isRecord,
  type Json,
  listIn,
  readCount,
  requireList,
  requireTextOrList,
  wrong,
} from './json-fields.ts';
import { readAnthropicUsage, readNewerUsage, withUnits } from './usage.ts';

/** The APIs whose events say their own type: OpenAI's responses and Anthropic's messages. */
const SEARCH_TOOL = /^web_search/;
/** Tools that the client runs itself, or that only shape the answer. */
const OWN_TOOLS: ReadonlySet<string> = new Set(['function', 'custom', 'local_shell', 'apply_patch']);
const SEARCHES_DEFAULT = 5;
const SEARCHES_MAX = 100;

/** Tools that the upstream runs and bills apart cannot be offered without a price for what they do. */
function searchesOf(json: Json, isOwn: (type: string) => boolean): { readonly search: number } | null {
  let searches = 0;
  for (const tool of listIn(json, 'tools')) {
    const type = isRecord(tool) && typeof tool['type'] === 'string' ? tool['type'] : null;
    if (type === null || isOwn(type)) continue;
    if (!SEARCH_TOOL.test(type))
      throw new Refusal('unit_not_priced', { unit: type.slice(0, 64) }, { param: 'tools' });
    const limit = isRecord(tool) ? readCount(tool, 'max_uses', 0, SEARCHES_MAX) : null;
    searches += limit ?? readCount(json, 'max_tool_calls', 0, SEARCHES_MAX) ?? SEARCHES_DEFAULT;
  }
  return searches === 0 ? null : { search: searches };
}

function responsesUsage(response: unknown): Usage | null {
  if (!isRecord(response)) return null;
  const usage = readNewerUsage(response['usage']);
  if (usage === null) return null;
  const searches = listIn(response, 'output').filter(
    (item) => isRecord(item) && item['type'] === 'web_search_call',
  );
  return searches.length === 0 ? usage : withUnits(usage, { search: searches.length });
}

/** What a response's output says: texts, refusals, reasoning, arguments of calls. */
function outputTexts(response: Json): string {
  let text = '';
  for (const item of listIn(response, 'output')) {
    if (!isRecord(item)) continue;
    for (const name of ['arguments', 'input']) if (typeof item[name] === 'string') text += item[name];
    for (const part of [...listIn(item, 'content'), ...listIn(item, 'summary')]) {
      if (!isRecord(part)) continue;
      for (const name of ['text', 'refusal']) if (typeof part[name] === 'string') text += part[name];
    }
  }
  return text;
}

const ENDINGS: ReadonlySet<unknown> = new Set(['response.completed', 'response.incomplete']);

const responsesStream: StreamDialect = {
  special:
    /"usage"\s*:\s*\{|"error"\s*:|"type"\s*:\s*"(?:error|response\.(?:created|completed|incomplete|failed))"/,
  closing: '',
  failure(message) {
    const error = { code: 'server_error', message, param: null };
    return `event: error\ndata: ${JSON.stringify({ type: 'error', ...error, error })}\n\n`;
  },
  texts(event, add) {
    const delta = event['delta'];
    if (typeof delta === 'string' && String(event['type']).endsWith('.delta')) {
      add(Number(event['output_index'] ?? 0), delta);
    }
  },
  open() {
    const reader: StreamReader = { usage: null, report: null, responseId: null, finished: false, take };

    function take(event: Json): Verdict {
      const response = isRecord(event['response']) ? event['response'] : {};
      if (typeof response['id'] === 'string') reader.responseId = response['id'];
      const usage = responsesUsage(response);
      if (usage !== null) {
        reader.usage = usage;
        reader.report = response['usage'];
      }
      if (event['type'] === 'error' || event['type'] === 'response.failed') return 'failed';
      if (!ENDINGS.has(event['type'])) return 'pass';
      reader.finished = true;
      return 'end';
    }

    return reader;
  },
};

/** What lives on at the upstream would be shared by all tenants, or used without being billed. */
const STATEFUL = ['previous_response_id', 'conversation', 'prompt', 'background'] as const;

export const responses: Dialect = {
  defaultModel: null,
  stream: responsesStream,
  asksForUsage: false,
  limitName: 'max_output_tokens',
  generates: true,
  check(json) {
    requireTextOrList(json, 'input');
    for (const name of STATEFUL) {
      if (json[name] == null || json[name] === false) continue;
      throw wrong(name, `\`${name}\` is not served here: send the whole input, and wait for the answer.`);
    }
  },
  choices: () => 1,
  maxOutputTokens: (json) => readCount(json, 'max_output_tokens', 0, TOKENS_LIMIT_MAX),
  countInput(json) {
    const { input, instructions, tools, text } = json;
    const messages = Array.isArray(input) ? (input as readonly unknown[]) : [{ content: input }];
    const more = [{ content: instructions }, { content: text }].filter(({ content }) => content != null);
    return countChat([...messages, ...more], tools);
  },
  quantities: (json) => searchesOf(json, (type) => OWN_TOOLS.has(type)),
  reportIn: (answer) => answer['usage'],
  readUsage: responsesUsage,
  countAnswer: (answer) => countText(outputTexts(answer)),
};

const messagesStream: StreamDialect = {
  special: /"usage"\s*:\s*\{|"error"\s*:|"type"\s*:\s*"(?:error|message_(?:start|delta|stop))"/,
  closing: '',
  failure: (message) =>
    `event: error\ndata: ${JSON.stringify({ type: 'error', error: { type: 'api_error', message } })}\n\n`,
  texts(event, add) {
    const delta = isRecord(event['delta']) ? event['delta'] : {};
    for (const name of ['text', 'thinking', 'partial_json'])
      if (typeof delta[name] === 'string') add(Number(event['index'] ?? 0), delta[name]);
  },
  open() {
    /** The prompt's side comes at the start, the completion's at the end; later numbers replace earlier ones. */
    let report: Json = {};
    const reader: StreamReader = { usage: null, report: null, responseId: null, finished: false, take };

    function take(event: Json): Verdict {
      const message = isRecord(event['message']) ? event['message'] : {};
      if (typeof message['id'] === 'string') reader.responseId = message['id'];
      const usage = event['usage'] ?? message['usage'];
      if (isRecord(usage)) {
        const said = Object.entries(usage).filter(([, value]) => value !== null);
        report = { ...report, ...Object.fromEntries(said) };
        reader.report = report;
      }
      if (event['type'] === 'error') return 'failed';
      const delta = event['delta'];
      if (event['type'] === 'message_delta' && isRecord(delta) && typeof delta['stop_reason'] === 'string') {
        // Until here, the output that is reported is only what was there at the start.
        reader.usage = readAnthropicUsage(report);
        reader.finished = true;
      }
      return event['type'] === 'message_stop' ? 'end' : 'pass';
    }

    return reader;
  },
};

/** Tools without a type are the client's own; of Anthropic's, these run at the client too. */
const CLIENT_TOOL = /^(?:custom|bash|computer|text_editor|memory)/;

export const messages: Dialect = {
  defaultModel: null,
  stream: messagesStream,
  asksForUsage: false,
  limitName: 'max_tokens',
  generates: true,
  check: (json) => requireList(json, 'messages'),
  choices: () => 1,
  maxOutputTokens: (json) => readCount(json, 'max_tokens', 0, TOKENS_LIMIT_MAX),
  countInput({ messages: said, system, tools }) {
    const asked = said as readonly unknown[];
    return countChat(system == null ? asked : [{ content: system }, ...asked], tools);
  },
  quantities: (json) => searchesOf(json, (type) => CLIENT_TOOL.test(type)),
  reportIn: (answer) => answer['usage'],
  readUsage: (answer) => readAnthropicUsage(answer['usage']),
  countAnswer(answer) {
    let text = '';
    for (const block of listIn(answer, 'content')) {
      if (!isRecord(block)) continue;
      for (const name of ['text', 'thinking']) if (typeof block[name] === 'string') text += block[name];
      if (isRecord(block['input'])) text += JSON.stringify(block['input']);
    }
    return countText(text);
  },
};
