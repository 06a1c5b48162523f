import type { ContractFacts } from '../domain/contract-lines.ts';
import type { InvoiceDraft } from '../domain/invoice.ts';
import { draftInvoice, type UsageSum } from '../domain/invoice-lines.ts';
import { divideHalfUp, parseNanos, priceRate, TOKENS_PER_RATE } from '../domain/money.ts';
import { type Agreed, ratesOf, type Terms, termsInForce } from '../domain/plan.ts';
import { monthDays } from '../domain/proration.ts';
import { rateOf } from '../domain/spend.ts';
import { DOMESTIC } from '../domain/tax.ts';

/**
 * What if: the recorded usage of a month under another plan, which holds for the whole month. Nothing
 * is written. A model without a price of its own is sold at the month's average cost plus the markup;
 * what the plan cannot sell is left out and named. What the contract sets apart from its plan stays, as it
 * does when the plan is changed.
 */
export interface CostedUsage extends UsageSum {
  readonly costNanos: bigint;
}

export interface WhatIf {
  readonly draft: InvoiceDraft;
  /** Models and units that the plan has no price for. */
  readonly unpriced: readonly string[];
}

export function previewInvoice(
  plan: Terms,
  period: string,
  usage: readonly CostedUsage[],
  projects: ContractFacts['projects'],
  agreed: Agreed | null = null,
): WhatIf {
  const terms = termsInForce(plan, agreed);
  const unpriced = new Set<string>();
  const sums = new Map<string, UsageSum>();
  for (const { costNanos, ...sum } of usage) {
    const rate = priceUnder(terms, sum, costNanos);
    if (rate === null) {
      unpriced.add(`${sum.model} ${sum.unit}`);
      continue;
    }
    const id = [sum.projectId ?? '', sum.model, sum.unit, rate].join('\n');
    const before = sums.get(id);
    const quantity = sum.quantity + (before?.quantity ?? 0n);
    const requests = (sum.requests ?? 0n) + (before?.requests ?? 0n);
    sums.set(id, {
      ...sum,
      quantity,
      requests,
      priceRate: rate,
      priceNanos: (rate * quantity) / TOKENS_PER_RATE,
    });
  }
  const days = monthDays(period);
  const contract: ContractFacts = {
    parts: () => [{ fromDay: 0, toDay: days, days, terms, discounts: agreed?.discounts ?? [], free: false }],
    feeMonths: [period],
    amended: [],
    projects,
    billed: [],
  };
  const draft = draftInvoice({
    invoiceId: 'preview',
    period,
    terms,
    feeDue: true,
    usage: [...sums.values()],
    includedGranted: new Map(),
    contract,
    taxCase: DOMESTIC,
    taxStatuses: [],
    replaces: null,
  });
  return { draft, unpriced: [...unpriced].toSorted((a, b) => (a < b ? -1 : 1)) };
}

/** 100 % in nanos of a percent. */
const WHOLE = 100_000_000_000n;

function priceUnder(
  { prices }: Terms,
  { model, unit, quantity }: UsageSum,
  costNanos: bigint,
): bigint | null {
  if (Object.hasOwn(prices.models, model)) return rateOf(ratesOf(prices.models[model]!), unit);
  if (prices.markupPercent === null || costNanos === 0n || quantity === 0n) return null;
  const cost = divideHalfUp(costNanos * TOKENS_PER_RATE, quantity);
  return priceRate(divideHalfUp(cost * (WHOLE + parseNanos(prices.markupPercent)), WHOLE));
}
