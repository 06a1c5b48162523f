import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { type ExpressionBuilder, sql } from 'kysely';
import { z } from 'zod';
import { Refusal } from '../errors.ts';
import type { Caller } from './authenticate.ts';
import type { App, HttpDeps } from './deps.ts';
import { KeyRecord } from './key-fields.ts';
import { keyRecords } from './key-record.ts';
import { requireRightTo } from './key-rights.ts';
import { findKey, findKeys, viewOfKey } from './key-target.ts';
import { pageOf } from './paged.ts';
import { keyOf, seesAll } from './permissions.ts';
import { type Db, keyViews, type KeyView, type Tables } from './read.ts';
import { After, refusalAnswers } from './schemas.ts';
import { settle } from './settle.ts';

/** Keys as they are: one, several, lists. None of them ever shows a secret. */

const Text = z.string().max(500).optional();
const Flag = z.enum(['true', 'false', 'True', 'False', '1', '0']).optional();
const PageNumber = z.coerce.number().int().min(1).max(10_000_000);
const PageSize = z.coerce.number().int().min(1).max(100);

const ListQuery = After.extend({
  page: PageNumber.default(1),
  size: PageSize.default(10),
  key_alias: Text.describe('Part of an alias; an exact match comes first'),
  user_id: Text.describe('Part of a user id'),
  team_id: Text,
  project_id: Text.describe('The same as team_id'),
  organization_id: Text,
  key_hash: Text,
  return_full_object: Flag.describe('Records instead of token hashes'),
  include_team_keys: Flag,
  include_created_by_keys: Flag,
  expand: Text,
  sort_by: Text.describe('spend, max_budget, created_at, updated_at, token or key_alias'),
  sort_order: Text.describe('asc or desc'),
  status: Text.describe('deleted: the deleted keys instead'),
});
type ListQuery = z.output<typeof ListQuery>;

const KeyList = z.object({
  keys: z.array(z.union([z.string(), z.looseObject({ ...KeyRecord.shape, token: z.string() })])),
  total_count: z.number(),
  current_page: z.number(),
  total_pages: z.number(),
});

const route = (summary: string) => ({ summary, tags: ['keys'] });

export function keyReadRoutes(deps: HttpDeps): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    infoRoute(app, deps);
    infosRoute(app, deps);
    listRoute(app, deps);
    aliasesRoute(app, deps);
    healthRoute(app);
    done();
  };
}

function infoRoute(app: App, deps: HttpDeps): void {
  const { db } = deps;
  app.get(
    '/key/info',
    {
      config: { access: 'key' },
      schema: {
        ...route('Show a key; a virtual key sees itself'),
        querystring: After.extend({
          key: Text.describe('Secret, token hash or key id; your own key by default'),
        }),
        response: { 200: z.object({ key: z.string(), info: KeyRecord }), ...refusalAnswers },
      },
    },
    async ({ caller, query: { key: name } }) => {
      const found = name === undefined ? undefined : await findKey(db, name, deps.now());
      const own = name === undefined ? keyOf(caller) : null;
      const keyId = found?.key_id ?? own?.key_id;
      if (keyId === undefined) throw new Refusal('key_not_found', {}, { param: 'key' });
      const view = await viewOfKey(db, keyId);
      await requireRightTo(db, caller, view, '/key/info');
      const [info] = await keyRecords(db, [view], deps.now());
      return { key: name ?? view.token_hash, info: info! };
    },
  );
}

function infosRoute(app: App, deps: HttpDeps): void {
  const { db } = deps;
  app.post(
    '/v2/key/info',
    {
      schema: {
        ...route('Show several keys; unknown ones are left out'),
        body: z.object({ keys: z.array(z.string().max(500)).min(1).max(1_000) }),
        response: {
          200: z.object({ key: z.array(z.string()), info: z.array(KeyRecord) }),
          ...refusalAnswers,
        },
      },
    },
    async ({ caller, body: { keys } }) => {
      await settle(deps, deps.appendedPosition());
      const views = await findKeys(db, keys, deps.now());
      const shown: KeyView[] = [];
      for (const view of views) {
        try {
          await requireRightTo(db, caller, view, '/key/info');
          shown.push(view);
        } catch (error) {
          // A key of another tenant is as if it were not there.
          if (!(error instanceof Refusal) || error.code !== 'key_not_found') throw error;
        }
      }
      return { key: keys, info: await keyRecords(db, shown, deps.now()) };
    },
  );
}

