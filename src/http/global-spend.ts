import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { type RawBuilder, sql } from 'kysely';
import { z } from 'zod';
import { nanosToNumber } from '../domain/money.ts';
import { sumsByDay } from './day-sums.ts';
import type { App, HttpDeps } from './deps.ts';
import { After, refusalAnswers } from './schemas.ts';
import { tagsSpent } from './spend-lists.ts';
import { dates, dayRange, dayRangeOr, inRange, namesFrom, spendRows, spendScope } from './spend-scope.ts';
import { PROVIDER } from './spend-view.ts';

/** `/global/spend/*`: sums over everything that the caller sees; the last 30 days where no dates are given. */

const DAYS = 30;
const NAMES_MAX = 1_000;
const Limit = z.coerce.number().int().min(1).max(NAMES_MAX);
const route = (summary: string) => ({ summary, tags: ['spend'] });
const Range = After.extend(dates);

export function globalSpendRoutes(): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    totalRoute(app);
    logsRoute(app);
    keysRoute(app);
    modelsRoute(app);
    teamsRoute(app);
    providerRoute(app);
    tagRoutes(app);
    endUsersRoute(app);
    done();
  };
}

function totalRoute(app: App): void {
  app.get(
    '/global/spend',
    {
      schema: {
        ...route('What was spent since the beginning'),
        querystring: After,
        response: {
          200: z.object({ spend: z.number(), max_budget: z.number().nullable() }),
          ...refusalAnswers,
        },
      },
    },
    async ({ deps, caller }) => {
      const { tenants } = await spendScope(deps.db, caller);
      const seen = tenants === null ? sql`true` : sql`id = any(${tenants})`;
      const { rows } = await sql<{ nanos: bigint }>`
        select coalesce(sum(price_nanos), 0) as nanos from spend_totals
        where level = 'tenant' and ${seen}`.execute(deps.db);
      return { spend: nanosToNumber(rows[0]!.nanos), max_budget: null };
    },
  );
}

function logsRoute(app: App): void {
  app.get(
    '/global/spend/logs',
    {
      schema: {
        ...route('What was spent on each day'),
        querystring: Range.extend({ api_key: z.string().max(500).optional() }),
        response: { 200: z.array(z.object({ date: z.string(), spend: z.number() })), ...refusalAnswers },
      },
    },
    async ({ deps, caller, query }) => {
      const rows = await spendRows(deps.db, await spendScope(deps.db, caller), { key: query.api_key });
      const days = await sumsByDay(deps.db, sql`${rows} and ${inRange(dayRangeOr(query, deps.now(), DAYS))}`);
      return days.toReversed().map(({ day, nanos }) => ({ date: day, spend: nanosToNumber(nanos) }));
    },
  );
}

export interface Spent {
  readonly name: string;
  readonly requests: bigint;
  readonly nanos: bigint;
}

/** The dearest values of a column of `spend_log s`. */
async function dearest(
  { db }: HttpDeps,
  column: RawBuilder<unknown>,
  where: RawBuilder<boolean>,
  limit: number,
): Promise<readonly Spent[]> {
  const { rows } = await sql<Spent>`
    select ${column} as name, count(*) as requests, sum(s.price_nanos) as nanos from spend_log s
    where ${where} and ${column} is not null group by 1 order by 3 desc, 1 limit ${limit}`.execute(db);
  return rows;
}

