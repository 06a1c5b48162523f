/** Somebody of every role, each with a key, in one organization with one team. */
import { NO_MEMBER_LIMITS } from '../../src/domain/project.ts';
import { tenant, type TenantCommand } from '../../src/domain/tenant.ts';
import { transact } from '../../src/transact.ts';
import { type Admin, OWN } from './admin.ts';

export const TEAM = 'team-people';

export interface People {
  readonly tenantId: string;
  /** Secrets by who has them. */
  readonly keys: Readonly<Record<Person, string>>;
}

export const PEOPLE = [
  'proxy_admin',
  'proxy_admin_viewer',
  'org_admin',
  'internal_user',
  'internal_user_viewer',
  'team_admin',
  'team_user',
  'key',
] as const;
export type Person = (typeof PEOPLE)[number];

/** User ids are `user-<person>`; keys of members of the organization are in it. */
export async function people(admin: Admin): Promise<People> {
  const billing = {
    name: 'K GmbH',
    street: 's 1',
    postal_code: '1',
    city: 'c',
    country: 'DE',
    email: 'k@k.example',
  };
  const made = await admin.call({ url: '/api/tenants', body: { name: 'K', plan: 'studio', billing } });
  const tenantId = made.body.tenant.id as string;
  await admin.call({ url: '/team/new', body: { team_id: TEAM, organization_id: tenantId } });
  const keys: Record<string, string> = {};
  for (const person of PEOPLE) {
    const role = person.startsWith('proxy') || person.endsWith('viewer') ? person : 'internal_user';
    const userId = `user-${person}`;
    if (person !== 'key') {
      await admin.call({
        url: '/user/new',
        body: { user_id: userId, user_role: role, auto_create_key: false },
      });
    }
    const inTenant = person === 'org_admin' || person.startsWith('team');
    const owner = person === 'key' ? {} : { user_id: userId };
    const place = inTenant ? { team_id: TEAM } : {};
    keys[person] = (await admin.call({ url: '/key/generate', body: { ...owner, ...place } })).body.key;
  }
  await onTenant(admin, tenantId, {
    type: 'add-tenant-members',
    members: [{ userId: 'user-org_admin', role: 'org_admin', budget: null }],
  });
  await onTenant(admin, tenantId, {
    type: 'add-members',
    projectId: TEAM,
    members: [
      { userId: 'user-team_admin', role: 'admin', limits: NO_MEMBER_LIMITS },
      { userId: 'user-team_user', role: 'user', limits: NO_MEMBER_LIMITS },
    ],
  });
  return { tenantId, keys: keys as Record<Person, string> };
}

async function onTenant(admin: Admin, tenantId: string, command: TenantCommand): Promise<void> {
  const meta = { agencyId: OWN.agencyId, tenantId, actor: { kind: 'system', id: 'test' } as const };
  const cause = {
    correlationId: 'people',
    causationId: 'people',
    commandId: command.type,
    at: admin.deps.now(),
  };
  const { position } = await transact(admin.store, tenant, `tenant-${tenantId}`, command, {
    ...meta,
    ...cause,
  });
  await admin.deps.settled(position);
}
