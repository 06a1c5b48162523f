import type { Caller } from './caller.ts';
import { seesAll, userIdOf } from './permissions.ts';
import type { Insight } from './sight.ts';

export function insightOf(caller: Caller | null): Insight {
  const userId = userIdOf(caller);
  if (seesAll(caller)) return { all: true, tenants: [], projects: [], userId };
  if (caller?.role !== 'user') return { all: false, tenants: [], projects: [], userId };
  const { tenants, projects } = caller.standing;
  return {
    all: false,
    tenants: [...tenants].filter(([, role]) => role === 'org_admin').map(([id]) => id),
    projects: [...projects].filter(([, { role }]) => role === 'admin').map(([id]) => id),
    userId,
  };
}
