import type { Deployment } from '../domain/deployment.ts';
import { divideHalfUp, parseNanos, priceRate } from '../domain/money.ts';
import { ratesOf, type Terms } from '../domain/plan.ts';
import { type Rates, rateOf, type Unit, UNITS } from '../domain/spend.ts';

/** What a request to one model at one deployment costs the agency and is sold for. */
export interface Offer {
  readonly prices: Rates;
  readonly costs: Rates;
  /** What the worst case is reserved by. */
  readonly worst: Rates;
  /** The agency's own work, which is sold at cost, whatever of it is known. */
  readonly atCost: boolean;
}

/** What a tenant pays: the price book of its contract, or the cost when it is the agency itself. */
export interface Tariff {
  /** ISO 4217. */
  readonly currency: string;
  /** Null when the model is not for sale. */
  offer(model: string, deployment: Deployment): Offer | null;
}

const FREE: Rates = { input: 0n, 'cached-input': 0n, output: 0n };
/** Clients choose the names that a wildcard serves, so what is remembered for names is bounded. */
const REMEMBERED_MAX = 1_000;
/** 100 % in nanos of a percent. */
const WHOLE = 100_000_000_000n;

export function contractTariff(terms: Terms): Tariff {
  const { models, markupPercent } = terms.prices;
  const markup = markupPercent === null ? null : parseNanos(markupPercent);
  return tariff(terms.currency, false, (model, costs) => {
    if (Object.hasOwn(models, model)) return ratesOf(models[model]!);
    if (markup === null || costs === null) return null;
    return eachRate(costs, (rate) => priceRate(divideHalfUp(rate * (WHOLE + markup), WHOLE)));
  });
}

/** The agency's own work is sold at cost, which is nothing where the cost is not known. */
export function ownTariff(currency: string): Tariff {
  return tariff(currency, true, (_, costs) => (costs === null ? FREE : eachRate(costs, priceRate)));
}

/** A tenant that has signed nothing can buy nothing. */
export function noTariff(currency: string): Tariff {
  return { currency, offer: () => null };
}

function tariff(
  currency: string,
  atCost: boolean,
  pricesOf: (model: string, costs: Rates | null) => Rates | null,
): Tariff {
  const remembered = new WeakMap<Deployment, Map<string, Offer | null>>();
  return {
    currency,
    offer(model, deployment) {
      let offers = remembered.get(deployment);
      if (offers === undefined) remembered.set(deployment, (offers = new Map<string, Offer | null>()));
      let offer = offers.get(model);
      if (offer === undefined) {
        const prices = pricesOf(model, deployment.costRates);
        offer =
          prices === null
            ? null
            : { prices, costs: deployment.costRates ?? FREE, worst: worstOf(prices), atCost };
        if (offers.size >= REMEMBERED_MAX) offers.clear();
        offers.set(model, offer);
      }
      return offer;
    },
  };
}

function eachRate(rates: Rates, change: (rate: bigint) => bigint): Rates {
  const known = Object.entries(rates) as [Unit, bigint | undefined][];
  const changed = known.filter(([, rate]) => rate !== undefined).map(([unit, rate]) => [unit, change(rate!)]);
  return Object.fromEntries(changed);
}

/**
 * The rates by which a request's worst case is reserved: all of the prompt and of the completion at
 * the dearest rate that any part of it can have. The same object where there are no such parts.
 */
export function worstOf(prices: Rates): Rates {
  const { 'cache-write': written = 0n, 'audio-input': heard = 0n, 'audio-output': spoken = 0n } = prices;
  const input = dearest(prices.input, written, heard);
  const output = dearest(prices.output, spoken);
  return input === prices.input && output === prices.output ? prices : { ...prices, input, output };
}

function dearest(...rates: readonly bigint[]): bigint {
  return rates.reduce((most, rate) => (rate > most ? rate : most));
}

/** The dearer of two, unit by unit; for a request that may be answered under either. */
export function dearerRates(a: Rates, b: Rates): Rates {
  if (a === b) return a;
  const units = UNITS.filter((unit) => a[unit] !== undefined || b[unit] !== undefined);
  const rates = units.map((unit) => [unit, dearest(rateOf(a, unit) ?? 0n, rateOf(b, unit) ?? 0n)]);
  return Object.fromEntries(rates);
}
