import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { sql } from 'kysely';
import { z } from 'zod';
import { periodOf } from '../domain/period.ts';
import { readTerms } from '../domain/terms-json.ts';
import type { App, HttpDeps } from './deps.ts';
import { attentionOf } from './attention.ts';
import { insightOf } from './insight.ts';
import type { Insight } from './sight.ts';
import { agencyOf, type Db } from './read.ts';
import { After, Money, money, refusalAnswers } from './schemas.ts';
import { contactAnswer, tenantRows } from './tenant-view.ts';

/** The figures of the console's first pages, each of which leads to a list. */
const NAMES_MAX = 5_000;

const Directory = z.object({
  tenants: z.array(
    z.object({ id: z.string(), name: z.string().nullable(), own: z.boolean(), status: z.string() }),
  ),
  projects: z.array(
    z.object({
      id: z.string(),
      name: z.string().nullable(),
      tenant_id: z.string(),
      status: z.string(),
      environments: z.array(z.string()),
    }),
  ),
});

const Figures = z.object({
  id: z.string(),
  name: z.string().nullable(),
  own: z.boolean(),
  status: z.string(),
  onboarded_at: z.string(),
  plan: z.string().nullable(),
  plan_version: z.number().nullable(),
  monthly_fee: Money.nullable(),
  included_usage: Money.nullable(),
  budget: Money.nullable().describe('Of the whole tenant, in its window'),
  month: z.string(),
  spent: Money.describe('Price of what was used this month'),
  requests: z.number(),
  projects: z.number(),
  keys: z.number(),
});

const AttentionKey = z.object({
  key_id: z.string(),
  alias: z.string().nullable(),
  tenant_id: z.string(),
  project_id: z.string().nullable(),
});

const Overview = z.object({
  month: z.string(),
  expiring: z.array(AttentionKey.extend({ expires_at: z.string() })).describe('Within 14 days'),
  tight: z
    .array(AttentionKey.extend({ spent: Money, budget: Money }))
    .describe('Keys that used four fifths of their budget or more'),
  tight_scopes: z
    .array(
      z.object({
        kind: z.enum(['tenant', 'project']),
        id: z.string(),
        tenant_id: z.string(),
        spent: Money,
        budget: Money,
      }),
    )
    .describe('Tenants and projects of which the same is true, all their keys together'),
  invoices: z.array(
    z.object({ status: z.string(), count: z.number(), gross: Money }).describe('By status and currency'),
  ),
});

export function figureRoutes(): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    directoryRoute(app);
    tenantsRoute(app);
    overviewRoute(app);
    done();
  };
}

function directoryRoute(app: App): void {
  app.get(
    '/api/directory',
    {
      schema: {
        summary: 'The names of the tenants and projects that the caller knows',
        tags: ['tenants'],
        querystring: After,
        response: { 200: Directory, ...refusalAnswers },
      },
    },
    async ({ deps, caller }) => {
      const { db } = deps;
      const insight = insightOf(caller);
      const known = caller?.role === 'user' ? [...caller.standing.projects.keys()] : [];
      const tenants = await visibleTenants(db, insight)
        .orderBy('tenants.tenant_id')
        .limit(NAMES_MAX)
        .execute();
      let projects = db
        .selectFrom('projects')
        .leftJoin('project_names', 'project_names.project_id', 'projects.project_id')
        .selectAll('projects')
        .select('project_names.name')
        .where('projects.status', '!=', 'closed');
      if (!insight.all)
        projects = projects.where((eb) =>
          eb.or([
            eb('projects.tenant_id', 'in', ['', ...insight.tenants]),
            eb('projects.project_id', 'in', ['', ...known]),
          ]),
        );
      const found = await projects.orderBy('projects.project_id').limit(NAMES_MAX).execute();
      return {
        tenants: tenants.map((row) => ({
          id: row.tenant_id,
          name: contactAnswer(row.contact).name,
          own: row.own,
          status: row.status,
        })),
        projects: found.map((row) => ({
          id: row.project_id,
          name: row.name,
          tenant_id: row.tenant_id,
          status: row.status,
          environments: [...row.environments],
        })),
      };
    },
  );
}

function visibleTenants(db: Db, { all, tenants }: Insight) {
  const rows = tenantRows(db).where('tenants.status', '!=', 'closed');
  return all ? rows : rows.where('tenants.tenant_id', 'in', ['', ...tenants]);
}

