import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { type RawBuilder, sql } from 'kysely';
import { z } from 'zod';
import type { App } from './deps.ts';
import { insightOf } from './insight.ts';
import type { Insight } from './sight.ts';
import { type Db, pageOf, placeIn } from './read.ts';
import { After, Money, money, Page, refusalAnswers } from './schemas.ts';

/**
 * What was used: sums by up to two dimensions over a range of local days, and single requests without
 * their content. Everybody sees what they lead and what they used themselves; costs are for the agency.
 */
const Day = z.iso.date();
const Filters = {
  from: Day.optional().describe("First day, in the agency's zone"),
  to: Day.optional().describe('Last day, inclusive'),
  tenant_id: z.string().max(200).optional(),
  project_id: z.string().max(200).optional(),
  key_id: z.string().max(200).optional(),
  user_id: z.string().max(200).optional(),
  model: z.string().max(200).optional(),
  end_user: z.string().max(200).optional(),
  tag: z.string().max(200).optional(),
  outcome: z.enum(['ok', 'failed']).optional().describe('failed: answered with 400 or more'),
};
const FiltersObject = z.object(Filters);
type Filters = z.output<typeof FiltersObject>;

const zoned = sql`(l.admitted_at at time zone a.zone)`;
/** What sums can be broken down by. */
const DIMENSIONS = {
  hour: sql`to_char(${zoned}, 'YYYY-MM-DD"T"HH24')`,
  day: sql`to_char(${zoned}, 'YYYY-MM-DD')`,
  /** Named by its Monday. */
  week: sql`to_char(date_trunc('week', ${zoned}), 'YYYY-MM-DD')`,
  month: sql`to_char(${zoned}, 'YYYY-MM')`,
  tenant: sql`l.tenant_id`,
  project: sql`l.project_id`,
  key: sql`l.key_id`,
  user: sql`l.user_id`,
  end_user: sql`l.end_user`,
  model: sql`l.model`,
  deployment: sql`l.deployment`,
  tag: sql`unnest(case when cardinality(l.tags) = 0 then array[null] else l.tags end)`,
  outcome: sql`l.outcome`,
} as const;
type Dimension = keyof typeof DIMENSIONS;
const TIMES: readonly Dimension[] = ['hour', 'day', 'week', 'month'];
const By = z
  .string()
  .regex(/^[a-z_]+(,[a-z_]+)?$/)
  .default('day')
  .transform((text) => text.split(','))
  .pipe(z.array(z.enum(Object.keys(DIMENSIONS) as [Dimension, ...Dimension[]])))
  .describe(`One or two of ${Object.keys(DIMENSIONS).join(', ')}, separated by a comma`);

const GROUPS_MAX = 5_000;

const Sum = z.object({
  group: z.record(z.string(), z.string().nullable()).describe('By dimension; null: none'),
  requests: z.number(),
  failed: z.number(),
  input_tokens: z.number(),
  output_tokens: z.number(),
  price: Money,
  cost: Money.nullable().describe('What the agency pays; null for others'),
});

const Logged = z.object({
  request_id: z.string(),
  position: z.string(),
  at: z.string().describe('When it was admitted'),
  tenant_id: z.string(),
  project_id: z.string().nullable(),
  key_id: z.string(),
  user_id: z.string().nullable(),
  end_user: z.string().nullable(),
  tags: z.array(z.string()),
  route: z.string(),
  model: z.string(),
  deployment: z.string().nullable().describe('For the agency alone'),
  stream: z.boolean(),
  outcome: z.string(),
  status: z.number(),
  usage_source: z.string(),
  input_tokens: z.number(),
  cached_input_tokens: z.number(),
  output_tokens: z.number(),
  price: Money,
  cost: Money.nullable(),
  duration_ms: z.number(),
  first_byte_ms: z.number().nullable(),
});

export function usageRoutes(): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    sumsRoute(app);
    requestsRoute(app);
    done();
  };
}

function sumsRoute(app: App): void {
  app.get(
    '/api/usage',
    {
      schema: {
        summary: 'Sums of what was used, by day, tenant, project, key, model …',
        tags: ['usage'],
        querystring: After.extend(Filters).extend({ by: By }),
        response: {
          200: z.object({
            data: z.array(Sum),
            truncated: z.boolean().describe(`There are more than ${GROUPS_MAX} groups`),
            names: z
              .record(z.string(), z.string())
              .describe('Of the keys and users among the groups: alias, or name or address, by id'),
          }),
          ...refusalAnswers,
        },
      },
    },
    async ({ deps, caller, query }) => {
      const { db } = deps;
      const insight = insightOf(caller);
      const rows = await sums(db, query, query.by, insight);
      const data = rows.slice(0, GROUPS_MAX).map((row) => ({
        group: Object.fromEntries(
          query.by.map((dimension, index) => [dimension, index === 0 ? row.a : row.b]),
        ),
        requests: Number(row.requests),
        failed: Number(row.failed),
        input_tokens: Number(row.input_tokens),
        output_tokens: Number(row.output_tokens),
        price: money(row.price, row.currency),
        cost: insight.all ? money(row.cost, row.currency) : null,
      }));
      return { data, truncated: rows.length > GROUPS_MAX, names: await namesOf(db, query.by, data) };
    },
  );
}

