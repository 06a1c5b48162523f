import type { RowScope } from '../scoped-reads.ts';
import type { Caller } from './caller.ts';
import type { HttpDeps } from './deps.ts';
import { seesAll } from './permissions.ts';

/**
 * What of the tables a caller can see at all, whatever is asked for: the second line behind
 * permissions.ts, which PostgreSQL holds. It is as wide as the widest thing that any route shows the
 * caller, and ends at the tenants that the caller has to do with.
 */
function rowScopeOf(caller: Exclude<Caller, { role: 'proxy_admin' }>): RowScope {
  const nothing = { led: [], known: [], projects: [], teams: [], led_teams: [], users: [], keys: [] };
  if (caller.role === 'auditor') return nothing;
  const { key } = caller;
  const ofKey = {
    ...nothing,
    known: key === null ? [] : [key.tenant_id],
    projects: key?.project_id == null ? [] : [key.project_id],
    keys: key === null ? [] : [key.key_id],
  };
  if (caller.role === 'key') return ofKey;
  const { userId, tenants, projects } = caller.standing;
  const teams = [...projects.keys()];
  return {
    ...ofKey,
    led: [...tenants].filter(([, role]) => role === 'org_admin').map(([id]) => id),
    known: [
      ...new Set([
        ...ofKey.known,
        ...tenants.keys(),
        ...[...projects.values()].map(({ tenantId }) => tenantId),
      ]),
    ],
    projects: [...new Set([...ofKey.projects, ...teams])],
    teams,
    led_teams: [...projects].filter(([, { role }]) => role === 'admin').map(([id]) => id),
    users: [userId],
  };
}

/** What a request of this caller reads with. */
export function depsWithin(deps: HttpDeps, caller: Caller): HttpDeps {
  if (caller.role === 'proxy_admin' || seesAll(caller)) return deps;
  return { ...deps, db: deps.dbWithin(rowScopeOf(caller)), isBound: true };
}
