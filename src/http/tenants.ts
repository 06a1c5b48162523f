import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Terms } from '../domain/plan.ts';
import { tenant, type TenantCommand, type TenantState } from '../domain/tenant.ts';
import { Refusal } from '../errors.ts';
import { derivedId } from '../secrets.ts';
import type { EventStore } from '../store/event-store.ts';
import { type Outcome, transact } from '../transact.ts';
import { type Command, commandOf, hasRun, metaFor, takeEffect } from './command.ts';
import type { App, HttpDeps } from './deps.ts';
import type { KeyIssuer } from './issue-key.ts';
import { Environments, NewKeyAnswer, openKeys, ProjectName } from './open-project.ts';
import { newestTermsOf } from './plans.ts';
import { type AgencyRow, type Db, ID, INSTANT, pageOf, placeIn } from './read.ts';
import { After, Page, refusalAnswers } from './schemas.ts';
import { settle } from './settle.ts';
import {
  Billing,
  ContractAnswer,
  PlannedAnswer,
  contactAnswer,
  contactOf,
  ProjectAnswer,
  TenantAnswer,
  tenantDetails,
  tenantRows,
} from './tenant-view.ts';
import { termsAnswer } from './terms.ts';

const PROJECTS_MAX = 100;

const TenantBody = z.strictObject({
  name: z.string().trim().min(1).max(200).describe('How you call the tenant'),
  plan: z.string().min(1).max(100),
  billing: Billing,
  projects: z
    .array(z.strictObject({ name: ProjectName, environments: Environments }))
    .max(PROJECTS_MAX)
    .default([]),
  agency_id: z.string().max(100).optional().describe('Needed when there are several agencies'),
});
type TenantBody = z.output<typeof TenantBody>;

const Details = z.object({
  tenant: TenantAnswer,
  contract: ContractAnswer.nullable().describe('In force; null without one, or when it has ended'),
  planned: z.array(PlannedAnswer).describe('Changes that are agreed for later'),
  projects: z.array(ProjectAnswer),
});

const NewTenant = z.object({
  tenant: TenantAnswer,
  contract: ContractAnswer,
  projects: z.array(ProjectAnswer.omit({ keys: true, limits: true }).extend({ keys: z.array(NewKeyAnswer) })),
  position: z.string(),
});

export function tenantRoutes(deps: HttpDeps, issuer: KeyIssuer): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    onboardRoute(app, deps, issuer);
    listRoute(app);
    showRoute(app);
    done();
  };
}

