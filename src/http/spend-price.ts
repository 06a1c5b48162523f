import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { nanosToNumber } from '../domain/money.ts';
import type { Usage } from '../domain/spend.ts';
import { readTermsInForce } from '../domain/terms-json.ts';
import { countChat, countText } from '../domain/tokens.ts';
import { Refusal } from '../errors.ts';
import type { Caller } from './caller.ts';
import type { App, HttpDeps } from './deps.ts';
import { keyOf } from './permissions.ts';
import { tenantOf } from './read.ts';
import { AnyValue, refusalAnswers, Whole } from './schemas.ts';

/** What a request costs the caller, before it is made or after it was answered. Nothing is kept of it. */

const TOKENS_MAX = 1e12;
const Count = Whole.pipe(z.number().int().min(0).max(TOKENS_MAX));
const route = (summary: string) => ({ summary, tags: ['spend'] });

export function spendPriceRoutes(): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    calculateRoute(app);
    estimateRoute(app);
    done();
  };
}

const Completion = z.looseObject({
  model: z.string().max(500),
  usage: z.looseObject({
    prompt_tokens: Count.default(0),
    completion_tokens: Count.default(0),
    prompt_tokens_details: z.looseObject({ cached_tokens: Count.nullish() }).nullish(),
  }),
});

function calculateRoute(app: App): void {
  app.post(
    '/spend/calculate',
    {
      schema: {
        ...route('The price of a prompt, or of an answer with its usage'),
        body: z.object({
          model: z.string().max(500).nullish(),
          messages: z.array(AnyValue).nullish(),
          prompt: z.string().nullish(),
          completion_response: Completion.nullish(),
        }),
        response: { 200: z.object({ cost: z.number() }), ...refusalAnswers },
      },
    },
    async ({ deps, caller, body }) => {
      const { model, messages, prompt, completion_response: answer } = body;
      if (answer != null) return { cost: await costOf(deps, caller, answer.model, usageOf(answer.usage)) };
      if (model == null || (messages == null && prompt == null)) {
        const problem = 'Send completion_response, or model with messages.';
        throw new Refusal('bad_request', { problem }, { param: model == null ? 'model' : 'messages' });
      }
      const inputTokens = messages == null ? countText(prompt!) : countChat(messages);
      return { cost: await costOf(deps, caller, model, tokens(inputTokens, 0, 0)) };
    },
  );
}

function usageOf(usage: z.output<typeof Completion>['usage']): Usage {
  const cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
  return tokens(usage.prompt_tokens, usage.completion_tokens, Math.min(cached, usage.prompt_tokens));
}

function tokens(inputTokens: number, outputTokens: number, cachedInputTokens: number): Usage {
  return { inputTokens, cachedInputTokens, outputTokens, reasoningTokens: 0 };
}

/** Throws Refusal(unknown_model | model_not_priced). */
async function costOf(deps: HttpDeps, caller: Caller | null, model: string, usage: Usage): Promise<number> {
  const key = keyOf(caller);
  const tenant = key === null ? null : await tenantOf(deps.db, key.tenant_id);
  const terms = tenant === null ? null : readTermsInForce(tenant);
  const nanos = deps.quote(terms, model, usage);
  if (nanos === null) throw new Refusal('unknown_model', { model }, { param: 'model' });
  if (nanos === 'unpriced') throw new Refusal('model_not_priced', { model }, { param: 'model' });
  return nanosToNumber(nanos);
}

const Costs = z.number().nullable();

function estimateRoute(app: App): void {
  app.post(
    '/cost/estimate',
    {
      schema: {
        ...route('What so many requests of one kind cost'),
        body: z.object({
          model: z.string().min(1).max(500),
          input_tokens: Count.default(0),
          output_tokens: Count.default(0),
          num_requests_per_day: Count.nullish(),
          num_requests_per_month: Count.nullish(),
        }),
        response: {
          200: z.object({
            model: z.string(),
            input_tokens: z.number(),
            output_tokens: z.number(),
            cost_per_request: z.number(),
            daily_cost: Costs,
            monthly_cost: Costs,
          }),
          ...refusalAnswers,
        },
      },
    },
    async ({ deps, caller, body }) => {
      const { model, input_tokens, output_tokens } = body;
      const one = await costOf(deps, caller, model, tokens(input_tokens, output_tokens, 0));
      const times = (count: number | null | undefined) => (count == null ? null : one * count);
      return {
        model,
        input_tokens,
        output_tokens,
        cost_per_request: one,
        daily_cost: times(body.num_requests_per_day),
        monthly_cost: times(body.num_requests_per_month),
      };
    },
  );
}
