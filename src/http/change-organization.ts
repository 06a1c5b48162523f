import type { z } from 'zod';
import type { Json, JsonObject } from '../domain/json.ts';
import { tenant, type TenantCommand, type TenantSettings } from '../domain/tenant.ts';
import { Refusal } from '../errors.ts';
import { derivedId } from '../secrets.ts';
import { transact } from '../transact.ts';
import type { Caller } from './caller.ts';
import { closeTeam, later } from './change-team.ts';
import { deleteKeys } from './change-user.ts';
import { type Command, hasRun, metaFor, partOf } from './command.ts';
import type { HttpDeps } from './deps.ts';
import { NO_LIMITS, patchLimits } from './limit-fields.ts';
import { budgetIdFrom } from './limited-row.ts';
import type { NewOrganizationBody, UpdateOrganizationBody } from './organization-fields.ts';
import { limitsOfOrganization, type OrganizationRow } from './organization-view.ts';
import { isAdmin } from './permissions.ts';
import { newestTermsOf } from './plans.ts';
import { onTenant } from './project-command.ts';
import { recordOf } from './read.ts';
import { settle } from './settle.ts';
import { limitsOrNull } from './team-fields.ts';
import { teamRows } from './team-view.ts';

/** The commands that the routes of organizations.ts carry out. */

export interface ChangedOrganization {
  readonly tenantId: string;
  readonly position: bigint;
}

/**
 * Onboards a tenant: with a contract when a plan is named, else as a part of the agency that pays what
 * things cost and gets no invoice. Throws Refusal.
 */
export async function newOrganization(
  deps: HttpDeps,
  command: Command,
  body: z.output<typeof NewOrganizationBody>,
): Promise<ChangedOrganization> {
  await settle(deps, deps.appendedPosition());
  const tenantId = body.organization_id || derivedId('ten', command.commandId, 'organization');
  const { agencyId } = deps.ownTenant;
  const owner = { agencyId, tenantId };
  const stream = `tenant-${tenantId}`;
  const state = patchLimits(body, NO_LIMITS);
  const budgetId = await budgetIdFrom(deps.db, body.budget_id, null);
  const repeated = await hasRun(deps.store, stream, command);
  const terms = body.plan == null || repeated ? null : await newestTermsOf(deps.db, body.plan);
  const contractId = derivedId('con', command.commandId, 'contract');
  const onboard: TenantCommand = {
    type: 'onboard',
    tenant: { ...owner, own: terms === null, contactVersion: 1 },
    contract: terms === null ? null : { contractId, effectiveFrom: command.at, terms },
    projects: [],
  };
  const known = await deps.db
    .selectFrom('tenants')
    .select('tenant_id')
    .where('tenant_id', '=', tenantId)
    .executeTakeFirst();
  if (known !== undefined && !repeated) throw new Refusal('tenant_exists', {}, { param: 'organization_id' });
  await deps.db
    .insertInto('contacts')
    .values({ subject_id: tenantId, version: 1, data: { display_name: body.organization_alias } })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  await transact(deps.store, tenant, stream, onboard, metaFor(command, owner), { input: command.input });
  const settings = {
    limits: limitsOrNull(state.limits),
    extra: state.extra,
    budgetId,
    options: optionsFrom(body, state.options),
  };
  const place = { agency_id: agencyId, tenant_id: tenantId };
  const { position } = await onTenant(deps, partOf(command, 'settings'), place, { type: 'change', settings });
  return { tenantId, position };
}

function optionsFrom(
  fields: {
    readonly metadata?: JsonObject | null | undefined;
    readonly object_permission?: JsonObject | null | undefined;
  },
  now: JsonObject,
): JsonObject {
  const options: Record<string, Json> = { ...now };
  for (const name of ['metadata', 'object_permission'] as const) {
    const value = fields[name];
    if (value === null) delete options[name];
    else if (value !== undefined) options[name] = value;
  }
  return options;
}

/** What an organization's admin may change of it. The rest is what it was given. */
const OWN_FIELDS: ReadonlySet<string> = new Set(['organization_id', 'organization_alias', 'metadata']);

export async function changeOrganization(
  deps: HttpDeps,
  command: Command,
  row: OrganizationRow,
  fields: z.output<typeof UpdateOrganizationBody>,
  caller: Caller | null,
): Promise<bigint> {
  const forbidden = Object.entries(fields).find(
    ([name, value]) => value !== undefined && !OWN_FIELDS.has(name),
  );
  if (forbidden !== undefined && !isAdmin(caller)) {
    const problem = `Only an administrator can change ${forbidden[0]}.`;
    throw new Refusal('not_yours', { problem }, { param: forbidden[0] });
  }
  const state = patchLimits(fields, limitsOfOrganization(row));
  const { organization_alias: alias } = fields;
  const contactVersion = Number(row.contact_version) + (alias == null ? 0 : 1);
  const settings: TenantSettings = {
    limits: limitsOrNull(state.limits),
    extra: state.extra,
    budgetId: await budgetIdFrom(deps.db, fields.budget_id, row.budget_id),
    contactVersion,
    options: optionsFrom(fields, state.options),
  };
  if (alias != null) {
    await deps.db
      .insertInto('contacts')
      .values({
        subject_id: row.tenant_id,
        version: contactVersion,
        data: { ...recordOf(row.contact ?? {}), display_name: alias },
      })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }
  return (await onTenant(deps, command, row, { type: 'change', settings })).position;
}

/** Deletes the keys, closes the teams, then the tenant. Throws Refusal(contract_in_force). */
export async function closeOrganization(
  deps: HttpDeps,
  command: Command,
  row: OrganizationRow,
): Promise<bigint> {
  const { tenant_id: tenantId } = row;
  if (row.contract_id !== null) throw new Refusal('contract_in_force', {}, { param: 'organization_ids' });
  let position = await deleteKeys(deps, command, (rows) => rows.where('keys.tenant_id', '=', tenantId));
  const teams = await teamRows(deps.db)
    .where('projects.tenant_id', '=', tenantId)
    .where('projects.status', '!=', 'closed')
    .execute();
  for (const team of teams) position = later(position, await closeTeam(deps, command, team));
  const closed = await onTenant(deps, partOf(command, `close ${tenantId}`), row, { type: 'close' });
  return later(position, closed.position);
}
