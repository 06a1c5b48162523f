import type { z } from 'zod';
import { canonicalJson } from '../domain/json.ts';
import { NO_MEMBER_LIMITS } from '../domain/project.ts';
import { user, type UserData, type UserRole } from '../domain/user.ts';
import { Refusal } from '../errors.ts';
import { derivedId } from '../secrets.ts';
import { transact } from '../transact.ts';
import type { Caller } from './caller.ts';
import { onKey } from './change-key.ts';
import { type Command, hasRun, metaFor, partOf } from './command.ts';
import { contactOf, forgetContact, keepContact, userIdByEmail } from './contacts.ts';
import type { HttpDeps } from './deps.ts';
import { keyedLock } from './keyed-lock.ts';
import { amountOf, NO_LIMITS, patchLimits } from './limit-fields.ts';
import { budgetIdFrom, limitsOfRow } from './limited-row.ts';
import { isAdmin, userIdOf } from './permissions.ts';
import { onTenant } from './project-command.ts';
import { keyViews, projectOf, tenantOf } from './read.ts';
import { settle } from './settle.ts';
import {
  contactFrom,
  type NewUserBody,
  OWN_FIELDS,
  type UserFields,
  userOptionsFrom,
} from './user-fields.ts';
import { requireUser, type UserView } from './user-view.ts';

/** The commands that the routes of users.ts carry out. */

/** Makes "is this id, is this address free" and taking it one step. */
const lock = keyedLock('people');

export interface RegisteredUser {
  readonly userId: string;
  readonly position: bigint;
}

/** Registers the user, then the memberships. Throws Refusal(user_exists | not_found | not_yours | bad_request). */
export async function registerUser(
  deps: HttpDeps,
  command: Command,
  body: z.output<typeof NewUserBody>,
  caller: Caller | null,
): Promise<RegisteredUser> {
  const userId = body.user_id || derivedId('usr', command.commandId, 'user');
  await requireOrganizationsOf(deps, caller, body);
  const position = await lock(deps, 'users', async () => {
    await settle(deps, deps.appendedPosition());
    const repeated = await hasRun(deps.store, `user-${userId}`, command);
    if (!repeated) await requireFree(deps, userId, body.user_email ?? null);
    const contact = contactFrom(body, {});
    const hasContact = Object.keys(contact).length > 0;
    if (hasContact && !repeated) await keepContact(deps.db, 'user', userId, 1, contact);
    const state = patchLimits(body, NO_LIMITS);
    const data: UserData = {
      id: userId,
      role: body.user_role ?? 'internal_user',
      contactVersion: hasContact ? 1 : 0,
      budgetId: repeated ? (body.budget_id ?? null) : await budgetIdFrom(deps.db, body.budget_id, null),
      ...state,
      options: userOptionsFrom(body, state.options),
    };
    const outcome = await onUser(deps, command, userId, { type: 'make', data });
    await settle(deps, outcome.position);
    return outcome.position;
  });
  const joined = await joinAll(deps, command, userId, body);
  return { userId, position: joined > position ? joined : position };
}

export function onUser(
  deps: HttpDeps,
  command: Command,
  userId: string,
  change: Parameters<typeof user.decide>[0],
) {
  const meta = metaFor(command, { agencyId: deps.ownTenant.agencyId, tenantId: null });
  return transact(deps.store, user, `user-${userId}`, change, meta, { input: command.input });
}

async function requireFree(deps: HttpDeps, userId: string, email: string | null): Promise<void> {
  const known = await deps.db
    .selectFrom('users')
    .select('user_id')
    .where('user_id', '=', userId)
    .executeTakeFirst();
  if (known !== undefined) throw new Refusal('user_exists', { id: userId }, { param: 'user_id' });
  if (email !== null && (await userIdByEmail(deps.db, email)) !== undefined) {
    throw new Refusal('user_exists', { id: email }, { param: 'user_email' });
  }
}

/** An organization's admin registers people for the own organizations, without rights beyond them. */
async function requireOrganizationsOf(
  deps: HttpDeps,
  caller: Caller | null,
  body: z.output<typeof NewUserBody>,
): Promise<void> {
  if (isAdmin(caller)) return;
  const led = caller?.role === 'user' ? caller.standing.tenants : new Map<string, string>();
  const organizations = body.organizations ?? [];
  const problem = 'An organization admin registers internal users of the own organizations only.';
  const refused = new Refusal('not_yours', { problem }, { param: 'organizations' });
  const role: UserRole = body.user_role ?? 'internal_user';
  if (role !== 'internal_user' && role !== 'internal_user_viewer') throw refused;
  if (organizations.length === 0 || organizations.some((id) => led.get(id) !== 'org_admin')) throw refused;
  for (const team of body.teams ?? []) {
    const id = typeof team === 'string' ? team : team.team_id;
    if (led.get((await projectOf(deps.db, id))?.tenant_id ?? '') !== 'org_admin') throw refused;
  }
}

