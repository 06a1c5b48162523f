import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { Refusal } from '../errors.ts';
import type { App } from './deps.ts';
import { type ModelInfo, ModelInfo as ModelInfoSchema, modelInfos } from './model-view.ts';
import { After, refusalAnswers, ShortText } from './schemas.ts';

/** What can be served, and for how much, to whoever asks. */

const route = (summary: string) => ({ summary, tags: ['models'] });

export function modelReadRoutes(): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    infoRoutes(app);
    pagedRoute(app);
    groupRoute(app);
    done();
  };
}

function infoRoutes(app: App): void {
  for (const url of ['/model/info', '/v1/model/info', '/model'] as const) {
    app.get(
      url,
      {
        schema: {
          ...route('List the deployments that the key may use, or show one'),
          querystring: After.extend({ litellm_model_id: ShortText.optional() }),
          response: { 200: z.object({ data: z.array(ModelInfoSchema) }), ...refusalAnswers },
        },
      },
      async ({ deps, caller, query: { litellm_model_id: id } }) => {
        const data = await modelInfos(deps, caller, id);
        if (id !== undefined && data.length === 0) {
          throw new Refusal(
            'bad_request',
            { problem: `There is no model ${id}.` },
            { param: 'litellm_model_id' },
          );
        }
        return { data: [...data] };
      },
    );
  }
}

function pagedRoute(app: App): void {
  app.get(
    '/v2/model/info',
    {
      schema: {
        ...route('List the deployments that the key may use, page by page'),
        querystring: After.extend({
          page: z.coerce.number().int().min(1).max(10_000_000).default(1),
          size: z.coerce.number().int().min(1).max(100).default(50),
          search: ShortText.optional().describe('Part of a name'),
          model: ShortText.optional(),
          modelId: ShortText.optional(),
        }),
        response: {
          200: z.object({
            data: z.array(ModelInfoSchema),
            total_count: z.number(),
            current_page: z.number(),
            total_pages: z.number(),
            size: z.number(),
          }),
          ...refusalAnswers,
        },
      },
    },
    async ({ deps, caller, query: { page, size, search, model, modelId } }) => {
      const wanted = search?.toLowerCase() ?? '';
      const all = (await modelInfos(deps, caller, modelId)).filter(
        ({ model_name: name }) => name.toLowerCase().includes(wanted) && (model ?? name) === name,
      );
      return {
        data: all.slice((page - 1) * size, page * size),
        total_count: all.length,
        current_page: page,
        total_pages: Math.ceil(all.length / size),
        size,
      };
    },
  );
}

const Group = z.looseObject({
  model_group: z.string(),
  providers: z.array(z.string()),
  mode: z.string(),
  input_cost_per_token: z.number().nullable(),
  output_cost_per_token: z.number().nullable(),
  max_input_tokens: z.number().nullable(),
  max_output_tokens: z.number().nullable(),
  rpm: z.number().nullable(),
  tpm: z.number().nullable(),
});

function groupRoute(app: App): void {
  app.get(
    '/model_group/info',
    {
      schema: {
        ...route('The models that the key may use, each once, however many deployments it has'),
        querystring: After.extend({ model_group: ShortText.optional() }),
        response: { 200: z.object({ data: z.array(Group) }), ...refusalAnswers },
      },
    },
    async ({ deps, caller, query: { model_group: wanted } }) => {
      const groups = new Map<string, ModelInfo[]>();
      for (const info of await modelInfos(deps, caller)) {
        const { model_name: name } = info;
        if ((wanted ?? name) === name) groups.set(name, [...(groups.get(name) ?? []), info]);
      }
      return { data: [...groups].map(([name, members]) => groupOf(name, members)) };
    },
  );
}

/** Prices are those of the first deployment; limits of all of them together. */
function groupOf(name: string, members: readonly ModelInfo[]): z.output<typeof Group> {
  const { model_info: first } = members[0]!;
  return {
    model_group: name,
    providers: ['openai'],
    mode: first.mode,
    input_cost_per_token: first.input_cost_per_token,
    output_cost_per_token: first.output_cost_per_token,
    max_input_tokens: numberIn(first['max_input_tokens']),
    max_output_tokens: first.max_output_tokens,
    rpm: sumOf(members, 'rpm'),
    tpm: sumOf(members, 'tpm'),
  };
}

function numberIn(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}

/** Null when one of them has no limit. */
function sumOf(members: readonly ModelInfo[], param: 'rpm' | 'tpm'): number | null {
  const limits = members.map(({ litellm_params: params }) => numberIn(params[param]));
  if (limits.includes(null)) return null;
  return limits.reduce((sum: number, limit) => sum + limit!, 0);
}
