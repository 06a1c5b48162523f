import { Refusal } from '../errors.ts';

/** The paths that this gateway serves itself, with and without `/v1`. */
export interface Route {
  /** As events name it, and what is appended to the upstream's address after a slash. */
  readonly name: 'chat/completions' | 'embeddings';
}

const CHAT: Route = { name: 'chat/completions' };
const EMBEDDINGS: Route = { name: 'embeddings' };

const routes: ReadonlyMap<string, Route> = new Map([
  ['/v1/chat/completions', CHAT],
  ['/chat/completions', CHAT],
  ['/v1/embeddings', EMBEDDINGS],
  ['/embeddings', EMBEDDINGS],
]);

/** A request target in absolute form: a proxy request, whose host may have been judged by someone else. */
export function isAbsolute(target: string): boolean {
  return !target.startsWith('/') && target !== '*';
}

export function routeOf(target: string): Route | null {
  const query = target.indexOf('?');
  return routes.get(query === -1 ? target : target.slice(0, query)) ?? null;
}

/** Throws Refusal(bad_request | route_not_found | method_not_allowed). */
export function requireRoute(method: string, target: string): Route {
  if (isAbsolute(target)) {
    throw new Refusal('bad_request', { problem: 'Send the path of the route, not a whole address.' });
  }
  const route = routeOf(target);
  const path = target.split('?', 1)[0]!;
  if (route === null) throw new Refusal('route_not_found', { method, path });
  if (method !== 'POST') throw new Refusal('method_not_allowed', { method, path, allowed: 'POST' });
  return route;
}

/** Whether a key's `allowed_routes` let it call this route. [] allows all that a key may call. */
export function allowsRoute(allowed: readonly string[], route: Route): boolean {
  if (allowed.length === 0) return true;
  const spellings = [`/${route.name}`, `/v1/${route.name}`];
  return allowed.some(
    (entry) =>
      entry === 'llm_api_routes' ||
      spellings.includes(entry) ||
      (entry.endsWith('/*') && spellings.some((path) => path.startsWith(entry.slice(0, -1)))),
  );
}
