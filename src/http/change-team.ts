import type { z } from 'zod';
import { readMemberLimits } from '../domain/extra-limits.ts';
import type { Limits } from '../domain/limits.ts';
import { ENVIRONMENTS } from '../domain/limits.ts';
import { formatNanos } from '../domain/money.ts';
import { isBudgetWithin, modelsBeyond } from '../domain/plan.ts';
import {
  NO_MEMBER_LIMITS,
  NO_PROJECT_SETTINGS,
  type ProjectMember,
  type ProjectSettings,
} from '../domain/project.ts';
import { readLimits, readTerms } from '../domain/terms-json.ts';
import { Refusal } from '../errors.ts';
import { derivedId } from '../secrets.ts';
import type { Caller } from './caller.ts';
import { deleteKeys } from './change-user.ts';
import { type Command, partOf } from './command.ts';
import type { HttpDeps } from './deps.ts';
import { badLimit, type LimitState, NO_LIMITS, patchLimits } from './limit-fields.ts';
import { budgetIdFrom } from './limited-row.ts';
import { isAdmin, isTenantAdmin, notYours, userIdOf } from './permissions.ts';
import { onTenant } from './project-command.ts';
import { nameProject, openProject } from './projects.ts';
import { type TenantRow, tenantOf } from './read.ts';
import { settle } from './settle.ts';
import { withSharedBudget } from './shared-budget.ts';
import {
  limitsOrNull,
  memberDefaultsFrom,
  type NewTeamBody,
  TEAM_ADMIN_FIELDS,
  type TeamFields,
  teamOptionsFrom,
} from './team-fields.ts';
import { requireNamable, resolveMembers } from './team-people.ts';
import { limitsOfTeam, type TeamRow } from './team-view.ts';

/** The commands that the routes of teams.ts carry out. */

type NewTeam = z.output<typeof NewTeamBody>;

/** Opens the project, then gives it its settings and members. Throws Refusal. */
export async function newTeam(
  deps: HttpDeps,
  command: Command,
  body: NewTeam,
  caller: Caller | null,
): Promise<{ readonly projectId: string; readonly position: bigint }> {
  const tenantId = body.organization_id || deps.ownTenant.tenantId;
  await settle(deps, deps.appendedPosition());
  const missing = new Refusal('not_found', { what: 'organization' }, { param: 'organization_id' });
  if (!isTenantAdmin(caller, tenantId)) {
    throw notYours(
      caller,
      { tenant_id: tenantId },
      missing,
      'Only admins of an organization open teams in it.',
    );
  }
  const projectId = body.team_id || derivedId('prj', command.commandId, 'project');
  const fields = await withSharedBudget(deps.db, body);
  const state = patchLimits(fields, NO_LIMITS);
  requireSensible(state, await tenantOf(deps.db, tenantId));
  const name = body.team_alias || projectId;
  const limits = limitsOrNull(state.limits);
  await requireNamable(deps, body.members_with_roles ?? [], { caller, tenantId });
  const opened = await openProject(deps, command, {
    tenantId,
    projectId,
    name,
    environments: ENVIRONMENTS,
    limits,
  });
  const owner = await tenantOf(deps.db, tenantId);
  const settings: ProjectSettings = {
    ...NO_PROJECT_SETTINGS,
    budgetId: await budgetIdFrom(deps.db, body.budget_id, null),
    memberPermissions: body.team_member_permissions ?? null,
    memberLimits: memberDefaultsFrom(body, NO_MEMBER_LIMITS),
    extra: state.extra,
    options: teamOptionsFrom(body, state.options),
  };
  const change = {
    type: 'change-project',
    projectId,
    settings,
    ...(body.blocked === true ? { blocked: true } : {}),
  } as const;
  const changed = await onTenant(deps, partOf(command, 'settings'), owner, change);
  const members = await firstMembers(deps, command, body, caller, tenantId);
  if (members.length === 0) return { projectId, position: later(opened.position, changed.position) };
  const added = await onTenant(deps, partOf(command, 'members'), owner, {
    type: 'add-members',
    projectId,
    members,
  });
  return { projectId, position: added.position };
}

/** Whoever opens a team is its admin. */
async function firstMembers(
  deps: HttpDeps,
  command: Command,
  body: NewTeam,
  caller: Caller | null,
  tenantId: string,
): Promise<readonly ProjectMember[]> {
  const named = await resolveMembers(deps, command, body.members_with_roles ?? [], {
    caller,
    tenantId,
  });
  const creator = caller?.role === 'user' ? userIdOf(caller) : null;
  const members = named.map(({ userId, role }) => ({ userId, role, limits: NO_MEMBER_LIMITS }));
  if (creator === null || members.some(({ userId }) => userId === creator)) return members;
  return [...members, { userId: creator, role: 'admin', limits: NO_MEMBER_LIMITS }];
}

