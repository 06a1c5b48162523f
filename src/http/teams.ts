import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { Refusal } from '../errors.ts';
import { changeTeam, closeTeam, later, newTeam, requireLead } from './change-team.ts';
import { type Command, commandOf, hasRun, partOf, takeEffect } from './command.ts';
import type { App, HttpDeps } from './deps.ts';
import { isTeamAdmin, isTenantAdmin } from './permissions.ts';
import { onTenant } from './project-command.ts';
import { After, AnyJson, refusalAnswers, Texts } from './schemas.ts';
import { settle } from './settle.ts';
import { NewTeamBody, UpdateTeamBody } from './team-fields.ts';
import { requireVisible } from './team-reads.ts';
import {
  limitsOfTeam,
  permissionsOf,
  requireTeam,
  Team,
  teamRecord,
  type TeamRow,
  teamRows,
} from './team-view.ts';

/** What changes projects, in the shape of LiteLLM's teams. Members are in team-members.ts. */

const BATCH_MAX = 100;
const TeamName = z.object({ team_id: z.string().min(1).max(100) });
const route = (summary: string) => ({ summary, tags: ['teams'] });
const answersTeam = { 200: Team, ...refusalAnswers };

export function teamRoutes(deps: HttpDeps): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    newRoute(app, deps);
    updateRoute(app, deps);
    blockRoutes(app, deps);
    deleteRoute(app, deps);
    modelRoutes(app, deps);
    permissionRoutes(app, deps);
    done();
  };
}

function newRoute(app: App, deps: HttpDeps): void {
  app.post(
    '/team/new',
    { schema: { ...route('Open a project without keys'), body: NewTeamBody, response: answersTeam } },
    async (request, reply) => {
      const command = commandOf(deps, request);
      const { projectId, position } = await newTeam(deps, command, request.body, request.caller);
      await takeEffect(deps, reply, position);
      return teamRecord(deps, await requireTeam(deps.db, projectId));
    },
  );
}

