import { budgetWindow } from '../domain/duration.ts';
import { type ExtraLimits, type ModelLimits, NO_EXTRA } from '../domain/extra-limits.ts';
import type { Json, JsonObject } from '../domain/json.ts';
import { type Budget, type Limits, UNLIMITED } from '../domain/limits.ts';
import { nanosToNumber } from '../domain/money.ts';
import { Refusal } from '../errors.ts';
import { z } from 'zod';
import { requireDuration } from './durations.ts';
import { Amount, AnyJson, nanosOf, optional, Texts, Whole } from './schemas.ts';

/**
 * The limits of users, teams, organizations, end users, tags and budgets, as LiteLLM names them: one
 * set of fields, one way from a request to what the deciders take, one way back.
 */
export const limitFields = {
  max_budget: optional(Amount).describe('0: nothing may be spent; null: unlimited'),
  soft_budget: optional(Amount).describe('Reaching it only warns'),
  budget_duration: optional(z.string().max(50)).describe(
    'Window of the budget, on the calendar: 30s, 1d, 30d',
  ),
  tpm_limit: optional(Whole),
  rpm_limit: optional(Whole),
  max_parallel_requests: optional(Whole).describe('0: every call is refused'),
  model_max_budget: optional(AnyJson).describe('Model to {budget_limit, time_period, rpm_limit, tpm_limit}'),
  model_rpm_limit: optional(z.record(z.string(), Whole)),
  model_tpm_limit: optional(z.record(z.string(), Whole)),
  budget_limits: optional(z.array(AnyJson).max(20)).describe(
    '[{budget_duration, max_budget}]: all must hold',
  ),
};
export const modelsField = { models: optional(Texts).describe('Empty: every model of the enclosing scope') };

const Fields = z.object({ ...limitFields, ...modelsField });
export type LimitFields = Partial<z.output<typeof Fields>>;

/** What is limited, in the form that the deciders take. */
export interface LimitState {
  readonly limits: Limits;
  readonly extra: ExtraLimits;
  readonly options: JsonObject;
}

export const NO_LIMITS: LimitState = { limits: UNLIMITED, extra: NO_EXTRA, options: {} };

/** LiteLLM's names for "all that the enclosing scope allows". */
const ALL_MODELS: ReadonlySet<string> = new Set(['all-proxy-models', 'all-team-models']);
/** Echoed as they were sent. */
const ECHOED = ['model_max_budget', 'model_rpm_limit', 'model_tpm_limit'] as const;

/** A field that is left out stays; null clears. Throws Refusal(bad_request). */
export function patchLimits(fields: LimitFields, now: LimitState): LimitState {
  const { budget, waiting } = budgetFrom(fields, now);
  const { budget_duration: _, ...others } = now.options;
  const options: Record<string, Json> = {
    ...others,
    ...(waiting === null ? {} : { budget_duration: waiting }),
  };
  for (const name of ECHOED) {
    const value = fields[name];
    if (value === null) delete options[name];
    else if (value !== undefined) options[name] = value;
  }
  return {
    limits: {
      requestsPerMinute: countFrom('rpm_limit', fields.rpm_limit, now.limits.requestsPerMinute),
      tokensPerMinute: countFrom('tpm_limit', fields.tpm_limit, now.limits.tokensPerMinute),
      parallelRequests: countFrom(
        'max_parallel_requests',
        fields.max_parallel_requests,
        now.limits.parallelRequests,
      ),
      models: fields.models === undefined ? now.limits.models : modelsFrom(fields.models),
      budget,
    },
    extra: patchExtra(fields, now.extra),
    options,
  };
}

export function patchExtra(fields: LimitFields, now: ExtraLimits): ExtraLimits {
  const { soft_budget: soft, budget_limits: windows } = fields;
  return {
    softBudgetNanos:
      soft === undefined ? now.softBudgetNanos : soft === null ? null : amountOf('soft_budget', soft),
    budgets:
      windows === undefined
        ? now.budgets
        : (windows ?? []).map((window) => windowFrom('budget_limits', window)),
    byModel: byModelFrom(fields, now.byModel),
  };
}

