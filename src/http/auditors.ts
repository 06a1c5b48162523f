import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { auditor, type AuditScope } from '../domain/auditor.ts';
import { Refusal } from '../errors.ts';
import { derivedId, derivedSecret, hashSecret, maskSecret } from '../secrets.ts';
import { transact } from '../transact.ts';
import { commandOf, metaFor, takeEffect } from './command.ts';
import type { App, HttpDeps } from './deps.ts';
import { agencyOf, type AuditorRow, pageOf, placeIn, tenantOf } from './read.ts';
import { After, Page, refusalAnswers } from './schemas.ts';
import { settle } from './settle.ts';

/** Credentials for auditors: they read the audit API of one agency or one tenant, and nothing else. */
const Body = z.strictObject({
  scope: z.enum(['agency', 'tenant']),
  id: z.string().min(1).max(200).describe('Of the agency or the tenant'),
  expires: z.iso.datetime({ offset: true }).nullish().describe('Instant; null: never'),
});

const Auditor = z.object({
  id: z.string(),
  scope: z.string(),
  scope_id: z.string(),
  key_name: z.string(),
  status: z.string(),
  expires_at: z.string().nullable(),
  appointed_at: z.string(),
  appointed_by: z.string(),
  consultations: z.number().describe('Uses so far; each is an event in the log'),
  last_consulted_at: z.string().nullable(),
});

const Appointed = z.object({
  id: z.string(),
  secret: z.string().describe('Shown here and nowhere else'),
  expires_at: z.string().nullable(),
  position: z.string(),
});

export function auditorRoutes(deps: HttpDeps): FastifyPluginCallbackZod {
  const { store, db } = deps;
  return (app, _options, done) => {
    app.post(
      '/api/audit/credentials',
      {
        schema: {
          summary: 'Appoint an auditor: a secret that reads the audit API of one agency or one tenant',
          tags: ['audit'],
          body: Body,
          response: { 201: Appointed, ...refusalAnswers },
        },
      },
      async (request, reply) => {
        const command = commandOf(deps, request);
        const { scope: kind, id, expires } = request.body;
        await settle(deps, deps.appendedPosition());
        const owner = await ownerOf(deps, { kind, id });
        const auditorId = derivedId('aud', command.commandId, 'auditor');
        const secret = derivedSecret(deps.serverSecret, command.commandId, 'auditor');
        const expiresAt = expires === null || expires === undefined ? null : new Date(expires).toISOString();
        const keys = { tokenHash: hashSecret(secret), keyName: maskSecret(secret) };
        const { position } = await transact(
          store,
          auditor,
          `auditor-${auditorId}`,
          { type: 'appoint', auditor: { auditorId, scope: { kind, id }, ...keys, expiresAt } },
          metaFor(command, owner),
          { input: command.input },
        );
        await takeEffect(deps, reply, position);
        const answer = { id: auditorId, secret, expires_at: expiresAt, position: String(position) };
        return reply.status(201).send(answer);
      },
    );

    app.get(
      '/api/audit/credentials',
      {
        schema: {
          summary: 'List the auditors, dismissed ones too',
          tags: ['audit'],
          querystring: After,
          response: { 200: z.object({ data: z.array(Auditor), next_cursor: z.null() }), ...refusalAnswers },
        },
      },
      async () => {
        const rows = await db
          .selectFrom('auditors')
          .selectAll()
          .orderBy('appointed_at')
          .orderBy('auditor_id')
          .execute();
        return { data: rows.map(auditorAnswer), next_cursor: null };
      },
    );

    consultationsRoute(app, deps);

    app.delete(
      '/api/audit/credentials/:id',
      {
        schema: {
          summary: 'Dismiss an auditor: the secret is refused from the next request on',
          tags: ['audit'],
          params: z.object({ id: z.string() }),
          response: { 200: z.object({ id: z.string(), position: z.string() }), ...refusalAnswers },
        },
      },
      async (request, reply) => {
        const command = commandOf(deps, request);
        const { id } = request.params;
        await settle(deps, deps.appendedPosition());
        const row = await db
          .selectFrom('auditors')
          .selectAll()
          .where('auditor_id', '=', id)
          .executeTakeFirst();
        if (row === undefined) throw new Refusal('not_found', { what: 'auditor' });
        const owner = {
          agencyId: row.agency_id,
          tenantId: row.scope_kind === 'tenant' ? row.scope_id : null,
        };
        const { position } = await transact(
          store,
          auditor,
          `auditor-${id}`,
          { type: 'dismiss' },
          metaFor(command, owner),
          { input: command.input },
        );
        await takeEffect(deps, reply, position);
        return { id, position: String(position) };
      },
    );
    done();
  };
}

const Consultation = z.object({
  position: z.string(),
  auditor_id: z.string(),
  at: z.string(),
  route: z.string(),
  subject: z.string().nullable().describe('What was asked for, such as a key id'),
});

function consultationsRoute(app: App, { db }: HttpDeps): void {
  app.get(
    '/api/audit/consultations',
    {
      schema: {
        summary: 'Who looked at what: the uses of auditors, newest first',
        tags: ['audit'],
        querystring: Page.extend({ auditor_id: z.string().max(200).optional() }),
        response: {
          200: z.object({ data: z.array(Consultation), next_cursor: z.string().nullable() }),
          ...refusalAnswers,
        },
      },
    },
    async ({ query: { auditor_id: auditorId, cursor, limit } }) => {
      const place = placeIn(cursor, [/^\d{1,18}$/]);
      let wanted = db
        .selectFrom('consultations')
        .selectAll()
        .orderBy('position', 'desc')
        .limit(limit + 1);
      if (auditorId !== undefined) wanted = wanted.where('auditor_id', '=', auditorId);
      if (place !== undefined) wanted = wanted.where('position', '<', BigInt(place[0]!));
      const { rows, nextCursor } = pageOf(await wanted.execute(), limit, ({ position }) => [
        String(position),
      ]);
      const data = rows.map((row) => ({ ...row, position: String(row.position) }));
      return { data, next_cursor: nextCursor };
    },
  );
}

/** Throws Refusal(not_found). */
async function ownerOf(
  { db }: HttpDeps,
  { kind, id }: AuditScope,
): Promise<{ readonly agencyId: string; readonly tenantId: string | null }> {
  if (kind === 'agency') return { agencyId: (await agencyOf(db, id)).agency_id, tenantId: null };
  return { agencyId: (await tenantOf(db, id)).agency_id, tenantId: id };
}

function auditorAnswer(row: AuditorRow): z.output<typeof Auditor> {
  const { auditor_id: id, scope_kind: scope, token_hash: _, agency_id: __, consultations, ...shown } = row;
  return { id, scope, ...shown, consultations: Number(consultations) };
}
