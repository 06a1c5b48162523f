import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { type RawBuilder, sql } from 'kysely';
import { z } from 'zod';
import { nanosToNumber } from '../domain/money.ts';
import { type DaySums, sumsByDay } from './day-sums.ts';
import type { App, HttpDeps } from './deps.ts';
import { teamNames } from './global-spend.ts';
import { After, AnyJson, refusalAnswers } from './schemas.ts';
import { dates, dayRange, inRange, spendRows, spendScope } from './spend-scope.ts';

/** Reports over some days: by team, organization, end user or key, and how busy each day was. */

const route = (summary: string) => ({ summary, tags: ['spend'] });
const Text = z.string().max(500).optional();
/** So many groups of a report, the dearest of the period. */
const GROUPS_MAX = 1_000;

export function globalReportRoutes(deps: Pick<HttpDeps, 'providerSpends'>): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    reportRoute(app);
    activityRoutes(app);
    budgetsRoute(app, deps);
    done();
  };
}

const GROUPS = {
  team: { column: sql`s.project_id`, list: 'teams', name: 'team_name' },
  organization: { column: sql`s.tenant_id`, list: 'organizations', name: 'organization_id' },
  customer: { column: sql`s.end_user`, list: 'customers', name: 'customer' },
  internal_user: { column: sql`s.user_id`, list: 'users', name: 'user_id' },
  api_key: { column: sql`s.key_id`, list: 'api_keys', name: 'api_key' },
} as const;

interface GroupRow {
  readonly day: string;
  readonly name: string;
  readonly key_id: string;
  readonly model: string;
  readonly nanos: bigint;
  readonly tokens: bigint;
}

function reportRoute(app: App): void {
  app.get(
    '/global/spend/report',
    {
      schema: {
        ...route(
          `Spend of each day by team, organization, end user, user or key, at most ${GROUPS_MAX} of them`,
        ),
        querystring: After.extend({
          ...dates,
          group_by: z
            .enum(Object.keys(GROUPS) as [keyof typeof GROUPS, ...(keyof typeof GROUPS)[]])
            .default('team'),
          api_key: Text,
          team_id: Text,
          customer_id: Text,
          internal_user_id: Text,
        }),
        response: { 200: z.array(AnyJson), ...refusalAnswers },
      },
    },
    async ({ deps, caller, query }) => {
      const { db } = deps;
      const {
        group_by: by,
        api_key: key,
        team_id: team,
        customer_id: customer,
        internal_user_id: user,
      } = query;
      const { column, list, name } = GROUPS[by];
      const range = dayRange(query);
      const rows = await spendRows(db, await spendScope(db, caller), {
        key,
        teams: team === undefined ? undefined : [team],
        endUsers: customer === undefined ? undefined : [customer],
        users: user === undefined ? undefined : [user],
      });
      const found = await grouped(deps, column, sql`${rows} and ${inRange(range)}`);
      const names = await namesOf(deps, by, [...new Set(found.map((row) => row.name))]);
      const keys = await tokens(deps, [...new Set(found.map((row) => row.key_id))]);
      const days = new Map<string, Map<string, GroupRow[]>>();
      for (const row of found) {
        const groups = days.get(row.day) ?? new Map<string, GroupRow[]>();
        groups.set(row.name, [...(groups.get(row.name) ?? []), row]);
        days.set(row.day, groups);
      }
      return [...days].map(([day, groups]) => ({
        group_by_day: day,
        [list]: [...groups].map(([id, parts]) => ({
          [name]: names.get(id) ?? id,
          ...(by === 'team' ? { team_id: id } : {}),
          total_spend: nanosToNumber(parts.reduce((sum, { nanos }) => sum + nanos, 0n)),
          metadata: parts.map(({ key_id, model, nanos, tokens: count }) => ({
            model,
            api_key: keys.get(key_id) ?? key_id,
            spend: nanosToNumber(nanos),
            total_tokens: Number(count),
          })),
        })),
      }));
    },
  );
}

/** Per day, group, key and model, for the dearest groups. */
async function grouped(
  { db }: HttpDeps,
  column: RawBuilder<unknown>,
  where: RawBuilder<boolean>,
): Promise<readonly GroupRow[]> {
  const { rows } = await sql<GroupRow>`
    with dearest as (
      select ${column} as name, sum(s.price_nanos) as total from spend_log s where ${where} and ${column} is not null
      group by 1 order by 2 desc, 1 limit ${GROUPS_MAX})
    select (s.admitted_at at time zone 'UTC')::date as day, ${column} as name, s.key_id, s.model,
      sum(s.price_nanos) as nanos, sum(s.input_tokens + s.output_tokens) as tokens
    from spend_log s join dearest on dearest.name = ${column} where ${where}
    group by 1, 2, 3, 4, dearest.total order by 1, dearest.total desc, 2, 5 desc, 3, 4 limit ${GROUPS_MAX * 100}`.execute(
    db,
  );
  return rows;
}

async function namesOf(
  deps: HttpDeps,
  by: keyof typeof GROUPS,
  ids: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  if (by === 'team') return await teamNames(deps, ids);
  return by === 'api_key' ? await tokens(deps, ids) : new Map();
}

