import { Refusal } from '../errors.ts';
import type { Caller } from './caller.ts';
import type { HttpDeps } from './deps.ts';
import { homeTenantOf, isTenantAdmin, notYours, seesAll } from './permissions.ts';
import type { TenantRow } from './read.ts';

/** Which tenant's end users and tags a request is about: the named one, else the caller's own. */
export async function tenantFor(
  deps: HttpDeps,
  caller: Caller | null,
  named: string | null | undefined,
): Promise<TenantRow> {
  const own = caller?.role === 'user' ? homeTenantOf(caller, deps.ownTenant) : deps.ownTenant.tenantId;
  const tenantId = named || own;
  const missing = new Refusal('not_found', { what: 'organization' }, { param: 'organization_id' });
  if (!seesAll(caller) && !isTenantAdmin(caller, tenantId)) {
    throw notYours(caller, { tenant_id: tenantId }, missing, 'You are no admin of this organization.');
  }
  const row = await deps.db
    .selectFrom('tenants')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where('status', '!=', 'closed')
    .executeTakeFirst();
  if (row === undefined) throw missing;
  return row;
}
