import { canonicalJson, type Json, type JsonObject } from './json.ts';
import { type Budget, ENVIRONMENTS, type Environment, type Limits } from './limits.ts';
import type { ContractVersion, KeyLimits } from './contract.ts';
import {
  type Agreed,
  type AgreedLimits,
  type AgreedPrices,
  type KeyRules,
  type ModelPrice,
  type Overage,
  type PriceBook,
  type Terms,
  termsInForce,
  type UnitRates,
} from './plan.ts';
import { type Discount, DISCOUNTED } from './discount.ts';
import type { Tiers } from './tiers.ts';
import type { IncludedFrom } from './tenant-contract.ts';
import { OTHER_UNITS, UNITS } from './spend.ts';

/**
 * Contract terms and limits as plain JSON, the form in which read models hold them: bigints are
 * decimal strings. Reading is strict, because money follows from what is read; unknown members,
 * which a newer build may have written, are passed over.
 */

export function termsToJson(terms: Terms): JsonObject {
  return JSON.parse(canonicalJson(terms)) as JsonObject;
}

/** Throws TypeError that names the member at fault. */
export function readTerms(json: Json): Terms {
  const terms = objectAt(json, 'terms');
  const limits = objectAt(terms['limits'], 'limits');
  return {
    plan: textAt(terms['plan'], 'plan'),
    planVersion: countAt(terms['planVersion'], 'planVersion'),
    currency: textAt(terms['currency'], 'currency'),
    monthlyFeeNanos: integerAt(terms['monthlyFeeNanos'], 'monthlyFeeNanos'),
    includedUsageNanos: integerAt(terms['includedUsageNanos'], 'includedUsageNanos'),
    prices: priceBookAt(terms['prices'], 'prices'),
    limits: Object.fromEntries(
      ENVIRONMENTS.map((name) => [name, limitsAt(limits[name], `limits.${name}`)]),
    ) as Record<Environment, Limits>,
    tenantLimits: limitsAt(terms['tenantLimits'], 'tenantLimits'),
    ...given('projectFeeNanos', terms, integerAt),
    ...given('includedTokens', terms, integerAt),
    ...given('includedRequests', terms, integerAt),
    ...given('commitmentNanos', terms, integerAt),
    ...given('feesInAdvance', terms, flagAt),
    ...given('overage', terms, overageAt),
    ...given('keyRules', terms, keyRulesAt),
    ...given('trialDays', terms, countAt),
    ...given('notice', terms, textAt),
  };
}

/** Throws TypeError that names the member at fault. */
export function readLimits(json: Json): Limits {
  return limitsAt(json, 'limits');
}

/** Throws TypeError that names the member at fault. */
export function readAgreed(json: Json): Agreed | null {
  if (json === null) return null;
  const { limits, tenantLimits, prices, discounts } = objectAt(json, 'agreed');
  const byEnvironment = limits === undefined ? [] : Object.entries(objectAt(limits, 'agreed.limits'));
  const read = byEnvironment.map(([name, one]) => [name, agreedLimitsAt(one, `agreed.limits.${name}`)]);
  return {
    ...(limits === undefined ? {} : { limits: Object.fromEntries(read) as NonNullable<Agreed['limits']> }),
    ...(tenantLimits === undefined
      ? {}
      : { tenantLimits: agreedLimitsAt(tenantLimits, 'agreed.tenantLimits') }),
    ...(prices === undefined ? {} : { prices: agreedPricesAt(prices, 'agreed.prices') }),
    ...(discounts === undefined ? {} : { discounts: listAt(discounts, 'agreed.discounts').map(discountAt) }),
  };
}

/** Of a tenant's row; see termsInForce(). Null without a contract. Throws TypeError that names the member at fault. */
export function readTermsInForce(row: { readonly terms: Json; readonly agreed: Json }): Terms | null {
  return row.terms === null ? null : termsInForce(readTerms(row.terms), readAgreed(row.agreed));
}

/** Throws TypeError that names the member at fault. */
export function readKeyLimits(json: Json): KeyLimits {
  const limits = objectAt(json, 'followed');
  const read = ENVIRONMENTS.map((name) => [name, limitsAt(limits[name], name)]);
  return Object.fromEntries(read) as KeyLimits;
}

