import { z } from 'zod';
import { parseDuration } from './domain/duration.ts';
import type { Budget, Limits } from './domain/limits.ts';
import { formatNanos, parseNanos, TOKENS_PER_RATE } from './domain/money.ts';
import type { KeyRules, ModelPrice, Terms, UnitRates } from './domain/plan.ts';
import type { OtherUnit } from './domain/spend.ts';
import type { Tiers } from './domain/tiers.ts';

/** A plan file: what may stand in it, and the terms that it means. */

const AMOUNT = 'write the amount in quotes with two decimals, such as "12.34"';
const RATE =
  'write the price of 1,000,000 tokens in quotes with at most three decimals, such as "0.15", so that one token costs whole nanos';
const PERCENT = 'write the percentage in quotes, such as "20" or "12.5", or null';

const Amount = z
  .string(AMOUNT)
  .regex(/^\d{1,9}\.\d{2}$/, AMOUNT)
  .transform(parseNanos);
const Rate = z
  .string(RATE)
  .regex(/^\d{1,6}(\.\d{1,3})?$/, RATE)
  .transform(parseNanos);
export const Percent = z
  .string(PERCENT)
  .regex(/^\d{1,4}(\.\d{1,4})?$/, PERCENT)
  .transform((text) => formatNanos(parseNanos(text)));
const Count = z.number('write a whole number, or null for no limit').int().max(1_000_000_000);
const Text = z.string().trim().min(1);

const Window = z.string().superRefine((text, context) => {
  try {
    parseDuration(text);
  } catch (error) {
    context.addIssue((error as RangeError).message);
  }
});

const PER_PIECE = 'write the price of one in quotes, with at most nine decimals, such as "0.04"';
const PieceRate = z
  .string(PER_PIECE)
  .regex(/^\d{1,6}(\.\d{1,9})?$/, PER_PIECE)
  .transform((text) => parseNanos(text) * TOKENS_PER_RATE);

/** Other units by their name in the file; all may be left out. */
const OtherRates = {
  cache_write: Rate.optional(),
  audio_input: Rate.optional(),
  audio_output: Rate.optional(),
  characters: Rate.optional(),
  image: PieceRate.optional(),
  search: PieceRate.optional(),
  second: PieceRate.optional(),
};

/** Names in the file of the units whose prices may have steps. */
const TIERED = { input: 'input', cached_input: 'cached-input', output: 'output' } as const;
const UpTo = z
  .number('write the last unit of the step as a whole number, or null for the last step')
  .int()
  .positive();
const TierOfUnit = z.union([
  z.strictObject({
    mode: z.enum(['graduated', 'volume']),
    steps: z.array(z.strictObject({ up_to: UpTo.nullable(), price: Rate })).min(2),
  }),
  z.strictObject({ mode: z.literal('package'), size: UpTo }),
]);
const TiersOfModel = z.strictObject({
  input: TierOfUnit.optional(),
  cached_input: TierOfUnit.optional(),
  output: TierOfUnit.optional(),
});

/** A model's prices, in a plan or agreed apart from it. */
export const PriceOfModel = z
  .strictObject({
    input: Rate,
    cached_input: Rate,
    output: Rate,
    ...OtherRates,
    tiers: TiersOfModel.optional(),
  })
  .superRefine(({ tiers = {}, ...price }, context) => {
    for (const name of Object.keys(TIERED) as (keyof typeof TIERED)[]) {
      const tier = tiers[name];
      if (tier === undefined || tier.mode === 'package') continue;
      const path = ['tiers', name, 'steps'];
      if (tier.steps[0]!.price !== price[name]) {
        const message = `the first step has to cost what ${name} costs: requests are recorded at that price`;
        context.addIssue({ code: 'custom', path, message });
      }
      const places = tier.steps.map(({ up_to: upTo }) => upTo ?? Infinity);
      const ascends = places.every((place, i) => i === 0 || place > places[i - 1]!);
      if (ascends && places.at(-1) === Infinity) continue;
      context.addIssue({
        code: 'custom',
        path,
        message: 'the steps have to ascend, and the last one to be up_to: null',
      });
    }
  })
  .transform(({ input, cached_input: cached, output, tiers, ...others }): ModelPrice => {
    const unitRates = unitRatesOf(others);
    const tokens = { inputRate: input, cachedInputRate: cached, outputRate: output };
    return {
      ...tokens,
      ...(unitRates === null ? {} : { unitRates }),
      ...(tiers === undefined ? {} : { tiers: tiersOf(tiers, { input, cached_input: cached, output }) }),
    };
  });

