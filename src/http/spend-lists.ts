import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { type RawBuilder, sql } from 'kysely';
import { z } from 'zod';
import { nanosToNumber } from '../domain/money.ts';
import type { App, HttpDeps } from './deps.ts';
import { KeyRecord } from './key-fields.ts';
import { keyRecords } from './key-record.ts';
import { keyViews } from './read.ts';
import { After, refusalAnswers } from './schemas.ts';
import {
  dates,
  dayRange,
  inRange,
  namesFrom,
  spendRows,
  spendScope,
  type SpendScope,
} from './spend-scope.ts';

/** Keys, users and tags by what they spent, the dearest first. */

const Limit = z.coerce.number().int().min(1).max(1_000).default(100);
const route = (summary: string) => ({ summary, tags: ['spend'] });

export function spendListRoutes(): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    keysRoute(app);
    usersRoute(app);
    tagsRoute(app);
    done();
  };
}

function keysRoute(app: App): void {
  app.get(
    '/spend/keys',
    {
      schema: {
        ...route('List keys by what they spent'),
        querystring: After.extend({ limit: Limit }),
        response: {
          200: z.array(z.looseObject({ ...KeyRecord.shape, token: z.string() })),
          ...refusalAnswers,
        },
      },
    },
    async ({ deps, caller, query: { limit } }) => {
      const { db } = deps;
      const scope = await spendScope(db, caller);
      const views = await keyViews(db)
        .where('keys.status', '!=', 'deleted')
        .where(visibleKeys(scope))
        .orderBy(sql`coalesce(spend_totals.price_nanos, 0) + keys.spend_adjusted`, 'desc')
        .orderBy('keys.key_id')
        .limit(limit)
        .execute();
      const records = await keyRecords(db, views, deps.now());
      return views.map(({ token_hash: token }, index) => ({ ...records[index]!, token }));
    },
  );
}

function visibleKeys({ tenants, led, teams, userId }: SpendScope): RawBuilder<boolean> {
  if (tenants === null) return sql`true`;
  return sql`(keys.tenant_id = any(${led}) or keys.project_id = any(${teams}) or keys.user_id = ${userId})`;
}

function usersRoute(app: App): void {
  app.get(
    '/spend/users',
    {
      schema: {
        ...route('List users by what they spent, where the caller may see it'),
        querystring: After.extend({ user_id: z.string().max(500).optional(), limit: Limit }),
        response: {
          200: z.array(z.looseObject({ user_id: z.string(), spend: z.number() })),
          ...refusalAnswers,
        },
      },
    },
    async ({ deps, caller, query: { user_id: named, limit } }) => {
      const { db } = deps;
      const users = namesFrom(named);
      const scope = await spendScope(db, caller);
      const where = await spendRows(db, scope, { users });
      // Elsewhere a user may have spent what is not for everybody to see, so only administrators see the total.
      const one = users === undefined ? sql`` : sql`and id = any(${users})`;
      const { rows } =
        scope.tenants === null
          ? await sql<Spent>`select id, price_nanos as nanos from spend_totals where level = 'user' ${one}
              order by 2 desc, 1 limit ${limit}`.execute(db)
          : await sql<Spent>`select s.user_id as id, sum(s.price_nanos) as nanos from spend_log s
              where ${where} and s.user_id is not null group by 1 order by 2 desc, 1 limit ${limit}`.execute(
              db,
            );
      return rows.map(({ id, nanos }) => ({ user_id: id, spend: nanosToNumber(nanos) }));
    },
  );
}

interface Spent {
  readonly id: string;
  readonly nanos: bigint;
}

function tagsRoute(app: App): void {
  app.get(
    '/spend/tags',
    {
      schema: {
        ...route('List tags by what was spent under them, of all time without dates'),
        querystring: After.extend({ ...dates, limit: Limit }),
        response: {
          200: z.array(
            z.object({
              individual_request_tag: z.string(),
              log_count: z.number(),
              total_spend: z.number(),
            }),
          ),
          ...refusalAnswers,
        },
      },
    },
    async ({ deps, caller, query }) => {
      const { db } = deps;
      const scope = await spendScope(db, caller);
      const given = query.start_date !== undefined || query.end_date !== undefined;
      const where = given ? sql<boolean>`${scope.rows} and ${inRange(dayRange(query))}` : scope.rows;
      const found =
        given || scope.tenants !== null
          ? await tagsSpent(deps, where, query.limit)
          : await tagTotals(deps, query.limit);
      return found.map(({ tag, requests, nanos }) => ({
        individual_request_tag: tag,
        log_count: Number(requests),
        total_spend: nanosToNumber(nanos),
      }));
    },
  );
}

export interface TagSpent {
  readonly tag: string;
  readonly requests: bigint;
  readonly nanos: bigint;
}

/** A request with several tags counts under each of them. */
export async function tagsSpent(
  { db }: HttpDeps,
  where: RawBuilder<boolean>,
  limit: number,
): Promise<readonly TagSpent[]> {
  const { rows } = await sql<TagSpent>`
    select tag, count(*) as requests, sum(s.price_nanos) as nanos
    from spend_log s cross join lateral (select distinct unnest(s.tags) as tag) tags
    where ${where} and cardinality(s.tags) > 0 group by 1 order by 3 desc, 1 limit ${limit}`.execute(db);
  return rows;
}

/** The same word of several tenants is one here: only administrators see it. */
async function tagTotals({ db }: HttpDeps, limit: number): Promise<readonly TagSpent[]> {
  const { rows } = await sql<TagSpent>`
    select substr(id, strpos(id, '/') + 1) as tag, sum(requests) as requests, sum(price_nanos) as nanos
    from spend_totals where level = 'tag' group by 1 order by 3 desc, 1 limit ${limit}`.execute(db);
  return rows;
}
