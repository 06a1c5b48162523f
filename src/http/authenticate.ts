import type { FastifyRequest } from 'fastify';
import { readCredential, sendsCredential } from '../credentials.ts';
import { Refusal } from '../errors.ts';
import { hashSecret, isPlausible, maskSecret, sameSecret } from '../secrets.ts';
import { unreachable } from '../domain/decider.ts';
import { suspension } from '../domain/dunning.ts';
import type { Caller } from './caller.ts';
import type { HttpDeps } from './deps.ts';
import type { Access, Role, RouteAccess } from './route-roles.ts';
import { rolesIn, standingOf } from './standing.ts';
import { type AuditorRow, findKeyForAuthentication, type KeyRow } from './read.ts';
import { findSession, requireConsole, sessionTokenOf } from './session.ts';
import { settle } from './settle.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** For routes without a row in route-roles.ts: whom they are for; the administrator by default. */
    access?: Access;
  }
  interface FastifyRequest {
    /** Null on public routes and before the caller is known. */
    caller: Caller | null;
    /** What the handler reads with: rows that the caller may see, and no others. */
    deps: HttpDeps;
    /** The caller came with the cookie of a session. */
    bySession: boolean;
  }
}

/** Generic failures of authentication name this as their parameter, as LiteLLM does. */
const NO_PARAM = { param: 'None' };

/** The user id that the master key acts as. */
export const MASTER_USER_ID = 'default_user_id';

/** Runs before the body is read. Throws the same refusals as the gateway. */
export async function authenticate(deps: HttpDeps, request: FastifyRequest): Promise<void> {
  const { allows } = request.routeOptions.config;
  if (allows === undefined) throw new Error(`${request.url} was registered without a row of roles`);
  if (allows.roles.includes('public')) return;
  const token = sendsCredential(request.raw.rawHeaders, deps.keyHeader) ? null : sessionTokenOf(request);
  if (token !== null) return await authenticateSession(deps, request, token, allows);
  const secret = readCredential(request.raw.rawHeaders, deps.keyHeader);
  if (sameSecret(secret, deps.masterKey)) {
    request.caller = { role: 'proxy_admin', userId: MASTER_USER_ID, key: null, byMasterKey: true };
    return;
  }
  if (allows.roles.includes('auditor')) {
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
  const caller = await callerWith(deps, key);
  if (!rolesOf(caller).some((role) => allows.roles.includes(role))) throw refusalOf(caller, route, allows);
  request.caller = caller;
}

async function authenticateSession(
  deps: HttpDeps,
  request: FastifyRequest,
  token: string,
  allows: RouteAccess,
): Promise<void> {
  requireConsole(request);
  const { userId } = await findSession(deps, token);
  await settle(deps, deps.appendedPosition());
  const caller = await callerOfUser(deps, userId);
  if (!rolesOf(caller).some((role) => allows.roles.includes(role))) {
    throw refusalOf(caller, request.url.split('?', 1)[0]!, allows);
  }
  request.caller = caller;
  request.bySession = true;
}

/** What a user who is signed in may do. Throws Refusal(session_expired) for one who is gone. */
export async function callerOfUser({ db }: Pick<HttpDeps, 'db'>, userId: string): Promise<Caller> {
  if (userId === MASTER_USER_ID) return { role: 'proxy_admin', userId, key: null };
  const standing = await standingOf(db, userId);
  if (standing === null) throw new Refusal('session_expired', {}, NO_PARAM);
  if (standing.role === 'proxy_admin') return { role: 'proxy_admin', userId, key: null };
  return { role: 'user', key: null, standing };
}

async function callerWith(deps: HttpDeps, key: KeyRow): Promise<Caller> {
  const standing = key.user_id === null ? null : await standingOf(deps.db, key.user_id);
  if (standing === null) return { role: 'key', key };
  if (standing.role === 'proxy_admin') return { role: 'proxy_admin', userId: standing.userId, key };
  return { role: 'user', key, standing };
}

export function rolesOf(caller: Caller): readonly Role[] {
  switch (caller.role) {
    case 'proxy_admin':
      if (caller.byMasterKey === true) return ['master', 'proxy_admin'];
      return caller.key === null ? ['proxy_admin'] : ['proxy_admin', 'key'];
    case 'user':
      return caller.key === null ? rolesIn(caller.standing) : [...rolesIn(caller.standing), 'key'];
    case 'key':
      return ['key'];
    case 'auditor':
      return ['auditor'];
    default:
      return unreachable(caller);
  }
}

/** Viewers are told that their role is the reason; for LiteLLM's clients the others lack a credential. */
function refusalOf(caller: Caller, route: string, { refusal }: RouteAccess): Refusal {
  const role = caller.role === 'user' ? caller.standing.role : 'unknown';
  const isViewer = role === 'proxy_admin_viewer' || role === 'internal_user_viewer';
  if (isViewer || refusal === 'role_forbidden')
    return new Refusal('role_forbidden', { role, route }, NO_PARAM);
  const userId =
    caller.role === 'user' ? caller.standing.userId : caller.role === 'key' ? caller.key.user_id : null;
  return new Refusal('admin_only', { route, role, userId: userId ?? 'None' }, NO_PARAM);
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
  if (found.tenantStatus === 'suspended') throw suspension(found.suspendedReason, NO_PARAM);
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
    '/v2/team/list',
    '/team/available',
    '/organization/list',
    '/user/info',
    '/user/filter/ui',
    '/models',
    '/model/info',
    '/v1/model/info',
    '/v2/model/info',
    '/model_group/info',
    '/models/*',
    '/v1/models',
    '/v1/models/*',
    '/health',
  ],
  management_routes: [
    '/key/*',
    '/v2/key/info',
    '/user/*',
    '/team/*',
    '/v2/team/list',
    '/organization/*',
    '/customer/*',
    '/end_user/*',
    '/budget/*',
    '/tag/*',
    '/invitation/*',
    '/model/*',
  ],
};

export function isAllowed(route: string, allowed: readonly string[]): boolean {
  return routesIn(allowed).some((entry) => covers(entry, route));
}

/** Whether everything that one list opens is opened by the other. [] opens everything. */
export function isRouteListWithin(inner: readonly string[], outer: readonly string[]): boolean {
  if (outer.length === 0) return true;
  if (inner.length === 0) return false;
  // What the group of the gateway's routes opens is not written down here: it is compared by name.
  const rest = inner.filter((entry) => !outer.includes(entry));
  if (rest.includes('llm_api_routes')) return false;
  const opened = routesIn(outer);
  return routesIn(rest).every((route) => opened.some((entry) => covers(entry, route)));
}

function routesIn(allowed: readonly string[]): readonly string[] {
  return allowed.flatMap((entry) => ROUTE_GROUPS[entry] ?? [entry]);
}

/** `entry` may end in `*`; so may `route`, which then stands for everything below. */
function covers(entry: string, route: string): boolean {
  return entry.endsWith('*') ? route.startsWith(entry.slice(0, -1)) : route === entry;
}
