import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { sql } from 'kysely';
import { z } from 'zod';
import { Refusal } from '../errors.ts';
import { derivedId } from '../secrets.ts';
import { generateKey } from './change-key.ts';
import { registerUser, removeUser } from './change-user.ts';
import { CREDENTIAL_PREFIX } from './credential-prefix.ts';
import { type Command, commandOf, hasRun, partOf, takeEffect } from './command.ts';
import type { App, HttpDeps } from './deps.ts';
import type { KeyIssuer } from './issue-key.ts';
import { onTenant } from './project-command.ts';
import { type Db, recordOf, tenantOf, type TenantRow } from './read.ts';
import { After, refusalAnswers } from './schemas.ts';
import { settle } from './settle.ts';
import { textOf } from './user-view.ts';

/**
 * Credentials of programs that use the API: apart from the sessions of people, and no keys for models.
 * Each is a user of its own with a role, so that the log names it as the one who did something, and
 * one key that opens what the role opens, and no model. Its id begins with `crd_`.
 */
const ROLES = ['proxy_admin', 'proxy_admin_viewer', 'org_admin'] as const;

/** Everything but the models: what of it is open follows from the role. */
const OPENED = [
  'management_routes',
  'info_routes',
  '/api/*',
  '/spend/*',
  '/global/*',
  '/cost/*',
  '/provider/*',
];

const Body = z.strictObject({
  name: z.string().trim().min(1).max(100).describe('What it is for; no two keys have the same'),
  role: z.enum(ROLES),
  tenant_id: z.string().min(1).max(200).nullish().describe('Of which tenant: org_admin, and no other role'),
  expires_at: z.iso.datetime({ offset: true }).nullish().describe('Instant; null: never'),
});

const Credential = z
  .object({
    id: z.string(),
    name: z.string().nullable(),
    role: z.enum(ROLES),
    tenant_id: z.string().nullable().describe('Null: the whole agency'),
    key_id: z.string(),
    key_name: z.string().describe('Ends like the secret'),
    status: z.string(),
    expires_at: z.string().nullable(),
    created_at: z.string(),
    created_by: z.string(),
  })
  .meta({ id: 'Credential' });

const Made = z.object({
  id: z.string(),
  secret: z.string().describe('Shown here and nowhere else'),
  key_id: z.string(),
  position: z.string(),
});

const route = (summary: string) => ({ summary, tags: ['credentials'] });

export function credentialRoutes(deps: HttpDeps, issuer: KeyIssuer): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    makeRoute(app, deps, issuer);
    listRoute(app, deps);
    revokeRoute(app, deps);
    done();
  };
}

function makeRoute(app: App, deps: HttpDeps, issuer: KeyIssuer): void {
  app.post(
    '/api/credentials',
    {
      schema: {
        ...route('Make a credential for a program: a secret with a role, for everything but models'),
        body: Body,
        response: { 201: Made, ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const { body, caller } = request;
      const command = commandOf(deps, request);
      await settle(deps, deps.appendedPosition());
      const tenant = await tenantFor(deps.db, body);
      const id = derivedId(CREDENTIAL_PREFIX, command.commandId, 'credential');
      await requireFreeName(deps, command, id, body.name);
      const wanted = {
        user_id: id,
        user_alias: body.name,
        user_role: body.role === 'org_admin' ? ('internal_user' as const) : body.role,
      };
      const { position: registered } = await registerUser(deps, command, wanted, caller);
      if (tenant !== null) {
        const member = { userId: id, role: 'org_admin', budget: null } as const;
        const add = { type: 'add-tenant-members', members: [member] } as const;
        await onTenant(deps, partOf(command, 'member'), tenant, add);
      }
      await settle(deps, registered);
      const fields = { user_id: id, key_alias: body.name, allowed_routes: OPENED, expires: body.expires_at };
      const made = await generateKey(deps, issuer, partOf(command, 'key'), fields, null, {
        caller,
        route: '/key/generate',
      });
      await takeEffect(deps, reply, made.position);
      const { key: secret, key_id } = made.answer;
      return reply.status(201).send({ id, secret, key_id, position: String(made.position) });
    },
  );
}

async function tenantFor(db: Db, { role, tenant_id: id }: z.output<typeof Body>): Promise<TenantRow | null> {
  if ((role === 'org_admin') !== (id != null)) {
    const problem = 'A credential of a tenant has the role org_admin, and no other has a tenant.';
    throw new Refusal('bad_request', { problem }, { param: 'tenant_id' });
  }
  return id == null ? null : await tenantOf(db, id);
}

/** Before anything is written: the key is made last. */
async function requireFreeName(deps: HttpDeps, command: Command, id: string, name: string): Promise<void> {
  if (await hasRun(deps.store, `user-${id}`, command)) return;
  const taken = await deps.db
    .selectFrom('keys')
    .select('key_id')
    .where('alias', '=', name)
    .where('status', '!=', 'deleted')
    .executeTakeFirst();
  if (taken !== undefined) throw new Refusal('alias_taken', { alias: name }, { param: 'name' });
}

function listRoute(app: App, { db }: HttpDeps): void {
  app.get(
    '/api/credentials',
    {
      schema: {
        ...route('List the credentials of programs'),
        querystring: After,
        response: { 200: z.object({ data: z.array(Credential), next_cursor: z.null() }), ...refusalAnswers },
      },
    },
    async () => {
      const rows = await credentialRows(db).execute();
      const data = rows.map(({ contact, user_role: role, tenant_id: tenantId, ...row }) => ({
        ...row,
        name: textOf(recordOf(contact ?? {})['alias']) ?? row.alias,
        role: tenantId === null ? (role as (typeof ROLES)[number]) : ('org_admin' as const),
        tenant_id: tenantId,
      }));
      return { data, next_cursor: null };
    },
  );
}

function credentialRows(db: Db) {
  return db
    .selectFrom('users')
    .innerJoin('keys', 'keys.user_id', 'users.user_id')
    .leftJoin('members', (join) =>
      join.onRef('members.user_id', '=', 'users.user_id').on('members.level', '=', 'tenant'),
    )
    .leftJoin('contacts', (join) => join.on(sql<boolean>`contacts.subject_id = 'user:' || users.user_id`))
    .select([
      'users.user_id as id',
      'users.role as user_role',
      'members.scope_id as tenant_id',
      'contacts.data as contact',
      'keys.alias',
      'keys.key_id',
      'keys.key_name',
      'keys.status',
      'keys.expires_at',
      'keys.created_at',
      'keys.created_by',
    ])
    .where('users.user_id', 'like', String.raw`${CREDENTIAL_PREFIX}\_%`)
    .where('keys.status', '!=', 'deleted')
    .orderBy('keys.created_at')
    .orderBy('keys.key_id');
}

function revokeRoute(app: App, deps: HttpDeps): void {
  app.delete(
    '/api/credentials/:id',
    {
      schema: {
        ...route('Revoke a credential: the secret is refused from the next request on'),
        params: z.object({ id: z.string().max(200) }),
        response: { 200: z.object({ id: z.string(), position: z.string() }), ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const command = commandOf(deps, request);
      const { id } = request.params;
      await settle(deps, deps.appendedPosition());
      const [found] = await credentialRows(deps.db).where('users.user_id', '=', id).limit(1).execute();
      if (found === undefined) throw new Refusal('not_found', { what: 'credential' });
      const position = await removeUser(deps, command, id);
      await takeEffect(deps, reply, position);
      return { id, position: String(position) };
    },
  );
}
