import { NO_EXTRA } from '../domain/extra-limits.ts';
import { UNLIMITED } from '../domain/limits.ts';
import { Refusal } from '../errors.ts';
import { derivedId } from '../secrets.ts';
import type { Caller } from './caller.ts';
import { onUser } from './change-user.ts';
import { type Command, partOf } from './command.ts';
import { keepContact, userIdByEmail } from './contacts.ts';
import type { HttpDeps } from './deps.ts';
import { isAdmin, userIdOf } from './permissions.ts';
import { settle } from './settle.ts';

/** People as requests name them: by id or by address. Who is unknown is registered on the way. */

export interface NamedPerson<R extends string> {
  readonly user_id?: string | null | undefined;
  readonly user_email?: string | null | undefined;
  readonly role: R;
}

export interface ResolvedPerson<R extends string> {
  readonly userId: string;
  readonly role: R;
}

/** Who names them, and where they are to be members. */
export interface Naming {
  readonly caller: Caller | null;
  readonly tenantId: string;
}

/**
 * Throws Refusal(bad_request) for somebody without a name, and Refusal(user_exists) for somebody from
 * elsewhere who is named by id alone: whoever invites people knows their address, and membership shows it.
 */
export async function resolveMembers<R extends string>(
  deps: HttpDeps,
  command: Command,
  named: readonly NamedPerson<R>[],
  naming: Naming,
): Promise<readonly ResolvedPerson<R>[]> {
  await requireNamable(deps, named, naming);
  const resolved: ResolvedPerson<R>[] = [];
  for (const { user_id: id, user_email: email, role } of named) {
    const known = id || (await userIdByEmail(deps.db, email!));
    const userId = known || derivedId('usr', command.commandId, `member ${email!.toLowerCase()}`);
    await registerUnknown(deps, command, userId, email ?? null);
    resolved.push({ userId, role });
  }
  return resolved;
}

/** The user whom a request names, registered or not. Throws Refusal(bad_request | not_a_member). */
export async function personNamed(
  deps: HttpDeps,
  named: { readonly user_id?: string | null | undefined; readonly user_email?: string | null | undefined },
): Promise<string> {
  if (named.user_id) return named.user_id;
  if (!named.user_email) {
    const problem = 'Either user_id or user_email must be provided';
    throw new Refusal('bad_request', { problem }, { param: 'user_id' });
  }
  const userId = await userIdByEmail(deps.db, named.user_email);
  if (userId === undefined)
    throw new Refusal('not_a_member', { userId: named.user_email }, { param: 'user_email' });
  return userId;
}

async function registerUnknown(
  deps: HttpDeps,
  command: Command,
  userId: string,
  email: string | null,
): Promise<void> {
  const known = await deps.db
    .selectFrom('users')
    .select('user_id')
    .where('user_id', '=', userId)
    .executeTakeFirst();
  if (known !== undefined) return;
  if (email !== null) await keepContact(deps.db, 'user', userId, 1, { email });
  const { position } = await onUser(deps, partOf(command, `user ${userId}`), userId, {
    type: 'make',
    data: {
      id: userId,
      role: 'internal_user',
      limits: UNLIMITED,
      extra: NO_EXTRA,
      options: {},
      budgetId: null,
      contactVersion: email === null ? 0 : 1,
    },
  });
  await settle(deps, position);
}

/** Throws what resolveMembers refuses, before anything is written. */
export async function requireNamable(
  deps: HttpDeps,
  named: readonly NamedPerson<string>[],
  { caller, tenantId }: Naming,
): Promise<void> {
  for (const { user_id: id, user_email: email } of named) {
    if (!id && !email) {
      const problem = 'Every member needs user_id or user_email.';
      throw new Refusal('bad_request', { problem }, { param: 'member' });
    }
    if (!id || isAdmin(caller) || id === userIdOf(caller)) continue;
    if (email && (await userIdByEmail(deps.db, email)) === id) continue;
    if (await isElsewhere(deps, id, tenantId)) throw new Refusal('user_exists', { id }, { param: 'user_id' });
  }
}

/** A registered user who is no member of the tenant or of any of its projects. */
async function isElsewhere({ db }: HttpDeps, userId: string, tenantId: string): Promise<boolean> {
  const [user, member] = await Promise.all([
    db.selectFrom('users').select('user_id').where('user_id', '=', userId).executeTakeFirst(),
    db
      .selectFrom('members')
      .select('user_id')
      .where('user_id', '=', userId)
      .where('tenant_id', '=', tenantId)
      .executeTakeFirst(),
  ]);
  return user !== undefined && member === undefined;
}
