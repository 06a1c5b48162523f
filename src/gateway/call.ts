import { isUtf8 } from 'node:buffer';
import type { Quantities } from '../domain/spend.ts';
import { Refusal } from '../errors.ts';
import type { FormUpload } from './form.ts';
import { isRecord, isStorable, type Json, readFlag, readText, shown, wrong } from './json-fields.ts';
import { type Member, membersOf, withMembers } from './json-members.ts';
import type { Route, Target } from './routes.ts';

export { isRecord, isStorable } from './json-fields.ts';

/** What a client asks for, read from its body once: only the fields that decide or are recorded here. */
export interface Call {
  readonly route: Route;
  readonly model: string;
  /** Of an upload, it is known when the answer comes. */
  stream: boolean;
  /** The client wants the usage event of its stream itself. */
  readonly wantsUsage: boolean;
  /** How many answers to one prompt; each has its own completion tokens. */
  readonly choices: number;
  /** Per choice; null when the client named none. */
  readonly maxOutputTokens: number | null;
  /** Other units that it may use at most; null for none. */
  readonly quantities: Quantities | null;
  /** It is billed by the unit of its route, not by tokens; decided with the price. */
  bySingleUnit: boolean;
  readonly endUser: string | null;
  readonly tags: readonly string[];
  readonly json: Json;
  /** As received. */
  readonly body: Buffer;
  readonly text: string;
  readonly members: readonly Member[];
  /** The upload whose fields these are; null for JSON. */
  readonly form: FormUpload | null;
}

const DEPTH_MAX = 128;
const MODEL_LENGTH_MAX = 256;
const USER_LENGTH_MAX = 256;
const TAGS_MAX = 32;
const TAG_LENGTH_MAX = 128;
const NO_TAGS: readonly string[] = [];
const NO_BYTES = Buffer.alloc(0);
/** The lowest bit rate of speech in use: no file of so many bytes plays longer. */
const BYTES_PER_SECOND_MIN = 1_000;
const TOKENS_PER_SECOND = 10;

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
  'max_output_tokens',
  'prompt',
  'best_of',
  'tools',
  'web_search_options',
  'previous_response_id',
  'conversation',
  'background',
]);

/** Throws Refusal(malformed_json | forbidden_parameter | bad_request | unit_not_priced). */
export function readCall({ route, model }: Target, body: Buffer): Call {
  if (!isUtf8(body)) throw new Refusal('malformed_json', { problem: 'it is not UTF-8' });
  const text = body.toString('utf8');
  const json = parseObject(text);
  const members = membersOf(text, DEPTH_MAX);
  if (members === null) throw wrong('', `The request is nested deeper than ${DEPTH_MAX} levels.`);
  checkNames(members);
  const { dialect } = route;
  dialect.check(json);
  const stream = dialect.stream !== null && (readFlag(json, 'stream') || json['stream_format'] === 'sse');
  return {
    route,
    model: checkModel(model ?? readText(json, 'model', MODEL_LENGTH_MAX) ?? dialect.defaultModel),
    stream,
    wantsUsage: stream && dialect.asksForUsage && readStreamOptions(json),
    choices: dialect.choices(json),
    maxOutputTokens: dialect.maxOutputTokens(json),
    quantities: dialect.quantities(json),
    bySingleUnit: false,
    endUser: readText(json, 'user', USER_LENGTH_MAX),
    tags: readTags(json),
    json,
    body,
    text,
    members,
    form: null,
  };
}

/** A call by form: all that is known of it when its file begins to be passed on. `bytes`: of the whole form, at most. */
export function formCall({ route, model }: Target, form: FormUpload, bytes: number): Call {
  const named = model ?? form.model;
  return {
    route,
    model: checkModel(named !== null && named.length <= MODEL_LENGTH_MAX && isStorable(named) ? named : null),
    stream: false,
    wantsUsage: false,
    choices: 1,
    maxOutputTokens: null,
    quantities: { second: Math.max(Math.ceil(bytes / BYTES_PER_SECOND_MIN), 1) },
    bySingleUnit: false,
    endUser: null,
    tags: NO_TAGS,
    json: {},
    body: NO_BYTES,
    text: '',
    members: [],
    form,
  };
}

/** Tokens of a call's input, counted as upstreams count them. */
export function countInput({ route, json, form, quantities, bySingleUnit }: Call): number {
  if (form !== null) return bySingleUnit ? 0 : (quantities?.second ?? 0) * TOKENS_PER_SECOND;
  return route.unit !== null && bySingleUnit ? 0 : route.dialect.countInput(json);
}

/**
 * The body for the upstream: byte for byte what the client sent, unless the deployment has another
 * name for the model, the client named no limit for its answer (`maxOutputTokens` is then set), or
 * a stream does not report its usage by itself.
 */
export function upstreamBody(call: Call, model: string, maxOutputTokens: number | null): Buffer {
  const { dialect } = call.route;
  const values: Record<string, string> = {};
  if (model !== call.json['model']) values['model'] = JSON.stringify(model);
  if (maxOutputTokens !== null && call.maxOutputTokens === null && dialect.limitName !== null)
    values[dialect.limitName] = String(maxOutputTokens);
  if (call.stream && dialect.asksForUsage && !call.wantsUsage) {
    const options = call.json['stream_options'] as object | null | undefined;
    values['stream_options'] = JSON.stringify({ ...options, include_usage: true });
  }
  for (const _ in values) return Buffer.from(withMembers(call.text, call.members, values));
  return call.body;
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

function checkModel(model: string | null): string {
  if (model === null || model === '') throw wrong('model', '`model` must name a model.');
  return model;
}

function readStreamOptions(json: Json): boolean {
  const options = json['stream_options'] ?? {};
  if (!isRecord(options)) throw wrong('stream_options', '`stream_options` must be an object.');
  return readFlag(options, 'include_usage');
}

function readTags(json: Json): readonly string[] {
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
