import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { budgetWindow } from '../../src/domain/duration.ts';
import { canonicalJson } from '../../src/domain/json.ts';
import type { Budget, Limits } from '../../src/domain/limits.ts';
import {
  guard,
  limitsOverageMore,
  plan,
  type PlanEvent,
  resolveLimits,
  type Terms,
} from '../../src/domain/plan.ts';
import { readLimits, readTerms, termsToJson } from '../../src/domain/terms-json.ts';
import { refusalOf, specification } from '../support/specification.ts';
import { someLimits, someTerms } from '../support/terms.ts';

const given = specification(plan);
const published = (terms: Terms): PlanEvent => ({ type: 'plan.published', data: { terms } });
const EUR = 1_000_000_000n;

describe('a plan', () => {
  test('is published with all its terms', () => {
    given()
      .when({ type: 'publish', terms: someTerms() })
      .gives(published(someTerms()))
      .andNothingWhenRepeated();
  });

  test('that is in the log as it is leaves no event, whatever the order of its fields', () => {
    const reordered = Object.fromEntries(Object.entries(someTerms()).toReversed()) as unknown as Terms;
    given(published(someTerms())).when({ type: 'publish', terms: reordered }).gives();
  });

  test('with a higher version follows the one before', () => {
    const next = someTerms({ planVersion: 3, monthlyFeeNanos: 59n * EUR });
    given(published(someTerms()))
      .when({ type: 'publish', terms: next })
      .gives(published(next))
      .andThen({ terms: next });
  });

  test('cannot change within a version', () => {
    const edited = someTerms({ monthlyFeeNanos: 48n * EUR });
    given(published(someTerms()))
      .when({ type: 'publish', terms: edited })
      .refuses('plan_version_immutable', { plan: 'studio', version: 1 });
  });

  test('cannot go back to an older version', () => {
    given(published(someTerms()), published(someTerms({ planVersion: 2 })))
      .when({ type: 'publish', terms: someTerms() })
      .refuses('plan_version_order', { plan: 'studio', version: 1, published: 2 });
  });
});

describe('limits of a new key', () => {
  const terms = someTerms();

  test('are those of the plan for its environment when nothing is asked', () => {
    expect(resolveLimits(terms, 'staging', {})).toEqual(terms.limits.staging);
    expect(resolveLimits(terms, 'production', {})).toEqual(terms.limits.production);
  });

  test('are those of production when it has no environment', () => {
    expect(resolveLimits(terms, null, {})).toEqual(terms.limits.production);
  });

  test('are the asked ones where they are lower, the plan’s where null was asked', () => {
    const asked = {
      requestsPerMinute: 10,
      tokensPerMinute: null,
      models: ['demo-small'],
      budget: null,
    } as const;
    expect(resolveLimits(terms, 'production', asked)).toEqual({
      ...terms.limits.production,
      requestsPerMinute: 10,
      models: ['demo-small'],
    });
  });

  test('may be zero', () => {
    const asked = { parallelRequests: 0, budget: { nanos: 0n, window: null } };
    expect(resolveLimits(terms, 'production', asked)).toMatchObject(asked);
  });

  test('are the asked ones without a contract, and else unlimited', () => {
    expect(resolveLimits(null, null, { requestsPerMinute: 1_000_000 })).toEqual({
      requestsPerMinute: 1_000_000,
      tokensPerMinute: null,
      parallelRequests: null,
      models: [],
      budget: null,
    });
  });

  test('inherit the plan’s models when none are named', () => {
    const narrow = someTerms({
      limits: { production: someLimits({ models: ['a', 'b'] }), staging: someLimits() },
    });
    expect(resolveLimits(narrow, 'production', { models: [] }).models).toEqual(['a', 'b']);
  });
});