function onboardRoute(app: App, deps: HttpDeps, issuer: KeyIssuer): void {
  app.post(
    '/api/tenants',
    {
      schema: {
        summary: 'Onboard a tenant: contract, projects, and a key for each environment',
        description:
          'Repeat the call with the same Idempotency-Key until it is answered; it never makes a second tenant.',
        tags: ['tenants'],
        body: TenantBody,
        response: { 201: NewTenant, ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const command = commandOf(deps, request);
      const answer = await onboard(deps, issuer, command, request.body);
      await takeEffect(deps, reply, BigInt(answer.position));
      return reply.status(201).send(answer);
    },
  );
}

function listRoute(app: App): void {
  app.get(
    '/api/tenants',
    {
      schema: {
        summary: 'List the tenants, newest first',
        tags: ['tenants'],
        querystring: Page,
        response: {
          200: z.object({ data: z.array(TenantAnswer), next_cursor: z.string().nullable() }),
          ...refusalAnswers,
        },
      },
    },
    async ({ deps, query: { limit, cursor } }) => {
      const { db } = deps;
      const place = placeIn(cursor, [INSTANT, ID]);
      let rows = tenantRows(db);
      if (place !== undefined) {
        const [at, id] = place as [string, string];
        rows = rows.where(({ eb, refTuple, tuple }) =>
          eb(refTuple('tenants.onboarded_at', 'tenants.tenant_id'), '<', tuple(at, id)),
        );
      }
      const found = await rows
        .orderBy('tenants.onboarded_at', 'desc')
        .orderBy('tenants.tenant_id', 'desc')
        .limit(limit + 1)
        .execute();
      const page = pageOf(found, limit, (row) => [row.onboarded_at, row.tenant_id]);
      const data = page.rows.map((row) => ({
        id: row.tenant_id,
        ...contactAnswer(row.contact),
        agency_id: row.agency_id,
        own: row.own,
        status: row.status,
        onboarded_at: row.onboarded_at,
      }));
      return { data, next_cursor: page.nextCursor };
    },
  );
}

function showRoute(app: App): void {
  app.get(
    '/api/tenants/:id',
    {
      schema: {
        summary: 'Show a tenant with its contract, projects and keys; no secrets',
        tags: ['tenants'],
        params: z.object({ id: z.string() }),
        querystring: After,
        response: { 200: Details, ...refusalAnswers },
      },
    },
    ({ deps, params }) => tenantDetails(deps.db, params.id, deps.now()),
  );
}

/**
 * Every id follows from the command, and every step finds its own earlier result: a call that was
 * cut off half-way is completed by its repetition, and a completed one is answered again.
 */
async function onboard(
  deps: HttpDeps,
  issuer: KeyIssuer,
  command: Command,
  body: TenantBody,
): Promise<z.output<typeof NewTenant>> {
  await settle(deps, deps.appendedPosition());
  const agency = await agencyFor(deps.db, body.agency_id);
  const owner = { agencyId: agency.agency_id, tenantId: derivedId('ten', command.commandId, 'tenant') };
  const projects = body.projects.map(({ name, environments }, index) => ({
    projectId: derivedId('prj', command.commandId, `project ${index}`),
    name,
    environments,
  }));
  const outcome = await sign(deps, command, body, agency, owner, projects);
  const { onboardedAt, contract } = await signedIn(deps.store, owner.tenantId);
  let { position } = outcome;
  const opened: z.output<typeof NewTenant>['projects'] = [];
  for (const { projectId, name, environments } of projects) {
    const { terms } = contract;
    const keys = await openKeys(issuer, {
      command,
      owner,
      projectId,
      name,
      environments,
      terms,
      agreed: null,
      currency: terms.currency,
    });
    if (keys.position > position) position = keys.position;
    const facts = { id: projectId, tenant_id: owner.tenantId, name, status: 'open', environments };
    opened.push({ ...facts, opened_at: onboardedAt, keys: [...keys.keys] });
  }
  return {
    tenant: {
      id: owner.tenantId,
      ...contactAnswer(contactOf(body.name, body.billing)),
      agency_id: owner.agencyId,
      own: false,
      status: 'active',
      onboarded_at: onboardedAt,
    },
    contract: {
      id: contract.contractId,
      effective_from: contract.effectiveFrom,
      ...termsAnswer(contract.terms),
      agreed: null,
    },
    projects: opened,
    position: String(position),
  };
}

type NewProject = Extract<TenantCommand, { type: 'onboard' }>['projects'][number];

async function sign(
  deps: HttpDeps,
  command: Command,
  body: TenantBody,
  agency: AgencyRow,
  owner: { readonly agencyId: string; readonly tenantId: string },
  projects: readonly (Omit<NewProject, 'limits'> & { readonly name: string })[],
): Promise<Outcome<TenantState>> {
  const { db, store } = deps;
  const stream = `tenant-${owner.tenantId}`;
  // Its terms are in the log by now; the plan may have gone on.
  const terms = (await hasRun(store, stream, command)) ? null : await termsFor(db, body.plan, agency);
  const onboarding: TenantCommand = {
    type: 'onboard',
    tenant: { ...owner, own: false, contactVersion: 1 },
    contract:
      terms === null
        ? null
        : { contractId: derivedId('con', command.commandId, 'contract'), effectiveFrom: command.at, terms },
    projects: projects.map(({ projectId, environments }) => ({ projectId, environments, limits: null })),
  };
  await db
    .insertInto('contacts')
    .values({ subject_id: owner.tenantId, version: 1, data: contactOf(body.name, body.billing) })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  if (projects.length > 0) {
    await db
      .insertInto('project_names')
      .values(projects.map(({ projectId, name }) => ({ project_id: projectId, name })))
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }
  return transact(store, tenant, stream, onboarding, metaFor(command, owner), { input: command.input });
}

async function termsFor(db: Db, plan: string, agency: AgencyRow): Promise<Terms> {
  const terms = await newestTermsOf(db, plan);
  if (terms.currency === agency.currency) return terms;
  const problem = `The plan is in ${terms.currency}, the agency in ${agency.currency}.`;
  throw new Refusal('bad_request', { problem }, { param: 'plan' });
}

/** The agency that is named, or the only one there is. */
async function agencyFor(db: Db, agencyId: string | undefined): Promise<AgencyRow> {
  const agencies = await db.selectFrom('agencies').selectAll().orderBy('agency_id').execute();
  const named =
    agencyId === undefined ? agencies : agencies.filter(({ agency_id }) => agency_id === agencyId);
  if (named.length === 1) return named[0]!;
  const problem =
    named.length === 0 ? 'There is no such agency.' : 'There are several agencies: send agency_id.';
  throw new Refusal('bad_request', { problem }, { param: 'agency_id' });
}

/** What was agreed on the day of onboarding, from the log: also when it is asked for again later. */
async function signedIn(store: EventStore, tenantId: string) {
  let onboardedAt: string | null = null;
  for await (const { event, occurredAt } of store.readStream(`tenant-${tenantId}`)) {
    if (event.type === 'tenant.onboarded') onboardedAt = occurredAt;
    if (event.type === 'contract.signed' && onboardedAt !== null)
      return { onboardedAt, contract: event.data };
  }
  throw new Error(`tenant ${tenantId} was onboarded without a contract`);
}
