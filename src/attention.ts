import { type QueryExecutorProvider, type RawBuilder, sql } from 'kysely';
import { readVersions, readLimits, readTerms, readAgreed } from './domain/terms-json.ts';
import { budgetWindow } from './domain/duration.ts';
import type { Json } from './domain/json.ts';
import type { Budget } from './domain/limits.ts';
import { tenantLimitsFor } from './domain/plan.ts';

/** What somebody should look at before others notice: budgets near their end, and keys near theirs. */

export interface KeyPlace {
  readonly key_id: string;
  readonly alias: string | null;
  readonly tenant_id: string;
  readonly project_id: string | null;
}

export interface Spent {
  /** Nanos. */
  readonly spent: bigint;
  readonly budget: bigint;
  /** When the window began; null for a budget that is for ever. */
  readonly since: string | null;
}

export type TightKey = KeyPlace & Spent;

export interface TightScope extends Spent {
  readonly kind: 'tenant' | 'project';
  readonly id: string;
  readonly tenant_id: string;
}

export interface Question {
  readonly now: string;
  /** In which windows begin. */
  readonly zone: string;
  /** Most of each kind. */
  readonly max: number;
  /** Over the columns of keys; everything when left out. */
  readonly visible?: RawBuilder<unknown>;
}

/** In hundredths of the budget. */
const NEAR_PERCENT = 80n;

export async function expiringKeys(
  db: QueryExecutorProvider,
  { now, max, visible = sql`true` }: Question,
  withinMs: number,
): Promise<readonly (KeyPlace & { readonly expires_at: string })[]> {
  const until = new Date(Date.parse(now) + withinMs).toISOString();
  const { rows } = await sql<KeyPlace & { expires_at: string }>`
    select key_id, alias, tenant_id, project_id, expires_at from keys
    where status <> 'deleted' and expires_at > ${now} and expires_at <= ${until} and ${visible}
    order by expires_at, key_id limit ${max}`.execute(db);
  return rows;
}

/** Those that spent the greatest part of their budget; one query per kind of window. */
export async function tightKeys(
  db: QueryExecutorProvider,
  { now, zone, max, visible = sql`true` }: Question,
): Promise<readonly TightKey[]> {
  const { rows: windows } = await sql<{ budget_window: string | null }>`
    select distinct budget_window from keys where status <> 'deleted' and budget_nanos > 0`.execute(db);
  const found: TightKey[] = [];
  for (const { budget_window: window } of windows) {
    const since = window === null ? null : budgetWindow(window, now, zone).startsAt;
    const { rows } = await sql<Omit<TightKey, 'since'>>`
      select key_id, alias, tenant_id, project_id, budget_nanos as budget, spent from (
        select k.*, s.spent + case when ${since}::text is null then k.spend_adjusted else 0 end as spent
        from keys k join (
          select key_id, sum(price_nanos) as spent from spend_log
          where ${since === null ? sql`true` : sql`admitted_at >= ${since}`} group by key_id) s using (key_id)
        where k.status <> 'deleted' and k.budget_nanos > 0 and k.budget_window is not distinct from ${window}) as keys
      where spent * 100 >= budget_nanos * ${NEAR_PERCENT} and ${visible}
      order by spent / budget_nanos desc, key_id limit ${max}`.execute(db);
    found.push(...rows.map((row) => ({ ...row, since })));
  }
  return found.toSorted(byShare).slice(0, max);
}

interface Capped {
  readonly kind: TightScope['kind'];
  readonly id: string;
  readonly tenant_id: string;
  readonly budget: Budget;
  /** What spend without a window counts in addition. */
  readonly adjusted: bigint;
}

/** Tenants and projects that used four fifths of the budget of all their keys together, or more. */
export async function tightScopes(
  db: QueryExecutorProvider,
  { now, zone, max }: Omit<Question, 'visible'>,
  isVisible: (scope: {
    readonly kind: TightScope['kind'];
    readonly id: string;
    readonly tenant_id: string;
  }) => boolean,
): Promise<readonly TightScope[]> {
  const capped = [...(await cappedTenants(db, now)), ...(await cappedProjects(db))].filter(isVisible);
  const found: TightScope[] = [];
  const groups = new Map<string, Capped[]>();
  for (const one of capped) {
    const name = `${one.kind} ${one.budget.window ?? ''}`;
    groups.set(name, [...(groups.get(name) ?? []), one]);
  }
  for (const group of groups.values()) {
    const {
      kind,
      budget: { window },
    } = group[0]!;
    const since = window === null ? null : budgetWindow(window, now, zone).startsAt;
    const column = sql.ref(kind === 'tenant' ? 'tenant_id' : 'project_id');
    const { rows } = await sql<{ id: string; spent: bigint }>`
      select ${column} as id, sum(price_nanos) as spent from spend_log
      where ${column} = any(${group.map(({ id }) => id)})
        and ${since === null ? sql`true` : sql`admitted_at >= ${since}`} group by 1`.execute(db);
    const spentBy = new Map(rows.map(({ id, spent }) => [id, spent]));
    for (const { id, tenant_id, budget, adjusted } of group) {
      const spent = (spentBy.get(id) ?? 0n) + (window === null ? adjusted : 0n);
      if (spent * 100n >= budget.nanos * NEAR_PERCENT) {
        found.push({ kind, id, tenant_id, spent, budget: budget.nanos, since });
      }
    }
  }
  return found.toSorted(byShare).slice(0, max);
}

/** The contract that is in force now, and what is agreed beside it; the tighter of two budgets counts first. */
async function cappedTenants(db: QueryExecutorProvider, now: string): Promise<readonly Capped[]> {
  const { rows } = await sql<{ tenant_id: string; terms: Json; agreed: Json; planned: Json; limits: Json }>`
    select tenant_id, terms, agreed, planned, limits from tenants
    where status <> 'closed' and not own and (terms is not null or limits is not null)`.execute(db);
  return rows.flatMap(({ tenant_id, terms, agreed, planned, limits }) => {
    const due = readVersions(planned).findLast(({ effectiveFrom }) => effectiveFrom <= now);
    const inForce = due ?? { terms: terms === null ? null : readTerms(terms), agreed: readAgreed(agreed) };
    const budgets = [
      inForce.terms === null ? null : tenantLimitsFor(inForce.terms, inForce.agreed).budget,
      limits === null ? null : readLimits(limits).budget,
    ];
    return budgets.flatMap((budget) =>
      budget === null || budget.nanos <= 0n
        ? []
        : [{ kind: 'tenant' as const, id: tenant_id, tenant_id, budget, adjusted: 0n }],
    );
  });
}

async function cappedProjects(db: QueryExecutorProvider): Promise<readonly Capped[]> {
  const { rows } = await sql<{ project_id: string; tenant_id: string; limits: Json; spend_adjusted: bigint }>`
    select project_id, tenant_id, limits, spend_adjusted from projects
    where status <> 'closed' and limits is not null`.execute(db);
  return rows.flatMap(({ project_id: id, tenant_id, limits, spend_adjusted: adjusted }) => {
    const { budget } = readLimits(limits);
    return budget === null || budget.nanos <= 0n
      ? []
      : [{ kind: 'project' as const, id, tenant_id, budget, adjusted }];
  });
}

function byShare(a: Spent, b: Spent): number {
  const share = ({ spent, budget }: Spent) => Number((spent * 10_000n) / budget);
  return share(b) - share(a);
}
