import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { sql } from 'kysely';
import { z } from 'zod';
import { TENANT_ROLES } from '../domain/tenant.ts';
import { Refusal } from '../errors.ts';
import type { Caller } from './caller.ts';
import { sharedBudgets } from './budget-view.ts';
import { changeOrganization, closeOrganization, newOrganization } from './change-organization.ts';
import { later } from './change-team.ts';
import { type Command, commandOf, hasRun, partOf, takeEffect } from './command.ts';
import type { App, HttpDeps } from './deps.ts';
import { amountOf } from './limit-fields.ts';
import { NewOrganizationBody, UpdateOrganizationBody } from './organization-fields.ts';
import {
  Organization,
  organizationRecord,
  type OrganizationRow,
  organizationRows,
  requireOrganization,
} from './organization-view.ts';
import { isTenantAdmin, notYours, seesAll } from './permissions.ts';
import { onTenant } from './project-command.ts';
import { After, Amount, AnyJson, optional, refusalAnswers } from './schemas.ts';
import { settle } from './settle.ts';
import { personNamed, resolveMembers } from './team-people.ts';
import { UserRecord, userRecord, userRows } from './user-view.ts';

/** Tenants in the shape of LiteLLM's organizations. */

const BATCH_MAX = 100;
const MEMBERS_MAX = 500;
const Named = z.object({ organization_id: z.string().min(1).max(100) });
const Person = z.object({
  user_id: optional(z.string().max(100)),
  user_email: optional(z.string().max(254)),
});
const Member = z.object({ ...Person.shape, role: z.enum(TENANT_ROLES).default('internal_user') });
const Members = z.object({
  organization_id: z.string(),
  updated_users: z.array(UserRecord),
  updated_organization_memberships: z.array(AnyJson),
});

const route = (summary: string) => ({ summary, tags: ['organizations'] });
const answersOne = { 200: Organization, ...refusalAnswers };

export function organizationRoutes(deps: HttpDeps): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    writeRoutes(app, deps);
    deleteRoute(app, deps);
    readRoutes(app);
    memberRoutes(app, deps);
    done();
  };
}

const rowOf = ({ db, ownTenant }: HttpDeps, id: string) => requireOrganization(db, ownTenant.tenantId, id);

async function recordsOf(deps: HttpDeps, rows: readonly OrganizationRow[]) {
  const shared = await sharedBudgets(deps.db, rows);
  return rows.map((row) => organizationRecord(row, shared.get(row.budget_id), deps.now()));
}

async function recordOfOne(deps: HttpDeps, id: string) {
  return (await recordsOf(deps, [await rowOf(deps, id)]))[0]!;
}

/** Throws Refusal(not_found | not_yours) unless the caller leads it. */
async function ledBy(deps: HttpDeps, caller: Caller | null, id: string): Promise<OrganizationRow> {
  await settle(deps, deps.appendedPosition());
  const row = await rowOf(deps, id);
  if (isTenantAdmin(caller, id)) return row;
  const missing = new Refusal('not_found', { what: 'organization' }, { param: 'organization_id' });
  throw notYours(caller, row, missing, 'Only admins of the organization can do this.');
}

function writeRoutes(app: App, deps: HttpDeps): void {
  app.post(
    '/organization/new',
    { schema: { ...route('Onboard a tenant'), body: NewOrganizationBody, response: answersOne } },
    async (request, reply) => {
      const { tenantId, position } = await newOrganization(deps, commandOf(deps, request), request.body);
      await takeEffect(deps, reply, position);
      return recordOfOne(deps, tenantId);
    },
  );

  app.patch(
    '/organization/update',
    {
      schema: {
        ...route('Change the named fields of an organization; null clears'),
        body: UpdateOrganizationBody,
        response: answersOne,
      },
    },
    async (request, reply) => {
      const { body, caller } = request;
      const command = commandOf(deps, request);
      const row = await ledBy(deps, caller, body.organization_id);
      await takeEffect(deps, reply, await changeOrganization(deps, command, row, body, caller));
      return recordOfOne(deps, body.organization_id);
    },
  );
}

