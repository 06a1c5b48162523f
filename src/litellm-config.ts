import { parseDocument } from 'yaml';
import { z } from 'zod';
import {
  type Deployment,
  MAX_OUTPUT_TOKENS_DEFAULT,
  UPSTREAM_TIMEOUT_MS_DEFAULT,
} from './domain/deployment.ts';
import { nanosFromNumber, rateFromPerToken } from './domain/money.ts';
import type { Routing } from './domain/routing.ts';
import { generalKeys, type KeyPolicySettings, keyPolicyOf, litellmKeys } from './litellm-keys.ts';
import type { OtherUnit, Rates } from './domain/spend.ts';
import {
  generalRouting,
  litellmRouting,
  routerSettings,
  routingOf,
  unknownTargets,
} from './litellm-routing.ts';

/**
 * A `litellm_config.yaml`: the models it lists and the settings that concern this product.
 * `os.environ/NAME` stands for an environment variable anywhere in it.
 */
export interface LitellmConfig {
  readonly deployments: readonly Deployment[];
  readonly routing: Routing;
  readonly masterKey: string | undefined;
  readonly databaseUrl: string | undefined;
  /** Lower-case name of the header that carries the key instead of the usual ones. */
  readonly keyHeader: string | undefined;
  readonly budgetExceededStatus: number | undefined;
  readonly keyPolicy: KeyPolicySettings;
  /** Options in the file that have no effect here, as `section.option`. */
  readonly ignored: readonly string[];
}

const CostPerToken = z.union([z.number().nonnegative(), z.string()]).nullish();
const Name = z.string().min(1);

export const ModelEntry = z.looseObject({
  model_name: Name,
  litellm_params: z.looseObject({
    model: Name,
    custom_llm_provider: Name.nullish(),
    api_base: z.url({ protocol: /^https?$/ }).optional(),
    api_key: z.string().nullish(),
    weight: z.number().positive().optional(),
    timeout: z.number().positive().optional(),
    stream_timeout: z.number().positive().optional(),
    rpm: z.number().int().positive().optional(),
    tpm: z.number().int().positive().optional(),
    input_cost_per_token: CostPerToken,
    cache_read_input_token_cost: CostPerToken,
    output_cost_per_token: CostPerToken,
    cache_creation_input_token_cost: CostPerToken,
    input_cost_per_audio_token: CostPerToken,
    output_cost_per_audio_token: CostPerToken,
    input_cost_per_image: CostPerToken,
    output_cost_per_image: CostPerToken,
    input_cost_per_query: CostPerToken,
    input_cost_per_character: CostPerToken,
    input_cost_per_second: CostPerToken,
    extra_headers: z.record(z.string(), z.string()).optional(),
  }),
  model_info: z
    .looseObject({
      id: Name.optional(),
      max_output_tokens: z.number().int().positive().optional(),
      /** Flat fee of a dedicated endpoint, in the currency of the agency. */
      monthly_cost: z.union([z.number().min(0), z.string().regex(/^\d{1,9}(\.\d{1,9})?$/)]).optional(),
    })
    .optional(),
});

const File = z.looseObject({
  model_list: z.array(ModelEntry).optional(),
  general_settings: z
    .looseObject({
      master_key: z.string().optional(),
      database_url: z.string().optional(),
      litellm_key_header_name: Name.optional(),
      ...generalRouting,
      ...generalKeys,
    })
    .nullish(),
  litellm_settings: z
    .looseObject({
      budget_exceeded_status_code: z.number().int().min(400).max(499).optional(),
      ...litellmRouting,
      ...litellmKeys,
    })
    .nullish(),
  router_settings: z.looseObject(routerSettings).nullish(),
});

const USED: Readonly<Record<string, readonly string[]>> = {
  general_settings: [
    'master_key',
    'database_url',
    'litellm_key_header_name',
    ...Object.keys({ ...generalRouting, ...generalKeys }),
  ],
  litellm_settings: ['budget_exceeded_status_code', ...Object.keys({ ...litellmRouting, ...litellmKeys })],
  router_settings: Object.keys(routerSettings),
};

/** Throws an Error that names every problem at once, with the file's name. */
export function readLitellmConfig(
  text: string,
  fileName: string,
  environment: Readonly<Record<string, string | undefined>>,
  upstreamBaseUrl: string | undefined,
): LitellmConfig {
  const document = parseDocument(text);
  const problems = document.errors.map((error) => error.message.split('\n')[0]!);
  if (problems.length > 0) throw new Error(`${fileName} is not valid YAML: ${problems.join('; ')}`);
  const missing: string[] = [];
  const resolved = resolve(document.toJS() ?? {}, environment, missing);
  const parsed = File.safeParse(resolved);
  if (missing.length > 0) problems.push(...missing.map((name) => `os.environ/${name} is not set`));
  if (!parsed.success) {
    problems.push(...parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`));
    throw new Error(`${fileName} is wrong: ${problems.join('; ')}`);
  }
  const { model_list: models = [], general_settings: general, litellm_settings: settings } = parsed.data;
  const deployments = models.flatMap((entry, index) => {
    const baseUrl = entry.litellm_params.api_base ?? upstreamBaseUrl;
    if (baseUrl !== undefined) return [deploymentFrom(entry, baseUrl, `${entry.model_name}#${index + 1}`)];
    problems.push(`model_list.${index}.litellm_params.api_base: set it, or UPSTREAM_BASE_URL`);
    return [];
  });
  const routing = routingOf(parsed.data.router_settings ?? {}, settings ?? {}, general ?? {});
  problems.push(
    ...unknownTargets(
      routing,
      models.map(({ model_name: name }) => name),
    ),
  );
  if (problems.length > 0) throw new Error(`${fileName} is wrong: ${problems.join('; ')}`);
  return {
    deployments,
    routing,
    masterKey: general?.master_key,
    databaseUrl: general?.database_url,
    keyHeader: general?.litellm_key_header_name?.toLowerCase(),
    budgetExceededStatus: settings?.budget_exceeded_status_code,
    keyPolicy: keyPolicyOf(settings ?? {}, general ?? {}, fileName),
    ignored: ignoredOptions(parsed.data),
  };
}

