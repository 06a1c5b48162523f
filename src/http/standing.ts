import type { UserRole } from '../domain/user.ts';
import type { Db } from './read.ts';
import type { Role } from './route-roles.ts';

/** What a registered user is, everywhere. */
export interface Standing {
  readonly userId: string;
  readonly role: UserRole;
  /** Tenant id -> org_admin | internal_user | internal_user_viewer. */
  readonly tenants: ReadonlyMap<string, string>;
  /** Project id -> role and tenant. */
  readonly projects: ReadonlyMap<string, { readonly role: string; readonly tenantId: string }>;
}

/** Null for a user whom nobody registered. */
export async function standingOf(db: Db, userId: string): Promise<Standing | null> {
  const [user, members] = await Promise.all([
    db.selectFrom('users').select('role').where('user_id', '=', userId).executeTakeFirst(),
    db
      .selectFrom('members')
      .select(['level', 'scope_id', 'tenant_id', 'role'])
      .where('user_id', '=', userId)
      .execute(),
  ]);
  if (user === undefined) return null;
  const inTenants = members.filter(({ level }) => level === 'tenant');
  const inProjects = members.filter(({ level }) => level === 'project');
  return {
    userId,
    role: user.role as UserRole,
    tenants: new Map(inTenants.map(({ scope_id, role }) => [scope_id, role])),
    projects: new Map(
      inProjects.map(({ scope_id, role, tenant_id }) => [scope_id, { role, tenantId: tenant_id }]),
    ),
  };
}

/** Viewers stay viewers, whatever else they are: what a role forbids, no membership gives back. */
export function rolesIn({ role, tenants, projects }: Standing): readonly Role[] {
  if (role === 'proxy_admin_viewer' || role === 'internal_user_viewer') return [role];
  const roles: Role[] = [role];
  if ([...tenants.values()].includes('org_admin')) roles.push('org_admin');
  for (const { role: inTeam } of projects.values())
    roles.push(inTeam === 'admin' ? 'team_admin' : 'team_user');
  return [...new Set(roles)];
}
