/**
 * How many tokens a request's input has. One place, because two sides must agree to the token: the gateway
 * reserves the worst case with these functions, and estimates with them when an upstream reports no usage;
 * the simulated upstream reports with them. The vocabulary is o200k_base.
 *
 * A chat prompt is the published formula for chat models: 3 tokens per message + role + content (+ name + 1),
 * and 3 once for the primer of the reply. Where the published formula says nothing (tools, images, audio,
 * files), the rules below are chosen to be deterministic and rather too high than too low.
 *
 * The counts are those of the encoder in gpt-tokenizer; only the vocabulary and the splitting expression are
 * taken from there, because its encoder takes seconds for a megabyte that was written to be slow. Merging a piece
 * of text into tokens costs the square of its length, so two rules bound the work:
 * - A piece longer than `PIECE_UNITS_MAX` (a megabyte of one letter) is cut and its parts are added up. Text whose
 *   words, gaps and runs of punctuation are all shorter, which is nearly all text, is counted exactly. Elsewhere a
 *   cut adds the tokens it divides; merging is greedy, so now and then it saves one instead.
 * - After `MERGED_BYTES_MAX` of one request, a piece outside the vocabulary counts as its bytes. No token is
 *   shorter than a byte, so from there on the count is only ever too high.
 */
import vocabulary from 'gpt-tokenizer/bpeRanks/o200k_base';
import { O200K_TOKEN_SPLIT_REGEX } from 'gpt-tokenizer/encodingParams/constants';

const TOKENS_PER_MESSAGE = 3;
const TOKENS_PER_NAME = 1;
const TOKENS_PER_REPLY_PRIMER = 3;
/** What a picture costs: a fixed price for low detail, else the largest number of tiles a picture is cut into. */
const IMAGE_LOW_TOKENS = 85;
const IMAGE_HIGH_TOKENS = 1445;
/** Ten tokens a second of sound, at the lowest bit rate in use, written as base64. */
const AUDIO_CHARS_PER_TOKEN = 128;
const FILE_CHARS_PER_TOKEN = 4;

/** Texts in messages, as the several APIs call them. */
const TEXT_PARTS: ReadonlySet<unknown> = new Set(['text', 'input_text', 'output_text']);

/** In UTF-16 units, as `String.length` counts. */
const PIECE_UNITS_MAX = 128;
/** How much text the splitting expression sees at once: it backtracks on a stack, which is not endless. */
const WINDOW_UNITS_MAX = 16_384;
/** About a tenth of a second. */
const MERGED_BYTES_MAX = 262_144;

/** What one request may still cost; shared by all its texts. */
interface Work {
  mergeableBytes: number;
}

const NO_RANK = Number.POSITIVE_INFINITY;
/** Byte string of every token, and its place in the vocabulary: the lower, the earlier it is merged. */
const ranks = new Map<string, number>();
for (const [rank, token] of vocabulary.entries()) {
  ranks.set(typeof token === 'string' ? byteString(token) : String.fromCharCode(...token), rank);
}

export function countText(text: string): number {
  return tokensIn(text, { mergeableBytes: MERGED_BYTES_MAX });
}

/** Input tokens of a chat completion. Takes the parsed request as it came, however odd, and never throws. */
export function countChat(messages: readonly unknown[], tools?: unknown): number {
  const work: Work = { mergeableBytes: MERGED_BYTES_MAX };
  let tokens = TOKENS_PER_REPLY_PRIMER;
  for (const message of messages) tokens += TOKENS_PER_MESSAGE + tokensInMessage(message, work);
  if (tools !== undefined && tools !== null) tokens += tokensInStructure(tools, work);
  return tokens;
}

