import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { tenantLimitsFor, type Terms } from '../domain/plan.ts';
import { readAgreed, readLimits, readTermsInForce } from '../domain/terms-json.ts';
import { Refusal } from '../errors.ts';
import type { Caller } from './caller.ts';
import type { HttpDeps } from './deps.ts';
import { homeTenantOf, keyOf } from './permissions.ts';
import { projectOf, tenantOf } from './read.ts';
import { After, refusalAnswers } from './schemas.ts';

const Model = z
  .object({
    id: z.string(),
    object: z.literal('model'),
    created: z.number(),
    owned_by: z.string(),
  })
  .meta({ id: 'Model' });

/** LiteLLM's date for every model; clients only want a number. */
const CREATED = 1_677_610_602;

const Query = After.extend({
  return_wildcard_routes: z.string().optional().describe('true: patterns such as `openai/*` too'),
  scope: z.string().optional().describe('expand'),
  team_id: z.string().optional(),
});

export function modelRoutes(): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    for (const url of ['/v1/models', '/models'] as const) {
      app.get(
        url,
        {
          config: { access: 'key' },
          schema: {
            summary: 'List the models that the key may call; asks nobody upstream',
            tags: ['models'],
            querystring: Query,
            response: {
              200: z.object({ object: z.literal('list'), data: z.array(Model) }),
              ...refusalAnswers,
            },
          },
        },
        async ({ deps, caller, query }) => {
          if (query.scope !== undefined && query.scope !== 'expand') {
            throw new Refusal('bad_request', { problem: 'scope can only be expand.' }, { param: 'scope' });
          }
          const patterns = query.return_wildcard_routes?.toLowerCase() === 'true';
          const names = await namesFor(deps, caller);
          const shown = names.filter((name) => patterns || !name.includes('*'));
          return { object: 'list' as const, data: shown.map(modelAnswer) };
        },
      );

      // Names such as openai/gpt-4o contain a slash, which not every client encodes.
      app.get(
        `${url}/*`,
        {
          config: { access: 'key' },
          schema: {
            summary: 'Show one model, if the key may call it',
            tags: ['models'],
            params: z.object({ '*': z.string().describe('Name of the model') }),
            querystring: After,
            response: { 200: Model, ...refusalAnswers },
          },
        },
        async ({ deps, caller, params }) => {
          const name = params['*'];
          if ((await namesFor(deps, caller)).includes(name)) return modelAnswer(name);
          throw new Refusal('not_found', { what: 'model' }, { param: 'model' });
        },
      );
    }
    done();
  };
}

function modelAnswer(id: string): z.output<typeof Model> {
  return { id, object: 'model', created: CREATED, owned_by: 'openai' };
}

/** The public names that the caller may use, in the order of the deployments. */
export async function namesFor(deps: HttpDeps, caller: Caller | null): Promise<readonly string[]> {
  const served = [...new Set(deps.models().map(({ publicName }) => publicName))];
  const key = keyOf(caller);
  const home = caller?.role === 'user' ? homeTenantOf(caller, deps.ownTenant) : key?.tenant_id;
  if (home === undefined) return served;
  const tenant = await tenantOf(deps.db, home);
  const terms = readTermsInForce(tenant);
  const project =
    key === null || key.project_id === null ? undefined : await projectOf(deps.db, key.project_id);
  const lists = [
    key?.models ?? [],
    project?.limits == null ? [] : readLimits(project.limits).models,
    terms === null ? [] : tenantLimitsFor(terms, readAgreed(tenant.agreed)).models,
  ];
  return served.filter((name) => isPriced(terms, name) && lists.every((list) => isListed(list, name)));
}

function isListed(list: readonly string[], name: string): boolean {
  if (list.length === 0) return true;
  return list.some((entry) => (entry.endsWith('*') ? name.startsWith(entry.slice(0, -1)) : entry === name));
}

/** Without a price nothing can be called; the agency's own keys are charged what things cost. */
function isPriced(terms: Terms | null, name: string): boolean {
  return terms === null || terms.prices.markupPercent !== null || Object.hasOwn(terms.prices.models, name);
}
