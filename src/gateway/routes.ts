import type { OtherUnit } from '../domain/spend.ts';
import { Refusal } from '../errors.ts';
import { chat, completions, embeddings, moderations } from './dialect-chat.ts';
import { images, rerank, speech, transcription } from './dialect-media.ts';
import { messages, responses } from './dialect-typed.ts';
import type { Dialect } from './dialect.ts';

/** The paths that this gateway serves itself. */
export interface Route {
  /** As events name it, and what is appended to the upstream's address after a slash. */
  readonly name: string;
  readonly dialect: Dialect;
  /** What it is billed by where the model has a price for it; null where that is always tokens. */
  readonly unit: OtherUnit | null;
  /** Whether it may be billed by tokens, where the model has no price for the unit. */
  readonly byTokens: boolean;
  /** The request is a form with a file. */
  readonly form: boolean;
  /** The answer is no JSON: it goes on as it comes. */
  readonly binary: boolean;
  /** Called as Anthropic's APIs are: another credential header, and a version. */
  readonly anthropic: boolean;
}

/** A route, and the model that the path itself names. */
export interface Target {
  readonly route: Route;
  readonly model: string | null;
}

function route(name: string, dialect: Dialect, different: Partial<Route> = {}): Route {
  const usual = { unit: null, byTokens: true, form: false, binary: false, anthropic: false };
  return { name, dialect, ...usual, ...different };
}

const audio = { unit: 'second', form: true } as const;
const routes: readonly Route[] = [
  route('chat/completions', chat),
  route('embeddings', embeddings),
  route('completions', completions),
  route('responses', responses),
  route('messages', messages, { anthropic: true }),
  route('moderations', moderations),
  route('images/generations', images, { unit: 'image' }),
  route('audio/transcriptions', transcription, audio),
  route('audio/translations', transcription, audio),
  route('audio/speech', speech, { unit: 'character', byTokens: false, binary: true }),
  route('rerank', rerank, { unit: 'search' }),
];

const targets: ReadonlyMap<string, Target> = new Map(
  routes.flatMap((known) =>
    [`/v1/${known.name}`, `/${known.name}`].map((path) => [path, { route: known, model: null }]),
  ),
);
/** Longest first, so that `chat/completions` is not taken for `completions` of a model. */
const byLength = routes.toSorted((a, b) => b.name.length - a.name.length);
const NAMED = /^(?:\/v1)?\/(?:engines|openai\/deployments)\/(.+)$/;

/** A request target in absolute form: a proxy request, whose host may have been judged by someone else. */
export function isAbsolute(target: string): boolean {
  return !target.startsWith('/') && target !== '*';
}

export function routeOf(target: string): Target | null {
  const query = target.indexOf('?');
  const path = query === -1 ? target : target.slice(0, query);
  return targets.get(path) ?? namedTarget(path);
}

/** `/engines/{model}/…` and `/openai/deployments/{model}/…`, as older clients and Azure's call it. */
function namedTarget(path: string): Target | null {
  const rest = NAMED.exec(path)?.[1];
  if (rest === undefined) return null;
  const found = byLength.find(({ name }) => rest.endsWith(`/${name}`));
  if (found === undefined) return null;
  const model = decoded(rest.slice(0, -found.name.length - 1));
  return model === null || model === '' ? null : { route: found, model };
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

/** Throws Refusal(bad_request | route_not_found | method_not_allowed). */
export function requireRoute(method: string, target: string): Target {
  if (isAbsolute(target)) {
    throw new Refusal('bad_request', { problem: 'Send the path of the route, not a whole address.' });
  }
  const found = routeOf(target);
  const path = target.split('?', 1)[0]!;
  if (found === null) throw new Refusal('route_not_found', { method, path });
  if (method !== 'POST') throw new Refusal('method_not_allowed', { method, path, allowed: 'POST' });
  return found;
}

/** Whether a key's `allowed_routes` let it call this route. [] allows all that a key may call. */
export function allowsRoute(allowed: readonly string[], { name }: Route): boolean {
  if (allowed.length === 0) return true;
  const spellings = [`/${name}`, `/v1/${name}`];
  return allowed.some(
    (entry) =>
      entry === 'llm_api_routes' ||
      spellings.includes(entry) ||
      (entry.endsWith('/*') && spellings.some((path) => path.startsWith(entry.slice(0, -1)))),
  );
}
