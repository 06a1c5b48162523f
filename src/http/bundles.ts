import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import type { FastifyReply } from 'fastify';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { Refusal } from '../errors.ts';
import type { BundleRequest, HttpDeps } from './deps.ts';
import { AnyValue, refusalAnswers } from './schemas.ts';

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

export function bundleRoutes({ bundles, log, now }: HttpDeps): FastifyPluginCallbackZod {
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
        const wanted = requestFrom(request.query);
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
            if (!out.destroyed) log.error({ err: error, requestId: request.id }, 'an export was cut off');
            // The connection breaks, so that nobody takes a part for the whole.
            out.destroy(error instanceof Error ? error : new Error('export failed'));
          },
        );
        const day = now().slice(0, 10);
        const name = [wanted.kind, request.query.id ?? '', day].filter((part) => part !== '').join('-');
        void reply.headers({
          'content-type': 'application/x-ndjson',
          'content-disposition': `attachment; filename="keyledger-${name.replaceAll(/[^\w.-]/g, '_')}.jsonl"`,
        });
        return (reply as FastifyReply).send(out);
      },
    );
    done();
  };
}

function requestFrom({ scope, id = '', agency_id: agencyId }: z.output<typeof Query>): BundleRequest {
  if (scope === 'all') return { kind: 'all' };
  return scope === 'invoice' ? { kind: 'invoice', number: id, agencyId } : { kind: scope, id };
}