function listRoute(app: App, deps: HttpDeps): void {
  const { db } = deps;
  app.get(
    '/key/list',
    {
      schema: {
        ...route('List keys, newest first'),
        querystring: ListQuery,
        response: { 200: KeyList, ...refusalAnswers },
      },
    },
    async ({ caller, query }) => {
      const { page, size } = query;
      const matching = filtered(narrowed(db, caller, query), query);
      const { rows: views, total, pages } = await pageOf(matching, sorted(matching, query), { page, size });
      const records = isTrue(query.return_full_object) ? await keyRecords(db, views, deps.now()) : null;
      return {
        keys: views.map(({ token_hash: token }, index) =>
          records === null ? token : { ...records[index]!, token },
        ),
        total_count: total,
        current_page: page,
        total_pages: pages,
      };
    },
  );
}

function aliasesRoute(app: App, deps: HttpDeps): void {
  const { db } = deps;
  app.get(
    '/key/aliases',
    {
      schema: {
        ...route('List the aliases of live keys; all of them unless a page is asked for'),
        querystring: After.extend({
          page: PageNumber.optional(),
          size: PageSize.optional(),
          search: Text.describe('Part of an alias'),
        }),
        response: {
          200: z.object({
            aliases: z.array(z.string()),
            total_count: z.number(),
            current_page: z.number(),
            total_pages: z.number(),
          }),
          ...refusalAnswers,
        },
      },
    },
    async ({ caller, query: { page = 1, size, search } }) => {
      let rows = db.selectFrom('keys').where('status', '!=', 'deleted').where('alias', 'is not', null);
      if (!seesAll(caller)) rows = rows.where(seenBy(caller));
      if (search !== undefined) rows = rows.where(sql<boolean>`strpos(lower(alias), lower(${search})) > 0`);
      const { total } = await rows
        .select((eb) => eb.fn.countAll<bigint>().as('total'))
        .executeTakeFirstOrThrow();
      let aliases = rows.select('alias').orderBy('alias');
      if (size !== undefined) aliases = aliases.limit(size).offset((page - 1) * size);
      const found = await aliases.execute();
      return {
        aliases: found.map(({ alias }) => alias!),
        total_count: Number(total),
        current_page: page,
        total_pages: size === undefined ? 1 : Math.ceil(Number(total) / size),
      };
    },
  );
}

/** Own keys, and those of the organizations and teams that the caller leads. */
function seenBy(caller: Caller | null) {
  return (eb: ExpressionBuilder<Tables, 'keys'>) => {
    if (caller?.role !== 'user') return eb.lit(false);
    const { userId, tenants, projects } = caller.standing;
    const led = [...tenants].filter(([, role]) => role === 'org_admin').map(([id]) => id);
    const teams = [...projects].filter(([, { role }]) => role === 'admin').map(([id]) => id);
    return eb.or([
      eb('user_id', '=', userId),
      ...(led.length > 0 ? [eb('tenant_id', 'in', led)] : []),
      ...(teams.length > 0 ? [eb('project_id', 'in', teams)] : []),
    ]);
  };
}

function healthRoute(app: App): void {
  app.post(
    '/key/health',
    {
      config: { access: 'key' },
      schema: {
        ...route('Check the key that the request is sent with'),
        body: z.unknown(),
        response: {
          200: z.object({ key: z.enum(['healthy', 'unhealthy']), logging_callbacks: z.null() }),
          ...refusalAnswers,
        },
      },
    },
    () => ({ key: 'healthy' as const, logging_callbacks: null }),
  );
}

