import { type OtherUnit, type Rates, rateOf } from '../domain/spend.ts';
import { amountAt, wholeRate } from '../domain/money.ts';
import { Refusal } from '../errors.ts';
import type { Call } from './call.ts';
import { type Offer, worstOf } from './offers.ts';

/**
 * Whether all that a call may use has a price, so that nothing is served for nothing unnoticed.
 * Decides with it whether the call is billed by the unit of its route or by tokens: the price says
 * which. The agency's own calls are sold at cost, whatever of it is known.
 * Throws Refusal(unit_not_priced).
 */
export function requirePrices(call: Call, { prices, atCost }: Offer): void {
  const { unit, byTokens } = call.route;
  if (unit !== null) {
    const priced = prices[unit] !== undefined;
    const tokensPriced = byTokens && (prices.input > 0n || prices.output > 0n);
    if (!priced && !tokensPriced && !atCost) throw notPriced(unit);
    call.bySingleUnit = priced || !tokensPriced;
  }
  if (call.quantities === null || atCost) return;
  for (const name of Object.keys(call.quantities) as OtherUnit[]) {
    if (name !== unit && rateOf(prices, name) === null) throw notPriced(name);
  }
}

/** The same question for a fallback, which has to be billed in the way that was reserved. */
export function isBillable(call: Call, { prices, atCost }: Offer): boolean {
  const { unit } = call.route;
  if (unit !== null && (prices[unit] !== undefined) !== call.bySingleUnit && !atCost) return false;
  const names = Object.keys(call.quantities ?? {}) as OtherUnit[];
  return atCost || names.every((name) => name === unit || rateOf(prices, name) !== null);
}

/** What the units beside tokens may cost at most. */
export function otherNanos({ quantities }: Call, prices: Rates): bigint {
  let nanos = 0n;
  if (quantities === null) return nanos;
  for (const [unit, quantity] of Object.entries(quantities) as [OtherUnit, number][]) {
    nanos += amountAt(rateOf(prices, unit) ?? 0n, quantity);
  }
  return nanos;
}

/** What a call may cost the agency at most, however its tokens are divided among what has a rate. */
export function worstCost(call: Call, costs: Rates, inputTokens: number, outputTokens: number): bigint {
  const { input, 'cached-input': cached, output } = worstOf(costs);
  const dearest = wholeRate(input > cached ? input : cached);
  const tokens = amountAt(dearest, inputTokens) + amountAt(wholeRate(output), outputTokens);
  return otherNanos(call, costs) + tokens;
}

function notPriced(unit: string): Refusal {
  return new Refusal('unit_not_priced', { unit });
}