/** Input tokens of an embedding: a text, texts, or texts already written as token numbers. */
export function countEmbeddingInput(input: unknown): number {
  const work: Work = { mergeableBytes: MERGED_BYTES_MAX };
  if (typeof input === 'string') return tokensIn(input, work);
  if (!Array.isArray(input)) return 0;
  let tokens = 0;
  for (const item of input as readonly unknown[]) {
    if (typeof item === 'string') tokens += tokensIn(item, work);
    else if (Array.isArray(item)) tokens += item.length;
    else tokens += 1;
  }
  return tokens;
}

function tokensInMessage(message: unknown, work: Work): number {
  if (!isRecord(message)) return 0;
  let tokens = 0;
  for (const [field, value] of Object.entries(message)) {
    if (value === null) continue;
    if (field === 'content') tokens += tokensInContent(value, work);
    else if (field === 'role' && typeof value === 'string') tokens += tokensIn(value, work);
    else if (field === 'name' && typeof value === 'string') tokens += TOKENS_PER_NAME + tokensIn(value, work);
    else tokens += tokensInStructure(value, work);
  }
  return tokens;
}

function tokensInContent(content: unknown, work: Work): number {
  if (typeof content === 'string') return tokensIn(content, work);
  if (!Array.isArray(content)) return tokensInStructure(content, work);
  let tokens = 0;
  for (const part of content as readonly unknown[]) tokens += tokensInPart(part, work);
  return tokens;
}

function tokensInPart(part: unknown, work: Work): number {
  if (!isRecord(part)) return tokensInStructure(part, work);
  const { type, text, image_url, input_audio, file } = part;
  if (typeof text === 'string' && TEXT_PARTS.has(type)) return tokensIn(text, work);
  if (type === 'input_image' || type === 'image') {
    return part['detail'] === 'low' ? IMAGE_LOW_TOKENS : IMAGE_HIGH_TOKENS;
  }
  if (type === 'input_file') return Math.ceil(stringIn(part, 'file_data').length / FILE_CHARS_PER_TOKEN);
  if (type === 'document' && stringIn(part['source'], 'type') === 'base64') {
    return Math.ceil(stringIn(part['source'], 'data').length / FILE_CHARS_PER_TOKEN);
  }
  if (type === 'image_url') {
    return stringIn(image_url, 'detail') === 'low' ? IMAGE_LOW_TOKENS : IMAGE_HIGH_TOKENS;
  }
  if (type === 'input_audio') return Math.ceil(stringIn(input_audio, 'data').length / AUDIO_CHARS_PER_TOKEN);
  if (type === 'file') return Math.ceil(stringIn(file, 'file_data').length / FILE_CHARS_PER_TOKEN);
  return tokensInStructure(part, work);
}

