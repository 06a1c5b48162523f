import { z } from 'zod';
import type { Json, JsonObject } from '../domain/json.ts';
import { nanosToNumber } from '../domain/money.ts';
import { NO_USAGE, type Usage } from '../domain/spend.ts';
import type { Terms } from '../domain/plan.ts';
import { readTermsInForce } from '../domain/terms-json.ts';
import { COST_PARAMS } from '../litellm-config.ts';
import type { Caller } from './caller.ts';
import type { HttpDeps, ServedModel } from './deps.ts';
import { namesFor } from './models.ts';
import { keyOf, seesAll } from './permissions.ts';
import { recordOf, type Tables, tenantOf } from './read.ts';
import { AnyJson } from './schemas.ts';

/** Models in LiteLLM's shape. Credentials are never in it; prices are those of whoever asks. */
export const ModelInfo = z
  .looseObject({
    model_name: z.string(),
    litellm_params: AnyJson,
    model_info: z.looseObject({
      id: z.string(),
      db_model: z.boolean().describe('False for models of the configuration, which cannot be changed here'),
      mode: z.string(),
      input_cost_per_token: z
        .number()
        .nullable()
        .describe('What the caller pays; null when it is not for sale'),
      output_cost_per_token: z.number().nullable(),
      cache_read_input_token_cost: z.number().nullable(),
      max_tokens: z.number().nullable(),
      max_output_tokens: z.number().nullable(),
    }),
  })
  .meta({ id: 'ModelInfo' });
export type ModelInfo = z.output<typeof ModelInfo>;

export type ModelRow = Tables['models'];

/** The deployments that the caller may use, in the order in which they are known. */
export async function modelInfos(
  deps: HttpDeps,
  caller: Caller | null,
  id?: string,
): Promise<readonly ModelInfo[]> {
  const names = new Set(await namesFor(deps, caller));
  const served = deps
    .models()
    .filter((model) => names.has(model.publicName) && (id ?? model.id) === model.id);
  const rows = await deps.db
    .selectFrom('models')
    .selectAll()
    .where('model_id', 'in', ['', ...served.map((model) => model.id)])
    .execute();
  const byId = new Map(rows.map((row) => [row.model_id, row]));
  const key = keyOf(caller);
  const tenant = key === null ? null : await tenantOf(deps.db, key.tenant_id);
  const terms = tenant === null ? null : readTermsInForce(tenant);
  const wide = seesAll(caller);
  return served.map((model) => modelInfo(deps, model, byId.get(model.id), terms, wide));
}

function modelInfo(
  deps: HttpDeps,
  model: ServedModel,
  row: ModelRow | undefined,
  terms: Terms | null,
  wide: boolean,
): ModelInfo {
  const price = (usage: Partial<Usage>) => perToken(deps, terms, model.publicName, usage);
  const info = row === undefined ? {} : recordOf(row.info);
  // Where a model is bought, and for how much, is for the administrators to know.
  const params = wide ? (row === undefined ? configuredParams(model) : shownParams(row)) : {};
  return {
    model_name: model.publicName,
    litellm_params: { model: model.upstreamModel ?? model.publicName, ...params },
    model_info: {
      ...(wide ? info : {}),
      id: model.id,
      db_model: row !== undefined,
      mode: typeof info['mode'] === 'string' ? info['mode'] : 'chat',
      input_cost_per_token: price({ inputTokens: MANY }),
      output_cost_per_token: price({ outputTokens: MANY }),
      cache_read_input_token_cost: price({ inputTokens: MANY, cachedInputTokens: MANY }),
      max_tokens: model.maxOutputTokens,
      max_output_tokens: model.maxOutputTokens,
      max_input_tokens: typeof info['max_input_tokens'] === 'number' ? info['max_input_tokens'] : null,
    },
  };
}

const MANY = 1_000_000;

function perToken(deps: HttpDeps, terms: Terms | null, name: string, usage: Partial<Usage>): number | null {
  // A pattern such as `openai/*` is asked for by a name that it matches.
  const nanos = deps.quote(terms, name.replace('*', 'x'), { ...NO_USAGE, ...usage });
  return typeof nanos === 'bigint' ? Number((nanosToNumber(nanos) / MANY).toPrecision(12)) : null;
}

function configuredParams(model: ServedModel): JsonObject {
  const { baseUrl, requestsPerMinute: rpm, tokensPerMinute: tpm } = model;
  return { api_base: baseUrl, ...(rpm === undefined ? {} : { rpm }), ...(tpm === undefined ? {} : { tpm }) };
}

/** As they were sent: costs are numbers again. */
function shownParams({ params }: ModelRow): Record<string, Json> {
  return Object.fromEntries(
    Object.entries(recordOf(params)).map(([name, value]) => [
      name,
      COST_PARAMS.includes(name) ? Number(value) : value,
    ]),
  );
}

/** A model as whoever keeps it sees it. */
export const ModelRecord = z.looseObject({
  model_id: z.string(),
  model_name: z.string(),
  litellm_params: AnyJson.describe('Without credentials'),
  model_info: AnyJson,
  created_at: z.string(),
  created_by: z.string(),
  updated_at: z.string(),
  updated_by: z.string(),
});

export function modelRecord(row: ModelRow): z.output<typeof ModelRecord> {
  return {
    model_id: row.model_id,
    model_name: row.name,
    litellm_params: shownParams(row),
    model_info: { ...recordOf(row.info), id: row.model_id, db_model: true },
    created_at: row.created_at,
    created_by: row.created_by,
    updated_at: row.updated_at,
    updated_by: row.updated_by,
  };
}