function tenantsRoute(app: App): void {
  app.get(
    '/api/tenant-figures',
    {
      schema: {
        summary: 'Tenants with their plan, what they used this month, and what of it is included',
        tags: ['tenants'],
        querystring: After.extend({ tenant_id: z.string().max(200).optional() }),
        response: { 200: z.object({ data: z.array(Figures), next_cursor: z.null() }), ...refusalAnswers },
      },
    },
    async ({ deps, caller, query }) => ({
      data: await figuresOf(deps, insightOf(caller), query.tenant_id),
      next_cursor: null,
    }),
  );
}

async function figuresOf(deps: HttpDeps, insight: Insight, tenantId: string | undefined) {
  const { db } = deps;
  const { zone } = await agencyOf(db, deps.ownTenant.agencyId);
  const month = periodOf(deps.now(), zone);
  let visible = visibleTenants(db, insight);
  if (tenantId !== undefined) visible = visible.where('tenants.tenant_id', '=', tenantId);
  const rows = await visible
    .innerJoin('agencies', 'agencies.agency_id', 'tenants.agency_id')
    .select([
      'agencies.currency',
      sql<bigint>`(select count(*) from projects p where p.tenant_id = tenants.tenant_id and p.status <> 'closed')`.as(
        'projects',
      ),
      sql<bigint>`(select count(*) from keys k where k.tenant_id = tenants.tenant_id and k.status <> 'deleted')`.as(
        'keys',
      ),
    ])
    .orderBy('tenants.onboarded_at', 'desc')
    .orderBy('tenants.tenant_id', 'desc')
    .limit(NAMES_MAX)
    .execute();
  const spends = await db
    .selectFrom('spend_log')
    .select((eb) => [
      'tenant_id',
      eb.fn.countAll<bigint>().as('requests'),
      sql<bigint>`coalesce(sum(price_nanos), 0)`.as('spent'),
    ])
    .where('month', '=', month)
    .where('tenant_id', 'in', ['', ...rows.map((row) => row.tenant_id)])
    .groupBy('tenant_id')
    .execute();
  const spendOf = new Map(spends.map((spend) => [spend.tenant_id, spend]));
  return rows.map((row) => {
    const terms = row.terms === null ? null : readTerms(row.terms);
    const { currency } = row;
    const budget = terms?.tenantLimits.budget ?? null;
    return {
      id: row.tenant_id,
      name: contactAnswer(row.contact).name,
      own: row.own,
      status: row.status,
      onboarded_at: row.onboarded_at,
      plan: terms?.plan ?? null,
      plan_version: terms?.planVersion ?? null,
      monthly_fee: terms === null ? null : money(terms.monthlyFeeNanos, currency),
      included_usage: terms === null ? null : money(terms.includedUsageNanos, currency),
      budget: budget === null ? null : money(budget.nanos, currency),
      month,
      spent: money(spendOf.get(row.tenant_id)?.spent ?? 0n, currency),
      requests: Number(spendOf.get(row.tenant_id)?.requests ?? 0n),
      projects: Number(row.projects),
      keys: Number(row.keys),
    };
  });
}

function overviewRoute(app: App): void {
  app.get(
    '/api/overview',
    {
      schema: {
        summary:
          'What wants attention: keys, tenants and projects near their budgets, keys near their end, and open invoices',
        tags: ['usage'],
        querystring: After,
        response: { 200: Overview, ...refusalAnswers },
      },
    },
    async ({ deps, caller }) => {
      const { db } = deps;
      const insight = insightOf(caller);
      const now = deps.now();
      const { zone, currency } = await agencyOf(db, deps.ownTenant.agencyId);
      const [attention, invoices] = await Promise.all([
        attentionOf(db, insight, { now, zone, currency }),
        invoiceSums(db, insight, now),
      ]);
      return { month: periodOf(now, zone), ...attention, invoices };
    },
  );
}

async function invoiceSums(db: Db, insight: Insight, now: string) {
  const { rows } = await sql<{ status: string; currency: string; count: bigint; cents: bigint }>`
    select status, currency, count(*) as count, coalesce(sum(gross_cents), 0) as cents from (
      select i.currency, i.gross_cents, case when i.status in ('finalized', 'sent')
        and i.due_on < to_char(${now}::timestamptz at time zone a.zone, 'YYYY-MM-DD') then 'overdue' else i.status end as status
      from invoices i join agencies a using (agency_id)
      where ${insight.all ? sql`true` : sql`${insight.tenants}::text[] @> array[i.tenant_id]`}) as shown
    group by 1, 2 order by 1, 2`.execute(db);
  return rows.map(({ status, currency, count, cents }) => ({
    status,
    count: Number(count),
    gross: money(cents * 10_000_000n, currency),
  }));
}
