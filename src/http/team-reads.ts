import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { type ExpressionBuilder, sql } from 'kysely';
import { z } from 'zod';
import { readMemberLimits } from '../domain/extra-limits.ts';
import { nanosToNumber } from '../domain/money.ts';
import { Refusal } from '../errors.ts';
import type { Caller } from './caller.ts';
import type { App, HttpDeps } from './deps.ts';
import { KeyRecord } from './key-fields.ts';
import { keyRecord } from './key-record.ts';
import { resetOf } from './limit-fields.ts';
import { pageOf } from './paged.ts';
import { isTeamAdmin, isTeamMember, isTenantAdmin, notYours, seesAll, userIdOf } from './permissions.ts';
import { type Db, keyViews, type Tables } from './read.ts';
import { After, refusalAnswers } from './schemas.ts';
import { requireTeam, Team, teamRecord, type TeamRow, teamRows } from './team-view.ts';

/** Projects as they are, in the shape of LiteLLM's teams. */

const KEYS_MAX = 1_000;
const TEAMS_MAX = 1_000;
const Text = z.string().max(500).optional();

export const Membership = z
  .object({
    user_id: z.string(),
    team_id: z.string(),
    budget_id: z.null(),
    role: z.string(),
    spend: z.number().describe('Through keys of this team'),
    litellm_budget_table: z.object({
      max_budget: z.number().nullable(),
      budget_duration: z.string().nullable(),
      budget_reset_at: z.string().nullable(),
      tpm_limit: z.number().nullable(),
      rpm_limit: z.number().nullable(),
    }),
  })
  .meta({ id: 'TeamMembership' });
export type Membership = z.output<typeof Membership>;

const TeamWithKeys = z.looseObject({
  ...Team.shape,
  keys: z.array(KeyRecord),
  team_memberships: z.array(Membership),
});

const route = (summary: string) => ({ summary, tags: ['teams'] });

export function teamReadRoutes(): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    infoRoute(app);
    listRoute(app);
    pagedRoute(app);
    availableRoute(app);
    done();
  };
}

/** Throws Refusal(not_found | not_yours) unless the caller belongs to the team or may see everything. */
export function requireVisible(caller: Caller | null, team: TeamRow): void {
  if (seesAll(caller) || isTeamMember(caller, team.project_id) || isTenantAdmin(caller, team.tenant_id))
    return;
  const missing = new Refusal('not_found', { what: 'team' }, { param: 'team_id' });
  throw notYours(caller, team, missing, 'You are no member of this team.');
}

function infoRoute(app: App): void {
  app.get(
    '/team/info',
    {
      schema: {
        ...route('Show a team with its keys and members'),
        querystring: After.extend({ team_id: z.string().min(1) }),
        response: {
          200: z.object({
            team_id: z.string(),
            team_info: Team,
            keys: z.array(KeyRecord).describe(`Members who are no admins see their own; at most ${KEYS_MAX}`),
            team_memberships: z.array(Membership),
          }),
          ...refusalAnswers,
        },
      },
    },
    async ({ deps, caller, query: { team_id: id } }) => {
      const team = await requireTeam(deps.db, id);
      requireVisible(caller, team);
      const own = seesAll(caller) || isTeamAdmin(caller, team) ? null : userIdOf(caller);
      const [keys, memberships] = await Promise.all([keysOf(deps, [id], own), membershipsOf(deps, [id])]);
      return { team_id: id, team_info: teamRecord(deps, team), keys, team_memberships: memberships };
    },
  );
}