/** A window without an amount limits nothing yet; it waits for one. */
function budgetFrom(
  { max_budget: amount, budget_duration: duration }: LimitFields,
  { limits, options }: LimitState,
): { readonly budget: Budget | null; readonly waiting: string | null } {
  const stored = options['budget_duration'];
  const known = limits.budget?.window ?? (typeof stored === 'string' ? stored : null);
  const window = duration === undefined ? known : duration === '' ? null : duration;
  if (window !== null) requireDuration('budget_duration', window);
  if (amount === null) return { budget: null, waiting: window };
  if (amount !== undefined)
    return { budget: { nanos: amountOf('max_budget', amount), window }, waiting: null };
  if (limits.budget === null) return { budget: null, waiting: window };
  return { budget: { nanos: limits.budget.nanos, window }, waiting: null };
}

function modelsFrom(models: readonly string[] | null): readonly string[] {
  return models === null || models.some((model) => ALL_MODELS.has(model)) ? [] : [...new Set(models)];
}

function countFrom(field: string, value: number | null | undefined, now: number | null): number | null {
  if (value === undefined) return now;
  if (value !== null && value < 0) throw badLimit(field, 'must not be negative');
  return value;
}

export function amountOf(field: string, value: z.output<typeof Amount>): bigint {
  const nanos = nanosOf(value);
  if (nanos < 0n) throw badLimit(field, 'must not be negative');
  return nanos;
}

function windowFrom(field: string, entry: Readonly<Record<string, Json>>): Budget {
  const amount = Amount.safeParse(entry['max_budget'] ?? entry['budget_limit']);
  const duration = entry['budget_duration'] ?? entry['time_period'] ?? null;
  if (!amount.success || (duration !== null && typeof duration !== 'string')) {
    throw badLimit(field, 'needs {max_budget, budget_duration} in every entry');
  }
  if (duration !== null) requireDuration(field, duration);
  return { nanos: amountOf(field, amount.data), window: duration };
}

type ByModel = Readonly<Record<string, ModelLimits>>;
const NO_MODEL_LIMITS: ModelLimits = { requestsPerMinute: null, tokensPerMinute: null, budget: null };

/** Three fields speak of the same models; each replaces only what it is about. */
function byModelFrom(fields: LimitFields, now: ByModel): ByModel {
  let models: ByModel = now;
  const put = (name: keyof ModelLimits, values: Readonly<Record<string, ModelLimits[keyof ModelLimits]>>) => {
    const names = new Set([...Object.keys(models), ...Object.keys(values)]);
    models = Object.fromEntries(
      [...names].map((model) => [
        model,
        { ...(models[model] ?? NO_MODEL_LIMITS), [name]: values[model] ?? null },
      ]),
    );
  };
  const { model_max_budget: budgets, model_rpm_limit: rpm, model_tpm_limit: tpm } = fields;
  if (budgets !== undefined) {
    const entries = Object.entries(budgets ?? {}).map(
      ([model, entry]) => [model, modelEntry(entry)] as const,
    );
    put('budget', Object.fromEntries(entries.map(([model, { budget }]) => [model, budget])));
    if (rpm === undefined) put('requestsPerMinute', picked(entries, 'requestsPerMinute', now));
    if (tpm === undefined) put('tokensPerMinute', picked(entries, 'tokensPerMinute', now));
  }
  if (rpm !== undefined) put('requestsPerMinute', countsIn('model_rpm_limit', rpm));
  if (tpm !== undefined) put('tokensPerMinute', countsIn('model_tpm_limit', tpm));
  const limited = Object.entries(models).filter(([, limits]) =>
    Object.values(limits).some((limit) => limit !== null),
  );
  return Object.fromEntries(limited);
}

