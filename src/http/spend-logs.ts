import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { type RawBuilder, sql } from 'kysely';
import { z } from 'zod';
import { nanosToNumber } from '../domain/money.ts';
import { Refusal } from '../errors.ts';
import type { Caller } from './caller.ts';
import type { App, HttpDeps } from './deps.ts';
import { After, Amount, nanosOf, refusalAnswers } from './schemas.ts';
import {
  type Dates,
  dates,
  dayRange,
  inRange,
  momentRange,
  namesFrom,
  spendRows,
  spendScope,
} from './spend-scope.ts';
import { SpendRow, spendLogRows, spendRow, SUCCEEDED } from './spend-view.ts';

/** Single requests: what each cost, and nothing of what was said. */

const Text = z.string().max(500).optional();
const Status = z.enum(['success', 'failure']).optional();
/** The old route has no pages; so many of the newest requests are shown. */
const UNPAGED_MAX = 1_000;

const Filter = z.object({
  api_key: Text.describe('Secret, token hash or key id'),
  user_id: Text,
  team_id: Text,
  organization_id: Text,
  end_user: Text,
  tags: Text.describe('Any of them, separated by commas'),
  request_id: Text.describe("The id in the upstream's answer, or x-litellm-call-id"),
  model: Text,
  model_id: Text,
  key_alias: Text.describe('Part of an alias'),
  status_filter: Status,
  error_code: Text.describe('HTTP status'),
  error_message: Text.describe('Part of how the request ended: upstream-error, timed-out …'),
  min_spend: Amount.optional(),
  max_spend: Amount.optional(),
});
type Filter = z.output<typeof Filter>;

const SORTS = {
  startTime: sql`s.admitted_at`,
  endTime: sql`s.admitted_at + s.duration_ms * interval '1 ms'`,
  spend: sql`s.price_nanos`,
  total_tokens: sql`s.input_tokens + s.output_tokens`,
  model: sql`s.model`,
  request_duration_ms: sql`s.duration_ms`,
  ttft_ms: sql`s.first_byte_ms`,
} as const;
const SORT_NAMES = Object.keys(SORTS) as [keyof typeof SORTS, ...(keyof typeof SORTS)[]];

const route = (summary: string) => ({ summary, tags: ['spend'] });

export function spendLogRoutes(): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    oldRoute(app);
    pagedRoutes(app);
    oneRoute(app);
    done();
  };
}

/** The rows of the caller that match all of it. */
async function matching(deps: HttpDeps, caller: Caller | null, filter: Filter): Promise<RawBuilder<boolean>> {
  const { db } = deps;
  const { request_id: id, key_alias: alias, status_filter: status, error_code: code } = filter;
  const scope = await spendScope(db, caller);
  const rows = await spendRows(db, scope, {
    key: filter.api_key,
    users: namesFrom(filter.user_id),
    teams: namesFrom(filter.team_id),
    organizations: namesFrom(filter.organization_id),
    endUsers: filter.end_user === undefined ? undefined : [filter.end_user],
    tags: namesFrom(filter.tags),
    model: filter.model,
    deployment: filter.model_id,
  });
  const conditions: RawBuilder<boolean>[] = [rows];
  if (id !== undefined) {
    // Not `or`: each of the two is looked up by itself.
    conditions.push(sql`s.position in (select position from spend_log where request_id = ${id}
      union select position from spend_log where response_id = ${id})`);
  }
  if (alias !== undefined) {
    conditions.push(sql`s.key_id in (select key_id from keys where strpos(alias, ${alias}) > 0)`);
  }
  if (status !== undefined) {
    conditions.push(sql`(s.outcome = any(${SUCCEEDED})) = ${status === 'success'}`);
  }
  if (code !== undefined) conditions.push(sql`s.status::text = ${code} and s.status >= 400`);
  if (filter.error_message !== undefined) {
    conditions.push(
      sql`not s.outcome = any(${SUCCEEDED}) and strpos(s.outcome, ${filter.error_message}) > 0`,
    );
  }
  if (filter.min_spend !== undefined) conditions.push(sql`s.price_nanos >= ${nanosOf(filter.min_spend)}`);
  if (filter.max_spend !== undefined) conditions.push(sql`s.price_nanos <= ${nanosOf(filter.max_spend)}`);
  return sql`${sql.join(conditions, sql` and `)}`;
}

const DayRow = z.looseObject({
  startTime: z.string(),
  spend: z.number(),
  users: z.record(z.string(), z.number()),
  models: z.record(z.string(), z.number()),
});

function oldRoute(app: App): void {
  app.get(
    '/spend/logs',
    {
      schema: {
        ...route(`List requests, newest first, at most ${UNPAGED_MAX}; with dates the sums of each day`),
        querystring: After.extend({
          ...dates,
          api_key: Text,
          user_id: Text,
          request_id: Text,
          summarize: z.enum(['true', 'false', 'True', 'False']).default('true'),
        }),
        response: { 200: z.union([z.array(SpendRow), z.array(DayRow)]), ...refusalAnswers },
      },
    },
    async ({ deps, caller, query }) => {
      const { summarize, start_date, end_date, after: _after, ...filter } = query;
      const given = start_date !== undefined || end_date !== undefined;
      const rows = await matching(deps, caller, filter);
      const where = given ? sql<boolean>`${rows} and ${inRange(dayRange({ start_date, end_date }))}` : rows;
      if (given && summarize.toLowerCase() === 'true') return await days(deps, where);
      const found = await spendLogRows(deps.db, where, sql`s.admitted_at desc, s.position desc`, UNPAGED_MAX);
      return found.map(spendRow);
    },
  );
}

