import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { type RawBuilder, sql } from 'kysely';
import { z } from 'zod';
import { ofEntity, openSince, type StoredDay, storedDays } from './stored-days.ts';
import {
  Day,
  daysOf,
  type DaySums,
  type Entity,
  metricsOf,
  PARTS_MAX,
  spanOf,
  type Sums,
  sumsByDay,
  together,
  withParts,
} from './day-sums.ts';
import type { App } from './deps.ts';
import { After, refusalAnswers } from './schemas.ts';
import {
  dates,
  dayRange,
  inRange,
  namesFrom,
  type SpendFilter,
  type SpendRange,
  spendRows,
  spendScope,
} from './spend-scope.ts';

/** `/{family}/daily/activity`: what was spent day by day, and by whom of one kind. */

const Names = z.string().max(10_000).optional();

interface Family {
  readonly path: string;
  readonly entity: Entity;
  /** How LiteLLM calls the list of names in the query. */
  readonly names: string;
  readonly filter: (names: readonly string[] | undefined) => SpendFilter;
  readonly pageSize: number;
}

const FAMILIES: readonly Family[] = [
  { path: '/user', entity: 'user_id', names: 'user_id', filter: (users) => ({ users }), pageSize: 50 },
  { path: '/team', entity: 'project_id', names: 'team_ids', filter: (teams) => ({ teams }), pageSize: 10 },
  {
    path: '/organization',
    entity: 'tenant_id',
    names: 'organization_ids',
    filter: (organizations) => ({ organizations }),
    pageSize: 10,
  },
  ...['/customer', '/end_user'].map(
    (path): Family => ({
      path,
      entity: 'end_user',
      names: 'end_user_ids',
      filter: (endUsers) => ({ endUsers }),
      pageSize: 10,
    }),
  ),
  { path: '/tag', entity: 'tag', names: 'tags', filter: (tags) => ({ tags }), pageSize: 10 },
];

const Totals = z.object({
  total_spend: z.number(),
  total_prompt_tokens: z.number(),
  total_completion_tokens: z.number(),
  total_tokens: z.number(),
  total_api_requests: z.number(),
  total_successful_requests: z.number(),
  total_failed_requests: z.number(),
  total_cache_read_input_tokens: z.number(),
  total_cache_creation_input_tokens: z.number(),
  page: z.number(),
  total_pages: z.number(),
  has_more: z.boolean(),
});
const Activity = z.object({
  results: z.array(Day),
  metadata: Totals.describe('Of all days that were asked for, not of this page'),
});

export function dailyActivityRoutes(): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    for (const family of FAMILIES) activityRoute(app, family, true);
    activityRoute(app, FAMILIES[0]!, false);
    agentRoute(app);
    done();
  };
}

const route = (summary: string) => ({ summary, tags: ['spend'] });

function activityRoute(app: App, family: Family, paged: boolean): void {
  const excluded = `exclude_${family.names}`;
  app.get(
    `${family.path}/daily/activity${paged ? '' : '/aggregated'}`,
    {
      schema: {
        ...route(
          `Spend per day, newest first${paged ? ', a page being so many days' : ''}; of every kind of part the dearest ${PARTS_MAX} of a day`,
        ),
        querystring: After.extend({
          ...dates,
          [family.names]: Names.describe('Separated by commas'),
          [excluded]: Names,
          model: z.string().max(500).optional(),
          api_key: z.string().max(500).optional(),
          timezone: z.coerce
            .number()
            .int()
            .min(-900)
            .max(900)
            .default(0)
            .describe('UTC minus local time in minutes; days are of UTC by default'),
          page: z.coerce.number().int().min(1).max(10_000_000).default(1),
          page_size: z.coerce.number().int().min(1).max(1_000).default(family.pageSize),
        }),
        response: { 200: Activity, ...refusalAnswers },
      },
    },
    async ({ deps, caller, query }) => {
      const { db } = deps;
      const { page, timezone: offset, model, api_key: key } = query;
      const named: Readonly<Record<string, unknown>> = query;
      const range = dayRange(query, offset);
      const filter = { ...family.filter(namesIn(named[family.names])), model, key };
      const rows = await spendRows(db, await spendScope(db, caller), filter);
      const matching = sql<boolean>`${rows} and ${without(family.entity, namesIn(named[excluded]))}`;
      const narrowed = [named[family.names], named[excluded], model, key].some((name) => name !== undefined);
      const kept = narrowed || deps.isBound === true ? null : openSince(deps.now(), offset);
      const [over, open] = kept === null ? [null, range] : splitAt(range, kept);
      const stored = over === null ? [] : await storedDays(db, over, family.entity, offset);
      const live = open === null ? [] : await sumsByDay(db, sql`${matching} and ${inRange(open)}`, offset);
      const days: readonly (DaySums | StoredDay)[] = [...live, ...stored];
      const size = paged ? query.page_size : Math.max(days.length, 1);
      const shown = days.slice((page - 1) * size, page * size);
      const pages = Math.ceil(days.length / size);
      const isKept = (day: DaySums): day is StoredDay => 'parts' in day;
      const [fresh, old] = [shown.filter((day) => !isKept(day)), shown.filter(isKept)];
      const inPage = fresh.length === 0 ? sql<boolean>`false` : inRange(spanOf(fresh, offset));
      const results = [
        ...(await withParts(db, fresh, sql`${matching} and ${inPage}`, family.entity, offset)),
        ...(await daysOf(
          db,
          old,
          old.flatMap(({ parts }) => parts),
          family.entity,
        )),
      ];
      return {
        results,
        metadata: {
          ...totals(together(days)),
          page,
          total_pages: pages,
          has_more: page < pages,
        },
      };
    },
  );
}

function without(entity: Entity, excluded: readonly string[] | undefined): RawBuilder<boolean> {
  const some = ofEntity(entity);
  if (excluded === undefined) return some;
  if (entity === 'tag') return sql`${some} and not s.tags && ${excluded}::text[]`;
  return sql`${some} and not coalesce(s.${sql.ref(entity)} = any(${excluded}), false)`;
}

/** The part before the instant and the part from it on; null where there is none. */
function splitAt({ from, until }: SpendRange, at: string): readonly [SpendRange | null, SpendRange | null] {
  if (until <= at) return [{ from, until }, null];
  if (from >= at) return [null, { from, until }];
  return [
    { from, until: at },
    { from: at, until },
  ];
}

/** Agents are not told apart here, so there is nothing under their name. */
function agentRoute(app: App): void {
  app.get(
    '/agent/daily/activity',
    {
      schema: {
        ...route('Spend of agents per day; there are none'),
        querystring: After.extend(dates),
        response: { 200: Activity, ...refusalAnswers },
      },
    },
    ({ query }) => {
      dayRange(query);
      return { results: [], metadata: { ...totals(together([])), page: 1, total_pages: 0, has_more: false } };
    },
  );
}

function totals(sums: Sums) {
  const all = metricsOf(sums);
  return {
    total_spend: all.spend,
    total_prompt_tokens: all.prompt_tokens,
    total_completion_tokens: all.completion_tokens,
    total_tokens: all.total_tokens,
    total_api_requests: all.api_requests,
    total_successful_requests: all.successful_requests,
    total_failed_requests: all.failed_requests,
    total_cache_read_input_tokens: all.cache_read_input_tokens,
    total_cache_creation_input_tokens: all.cache_creation_input_tokens,
  };
}

function namesIn(value: unknown): readonly string[] | undefined {
  return namesFrom(typeof value === 'string' ? value : undefined);
}
