/**
 * How many tokens a request's input has. One place, because two sides must agree to the token: the gateway
 * reserves the worst case with these functions, and estimates with them when an upstream reports no usage;
 * the simulated upstream reports with them. The vocabulary is o200k_base.
 *
 * A chat prompt is the published formula for chat models: 3 tokens per message + role + content (+ name + 1),
 * and 3 once for the primer of the reply. Where the published formula says nothing (tools, images, audio,
 * files), the rules below are chosen to be deterministic and rather too high than too low.
 *
 * Merging a piece of text into tokens costs the square of its length, so no piece longer than
 * `PIECE_UNITS_MAX` is merged at once: longer ones (a megabyte of one letter) are cut and the parts added up.
 * Text whose words, numbers, gaps and runs of punctuation are all shorter, which is nearly all text, is counted
 * exactly. A cut can only split tokens that span it, so the count of a cut text is the true one plus at most a
 * few tokens per cut; as merging is greedy, a cut may also save one token, never more than one per cut.
 */
import { countTokens, setMergeCacheSize } from 'gpt-tokenizer/encoding/o200k_base';
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

/** In UTF-16 units, as `String.length` counts. */
const PIECE_UNITS_MAX = 128;
/** How much text the splitting expression sees at once: it backtracks on a stack, which is not endless. */
const WINDOW_UNITS_MAX = 16_384;

// `<|endoftext|>` in somebody's prompt is text like any other, not a control token.
const PLAIN_TEXT = { disallowedSpecial: new Set<string>() };

// The library remembers merged words so that they are not merged again; this bounds what it keeps.
setMergeCacheSize(10_000);

export function countText(text: string): number {
  if (text.length <= PIECE_UNITS_MAX || !hasLongRun(text)) return countTokens(text, PLAIN_TEXT);
  let tokens = 0;
  for (let from = 0; from < text.length; ) {
    const to = windowEnd(text, from);
    for (const [piece] of text.slice(from, to).matchAll(O200K_TOKEN_SPLIT_REGEX)) tokens += countPiece(piece);
    from = to;
  }
  return tokens;
}

/** Input tokens of a chat completion. Takes the parsed request as it came, however odd, and never throws. */
export function countChat(messages: readonly unknown[], tools?: unknown): number {
  let tokens = TOKENS_PER_REPLY_PRIMER;
  for (const message of messages) tokens += TOKENS_PER_MESSAGE + countMessage(message);
  if (tools !== undefined && tools !== null) tokens += countStructure(tools);
  return tokens;
}

/** Input tokens of an embedding: a text, texts, or texts already written as token numbers. */
export function countEmbeddingInput(input: unknown): number {
  if (typeof input === 'string') return countText(input);
  if (!Array.isArray(input)) return 0;
  let tokens = 0;
  for (const item of input as readonly unknown[]) {
    if (typeof item === 'string') tokens += countText(item);
    else if (Array.isArray(item)) tokens += item.length;
    else tokens += 1;
  }
  return tokens;
}

function countMessage(message: unknown): number {
  if (typeof message !== 'object' || message === null) return 0;
  let tokens = 0;
  for (const [field, value] of Object.entries(message)) {
    if (value === null) continue;
    if (field === 'content') tokens += countContent(value);
    else if (field === 'role' && typeof value === 'string') tokens += countText(value);
    else if (field === 'name' && typeof value === 'string') tokens += TOKENS_PER_NAME + countText(value);
    else tokens += countStructure(value);
  }
  return tokens;
}

function countContent(content: unknown): number {
  if (typeof content === 'string') return countText(content);
  if (!Array.isArray(content)) return countStructure(content);
  let tokens = 0;
  for (const part of content as readonly unknown[]) tokens += countPart(part);
  return tokens;
}

function countPart(part: unknown): number {
  if (typeof part !== 'object' || part === null) return countStructure(part);
  const { type, text, image_url, input_audio, file } = part as Record<string, unknown>;
  if (type === 'text' && typeof text === 'string') return countText(text);
  if (type === 'image_url') {
    return stringIn(image_url, 'detail') === 'low' ? IMAGE_LOW_TOKENS : IMAGE_HIGH_TOKENS;
  }
  if (type === 'input_audio') return Math.ceil(stringIn(input_audio, 'data').length / AUDIO_CHARS_PER_TOKEN);
  if (type === 'file') return Math.ceil(stringIn(file, 'file_data').length / FILE_CHARS_PER_TOKEN);
  return countStructure(part);
}

function stringIn(value: unknown, field: string): string {
  if (typeof value !== 'object' || value === null) return '';
  const found: unknown = (value as Record<string, unknown>)[field];
  return typeof found === 'string' ? found : '';
}

/**
 * JSON inside a request (tool definitions, tool calls, schemas): its keys and values, and two tokens of
 * punctuation around each. A work list instead of `JSON.stringify`, which overflows the stack on deep nesting.
 */
function countStructure(root: unknown): number {
  let tokens = 0;
  const open: unknown[] = [root];
  while (open.length > 0) {
    const value = open.pop();
    tokens += 2;
    if (typeof value === 'string') tokens += countText(value);
    else if (Array.isArray(value)) for (const item of value as readonly unknown[]) open.push(item);
    else if (typeof value === 'object' && value !== null) {
      for (const [key, item] of Object.entries(value)) open.push(key, item);
    } else tokens += countText(String(value));
  }
  return tokens;
}

/** Whether some piece might be longer than allowed; true too often only costs time. */
function hasLongRun(text: string): boolean {
  let run = 0;
  let inGap = false;
  for (let i = 0; i < text.length; i += 1) {
    const gap = text.charCodeAt(i) <= 32;
    run = gap === inGap ? run + 1 : 1;
    if (run > PIECE_UNITS_MAX) return true;
    inGap = gap;
  }
  return false;
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

function countPiece(piece: string): number {
  if (piece.length <= PIECE_UNITS_MAX) return countTokens(piece, PLAIN_TEXT);
  let tokens = 0;
  for (let from = 0; from < piece.length; ) {
    const to = wholeCharacter(piece, Math.min(from + PIECE_UNITS_MAX, piece.length));
    tokens += countTokens(piece.slice(from, to), PLAIN_TEXT);
    from = to;
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