async function tokens({ db }: HttpDeps, keyIds: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const rows = await db
    .selectFrom('keys')
    .select(['key_id', 'token_hash'])
    .where('key_id', 'in', ['', ...keyIds])
    .execute();
  return new Map(rows.map(({ key_id, token_hash }) => [key_id, token_hash]));
}

const DayActivity = z.object({ date: z.string(), api_requests: z.number(), total_tokens: z.number() });
const Activity = z.object({
  daily_data: z.array(DayActivity),
  sum_api_requests: z.number(),
  sum_total_tokens: z.number(),
});
const Exceptions = z.object({
  daily_data: z.array(z.object({ date: z.string(), num_rate_limit_exceptions: z.number() })),
  sum_num_rate_limit_exceptions: z.number(),
});

function activityRoutes(app: App): void {
  app.get(
    '/global/activity',
    {
      schema: {
        ...route('Requests and tokens of each day'),
        querystring: After.extend(dates),
        response: { 200: Activity, ...refusalAnswers },
      },
    },
    async ({ deps, caller, query }) => {
      const { db } = deps;
      const range = dayRange(query);
      const { rows } = await spendScope(db, caller);
      return activityOf(await sumsByDay(db, sql`${rows} and ${inRange(range)}`));
    },
  );

  app.get(
    '/global/activity/model',
    {
      schema: {
        ...route('Requests and tokens of each day, by model'),
        querystring: After.extend(dates),
        response: { 200: z.array(Activity.extend({ model: z.string() })), ...refusalAnswers },
      },
    },
    async ({ deps, caller, query }) => {
      const { db } = deps;
      const range = dayRange(query);
      const { rows: seen } = await spendScope(db, caller);
      const { rows } = await sql<Pick<DaySums, 'day' | 'requests'> & { model: string; tokens: bigint }>`
        select s.model, (s.admitted_at at time zone 'UTC')::date as day, count(*) as requests,
          sum(s.input_tokens + s.output_tokens) as tokens
        from spend_log s where ${seen} and ${inRange(range)} group by 1, 2 order by 1, 2 limit 100000`.execute(
        db,
      );
      return [...new Set(rows.map(({ model }) => model))].map((model) => {
        const days = rows.filter((row) => row.model === model);
        return { model, ...sumUp(days.map(({ day, requests, tokens: n }) => dayActivity(day, requests, n))) };
      });
    },
  );

  for (const url of ['/global/activity/exceptions', '/global/activity/exceptions/deployment'] as const) {
    app.get(
      url,
      {
        schema: {
          ...route('Requests of each day that an upstream refused for its rate limit'),
          querystring: After.extend({ ...dates, model_group: Text }),
          response: { 200: Exceptions, ...refusalAnswers },
        },
      },
      async ({ deps, caller, query }) => {
        const { db } = deps;
        const range = dayRange(query);
        const rows = await spendRows(db, await spendScope(db, caller), { model: query.model_group });
        const days = await sumsByDay(db, sql`${rows} and ${inRange(range)} and s.status = 429`);
        return {
          daily_data: days
            .toReversed()
            .map(({ day, requests }) => ({ date: day, num_rate_limit_exceptions: Number(requests) })),
          sum_num_rate_limit_exceptions: days.reduce((sum, { requests }) => sum + Number(requests), 0),
        };
      },
    );
  }
}

function activityOf(days: readonly DaySums[]): z.output<typeof Activity> {
  return sumUp(
    days.toReversed().map(({ day, requests, input, output }) => dayActivity(day, requests, input + output)),
  );
}

function dayActivity(day: string, requests: bigint, count: bigint): z.output<typeof DayActivity> {
  return { date: day, api_requests: Number(requests), total_tokens: Number(count) };
}

function sumUp(days: z.output<typeof DayActivity>[]): z.output<typeof Activity> {
  return {
    daily_data: days,
    sum_api_requests: days.reduce((sum, { api_requests }) => sum + api_requests, 0),
    sum_total_tokens: days.reduce((sum, { total_tokens }) => sum + total_tokens, 0),
  };
}

/** In the agency's currency; what is left of a budget can be a little less while requests are running. */
const ProviderBudgetNow = z.object({
  budget_limit: z.number(),
  time_period: z.string(),
  spend: z.number().describe('What the provider is paid for requests admitted in the window'),
  budget_reset_at: z.string(),
});

function budgetsRoute(app: App, { providerSpends }: Pick<HttpDeps, 'providerSpends'>): void {
  app.get(
    '/provider/budgets',
    {
      schema: {
        ...route('What each provider may be paid per window, and what it was paid in this one'),
        querystring: After,
        response: {
          200: z.object({ providers: z.record(z.string(), ProviderBudgetNow) }),
          ...refusalAnswers,
        },
      },
    },
    async () => ({
      providers: Object.fromEntries(
        (await providerSpends()).map(({ provider, budget, endsAt, nanos }) => [
          provider,
          {
            budget_limit: nanosToNumber(budget.nanos),
            time_period: budget.window,
            spend: nanosToNumber(nanos),
            budget_reset_at: endsAt,
          },
        ]),
      ),
    }),
  );
}
