import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { expiryAfter } from '../domain/duration.ts';
import { invitation, type InvitationCommand } from '../domain/invitation.ts';
import { Refusal } from '../errors.ts';
import { derivedId, derivedSecret, hashSecret } from '../secrets.ts';
import { transact } from '../transact.ts';
import { type Command, commandOf, metaFor, partOf, takeEffect } from './command.ts';
import type { App, HttpDeps } from './deps.ts';
import type { Tables } from './read.ts';
import { After, refusalAnswers } from './schemas.ts';
import { settle } from './settle.ts';
import { requireUser } from './user-view.ts';

/** Invitations: a link with a token that works once, for seven days. Only its hash is kept. */
const LIFETIME = '7d';

const Invitation = z
  .object({
    id: z.string(),
    user_id: z.string(),
    is_accepted: z.boolean(),
    accepted_at: z.string().nullable(),
    expires_at: z.string(),
    created_at: z.string(),
    created_by: z.string(),
    updated_at: z.string(),
    updated_by: z.string(),
  })
  .meta({ id: 'Invitation' });
const NewInvitation = Invitation.extend({
  token: z.string().describe('Confirms the invitation once; shown here and never again'),
  invitation_link: z.string().describe('The token is behind #, which browsers keep to themselves'),
});
const Named = z.object({ invitation_id: z.string().min(1).max(100) });

const route = (summary: string) => ({ summary, tags: ['users'] });

export function invitationRoutes(deps: HttpDeps): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    newRoute(app, deps);
    infoRoute(app);
    acceptRoute(app, deps);
    deleteRoute(app, deps);
    done();
  };
}

function newRoute(app: App, deps: HttpDeps): void {
  app.post(
    '/invitation/new',
    {
      schema: {
        ...route('Invite a user'),
        body: z.object({ user_id: z.string().min(1).max(100) }),
        response: { 200: NewInvitation, ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const { user_id: userId } = request.body;
      const command = commandOf(deps, request);
      await settle(deps, deps.appendedPosition());
      await requireUser(deps.db, userId);
      const invitationId = derivedId('ivt', command.commandId, 'invitation');
      const token = derivedSecret(deps.serverSecret, command.commandId, 'invitation').slice('sk-'.length);
      const issued = {
        invitationId,
        userId,
        tokenHash: hashSecret(token),
        expiresAt: expiryAfter(command.at, LIFETIME),
      };
      const { position } = await onInvitation(deps, command, invitationId, {
        type: 'issue',
        invitation: issued,
      });
      await takeEffect(deps, reply, position);
      const shown = await requireInvitation(deps, invitationId);
      const link = `${request.protocol}://${request.host}/ui/onboarding?id=${invitationId}#${token}`;
      return { ...answer(shown), token, invitation_link: link };
    },
  );
}

function infoRoute(app: App): void {
  app.get(
    '/invitation/info',
    {
      schema: {
        ...route('Show an invitation; never its token'),
        querystring: After.extend(Named.shape),
        response: { 200: Invitation, ...refusalAnswers },
      },
    },
    async ({ deps, query }) => answer(await requireInvitation(deps, query.invitation_id)),
  );
}

function acceptRoute(app: App, deps: HttpDeps): void {
  app.post(
    '/invitation/update',
    {
      schema: {
        ...route('Confirm an invitation with its token, once'),
        body: Named.extend({ token: z.string().min(1).max(200), is_accepted: z.literal(true).default(true) }),
        response: { 200: Invitation, ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const { invitation_id: id, token } = request.body;
      await acceptInvitation(deps, request, reply, { id, token });
      return answer(await requireInvitation(deps, id));
    },
  );
}

/** Confirms it once and returns the id of its user. Throws Refusal(not_found | invitation_used). */
export async function acceptInvitation(
  deps: HttpDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  { id, token }: { readonly id: string; readonly token: string },
): Promise<string> {
  await settle(deps, deps.appendedPosition());
  const { user_id: userId } = await requireInvitation(deps, id);
  const command: Command = { ...commandOf(deps, request, { kind: 'user', id: userId }) };
  // The token is no part of what a repetition is compared by: it must not stay anywhere.
  const input = { ...command.input, body: { invitation_id: id } };
  const accept = { type: 'accept', tokenHash: hashSecret(token), at: command.at } as const;
  const { position } = await onInvitation(deps, { ...command, input }, id, accept);
  await takeEffect(deps, reply, position);
  return userId;
}

function deleteRoute(app: App, deps: HttpDeps): void {
  app.post(
    '/invitation/delete',
    {
      schema: {
        ...route('Withdraw an invitation'),
        body: Named,
        response: { 200: Invitation, ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const command = commandOf(deps, request);
      const { invitation_id: id } = request.body;
      const { position } = await onInvitation(deps, command, id, { type: 'withdraw' });
      await takeEffect(deps, reply, position);
      return answer(await invitationRow(deps, id));
    },
  );
}

function onInvitation(deps: HttpDeps, command: Command, id: string, change: InvitationCommand) {
  const meta = metaFor(command, { agencyId: deps.ownTenant.agencyId, tenantId: null });
  return transact(deps.store, invitation, `invitation-${id}`, change, meta, { input: command.input });
}

/** Withdraws what a user has not used. */
export async function withdrawInvitations(deps: HttpDeps, command: Command, userId: string): Promise<void> {
  const open = await deps.db
    .selectFrom('invitations')
    .select('invitation_id')
    .where('user_id', '=', userId)
    .where('status', '!=', 'withdrawn')
    .execute();
  for (const { invitation_id: id } of open) {
    await onInvitation(deps, partOf(command, 'invitation'), id, { type: 'withdraw' });
  }
}

async function invitationRow({ db }: HttpDeps, id: string): Promise<Tables['invitations']> {
  const row = await db
    .selectFrom('invitations')
    .selectAll()
    .where('invitation_id', '=', id)
    .executeTakeFirst();
  if (row === undefined) throw new Refusal('not_found', { what: 'invitation' }, { param: 'invitation_id' });
  return row;
}

async function requireInvitation(deps: HttpDeps, id: string): Promise<Tables['invitations']> {
  const row = await invitationRow(deps, id);
  if (row.status !== 'withdrawn') return row;
  throw new Refusal('not_found', { what: 'invitation' }, { param: 'invitation_id' });
}

function answer(row: Tables['invitations']): z.output<typeof Invitation> {
  const { invitation_id: id, status, ...shown } = row;
  return { id, is_accepted: status === 'accepted', ...shown };
}