function listRoute(app: App): void {
  app.get(
    '/team/list',
    {
      schema: {
        ...route('List teams with their keys and members; your own unless you may see more'),
        querystring: After.extend({ organization_id: Text, user_id: Text }),
        response: { 200: z.array(TeamWithKeys), ...refusalAnswers },
      },
    },
    async ({ deps, caller, query: { organization_id: tenantId, user_id: userId } }) => {
      let rows = visibleTo(caller, teamRows(deps.db), userId).where('projects.status', '!=', 'closed');
      if (tenantId !== undefined) rows = rows.where('projects.tenant_id', '=', tenantId);
      if (userId !== undefined) rows = rows.where(hasMember(userId));
      const teams = await rows
        .orderBy('projects.opened_at')
        .orderBy('projects.project_id')
        .limit(TEAMS_MAX)
        .execute();
      const ids = teams.map(({ project_id }) => project_id);
      const led = teams.filter((team) => seesAll(caller) || isTeamAdmin(caller, team));
      const [keys, memberships] = await Promise.all([
        keysOf(
          deps,
          led.map(({ project_id }) => project_id),
          null,
        ),
        membershipsOf(deps, ids),
      ]);
      return teams.map((team) => ({
        ...teamRecord(deps, team),
        keys: keys.filter(({ team_id }) => team_id === team.project_id),
        team_memberships: memberships.filter(({ team_id }) => team_id === team.project_id),
      }));
    },
  );
}

const PageQuery = After.extend({
  page: z.coerce.number().int().min(1).max(10_000_000).default(1),
  page_size: z.coerce.number().int().min(1).max(100).default(10),
  user_id: Text,
  organization_id: Text,
  team_id: Text,
  team_alias: Text.describe('Part of a name'),
  sort_by: z.enum(['team_id', 'team_alias', 'created_at', 'spend']).default('created_at'),
  sort_order: z.enum(['asc', 'desc']).default('desc'),
  status: Text.describe('deleted: the deleted teams instead'),
});

const SORTS = {
  team_id: sql`projects.project_id`,
  team_alias: sql`project_names.name`,
  created_at: sql`projects.opened_at`,
  spend: sql`coalesce(spend_totals.price_nanos, 0) + projects.spend_adjusted`,
} as const;

