import type { TenantCommand, TenantState } from '../domain/tenant.ts';
import { tenant } from '../domain/tenant.ts';
import { type Outcome, transact } from '../transact.ts';
import { type Command, metaFor } from './command.ts';
import type { HttpDeps } from './deps.ts';

/** Carries out a command of a tenant's stream, where its projects and all memberships are. */
export function onTenant(
  deps: HttpDeps,
  command: Command,
  owner: { readonly agency_id: string; readonly tenant_id: string },
  what: TenantCommand,
): Promise<Outcome<TenantState>> {
  const meta = metaFor(command, { agencyId: owner.agency_id, tenantId: owner.tenant_id });
  return transact(deps.store, tenant, `tenant-${owner.tenant_id}`, what, meta, { input: command.input });
}
