import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { type RawBuilder, sql } from 'kysely';
import { z } from 'zod';
import { nanosToNumber } from '../domain/money.ts';
import type { Caller } from './caller.ts';
import type { App } from './deps.ts';
import type { Db } from './read.ts';
import { After, refusalAnswers } from './schemas.ts';
import { dates, dayRangeOr, inRange, namesFrom, spendRows, spendScope } from './spend-scope.ts';
import { SUCCEEDED } from './spend-view.ts';

/** How many used what a tag stands for: per day, week and month, and in sum. */

/** So many periods are shown, the one under way among them. */
const PERIODS = 7;
const TAGS_MAX = 1_000;
const SPANS = { dau: 1, wau: 7, mau: 30 } as const;

const Filter = {
  tag_filter: z.string().max(500).optional(),
  tag_filters: z.string().max(10_000).optional().describe('Separated by commas'),
};
const Active = z.object({
  tag: z.string(),
  active_users: z.number().describe('End users; users or keys where a request names none'),
  date: z.string().describe('First day of the period'),
  period_start: z.string(),
  period_end: z.string(),
});
const Summary = z.object({
  tag: z.string(),
  unique_users: z.number(),
  total_requests: z.number(),
  successful_requests: z.number(),
  failed_requests: z.number(),
  total_tokens: z.number(),
  total_spend: z.number(),
});
const results = <T extends z.ZodType>(of: T) => ({
  200: z.object({ results: z.array(of) }),
  ...refusalAnswers,
});
const route = (summary: string) => ({ summary, tags: ['spend'] });

const USERS = sql`count(distinct coalesce(s.end_user, s.user_id, s.key_id))`;
/** A request with a tag twice counts once under it. */
const TAGS = sql`cross join lateral (select distinct unnest(s.tags) as tag) tags`;

export function tagActivityRoutes(): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    for (const name of ['dau', 'wau', 'mau'] as const) activeRoute(app, name);
    distinctRoute(app);
    summaryRoute(app);
    done();
  };
}

interface TagFilter {
  readonly tag_filter?: string | undefined;
  readonly tag_filters?: string | undefined;
}

async function matching(db: Db, caller: Caller | null, filter: TagFilter) {
  const names = namesFrom([filter.tag_filter, filter.tag_filters].filter(Boolean).join(','));
  const rows = await spendRows(db, await spendScope(db, caller), { tags: names });
  const named: RawBuilder<boolean> = names === undefined ? sql`true` : sql`tag = any(${names})`;
  return { rows, named };
}

function activeRoute(app: App, name: keyof typeof SPANS): void {
  const days = SPANS[name];
  app.get(
    `/tag/${name}`,
    {
      schema: {
        ...route(`Who was active under each tag, in the last ${PERIODS} periods of ${days} days`),
        querystring: After.extend(Filter),
        response: results(Active),
      },
    },
    async ({ deps: { db, now }, caller, query }) => {
      const { rows, named } = await matching(db, caller, query);
      const range = dayRangeOr({}, now(), PERIODS * days);
      const found = await sql<{ tag: string; period: number; users: bigint }>`
        select tag, floor(extract(epoch from s.admitted_at - ${range.from}::timestamptz) / ${days * 86_400})::int as period,
          ${USERS} as users
        from spend_log s ${TAGS} where ${rows} and ${inRange(range)} and ${named}
        group by 1, 2 order by 2 desc, 3 desc, 1 limit ${TAGS_MAX * PERIODS}`.execute(db);
      const dayAfter = (period: number, more: number) =>
        new Date(Date.parse(range.from) + (period * days + more) * 86_400_000).toISOString().slice(0, 10);
      return {
        results: found.rows.map(({ tag, period, users }) => ({
          tag,
          active_users: Number(users),
          date: dayAfter(period, 0),
          period_start: dayAfter(period, 0),
          period_end: dayAfter(period, days - 1),
        })),
      };
    },
  );
}

function distinctRoute(app: App): void {
  app.get(
    '/tag/distinct',
    {
      schema: {
        ...route(`The tags that requests of the last year carried, at most ${TAGS_MAX}`),
        querystring: After,
        response: results(z.object({ tag: z.string() })),
      },
    },
    async ({ deps: { db, now }, caller }) => {
      const { rows } = await matching(db, caller, {});
      const found = await sql<{ tag: string }>`
        select distinct tag from spend_log s ${TAGS}
        where ${rows} and ${inRange(dayRangeOr({}, now(), 365))} order by 1 limit ${TAGS_MAX}`.execute(db);
      return { results: found.rows };
    },
  );
}

function summaryRoute(app: App): void {
  app.get(
    '/tag/summary',
    {
      schema: {
        ...route('What was used under each tag, most first; the last 30 days unless dates are given'),
        querystring: After.extend({ ...dates, ...Filter }),
        response: results(Summary),
      },
    },
    async ({ deps: { db, now }, caller, query }) => {
      const { rows, named } = await matching(db, caller, query);
      const range = dayRangeOr(query, now(), 30);
      const found = await sql<
        Record<'users' | 'requests' | 'successes' | 'tokens' | 'nanos', bigint> & { tag: string }
      >`
        select tag, ${USERS} as users, count(*) as requests,
          count(*) filter (where s.outcome = any(${SUCCEEDED})) as successes,
          sum(s.input_tokens + s.output_tokens) as tokens, sum(s.price_nanos) as nanos
        from spend_log s ${TAGS} where ${rows} and ${inRange(range)} and ${named}
        group by 1 order by 6 desc, 1 limit ${TAGS_MAX}`.execute(db);
      return {
        results: found.rows.map(({ tag, users, requests, successes, tokens, nanos }) => ({
          tag,
          unique_users: Number(users),
          total_requests: Number(requests),
          successful_requests: Number(successes),
          failed_requests: Number(requests - successes),
          total_tokens: Number(tokens),
          total_spend: nanosToNumber(nanos),
        })),
      };
    },
  );
}