/** Throws TypeError that names the member at fault. */
export function readVersions(json: Json): readonly ContractVersion[] {
  return listAt(json, 'planned').map((one) => {
    const { contractId, effectiveFrom, terms = null, agreed = null } = objectAt(one, 'planned');
    return {
      contractId: textAt(contractId, 'contractId'),
      effectiveFrom: textAt(effectiveFrom, 'effectiveFrom'),
      terms: terms === null ? null : readTerms(terms),
      agreed: readAgreed(agreed),
    };
  });
}

/** Throws TypeError that names the member at fault. */
export function readIncluded(json: Json): readonly IncludedFrom[] {
  return listAt(json, 'included').map((one) => {
    const { effectiveFrom, nanos } = objectAt(one, 'included');
    return { effectiveFrom: textAt(effectiveFrom, 'effectiveFrom'), nanos: integerAt(nanos, 'nanos') };
  });
}

/** Only what is there is set apart. */
function agreedLimitsAt(json: Json, path: string): AgreedLimits {
  const given = objectAt(json, path);
  const full = limitsAt({ ...NO_LIMITS, ...given }, path);
  return Object.fromEntries(Object.entries(full).filter(([name]) => name in given));
}

const NO_LIMITS = {
  requestsPerMinute: null,
  tokensPerMinute: null,
  parallelRequests: null,
  models: [],
  budget: null,
};

function listAt(json: Json, path: string): readonly Json[] {
  if (!Array.isArray(json)) throw wrong(path, 'a list');
  return json as readonly Json[];
}

function agreedPricesAt(json: Json, path: string): AgreedPrices {
  const prices = objectAt(json, path);
  return { models: modelsAt(prices['models'], `${path}.models`), ...given('markupPercent', prices, textAt) };
}

function discountAt(json: Json): Discount {
  const path = 'agreed.discounts';
  const { name, of, percent = null, nanos, from, until = null } = objectAt(json, path);
  const discounted = DISCOUNTED.find((one) => one === of);
  if (discounted === undefined) throw wrong(`${path}.of`, 'something that can be discounted');
  return {
    name: textAt(name, `${path}.name`),
    of: discounted,
    percent: orNull(percent, `${path}.percent`, textAt),
    nanos: integerAt(nanos, `${path}.nanos`),
    from: textAt(from, `${path}.from`),
    until: orNull(until, `${path}.until`, textAt),
  };
}

function modelsAt(json: Json | undefined, path: string): PriceBook['models'] {
  const models = Object.entries(objectAt(json, path));
  return Object.fromEntries(models.map(([name, price]) => [name, modelPriceAt(price, `${path}.${name}`)]));
}

function priceBookAt(json: Json | undefined, path: string): PriceBook {
  const book = objectAt(json, path);
  return {
    models: modelsAt(book['models'], `${path}.models`),
    markupPercent: orNull(book['markupPercent'], `${path}.markupPercent`, textAt),
  };
}

function modelPriceAt(json: Json, path: string): ModelPrice {
  const price = objectAt(json, path);
  return {
    inputRate: integerAt(price['inputRate'], `${path}.inputRate`),
    cachedInputRate: integerAt(price['cachedInputRate'], `${path}.cachedInputRate`),
    outputRate: integerAt(price['outputRate'], `${path}.outputRate`),
    ...(price['unitRates'] === undefined
      ? {}
      : { unitRates: unitRatesAt(price['unitRates'], `${path}.unitRates`) }),
    ...given('tiers', price, tiersAt),
  };
}

function tiersAt(json: Json | undefined, path: string): NonNullable<ModelPrice['tiers']> {
  const units = objectAt(json, path);
  const known = UNITS.filter((unit) => units[unit] !== undefined);
  return Object.fromEntries(known.map((unit) => [unit, tierAt(units[unit], `${path}.${unit}`)]));
}

function tierAt(json: Json | undefined, path: string): Tiers {
  const { mode, steps = null, packageSize } = objectAt(json, path);
  if (mode !== 'graduated' && mode !== 'volume' && mode !== 'package') throw wrong(`${path}.mode`, 'a mode');
  return {
    mode,
    steps: listAt(steps, `${path}.steps`).map((one) => {
      const { upTo, rate } = objectAt(one, `${path}.steps`);
      return { upTo: orNull(upTo, `${path}.upTo`, integerAt), rate: integerAt(rate, `${path}.rate`) };
    }),
    packageSize: integerAt(packageSize, `${path}.packageSize`),
  };
}

