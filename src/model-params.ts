import { z } from 'zod';
import type { Deployment } from './domain/deployment.ts';
import type { Json, JsonObject } from './domain/json.ts';
import { COST_PARAMS, deploymentFrom, ModelEntry } from './litellm-config.ts';

/**
 * `litellm_params` as they are split for keeping: what is known to be harmless in clear, everything
 * else encrypted. A name that nobody here has heard of may well be a credential.
 */
const PLAIN: ReadonlySet<string> = new Set([
  'model',
  'api_base',
  'api_version',
  'organization',
  'custom_llm_provider',
  'region_name',
  'weight',
  'timeout',
  'stream_timeout',
  'max_retries',
  'rpm',
  'tpm',
  'max_tokens',
  'max_input_tokens',
  'max_output_tokens',
  'max_parallel_requests',
  'tags',
  'tier',
  ...COST_PARAMS,
]);

export interface SplitParams {
  readonly plain: JsonObject;
  /** Null when there is nothing to hide. */
  readonly secret: JsonObject | null;
}

export function splitParams(params: JsonObject): SplitParams {
  const plain: Record<string, Json> = {};
  const secret: Record<string, Json> = {};
  for (const [name, value] of Object.entries(params)) {
    if (value === null) continue;
    if (!PLAIN.has(name)) secret[name] = value;
    else plain[name] = COST_PARAMS.includes(name) ? plainDecimal(value) : value;
  }
  return { plain, secret: Object.keys(secret).length === 0 ? null : secret };
}

/** A cost as text without an exponent, so that it is stored as it was meant. */
function plainDecimal(value: Json): Json {
  if (typeof value !== 'number' && typeof value !== 'string') return value;
  const match = /^(\d+)(?:\.(\d+))?[eE]([+-]?\d+)$/.exec(String(value));
  if (match === null) return String(value);
  const [, whole = '', fraction = '', exponent = '0'] = match;
  const digits = whole + fraction;
  const point = whole.length + Number(exponent);
  if (point <= 0) return `0.${'0'.repeat(-point)}${digits}`;
  return point >= digits.length
    ? digits.padEnd(point, '0')
    : `${digits.slice(0, point)}.${digits.slice(point)}`;
}

/** What keeps a model from being served, in words that quote no value; null when nothing does. */
export type ModelProblem = { readonly path: string; readonly message: string };

/** The deployment that such a model is, or what is wrong with it. */
export function readModel(
  model: {
    readonly id: string;
    readonly name: string;
    readonly params: JsonObject;
    readonly info: JsonObject;
  },
  upstreamBaseUrl: string | undefined,
): { readonly deployment: Deployment } | { readonly problems: readonly ModelProblem[] } {
  const { id, name, params, info } = model;
  const entry = { model_name: name, litellm_params: params, model_info: { ...info, id } };
  const parsed = ModelEntry.safeParse(entry);
  if (!parsed.success) {
    return {
      problems: parsed.error.issues.map(({ path, message }) => ({ path: path.join('.'), message })),
    };
  }
  const baseUrl = parsed.data.litellm_params.api_base ?? upstreamBaseUrl;
  const path = 'litellm_params.api_base';
  if (baseUrl === undefined) return { problems: [{ path, message: 'say where the model is served' }] };
  const { username, password, search } = new URL(baseUrl);
  if (username !== '' || password !== '' || search !== '') {
    return { problems: [{ path, message: 'send credentials as api_key, not in the address' }] };
  }
  const costs = Object.entries(params).filter(([param]) => COST_PARAMS.includes(param));
  const bad = costs.filter(([, value]) => !COST.safeParse(value).success);
  if (bad.length > 0) {
    return {
      problems: bad.map(([param]) => ({
        path: `litellm_params.${param}`,
        message: 'expected a cost of 0 or more',
      })),
    };
  }
  return { deployment: deploymentFrom(parsed.data, baseUrl, id) };
}

const COST = z.union([z.number().nonnegative(), z.string().regex(/^\d{1,6}(\.\d{1,30})?$/)]);