describe('a contract forbids', () => {
  test.each([
    ['requests_per_minute', 'rpm_limit', '300', '301', { requestsPerMinute: 301 }],
    ['tokens_per_minute', 'tpm_limit', '120000', '120001', { tokensPerMinute: 120_001 }],
    ['parallel_requests', 'max_parallel_requests', '20', '21', { parallelRequests: 21 }],
    ['budget', 'max_budget', '250.00 EUR per 1mo', '251.00 EUR per 1mo', budgetOf(251n, '1mo')],
    ['budget', 'max_budget', '250.00 EUR per 1mo', '10.00 EUR per 1d', budgetOf(10n, '1d')],
    ['budget', 'max_budget', '250.00 EUR per 1mo', '600.00 EUR per 3mo', budgetOf(600n, '3mo')],
    ['budget', 'max_budget', '250.00 EUR per 1mo', '251.00 EUR in all', budgetOf(251n, null)],
  ] as const)('by %s (%s) of %s to ask for %s, and says so', (term, param, allowed, wanted, asked) => {
    const refused = refusal(asked);
    expect(refused.code).toBe('contract_forbids');
    expect(refused.status).toBe(400);
    expect(refused.param).toBe(param);
    expect(refused.detail).toEqual({ term, allowed, asked: wanted, environment: 'production' });
  });

  test('no limit where the plan has one', () => {
    const terms = someTerms();
    for (const name of ['requestsPerMinute', 'tokensPerMinute', 'parallelRequests', 'budget'] as const) {
      const refused = refusalOf(() =>
        guard(terms, 'production', { ...terms.limits.production, [name]: null }),
      );
      expect(refused.detail).toMatchObject({ asked: 'unlimited' });
    }
  });

  test.each([
    [['a', 'b', 'team/*'], ['b', 'c', 'team/x', 'team/*', '*'], 'c, *'],
    [['gpt-4'], ['gpt-*'], 'gpt-*'],
    [['openai/*'], ['openai'], 'openai'],
  ])('of %j the models %j: %s', (own, asked, excess) => {
    const refused = refusal({ models: asked }, { models: own });
    expect(refused.detail).toMatchObject({ term: 'models', allowed: own.join(', '), asked: excess });
  });

  test('every model where the plan names some', () => {
    const terms = withOwn({ models: ['a'] });
    const asked = { ...terms.limits.production, models: [] };
    expect(refusalOf(() => guard(terms, 'production', asked)).detail).toMatchObject({ asked: 'every model' });
  });

  test('a budget that comes back when the plan’s never does', () => {
    const own = { budget: { nanos: 100n * EUR, window: null } };
    expect(refusal({ budget: { nanos: 1n, window: '12mo' } }, own).detail).toMatchObject({ term: 'budget' });
  });
});

describe('a contract allows', () => {
  test.each([
    [250n, '1mo'],
    [250n, '30d'],
    [250n, null],
    [250n, '12mo'],
    [8n, '1d'],
    [41n, '1w'],
    [0n, '30s'],
  ])('a budget of %s EUR per %s', (amount, window) => {
    allows({ budget: { nanos: amount * EUR, window } });
  });

  test('any narrower choice of models', () => {
    allows({ models: ['team/x', 'team/y/*', 'a'] }, { models: ['a', 'team/*'] });
    allows({ models: ['anything', '*'] }, { models: ['*'] });
    allows({ models: ['anything', '*'] }, { models: [] });
  });

  test('only budgets of which no window of the plan can hold more than the plan’s amount', () => {
    const ms = fc.integer({
      min: Date.parse('2026-01-01T00:00:00Z'),
      max: Date.parse('2032-01-01T00:00:00Z'),
    });
    const window = fc.constantFrom('1d', '2d', '1w', '14d', '10d', '1mo', '2mo', '3mo', '45d');
    const nanos = fc.bigInt({ min: 1n, max: 100n });
    const budget = fc.record({ nanos, window });
    fc.assert(
      fc.property(budget, budget, ms, (own, asked, at) => {
        const terms = someTerms({
          limits: { production: someLimits({ budget: own }), staging: someLimits() },
        });
        if (!isAllowed(terms, asked)) return;
        expect(mostIn(own.window, asked, at)).toBeLessThanOrEqual(own.nanos);
      }),
      { numRuns: 500 },
    );
  });
});

