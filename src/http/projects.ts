import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Limits } from '../domain/limits.ts';
import type { Environment } from '../domain/limits.ts';
import { tenant, type TenantState } from '../domain/tenant.ts';
import { Refusal } from '../errors.ts';
import { derivedId } from '../secrets.ts';
import { type Outcome, transact } from '../transact.ts';
import { type Command, commandOf, metaFor, takeEffect } from './command.ts';
import type { App, HttpDeps } from './deps.ts';
import { applyNow } from './due-contracts.ts';
import type { KeyIssuer } from './issue-key.ts';
import { keyedLock } from './keyed-lock.ts';
import { Environments, NewKeyAnswer, openKeys, ProjectId, ProjectName } from './open-project.ts';
import { agencyOf, ID, INSTANT, pageOf, placeIn, projectOf, tenantOf } from './read.ts';
import { After, Page, refusalAnswers } from './schemas.ts';
import { settle } from './settle.ts';
import { ProjectAnswer, projectAnswers, projectRows } from './tenant-view.ts';

const ProjectBody = z.strictObject({
  tenant_id: z.string().min(1).max(100),
  name: ProjectName,
  id: ProjectId.optional().describe('Your own id, unique in the installation'),
  environments: Environments,
});

const NewProject = z.object({
  project: ProjectAnswer.omit({ keys: true }).extend({ keys: z.array(NewKeyAnswer) }),
  position: z.string(),
});

export function projectRoutes(deps: HttpDeps, issuer: KeyIssuer): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    openRoute(app, deps, issuer);
    listRoute(app);
    showRoute(app);
    done();
  };
}

function openRoute(app: App, deps: HttpDeps, issuer: KeyIssuer): void {
  const { db } = deps;
  app.post(
    '/api/projects',
    {
      schema: {
        summary: 'Open a project of a tenant, with a key for each environment',
        tags: ['projects'],
        body: ProjectBody,
        response: { 201: NewProject, ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const { tenant_id: tenantId, name, id, environments } = request.body;
      const command = commandOf(deps, request);
      const projectId = id ?? derivedId('prj', command.commandId, 'project');
      const outcome = await openProject(deps, command, {
        tenantId,
        projectId,
        name,
        environments,
        limits: null,
      });
      const row = await projectRows(db)
        .where('projects.project_id', '=', projectId)
        .executeTakeFirstOrThrow();
      const { currency } = await agencyOf(db, row.agency_id);
      const { terms = null, agreed = null } = outcome.state.status === 'absent' ? {} : outcome.state;
      const owner = { agencyId: row.agency_id, tenantId };
      const opened = await openKeys(issuer, {
        command,
        owner,
        projectId,
        name,
        environments,
        terms,
        agreed,
        currency,
      });
      const [shown] = await projectAnswers(db, [{ ...row, name }], currency);
      const position = opened.position > outcome.position ? opened.position : outcome.position;
      await takeEffect(deps, reply, position);
      const project = { ...shown!, keys: [...opened.keys] };
      return reply.status(201).send({ project, position: String(position) });
    },
  );
}

function listRoute(app: App): void {
  app.get(
    '/api/projects',
    {
      schema: {
        summary: 'List projects, newest first',
        tags: ['projects'],
        querystring: Page.extend({ tenant_id: z.string().optional() }),
        response: {
          200: z.object({ data: z.array(ProjectAnswer), next_cursor: z.string().nullable() }),
          ...refusalAnswers,
        },
      },
    },
    async ({ deps, query: { limit, cursor, tenant_id: tenantId } }) => {
      const { db } = deps;
      const place = placeIn(cursor, [INSTANT, ID]);
      let rows = projectRows(db);
      if (tenantId !== undefined) rows = rows.where('projects.tenant_id', '=', tenantId);
      if (place !== undefined) {
        const [at, id] = place as [string, string];
        rows = rows.where(({ eb, refTuple, tuple }) =>
          eb(refTuple('projects.opened_at', 'projects.project_id'), '<', tuple(at, id)),
        );
      }
      const found = await rows
        .orderBy('projects.opened_at', 'desc')
        .orderBy('projects.project_id', 'desc')
        .limit(limit + 1)
        .execute();
      const page = pageOf(found, limit, (row) => [row.opened_at, row.project_id]);
      const currencies = await db.selectFrom('agencies').select(['agency_id', 'currency']).execute();
      const data: z.output<typeof ProjectAnswer>[] = [];
      for (const { agency_id, currency } of currencies) {
        const own = page.rows.filter((row) => row.agency_id === agency_id);
        data.push(...(await projectAnswers(db, own, currency)));
      }
      const places = new Map(page.rows.map((row, index) => [row.project_id, index]));
      data.sort((a, b) => places.get(a.id)! - places.get(b.id)!);
      return { data, next_cursor: page.nextCursor };
    },
  );
}

function showRoute(app: App): void {
  app.get(
    '/api/projects/:id',
    {
      schema: {
        summary: 'Show a project with its keys; no secrets',
        tags: ['projects'],
        params: z.object({ id: z.string() }),
        querystring: After,
        response: { 200: ProjectAnswer, ...refusalAnswers },
      },
    },
    async ({ deps, params: { id } }) => {
      const { db } = deps;
      const row = await projectRows(db).where('projects.project_id', '=', id).executeTakeFirst();
      if (row === undefined) throw new Refusal('not_found', { what: 'project' });
      const { currency } = await agencyOf(db, row.agency_id);
      const [shown] = await projectAnswers(db, [row], currency);
      return shown!;
    },
  );
}

export interface NewProjectFacts {
  readonly tenantId: string;
  readonly projectId: string;
  readonly name: string;
  readonly environments: readonly Environment[];
  readonly limits: Limits | null;
}

/** Project ids are unique in the whole installation, but a tenant's stream knows only its own. */
const lock = keyedLock('project');

export function openProject(
  deps: HttpDeps,
  command: Command,
  { tenantId, projectId, name, environments, limits }: NewProjectFacts,
): Promise<Outcome<TenantState>> {
  return lock(deps, projectId, async () => {
    await settle(deps, deps.appendedPosition());
    const { agency_id: agencyId } = await tenantOf(deps.db, tenantId);
    await applyNow(deps, tenantId, command.at);
    const known = await projectOf(deps.db, projectId);
    if (known !== undefined && known.tenant_id !== tenantId) {
      throw new Refusal('project_exists', { projectId }, { param: 'team_id' });
    }
    if (known === undefined) await nameProject(deps, projectId, name);
    const outcome = await transact(
      deps.store,
      tenant,
      `tenant-${tenantId}`,
      { type: 'open-project', project: { projectId, environments, limits } },
      metaFor(command, { agencyId, tenantId }),
      { input: command.input },
    );
    await settle(deps, outcome.position);
    return outcome;
  });
}

export async function nameProject({ db }: HttpDeps, projectId: string, name: string): Promise<void> {
  await db
    .insertInto('project_names')
    .values({ project_id: projectId, name })
    .onConflict((conflict) => conflict.column('project_id').doUpdateSet({ name }))
    .execute();
}
