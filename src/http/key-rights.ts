import { canonicalJson, type Json, type JsonObject } from '../domain/json.ts';
import type { Limits } from '../domain/limits.ts';
import { formatNanos } from '../domain/money.ts';
import { isBudgetWithin, modelsBeyond } from '../domain/plan.ts';
import { Refusal } from '../errors.ts';
import { isRouteListWithin } from './authenticate.ts';
import type { Caller } from './caller.ts';
import type { HttpDeps } from './deps.ts';
import type { KeyFields } from './key-fields.ts';
import type { KeyInput } from './key-input.ts';
import { limitsOfRow, numberOrNull } from './limited-row.ts';
import {
  homeTenantOf,
  isAdmin,
  isTeamAdmin,
  isTenantAdmin,
  keyOf,
  MEMBER_PERMISSIONS,
  requireKeyRight,
  userIdOf,
} from './permissions.ts';
import { type Db, type KeyRow, projectOf, recordOf } from './read.ts';

/** Which keys a caller may make and change, and how wide they may be. */

/** Throws what requireKeyRight throws; looks up what the key's team lets its members do. */
export async function requireRightTo(
  db: Db,
  caller: Caller | null,
  key: KeyRow,
  route: string,
): Promise<void> {
  if (isAdmin(caller)) return;
  const permissions = await permissionsOf(db, key.project_id);
  requireKeyRight(caller, { key, route, permissions });
}

async function permissionsOf(db: Db, projectId: string | null): Promise<readonly string[] | null> {
  if (projectId === null) return null;
  const permissions = (await projectOf(db, projectId))?.member_permissions;
  return Array.isArray(permissions) ? permissions.filter((route) => typeof route === 'string') : null;
}

/**
 * For whom and where a caller makes a key: the fields with what was left out filled in. Users make
 * keys for themselves, team admins for the members of their team, organization admins for anybody in
 * it. Throws Refusal(not_yours | member_permission | bad_request | not_found).
 */
export async function fieldsForMaker(
  deps: HttpDeps,
  caller: Caller | null,
  fields: KeyFields,
  route: string,
): Promise<KeyFields> {
  if (isAdmin(caller) || caller?.role !== 'user') return fields;
  const { standing } = caller;
  const home = homeTenantOf(caller, deps.ownTenant);
  if (fields.temp_budget_increase != null) {
    const problem = 'Only an administrator can raise a budget for a time.';
    throw new Refusal('not_yours', { problem }, { param: 'temp_budget_increase' });
  }
  const project = fields.team_id ? await projectOf(deps.db, fields.team_id) : undefined;
  if (fields.team_id && (project === undefined || project.status === 'closed' || !knows(caller, project))) {
    throw new Refusal('not_found', { what: 'team' }, { param: 'team_id' });
  }
  const tenantId = project?.tenant_id ?? (fields.organization_id || home);
  const leads = project === undefined ? isTenantAdmin(caller, tenantId) : isTeamAdmin(caller, project);
  if (project !== undefined && !leads) {
    const permissions = await permissionsOf(deps.db, project.project_id);
    if (!(permissions ?? MEMBER_PERMISSIONS).includes(route)) {
      throw new Refusal('member_permission', { teamId: project.project_id, route }, { param: 'None' });
    }
  }
  if (project === undefined && !leads && tenantId !== home && !standing.tenants.has(tenantId)) {
    throw new Refusal('not_found', { what: 'organization' }, { param: 'organization_id' });
  }
  // Left out or null: the maker, but for the keys that belong to a team alone.
  const userId = route === '/key/service-account/generate' ? null : fields.user_id || standing.userId;
  if (userId !== null && userId !== standing.userId) {
    if (!leads) {
      const problem = 'A user can only make keys for itself.';
      throw new Refusal('not_yours', { problem }, { param: 'user_id' });
    }
    await requireMembership(deps.db, userId, tenantId, project?.project_id ?? null);
  }
  const owner =
    project === undefined && tenantId !== deps.ownTenant.tenantId ? { organization_id: tenantId } : {};
  return { ...fields, ...owner, user_id: userId };
}

function knows(
  caller: Extract<Caller, { role: 'user' }>,
  project: { tenant_id: string; project_id: string },
): boolean {
  return caller.standing.projects.has(project.project_id) || isTenantAdmin(caller, project.tenant_id);
}

