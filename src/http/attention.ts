import { type RawBuilder, sql } from 'kysely';
import { expiringKeys, type Spent, tightKeys, tightScopes } from '../attention.ts';
import type { Db } from './read.ts';
import { money } from './schemas.ts';
import type { Insight } from './sight.ts';

/** What the caller should look at before others notice. */
const EXPIRES_WITHIN_MS = 14 * 86_400_000;
const SHOWN_MAX = 20;

export async function attentionOf(
  db: Db,
  insight: Insight,
  { now, zone, currency }: { readonly now: string; readonly zone: string; readonly currency: string },
) {
  const question = { now, zone, max: SHOWN_MAX, visible: visible(insight) };
  const { all, tenants, projects } = insight;
  const [expiring, tight, scopes] = await Promise.all([
    expiringKeys(db, question, EXPIRES_WITHIN_MS),
    tightKeys(db, question),
    tightScopes(
      db,
      question,
      ({ kind, id, tenant_id: tenant }) =>
        all || tenants.includes(tenant) || (kind === 'project' && projects.includes(id)),
    ),
  ]);
  const shown = <T extends Spent>({ spent, budget, since: _since, ...place }: T) => ({
    ...place,
    spent: money(spent, currency),
    budget: money(budget, currency),
  });
  return { expiring: [...expiring], tight: tight.map(shown), tight_scopes: scopes.map(shown) };
}

export function visible({ all, tenants, projects, userId }: Insight): RawBuilder<unknown> {
  if (all) return sql`true`;
  return sql`(tenant_id = any(${tenants}) or project_id = any(${projects}) or user_id = ${userId})`;
}
