import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { Refusal } from '../errors.ts';
import { hashPassword, isPassword, PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN } from '../passwords.ts';
import { sameSecret } from '../secrets.ts';
import { shownBrand } from './agency-brand.ts';
import { callerOfUser, MASTER_USER_ID, rolesOf } from './authenticate.ts';
import type { Caller } from './caller.ts';
import { contactOf, userIdByEmail } from './contacts.ts';
import type { App, HttpDeps } from './deps.ts';
import { acceptInvitation } from './invitations.ts';
import { loginThrottle } from './login-throttle.ts';
import { userIdOf } from './permissions.ts';
import { textOf } from './user-view.ts';
import { agencyOf, recordOf } from './read.ts';
import { refusalAnswers } from './schemas.ts';
import { contactAnswer, projectRows, tenantRows } from './tenant-view.ts';
import {
  closeSession,
  closeSessionsOf,
  findSession,
  openSession,
  requireConsole,
  sessionTokenOf,
} from './session.ts';
import { settle } from './settle.ts';

/** Signing in to the console and out of it. */
const Password = z.string().min(1).max(PASSWORD_LENGTH_MAX);
const NewPassword = Password.min(PASSWORD_LENGTH_MIN, `at least ${PASSWORD_LENGTH_MIN} characters`);

const Named = z.object({ id: z.string(), name: z.string().nullable(), role: z.string() });
const SessionAnswer = z
  .object({
    user: z.object({ id: z.string(), email: z.string().nullable(), name: z.string().nullable() }),
    roles: z.array(z.string()).describe('As in x-roles'),
    tenants: z.array(Named),
    projects: z.array(Named.extend({ tenant_id: z.string() })),
    agency: z.object({
      id: z.string(),
      name: z.string().nullable(),
      zone: z.string(),
      currency: z.string(),
      accent: z.string().nullable().describe('#rrggbb, readable on white; null: the plain one'),
      logo: z.string().nullable().describe('Path of its logo; null: none'),
    }),
    expires_at: z.string().nullable().describe('Null without a session: the request came with a key'),
  })
  .meta({ id: 'Session' });

const route = (summary: string) => ({ summary, tags: ['sessions'] });

export function sessionRoutes(deps: HttpDeps): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    signInRoute(app, deps);
    acceptRoute(app, deps);
    showRoute(app, deps);
    passwordRoute(app, deps);
    signOutRoutes(app, deps);
    done();
  };
}

function signInRoute(app: App, deps: HttpDeps): void {
  const throttle = loginThrottle(deps);
  app.post(
    '/api/session',
    {
      schema: {
        ...route('Sign in to the console: with its own name and password, or as an invited user'),
        description: 'Sets a cookie. Needs the header x-keyledger-console, so that no other site can do it.',
        body: z.strictObject({ username: z.string().trim().min(1).max(254), password: Password }),
        response: { 200: SessionAnswer, ...refusalAnswers },
      },
    },
    async (request, reply) => {
      requireConsole(request);
      const { username: name, password } = request.body;
      const attempt = { name, address: request.ip };
      await throttle.begin(attempt);
      const found = await userFor(deps, name, password);
      if (found === null) throw new Refusal('login_failed', {}, { param: 'password' });
      await throttle.succeeded(attempt);
      const session = await openSession(deps, request, reply, found);
      return answerFor(deps, await callerOfUser(deps, session.userId), session.expiresAt);
    },
  );
}

/** Null when there is no such user, or the password is another one. */
async function userFor(
  deps: HttpDeps,
  name: string,
  password: string,
): Promise<{ readonly userId: string; readonly asAdministrator: boolean } | null> {
  const { username, password: expected } = deps.console;
  const isAdministrator = sameSecret(name, username) && sameSecret(password, expected);
  if (isAdministrator) return { userId: MASTER_USER_ID, asAdministrator: true };
  await settle(deps, deps.appendedPosition());
  const userId = name.includes('@') ? ((await userIdByEmail(deps.db, name)) ?? name) : name;
  const row = await deps.db
    .selectFrom('passwords')
    .innerJoin('users', 'users.user_id', 'passwords.user_id')
    .select('passwords.hash')
    .where('passwords.user_id', '=', userId)
    .executeTakeFirst();
  const matches = await isPassword(password, row?.hash ?? null);
  return matches ? { userId, asAdministrator: false } : null;
}

function acceptRoute(app: App, deps: HttpDeps): void {
  app.post(
    '/api/session/invitation',
    {
      schema: {
        ...route('Accept an invitation with its token, choose a password, and sign in'),
        body: z.strictObject({
          invitation_id: z.string().min(1).max(100),
          token: z.string().min(1).max(200),
          password: NewPassword,
        }),
        response: { 200: SessionAnswer, ...refusalAnswers },
      },
    },
    async (request, reply) => {
      requireConsole(request);
      const { invitation_id: id, token, password } = request.body;
      const hash = await hashPassword(password);
      const userId = await acceptInvitation(deps, request, reply, { id, token });
      await keepPassword(deps, userId, hash);
      const session = await openSession(deps, request, reply, { userId, asAdministrator: false });
      return answerFor(deps, await callerOfUser(deps, userId), session.expiresAt);
    },
  );
}

