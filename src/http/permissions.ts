import { Refusal } from '../errors.ts';
import type { Caller } from './caller.ts';

/**
 * Whose things a caller may read and change. What lies in a tenant that the caller has nothing to do
 * with does not exist (404); what lies in one of the caller's own and is not the caller's is refused
 * (403), so that its owner can be asked.
 */

/** Where a key, a team or anything else stands. */
export interface Owned {
  readonly tenant_id: string;
  readonly project_id?: string | null;
  readonly user_id?: string | null;
  readonly key_id?: string;
}

/** What members who are no admins may do with keys of their team, unless the team says otherwise. */
export const MEMBER_PERMISSIONS = ['/key/info', '/key/health'] as const;

export function isAdmin(caller: Caller | null): boolean {
  return caller?.role === 'proxy_admin';
}

/** May read everything. */
export function seesAll(caller: Caller | null): boolean {
  return isAdmin(caller) || (caller?.role === 'user' && caller.standing.role === 'proxy_admin_viewer');
}

/** The user that the caller acts as; null for keys of nobody and for auditors. */
export function userIdOf(caller: Caller | null): string | null {
  if (caller?.role === 'proxy_admin') return caller.userId;
  return caller?.role === 'user' ? caller.standing.userId : null;
}

/** The virtual key that the request came with; null for the master key, sessions and auditors. */
export function keyOf(caller: Caller | null) {
  return caller === null || caller.role === 'auditor' ? null : caller.key;
}

/** The tenant that a user's things belong to when none is named: the key's, else the only one of the user. */
export function homeTenantOf(
  caller: Extract<Caller, { role: 'user' }>,
  ownTenant: { readonly tenantId: string },
): string {
  if (caller.key !== null) return caller.key.tenant_id;
  const { tenants, projects } = caller.standing;
  const known = new Set([...tenants.keys(), ...[...projects.values()].map(({ tenantId }) => tenantId)]);
  const [only, second] = known;
  return only === undefined || second !== undefined ? ownTenant.tenantId : only;
}

export function isTenantAdmin(caller: Caller | null, tenantId: string): boolean {
  if (isAdmin(caller)) return true;
  return caller?.role === 'user' && caller.standing.tenants.get(tenantId) === 'org_admin';
}

export function isTeamAdmin(caller: Caller | null, team: { tenant_id: string; project_id: string }): boolean {
  if (isTenantAdmin(caller, team.tenant_id)) return true;
  return caller?.role === 'user' && caller.standing.projects.get(team.project_id)?.role === 'admin';
}

export function isTeamMember(caller: Caller | null, projectId: string): boolean {
  return caller?.role === 'user' && caller.standing.projects.has(projectId);
}

/** The tenants of which the caller knows anything. */
function knowsTenant(caller: Caller | null, tenantId: string): boolean {
  if (caller?.role !== 'user') return false;
  const { tenants, projects } = caller.standing;
  if (caller.key?.tenant_id === tenantId || tenants.has(tenantId)) return true;
  return [...projects.values()].some((project) => project.tenantId === tenantId);
}

/** The refusal for something that is not the caller's: 403 where it may be known, else as if it were not there. */
export function notYours(caller: Caller | null, thing: Owned, missing: Refusal, problem: string): Refusal {
  return knowsTenant(caller, thing.tenant_id) ? new Refusal('not_yours', { problem }) : missing;
}

export interface KeyQuestion {
  readonly key: Owned;
  /** As LiteLLM's member permissions name it, such as `/key/update`. */
  readonly route: string;
  /** Key routes that the members of the key's team may call; null for the usual ones. */
  readonly permissions: readonly string[] | null;
}

/** Throws Refusal(key_not_found | not_yours | member_permission) unless the caller may do it with the key. */
export function requireKeyRight(caller: Caller | null, question: KeyQuestion): void {
  const { key, route, permissions } = question;
  const reads = route === '/key/info' || route === '/key/list';
  if (isAdmin(caller) || (reads && seesAll(caller))) return;
  const missing = new Refusal('key_not_found', {}, { param: 'key' });
  if (caller?.role === 'key' && reads && caller.key.key_id === key.key_id) return;
  if (caller?.role !== 'user') throw missing;
  const { userId, projects } = caller.standing;
  if (key.user_id === userId || (reads && key.key_id === caller.key?.key_id)) return;
  if (isTenantAdmin(caller, key.tenant_id)) return;
  const team = key.project_id == null ? undefined : projects.get(key.project_id);
  if (team?.role === 'admin') return;
  if (team !== undefined) {
    if ((permissions ?? MEMBER_PERMISSIONS).includes(route)) return;
    throw new Refusal('member_permission', { teamId: key.project_id!, route }, { param: 'None' });
  }
  throw notYours(caller, key, missing, `The key belongs to somebody else; you may not call ${route} for it.`);
}