function tiersOf(
  raw: z.output<typeof TiersOfModel>,
  rates: Readonly<Record<keyof typeof TIERED, bigint>>,
): NonNullable<ModelPrice['tiers']> {
  const named = (Object.keys(TIERED) as (keyof typeof TIERED)[]).flatMap((name) => {
    const tier = raw[name];
    if (tier === undefined) return [];
    const read: Tiers =
      tier.mode === 'package'
        ? { mode: 'package', steps: [{ upTo: null, rate: rates[name] }], packageSize: BigInt(tier.size) }
        : { mode: tier.mode, steps: tier.steps.map(stepOf), packageSize: 0n };
    return [[TIERED[name], read] as const];
  });
  return Object.fromEntries(named);
}

function stepOf({ up_to: upTo, price }: { readonly up_to: number | null; readonly price: bigint }) {
  return { upTo: upTo === null ? null : BigInt(upTo), rate: price };
}

function unitRatesOf(
  raw: Readonly<Partial<Record<keyof typeof OtherRates, bigint | undefined>>>,
): UnitRates | null {
  const rates: readonly (readonly [OtherUnit, bigint | undefined])[] = [
    ['cache-write', raw.cache_write],
    ['audio-input', raw.audio_input],
    ['audio-output', raw.audio_output],
    ['character', raw.characters],
    ['image', raw.image],
    ['search', raw.search],
    ['second', raw.second],
  ];
  const given = rates.filter(([, rate]) => rate !== undefined);
  return given.length === 0 ? null : Object.fromEntries(given);
}

const LimitSet = z
  .strictObject({
    requests_per_minute: Count.positive().nullable(),
    tokens_per_minute: Count.positive().nullable(),
    parallel_requests: Count.positive().nullable(),
    budget: z
      .strictObject({ amount: Amount, window: Window.nullable() })
      .transform((raw): Budget => ({ nanos: raw.amount, window: raw.window }))
      .nullable(),
    models: z.array(z.string().regex(/^(\*|[^\s*]+(\/\*)?)$/, 'write a model name, prefix/* or *')),
  })
  .transform(
    (raw): Limits => ({
      requestsPerMinute: raw.requests_per_minute,
      tokensPerMinute: raw.tokens_per_minute,
      parallelRequests: raw.parallel_requests,
      models: raw.models,
      budget: raw.budget,
    }),
  );

const KeyRulesOfPlan = z.strictObject({
  lifetime_max: Window.nullable(),
  rotation: Window.nullable(),
  keys_max: Count.positive().nullable(),
  projects_max: Count.positive().nullable(),
});

const ThrottleRates = z.strictObject({
  requests_per_minute: Count.positive().nullable(),
  tokens_per_minute: Count.positive().nullable(),
});

function overageProblems(file: {
  readonly overage?: 'bill' | 'block' | 'throttle' | undefined;
  readonly throttle?: z.output<typeof ThrottleRates> | undefined;
  readonly included_usage: bigint;
  readonly included_tokens?: number | undefined;
  readonly included_requests?: number | undefined;
}): readonly string[] {
  const { overage = 'bill', throttle } = file;
  const others = file.included_tokens ?? file.included_requests;
  const problems: string[] = [];
  if (overage !== 'bill' && (file.included_usage === 0n || others !== undefined)) {
    problems.push(`${overage} needs included_usage as an amount above zero, and no tokens or requests`);
  }
  if ((overage === 'throttle') !== (throttle !== undefined)) {
    problems.push('throttle: {requests_per_minute, tokens_per_minute} goes with overage: throttle');
  }
  if (throttle !== undefined && throttle.requests_per_minute === null && throttle.tokens_per_minute === null)
    problems.push('throttle needs a rate that is not null');
  return problems;
}

