import { countText } from '../domain/tokens.ts';
import type { Usage } from '../domain/spend.ts';
import type { Dialect, StreamDialect, StreamReader, Verdict } from './dialect.ts';
import { isRecord, type Json, listIn, readCount, requireList, requireText } from './json-fields.ts';
import { estimated, isCount, readNewerUsage, readUsage, withUnits } from './usage.ts';

/** The APIs that are billed by images, searches, characters or seconds, or by tokens where the upstream does so. */
const IMAGES_MAX = 10;
/** The dearest picture that token-billed models draw, rounded up. */
const IMAGE_TOKENS_MAX = 6_300;
const SEARCH_DOCUMENTS = 100;
const DOCUMENT_TOKENS = 500;
const NO_TOKENS: Usage = estimated(0, 0);

const nothing = () => null;

/** Streams that end with one event, which says what was used. */
function endingWith(ending: RegExp, draws = false): StreamDialect {
  return {
    special: new RegExp(`"usage"\\s*:\\s*\\{|"error"\\s*:|"type"\\s*:\\s*"(?:error|${ending.source})"`),
    closing: '',
    failure(message) {
      const error = { type: 'server_error', code: 'server_error', message, param: null };
      return `event: error\ndata: ${JSON.stringify({ type: 'error', error })}\n\n`;
    },
    texts(event, add) {
      if (typeof event['delta'] === 'string') add(0, event['delta']);
    },
    open(call) {
      let images = 0;
      const reader: StreamReader = { usage: null, report: null, responseId: null, finished: false, take };

      function take(event: Json): Verdict {
        if (event['type'] === 'error') return 'failed';
        if (!new RegExp(`^(?:${ending.source})$`).test(String(event['type']))) return 'pass';
        images += 1;
        reader.report = event['usage'];
        const tokens = readNewerUsage(event['usage']);
        reader.usage = draws ? withUnits(tokens ?? NO_TOKENS, { image: images }) : tokens;
        if (images < call.choices) return 'pass';
        reader.finished = true;
        return 'end';
      }

      return reader;
    },
  };
}

export const images: Dialect = {
  defaultModel: 'dall-e-2',
  stream: endingWith(/image_generation\.completed/, true),
  asksForUsage: false,
  limitName: null,
  generates: true,
  check: (json) => requireText(json, 'prompt'),
  choices: (json) => readCount(json, 'n', 1, IMAGES_MAX) ?? 1,
  maxOutputTokens: () => IMAGE_TOKENS_MAX,
  countInput: (json) => countText(String(json['prompt'])),
  quantities: (json) => ({ image: readCount(json, 'n', 1, IMAGES_MAX) ?? 1 }),
  reportIn: (answer) => answer['usage'],
  readUsage(answer, { bySingleUnit }) {
    const drawn = listIn(answer, 'data').length;
    const tokens = readNewerUsage(answer['usage']);
    if (tokens === null && !bySingleUnit) return null;
    return withUnits(tokens ?? NO_TOKENS, { image: drawn });
  },
  // A model that is billed by tokens and reports none is charged for the dearest pictures there are.
  countAnswer: (answer) => listIn(answer, 'data').length * IMAGE_TOKENS_MAX,
};

export const speech: Dialect = {
  ...images,
  defaultModel: null,
  stream: endingWith(/speech\.audio\.done/),
  generates: false,
  check: (json) => requireText(json, 'input'),
  choices: () => 1,
  maxOutputTokens: nothing,
  countInput: () => 0,
  quantities: (json) => ({ character: charactersIn(String(json['input'])) }),
  readUsage: nothing,
  countAnswer: () => 0,
};

export const rerank: Dialect = {
  ...speech,
  stream: null,
  check(json) {
    requireText(json, 'query');
    requireList(json, 'documents');
  },
  countInput: (json) => rerankTokens(json).reduce((sum, tokens) => sum + tokens, 0),
  // A long document counts as several, and so many are one search.
  quantities(json) {
    const pieces = rerankTokens(json).reduce((sum, tokens) => sum + Math.ceil(tokens / DOCUMENT_TOKENS), 0);
    return { search: Math.max(Math.ceil(pieces / SEARCH_DOCUMENTS), 1) };
  },
  reportIn: (answer) => answer['usage'] ?? answer['meta'],
  readUsage(answer, { bySingleUnit }) {
    const meta = isRecord(answer['meta']) ? answer['meta'] : {};
    const billed = isRecord(meta['billed_units']) ? meta['billed_units'] : {};
    const searches = billed['search_units'];
    const tokens = rerankUsage(answer['usage'], meta['tokens'], billed);
    if (bySingleUnit) {
      return isCount(searches) ? withUnits(tokens ?? NO_TOKENS, { search: searches }) : null;
    }
    return tokens;
  },
};

/** Query and document together, for each document. */
function rerankTokens(json: Json): readonly number[] {
  const query = countText(String(json['query']));
  return listIn(json, 'documents').map((document) => {
    const text = isRecord(document) ? document['text'] : document;
    return query + (typeof text === 'string' ? countText(text) : countText(JSON.stringify(document) ?? ''));
  });
}

function rerankUsage(usage: unknown, tokens: unknown, billed: Json): Usage | null {
  const inMeta = isRecord(tokens) ? tokens : billed;
  const total = isRecord(usage) ? (usage['total_tokens'] ?? null) : null;
  return readUsage(usage) ?? (isCount(total) ? { ...NO_TOKENS, inputTokens: total } : readNewerUsage(inMeta));
}

/** Uploads; their form is read in form.ts, so nothing is in the JSON here. */
export const transcription: Dialect = {
  ...speech,
  stream: endingWith(/transcript\.text\.done/),
  generates: true,
  check: () => undefined,
  choices: () => 1,
  quantities: nothing,
  reportIn: (answer) =>
    answer['usage'] ?? (isCount(answer['duration']) ? { seconds: answer['duration'] } : null),
  readUsage(answer, { bySingleUnit }) {
    const { usage, duration } = answer;
    const said = isRecord(usage) ? (usage['seconds'] ?? duration) : duration;
    const seconds = typeof said === 'number' && said >= 0 && said < 1e7 ? Math.ceil(said) : null;
    const tokens = readNewerUsage(usage);
    if (bySingleUnit) return seconds === null ? null : withUnits(tokens ?? NO_TOKENS, { second: seconds });
    return tokens;
  },
  countAnswer: (answer) => countText(typeof answer['text'] === 'string' ? answer['text'] : ''),
};

/** As people count them, not as memory does. */
function charactersIn(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}