/** What an entry does not name stays as it is. */
function picked(
  entries: readonly (readonly [string, ModelLimits])[],
  name: 'requestsPerMinute' | 'tokensPerMinute',
  now: ByModel,
): Readonly<Record<string, number | null>> {
  const before = Object.entries(now).map(([model, limits]) => [model, limits[name]] as const);
  const named = entries
    .filter(([, limits]) => limits[name] !== null)
    .map(([model, limits]) => [model, limits[name]] as const);
  return Object.fromEntries([...before, ...named]);
}

function modelEntry(entry: Json): ModelLimits {
  if (typeof entry === 'number')
    return { ...NO_MODEL_LIMITS, budget: windowFrom('model_max_budget', { max_budget: entry }) };
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) {
    throw badLimit('model_max_budget', 'needs {budget_limit, time_period} for every model');
  }
  const members = entry as JsonObject;
  const hasBudget = members['budget_limit'] !== undefined || members['max_budget'] !== undefined;
  return {
    requestsPerMinute: wholeOf('model_max_budget', members['rpm_limit']),
    tokensPerMinute: wholeOf('model_max_budget', members['tpm_limit']),
    budget: hasBudget ? windowFrom('model_max_budget', members) : null,
  };
}

function wholeOf(field: string, value: Json | undefined): number | null {
  if (value === undefined || value === null) return null;
  const whole = Whole.safeParse(value);
  if (!whole.success || whole.data < 0) throw badLimit(field, 'needs whole numbers that are not negative');
  return whole.data;
}

function countsIn(
  field: string,
  values: Readonly<Record<string, number>> | null,
): Readonly<Record<string, number>> {
  for (const value of Object.values(values ?? {})) {
    if (value < 0) throw badLimit(field, 'must not be negative');
  }
  return values ?? {};
}

export function badLimit(field: string, problem: string): Refusal {
  return new Refusal('bad_request', { problem: `${field} ${problem}.` }, { param: field });
}

/** The same fields in an answer. */
export const limitAnswer = {
  max_budget: z.number().nullable(),
  soft_budget: z.number().nullable(),
  budget_duration: z.string().nullable(),
  budget_reset_at: z.string().nullable(),
  tpm_limit: z.number().nullable(),
  rpm_limit: z.number().nullable(),
  max_parallel_requests: z.number().nullable(),
  models: z.array(z.string()),
  model_max_budget: AnyJson,
  model_rpm_limit: AnyJson,
  model_tpm_limit: AnyJson,
  budget_limits: z.array(
    z.object({
      max_budget: z.number(),
      budget_duration: z.string().nullable(),
      reset_at: z.string().nullable(),
    }),
  ),
};

/** Amounts become JSON numbers here and nowhere before. */
export function limitRecord({ limits, extra, options }: LimitState, zone: string, now: string) {
  const { budget } = limits;
  const stored = options['budget_duration'];
  const window = budget?.window ?? (typeof stored === 'string' ? stored : null);
  const echoed = (name: (typeof ECHOED)[number]) => ({ ...(options[name] as JsonObject | undefined) });
  return {
    max_budget: budget === null ? null : nanosToNumber(budget.nanos),
    soft_budget: extra.softBudgetNanos === null ? null : nanosToNumber(extra.softBudgetNanos),
    budget_duration: window,
    budget_reset_at: resetOf(window, zone, now),
    tpm_limit: limits.tokensPerMinute,
    rpm_limit: limits.requestsPerMinute,
    max_parallel_requests: limits.parallelRequests,
    models: [...limits.models],
    model_max_budget: echoed('model_max_budget'),
    model_rpm_limit: echoed('model_rpm_limit'),
    model_tpm_limit: echoed('model_tpm_limit'),
    budget_limits: windowRecords(extra.budgets, zone, now),
  };
}

export function windowRecords(budgets: readonly Budget[], zone: string, now: string) {
  return budgets.map(({ nanos, window }) => ({
    max_budget: nanosToNumber(nanos),
    budget_duration: window,
    reset_at: resetOf(window, zone, now),
  }));
}

export function resetOf(window: string | null, zone: string, now: string): string | null {
  return window === null ? null : budgetWindow(window, now, zone).endsAt;
}
