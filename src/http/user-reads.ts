import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { sql } from 'kysely';
import { z } from 'zod';
import { Refusal } from '../errors.ts';
import type { Caller } from './caller.ts';
import type { App, HttpDeps } from './deps.ts';
import { KeyRecord } from './key-fields.ts';
import { keyRecord } from './key-record.ts';
import { pageOf } from './paged.ts';
import { seesAll, userIdOf } from './permissions.ts';
import { keyViews } from './read.ts';
import { After, AnyJson, refusalAnswers } from './schemas.ts';
import { Team, teamRecord, teamRows } from './team-view.ts';
import { UserRecord, userRecord, userRows } from './user-view.ts';

/** Users as they are. */

const SHOWN_MAX = 1_000;
const Text = z.string().max(500).optional();
const route = (summary: string) => ({ summary, tags: ['users'] });

const ListQuery = After.extend({
  page: z.coerce.number().int().min(1).max(10_000_000).default(1),
  page_size: z.coerce.number().int().min(1).max(100).default(25),
  role: Text,
  user_ids: z.string().max(10_000).optional().describe('Separated by commas'),
  sso_user_ids: z.string().max(10_000).optional().describe('Separated by commas'),
  user_email: Text.describe('Part of an address'),
  team: Text.describe('Id of a team'),
  organization_id: Text,
  sort_by: z
    .enum(['user_id', 'user_email', 'created_at', 'spend', 'user_alias', 'user_role'])
    .default('created_at'),
  sort_order: z.enum(['asc', 'desc']).default('desc'),
});
type ListQuery = z.output<typeof ListQuery>;

export function userReadRoutes(): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    infoRoute(app);
    listRoutes(app);
    filterRoute(app);
    rolesRoute(app);
    done();
  };
}

function infoRoute(app: App): void {
  app.get(
    '/user/info',
    {
      schema: {
        ...route('Show a user with the keys and teams; yourself by default'),
        querystring: After.extend({ user_id: Text }),
        response: {
          200: z.object({
            user_id: z.string().nullable(),
            user_info: UserRecord.nullable(),
            keys: z.array(KeyRecord).describe(`At most ${SHOWN_MAX}`),
            teams: z.array(Team).describe(`At most ${SHOWN_MAX}`),
          }),
          ...refusalAnswers,
        },
      },
    },
    async ({ deps, caller, query }) => {
      const { db } = deps;
      const userId = query.user_id ?? (seesAll(caller) ? null : userIdOf(caller));
      const row =
        userId === null
          ? undefined
          : await userRows(db).where('users.user_id', '=', userId).executeTakeFirst();
      if (userId !== null) requireReadable(caller, userId, row);
      let keys = keyViews(db).where('keys.status', '!=', 'deleted');
      let teams = teamRows(db).where('projects.status', '!=', 'closed');
      if (userId !== null) {
        keys = keys.where('keys.user_id', '=', userId);
        if (userId !== userIdOf(caller) && !seesAll(caller)) {
          // Elsewhere the same person is none of an organization admin's business.
          keys = keys.where('keys.tenant_id', 'in', ['', ...ledBy(caller)]);
          teams = teams.where('projects.tenant_id', 'in', ['', ...ledBy(caller)]);
        }
        teams = teams.where('projects.project_id', 'in', row!.teams.length === 0 ? [''] : row!.teams);
      }
      const [shownKeys, shownTeams] = await Promise.all([
        keys.orderBy('keys.created_at').orderBy('keys.key_id').limit(SHOWN_MAX).execute(),
        teams.orderBy('projects.opened_at').orderBy('projects.project_id').limit(SHOWN_MAX).execute(),
      ]);
      return {
        user_id: userId,
        user_info: row === undefined ? null : userRecord(row, deps.now()),
        keys: shownKeys.map((view) => keyRecord(view, deps.now())),
        teams: shownTeams.map((team) => teamRecord(deps, team)),
      };
    },
  );
}

/** Oneself, and the members of organizations that one leads. Throws Refusal(not_found | not_yours). */
function requireReadable(
  caller: Caller | null,
  userId: string,
  row: { readonly organizations: readonly string[] } | undefined,
): void {
  const own = userId === userIdOf(caller);
  if (row !== undefined && (own || seesAll(caller))) return;
  const missing = new Refusal('not_found', { what: 'user' }, { param: 'user_id' });
  if (row === undefined || caller?.role !== 'user') throw missing;
  const { tenants } = caller.standing;
  if (row.organizations.some((id) => tenants.get(id) === 'org_admin')) return;
  // Users of no organization are the agency's own people; others exist only for those they share one with.
  if (row.organizations.length > 0 && !row.organizations.some((id) => tenants.has(id))) throw missing;
  throw new Refusal('not_yours', { problem: 'You may only look at yourself.' }, { param: 'user_id' });
}

