import type { Limits } from '../../src/domain/limits.ts';
import type { Terms } from '../../src/domain/plan.ts';

/** A plan's terms for tests, with what matters in a test put over it. */
export function someTerms(different: Partial<Terms> = {}): Terms {
  return {
    plan: 'studio',
    planVersion: 1,
    currency: 'EUR',
    monthlyFeeNanos: 49_000_000_000n,
    includedUsageNanos: 10_000_000_000n,
    prices: {
      models: {
        'demo-small': { inputRate: 150_000_000n, cachedInputRate: 75_000_000n, outputRate: 600_000_000n },
      },
      markupPercent: '20',
    },
    limits: { production: someLimits(), staging: someLimits({ requestsPerMinute: 30 }) },
    tenantLimits: someLimits({ requestsPerMinute: 1_000, budget: null }),
    ...different,
  };
}

export function someLimits(different: Partial<Limits> = {}): Limits {
  return {
    requestsPerMinute: 300,
    tokensPerMinute: 120_000,
    parallelRequests: 20,
    models: [],
    budget: { nanos: 250_000_000_000n, window: '1mo' },
    ...different,
  };
}