function deleteRoute(app: App, deps: HttpDeps): void {
  app.delete(
    '/organization/delete',
    {
      schema: {
        ...route('Close organizations without a contract, with their teams and keys'),
        body: z.object({ organization_ids: z.array(z.string().min(1).max(100)).min(1).max(BATCH_MAX) }),
        response: { 200: z.array(Organization), ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const command = commandOf(deps, request);
      await settle(deps, deps.appendedPosition());
      const ids = [...new Set(request.body.organization_ids)];
      const rows: OrganizationRow[] = [];
      for (const id of ids) if (!(await closedBy(deps, command, id))) rows.push(await rowOf(deps, id));
      const records = await recordsOf(deps, rows);
      let position = deps.appendedPosition();
      for (const row of rows) position = later(position, await closeOrganization(deps, command, row));
      await takeEffect(deps, reply, position);
      return records;
    },
  );
}

function closedBy({ store }: HttpDeps, command: Command, id: string): Promise<boolean> {
  return hasRun(store, `tenant-${id}`, partOf(command, `close ${id}`));
}

function readRoutes(app: App): void {
  const Text = z.string().max(500).optional();
  app.get(
    '/organization/list',
    {
      schema: {
        ...route('List organizations; your own unless you may see more'),
        querystring: After.extend({
          org_id: Text,
          org_alias: Text.describe('Part of a name'),
          page: z.coerce.number().int().min(1).max(10_000_000).default(1),
          page_size: z.coerce.number().int().min(1).max(500).default(500),
        }),
        response: { 200: z.array(Organization), ...refusalAnswers },
      },
    },
    async ({ deps, caller, query: { org_id: id, org_alias: alias, page, page_size: size } }) => {
      let rows = organizationRows(deps.db, deps.ownTenant.tenantId);
      if (!seesAll(caller)) rows = rows.where('tenants.tenant_id', 'in', ownOrganizations(caller));
      if (id !== undefined) rows = rows.where('tenants.tenant_id', '=', id);
      if (alias !== undefined)
        rows = rows.where(sql<boolean>`strpos(lower(contacts.data ->> 'display_name'), lower(${alias})) > 0`);
      const found = await rows
        .orderBy('tenants.onboarded_at')
        .orderBy('tenants.tenant_id')
        .limit(size)
        .offset((page - 1) * size)
        .execute();
      return recordsOf(deps, found);
    },
  );

  app.get(
    '/organization/info',
    {
      schema: {
        ...route('Show an organization with its members and teams'),
        querystring: After.extend(Named.shape),
        response: answersOne,
      },
    },
    async ({ deps, caller, query: { organization_id: id } }) => {
      requireOwn(caller, id);
      return recordOfOne(deps, id);
    },
  );

  app.post(
    '/organization/info',
    {
      schema: {
        ...route('Show organizations; GET shows one'),
        body: z.object({ organizations: z.array(z.string().max(100)).min(1).max(BATCH_MAX) }),
        response: { 200: z.array(Organization), ...refusalAnswers },
      },
    },
    async ({ deps, caller, body: { organizations: ids } }) => {
      await settle(deps, deps.appendedPosition());
      for (const id of ids) requireOwn(caller, id);
      const rows = await organizationRows(deps.db, deps.ownTenant.tenantId)
        .where('tenants.tenant_id', 'in', ids)
        .orderBy('tenants.tenant_id')
        .execute();
      return recordsOf(deps, rows);
    },
  );
}

function ownOrganizations(caller: Caller | null): readonly string[] {
  const ids = caller?.role === 'user' ? [...caller.standing.tenants.keys()] : [];
  return ids.length === 0 ? [''] : ids;
}

/** What one does not belong to does not exist. */
function requireOwn(caller: Caller | null, id: string): void {
  if (seesAll(caller) || ownOrganizations(caller).includes(id)) return;
  throw new Refusal('not_found', { what: 'organization' }, { param: 'organization_id' });
}

function memberRoutes(app: App, deps: HttpDeps): void {
  app.post(
    '/organization/member_add',
    {
      schema: {
        ...route('Add members; who is unknown is registered'),
        body: Named.extend({
          member: z.union([Member, z.array(Member).min(1).max(MEMBERS_MAX)]),
          max_budget_in_organization: optional(Amount),
        }),
        response: { 200: Members, ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const { body, caller } = request;
      const command = commandOf(deps, request);
      const row = await ledBy(deps, caller, body.organization_id);
      const people = await resolveMembers(deps, command, [body.member].flat(), {
        caller,
        tenantId: row.tenant_id,
      });
      const budget = budgetFrom(body.max_budget_in_organization) ?? null;
      const members = people.map(({ userId, role }) => ({ userId, role, budget }));
      const { position } = await onTenant(deps, command, row, { type: 'add-tenant-members', members });
      await takeEffect(deps, reply, position);
      return membersAnswer(
        deps,
        row.tenant_id,
        members.map(({ userId }) => userId),
      );
    },
  );

  app.patch(
    '/organization/member_update',
    {
      schema: {
        ...route('Change the role and budget of a member'),
        body: Named.extend({
          ...Person.shape,
          role: z.enum(TENANT_ROLES).nullish(),
          max_budget_in_organization: optional(Amount),
        }),
        response: { 200: Members, ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const { body, caller } = request;
      const command = commandOf(deps, request);
      const row = await ledBy(deps, caller, body.organization_id);
      const userId = await personNamed(deps, body);
      const budget = budgetFrom(body.max_budget_in_organization);
      const { position } = await onTenant(deps, command, row, {
        type: 'change-tenant-member',
        userId,
        ...(body.role == null ? {} : { role: body.role }),
        ...(budget === undefined ? {} : { budget }),
      });
      await takeEffect(deps, reply, position);
      return membersAnswer(deps, row.tenant_id, [userId]);
    },
  );

  app.delete(
    '/organization/member_delete',
    {
      schema: {
        ...route('Remove a member'),
        body: Named.extend(Person.shape),
        response: { 200: Members, ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const { body, caller } = request;
      const command = commandOf(deps, request);
      const row = await ledBy(deps, caller, body.organization_id);
      const userId = await personNamed(deps, body);
      const { position } = await onTenant(deps, command, row, {
        type: 'remove-tenant-members',
        userIds: [userId],
      });
      await takeEffect(deps, reply, position);
      return membersAnswer(deps, row.tenant_id, [userId]);
    },
  );
}

/** Undefined leaves it, null lifts it. */
function budgetFrom(amount: z.output<typeof Amount> | null | undefined) {
  if (amount === undefined || amount === null) return amount;
  return { nanos: amountOf('max_budget_in_organization', amount), window: null };
}

async function membersAnswer(deps: HttpDeps, tenantId: string, userIds: readonly string[]) {
  const [record, users] = await Promise.all([
    recordOfOne(deps, tenantId),
    userRows(deps.db)
      .where('users.user_id', 'in', [...userIds])
      .execute(),
  ]);
  const memberships = record.members.filter(({ user_id }) => userIds.includes(user_id));
  return {
    organization_id: tenantId,
    updated_users: users.map((row) => userRecord(row, deps.now())),
    updated_organization_memberships: memberships.map((member) => ({ ...member, organization_id: tenantId })),
  };
}