export const PlanFile = z
  .strictObject({
    name: z.string().regex(/^[a-z][a-z0-9-]{0,39}$/, 'write lower-case letters, digits and -'),
    version: z.number('write a whole number from 1 on').int().positive(),
    title: Text,
    description: Text,
    // Currencies with two decimals: invoices count in hundredths.
    currency: z.enum(['EUR', 'USD', 'CHF', 'GBP']),
    monthly_fee: Amount,
    included_usage: Amount,
    // What may be left out: there is none of it then.
    project_fee: Amount.optional(),
    included_tokens: z.number('write a whole number of tokens').int().positive().optional(),
    included_requests: z.number('write a whole number of requests').int().positive().optional(),
    minimum_commitment: Amount.optional(),
    overage: z.enum(['bill', 'block', 'throttle']).optional(),
    // Of all keys of the tenant together, for usage beyond what is included.
    throttle: ThrottleRates.optional(),
    fees: z.enum(['arrears', 'advance']).optional(),
    trial_days: z.number('write a whole number of days').int().min(1).max(366).optional(),
    notice_period: Window.optional(),
    key_rules: KeyRulesOfPlan.optional(),
    prices: z.strictObject({
      markup_percent: Percent.nullable(),
      models: z.record(z.string().regex(/^[^\s*]{1,200}$/, 'write one model name, without *'), PriceOfModel),
    }),
    limits: z.strictObject({ production: LimitSet, staging: LimitSet }),
    tenant_limits: LimitSet,
  })
  .superRefine((file, context) => {
    for (const message of overageProblems(file)) {
      context.addIssue({ code: 'custom', path: ['overage'], message });
    }
    if (file.prices.markup_percent !== null) return;
    const sets = { 'limits.production': file.limits.production, 'limits.staging': file.limits.staging };
    for (const [place, { models }] of Object.entries({ ...sets, tenant_limits: file.tenant_limits })) {
      for (const [index, name] of models.entries()) {
        if (name.endsWith('*') || Object.hasOwn(file.prices.models, name)) continue;
        const path = [...place.split('.'), 'models', index];
        context.addIssue({
          code: 'custom',
          path,
          message: `${name} has no price, and there is no markup_percent`,
        });
      }
    }
  });

export function termsOf(file: z.infer<typeof PlanFile>): Terms {
  return {
    plan: file.name,
    planVersion: file.version,
    currency: file.currency,
    monthlyFeeNanos: file.monthly_fee,
    includedUsageNanos: file.included_usage,
    prices: { models: file.prices.models, markupPercent: file.prices.markup_percent },
    limits: file.limits,
    tenantLimits: file.tenant_limits,
    ...(file.project_fee === undefined ? {} : { projectFeeNanos: file.project_fee }),
    ...(file.included_tokens === undefined ? {} : { includedTokens: BigInt(file.included_tokens) }),
    ...(file.included_requests === undefined ? {} : { includedRequests: BigInt(file.included_requests) }),
    ...(file.minimum_commitment === undefined ? {} : { commitmentNanos: file.minimum_commitment }),
    ...(file.fees === 'advance' ? { feesInAdvance: true } : {}),
    ...overageOf(file),
    ...(file.key_rules === undefined ? {} : { keyRules: keyRulesOf(file.key_rules) }),
    ...(file.trial_days === undefined ? {} : { trialDays: file.trial_days }),
    ...(file.notice_period === undefined ? {} : { notice: file.notice_period }),
  };
}

function overageOf({
  overage,
  throttle,
}: Pick<z.infer<typeof PlanFile>, 'overage' | 'throttle'>): Pick<Terms, 'overage'> {
  if (overage === 'block') return { overage: { policy: 'block' } };
  if (overage !== 'throttle' || throttle === undefined) return {};
  const { requests_per_minute: requestsPerMinute, tokens_per_minute: tokensPerMinute } = throttle;
  return { overage: { policy: 'throttle', requestsPerMinute, tokensPerMinute } };
}

function keyRulesOf(raw: z.output<typeof KeyRulesOfPlan>): KeyRules {
  return {
    lifetimeMax: raw.lifetime_max,
    rotation: raw.rotation,
    keysMax: raw.keys_max,
    projectsMax: raw.projects_max,
  };
}

/** The JSON Schema of a plan file, for editors; `plans/plan.schema.json` is this. */
export function planSchema(): object {
  return z.toJSONSchema(PlanFile, { io: 'input', target: 'draft-7' });
}
