import type { Deployment } from '../domain/deployment.ts';
import { divideHalfUp, parseNanos, priceRate } from '../domain/money.ts';
import type { ModelPrice, Terms } from '../domain/plan.ts';
import type { Rates } from '../domain/spend.ts';

/** What a request to one model at one deployment costs the agency and is sold for. */
export interface Offer {
  readonly prices: Rates;
  readonly costs: Rates;
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
  return tariff(terms.currency, (model, costs) => {
    if (Object.hasOwn(models, model)) return asRates(models[model]!);
    if (markup === null || costs === null) return null;
    return eachRate(costs, (rate) => priceRate(divideHalfUp(rate * (WHOLE + markup), WHOLE)));
  });
}

/** The agency's own work is sold at cost, which is nothing where the cost is not known. */
export function ownTariff(currency: string): Tariff {
  return tariff(currency, (_, costs) => (costs === null ? FREE : eachRate(costs, priceRate)));
}

/** A tenant that has signed nothing can buy nothing. */
export function noTariff(currency: string): Tariff {
  return { currency, offer: () => null };
}

function tariff(currency: string, pricesOf: (model: string, costs: Rates | null) => Rates | null): Tariff {
  const remembered = new Map<Deployment, Map<string, Offer | null>>();
  return {
    currency,
    offer(model, deployment) {
      let offers = remembered.get(deployment);
      if (offers === undefined) remembered.set(deployment, (offers = new Map<string, Offer | null>()));
      let offer = offers.get(model);
      if (offer === undefined) {
        const prices = pricesOf(model, deployment.costRates);
        offer = prices === null ? null : { prices, costs: deployment.costRates ?? FREE };
        if (offers.size >= REMEMBERED_MAX) offers.clear();
        offers.set(model, offer);
      }
      return offer;
    },
  };
}

function asRates({ inputRate, cachedInputRate, outputRate }: ModelPrice): Rates {
  return { input: inputRate, 'cached-input': cachedInputRate, output: outputRate };
}

function eachRate(rates: Rates, change: (rate: bigint) => bigint): Rates {
  return {
    input: change(rates.input),
    'cached-input': change(rates['cached-input']),
    output: change(rates.output),
  };
}
