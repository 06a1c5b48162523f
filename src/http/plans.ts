import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Terms } from '../domain/plan.ts';
import { readTerms } from '../domain/terms-json.ts';
import { Refusal } from '../errors.ts';
import type { HttpDeps } from './deps.ts';
import type { Db } from './read.ts';
import { After, refusalAnswers } from './schemas.ts';
import { TermsAnswer, termsAnswer } from './terms.ts';

const Plan = z.object({
  name: z.string(),
  version: z.number(),
  published_at: z.string(),
  terms: TermsAnswer,
});

export function planRoutes({ db }: HttpDeps): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.get(
      '/api/plans',
      {
        schema: {
          summary: 'List the newest version of every plan',
          tags: ['plans'],
          querystring: After,
          response: { 200: z.object({ data: z.array(Plan), next_cursor: z.null() }), ...refusalAnswers },
        },
      },
      async () => {
        const rows = await newestPlans(db).orderBy('name').execute();
        const data = rows.map(({ name, version, published_at, terms }) => ({
          name,
          version: Number(version),
          published_at,
          terms: termsAnswer(readTerms(terms)),
        }));
        return { data, next_cursor: null };
      },
    );
    done();
  };
}

function newestPlans(db: Db) {
  return db
    .selectFrom('plans')
    .selectAll()
    .where('version', '=', (eb) =>
      eb
        .selectFrom('plans as other')
        .select((other) => other.fn.max('other.version').as('version'))
        .whereRef('other.name', '=', 'plans.name'),
    );
}

/** Throws Refusal(bad_request) that names the plans there are. */
export async function newestTermsOf(db: Db, plan: string): Promise<Terms> {
  const rows = await newestPlans(db).orderBy('name').execute();
  const found = rows.find(({ name }) => name === plan);
  if (found !== undefined) return readTerms(found.terms);
  const names = rows.map(({ name }) => name).join(', ');
  const problem = `There is no such plan. Plans: ${names === '' ? 'none has been published yet' : names}.`;
  throw new Refusal('bad_request', { problem }, { param: 'plan' });
}