describe('terms as JSON', () => {
  const anyBudget = fc.option(
    fc.record({
      nanos: fc.bigInt({ min: 0n, max: 10n ** 20n }),
      window: fc.option(fc.constantFrom('1d', '1mo')),
    }),
  );
  const anyCount = fc.option(fc.nat());
  const anyLimits: fc.Arbitrary<Limits> = fc.record({
    requestsPerMinute: anyCount,
    tokensPerMinute: anyCount,
    parallelRequests: anyCount,
    models: fc.array(fc.string()),
    budget: anyBudget,
  });

  test('are read back as they were, through text too', () => {
    fc.assert(
      fc.property(anyLimits, anyLimits, anyLimits, (production, staging, tenantLimits) => {
        const terms = someTerms({ limits: { production, staging }, tenantLimits });
        expect(readTerms(termsToJson(terms))).toEqual(terms);
        expect(readTerms(JSON.parse(canonicalJson(terms)))).toEqual(terms);
        expect(readLimits(JSON.parse(canonicalJson(production)))).toEqual(production);
      }),
    );
  });

  test('have amounts as decimal strings', () => {
    expect(termsToJson(someTerms())).toMatchObject({ monthlyFeeNanos: '49000000000', planVersion: 1 });
  });

  test('are refused when a member is missing or of another type, by name', () => {
    const json = termsToJson(someTerms());
    for (const name of Object.keys(json)) {
      for (const wrong of [undefined, 1.5, '1.5', null, []]) {
        if (typeof json[name] === 'string' && wrong === '1.5' && !name.endsWith('Nanos')) continue;
        const damaged = { ...json, [name]: wrong } as typeof json;
        expect(() => readTerms(damaged), `${name}: ${String(wrong)}`).toThrow(name);
      }
    }
    expect(() =>
      readLimits({ ...JSON.parse(canonicalJson(someLimits())), budget: { nanos: 5, window: null } }),
    ).toThrow('limits.budget.nanos');
    expect(() => readTerms(null)).toThrow(TypeError);
  });
});

function budgetOf(amount: bigint, window: string | null): Partial<Limits> {
  return { budget: { nanos: amount * EUR, window } };
}

function withOwn(own: Partial<Limits>): Terms {
  return someTerms({ limits: { production: someLimits(own), staging: someLimits() } });
}

/** Why limits like these are refused when the plan has its usual ones, but for `own`. */
function refusal(asked: Partial<Limits>, own: Partial<Limits> = {}) {
  return refusalOf(() => resolveLimits(withOwn(own), 'production', asked));
}

function allows(asked: Partial<Limits>, own: Partial<Limits> = {}): void {
  expect(resolveLimits(withOwn(own), 'production', asked)).toMatchObject(asked);
}

function isAllowed(terms: Terms, budget: Budget): boolean {
  try {
    guard(terms, 'production', { ...terms.limits.production, budget });
    return true;
  } catch {
    return false;
  }
}

/** What a budget lets through in the window that holds the instant, when every start of it is spent at once. */
function mostIn(outer: string, { nanos, window }: { nanos: bigint; window: string }, at: number): bigint {
  const { startMs, endMs } = budgetWindow(outer, at, 'Europe/Berlin');
  let most = 0n;
  for (let inner = startMs; inner < endMs; inner = budgetWindow(window, inner, 'Europe/Berlin').endMs)
    most += nanos;
  return most;
}

test('usage beyond the included is limited more by a lower rate, by a rate at all, and most by none', () => {
  const throttle = (requestsPerMinute: number | null, tokensPerMinute: number | null) =>
    someTerms({ overage: { policy: 'throttle', requestsPerMinute, tokensPerMinute } });
  const block = someTerms({ overage: { policy: 'block' } });
  const ascending = [someTerms(), throttle(30, null), throttle(20, null), throttle(20, 1_000), block];
  for (const [i, before] of ascending.entries()) {
    for (const [j, after] of ascending.entries()) expect(limitsOverageMore(before, after)).toBe(j > i);
  }
});