function pagedRoute(app: App): void {
  app.get(
    '/v2/team/list',
    {
      schema: {
        ...route('List teams page by page, newest first'),
        querystring: PageQuery,
        response: {
          200: z.object({
            teams: z.array(Team),
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
      const { page, page_size: size, sort_order: order } = query;
      const matching = filtered(deps.db, caller, query);
      const ordered = matching
        .orderBy(SORTS[query.sort_by], (item) => (order === 'asc' ? item.asc() : item.desc()).nullsLast())
        .orderBy('projects.project_id', order);
      const { rows, total, pages } = await pageOf(matching, ordered, { page, size });
      return {
        teams: rows.map((team) => teamRecord(deps, team)),
        total,
        page,
        page_size: size,
        total_pages: pages,
      };
    },
  );
}

function filtered(
  db: Db,
  caller: Caller | null,
  query: z.output<typeof PageQuery>,
): ReturnType<typeof teamRows> {
  const { status, team_alias: alias, user_id: userId } = query;
  if (status !== undefined && status !== 'deleted') {
    throw new Refusal('bad_request', { problem: 'status can only be deleted.' }, { param: 'status' });
  }
  let rows = visibleTo(caller, teamRows(db), userId);
  rows = rows.where('projects.status', status === undefined ? '!=' : '=', 'closed');
  if (query.team_id !== undefined) rows = rows.where('projects.project_id', '=', query.team_id);
  if (query.organization_id !== undefined)
    rows = rows.where('projects.tenant_id', '=', query.organization_id);
  if (alias !== undefined)
    rows = rows.where(sql<boolean>`strpos(lower(project_names.name), lower(${alias})) > 0`);
  if (userId !== undefined) rows = rows.where(hasMember(userId));
  return rows;
}

/** A place for teams that anybody may join; there are none yet. */
function availableRoute(app: App): void {
  app.get(
    '/team/available',
    {
      schema: {
        ...route('Teams that one can join without being added: none, members are always added'),
        querystring: After,
        response: { 200: z.array(Team), ...refusalAnswers },
      },
    },
    () => [],
  );
}

function hasMember(userId: string) {
  return sql<boolean>`exists (select from members where level = 'project'
    and scope_id = projects.project_id and user_id = ${userId})`;
}

/** Throws Refusal(not_yours) for who asks for somebody else's teams. */
function visibleTo(
  caller: Caller | null,
  rows: ReturnType<typeof teamRows>,
  userId: string | undefined,
): ReturnType<typeof teamRows> {
  if (seesAll(caller)) return rows;
  if (caller?.role !== 'user') return rows.where(sql<boolean>`false`);
  const { tenants, projects, userId: own } = caller.standing;
  const led = [...tenants].filter(([, role]) => role === 'org_admin').map(([id]) => id);
  if (userId !== undefined && userId !== own && led.length === 0) {
    throw new Refusal('not_yours', { problem: 'You may list your own teams only.' }, { param: 'user_id' });
  }
  const ids = [...projects.keys()];
  type Builder = ExpressionBuilder<Pick<Tables, 'projects'>, 'projects'>;
  return rows.where((eb) => {
    const on = eb as unknown as Builder;
    return on.or([
      on.lit(false),
      ...(ids.length > 0 ? [on('projects.project_id', 'in', ids)] : []),
      ...(led.length > 0 ? [on('projects.tenant_id', 'in', led)] : []),
    ]) as never;
  });
}

async function keysOf(deps: HttpDeps, projectIds: readonly string[], userId: string | null) {
  if (projectIds.length === 0) return [];
  let rows = keyViews(deps.db)
    .where('keys.project_id', 'in', [...projectIds])
    .where('keys.status', '!=', 'deleted');
  if (userId !== null) rows = rows.where('keys.user_id', '=', userId);
  const views = await rows.orderBy('keys.created_at').orderBy('keys.key_id').limit(KEYS_MAX).execute();
  return views.map((view) => keyRecord(view, deps.now()));
}

/** The members of these teams, with what each has used; what a member has no limit for is the team's default. */
export async function membershipsOf(
  { db, now }: HttpDeps,
  projectIds: readonly string[],
): Promise<Membership[]> {
  if (projectIds.length === 0) return [];
  const rows = await db
    .selectFrom('members')
    .innerJoin('projects', 'projects.project_id', 'members.scope_id')
    .innerJoin('agencies', 'agencies.agency_id', 'projects.agency_id')
    .leftJoin('spend_totals', (join) =>
      join
        .on('spend_totals.level', '=', 'member')
        .on('spend_totals.id', '=', sql<string>`members.scope_id || '/' || members.user_id`),
    )
    .select([
      'members.user_id',
      'members.scope_id',
      'members.role',
      'members.limits',
      'projects.member_limits',
      'agencies.zone',
      sql<bigint>`coalesce(spend_totals.price_nanos, 0)`.as('spend'),
    ])
    .where('members.level', '=', 'project')
    .where('members.scope_id', 'in', [...projectIds])
    .orderBy('members.added_at')
    .orderBy('members.user_id')
    .execute();
  return rows.map((row) => {
    const [own, team] = [readMemberLimits(row.limits), readMemberLimits(row.member_limits)];
    const budget = own.budget ?? team.budget;
    const window = budget?.window ?? null;
    return {
      user_id: row.user_id,
      team_id: row.scope_id,
      budget_id: null,
      role: row.role,
      spend: nanosToNumber(row.spend),
      litellm_budget_table: {
        max_budget: budget === null ? null : nanosToNumber(budget.nanos),
        budget_duration: window,
        budget_reset_at: resetOf(window, row.zone, now()),
        tpm_limit: own.tokensPerMinute ?? team.tokensPerMinute,
        rpm_limit: own.requestsPerMinute ?? team.requestsPerMinute,
      },
    };
  });
}