function listRoutes(app: App): void {
  for (const url of ['/user/list', '/user/get_users'] as const) {
    app.get(
      url,
      {
        schema: {
          ...route('List users, newest first; organization admins see their members'),
          querystring: ListQuery,
          response: {
            200: z.object({
              users: z.array(UserRecord),
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
        const matching = filtered(deps, caller, query);
        const ordered = matching
          .orderBy(SORTS[query.sort_by], (item) => (order === 'asc' ? item.asc() : item.desc()).nullsLast())
          .orderBy('users.user_id', order);
        const { rows, total, pages } = await pageOf(matching, ordered, { page, size });
        return {
          users: rows.map((row) => userRecord(row, deps.now())),
          total,
          page,
          page_size: size,
          total_pages: pages,
        };
      },
    );
  }
}

const SORTS = {
  user_id: sql`users.user_id`,
  user_email: sql`lower(contacts.data ->> 'email')`,
  user_alias: sql`contacts.data ->> 'alias'`,
  user_role: sql`users.role`,
  created_at: sql`users.created_at`,
  spend: sql`coalesce(spend_totals.price_nanos, 0)`,
} as const;

function filtered({ db }: HttpDeps, caller: Caller | null, query: ListQuery) {
  let rows = userRows(db);
  const memberOf = (scopes: readonly string[], level: string) =>
    sql<boolean>`exists (select from members where members.user_id = users.user_id and level = ${level}
      and scope_id in (${sql.join(scopes.length === 0 ? [''] : scopes)}))`;
  if (!seesAll(caller)) rows = rows.where(memberOf(ledBy(caller), 'tenant'));
  if (query.role !== undefined) rows = rows.where('users.role', '=', query.role);
  if (query.user_ids !== undefined) rows = rows.where('users.user_id', 'in', query.user_ids.split(','));
  if (query.sso_user_ids !== undefined)
    rows = rows.where(sql`contacts.data ->> 'sso_id'`, 'in', query.sso_user_ids.split(','));
  if (query.user_email !== undefined)
    rows = rows.where(sql<boolean>`strpos(lower(contacts.data ->> 'email'), lower(${query.user_email})) > 0`);
  if (query.team !== undefined) rows = rows.where(memberOf([query.team], 'project'));
  if (query.organization_id !== undefined) rows = rows.where(memberOf([query.organization_id], 'tenant'));
  return rows;
}

function ledBy(caller: Caller | null): readonly string[] {
  if (caller?.role !== 'user') return [];
  return [...caller.standing.tenants].filter(([, role]) => role === 'org_admin').map(([id]) => id);
}

function filterRoute(app: App): void {
  app.get(
    '/user/filter/ui',
    {
      schema: {
        ...route('Find users by a part of their id or address'),
        querystring: After.extend({ user_id: Text, user_email: Text }),
        response: {
          200: z.array(z.object({ user_id: z.string(), user_email: z.string().nullable() })),
          ...refusalAnswers,
        },
      },
    },
    async ({ deps, caller, query: { user_id: id, user_email: email } }) => {
      const page = ListQuery.parse({ user_email: email });
      let rows = filtered(deps, caller, page);
      if (id !== undefined) rows = rows.where(sql<boolean>`strpos(users.user_id, ${id}) > 0`);
      const found = await rows.orderBy('users.user_id').limit(page.page_size).execute();
      return found.map((row) => {
        const { user_id, user_email } = userRecord(row, deps.now());
        return { user_id, user_email };
      });
    },
  );
}

const ROLES_SHOWN = {
  proxy_admin: { description: 'Everything', ui_label: 'Admin (All Permissions)' },
  proxy_admin_viewer: { description: 'Reads everything, changes nothing', ui_label: 'Admin (View Only)' },
  internal_user: { description: 'Makes, changes and reads own keys', ui_label: 'Internal User' },
  internal_user_viewer: { description: 'Reads own keys and spend', ui_label: 'Internal User Viewer' },
};

function rolesRoute(app: App): void {
  app.get(
    '/user/available_roles',
    { schema: { ...route('The roles that a user can have'), response: { 200: AnyJson, ...refusalAnswers } } },
    () => ROLES_SHOWN,
  );
}
