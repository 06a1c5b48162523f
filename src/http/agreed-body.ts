import { z } from 'zod';
import { type Discount, DISCOUNTED } from '../domain/discount.ts';
import { ENVIRONMENTS, type Limits } from '../domain/limits.ts';
import { formatNanos, parseNanos } from '../domain/money.ts';
import type { Agreed } from '../domain/plan.ts';
import { Percent, PriceOfModel } from '../plan-file.ts';
import { Amount, nanosOf, Texts } from './schemas.ts';

/** What a contract sets apart from its plan, as the API takes it. */

const Count = z.number().int().min(0).max(1_000_000_000).nullable();
const AgreedLimits = z
  .strictObject({
    requests_per_minute: Count.optional(),
    tokens_per_minute: Count.optional(),
    parallel_requests: Count.optional(),
    models: Texts.optional(),
    budget: z
      .strictObject({ amount: Amount, window: z.string().max(20).nullable() })
      .nullable()
      .optional(),
  })
  .describe('Only what differs from the plan; null is unlimited');

const AgreedPrices = z
  .strictObject({
    models: z.record(z.string().regex(/^[^\s*]{1,200}$/), PriceOfModel).default({}),
    markup_percent: Percent.optional(),
  })
  .describe("In the place of the plan's prices, written as in a plan file");

const Month = z.string().regex(/^20\d\d-(0[1-9]|1[0-2])$/, 'expected a month such as 2026-11');
const DISCOUNTS_MAX = 20;
const AgreedDiscount = z
  .strictObject({
    name: z.string().trim().min(1).max(80).describe('As it stands on the invoice'),
    of: z.enum(DISCOUNTED).default('all'),
    percent: z
      .string()
      .regex(/^\d{1,3}(\.\d{1,4})?$/, 'expected a percentage such as "10"')
      .optional()
      .describe("Of the month's sum"),
    amount: z
      .string()
      .regex(/^\d{1,9}(\.\d{1,2})?$/, 'expected an amount such as "20.00"')
      .optional()
      .describe('Off each month, net'),
    from: Month.optional().describe('First month of service; left out: that in which the contract begins'),
    until: Month.nullish().describe('Last month of service'),
  })
  .superRefine(({ percent, amount, from, until }, context) => {
    const fail = (path: string, message: string) =>
      context.addIssue({ code: 'custom', path: [path], message });
    if ((percent === undefined) === (amount === undefined)) fail('percent', 'write either percent or amount');
    if (percent !== undefined && (Number(percent) === 0 || Number(percent) > 100))
      fail('percent', 'write more than 0 and at most 100');
    if (amount !== undefined && Number(amount) === 0) fail('amount', 'write more than 0.00');
    if (from !== undefined && until != null && until < from) fail('until', 'it ends before it begins');
  });

export const AgreedBody = z
  .strictObject({
    production: AgreedLimits.optional(),
    staging: AgreedLimits.optional(),
    tenant: AgreedLimits.optional(),
    prices: AgreedPrices.optional(),
    discounts: z
      .array(AgreedDiscount)
      .max(DISCOUNTS_MAX)
      .refine((all) => new Set(all.map(({ name }) => name)).size === all.length, 'give each another name')
      .optional(),
  })
  .describe('What is agreed apart from the plan, higher or lower');
type AgreedBody = z.output<typeof AgreedBody>;

/** `firstMonth`: the month in which the contract with it begins. */
export function agreedOf(raw: AgreedBody, firstMonth: string): Agreed {
  const limits = ENVIRONMENTS.flatMap((name) => {
    const one = raw[name];
    return one === undefined ? [] : [[name, agreedLimits(one)] as const];
  });
  const { prices, discounts } = raw;
  return {
    ...(limits.length === 0 ? {} : { limits: Object.fromEntries(limits) }),
    ...(raw.tenant === undefined ? {} : { tenantLimits: agreedLimits(raw.tenant) }),
    ...(prices === undefined ? {} : { prices: agreedPrices(prices) }),
    ...(discounts === undefined ? {} : { discounts: discounts.map((one) => discountOf(one, firstMonth)) }),
  };
}

function agreedLimits({ budget, models, ...counts }: z.output<typeof AgreedLimits>): Partial<Limits> {
  const { requests_per_minute: requests, tokens_per_minute: tokens, parallel_requests: parallel } = counts;
  return {
    ...(requests === undefined ? {} : { requestsPerMinute: requests }),
    ...(tokens === undefined ? {} : { tokensPerMinute: tokens }),
    ...(parallel === undefined ? {} : { parallelRequests: parallel }),
    ...(models === undefined ? {} : { models }),
    ...(budget === undefined
      ? {}
      : { budget: budget === null ? null : { nanos: nanosOf(budget.amount), window: budget.window } }),
  };
}

function agreedPrices({ models, markup_percent: markup }: z.output<typeof AgreedPrices>) {
  return { models, ...(markup === undefined ? {} : { markupPercent: markup }) };
}

function discountOf(raw: z.output<typeof AgreedDiscount>, firstMonth: string): Discount {
  const { name, of, percent, amount, from = firstMonth, until = null } = raw;
  return {
    name,
    of,
    percent: percent === undefined ? null : formatNanos(parseNanos(percent)),
    nanos: amount === undefined ? 0n : parseNanos(amount),
    from,
    until,
  };
}