function updateRoute(app: App, deps: HttpDeps): void {
  app.post(
    '/team/update',
    {
      schema: {
        ...route('Change the named fields of a team; null clears'),
        body: UpdateTeamBody,
        response: { 200: z.object({ team_id: z.string(), data: Team }), ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const { caller, body } = request;
      const command = commandOf(deps, request);
      await settle(deps, deps.appendedPosition());
      const team = await requireTeam(deps.db, body.team_id);
      requireLead(caller, team, isTeamAdmin(caller, team));
      await takeEffect(deps, reply, await changeTeam(deps, command, team, body, caller));
      return { team_id: body.team_id, data: teamRecord(deps, await requireTeam(deps.db, body.team_id)) };
    },
  );
}

function blockRoutes(app: App, deps: HttpDeps): void {
  for (const type of ['block', 'unblock'] as const) {
    const summary =
      type === 'block' ? 'Refuse every key of the project' : 'Serve the keys of the project again';
    app.post(
      `/team/${type}`,
      { schema: { ...route(summary), body: TeamName, response: answersTeam } },
      async (request, reply) => {
        await settle(deps, deps.appendedPosition());
        const { team_id: projectId } = request.body;
        const team = await requireTeam(deps.db, projectId);
        requireLead(request.caller, team, isTenantAdmin(request.caller, team.tenant_id));
        const command = commandOf(deps, request);
        const { position } = await onTenant(deps, command, team, { type: `${type}-project`, projectId });
        await takeEffect(deps, reply, position);
        return teamRecord(deps, await requireTeam(deps.db, projectId));
      },
    );
  }
}

function deleteRoute(app: App, deps: HttpDeps): void {
  app.post(
    '/team/delete',
    {
      schema: {
        ...route('Close teams and delete their keys'),
        body: z.object({ team_ids: z.array(z.string().min(1).max(100)).min(1).max(BATCH_MAX) }),
        response: { 200: z.object({ deleted_teams: z.array(AnyJson) }), ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const { caller } = request;
      const command = commandOf(deps, request);
      await settle(deps, deps.appendedPosition());
      const ids = [...new Set(request.body.team_ids)];
      const rows = await Promise.all(ids.map((id) => requireTeamOrOwn(deps, command, id)));
      for (const team of rows) requireLead(caller, team, isTenantAdmin(caller, team.tenant_id));
      const records = new Map(rows.map((team) => [team.project_id, teamRecord(deps, team)]));
      const open = rows.filter(({ status }) => status !== 'closed');
      let position = deps.appendedPosition();
      for (const team of open) position = later(position, await closeTeam(deps, command, team));
      await takeEffect(deps, reply, position);
      return { deleted_teams: ids.map((id) => ({ ...records.get(id)! })) as never };
    },
  );
}

/** A team that is there, or one that this very request has closed before. */
async function requireTeamOrOwn({ db, store }: HttpDeps, command: Command, id: string): Promise<TeamRow> {
  const row = await teamRows(db).where('projects.project_id', '=', id).executeTakeFirst();
  if (row !== undefined) {
    const closedByThis =
      row.status === 'closed' && (await hasRun(store, `tenant-${row.tenant_id}`, partOf(command, id)));
    if (row.status !== 'closed' || closedByThis) return row;
  }
  throw new Refusal('not_found', { what: 'team' }, { param: 'team_ids' });
}

function modelRoutes(app: App, deps: HttpDeps): void {
  for (const verb of ['add', 'delete'] as const) {
    app.post(
      `/team/model/${verb}`,
      {
        schema: {
          ...route(verb === 'add' ? 'Let a team call more models' : 'Take models from a team'),
          body: TeamName.extend({ models: Texts }),
          response: answersTeam,
        },
      },
      async (request, reply) => {
        const { team_id: id, models } = request.body;
        const { caller } = request;
        const command = commandOf(deps, request);
        await settle(deps, deps.appendedPosition());
        const team = await requireTeam(deps.db, id);
        requireLead(caller, team, isTenantAdmin(caller, team.tenant_id));
        const now = limitsOfTeam(team).limits.models;
        const after =
          verb === 'add' ? [...new Set([...now, ...models])] : now.filter((name) => !models.includes(name));
        await takeEffect(
          deps,
          reply,
          await changeTeam(deps, command, team, { team_id: id, models: after }, caller),
        );
        return teamRecord(deps, await requireTeam(deps.db, id));
      },
    );
  }
}

/** What members who are no admins can be allowed to do with the keys of their team. */
const PERMISSIONS = [
  '/key/info',
  '/key/health',
  '/key/list',
  '/key/generate',
  '/key/service-account/generate',
  '/key/update',
  '/key/delete',
  '/key/regenerate',
  '/key/block',
  '/key/unblock',
] as const;

const Permissions = z.object({
  team_id: z.string(),
  team_member_permissions: z.array(z.string()),
  all_available_permissions: z.array(z.string()),
});

function permissionRoutes(app: App, deps: HttpDeps): void {
  app.get(
    '/team/permissions_list',
    {
      schema: {
        ...route('What members who are no admins may do with the keys of the team'),
        querystring: After.extend(TeamName.shape),
        response: { 200: Permissions, ...refusalAnswers },
      },
    },
    async ({ deps, caller, query: { team_id: id } }) => {
      const team = await requireTeam(deps.db, id);
      requireVisible(caller, team);
      const all = [...PERMISSIONS];
      return { team_id: id, team_member_permissions: permissionsOf(team), all_available_permissions: all };
    },
  );
  app.post(
    '/team/permissions_update',
    {
      schema: {
        ...route('Set what members may do with the keys of the team'),
        body: TeamName.extend({ team_member_permissions: z.array(z.enum(PERMISSIONS)) }),
        response: { 200: Team, ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const { caller, body } = request;
      const command = commandOf(deps, request);
      await settle(deps, deps.appendedPosition());
      const team = await requireTeam(deps.db, body.team_id);
      requireLead(caller, team, isTeamAdmin(caller, team));
      const memberPermissions = body.team_member_permissions;
      const { position } = await onTenant(deps, command, team, {
        type: 'change-project',
        projectId: body.team_id,
        settings: { memberPermissions },
      });
      await takeEffect(deps, reply, position);
      return teamRecord(deps, await requireTeam(deps.db, body.team_id));
    },
  );
}
