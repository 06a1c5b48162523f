import { z } from 'zod';
import { TOKENS_PER_RATE } from '../domain/money.ts';
import { type Limits, UNLIMITED } from '../domain/limits.ts';
import type { Agreed, AgreedLimits, ModelPrice, Terms, UnitRates } from '../domain/plan.ts';
import { OTHER_UNITS, type OtherUnit, priceBase } from '../domain/spend.ts';
import { limitsAnswer, LimitsAnswer, Money, money } from './schemas.ts';

/** What a plan offers and a contract agrees, as the API shows it. */

const Price = z.object({
  input: Money.describe('Per million tokens of the prompt'),
  cached_input: Money.describe('Per million tokens of the prompt that the upstream had cached'),
  output: Money.describe('Per million tokens of the completion'),
  units: z
    .partialRecord(z.enum(OTHER_UNITS), Money)
    .optional()
    .describe(
      'Of other units, where the model has such prices: per image, search and second, per million of the rest',
    ),
});

export const TermsAnswer = z
  .object({
    plan: z.string(),
    plan_version: z.number(),
    currency: z.string(),
    monthly_fee: Money,
    included_usage: Money.describe('Usage of a month, at its prices, that the fee covers'),
    prices: z.object({
      models: z.record(z.string(), Price).describe('By public model name, per million tokens'),
      markup_percent: z
        .string()
        .nullable()
        .describe('On cost, for other models; null: they cannot be called'),
    }),
    limits: z.object({ production: LimitsAnswer, staging: LimitsAnswer }).describe('Of each key'),
    tenant_limits: LimitsAnswer.describe('Of all keys of the tenant together'),
  })
  .meta({ id: 'Terms' });

const AgreedLimitsAnswer = LimitsAnswer.partial();
export const AgreedAnswer = z
  .object({
    production: AgreedLimitsAnswer.optional(),
    staging: AgreedLimitsAnswer.optional(),
    tenant: AgreedLimitsAnswer.optional(),
  })
  .nullable()
  .describe('What the contract sets apart from the plan');

export function agreedAnswer(agreed: Agreed | null, currency: string): z.infer<typeof AgreedAnswer> {
  if (agreed === null) return null;
  const { production, staging } = agreed.limits ?? {};
  const sets = Object.entries({ production, staging, tenant: agreed.tenantLimits });
  return Object.fromEntries(
    sets.flatMap(([name, limits]) =>
      limits === undefined ? [] : [[name, agreedLimitsAnswer(limits, currency)] as const],
    ),
  );
}

/** Only the members that are set. */
function agreedLimitsAnswer(agreed: AgreedLimits, currency: string): z.infer<typeof AgreedLimitsAnswer> {
  const shown = limitsAnswer({ ...UNLIMITED, ...(agreed as Partial<Limits>) }, currency);
  const names = {
    requestsPerMinute: 'requests_per_minute',
    tokensPerMinute: 'tokens_per_minute',
    parallelRequests: 'parallel_requests',
    models: 'models',
    budget: 'budget',
  } as const;
  const set = (Object.keys(names) as (keyof typeof names)[]).filter((name) => agreed[name] !== undefined);
  return Object.fromEntries(set.map((name) => [names[name], shown[names[name]]]));
}

export function termsAnswer(terms: Terms): z.infer<typeof TermsAnswer> {
  const { currency, prices } = terms;
  const models = Object.entries(prices.models).map(([model, price]) => [model, priceAnswer(price, currency)]);
  return {
    plan: terms.plan,
    plan_version: terms.planVersion,
    currency,
    monthly_fee: money(terms.monthlyFeeNanos, currency),
    included_usage: money(terms.includedUsageNanos, currency),
    prices: {
      models: Object.fromEntries(models) as Record<string, z.infer<typeof Price>>,
      markup_percent: prices.markupPercent,
    },
    limits: {
      production: limitsAnswer(terms.limits.production, currency),
      staging: limitsAnswer(terms.limits.staging, currency),
    },
    tenant_limits: limitsAnswer(terms.tenantLimits, currency),
  };
}

function priceAnswer(price: ModelPrice, currency: string): z.infer<typeof Price> {
  return {
    input: money(price.inputRate, currency),
    cached_input: money(price.cachedInputRate, currency),
    output: money(price.outputRate, currency),
    ...(price.unitRates === undefined ? {} : { units: unitsAnswer(price.unitRates, currency) }),
  };
}

function unitsAnswer(rates: UnitRates, currency: string) {
  const units = OTHER_UNITS.filter((unit) => rates[unit] !== undefined);
  const shown = (unit: OtherUnit) => money((rates[unit]! * priceBase(unit)) / TOKENS_PER_RATE, currency);
  return Object.fromEntries(units.map((unit) => [unit, shown(unit)]));
}
