import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { Refusal } from '../errors.ts';
import { generateKey } from './change-key.ts';
import { changeUser, registerUser, removeUser } from './change-user.ts';
import { type Command, commandOf, partOf, takeEffect } from './command.ts';
import type { Caller } from './caller.ts';
import type { App, HttpDeps } from './deps.ts';
import type { KeyIssuer } from './issue-key.ts';
import { KeyWithSecret } from './key-fields.ts';
import { withdrawInvitations } from './invitations.ts';
import { onceEach } from './once-each.ts';
import { AnyJson, refusalAnswers } from './schemas.ts';
import { settle } from './settle.ts';
import { NewUserBody, UpdateUserBody } from './user-fields.ts';
import { requireUser, UserRecord, userRecord } from './user-view.ts';

/** What changes users. Reading them is in user-reads.ts. */

const BATCH_MAX = 500;
const route = (summary: string) => ({ summary, tags: ['users'] });

const NewUser = z
  .looseObject({
    ...UserRecord.shape,
    key: z.string().optional().describe('Secret of the key that was made; shown here and never again'),
    token: KeyWithSecret.shape.token.optional(),
  })
  .meta({ id: 'NewUser' });

export function userRoutes(deps: HttpDeps, issuer: KeyIssuer): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    newRoute(app, deps, issuer);
    updateRoutes(app, deps);
    deleteRoute(app, deps);
    done();
  };
}

function newRoute(app: App, deps: HttpDeps, issuer: KeyIssuer): void {
  app.post(
    '/user/new',
    {
      schema: {
        ...route('Register a user, with a key'),
        body: NewUserBody,
        response: { 200: NewUser, ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const { body } = request;
      const command = commandOf(deps, request);
      const { userId, position } = await registerUser(deps, command, body, request.caller);
      await settle(deps, position);
      const made =
        body.auto_create_key === false
          ? null
          : await keyFor(deps, issuer, command, body, userId, request.caller);
      await takeEffect(deps, reply, made !== null && made.position > position ? made.position : position);
      const record = userRecord(await requireUser(deps.db, userId), deps.now());
      return { ...made?.answer, ...record };
    },
  );
}

/** The key that a user starts with carries what was given for it; the limits of the user hold beside it. */
function keyFor(
  deps: HttpDeps,
  issuer: KeyIssuer,
  command: Command,
  body: z.output<typeof NewUserBody>,
  userId: string,
  caller: Caller | null,
) {
  const { key_alias, duration, team_id, key_type, models, organizations } = body;
  const organization_id = team_id ? undefined : organizations?.[0];
  const fields = { key_alias, duration, team_id, key_type, models, organization_id, user_id: userId };
  return generateKey(deps, issuer, partOf(command, 'key'), fields, null, {
    caller,
    route: '/user/new',
  });
}

function updateRoutes(app: App, deps: HttpDeps): void {
  app.post(
    '/user/update',
    {
      schema: {
        ...route('Change the named fields of a user; null clears'),
        body: UpdateUserBody.loose(),
        response: { 200: UserRecord, ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const command = commandOf(deps, request);
      const { userId, position } = await changeUser(deps, command, request.body, request.caller);
      await takeEffect(deps, reply, position);
      return userRecord(await requireUser(deps.db, userId), deps.now());
    },
  );

  const Changed = z.object({
    user_id: z.string().nullable(),
    success: z.boolean(),
    error: z.string().nullable(),
    updated_user: AnyJson.nullable(),
  });
  app.post(
    '/user/bulk_update',
    {
      schema: {
        ...route('Change many users, or all of them alike'),
        body: z.object({
          users: z.array(UpdateUserBody).max(BATCH_MAX).nullish(),
          all_users: z.boolean().nullish(),
          user_updates: UpdateUserBody.nullish(),
        }),
        response: {
          200: z.object({
            results: z.array(Changed),
            total_requested: z.number(),
            successful_updates: z.number(),
            failed_updates: z.number(),
          }),
          ...refusalAnswers,
        },
      },
    },
    async (request, reply) => {
      const command = commandOf(deps, request);
      await settle(deps, deps.appendedPosition());
      const wanted = await updatesOf(deps, request.body);
      let latest = 0n;
      const results: z.output<typeof Changed>[] = [];
      for (const [index, fields] of wanted.entries()) {
        const part = partOf(command, `user ${fields.user_id ?? fields.user_email ?? index}`);
        try {
          const { userId, position } = await changeUser(deps, part, fields, request.caller);
          if (position > latest) latest = position;
          const updated = userRecord(await requireUser(deps.db, userId), deps.now());
          results.push({ user_id: userId, success: true, error: null, updated_user: updated as never });
        } catch (error) {
          if (!(error instanceof Refusal)) throw error;
          results.push({
            user_id: fields.user_id ?? null,
            success: false,
            error: error.message,
            updated_user: null,
          });
        }
      }
      await takeEffect(deps, reply, latest);
      const successful = results.filter(({ success }) => success).length;
      const counts = { successful_updates: successful, failed_updates: results.length - successful };
      return { results, total_requested: results.length, ...counts };
    },
  );
}

async function updatesOf(
  { db }: HttpDeps,
  body: {
    users?: readonly z.output<typeof UpdateUserBody>[] | null | undefined;
    all_users?: boolean | null | undefined;
    user_updates?: z.output<typeof UpdateUserBody> | null | undefined;
  },
): Promise<readonly z.output<typeof UpdateUserBody>[]> {
  if (body.all_users === true && body.user_updates) {
    const fields = body.user_updates;
    const ids = await db.selectFrom('users').select('user_id').orderBy('user_id').execute();
    return ids.map(({ user_id }) => ({ ...fields, user_id, user_email: undefined }));
  }
  if (body.users && body.users.length > 0) return body.users;
  throw new Refusal(
    'bad_request',
    { problem: 'Send users, or all_users with user_updates.' },
    { param: 'users' },
  );
}

function deleteRoute(app: App, deps: HttpDeps): void {
  app.post(
    '/user/delete',
    {
      schema: {
        ...route('Delete users with their keys, memberships and invitations'),
        body: z.object({ user_ids: z.array(z.string().min(1).max(100)).min(1).max(BATCH_MAX) }),
        response: { 200: z.number().describe('How many'), ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const command = commandOf(deps, request);
      await settle(deps, deps.appendedPosition());
      const ids = [...new Set(request.body.user_ids)];
      const deleting = await onceEach(
        deps,
        command,
        ids,
        (id) => `user-${id}`,
        async (id) => {
          await requireUser(deps.db, id);
        },
      );
      let position = deps.appendedPosition();
      for (const id of deleting) {
        await withdrawInvitations(deps, command, id);
        const removed = await removeUser(deps, command, id);
        if (removed > position) position = removed;
      }
      await takeEffect(deps, reply, position);
      return ids.length;
    },
  );
}