/** Changes the named fields; null clears. Throws Refusal(not_yours | bad_request). */
export async function changeTeam(
  deps: HttpDeps,
  command: Command,
  team: TeamRow,
  fields: TeamFields,
  caller: Caller | null,
): Promise<bigint> {
  requireAllowedFields(caller, team, fields);
  requireSameTenant(deps, team, fields);
  const now = limitsOfTeam(team);
  const state = patchLimits(await withSharedBudget(deps.db, fields), now);
  const tenant = await tenantOf(deps.db, team.tenant_id);
  requireSensible(state, tenant, fields);
  const renamed = fields.team_alias !== undefined && (fields.team_alias || team.project_id) !== team.name;
  const settings: Partial<ProjectSettings> = {
    budgetId: await budgetIdFrom(deps.db, fields.budget_id, team.budget_id),
    memberLimits: memberDefaultsFrom(fields, readMemberLimits(team.member_limits)),
    extra: state.extra,
    options: teamOptionsFrom(fields, state.options),
    ...(fields.team_member_permissions === undefined
      ? {}
      : { memberPermissions: fields.team_member_permissions }),
    ...(renamed ? { nameVersion: Date.parse(command.at) } : {}),
  };
  const { position } = await onTenant(deps, command, team, {
    type: 'change-project',
    projectId: team.project_id,
    limits: limitsOrNull(state.limits),
    settings,
    ...(fields.blocked == null ? {} : { blocked: fields.blocked }),
  });
  if (renamed) await nameProject(deps, team.project_id, fields.team_alias || team.project_id);
  return position;
}

function requireAllowedFields(caller: Caller | null, team: TeamRow, fields: TeamFields): void {
  if (isTenantAdmin(caller, team.tenant_id)) return;
  const forbidden = Object.entries(fields).find(
    ([name, value]) => value !== undefined && !TEAM_ADMIN_FIELDS.has(name),
  );
  if (forbidden === undefined) return;
  const problem = `Only admins of the organization can change ${forbidden[0]}.`;
  throw new Refusal('not_yours', { problem }, { param: forbidden[0] });
}

/** What a team used is on the invoices of its tenant. */
function requireSameTenant(deps: HttpDeps, team: TeamRow, fields: TeamFields): void {
  const { organization_id: sent } = fields;
  if (sent === undefined || sent === '' || sent === team.tenant_id) return;
  if (sent === null && team.tenant_id === deps.ownTenant.tenantId) return;
  const problem = 'A team stays with its organization. Open another one there.';
  throw new Refusal('bad_request', { problem }, { param: 'organization_id' });
}

/** The soft budget is below the budget, and nothing is beyond the organization's. */
function requireSensible(state: LimitState, tenant: TenantRow, named: object | null = null): void {
  const { limits, extra } = state;
  const soft = extra.softBudgetNanos;
  if (soft !== null && limits.budget !== null && soft >= limits.budget.nanos) {
    throw badLimit('soft_budget', 'must be lower than max_budget');
  }
  const isNamed = (field: string) =>
    named === null || (named as Record<string, unknown>)[field] !== undefined;
  for (const outer of outerLimits(tenant)) requireWithin(limits, outer, isNamed);
}

function outerLimits({ limits, terms }: TenantRow): readonly Limits[] {
  return [
    ...(limits === null ? [] : [readLimits(limits)]),
    ...(terms === null ? [] : [readTerms(terms).tenantLimits]),
  ];
}

const COUNTS = [
  ['requestsPerMinute', 'rpm_limit'],
  ['tokensPerMinute', 'tpm_limit'],
] as const;

/** What is not limited at all is limited by the organization anyway. */
function requireWithin(asked: Limits, outer: Limits, isNamed: (field: string) => boolean): void {
  for (const [name, field] of COUNTS) {
    const [wanted, most] = [asked[name], outer[name]];
    if (isNamed(field) && wanted !== null && most !== null && wanted > most) {
      throw badLimit(field, `of ${wanted} is over the organization's ${most}`);
    }
  }
  if (isNamed('max_budget') && asked.budget !== null && outer.budget !== null) {
    if (!isBudgetWithin(asked.budget, outer.budget)) {
      const [wanted, most] = [formatNanos(asked.budget.nanos, 2), formatNanos(outer.budget.nanos, 2)];
      throw badLimit('max_budget', `of ${wanted} is over the organization's ${most}`);
    }
  }
  if (!isNamed('models') || asked.models.length === 0) return;
  const excess = modelsBeyond(outer.models, asked.models);
  if (excess.length > 0) throw badLimit('models', `are not the organization's: ${excess.join(', ')}`);
}

/** Deletes the keys, then closes the project, which ends the memberships. */
export async function closeTeam(deps: HttpDeps, command: Command, team: TeamRow): Promise<bigint> {
  const { project_id: projectId } = team;
  const deleted = await deleteKeys(deps, command, (rows) => rows.where('keys.project_id', '=', projectId));
  const part = partOf(command, projectId);
  const closed = await onTenant(deps, part, team, { type: 'close-project', projectId });
  return later(deleted, closed.position);
}

export function later(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

/** Throws Refusal(not_found | not_yours) unless the caller leads the team. */
/** `missing` is what is said of a team that is not there, and of those of others. */
export function requireLead(
  caller: Caller | null,
  team: TeamRow,
  leads: boolean,
  missing: Refusal = new Refusal('not_found', { what: 'team' }, { param: 'team_id' }),
): void {
  if (leads || isAdmin(caller)) return;
  throw notYours(caller, team, missing, 'Only admins of the team or its organization can do this.');
}