async function joinAll(
  deps: HttpDeps,
  command: Command,
  userId: string,
  body: z.output<typeof NewUserBody>,
): Promise<bigint> {
  let position = 0n;
  for (const tenantId of new Set(body.organizations ?? [])) {
    const owner = await tenantOf(deps.db, tenantId);
    const member = { userId, role: 'internal_user', budget: null } as const;
    const add = { type: 'add-tenant-members', members: [member] } as const;
    ({ position } = await onTenant(deps, partOf(command, `organization ${tenantId}`), owner, add));
  }
  for (const team of body.teams ?? []) {
    const named = typeof team === 'string' ? { team_id: team } : team;
    const project = await projectOf(deps.db, named.team_id);
    if (project === undefined || project.status === 'closed') {
      throw new Refusal('not_found', { what: 'team' }, { param: 'teams' });
    }
    const amount = named.max_budget_in_team;
    const budget = amount == null ? null : { nanos: amountOf('max_budget_in_team', amount), window: null };
    const member = { userId, role: named.user_role ?? 'user', limits: { ...NO_MEMBER_LIMITS, budget } };
    const add = { type: 'add-members', projectId: project.project_id, members: [member] } as const;
    ({ position } = await onTenant(deps, partOf(command, `team ${project.project_id}`), project, add));
  }
  return position;
}

/** Changes the named fields. Throws Refusal(not_found | not_yours | user_exists | bad_request). */
export async function changeUser(
  deps: HttpDeps,
  command: Command,
  fields: UserFields & { readonly [name: string]: unknown },
  caller: Caller | null,
): Promise<RegisteredUser> {
  return lock(deps, 'users', async () => {
    await settle(deps, deps.appendedPosition());
    const view = await userNamed(deps, fields);
    requireOwnFields(caller, view, fields);
    const before = await contactOf(deps.db, 'user', view.user_id);
    const contact = contactFrom(fields, before);
    const renamed = canonicalJson(contact) !== canonicalJson(before);
    const contactVersion = Number(view.contact_version) + (renamed ? 1 : 0);
    const state = patchLimits(fields, limitsOfRow(view));
    const data = {
      ...(fields.user_role == null ? {} : { role: fields.user_role }),
      contactVersion,
      budgetId: await budgetIdFrom(deps.db, fields.budget_id, view.budget_id),
      ...state,
      options: userOptionsFrom(fields, state.options),
    };
    if (renamed) await keepContact(deps.db, 'user', view.user_id, contactVersion, contact);
    const { position } = await onUser(deps, command, view.user_id, { type: 'change', data });
    await settle(deps, position);
    return { userId: view.user_id, position };
  });
}

async function userNamed(deps: HttpDeps, fields: UserFields): Promise<UserView> {
  const { user_id: id, user_email: email } = fields;
  if (id) return requireUser(deps.db, id);
  if (!email) {
    const problem = 'Either user_id or user_email must be provided';
    throw new Refusal('bad_request', { problem }, { param: 'user_id' });
  }
  return requireUser(deps.db, (await userIdByEmail(deps.db, email)) ?? '');
}

/** Nobody but an administrator changes roles, limits or other people. */
function requireOwnFields(caller: Caller | null, view: UserView, fields: object): void {
  if (isAdmin(caller)) return;
  if (view.user_id !== userIdOf(caller)) {
    // Who is in organizations exists only for those who share one, as in what is read of users.
    const known = caller?.role === 'user' ? caller.standing.tenants : new Map<string, string>();
    const hidden = view.organizations.length > 0 && !view.organizations.some((id) => known.has(id));
    if (hidden) throw new Refusal('not_found', { what: 'user' }, { param: 'user_id' });
    throw new Refusal('not_yours', { problem: 'You may only change yourself.' }, { param: 'user_id' });
  }
  const forbidden = Object.entries(fields).find(
    ([name, value]) => value !== undefined && !OWN_FIELDS.has(name),
  );
  if (forbidden === undefined) return;
  const problem = `Only an administrator can change ${forbidden[0]}.`;
  throw new Refusal('not_yours', { problem }, { param: forbidden[0] });
}

/** Deletes the keys, ends the memberships, withdraws the right, forgets the contact record. */
export async function removeUser(deps: HttpDeps, command: Command, userId: string): Promise<bigint> {
  let position = await deleteKeys(deps, command, (rows) => rows.where('keys.user_id', '=', userId));
  const memberships = await deps.db
    .selectFrom('members')
    .innerJoin('tenants', 'tenants.tenant_id', 'members.tenant_id')
    .select(['members.level', 'members.scope_id', 'members.tenant_id', 'tenants.agency_id'])
    .where('members.user_id', '=', userId)
    .execute();
  for (const member of memberships) {
    const userIds = [userId];
    const leave =
      member.level === 'project'
        ? ({ type: 'remove-members', projectId: member.scope_id, userIds } as const)
        : ({ type: 'remove-tenant-members', userIds } as const);
    const part = partOf(command, `${userId} ${member.level} ${member.scope_id}`);
    ({ position } = await onTenant(deps, part, member, leave));
  }
  const outcome = await onUser(deps, command, userId, { type: 'remove' });
  await forgetContact(deps.db, 'user', userId);
  return outcome.position > position ? outcome.position : position;
}

/** Deletes the live keys that are picked; returns the position of the last deletion, 0 without any. */
export async function deleteKeys(
  deps: HttpDeps,
  command: Command,
  pick: (rows: ReturnType<typeof keyViews>) => ReturnType<typeof keyViews>,
): Promise<bigint> {
  let position = 0n;
  const views = await pick(keyViews(deps.db)).where('keys.status', '!=', 'deleted').execute();
  for (const view of views) ({ position } = await onKey(deps, command, view, { type: 'delete' }));
  return position;
}
