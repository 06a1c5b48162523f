import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { type ExpressionBuilder, type RawBuilder, sql } from 'kysely';
import { z } from 'zod';
import { Refusal } from '../errors.ts';
import type { Caller } from './caller.ts';
import { CREDENTIAL_PREFIX } from './credential-prefix.ts';
import type { App } from './deps.ts';
import { KeyRecord } from './key-fields.ts';
import { keyRecords } from './key-record.ts';
import { requireRightTo } from './key-rights.ts';
import { findKey, findKeys, viewOfKey } from './key-target.ts';
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
  include_credentials: Flag.describe('false: without the keys of API credentials, which call no model'),
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

export function keyReadRoutes(): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    infoRoute(app);
    infosRoute(app);
    listRoute(app);
    aliasesRoute(app);
    healthRoute(app);
    done();
  };
}

function infoRoute(app: App): void {
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
    async ({ deps, caller, query: { key: name } }) => {
      const { db } = deps;
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

function infosRoute(app: App): void {
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
    async ({ deps, caller, body: { keys } }) => {
      const { db } = deps;
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

function listRoute(app: App): void {
  app.get(
    '/key/list',
    {
      schema: {
        ...route('List keys, newest first'),
        querystring: ListQuery,
        response: { 200: KeyList, ...refusalAnswers },
      },
    },
    async ({ deps, caller, query }) => {
      const { db } = deps;
      const { page, size } = query;
      const matching = sql<boolean>`${narrowed(caller, query)} and ${filtered(query)}`;
      const [{ rows: counted }, views] = await Promise.all([
        sql<{ total: bigint }>`select count(*) as total from keys where ${matching}`.execute(db),
        pageOfKeys(db, matching, query),
      ]);
      const { total } = counted[0]!;
      const records = isTrue(query.return_full_object) ? await keyRecords(db, views, deps.now()) : null;
      return {
        keys: views.map(({ token_hash: token }, index) =>
          records === null ? token : { ...records[index]!, token },
        ),
        total_count: Number(total),
        current_page: page,
        total_pages: Math.ceil(Number(total) / size),
      };
    },
  );
}

function aliasesRoute(app: App): void {
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
    async ({ deps, caller, query: { page = 1, size, search } }) => {
      const { db } = deps;
      let rows = db.selectFrom('keys').where('status', '!=', 'deleted').where('alias', 'is not', null);
      if (!seesAll(caller)) rows = rows.where(seenBy(caller));
      if (search !== undefined) rows = rows.where(sql<boolean>`alias ilike ${containing(search)}`);
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

/** The keys that the caller may see. Throws Refusal(not_yours | key_not_found) for asking about others. */
function narrowed(caller: Caller | null, query: ListQuery): RawBuilder<boolean> {
  if (seesAll(caller)) return sql`true`;
  if (caller?.role !== 'user') throw new Refusal('key_not_found');
  const { standing } = caller;
  const { userId: own } = standing;
  const led = [...standing.tenants].filter(([, role]) => role === 'org_admin').map(([id]) => id);
  const seen = [...standing.projects].filter(([, { role }]) => role === 'admin').map(([id]) => id);
  const { user_id: userId, organization_id: tenantId } = query;
  const teamId = query.team_id ?? query.project_id;
  const leads = (teamId !== undefined && seen.includes(teamId)) || led.length > 0;
  const forbidden =
    (userId !== undefined && userId !== own && !leads && seen.length === 0) ||
    (teamId !== undefined && !standing.projects.has(teamId) && led.length === 0) ||
    (tenantId !== undefined && !standing.tenants.has(tenantId));
  if (forbidden) throw new Refusal('not_yours', { problem: 'You may list your own keys only.' });
  const wide =
    isTrue(query.include_team_keys) || teamId !== undefined || userId !== undefined || led.length > 0;
  const made = isTrue(query.include_created_by_keys) ? sql`or keys.created_by = ${own}` : sql``;
  return sql`(keys.user_id = ${own} or keys.project_id = any(${wide ? seen : []})
    or keys.tenant_id = any(${led}) ${made})`;
}

function filtered(query: ListQuery): RawBuilder<boolean> {
  const { status, organization_id: tenantId, key_hash: hash, key_alias: alias, user_id: userId } = query;
  if (status !== undefined && status !== 'deleted') {
    throw new Refusal('bad_request', { problem: 'status can only be deleted.' }, { param: 'status' });
  }
  const conditions = [status === undefined ? sql`keys.status <> 'deleted'` : sql`keys.status = 'deleted'`];
  const project = query.team_id ?? query.project_id;
  if (project !== undefined) conditions.push(sql`keys.project_id = ${project}`);
  if (tenantId !== undefined) conditions.push(sql`keys.tenant_id = ${tenantId}`);
  if (hash !== undefined) conditions.push(sql`keys.token_hash = ${hash.toLowerCase()}`);
  if (alias !== undefined) conditions.push(sql`keys.alias like ${containing(alias)}`);
  if (userId !== undefined) conditions.push(sql`keys.user_id like ${containing(userId)}`);
  if (isFalse(query.include_credentials)) conditions.push(withoutCredentials);
  return sql`${sql.join(conditions, sql` and `)}`;
}

/** Null is only in the columns that may be: an index that has nulls elsewhere would not be used. */
const SORT_COLUMNS = {
  spend: [sql`coalesce(spend_totals.price_nanos, 0) + keys.spend_adjusted`, false],
  max_budget: [sql`keys.budget_nanos`, true],
  created_at: [sql`keys.created_at`, false],
  updated_at: [sql`keys.updated_at`, false],
  token: [sql`keys.token_hash`, false],
  key_alias: [sql`keys.alias`, true],
} as const;

/** One page, picked before anything is joined to it. */
async function pageOfKeys(
  db: Db,
  matching: RawBuilder<boolean>,
  query: ListQuery,
): Promise<readonly KeyView[]> {
  const { page, size, sort_by: by = 'created_at' } = query;
  const order = orderOf(query);
  const totals =
    by === 'spend'
      ? sql`left join spend_totals on spend_totals.level = 'key' and spend_totals.id = keys.key_id`
      : sql``;
  const { rows } = await sql<{ key_id: string }>`
    select keys.key_id from keys ${totals} where ${matching}
    order by ${order} limit ${size} offset ${(page - 1) * size}`.execute(db);
  if (rows.length === 0) return [];
  const ids = rows.map(({ key_id }) => key_id);
  const views = await keyViews(db).where('keys.key_id', 'in', ids).execute();
  const byId = new Map(views.map((view) => [view.key_id, view]));
  return ids.flatMap((id) => byId.get(id) ?? []);
}

/** Ends with the id, so that pages do not overlap however many rows are alike. */
function orderOf(query: ListQuery): RawBuilder<unknown> {
  const { sort_by: by = 'created_at', sort_order: order = 'desc', key_alias: alias } = query;
  if (!Object.hasOwn(SORT_COLUMNS, by)) {
    const problem = `sort_by can be ${Object.keys(SORT_COLUMNS).join(', ')}.`;
    throw new Refusal('bad_request', { problem }, { param: 'sort_by' });
  }
  if (order !== 'asc' && order !== 'desc') {
    throw new Refusal('bad_request', { problem: 'sort_order can be asc or desc.' }, { param: 'sort_order' });
  }
  const [column, nullable] = SORT_COLUMNS[by as keyof typeof SORT_COLUMNS];
  const direction = order === 'asc' ? sql`asc` : sql`desc`;
  const exactFirst = alias === undefined ? sql`` : sql`case when keys.alias = ${alias} then 0 else 1 end,`;
  return sql`${exactFirst} ${column} ${direction} ${nullable ? sql`nulls last` : sql``}, keys.key_id ${direction}`;
}

/** The pattern of `like` for a text anywhere in another, which may itself have `%` and `_` in it. */
function containing(text: string): string {
  return `%${text.replaceAll(/[\\%_]/g, String.raw`\$&`)}%`;
}

/** A credential is a user of its own. */
const withoutCredentials = sql`(keys.user_id is null or not starts_with(keys.user_id, ${`${CREDENTIAL_PREFIX}_`}))`;

function isFalse(flag: string | undefined): boolean {
  return flag !== undefined && !isTrue(flag);
}

function isTrue(flag: string | undefined): boolean {
  return flag === 'true' || flag === 'True' || flag === '1';
}