/** Names change nothing in the sums: they are looked up for the groups that came out. */
async function namesOf(
  db: Db,
  by: readonly Dimension[],
  sums: readonly { readonly group: Readonly<Record<string, string | null>> }[],
): Promise<Record<string, string>> {
  const idsOf = (dimension: Dimension) =>
    by.includes(dimension) ? [...new Set(sums.flatMap(({ group }) => group[dimension] ?? []))] : [];
  const [keys, users] = [idsOf('key'), idsOf('user')];
  const { rows } = await sql<{ id: string; name: string }>`
    select key_id as id, alias as name from keys where key_id = any(${keys}) and alias is not null
    union all
    select u.id, coalesce(c.data ->> 'alias', c.data ->> 'email') as name from unnest(${users}::text[]) u(id)
      join contacts c on c.subject_id = 'user:' || u.id where coalesce(c.data ->> 'alias', c.data ->> 'email') is not null`.execute(
    db,
  );
  return Object.fromEntries(rows.map(({ id, name }) => [id, name]));
}

interface SumRow {
  readonly a: string | null;
  readonly b: string | null;
  readonly currency: string;
  readonly requests: bigint;
  readonly failed: bigint;
  readonly input_tokens: bigint;
  readonly output_tokens: bigint;
  readonly price: bigint;
  readonly cost: bigint;
}

async function sums(db: Db, filters: Filters, by: readonly Dimension[], insight: Insight): Promise<SumRow[]> {
  const [first, second] = by;
  const order = TIMES.includes(first!) ? sql`1, 2` : sql`sum(l.price_nanos) desc, count(*) desc, 1, 2`;
  const { rows } = await sql<SumRow>`
    select ${DIMENSIONS[first!]} as a, ${second === undefined ? sql`null` : DIMENSIONS[second]} as b, l.currency,
      count(*) as requests, count(*) filter (where l.status >= 400) as failed,
      sum(l.input_tokens) as input_tokens, sum(l.output_tokens) as output_tokens,
      sum(l.price_nanos) as price, sum(l.cost_nanos) as cost
    from spend_log l join agencies a using (agency_id)
    where ${matching(filters, insight)}
    group by 1, 2, 3 order by ${order} limit ${GROUPS_MAX + 1}`.execute(db);
  return rows;
}

function requestsRoute(app: App): void {
  app.get(
    '/api/requests',
    {
      schema: {
        summary: 'Requests that were recorded, newest first, without what was asked and answered',
        tags: ['usage'],
        querystring: Page.extend(Filters),
        response: {
          200: z.object({ data: z.array(Logged), next_cursor: z.string().nullable() }),
          ...refusalAnswers,
        },
      },
    },
    async ({ deps, caller, query }) => {
      const { db } = deps;
      const insight = insightOf(caller);
      const place = placeIn(query.cursor, [/^\d{1,18}$/]);
      const older = place === undefined ? sql`true` : sql`l.position < ${BigInt(place[0]!)}`;
      const { rows } = await sql<LogRow>`
        select l.* from spend_log l join agencies a using (agency_id)
        where ${older} and ${matching(query, insight)}
        order by l.position desc limit ${query.limit + 1}`.execute(db);
      const page = pageOf(rows, query.limit, (row) => [String(row.position)]);
      return { data: page.rows.map((row) => logged(row, insight)), next_cursor: page.nextCursor };
    },
  );
}

type LogRow = import('./read.ts').Tables['spend_log'];

function logged(row: LogRow, { all }: Insight): z.output<typeof Logged> {
  return {
    request_id: row.request_id,
    position: String(row.position),
    at: row.admitted_at,
    tenant_id: row.tenant_id,
    project_id: row.project_id,
    key_id: row.key_id,
    user_id: row.user_id,
    end_user: row.end_user,
    tags: [...row.tags],
    route: row.route,
    model: row.model,
    deployment: all ? row.deployment : null,
    stream: row.stream,
    outcome: row.outcome,
    status: Number(row.status),
    usage_source: row.usage_source,
    input_tokens: Number(row.input_tokens),
    cached_input_tokens: Number(row.cached_input_tokens),
    output_tokens: Number(row.output_tokens),
    price: money(row.price_nanos, row.currency),
    cost: all ? money(row.cost_nanos, row.currency) : null,
    duration_ms: Number(row.duration_ms),
    first_byte_ms: row.first_byte_ms === null ? null : Number(row.first_byte_ms),
  };
}

function matching(filters: Filters, insight: Insight): RawBuilder<unknown> {
  const { from, to, tag, outcome } = filters;
  const conditions = [within(insight)];
  for (const column of ['tenant_id', 'project_id', 'key_id', 'user_id', 'model', 'end_user'] as const) {
    const wanted = filters[column];
    if (wanted !== undefined) conditions.push(sql`${sql.ref(`l.${column}`)} = ${wanted}`);
  }
  if (from !== undefined)
    conditions.push(sql`l.admitted_at >= (${from}::date::timestamp at time zone a.zone)`);
  if (to !== undefined)
    conditions.push(sql`l.admitted_at < ((${to}::date + 1)::timestamp at time zone a.zone)`);
  if (tag !== undefined) conditions.push(sql`${tag} = any(l.tags)`);
  if (outcome !== undefined) conditions.push(outcome === 'ok' ? sql`l.status < 400` : sql`l.status >= 400`);
  return sql.join(conditions, sql` and `);
}

function within({ all, tenants, projects, userId }: Insight): RawBuilder<unknown> {
  if (all) return sql`true`;
  return sql`(l.tenant_id = any(${tenants}) or l.project_id = any(${projects}) or l.user_id = ${userId})`;
}