function showRoute(app: App, deps: HttpDeps): void {
  app.get(
    '/api/session',
    {
      schema: {
        ...route('Who is signed in, what they may see, and under which agency'),
        response: { 200: SessionAnswer, ...refusalAnswers },
      },
    },
    async (request) => {
      const token = sessionTokenOf(request);
      const session = request.bySession && token !== null ? await findSession(deps, token) : null;
      return answerFor(deps, request.caller!, session?.expiresAt ?? null);
    },
  );
}

function passwordRoute(app: App, deps: HttpDeps): void {
  app.post(
    '/api/session/password',
    {
      schema: {
        ...route('Change your password; ends all your other sessions'),
        body: z.strictObject({ current: Password, password: NewPassword }),
        response: { 200: z.object({ user_id: z.string() }), ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const userId = userIdOf(request.caller);
      const row =
        userId === null
          ? undefined
          : await deps.db
              .selectFrom('passwords')
              .select('hash')
              .where('user_id', '=', userId)
              .executeTakeFirst();
      if (userId === null || !request.bySession || row === undefined) {
        const problem = 'Only who signed in with a password of their own can change it.';
        throw new Refusal('not_yours', { problem });
      }
      if (!(await isPassword(request.body.current, row.hash))) {
        throw new Refusal('login_failed', {}, { param: 'current' });
      }
      await keepPassword(deps, userId, await hashPassword(request.body.password));
      await openSession(deps, request, reply, { userId, asAdministrator: false });
      return { user_id: userId };
    },
  );
}

function signOutRoutes(app: App, deps: HttpDeps): void {
  const response = {
    200: z.object({ closed: z.number().describe('Sessions that ended') }),
    ...refusalAnswers,
  };
  app.delete('/api/session', { schema: { ...route('Sign out'), response } }, async (request, reply) => {
    requireConsole(request);
    await closeSession(deps, request, reply);
    return { closed: 1 };
  });
  app.delete(
    '/api/sessions',
    { schema: { ...route('Sign out everywhere: end all your sessions'), response } },
    async (request, reply) => {
      const userId = userIdOf(request.caller);
      const closed = userId === null ? 0 : await closeSessionsOf(deps, userId);
      await closeSession(deps, request, reply);
      return { closed };
    },
  );
}

/** A new password ends every session that was opened with the old one. */
async function keepPassword(deps: HttpDeps, userId: string, hash: string): Promise<void> {
  const kept = { hash, changed_at: deps.now() };
  await deps.db
    .insertInto('passwords')
    .values({ user_id: userId, ...kept })
    .onConflict((conflict) => conflict.column('user_id').doUpdateSet(kept))
    .execute();
  await closeSessionsOf(deps, userId);
}

async function answerFor(
  deps: HttpDeps,
  caller: Caller,
  expiresAt: string | null,
): Promise<z.output<typeof SessionAnswer>> {
  const { db } = deps;
  const userId = userIdOf(caller) ?? '';
  const [contact, agency, tenants, projects] = await Promise.all([
    contactOf(db, 'user', userId),
    ownAgency(deps),
    tenantsOf(deps, caller),
    projectsOf(deps, caller),
  ]);
  return {
    user: { id: userId, email: textOf(contact['email']), name: textOf(contact['alias']) },
    roles: [...rolesOf(caller)],
    tenants,
    projects,
    agency,
    expires_at: expiresAt,
  };
}

async function ownAgency(deps: HttpDeps) {
  const { db, ownTenant } = deps;
  const agency = await agencyOf(db, ownTenant.agencyId);
  const contact = await db
    .selectFrom('contacts')
    .select('data')
    .where('subject_id', '=', agency.agency_id)
    .where('version', '=', Number(agency.contact_version))
    .executeTakeFirst();
  const name = textOf(recordOf(contact?.data ?? {})['name']);
  const brand = await shownBrand(deps, agency.agency_id);
  return { id: agency.agency_id, name, zone: agency.zone, currency: agency.currency, ...brand };
}

async function tenantsOf({ db }: HttpDeps, caller: Caller) {
  if (caller.role !== 'user' || caller.standing.tenants.size === 0) return [];
  const { tenants } = caller.standing;
  const rows = await tenantRows(db)
    .where('tenants.tenant_id', 'in', [...tenants.keys()])
    .execute();
  return rows.map((row) => ({
    id: row.tenant_id,
    name: contactAnswer(row.contact).name,
    role: tenants.get(row.tenant_id)!,
  }));
}

async function projectsOf({ db }: HttpDeps, caller: Caller) {
  if (caller.role !== 'user' || caller.standing.projects.size === 0) return [];
  const { projects } = caller.standing;
  const rows = await projectRows(db)
    .where('projects.project_id', 'in', [...projects.keys()])
    .execute();
  return rows.map(({ project_id: id, name, tenant_id }) => ({
    id,
    name,
    tenant_id,
    role: projects.get(id)!.role,
  }));
}