function stringIn(value: unknown, field: string): string {
  const found = isRecord(value) ? value[field] : undefined;
  return typeof found === 'string' ? found : '';
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/**
 * JSON inside a request (tool definitions, tool calls, schemas): its keys and values, and two tokens of
 * punctuation around each. A work list instead of `JSON.stringify`, which overflows the stack on deep nesting.
 */
function tokensInStructure(root: unknown, work: Work): number {
  let tokens = 0;
  const open: unknown[] = [root];
  while (open.length > 0) {
    const value = open.pop();
    tokens += 2;
    if (typeof value === 'string') tokens += tokensIn(value, work);
    else if (Array.isArray(value)) for (const item of value as readonly unknown[]) open.push(item);
    else if (isRecord(value)) {
      for (const [key, item] of Object.entries(value)) open.push(key, item);
    } else tokens += tokensIn(String(value), work);
  }
  return tokens;
}

function tokensIn(text: string, work: Work): number {
  if (text.length <= WINDOW_UNITS_MAX) return tokensInWindow(text, work);
  let tokens = 0;
  for (let from = 0; from < text.length; ) {
    const to = windowEnd(text, from);
    tokens += tokensInWindow(text.slice(from, to), work);
    from = to;
  }
  return tokens;
}

/** Where to cut: before a space that follows a visible ASCII character, for a piece always begins there. */
function windowEnd(text: string, from: number): number {
  const limit = from + WINDOW_UNITS_MAX;
  if (limit >= text.length) return text.length;
  for (let at = limit; at > from + 1; at -= 1) {
    const before = text.charCodeAt(at - 1);
    if (text.charCodeAt(at) === 32 && before > 32 && before < 127) return at;
  }
  return wholeCharacter(text, limit);
}

function tokensInWindow(text: string, work: Work): number {
  let tokens = 0;
  // `match`, not `matchAll`: an array of strings costs half of an iterator of match objects.
  for (const piece of text.match(O200K_TOKEN_SPLIT_REGEX) ?? []) {
    if (piece.length <= PIECE_UNITS_MAX) {
      tokens += tokensInPiece(piece, work);
      continue;
    }
    for (let from = 0; from < piece.length; ) {
      const to = wholeCharacter(piece, Math.min(from + PIECE_UNITS_MAX, piece.length));
      tokens += tokensInPiece(piece.slice(from, to), work);
      from = to;
    }
  }
  return tokens;
}

/** Moves a cut back by one where it would divide a surrogate pair. */
function wholeCharacter(text: string, at: number): number {
  const before = text.charCodeAt(at - 1);
  const after = text.charCodeAt(at);
  const divides = before >= 0xd800 && before < 0xdc00 && after >= 0xdc00 && after < 0xe000;
  return divides ? at - 1 : at;
}

/**
 * Pieces that were found in the vocabulary of late. The vocabulary is far larger than the processor's
 * caches and nearly every look-up in it waits for memory; this stays in them.
 */
const common = new Set<string>();
const COMMON_MAX = 4_096;
const COMMON_UNITS_MAX = 16;

function tokensInPiece(piece: string, work: Work): number {
  if (common.has(piece)) return 1;
  const bytes = byteString(piece);
  if (ranks.has(bytes)) {
    if (common.size >= COMMON_MAX) common.clear();
    if (piece.length <= COMMON_UNITS_MAX) common.add(piece);
    return 1;
  }
  if (work.mergeableBytes < bytes.length) return bytes.length;
  work.mergeableBytes -= bytes.length;
  return merge(bytes);
}

/** Byte pair encoding: joins the neighbours with the lowest rank until no two neighbours are in the vocabulary. */
function merge(bytes: string): number {
  // Token i is bytes[starts[i]] up to starts[i + 1]; pairRanks[i] is the rank of tokens i and i + 1 together.
  const starts: number[] = [];
  const pairRanks: number[] = [];
  for (let i = 0; i <= bytes.length; i += 1) {
    starts.push(i);
    pairRanks.push(i + 2 <= bytes.length ? rankOf(bytes, i, i + 2) : NO_RANK);
  }
  for (;;) {
    let lowest = NO_RANK;
    let at = -1;
    for (let i = 0; i < pairRanks.length; i += 1) {
      const rank = pairRanks[i] ?? NO_RANK;
      if (rank >= lowest) continue;
      lowest = rank;
      at = i;
    }
    if (at === -1) return starts.length - 1;
    starts.splice(at + 1, 1);
    pairRanks.splice(at + 1, 1);
    pairRanks[at] = rankOf(bytes, starts[at], starts[at + 2]);
    if (at > 0) pairRanks[at - 1] = rankOf(bytes, starts[at - 1], starts[at + 1]);
  }
}

function rankOf(bytes: string, from: number | undefined, to: number | undefined): number {
  return to === undefined ? NO_RANK : (ranks.get(bytes.slice(from, to)) ?? NO_RANK);
}

/** UTF-8 bytes as a string of one character per byte: a key that a Map finds without hashing arrays. */
function byteString(text: string): string {
  for (let i = 0; i < text.length; i += 1) {
    if (text.charCodeAt(i) > 127) return Buffer.from(text, 'utf8').toString('latin1');
  }
  return text;
}
