import type { ModelPrice } from '@pydantic/genai-prices';
import { Decimal } from 'decimal.js';
import type { Deployment } from './domain/deployment.ts';
import type { OtherUnit, Rates } from './domain/spend.ts';

/**
 * Costs of well-known models, for deployments that state none: from a library that comes with the program and
 * is asked without a network. It speaks in US dollars, so it is used only where the setting says what one of
 * them is in the agency's currency. A price that depends on the length of the prompt counts at its dearest, so
 * that nothing is sold below what it costs.
 */
export type SeedCosts = (deployment: Deployment) => Deployment;

const NANOS = 1e9;
const THOUSANDS = 1e3;
const OTHERS: readonly (readonly [unit: OtherUnit, name: string, perMillion: number])[] = [
  ['cache-write', 'cache_write_mtok', 1],
  ['audio-input', 'input_audio_mtok', 1],
  ['audio-output', 'output_audio_mtok', 1],
  ['search', 'web_searches_kcount', THOUSANDS],
];

/** `usdRate`: one US dollar in the agency's currency, as a decimal; null leaves every deployment as it is. */
export async function seedCosts(usdRate: string | null): Promise<SeedCosts> {
  if (usdRate === null) return (deployment) => deployment;
  // Two megabytes that only few installations have a use for.
  const { calcPrice } = await import('@pydantic/genai-prices');
  return (deployment) => {
    if (deployment.costRates !== null || deployment.upstreamModel === null) return deployment;
    const found = calcPrice({}, deployment.upstreamModel);
    const costRates = found === null ? null : ratesOf(found.model_price, usdRate);
    return costRates === null ? deployment : { ...deployment, costRates };
  };
}

/** Null where a price per token is missing. */
function ratesOf(price: ModelPrice, usdRate: string): Rates | null {
  const rate = (name: string, perMillion = 1): bigint | null => {
    const dollars = dearest(price[name]);
    if (dollars === null) return null;
    const nanos = new Decimal(dollars).mul(perMillion).mul(usdRate).mul(NANOS);
    return BigInt(nanos.ceil().toFixed(0));
  };
  const input = rate('input_mtok');
  if (input === null) return null;
  const others = OTHERS.map(([unit, name, perMillion]) => [unit, rate(name, perMillion)] as const);
  return {
    input,
    'cached-input': rate('cache_read_mtok') ?? input,
    output: rate('output_mtok') ?? 0n,
    ...Object.fromEntries(others.filter(([, found]) => found !== null)),
  };
}

function dearest(price: ModelPrice[string]): number | null {
  if (price === undefined) return null;
  if (typeof price === 'number') return price;
  return Math.max(price.base, ...price.tiers.map((tier) => tier.price));
}
