import type { FastifyRequest } from 'fastify';
import { readCredential } from '../credentials.ts';
import { Refusal } from '../errors.ts';
import { hashSecret, isPlausible, maskSecret, sameSecret } from '../secrets.ts';
import type { HttpDeps } from './deps.ts';
import { type AuditorRow, findKeyForAuthentication, type KeyRow } from './read.ts';
import { settle } from './settle.ts';

/** Who may call a route. A route that says nothing is for the administrator. */
export type Access =
  /** Anybody, without a key. */
  | 'public'
  /** The administrator and every virtual key that could be served. */
  | 'key'
  /** The administrator, and auditors within their scope: the route has to look at it. */
  | 'audit'
  | 'admin';

export type Caller =
  | { readonly role: 'proxy_admin'; readonly userId: 'default_user_id' }
  | { readonly role: 'key'; readonly key: KeyRow }
  | { readonly role: 'auditor'; readonly auditor: AuditorRow };

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access;
  }
  interface FastifyRequest {
    /** Null on public routes and before the caller is known. */
    caller: Caller | null;
  }
}

/** Generic failures of authentication name this as their parameter, as LiteLLM does. */
const NO_PARAM = { param: 'None' };

/** Runs before the body is read. Throws the same refusals as the gateway. */
export async function authenticate(deps: HttpDeps, request: FastifyRequest): Promise<void> {
  const { access = 'admin' } = request.routeOptions.config;
  if (access === 'public') return;
  const secret = readCredential(request.raw.rawHeaders, deps.keyHeader);
  if (sameSecret(secret, deps.masterKey)) {
    request.caller = { role: 'proxy_admin', userId: 'default_user_id' };
    return;
  }
  if (access === 'audit') {
    const auditor = await findAuditor(deps, secret);
    if (auditor !== null) {
      request.caller = { role: 'auditor', auditor };
      return;
    }
  }
  const key = await findCaller(deps, secret);
  const route = request.url.split('?', 1)[0]!;
  if (key.allowed_routes.length > 0 && route !== '/key/info' && !isAllowed(route, key.allowed_routes)) {
    throw new Refusal('route_not_allowed', { allowed: key.allowed_routes.join(', '), route }, NO_PARAM);
  }
  if (access !== 'key') {
    throw new Refusal('admin_only', { route, role: 'unknown', userId: key.user_id ?? 'None' }, NO_PARAM);
  }
  request.caller = { role: 'key', key };
}

/** Null when the secret is none of an auditor. Throws Refusal(key_expired). */
async function findAuditor(deps: HttpDeps, secret: string): Promise<AuditorRow | null> {
  if (!secret.startsWith('sk-') || !isPlausible(secret)) return null;
  await settle(deps, deps.appendedPosition());
  const row = await deps.db
    .selectFrom('auditors')
    .selectAll()
    .where('token_hash', '=', hashSecret(secret))
    .where('status', '=', 'appointed')
    .executeTakeFirst();
  if (row === undefined) return null;
  if (row.expires_at !== null && row.expires_at <= deps.now()) {
    throw new Refusal('key_expired', { expiredAt: row.expires_at }, NO_PARAM);
  }
  return row;
}

async function findCaller(deps: HttpDeps, secret: string): Promise<KeyRow> {
  if (!secret.startsWith('sk-')) {
    throw new Refusal('not_a_virtual_key', { masked: maskForeign(secret) }, NO_PARAM);
  }
  if (!isPlausible(secret)) throw new Refusal('unknown_key', {}, { param: 'key' });
  await settle(deps, deps.appendedPosition());
  const now = deps.now();
  const found = await findKeyForAuthentication(deps.db, hashSecret(secret), now);
  if (found === undefined) throw new Refusal('unknown_key', {}, { param: 'key' });
  const { key } = found;
  if (key.status === 'blocked') throw new Refusal('key_blocked', {}, NO_PARAM);
  if (key.expires_at !== null && key.expires_at <= now) {
    throw new Refusal('key_expired', { expiredAt: key.expires_at }, NO_PARAM);
  }
  if (found.projectStatus === 'blocked') {
    throw new Refusal('project_blocked', { projectId: key.project_id }, NO_PARAM);
  }
  if (found.tenantStatus === 'suspended') throw new Refusal('tenant_suspended', {}, NO_PARAM);
  return key;
}

/** What is no key of ours may be a secret of somebody else: show four characters at most. */
function maskForeign(secret: string): string {
  return secret.length < 12 ? '****' : maskSecret(secret).replace('sk-', '');
}

/** The members of a group end in `*` where everything below belongs to it. */
const ROUTE_GROUPS: Readonly<Record<string, readonly string[]>> = {
  llm_api_routes: ['/v1/models', '/models', '/v1/models/*', '/models/*'],
  info_routes: [
    '/key/info',
    '/key/health',
    '/key/list',
    '/v2/key/info',
    '/team/info',
    '/team/list',
    '/models',
    '/models/*',
    '/v1/models',
    '/v1/models/*',
    '/health',
  ],
  management_routes: ['/key/*', '/v2/key/info', '/team/*'],
};

function isAllowed(route: string, allowed: readonly string[]): boolean {
  return allowed
    .flatMap((entry) => ROUTE_GROUPS[entry] ?? [entry])
    .some((entry) => (entry.endsWith('*') ? route.startsWith(entry.slice(0, -1)) : route === entry));
}
