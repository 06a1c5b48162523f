import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { HttpDeps } from './deps.ts';
import { recordOf } from './read.ts';
import { After, AnyJson, refusalAnswers } from './schemas.ts';

const Agency = z.object({
  id: z.string(),
  name: z.string().nullable(),
  currency: z.string(),
  zone: z.string().describe('IANA zone in which its days and months begin'),
  invoice_series: z.string(),
  contact: AnyJson.describe('Legal name, address and tax numbers as they stand on invoices'),
});

export function agencyRoutes({ db }: HttpDeps): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.get(
      '/api/agencies',
      {
        schema: {
          summary: 'List the agencies',
          tags: ['agencies'],
          querystring: After,
          response: { 200: z.object({ data: z.array(Agency), next_cursor: z.null() }), ...refusalAnswers },
        },
      },
      async () => {
        const rows = await db
          .selectFrom('agencies')
          .leftJoin('contacts', (join) =>
            join
              .onRef('contacts.subject_id', '=', 'agencies.agency_id')
              .onRef('contacts.version', '=', (eb) => eb.cast<number>('agencies.contact_version', 'integer')),
          )
          .selectAll('agencies')
          .select('contacts.data as contact')
          .orderBy('agencies.agency_id')
          .execute();
        const data = rows.map((row) => {
          const contact = recordOf(row.contact);
          return {
            id: row.agency_id,
            name: typeof contact['name'] === 'string' ? contact['name'] : null,
            currency: row.currency,
            zone: row.zone,
            invoice_series: row.invoice_series,
            contact: { ...contact },
          };
        });
        return { data, next_cursor: null };
      },
    );
    done();
  };
}
