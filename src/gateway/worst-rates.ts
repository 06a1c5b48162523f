import type { Rates } from '../domain/spend.ts';
import { dearerRates, type Offer, type Tariff } from './offers.ts';
import type { Router } from './router.ts';

/**
 * The rates by which a request is reserved that may be answered by several deployments, of its model
 * or of a fallback: unit by unit the dearest of them, so that whoever answers stays within it.
 */
const REMEMBERED_MAX = 1_000;

export function worstRates(router: Router): (tariff: Tariff, model: string, offer: Offer) => Rates {
  let known = new WeakMap<Tariff, Map<string, Rates>>();
  let generation = -1;
  return (tariff, model, offer) => {
    if (router.generation() !== generation) {
      generation = router.generation();
      known = new WeakMap();
    }
    let byModel = known.get(tariff);
    if (byModel === undefined) known.set(tariff, (byModel = new Map<string, Rates>()));
    let rates = byModel.get(model);
    if (rates === undefined) {
      rates = offer.worst;
      for (const alternative of router.alternatives(model) ?? []) {
        const other = tariff.offer(alternative.model, alternative.deployment);
        if (other !== null) rates = dearerRates(rates, other.worst);
      }
      if (byModel.size >= REMEMBERED_MAX) byModel.clear();
      byModel.set(model, rates);
    }
    return rates;
  };
}
