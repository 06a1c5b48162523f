import { z } from 'zod';
import { type Discount, DISCOUNTED } from '../domain/discount.ts';
import { TOKENS_PER_RATE } from '../domain/money.ts';
import { type Limits, UNLIMITED } from '../domain/limits.ts';
import type { Agreed, AgreedLimits, AgreedPrices, ModelPrice, Terms, UnitRates } from '../domain/plan.ts';
import { OTHER_UNITS, type OtherUnit, priceBase, UNITS } from '../domain/spend.ts';
import type { Tiers } from '../domain/tiers.ts';
import { limitsAnswer, LimitsAnswer, Money, money } from './schemas.ts';

/** What a plan offers and a contract agrees, as the API shows it. */

const TierAnswer = z.object({
  mode: z.enum(['graduated', 'volume', 'package']),
  steps: z.array(z.object({ up_to: z.string().nullable(), price: Money })),
  package_size: z.string().nullable(),
});

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
  tiers: z
    .partialRecord(z.enum(UNITS), TierAnswer)
    .optional()
    .describe("By the month's quantity, per million; the first step is what requests are recorded at"),
});

export const TermsAnswer = z
  .object({
    plan: z.string(),
    plan_version: z.number(),
    currency: z.string(),
    monthly_fee: Money,
    project_fee: Money.optional().describe('Per open project and month'),
    included_tokens: z.string().optional(),
    included_requests: z.string().optional(),
    minimum_commitment: Money.optional(),
    fees: z.enum(['arrears', 'advance']).optional().describe('Arrears when left out'),
    overage: z
      .enum(['bill', 'block', 'throttle'])
      .optional()
      .describe('What happens beyond the included usage; billed when left out'),
    throttle: z
      .object({ requests_per_minute: z.number().nullable(), tokens_per_minute: z.number().nullable() })
      .optional()
      .describe('With throttle: how fast usage beyond the included may go, all keys together'),
    trial_days: z.number().optional(),
    notice_period: z.string().optional(),
    key_rules: z
      .object({
        lifetime_max: z.string().nullable(),
        rotation: z.string().nullable(),
        keys_max: z.number().nullable(),
        projects_max: z.number().nullable(),
      })
      .optional(),
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
    prices: z
      .object({ models: z.record(z.string(), Price), markup_percent: z.string().optional() })
      .optional()
      .describe("In the place of the plan's"),
    discounts: z
      .array(
        z.object({
          name: z.string(),
          of: z.enum(DISCOUNTED),
          percent: z.string().optional(),
          amount: Money.optional().describe('Off each month, net'),
          from: z.string().describe('First month of service'),
          until: z.string().nullable().describe('Last month of service'),
        }),
      )
      .optional(),
  })
  .nullable()
  .describe('What the contract sets apart from the plan');

export function agreedAnswer(agreed: Agreed | null, currency: string): z.infer<typeof AgreedAnswer> {
  if (agreed === null) return null;
  const { production, staging } = agreed.limits ?? {};
  const sets = Object.entries({ production, staging, tenant: agreed.tenantLimits });
  const limitSets = sets.flatMap(([name, limits]) =>
    limits === undefined ? [] : [[name, agreedLimitsAnswer(limits, currency)] as const],
  );
  const { prices, discounts } = agreed;
  return {
    ...Object.fromEntries(limitSets),
    ...(prices === undefined ? {} : { prices: agreedPricesAnswer(prices, currency) }),
    ...(discounts === undefined ? {} : { discounts: discounts.map((one) => discountAnswer(one, currency)) }),
  };
}

function agreedPricesAnswer({ models, markupPercent }: AgreedPrices, currency: string) {
  const shown = Object.entries(models).map(([model, price]) => [model, priceAnswer(price, currency)]);
  return {
    models: Object.fromEntries(shown) as Record<string, z.infer<typeof Price>>,
    ...(markupPercent === undefined ? {} : { markup_percent: markupPercent }),
  };
}

function discountAnswer({ name, of, percent, nanos, from, until }: Discount, currency: string) {
  const share = percent === null ? { amount: money(nanos, currency) } : { percent };
  return { name, of, ...share, from, until };
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
    ...sometimes(terms),
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

/** What not every contract has. */
function sometimes({ currency, ...terms }: Terms): Partial<z.infer<typeof TermsAnswer>> {
  const { projectFeeNanos, includedTokens, includedRequests, commitmentNanos, keyRules, trialDays, notice } =
    terms;
  return {
    ...(projectFeeNanos === undefined ? {} : { project_fee: money(projectFeeNanos, currency) }),
    ...(includedTokens === undefined ? {} : { included_tokens: String(includedTokens) }),
    ...(includedRequests === undefined ? {} : { included_requests: String(includedRequests) }),
    ...(commitmentNanos === undefined ? {} : { minimum_commitment: money(commitmentNanos, currency) }),
    ...(terms.feesInAdvance === true ? { fees: 'advance' as const } : {}),
    ...overageAnswer(terms.overage),
    ...(trialDays === undefined ? {} : { trial_days: trialDays }),
    ...(notice === undefined ? {} : { notice_period: notice }),
    ...(keyRules === undefined
      ? {}
      : {
          key_rules: {
            lifetime_max: keyRules.lifetimeMax,
            rotation: keyRules.rotation,
            keys_max: keyRules.keysMax,
            projects_max: keyRules.projectsMax,
          },
        }),
  };
}

function overageAnswer(overage: Terms['overage']): Partial<z.infer<typeof TermsAnswer>> {
  if (overage?.policy !== 'throttle') return overage === undefined ? {} : { overage: overage.policy };
  const { policy, requestsPerMinute, tokensPerMinute } = overage;
  return {
    overage: policy,
    throttle: { requests_per_minute: requestsPerMinute, tokens_per_minute: tokensPerMinute },
  };
}

function priceAnswer(price: ModelPrice, currency: string): z.infer<typeof Price> {
  return {
    input: money(price.inputRate, currency),
    cached_input: money(price.cachedInputRate, currency),
    output: money(price.outputRate, currency),
    ...(price.unitRates === undefined ? {} : { units: unitsAnswer(price.unitRates, currency) }),
    ...(price.tiers === undefined ? {} : { tiers: tiersAnswer(price.tiers, currency) }),
  };
}

function tiersAnswer(tiers: NonNullable<ModelPrice['tiers']>, currency: string) {
  const shown = ({ mode, steps, packageSize }: Tiers): z.infer<typeof TierAnswer> => ({
    mode,
    steps: steps.map(({ upTo, rate }) => ({
      up_to: upTo === null ? null : String(upTo),
      price: money(rate, currency),
    })),
    package_size: mode === 'package' ? String(packageSize) : null,
  });
  const units = UNITS.filter((unit) => tiers[unit] !== undefined);
  return Object.fromEntries(units.map((unit) => [unit, shown(tiers[unit]!)]));
}

function unitsAnswer(rates: UnitRates, currency: string) {
  const units = OTHER_UNITS.filter((unit) => rates[unit] !== undefined);
  const shown = (unit: OtherUnit) => money((rates[unit]! * priceBase(unit)) / TOKENS_PER_RATE, currency);
  return Object.fromEntries(units.map((unit) => [unit, shown(unit)]));
}