/** One row per day with what each user and model spent. */
async function days({ db }: HttpDeps, where: RawBuilder<boolean>): Promise<z.output<typeof DayRow>[]> {
  const { rows } = await sql<{ day: string; user_id: string | null; model: string; nanos: bigint }>`
    select (s.admitted_at at time zone 'UTC')::date as day, s.user_id, s.model, sum(s.price_nanos) as nanos
    from spend_log s where ${where} group by 1, 2, 3 order by 1, 2, 3`.execute(db);
  const byDay = new Map<string, { nanos: bigint; users: Map<string, bigint>; models: Map<string, bigint> }>();
  for (const { day, user_id: userId, model, nanos } of rows) {
    let sums = byDay.get(day);
    if (sums === undefined) byDay.set(day, (sums = { nanos: 0n, users: new Map(), models: new Map() }));
    sums.nanos += nanos;
    add(sums.users, userId ?? '', nanos);
    add(sums.models, model, nanos);
  }
  return [...byDay].map(([day, { nanos, users, models }]) => ({
    startTime: day,
    spend: nanosToNumber(nanos),
    users: asNumbers(users),
    models: asNumbers(models),
  }));
}

function add(sums: Map<string, bigint>, name: string, nanos: bigint): void {
  sums.set(name, (sums.get(name) ?? 0n) + nanos);
}

function asNumbers(sums: ReadonlyMap<string, bigint>): Record<string, number> {
  return Object.fromEntries([...sums].map(([name, nanos]) => [name, nanosToNumber(nanos)]));
}

function pagedRoutes(app: App): void {
  for (const url of ['/spend/logs/v2', '/spend/logs/ui'] as const) {
    app.get(
      url,
      {
        schema: {
          ...route('List requests between two moments, page by page'),
          querystring: After.extend({
            ...Filter.shape,
            start_date: z.string().max(40).optional().describe('YYYY-MM-DD HH:MM:SS, UTC'),
            end_date: z.string().max(40).optional().describe('YYYY-MM-DD HH:MM:SS, UTC, inclusive'),
            page: z.coerce.number().int().min(1).max(10_000_000).default(1),
            page_size: z.coerce.number().int().min(1).max(100).default(50),
            sort_by: z.enum(SORT_NAMES).default('startTime'),
            sort_order: z.enum(['asc', 'desc']).default('desc'),
          }),
          response: {
            200: z.object({
              data: z.array(SpendRow),
              total: z.number(),
              page: z.number(),
              page_size: z.number(),
              total_pages: z.number(),
            }),
            ...refusalAnswers,
          },
        },
      },
      async ({ deps, caller, query }) => {
        const { page, page_size: size, sort_by: by, sort_order: order } = query;
        const period: Dates = query;
        const range = inRange(momentRange(period));
        const where = sql<boolean>`${await matching(deps, caller, query)} and ${range}`;
        const direction = order === 'asc' ? sql`asc nulls last` : sql`desc nulls last`;
        // Ends with the place in the log, so that pages do not overlap.
        const sorted = sql`${SORTS[by]} ${direction}, s.position ${order === 'asc' ? sql`asc` : sql`desc`}`;
        const [counted, rows] = await Promise.all([
          sql<{ total: bigint }>`select count(*) as total from spend_log s where ${where}`.execute(deps.db),
          spendLogRows(deps.db, where, sorted, size, (page - 1) * size),
        ]);
        const total = Number(counted.rows[0]!.total);
        const pages = Math.ceil(total / size);
        return { data: rows.map(spendRow), total, page, page_size: size, total_pages: pages };
      },
    );
  }
}

function oneRoute(app: App): void {
  app.get(
    '/spend/logs/ui/:request_id',
    {
      schema: {
        ...route('What was asked and answered: nothing, because neither is kept'),
        params: z.object({ request_id: z.string().min(1).max(500) }),
        querystring: After,
        response: {
          200: z.object({ messages: z.null(), response: z.null(), proxy_server_request: z.null() }),
          ...refusalAnswers,
        },
      },
    },
    async ({ deps, caller, params }) => {
      const where = await matching(deps, caller, { request_id: params.request_id });
      const [found] = await spendLogRows(deps.db, where, sql`s.position`, 1);
      if (found === undefined) throw new Refusal('not_found', { what: 'request' }, { param: 'request_id' });
      return { messages: null, response: null, proxy_server_request: null };
    },
  );

  app.get(
    '/spend/logs/session/ui',
    {
      schema: {
        ...route('The requests of a session; sessions are not recorded, so there are none'),
        querystring: After.extend({ session_id: Text }),
        response: {
          200: z.object({
            data: z.array(SpendRow),
            total: z.number(),
            page: z.number(),
            page_size: z.number(),
            total_pages: z.number(),
          }),
          ...refusalAnswers,
        },
      },
    },
    () => ({ data: [], total: 0, page: 1, page_size: 50, total_pages: 0 }),
  );
}
