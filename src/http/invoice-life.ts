import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { Refusal } from '../errors.ts';
import type { InvoiceLifeCommand, InvoiceRef } from './billing-desk.ts';
import { commandOf, metaFor, takeEffect } from './command.ts';
import type { App, HttpDeps } from './deps.ts';
import { AnyValue, After, refusalAnswers, ShortText } from './schemas.ts';
import { settle } from './settle.ts';

/** What happens to an invoice after it is final, and the proof that it is right. */
const Params = z.object({ id: z.string().max(100).describe('Id or invoice number') });
const Day = z.iso.date().describe('Local date such as 2026-12-15');
const Text = ShortText.trim().min(1);
const Recorded = z.object({ id: z.string(), position: z.string() });

export function invoiceLifeRoutes(deps: HttpDeps): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    sentRoute(app, deps);
    paidRoute(app, deps);
    failedRoute(app, deps);
    cancelRoute(app, deps);
    proofRoute(app);
    done();
  };
}

function sentRoute(app: App, deps: HttpDeps): void {
  app.post(
    '/api/invoices/:id/sent',
    {
      schema: {
        summary: 'Note that an invoice was sent',
        tags: ['invoices'],
        params: Params,
        body: z.strictObject({ channel: Text.default('by hand') }),
        response: { 200: Recorded, ...refusalAnswers },
      },
    },
    (request, reply) => record(deps, request, reply, { type: 'send', channel: request.body.channel }),
  );
}

function paidRoute(app: App, deps: HttpDeps): void {
  app.post(
    '/api/invoices/:id/paid',
    {
      schema: {
        summary: 'Note that an invoice was paid',
        tags: ['invoices'],
        params: Params,
        body: z.strictObject({
          paid_on: Day,
          method: Text.default('bank transfer'),
          reference: Text.nullable().default(null),
        }),
        response: { 200: Recorded, ...refusalAnswers },
      },
    },
    (request, reply) => {
      const { paid_on: paidOn, method, reference } = request.body;
      return record(deps, request, reply, { type: 'pay', paidOn, method, reference });
    },
  );
}

function failedRoute(app: App, deps: HttpDeps): void {
  app.post(
    '/api/invoices/:id/payment-failed',
    {
      schema: {
        summary: 'Note that a payment failed',
        tags: ['invoices'],
        params: Params,
        body: z.strictObject({ reason: Text, method: Text, reference: Text.nullable().default(null) }),
        response: { 200: Recorded, ...refusalAnswers },
      },
    },
    (request, reply) => record(deps, request, reply, { type: 'fail-payment', ...request.body }),
  );
}

function cancelRoute(app: App, deps: HttpDeps): void {
  app.post(
    '/api/invoices/:id/cancel',
    {
      schema: {
        summary: 'Take an invoice back by a Stornorechnung, and issue it anew when asked to',
        description:
          'The Stornorechnung has a number of its own and comes to exactly the opposite. With replace, the same usage is billed again with the contacts and tax facts of today. Safe to repeat.',
        tags: ['invoices'],
        params: Params,
        body: z.strictObject({ reason: Text, replace: z.boolean().default(false) }),
        response: {
          200: z.object({
            id: z.string(),
            cancellation: z.object({ id: z.string(), number: z.string() }),
            replacement: z.object({ id: z.string(), number: z.string() }).nullable(),
            position: z.string(),
          }),
          ...refusalAnswers,
        },
      },
    },
    async (request, reply) => {
      const { actor, correlationId, causationId } = commandOf(deps, request);
      const ref = await refOf(deps, request.params.id);
      const { reason, replace } = request.body;
      const cause = { actor, correlationId, causationId };
      const { state, replacement, position } = await deps.billing.cancel({ ...ref, reason, replace, cause });
      await takeEffect(deps, reply, position);
      const { cancellationId, number } = state.cancelled!;
      const finalized = replacement?.finalized;
      return {
        id: ref.invoiceId,
        cancellation: { id: cancellationId, number },
        replacement: finalized === undefined ? null : { id: finalized.invoiceId, number: finalized.number },
        position: String(position),
      };
    },
  );
}

function proofRoute(app: App): void {
  app.get(
    '/api/invoices/:id/proof',
    {
      schema: {
        summary: 'Compute an invoice again from the log and say whether it is equal',
        description: 'Reads the log up to the invoice once.',
        tags: ['invoices'],
        params: Params,
        querystring: After,
        response: { 200: AnyValue.describe('What it follows from, and every difference'), ...refusalAnswers },
      },
    },
    async ({ deps, params }) => deps.billing.proof(await refOf(deps, params.id)),
  );
}

async function record(
  deps: HttpDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  command: InvoiceLifeCommand,
): Promise<z.infer<typeof Recorded>> {
  const { id } = request.params as { readonly id: string };
  const ref = await refOf(deps, id);
  const { position } = await deps.billing.record(ref, command, metaFor(commandOf(deps, request), ref));
  await takeEffect(deps, reply, position);
  return { id: ref.invoiceId, position: String(position) };
}

/** Throws Refusal(not_found | bad_request). */
async function refOf(deps: HttpDeps, name: string): Promise<InvoiceRef> {
  await settle(deps, deps.appendedPosition());
  const rows = await deps.db
    .selectFrom('invoices')
    .select(['invoice_id', 'agency_id', 'tenant_id'])
    .where((eb) => eb.or([eb('invoice_id', '=', name), eb('number', '=', name)]))
    .limit(2)
    .execute();
  const [row] = rows;
  if (row === undefined) throw new Refusal('not_found', { what: 'invoice' });
  if (rows.length > 1) {
    throw new Refusal('bad_request', { problem: `Several agencies have an invoice ${name}: use its id.` });
  }
  return { invoiceId: row.invoice_id, agencyId: row.agency_id, tenantId: row.tenant_id };
}