function keysRoute(app: App): void {
  app.get(
    '/global/spend/keys',
    {
      schema: {
        ...route('The keys that spent most'),
        querystring: Range.extend({ limit: Limit.default(10) }),
        response: {
          200: z.array(
            z.object({
              api_key: z.string(),
              key_alias: z.string().nullable(),
              key_name: z.string().nullable(),
              total_spend: z.number(),
            }),
          ),
          ...refusalAnswers,
        },
      },
    },
    async ({ deps, caller, query }) => {
      const { rows } = await spendScope(deps.db, caller);
      const where = sql<boolean>`${rows} and ${inRange(dayRangeOr(query, deps.now(), DAYS))}`;
      const found = await dearest(deps, sql`s.key_id`, where, query.limit);
      const keys = await deps.db
        .selectFrom('keys')
        .select(['key_id', 'token_hash', 'alias', 'key_name'])
        .where('key_id', 'in', ['', ...found.map(({ name }) => name)])
        .execute();
      const byId = new Map(keys.map((key) => [key.key_id, key]));
      return found.map(({ name, nanos }) => {
        const key = byId.get(name);
        return {
          api_key: key?.token_hash ?? name,
          key_alias: key?.alias ?? null,
          key_name: key?.key_name ?? null,
          total_spend: nanosToNumber(nanos),
        };
      });
    },
  );
}

function modelsRoute(app: App): void {
  app.get(
    '/global/spend/models',
    {
      schema: {
        ...route('The models on which most was spent'),
        querystring: Range.extend({ limit: Limit.default(10) }),
        response: {
          200: z.array(z.object({ model: z.string(), total_spend: z.number() })),
          ...refusalAnswers,
        },
      },
    },
    async ({ deps, caller, query }) => {
      const { rows } = await spendScope(deps.db, caller);
      const where = sql<boolean>`${rows} and ${inRange(dayRangeOr(query, deps.now(), DAYS))}`;
      const found = await dearest(deps, sql`s.model`, where, query.limit);
      return found.map(({ name, nanos }) => ({ model: name, total_spend: nanosToNumber(nanos) }));
    },
  );
}

function teamsRoute(app: App): void {
  app.get(
    '/global/spend/teams',
    {
      schema: {
        ...route('What each team spent, day by day and together'),
        querystring: Range,
        response: {
          200: z.object({
            daily_spend: z.array(z.record(z.string(), z.union([z.string(), z.number()]))),
            teams: z.array(z.string()),
            total_spend_per_team: z.array(
              z.object({
                team_id: z.string(),
                team_alias: z.string().nullable(),
                total_spend: z.number(),
              }),
            ),
          }),
          ...refusalAnswers,
        },
      },
    },
    async ({ deps, caller, query }) => {
      const { db } = deps;
      const scope = await spendScope(db, caller);
      const where = sql<boolean>`${scope.rows} and ${inRange(dayRangeOr(query, deps.now(), DAYS))}`;
      const totals = await dearest(deps, sql`s.project_id`, where, NAMES_MAX);
      const ids = totals.map(({ name }) => name);
      const [{ rows }, names] = await Promise.all([
        sql<{ day: string; id: string; nanos: bigint }>`
          select (s.admitted_at at time zone 'UTC')::date as day, s.project_id as id, sum(s.price_nanos) as nanos
          from spend_log s where ${where} and s.project_id = any(${ids}) group by 1, 2 order by 1, 2`.execute(
          db,
        ),
        teamNames(deps, ids),
      ]);
      const days = new Map<string, Record<string, string | number>>();
      for (const { day, id, nanos } of rows) {
        const sums = days.get(day) ?? { date: day };
        days.set(day, { ...sums, [id]: nanosToNumber(nanos) });
      }
      return {
        daily_spend: [...days.values()],
        teams: ids,
        total_spend_per_team: totals.map(({ name, nanos }) => ({
          team_id: name,
          team_alias: names.get(name) ?? null,
          total_spend: nanosToNumber(nanos),
        })),
      };
    },
  );
}

export async function teamNames(
  { db }: HttpDeps,
  ids: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const rows = await db
    .selectFrom('project_names')
    .select(['project_id', 'name'])
    .where('project_id', 'in', ['', ...ids])
    .execute();
  return new Map(rows.map(({ project_id, name }) => [project_id, name]));
}