async function requireMembership(
  db: Db,
  userId: string,
  tenantId: string,
  projectId: string | null,
): Promise<void> {
  const row = await db
    .selectFrom('members')
    .select('user_id')
    .where('user_id', '=', userId)
    .where('tenant_id', '=', tenantId)
    .where((eb) => eb.or([eb('level', '=', 'tenant'), eb('scope_id', '=', projectId ?? '')]))
    .executeTakeFirst();
  if (row !== undefined) return;
  const where = projectId === null ? `organization_id=${tenantId}` : `team_id=${projectId}`;
  throw new Refusal(
    'bad_request',
    { problem: `User=${userId} not assigned to ${where}.` },
    { param: 'user_id' },
  );
}

/** Fields that only ever narrow what a key may: whoever has them hands them on as they are. */
const NARROWING = [
  'budget_limits',
  'model_max_budget',
  'model_rpm_limit',
  'model_tpm_limit',
  'enforced_params',
] as const;

/** What the owner of a key was given and does not change. */
const GIVEN = [
  ...NARROWING,
  'temp_budget_increase',
  'temp_budget_expiry',
  'budget_id',
  'soft_budget',
] as const;

/** What a change touches, where it moves a key, and to whom it hands it on. Throws Refusal(not_yours | not_found). */
export async function requireMove(
  deps: HttpDeps,
  caller: Caller | null,
  key: KeyRow,
  fields: KeyFields,
): Promise<void> {
  if (isAdmin(caller)) return;
  const { user_id: userId, team_id: teamId } = fields;
  const given = GIVEN.find((name) => fields[name] !== undefined);
  if (given !== undefined && !leadsKey(caller, key)) {
    const problem = `Only an administrator can change ${given}.`;
    throw new Refusal('not_yours', { problem }, { param: given });
  }
  if (userId !== undefined && (userId || null) !== key.user_id && !leadsKey(caller, key)) {
    const problem = 'Only an administrator can give a key to another user.';
    throw new Refusal('not_yours', { problem }, { param: 'user_id' });
  }
  if (userId && userId !== key.user_id && userId !== userIdOf(caller)) {
    await requireMembership(deps.db, userId, key.tenant_id, key.project_id);
  }
  if (teamId && teamId !== key.project_id) {
    const project = await projectOf(deps.db, teamId);
    if (project === undefined || caller?.role !== 'user' || !knows(caller, project)) {
      throw new Refusal('not_found', { what: 'team' }, { param: 'team_id' });
    }
  }
}

function leadsKey(caller: Caller | null, { tenant_id, project_id }: KeyRow): boolean {
  return project_id === null
    ? isTenantAdmin(caller, tenant_id)
    : isTeamAdmin(caller, { tenant_id, project_id });
}

/** What a maker has, and what therefore is the most a key of his may have. */
interface Holder {
  readonly limits: Limits;
  readonly expiresAt: string | null;
  readonly allowedRoutes: readonly string[];
  /** Those of NARROWING that it has, as they were sent. */
  readonly narrowing: JsonObject;
}

function narrowingIn(options: Json): JsonObject {
  const all = recordOf(options);
  return Object.fromEntries(NARROWING.flatMap((name) => (all[name] == null ? [] : [[name, all[name]]])));
}

/** The key that the request came with, if one did, and the user behind it. None for the administrator. */
async function holdersOf(db: Db, caller: Caller | null): Promise<readonly Holder[]> {
  if (isAdmin(caller)) return [];
  const key = keyOf(caller);
  return [...(key === null ? [] : [holderOfKey(key)]), ...(await holdersOfUser(db, userIdOf(caller)))];
}

function holderOfKey(key: KeyRow): Holder {
  return {
    limits: {
      requestsPerMinute: numberOrNull(key.requests_per_minute),
      tokensPerMinute: numberOrNull(key.tokens_per_minute),
      parallelRequests: numberOrNull(key.parallel_requests),
      models: key.models,
      budget: key.budget_nanos === null ? null : { nanos: key.budget_nanos, window: key.budget_window },
    },
    expiresAt: key.expires_at,
    allowedRoutes: key.allowed_routes,
    narrowing: narrowingIn(key.options),
  };
}