function overageAt(json: Json | undefined, path: string): Overage {
  const { policy, ...rates } = objectAt(json, path);
  if (policy === 'block') return { policy };
  if (policy !== 'throttle') throw wrong(`${path}.policy`, 'a policy');
  return {
    policy,
    requestsPerMinute: orNull(rates['requestsPerMinute'], `${path}.requestsPerMinute`, countAt),
    tokensPerMinute: orNull(rates['tokensPerMinute'], `${path}.tokensPerMinute`, countAt),
  };
}

function keyRulesAt(json: Json | undefined, path: string): KeyRules {
  const { lifetimeMax, rotation, keysMax, projectsMax } = objectAt(json, path);
  return {
    lifetimeMax: orNull(lifetimeMax, `${path}.lifetimeMax`, textAt),
    rotation: orNull(rotation, `${path}.rotation`, textAt),
    keysMax: orNull(keysMax, `${path}.keysMax`, countAt),
    projectsMax: orNull(projectsMax, `${path}.projectsMax`, countAt),
  };
}

function flagAt(json: Json | undefined, path: string): boolean {
  if (typeof json !== 'boolean') throw wrong(path, 'true or false');
  return json;
}

function unitRatesAt(json: Json, path: string): UnitRates {
  const rates = objectAt(json, path);
  const known = OTHER_UNITS.filter((unit) => rates[unit] !== undefined);
  return Object.fromEntries(known.map((unit) => [unit, integerAt(rates[unit], `${path}.${unit}`)]));
}

function limitsAt(json: Json | undefined, path: string): Limits {
  const limits = objectAt(json, path);
  const { models } = limits;
  if (!Array.isArray(models)) throw wrong(`${path}.models`, 'a list');
  return {
    requestsPerMinute: orNull(limits['requestsPerMinute'], `${path}.requestsPerMinute`, countAt),
    tokensPerMinute: orNull(limits['tokensPerMinute'], `${path}.tokensPerMinute`, countAt),
    parallelRequests: orNull(limits['parallelRequests'], `${path}.parallelRequests`, countAt),
    models: models.map((name: Json, index) => textAt(name, `${path}.models.${index}`)),
    budget: orNull(limits['budget'], `${path}.budget`, budgetAt),
  };
}

function budgetAt(json: Json | undefined, path: string): Budget {
  const budget = objectAt(json, path);
  return {
    nanos: integerAt(budget['nanos'], `${path}.nanos`),
    window: orNull(budget['window'], `${path}.window`, textAt),
  };
}

/** What was agreed only sometimes: nothing where it is left out. */
function given<N extends string, T>(
  name: N,
  json: JsonObject,
  read: (json: Json | undefined, path: string) => T,
): { readonly [K in N]?: T } {
  const value = json[name];
  return value === undefined ? {} : ({ [name]: read(value, name) } as { readonly [K in N]: T });
}

/** Null stays null; a member that is missing is an error, not null. */
function orNull<T>(
  json: Json | undefined,
  path: string,
  read: (json: Json | undefined, path: string) => T,
): T | null {
  return json === null ? null : read(json, path);
}

function objectAt(json: Json | undefined, path: string): JsonObject {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw wrong(path, 'an object');
  return json as JsonObject;
}

function textAt(json: Json | undefined, path: string): string {
  if (typeof json !== 'string') throw wrong(path, 'a text');
  return json;
}

function countAt(json: Json | undefined, path: string): number {
  if (typeof json !== 'number' || !Number.isSafeInteger(json)) throw wrong(path, 'a whole number');
  return json;
}

function integerAt(json: Json | undefined, path: string): bigint {
  if (typeof json !== 'string' || !/^-?\d+$/.test(json)) throw wrong(path, 'a whole number as text');
  return BigInt(json);
}

function wrong(path: string, expected: string): TypeError {
  return new TypeError(`${path} is not ${expected}`);
}