/** The rows that the caller may see. Throws Refusal(not_yours | not_found) for asking about others. */
function narrowed(db: Db, caller: Caller | null, query: ListQuery): ReturnType<typeof keyViews> {
  const rows = keyViews(db);
  if (seesAll(caller)) return rows;
  if (caller?.role !== 'user') throw new Refusal('key_not_found');
  const { standing } = caller;
  const led = [...standing.tenants].filter(([, role]) => role === 'org_admin').map(([id]) => id);
  const teams = [...standing.projects];
  const seen = teams.filter(([, { role }]) => role === 'admin').map(([id]) => id);
  const { user_id: userId, organization_id: tenantId } = query;
  const teamId = query.team_id ?? query.project_id;
  const leads = (teamId !== undefined && seen.includes(teamId)) || led.length > 0;
  const forbidden =
    (userId !== undefined && userId !== standing.userId && !leads && seen.length === 0) ||
    (teamId !== undefined && !standing.projects.has(teamId) && led.length === 0) ||
    (tenantId !== undefined && !standing.tenants.has(tenantId));
  if (forbidden) throw new Refusal('not_yours', { problem: 'You may list your own keys only.' });
  const wide =
    isTrue(query.include_team_keys) || teamId !== undefined || userId !== undefined || led.length > 0;
  return rows.where((eb) =>
    eb.or([
      eb('keys.user_id', '=', standing.userId),
      ...(wide && seen.length > 0 ? [eb('keys.project_id', 'in', seen)] : []),
      ...(led.length > 0 ? [eb('keys.tenant_id', 'in', led)] : []),
      ...(isTrue(query.include_created_by_keys) ? [eb('keys.created_by', '=', standing.userId)] : []),
    ]),
  );
}

function filtered(all: ReturnType<typeof keyViews>, query: ListQuery) {
  const { status } = query;
  if (status !== undefined && status !== 'deleted') {
    throw new Refusal('bad_request', { problem: 'status can only be deleted.' }, { param: 'status' });
  }
  let rows = all.where('keys.status', status === undefined ? '!=' : '=', 'deleted');
  const project = query.team_id ?? query.project_id;
  if (project !== undefined) rows = rows.where('keys.project_id', '=', project);
  if (query.organization_id !== undefined) rows = rows.where('keys.tenant_id', '=', query.organization_id);
  if (query.key_hash !== undefined) rows = rows.where('keys.token_hash', '=', query.key_hash.toLowerCase());
  if (query.key_alias !== undefined)
    rows = rows.where(sql<boolean>`strpos(keys.alias, ${query.key_alias}) > 0`);
  if (query.user_id !== undefined)
    rows = rows.where(sql<boolean>`strpos(keys.user_id, ${query.user_id}) > 0`);
  return rows;
}

const SORT_COLUMNS = {
  spend: sql`coalesce(spend_totals.price_nanos, 0)`,
  max_budget: sql`keys.budget_nanos`,
  created_at: sql`keys.created_at`,
  updated_at: sql`keys.updated_at`,
  token: sql`keys.token_hash`,
  key_alias: sql`keys.alias`,
} as const;

/** Ends with the id, so that pages do not overlap however many rows are alike. */
function sorted(rows: ReturnType<typeof filtered>, query: ListQuery): ReturnType<typeof filtered> {
  const { sort_by: by = 'created_at', sort_order: order = 'desc', key_alias: alias } = query;
  if (!Object.hasOwn(SORT_COLUMNS, by)) {
    const problem = `sort_by can be ${Object.keys(SORT_COLUMNS).join(', ')}.`;
    throw new Refusal('bad_request', { problem }, { param: 'sort_by' });
  }
  if (order !== 'asc' && order !== 'desc') {
    throw new Refusal('bad_request', { problem: 'sort_order can be asc or desc.' }, { param: 'sort_order' });
  }
  const exactFirst =
    alias === undefined ? rows : rows.orderBy(sql`case when keys.alias = ${alias} then 0 else 1 end`);
  return exactFirst
    .orderBy(SORT_COLUMNS[by as keyof typeof SORT_COLUMNS], (item) =>
      order === 'asc' ? item.asc().nullsLast() : item.desc().nullsLast(),
    )
    .orderBy('keys.key_id', order);
}

function isTrue(flag: string | undefined): boolean {
  return flag === 'true' || flag === 'True' || flag === '1';
}