async function holdersOfUser(db: Db, userId: string | null): Promise<readonly Holder[]> {
  if (userId === null) return [];
  const row = await db.selectFrom('users').selectAll().where('user_id', '=', userId).executeTakeFirst();
  if (row === undefined) return [];
  return [{ limits: limitsOfRow(row).limits, expiresAt: null, allowedRoutes: [], narrowing: {} }];
}

/** Fills what was left out with what the maker has, so that leaving it out gives no more than naming it. */
export async function filledFromMaker(db: Db, caller: Caller | null, fields: KeyFields): Promise<KeyFields> {
  return (await holdersOf(db, caller)).reduce(filledFrom, fields);
}

function filledFrom(fields: KeyFields, { limits, expiresAt, allowedRoutes, narrowing }: Holder): KeyFields {
  const { budget, models } = limits;
  for (const [name, value] of Object.entries(narrowing)) {
    const sent = fields[name as (typeof NARROWING)[number]];
    if (sent === undefined || canonicalJson(sent) === canonicalJson(value)) continue;
    throw wider(name, canonicalJson(value), canonicalJson(sent));
  }
  const lasts = fields.duration ?? fields.expires;
  const opens = fields.key_type ?? ((fields.allowed_routes ?? []).length > 0 ? 'named' : null);
  return {
    ...fields,
    ...narrowing,
    rpm_limit: fields.rpm_limit ?? limits.requestsPerMinute ?? undefined,
    tpm_limit: fields.tpm_limit ?? limits.tokensPerMinute ?? undefined,
    max_parallel_requests: fields.max_parallel_requests ?? limits.parallelRequests ?? undefined,
    ...((fields.models ?? []).length === 0 && models.length > 0 ? { models: [...models] } : {}),
    ...(fields.max_budget == null && budget !== null
      ? { max_budget: formatNanos(budget.nanos), budget_duration: budget.window ?? undefined }
      : {}),
    ...(lasts == null && expiresAt !== null ? { expires: expiresAt } : {}),
    ...(opens === null && allowedRoutes.length > 0 ? { allowed_routes: [...allowedRoutes] } : {}),
  };
}

/** Throws Refusal(wider_than_maker). `changed` names what is judged: a new key all, a changed one what differs. */
export async function requireNotWider(
  db: Db,
  caller: Caller | null,
  { limits, settings }: KeyInput,
  changed: { readonly limits: boolean; readonly expiry: boolean; readonly routes: boolean },
): Promise<void> {
  for (const holder of await holdersOf(db, caller)) {
    if (changed.limits) requireLimitsWithin(holder.limits, limits);
    const { expiresAt } = holder;
    if (
      changed.expiry &&
      expiresAt !== null &&
      (settings.expiresAt === null || settings.expiresAt > expiresAt)
    ) {
      throw wider('duration', expiresAt, settings.expiresAt ?? 'for ever');
    }
    if (changed.routes && !isRouteListWithin(settings.allowedRoutes, holder.allowedRoutes)) {
      throw wider(
        'allowed_routes',
        holder.allowedRoutes.join(', '),
        settings.allowedRoutes.join(', ') || 'all',
      );
    }
  }
}

const COUNTS = [
  ['requestsPerMinute', 'rpm_limit'],
  ['tokensPerMinute', 'tpm_limit'],
  ['parallelRequests', 'max_parallel_requests'],
] as const;

function requireLimitsWithin(most: Limits, asked: Limits): void {
  for (const [name, field] of COUNTS) {
    const [limit, wanted] = [most[name], asked[name]];
    if (limit !== null && (wanted === null || wanted > limit)) {
      throw wider(field, String(limit), wanted === null ? 'unlimited' : String(wanted));
    }
  }
  if (most.budget !== null && !isBudgetWithin(asked.budget, most.budget)) {
    const wanted = asked.budget === null ? 'unlimited' : formatNanos(asked.budget.nanos, 2);
    throw wider('max_budget', formatNanos(most.budget.nanos, 2), wanted);
  }
  const excess = modelsBeyond(most.models, asked.models);
  if (excess.length > 0) throw wider('models', most.models.join(', '), excess.join(', '));
}

function wider(field: string, allowed: string, asked: string): Refusal {
  return new Refusal('wider_than_maker', { field, allowed, asked }, { param: field });
}
