import type { FastifyReply } from 'fastify';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { ALERT_CHANNELS, ALERT_KINDS } from '../domain/alert-settings.ts';
import { derivedId } from '../secrets.ts';
import { type Command, commandOf, metaFor, takeEffect } from './command.ts';
import type { App, HttpDeps } from './deps.ts';
import { agencyOf } from './read.ts';
import { After, refusalAnswers } from './schemas.ts';
import { settle } from './settle.ts';

/** Whom an agency wants to have told of what needs somebody's attention, and a try whether they hear it. */
const AgencyParams = z.object({ id: z.string().max(100) });
const Params = AgencyParams.extend({ target: z.string().max(100) });

const Alerts = z.array(z.enum(ALERT_KINDS)).min(1).max(ALERT_KINDS.length);
const Given = {
  alerts: Alerts.describe('What it is told of'),
  language: z.enum(['de', 'en']),
  active: z.boolean(),
};

const Target = z
  .object({
    id: z.string(),
    channel: z.enum(ALERT_CHANNELS),
    address: z.string().nullable().describe('Of a webhook only its host; null: it cannot be read'),
    alerts: z.array(z.string()),
    language: z.string(),
    active: z.boolean(),
    last: z
      .object({ status: z.string(), note: z.string().nullable(), at: z.string() })
      .nullable()
      .describe('The newest alert that went there, or should have'),
  })
  .meta({ id: 'AlertTarget' });

const Secret = z
  .string()
  .nullable()
  .describe(
    'What messages are signed with; shown here and never again, null for mail. ' +
      'x-keyledger-signature is `t=<seconds>,v1=<hex>`, v1 the HMAC-SHA256 of `<seconds>.<body>` under it',
  );
const Done = z.object({ id: z.string(), position: z.string() });

export function alertRoutes(deps: HttpDeps): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    listRoute(app, deps);
    addRoute(app, deps);
    changeRoute(app, deps);
    secretRoute(app, deps);
    removeRoute(app, deps);
    testRoute(app, deps);
    done();
  };
}

const route = (summary: string) => ({ summary, tags: ['agencies'] });

/** The agency that is meant, and what the change is called in the log. */
async function begin(deps: HttpDeps, request: Parameters<typeof commandOf>[1], id: string) {
  const command: Command = commandOf(deps, request);
  await settle(deps, deps.appendedPosition());
  const { agency_id: agencyId } = await agencyOf(deps.db, id);
  return { command, agencyId, meta: metaFor(command, { agencyId, tenantId: null }) };
}

async function end<T extends object>(
  deps: HttpDeps,
  reply: FastifyReply,
  position: bigint,
  answer: T,
): Promise<T & { readonly position: string }> {
  await takeEffect(deps, reply, position);
  return { ...answer, position: String(position) };
}

function listRoute(app: App, deps: HttpDeps): void {
  app.get(
    '/api/agencies/:id/alerts',
    {
      schema: {
        ...route('List whom an agency has told of what needs attention'),
        params: AgencyParams,
        querystring: After,
        response: { 200: z.object({ data: z.array(Target), next_cursor: z.null() }), ...refusalAnswers },
      },
    },
    async ({ params: { id } }) => {
      const { agency_id: agencyId } = await agencyOf(deps.db, id);
      const targets = await deps.alerts.list(agencyId);
      const data = targets.map((target) => ({
        id: target.id,
        channel: target.channel,
        address: target.address,
        alerts: [...target.alerts],
        language: target.language,
        active: target.active,
        last: target.last,
      }));
      return { data, next_cursor: null };
    },
  );
}

function addRoute(app: App, deps: HttpDeps): void {
  app.post(
    '/api/agencies/:id/alerts',
    {
      schema: {
        ...route('Have a webhook or a mail address told of what needs attention'),
        description:
          'Webhooks are called over https and on public addresses only, unless ALERT_HOSTS_ALLOWED names the host. ' +
          'What holds at that moment is told as well.',
        params: AgencyParams,
        body: z.strictObject({
          channel: z.enum(ALERT_CHANNELS),
          address: z.string().trim().min(1).max(1_000),
          alerts: Given.alerts.default([...ALERT_KINDS]),
          language: Given.language.default('en'),
          active: Given.active.default(true),
        }),
        response: { 200: Done.extend({ secret: Secret }), ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const { command, agencyId, meta } = await begin(deps, request, request.params.id);
      const id = derivedId('alt', command.commandId, 'alert target');
      const { position, secret } = await deps.alerts.add(agencyId, id, request.body, meta);
      return await end(deps, reply, position, { id, secret });
    },
  );
}

function changeRoute(app: App, deps: HttpDeps): void {
  app.put(
    '/api/agencies/:id/alerts/:target',
    {
      schema: {
        ...route('Change what a target is told, where it is, or whether it is told at all'),
        description: 'What is left out stays as it is.',
        params: Params,
        body: z.strictObject({
          address: z.string().trim().min(1).max(1_000).optional(),
          alerts: Given.alerts.optional(),
          language: Given.language.optional(),
          active: Given.active.optional(),
        }),
        response: { 200: Done, ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const { agencyId, meta } = await begin(deps, request, request.params.id);
      const { address, alerts, language, active } = request.body;
      const changed = {
        ...(address === undefined ? {} : { address }),
        ...(alerts === undefined ? {} : { alerts }),
        ...(language === undefined ? {} : { language }),
        ...(active === undefined ? {} : { active }),
      };
      const id = request.params.target;
      const { position } = await deps.alerts.change(agencyId, id, changed, meta);
      return await end(deps, reply, position, { id });
    },
  );
}

function secretRoute(app: App, deps: HttpDeps): void {
  app.post(
    '/api/agencies/:id/alerts/:target/secret',
    {
      schema: {
        ...route('Give a webhook a new signing secret; the old one is no longer used'),
        params: Params,
        body: z.strictObject({}),
        response: { 200: Done.extend({ secret: Secret }), ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const { agencyId, meta } = await begin(deps, request, request.params.id);
      const id = request.params.target;
      const { position, secret } = await deps.alerts.renewSecret(agencyId, id, meta);
      return await end(deps, reply, position, { id, secret });
    },
  );
}

function removeRoute(app: App, deps: HttpDeps): void {
  app.delete(
    '/api/agencies/:id/alerts/:target',
    {
      schema: {
        ...route('Tell a target nothing from here on, and forget its address and secret'),
        params: Params,
        response: { 200: Done, ...refusalAnswers },
      },
    },
    async (request, reply) => {
      const { agencyId, meta } = await begin(deps, request, request.params.id);
      const id = request.params.target;
      const { position } = await deps.alerts.remove(agencyId, id, meta);
      return await end(deps, reply, position, { id });
    },
  );
}

function testRoute(app: App, deps: HttpDeps): void {
  app.post(
    '/api/agencies/:id/alerts/:target/test',
    {
      schema: {
        ...route('Send a test to a target now, and say what came of it'),
        params: Params,
        body: z.strictObject({}),
        response: {
          200: z.object({ ok: z.boolean(), detail: z.string(), duration_ms: z.number() }),
          ...refusalAnswers,
        },
      },
    },
    async ({ params: { id, target } }) => {
      const { agency_id: agencyId } = await agencyOf(deps.db, id);
      const { ok, detail, durationMs } = await deps.alerts.test(agencyId, target);
      return { ok, detail, duration_ms: durationMs };
    },
  );
}
