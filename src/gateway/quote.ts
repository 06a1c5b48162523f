import type { Deployment } from '../domain/deployment.ts';
import type { Terms } from '../domain/plan.ts';
import { rate, type Usage } from '../domain/spend.ts';
import { matchesName } from './model-names.ts';
import { contractTariff, ownTariff } from './offers.ts';

/**
 * What a request with this usage would be charged, in nanos: under a contract, or at cost without
 * one. Null when no deployment serves the model, `unpriced` when it is not for sale.
 */
export type Quote = (terms: Terms | null, model: string, usage: Usage) => bigint | 'unpriced' | null;

/** Of several deployments of a name the first is taken. */
export function createQuote(deployments: () => readonly Deployment[]): Quote {
  return (terms, model, usage) => {
    const all = deployments();
    const deployment =
      all.find(({ publicName }) => publicName === model) ??
      all.find(({ publicName }) => matchesName(publicName, model));
    if (deployment === undefined) return null;
    // Prices do not depend on the currency that they are in.
    const tariff = terms === null ? ownTariff('') : contractTariff(terms);
    const offer = tariff.offer(model, deployment);
    if (offer === null) return 'unpriced';
    return rate(usage, offer.prices, offer.costs).reduce((sum, { priceNanos }) => sum + priceNanos, 0n);
  };
}
