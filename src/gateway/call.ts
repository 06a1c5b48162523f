import { isUtf8 } from 'node:buffer';
import { Refusal } from '../errors.ts';
import { type Member, membersOf, withMembers } from './json-members.ts';
import type { Route } from './routes.ts';

/** What a client asks for, read from its body once: only the fields that decide or are recorded here. */
export interface Call {
  readonly route: Route;
  readonly model: string;
  readonly stream: boolean;
  /** The client wants the usage event of its stream itself. */
  readonly wantsUsage: boolean;
  /** How many answers to one prompt; each has its own completion tokens. */
  readonly choices: number;
  /** Per choice; null when the client named none. */
  readonly maxOutputTokens: number | null;
  readonly endUser: string | null;
  readonly tags: readonly string[];
  readonly json: Readonly<Record<string, unknown>>;
  /** As received. */
  readonly body: Buffer;
  readonly text: string;
  readonly members: readonly Member[];
}

const DEPTH_MAX = 128;
const CHOICES_MAX = 128;
const MODEL_LENGTH_MAX = 256;
const USER_LENGTH_MAX = 256;
const TAGS_MAX = 32;
const TAG_LENGTH_MAX = 128;
const NO_TAGS: readonly string[] = [];

/** Upstream addresses and credentials are the administrator's; `*_base` is refused too. */
const FORBIDDEN: ReadonlySet<string> = new Set(['api_base', 'base_url', 'api_key', 'extra_headers']);
/** Names that decide here. In another case they would be another field here and the same one to some upstreams. */
const DECISIVE: ReadonlySet<string> = new Set([
  'model',
  'messages',
  'input',
  'stream',
  'stream_options',
  'n',
  'max_tokens',
  'max_completion_tokens',
]);

/** Throws Refusal(malformed_json | forbidden_parameter | bad_request). */
export function readCall(route: Route, body: Buffer): Call {
  if (!isUtf8(body)) throw new Refusal('malformed_json', { problem: 'it is not UTF-8' });
  const text = body.toString('utf8');
  const json = parseObject(text);
  const members = membersOf(text, DEPTH_MAX);
  if (members === null) throw wrong('', `The request is nested deeper than ${DEPTH_MAX} levels.`);
  checkNames(members);
  const chat = route.name === 'chat/completions';
  if (chat && !Array.isArray(json['messages'])) throw wrong('messages', '`messages` must be a list.');
  if (!chat && typeof json['input'] !== 'string' && !Array.isArray(json['input'])) {
    throw wrong('input', '`input` must be a text or a list.');
  }
  const stream = chat && readFlag(json, 'stream');
  return {
    route,
    model: readModel(json),
    stream,
    wantsUsage: stream && readStreamOptions(json),
    choices: (chat ? readCount(json, 'n', 1, CHOICES_MAX) : null) ?? 1,
    maxOutputTokens: chat ? readMaxTokens(json) : null,
    endUser: readText(json, 'user', USER_LENGTH_MAX),
    tags: readTags(json),
    json,
    body,
    text,
    members,
  };
}

/**
 * The body for the upstream: byte for byte what the client sent, unless the deployment has another
 * name for the model, the client named no limit for its answer (`maxOutputTokens` is then set), or
 * a stream does not report its usage by itself.
 */
export function upstreamBody(call: Call, model: string, maxOutputTokens: number | null): Buffer {
  const values: Record<string, string> = {};
  if (model !== call.model) values['model'] = JSON.stringify(model);
  if (maxOutputTokens !== null && call.maxOutputTokens === null)
    values['max_tokens'] = String(maxOutputTokens);
  if (call.stream && !call.wantsUsage) {
    const options = call.json['stream_options'] as object | null | undefined;
    values['stream_options'] = JSON.stringify({ ...options, include_usage: true });
  }
  for (const _ in values) return Buffer.from(withMembers(call.text, call.members, values));
  return call.body;
}

/** Text that Postgres can store and that means the same to everyone. */
export function isStorable(text: string): boolean {
  return !text.includes('\0') && !/\p{Surrogate}/u.test(text);
}

function parseObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Refusal('malformed_json', { problem: syntaxProblem(error) });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Refusal('malformed_json', { problem: 'it is not an object' });
  }
  return value as Record<string, unknown>;
}

/** Where it went wrong, without quoting the body. */
function syntaxProblem(error: unknown): string {
  const position = error instanceof SyntaxError ? /at position (\d+)/.exec(error.message) : null;
  return position === null ? 'it ends early or is not JSON' : `unexpected text at position ${position[1]}`;
}

function checkNames(members: readonly Member[]): void {
  const seen = new Set<string>();
  for (const { name } of members) {
    if (seen.has(name)) throw wrong(name, `\`${shown(name)}\` occurs twice.`);
    seen.add(name);
    const lower = name.toLowerCase();
    if (FORBIDDEN.has(lower) || lower.endsWith('_base')) {
      throw new Refusal('forbidden_parameter', { param: shown(name) }, { param: shown(name) });
    }
    if (lower !== name && DECISIVE.has(lower)) throw wrong(name, `Write \`${lower}\`, not \`${name}\`.`);
  }
}

function readModel(json: Readonly<Record<string, unknown>>): string {
  const model = readText(json, 'model', MODEL_LENGTH_MAX);
  if (model === null || model === '') throw wrong('model', '`model` must name a model.');
  return model;
}

function readText(json: Readonly<Record<string, unknown>>, name: string, lengthMax: number): string | null {
  const value = json[name] ?? null;
  if (value === null) return null;
  if (typeof value !== 'string' || value.length > lengthMax || !isStorable(value)) {
    throw wrong(name, `\`${name}\` must be a text of at most ${lengthMax} characters, without NUL.`);
  }
  return value;
}

function readFlag(json: Readonly<Record<string, unknown>>, name: string): boolean {
  const value = json[name] ?? false;
  if (typeof value !== 'boolean') throw wrong(name, `\`${name}\` must be true or false.`);
  return value;
}

function readStreamOptions(json: Readonly<Record<string, unknown>>): boolean {
  const options = json['stream_options'] ?? {};
  if (!isRecord(options)) throw wrong('stream_options', '`stream_options` must be an object.');
  return readFlag(options, 'include_usage');
}

function readCount(
  json: Readonly<Record<string, unknown>>,
  name: string,
  min: number,
  max: number,
): number | null {
  const value = json[name] ?? null;
  if (value === null) return null;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw wrong(name, `\`${name}\` must be a whole number from ${min} to ${max}.`);
  }
  return value;
}

/** Upstreams differ in which of the two names they know, so the larger one is what may come. */
function readMaxTokens(json: Readonly<Record<string, unknown>>): number | null {
  const newer = readCount(json, 'max_completion_tokens', 0, 1_000_000_000);
  const older = readCount(json, 'max_tokens', 0, 1_000_000_000);
  return newer === null || older === null ? (newer ?? older) : Math.max(newer, older);
}

function readTags(json: Readonly<Record<string, unknown>>): readonly string[] {
  const metadata = json['metadata'];
  const tags = isRecord(metadata) ? (metadata['tags'] ?? null) : null;
  return tags === null ? NO_TAGS : checkTags(tags);
}

/** Throws Refusal(bad_request) unless it is a short list of short texts. */
export function checkTags(tags: unknown): readonly string[] {
  const right =
    Array.isArray(tags) &&
    tags.length <= TAGS_MAX &&
    tags.every((tag) => typeof tag === 'string' && tag.length <= TAG_LENGTH_MAX && isStorable(tag));
  if (right) return [...new Set(tags as string[])];
  const problem = `Tags must be a list of at most ${TAGS_MAX} texts of at most ${TAG_LENGTH_MAX} characters, without NUL.`;
  throw wrong('metadata', problem);
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function shown(name: string): string {
  return isStorable(name) ? name.slice(0, 64) : 'a name';
}

function wrong(param: string, problem: string): Refusal {
  return new Refusal('bad_request', { problem }, param === '' ? {} : { param: shown(param) });
}
