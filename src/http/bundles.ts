import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import type { FastifyReply } from 'fastify';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { Refusal } from '../errors.ts';
import type { BundleRequest, HttpDeps } from './deps.ts';
import { requireInvoiceSight } from './invoice-sight.ts';
import { After, AnyValue, refusalAnswers } from './schemas.ts';

/** The log, or what concerns one tenant, key or invoice, as a bundle that can be checked elsewhere. */
const Query = z
  .object({
    scope: z.enum(['all', 'tenant', 'key', 'invoice']),
    id: z.string().min(1).max(200).optional().describe('Of the tenant or key, or the number of the invoice'),
    agency_id: z.string().max(200).optional().describe('When several have an invoice of this number'),
  })
  .refine(({ scope, id }) => (scope === 'all') === (id === undefined), {
    path: ['id'],
    message: 'expected for everything but scope=all',
  });

export function bundleRoutes(deps: HttpDeps): FastifyPluginCallbackZod {
  const { bundles, log, now } = deps;

  /** Throws Refusal(not_found). */
  async function send(
    reply: FastifyReply,
    requestId: string,
    wanted: BundleRequest,
    label: string,
  ): Promise<FastifyReply> {
    const write = await bundles.open(wanted);
    if (write === null) throw new Refusal('not_found', { what: wanted.kind });
    const out = new PassThrough();
    // A reader who has gone ends the writing, too.
    const gone = once(out, 'close').catch(() => undefined);
    const put = async (text: string): Promise<void> => {
      if (out.destroyed) throw new Error('the reader of a bundle has gone');
      if (!out.write(text)) await Promise.race([once(out, 'drain'), gone]);
    };
    write(put).then(
      () => out.end(),
      (error: unknown) => {
        if (!out.destroyed) log.error({ err: error, requestId }, 'an export was cut off');
        // The connection breaks, so that nobody takes a part for the whole.
        out.destroy(error instanceof Error ? error : new Error('export failed'));
      },
    );
    const day = now().slice(0, 10);
    const name = [wanted.kind, label, day].filter((part) => part !== '').join('-');
    void reply.headers({
      'content-type': 'application/x-ndjson',
      'content-disposition': `attachment; filename="keyledger-${name.replaceAll(/[^\w.-]/g, '_')}.jsonl"`,
    });
    return reply.send(out);
  }

  return (app, _options, done) => {
    app.get(
      '/api/audit/bundles',
      {
        schema: {
          summary: 'Export the log, or a part of it with proofs, as a bundle of JSON lines',
          description: '`keyledger audit verify --offline <bundle>` checks it without this installation.',
          tags: ['audit'],
          querystring: Query,
          response: { 200: AnyValue.describe('The bundle, as application/x-ndjson'), ...refusalAnswers },
        },
      },
      async (request, reply) => {
        const { query, id } = request;
        return await send(reply, id, requestFrom(query), query.id ?? '');
      },
    );
    app.get(
      '/api/invoices/:id/events',
      {
        schema: {
          summary: 'The events behind an invoice, as a bundle that its recipient can check alone',
          description:
            '`keyledger audit verify --offline <bundle>` checks without this installation that every usage line is the sum of its requests, to the nano, and that all of it was sealed.',
          tags: ['invoices'],
          params: z.object({ id: z.string().max(100).describe('Id or number of an invoice') }),
          querystring: After,
          response: { 200: AnyValue.describe('The bundle, as application/x-ndjson'), ...refusalAnswers },
        },
      },
      async ({ caller, id: requestId, params: { id } }, reply) => {
        await requireInvoiceSight(deps, caller, id);
        const row = await deps.db
          .selectFrom('invoices')
          .select(['number', 'agency_id'])
          .where((eb) => eb.or([eb('invoice_id', '=', id), eb('number', '=', id)]))
          .executeTakeFirst();
        if (row === undefined || row.number === null) throw new Refusal('not_found', { what: 'invoice' });
        const { number, agency_id: agencyId } = row;
        return await send(reply, requestId, { kind: 'invoice', number, agencyId }, number);
      },
    );
    done();
  };
}

function requestFrom({ scope, id = '', agency_id: agencyId }: z.output<typeof Query>): BundleRequest {
  if (scope === 'all') return { kind: 'all' };
  return scope === 'invoice' ? { kind: 'invoice', number: id, agencyId } : { kind: scope, id };
}
