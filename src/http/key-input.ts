import { expiryAfter } from '../domain/duration.ts';
import type { Json, JsonObject } from '../domain/json.ts';
import type { KeySettings } from '../domain/key.ts';
import { type Budget, ENVIRONMENTS, type Environment, type Limits } from '../domain/limits.ts';
import { DAY_MS, firstInstantAt, isoInstant } from '../domain/local-time.ts';
import { nanosToNumber } from '../domain/money.ts';
import { type Agreed, resolveLimits, type Terms } from '../domain/plan.ts';
import { Refusal } from '../errors.ts';
import { requireDuration } from './durations.ts';
import { keyExtraFrom } from './key-extra.ts';
import { type KeyFields, OPTION_NAMES } from './key-fields.ts';
import { nanosOf } from './schemas.ts';

/**
 * From LiteLLM's fields to what the key decider takes. A field that is left out stays as it is; null
 * clears it to what the contract gives, or to nothing.
 */

/** What the meaning of the fields depends on. */
export interface KeyContext {
  /** Instant of the command. */
  readonly at: string;
  /** Zone of the agency: a date ends there. */
  readonly zone: string;
  /** Of the tenant's contract; null for the agency's own tenant. */
  readonly terms: Terms | null;
  /** What the contract sets apart from its plan. */
  readonly agreed: Agreed | null;
  readonly projectId: string | null;
  /** Null for a key without a project that names none. */
  readonly environment: Environment | null;
}

export interface KeyInput {
  readonly limits: Limits;
  readonly settings: KeySettings;
}

export function newKey(fields: KeyFields, context: KeyContext): KeyInput {
  const blank: KeyInput = {
    limits: limitsOf(context, {}),
    settings: {
      alias: null,
      userId: null,
      projectId: null,
      environment: null,
      expiresAt: null,
      aliases: {},
      allowedRoutes: [],
      metadata: {},
      options: {},
    },
  };
  const key = changedKey(fields, blank, context);
  if (key.settings.expiresAt !== null && key.settings.expiresAt <= context.at) {
    throw badField('expires', 'lies in the past');
  }
  return key;
}

export function changedKey(fields: KeyFields, now: KeyInput, context: KeyContext): KeyInput {
  const { budget, options: withWindow } = budgetFrom(fields, now, context);
  const asked: Partial<Limits> = {
    ...countFrom('requestsPerMinute', 'rpm_limit', fields.rpm_limit, now, context),
    ...countFrom('tokensPerMinute', 'tpm_limit', fields.tpm_limit, now, context),
    ...countFrom('parallelRequests', 'max_parallel_requests', fields.max_parallel_requests, now, context),
    ...(fields.models === undefined ? {} : { models: modelsFrom(fields.models, context) }),
    budget,
  };
  const { settings } = now;
  const expiresAt = expiryFrom(fields, context);
  const options = optionsFrom(fields, withWindow, context);
  const extra = keyExtraFrom(fields, settings.extra, options);
  return {
    limits: changesLimits(fields, now, context) ? limitsOf(context, { ...now.limits, ...asked }) : now.limits,
    settings: {
      alias: fields.key_alias === undefined ? settings.alias : emptyIsNull(fields.key_alias),
      userId: fields.user_id === undefined ? settings.userId : emptyIsNull(fields.user_id),
      projectId: context.projectId,
      environment: context.environment,
      expiresAt: expiresAt === undefined ? settings.expiresAt : expiresAt,
      aliases: fields.aliases === undefined ? settings.aliases : (fields.aliases ?? {}),
      allowedRoutes: allowedRoutesFrom(fields) ?? settings.allowedRoutes,
      metadata: fields.metadata === undefined ? settings.metadata : (fields.metadata ?? {}),
      options,
      ...(extra === undefined ? {} : { extra }),
    },
  };
}

/** What is not asked for is not judged again: a contract may have become narrower since. */
function changesLimits(fields: KeyFields, now: KeyInput, context: KeyContext): boolean {
  const { rpm_limit, tpm_limit, max_parallel_requests, models, max_budget, budget_duration } = fields;
  const asked = [rpm_limit, tpm_limit, max_parallel_requests, models, max_budget, budget_duration];
  return asked.some((field) => field !== undefined) || context.environment !== now.settings.environment;
}

function limitsOf({ terms, agreed, environment }: KeyContext, asked: Partial<Limits>): Limits {
  return resolveLimits(terms, environment ?? 'production', asked, agreed);
}

function countFrom<N extends 'requestsPerMinute' | 'tokensPerMinute' | 'parallelRequests'>(
  name: N,
  field: string,
  value: number | null | undefined,
  now: KeyInput,
  context: KeyContext,
): { readonly [K in N]: number | null } {
  const result = (count: number | null) => ({ [name]: count }) as { readonly [K in N]: number | null };
  if (value === undefined) return result(now.limits[name]);
  if (value === null) return result(limitsOf(context, {})[name]);
  if (value < 0) throw badField(field, 'must not be negative');
  return result(value);
}

/** LiteLLM's names for "all that the enclosing scope allows". */
const ALL_MODELS: ReadonlySet<string> = new Set(['all-proxy-models', 'all-team-models']);

function modelsFrom(models: readonly string[] | null, context: KeyContext): readonly string[] {
  if (models === null || models.length === 0 || models.some((model) => ALL_MODELS.has(model))) {
    return limitsOf(context, {}).models;
  }
  return [...new Set(models)];
}

