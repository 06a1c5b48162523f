import { type RawBuilder, sql } from 'kysely';
import { budgetWindow } from '../domain/duration.ts';
import type { Insight } from './sight.ts';
import type { Db } from './read.ts';
import { money } from './schemas.ts';

/** Keys that somebody should look at before their users notice. */
const EXPIRES_WITHIN_MS = 14 * 86_400_000;
const SHOWN_MAX = 20;

export async function expiringKeys(db: Db, insight: Insight, now: string) {
  const until = new Date(Date.parse(now) + EXPIRES_WITHIN_MS).toISOString();
  const { rows } = await sql<KeyPlace & { expires_at: string }>`
    select key_id, alias, tenant_id, project_id, expires_at from keys
    where status <> 'deleted' and expires_at > ${now} and expires_at <= ${until} and ${visible(insight)}
    order by expires_at, key_id limit ${SHOWN_MAX}`.execute(db);
  return rows;
}

interface KeyPlace {
  readonly key_id: string;
  readonly alias: string | null;
  readonly tenant_id: string;
  readonly project_id: string | null;
}

type Tight = KeyPlace & { readonly spent: bigint; readonly budget: bigint };

/** Those that spent the greatest part of their budget, from four fifths on; one query per kind of window. */
export async function tightKeys(
  db: Db,
  insight: Insight,
  { now, zone, currency }: { readonly now: string; readonly zone: string; readonly currency: string },
) {
  const windows = await db
    .selectFrom('keys')
    .select('budget_window')
    .distinct()
    .where('status', '!=', 'deleted')
    .where('budget_nanos', '>', 0n)
    .execute();
  const found: Tight[] = [];
  for (const { budget_window: window } of windows) {
    const startsAt = window === null ? null : budgetWindow(window, now, zone).startsAt;
    const { rows } = await sql<Tight>`
      select key_id, alias, tenant_id, project_id, budget_nanos as budget, spent from (
        select k.*, s.spent + case when ${startsAt}::text is null then k.spend_adjusted else 0 end as spent
        from keys k join (
          select key_id, sum(price_nanos) as spent from spend_log
          where ${startsAt === null ? sql`true` : sql`admitted_at >= ${startsAt}`} group by key_id) s using (key_id)
        where k.status <> 'deleted' and k.budget_nanos > 0 and k.budget_window is not distinct from ${window}) as keys
      where spent >= budget_nanos * 0.8 and ${visible(insight)}
      order by spent / budget_nanos desc, key_id limit ${SHOWN_MAX}`.execute(db);
    found.push(...rows);
  }
  const share = ({ spent, budget }: Tight) => Number((spent * 10_000n) / budget);
  return found
    .toSorted((a, b) => share(b) - share(a))
    .slice(0, SHOWN_MAX)
    .map(({ spent, budget, ...place }) => ({
      ...place,
      spent: money(spent, currency),
      budget: money(budget, currency),
    }));
}

function visible({ all, tenants, projects, userId }: Insight): RawBuilder<unknown> {
  if (all) return sql`true`;
  return sql`(tenant_id = any(${tenants}) or project_id = any(${projects}) or user_id = ${userId})`;
}