/** Replaces `os.environ/NAME`; names of unset variables are collected, except DATABASE_URL, which may come from elsewhere. */
function resolve(
  value: unknown,
  environment: Readonly<Record<string, string | undefined>>,
  missing: string[],
): unknown {
  if (typeof value === 'string' && value.startsWith('os.environ/')) {
    const name = value.slice('os.environ/'.length);
    const found = environment[name];
    if ((found === undefined || found === '') && name !== 'DATABASE_URL') missing.push(name);
    return found;
  }
  if (Array.isArray(value)) return value.map((item) => resolve(item, environment, missing));
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).map(([name, item]) => [name, resolve(item, environment, missing)]);
  return Object.fromEntries(entries.filter(([, item]) => item !== undefined));
}

/** What a request costs upstream, each per single piece. */
export const COST_PARAMS: readonly string[] = Object.keys(ModelEntry.shape.litellm_params.shape).filter(
  (name) => /_cost(_|$)/.test(name),
);

/** `id` is used where the entry names none. */
export function deploymentFrom(entry: z.infer<typeof ModelEntry>, baseUrl: string, id: string): Deployment {
  const { litellm_params: params, model_info: info, model_name: publicName } = entry;
  const model = withoutProvider(params.model);
  return {
    id: info?.id ?? id,
    publicName,
    provider: params.custom_llm_provider ?? providerIn(params.model),
    upstreamModel: model.includes('*') ? null : model,
    baseUrl: withVersionPath(baseUrl),
    apiKey: params.api_key ?? null,
    maxOutputTokens: info?.max_output_tokens ?? MAX_OUTPUT_TOKENS_DEFAULT,
    costRates: costRatesOf(params),
    ...(info?.monthly_cost === undefined ? {} : { monthlyCostNanos: nanosFromNumber(info.monthly_cost) }),
    weight: params.weight ?? 1,
    timeoutMs: params.timeout === undefined ? UPSTREAM_TIMEOUT_MS_DEFAULT : Math.ceil(params.timeout * 1000),
    streamTimeoutMs:
      params.stream_timeout === undefined ? undefined : Math.ceil(params.stream_timeout * 1000),
    requestsPerMinute: params.rpm,
    tokensPerMinute: params.tpm,
    extraHeaders: params.extra_headers ?? {},
  };
}

/** Null when the file says nothing about costs. */
function costRatesOf(params: z.infer<typeof ModelEntry>['litellm_params']): Rates | null {
  const input = params.input_cost_per_token ?? null;
  const output = params.output_cost_per_token ?? null;
  const others: readonly (readonly [OtherUnit, string | number | null | undefined])[] = [
    ['cache-write', params.cache_creation_input_token_cost],
    ['audio-input', params.input_cost_per_audio_token],
    ['audio-output', params.output_cost_per_audio_token],
    ['image', params.output_cost_per_image ?? params.input_cost_per_image],
    ['search', params.input_cost_per_query],
    ['character', params.input_cost_per_character],
    ['second', params.input_cost_per_second],
  ];
  const given = others.filter(([, cost]) => cost != null);
  if (input === null && output === null && given.length === 0) return null;
  return {
    input: rateFromPerToken(input ?? 0),
    'cached-input': rateFromPerToken(params.cache_read_input_token_cost ?? input ?? 0),
    output: rateFromPerToken(output ?? 0),
    ...Object.fromEntries(given.map(([unit, cost]) => [unit, rateFromPerToken(cost!)])),
  };
}

/** What stands before the first slash. */
function providerIn(model: string): string | undefined {
  const at = model.indexOf('/');
  return at > 0 ? model.slice(0, at) : undefined;
}

/** `openai/gpt-4o` is `gpt-4o` at an OpenAI-compatible endpoint. */
function withoutProvider(model: string): string {
  return model.replace(/^(openai|hosted_vllm|custom_openai|litellm_proxy|anthropic|cohere|jina_ai)\//, '');
}

/** An address without a path means the usual `/v1`. */
export function withVersionPath(baseUrl: string): string {
  const url = baseUrl.replace(/\/+$/, '');
  return new URL(url).pathname === '/' ? `${url}/v1` : url;
}

function ignoredOptions(file: z.infer<typeof File>): string[] {
  const sections = Object.entries(USED).flatMap(([section, used]) =>
    Object.keys((file as Record<string, object | null | undefined>)[section] ?? {})
      .filter((option) => !used.includes(option))
      .map((option) => `${section}.${option}`),
  );
  const known = new Set(['model_list', ...Object.keys(USED)]);
  return [...sections, ...Object.keys(file).filter((name) => !known.has(name))];
}
