import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { ENVIRONMENTS, type Limits } from '../domain/limits.ts';
import { tenant } from '../domain/tenant.ts';
import { Refusal } from '../errors.ts';
import { derivedId } from '../secrets.ts';
import { transact } from '../transact.ts';
import { commandOf, metaFor, takeEffect } from './command.ts';
import type { App, HttpDeps } from './deps.ts';
import { KeyRecord } from './key-fields.ts';
import { requireDuration } from './key-input.ts';
import { keyRecord } from './key-record.ts';
import { ProjectId } from './open-project.ts';
import { openProject } from './projects.ts';
import { keyViews } from './read.ts';
import {
  After,
  Amount,
  AnyJson,
  nanosOf,
  optional,
  refusalAnswers,
  ShortText,
  Texts,
  Whole,
} from './schemas.ts';
import { settle } from './settle.ts';
import { requireTeam, Team, teamRecord, teamRows } from './team-view.ts';

/** Projects in the shape of LiteLLM's teams, so that scripts which need a team find one. */

const KEYS_MAX = 1_000;

const TeamBody = z.object({
  team_id: optional(ProjectId),
  team_alias: optional(z.string().max(200)),
  organization_id: optional(ShortText).describe("Id of the tenant; the agency's own by default"),
  models: optional(Texts),
  max_budget: optional(Amount),
  budget_duration: optional(z.string().max(50)),
  rpm_limit: optional(Whole),
  tpm_limit: optional(Whole),
  max_parallel_requests: optional(Whole),
});

const TeamName = z.object({ team_id: z.string().min(1).max(100) });
const TeamWithKeys = Team.extend({ keys: z.array(KeyRecord), team_memberships: z.array(AnyJson) });

const route = (summary: string) => ({ summary, tags: ['teams'] });

export function teamRoutes(deps: HttpDeps): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    newRoute(app, deps);
    blockRoutes(app, deps);
    infoRoute(app, deps);
    listRoute(app, deps);
    done();
  };
}

function newRoute(app: App, deps: HttpDeps): void {
  const { db, ownTenant } = deps;
  app.post(
    '/team/new',
    {
      schema: {
        ...route('Open a project without keys'),
        body: TeamBody,
        response: { 200: Team, ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const { body } = request;
      const command = commandOf(deps, request);
      const projectId = body.team_id || derivedId('prj', command.commandId, 'project');
      const outcome = await openProject(deps, command, {
        tenantId: body.organization_id || ownTenant.tenantId,
        projectId,
        name: body.team_alias || projectId,
        environments: ENVIRONMENTS,
        limits: limitsFrom(body),
      });
      await takeEffect(deps, reply, outcome.position);
      return teamRecord(deps, await requireTeam(db, projectId));
    },
  );
}

function blockRoutes(app: App, deps: HttpDeps): void {
  const { db } = deps;
  for (const type of ['block', 'unblock'] as const) {
    const summary =
      type === 'block' ? 'Refuse every key of the project' : 'Serve the keys of the project again';
    app.post(
      `/team/${type}`,
      { schema: { ...route(summary), body: TeamName, response: { 200: Team, ...refusalAnswers } } },
      async (request, reply) => {
        await settle(deps, deps.appendedPosition());
        const { team_id: projectId } = request.body;
        const project = await requireTeam(db, projectId);
        const owner = { agencyId: project.agency_id, tenantId: project.tenant_id };
        const command = commandOf(deps, request);
        const { position } = await transact(
          deps.store,
          tenant,
          `tenant-${project.tenant_id}`,
          { type: `${type}-project`, projectId },
          metaFor(command, owner),
          { input: command.input },
        );
        await takeEffect(deps, reply, position);
        return teamRecord(deps, await requireTeam(db, projectId));
      },
    );
  }
}

function infoRoute(app: App, deps: HttpDeps): void {
  const { db } = deps;
  app.get(
    '/team/info',
    {
      schema: {
        ...route('Show a project with its keys'),
        querystring: After.extend({ team_id: z.string().min(1) }),
        response: {
          200: z.object({
            team_id: z.string(),
            team_info: Team,
            keys: z.array(KeyRecord),
            team_memberships: z.array(AnyJson),
          }),
          ...refusalAnswers,
        },
      },
    },
    async ({ query: { team_id: teamId } }) => {
      const project = await requireTeam(db, teamId);
      const keys = await keysOf(deps, [teamId]);
      return { team_id: teamId, team_info: teamRecord(deps, project), keys, team_memberships: [] };
    },
  );
}

function listRoute(app: App, deps: HttpDeps): void {
  const { db } = deps;
  app.get(
    '/team/list',
    {
      schema: {
        ...route('List projects with their keys'),
        querystring: After.extend({
          organization_id: z.string().optional(),
          user_id: z.string().optional(),
        }),
        response: { 200: z.array(TeamWithKeys), ...refusalAnswers },
      },
    },
    async ({ query: { organization_id: tenantId } }) => {
      let rows = teamRows(db);
      if (tenantId !== undefined) rows = rows.where('projects.tenant_id', '=', tenantId);
      const projects = await rows.orderBy('projects.opened_at').orderBy('projects.project_id').execute();
      const keys = await keysOf(
        deps,
        projects.map(({ project_id }) => project_id),
      );
      return projects.map((project) => ({
        ...teamRecord(deps, project),
        keys: keys.filter(({ team_id }) => team_id === project.project_id),
        team_memberships: [],
      }));
    },
  );
}

/** Null when nothing was asked for, so that the contract alone holds. */
function limitsFrom(body: z.output<typeof TeamBody>): Limits | null {
  const { models, max_budget: amount, budget_duration: window } = body;
  if (window) requireDuration('budget_duration', window);
  const limits: Limits = {
    requestsPerMinute: countOf('rpm_limit', body.rpm_limit),
    tokensPerMinute: countOf('tpm_limit', body.tpm_limit),
    parallelRequests: countOf('max_parallel_requests', body.max_parallel_requests),
    models: models ?? [],
    budget: amount == null ? null : { nanos: nanosOf(amount), window: window || null },
  };
  if (limits.budget !== null && limits.budget.nanos < 0n) throw negative('max_budget');
  const unlimited = Object.values(limits).every(
    (limit) => limit === null || (Array.isArray(limit) && limit.length === 0),
  );
  return unlimited ? null : limits;
}

function countOf(field: string, value: number | null | undefined): number | null {
  if (value == null) return null;
  if (value < 0) throw negative(field);
  return value;
}

function negative(field: string): Refusal {
  return new Refusal('bad_request', { problem: `${field} must not be negative.` }, { param: field });
}

async function keysOf(deps: HttpDeps, projectIds: readonly string[]) {
  if (projectIds.length === 0) return [];
  const views = await keyViews(deps.db)
    .where('keys.project_id', 'in', [...projectIds])
    .where('keys.status', '!=', 'deleted')
    .orderBy('keys.created_at')
    .orderBy('keys.key_id')
    .limit(KEYS_MAX)
    .execute();
  return views.map((view) => keyRecord(view, deps.now()));
}