function providerRoute(app: App): void {
  app.get(
    '/global/spend/provider',
    {
      schema: {
        ...route('What was spent by provider; all of them speak the same language here'),
        querystring: Range,
        response: {
          200: z.array(z.object({ provider: z.string(), spend: z.number() })),
          ...refusalAnswers,
        },
      },
    },
    async ({ deps, caller, query }) => {
      const { rows } = await spendScope(deps.db, caller);
      const days = await sumsByDay(deps.db, sql`${rows} and ${inRange(dayRangeOr(query, deps.now(), DAYS))}`);
      const nanos = days.reduce((sum, day) => sum + day.nanos, 0n);
      return days.length === 0 ? [] : [{ provider: PROVIDER, spend: nanosToNumber(nanos) }];
    },
  );
}

function tagRoutes(app: App): void {
  app.get(
    '/global/spend/tags',
    {
      schema: {
        ...route('What was spent under each tag'),
        querystring: Range.extend({ tags: z.string().max(10_000).optional() }),
        response: {
          200: z.object({
            spend_per_tag: z.array(z.object({ name: z.string(), spend: z.number(), log_count: z.number() })),
          }),
          ...refusalAnswers,
        },
      },
    },
    async ({ deps, caller, query }) => {
      const { db } = deps;
      const { rows } = await spendScope(db, caller);
      const where = sql<boolean>`${rows} and ${inRange(dayRangeOr(query, deps.now(), DAYS))}`;
      const wanted = namesFrom(query.tags);
      const narrowed = wanted === undefined ? where : sql<boolean>`${where} and tag = any(${wanted})`;
      const found = await tagsSpent(deps, narrowed, NAMES_MAX);
      return {
        spend_per_tag: found.map(({ tag, requests, nanos }) => ({
          name: tag,
          spend: nanosToNumber(nanos),
          log_count: Number(requests),
        })),
      };
    },
  );

  app.get(
    '/global/spend/all_tag_names',
    {
      schema: {
        ...route(`The tags that were seen in requests, at most ${NAMES_MAX}`),
        querystring: After,
        response: { 200: z.object({ tag_names: z.array(z.string()) }), ...refusalAnswers },
      },
    },
    async ({ deps, caller }) => {
      const { db } = deps;
      const { tenants } = await spendScope(db, caller);
      const seen = tenants === null ? sql`true` : sql`split_part(id, '/', 1) = any(${tenants})`;
      const { rows } = await sql<{ name: string }>`
        select distinct substr(id, strpos(id, '/') + 1) as name from spend_totals
        where level = 'tag' and ${seen} order by 1 limit ${NAMES_MAX}`.execute(db);
      return { tag_names: rows.map(({ name }) => name) };
    },
  );
}

function endUsersRoute(app: App): void {
  app.post(
    '/global/spend/end_users',
    {
      schema: {
        ...route('What each end user spent'),
        body: z
          .object({
            api_key: z.string().max(500).nullish(),
            startTime: z.string().max(40).nullish(),
            endTime: z.string().max(40).nullish(),
          })
          .nullish(),
        response: {
          200: z.array(z.object({ end_user: z.string(), total_count: z.number(), total_spend: z.number() })),
          ...refusalAnswers,
        },
      },
    },
    async ({ deps, caller, body }) => {
      const scope = await spendScope(deps.db, caller);
      const rows = await spendRows(deps.db, scope, { key: body?.api_key ?? undefined });
      const given = body?.startTime != null || body?.endTime != null;
      const period = { start_date: body?.startTime ?? undefined, end_date: body?.endTime ?? undefined };
      const range = given ? dayRange(period) : dayRangeOr({}, deps.now(), DAYS);
      const found = await dearest(deps, sql`s.end_user`, sql`${rows} and ${inRange(range)}`, 100);
      return found.map(({ name, requests, nanos }) => ({
        end_user: name,
        total_count: Number(requests),
        total_spend: nanosToNumber(nanos),
      }));
    },
  );
}