/** A window without an amount limits nothing yet; it waits among the options for an amount. */
function budgetFrom(
  fields: KeyFields,
  { limits, settings }: KeyInput,
  context: KeyContext,
): { readonly budget: Budget | null; readonly options: JsonObject } {
  const { budget_duration: stored, ...options } = settings.options;
  const known = limits.budget?.window ?? (typeof stored === 'string' ? stored : null);
  const window = fields.budget_duration === undefined ? known : emptyIsNull(fields.budget_duration);
  if (window !== null) requireDuration('budget_duration', window);
  if (fields.max_budget === null) {
    const budget = limitsOf(context, {}).budget;
    return { budget, options: withWindow(options, budget === null ? window : null) };
  }
  if (fields.max_budget !== undefined) {
    const nanos = nanosOf(fields.max_budget);
    if (nanos < 0n) throw badField('max_budget', 'must not be negative');
    return { budget: { nanos, window }, options };
  }
  if (limits.budget === null) return { budget: null, options: withWindow(options, window) };
  return { budget: { nanos: limits.budget.nanos, window }, options };
}

function withWindow(options: JsonObject, window: string | null): JsonObject {
  return window === null ? options : { ...options, budget_duration: window };
}

function expiryFrom(fields: KeyFields, { at, zone }: KeyContext): string | null | undefined {
  const { duration, expires } = fields;
  if (duration != null && duration !== '' && expires != null) {
    throw badField('expires', 'cannot be combined with duration');
  }
  if (expires != null) return expiryOf(expires, zone);
  if (duration == null || duration === '') return expires ?? (duration === null ? null : undefined);
  if (duration === '-1') return null;
  requireDuration('duration', duration);
  return expiryAfter(at, duration);
}

/** A date means to its very end; an instant is itself. */
function expiryOf(text: string, zone: string): string {
  const day = Date.parse(`${text}T00:00:00.000Z`);
  if (/^\d{4}-\d\d-\d\d$/.test(text) && isoInstant(day || 0).startsWith(text)) {
    return isoInstant(firstInstantAt(day + DAY_MS, zone));
  }
  const instant = Date.parse(text);
  if (
    !/^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(text) ||
    Number.isNaN(instant)
  ) {
    throw badField('expires', 'must be a date such as 2026-12-31 or an instant such as 2026-12-31T12:00:00Z');
  }
  return isoInstant(instant);
}

const ROUTES_OF_TYPE: Readonly<Record<string, readonly string[]>> = {
  default: [],
  llm_api: ['llm_api_routes'],
  management: ['management_routes'],
  read_only: ['info_routes'],
};

function allowedRoutesFrom({ allowed_routes, key_type }: KeyFields): readonly string[] | undefined {
  if (allowed_routes === null) return [];
  if (allowed_routes !== undefined && allowed_routes.length > 0) return allowed_routes;
  return key_type == null ? allowed_routes : ROUTES_OF_TYPE[key_type];
}

function optionsFrom(fields: KeyFields, now: JsonObject, { at }: KeyContext): JsonObject {
  const options: Record<string, Json> = { ...now };
  for (const name of OPTION_NAMES) {
    const value = fields[name];
    if (value === null) delete options[name];
    else if (value !== undefined) options[name] = value;
  }
  for (const name of ['soft_budget', 'temp_budget_increase'] as const) {
    const amount = fields[name];
    if (amount == null) continue;
    const nanos = nanosOf(amount);
    if (nanos < 0n) throw badField(name, 'must not be negative');
    options[name] = nanosToNumber(nanos);
  }
  if ((options['temp_budget_increase'] === undefined) !== (options['temp_budget_expiry'] === undefined)) {
    const problems = 'temp_budget_increase and temp_budget_expiry: send both or neither';
    throw new Refusal('invalid_input', { problems }, { param: 'temp_budget_increase' });
  }
  // Remembered, so that regenerating an expired key can give it the same lifetime again.
  if (fields.duration != null && fields.duration !== '-1') options['duration'] = fields.duration;
  else if (fields.duration !== undefined || fields.expires !== undefined) delete options['duration'];
  return withRotation(fields, options, at);
}

function withRotation(fields: KeyFields, options: Record<string, Json>, at: string): JsonObject {
  if (fields.auto_rotate === undefined && fields.rotation_interval === undefined) return options;
  delete options['key_rotation_at'];
  const { auto_rotate: rotates, rotation_interval: interval } = options;
  if (typeof interval === 'string') requireDuration('rotation_interval', interval);
  if (rotates !== true) return options;
  if (typeof interval !== 'string') throw badField('rotation_interval', 'is required with auto_rotate');
  return { ...options, key_rotation_at: expiryAfter(at, interval) };
}

/** The environment of a key in a project: named, else told by its metadata, else production. */
export function environmentFrom(fields: KeyFields): Environment {
  const told = fields.metadata?.['environment'];
  return fields.environment ?? ENVIRONMENTS.find((name) => name === told) ?? 'production';
}

function badField(field: string, problem: string): Refusal {
  return new Refusal('bad_request', { problem: `${field} ${problem}.` }, { param: field });
}

function emptyIsNull(text: string | null): string | null {
  return text === '' ? null : text;
}
