import type { Caller } from './authenticate.ts';
import { seesAll, userIdOf } from './permissions.ts';

/** Whose figures a caller sees: everything, or what the tenants and projects that they lead used, and they themselves. */
export interface Insight {
  readonly all: boolean;
  /** Tenants that the caller leads: every project, key and invoice of theirs. */
  readonly tenants: readonly string[];
  /** Projects that the caller leads. */
  readonly projects: readonly string[];
  /** Null for a key of nobody. */
  readonly userId: string | null;
}

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
