import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { NO_EXTRA } from '../../src/domain/extra-limits.ts';
import { UNLIMITED } from '../../src/domain/limits.ts';
import { Refusal } from '../../src/errors.ts';
import { allowanceOf } from '../../src/gateway/allowance.ts';
import { createLimiter, type Demand, type Limiter } from '../../src/gateway/limiter.ts';
import type { Level } from '../../src/gateway/levels.ts';
import { levelFor } from '../../src/gateway/scope-levels.ts';

const WINDOW_MS = 60_000;
const RPM = 100;
const TPM = 1_000;
const demand = (tokens: number): Demand => ({
  inputTokens: tokens,
  choices: 1,
  namedOutputTokens: 0,
  outputTokensMax: 0,
  otherNanos: 0n,
  prices: { input: 0n, 'cached-input': 0n, output: 0n },
});

function limiterOn(rates: {
  requestsPerMinute?: number;
  tokensPerMinute?: number;
}): [Limiter, readonly Level[]] {
  const limiter = createLimiter({
    spentSince: () => Promise.resolve({ nanos: 0n, position: 0n }),
    flush: () => Promise.resolve(0n),
    budgetStatus: 422,
    onSoftBudget: () => undefined,
  });
  const allowed = allowanceOf({ ...UNLIMITED, ...rates }, NO_EXTRA);
  const scopes = (['user', 'member', 'tag', 'end-user'] as const).map((name) => ({
    name,
    id: 'x',
    subject: 'x',
    zone: 'UTC',
  }));
  return [limiter, scopes.map((scope) => levelFor(limiter.accounts, scope, allowed))];
}

/** What was admitted of a burst at an instant. */
function admitted(
  [limiter, levels]: [Limiter, readonly Level[]],
  ms: number,
  count: number,
  tokens: number,
): number {
  let passed = 0;
  for (let i = 0; i < count; i += 1) {
    try {
      limiter.reserve(levels, demand(tokens), { monotonicMs: ms, wallMs: ms });
      passed += 1;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      break;
    }
  }
  return passed;
}

test('no 60 seconds, wherever they begin, hold more requests than the limit of four levels at once', () => {
  const bursts = fc.array(
    fc.record({
      gapMs: fc.oneof(fc.nat(400), fc.constantFrom(59_749, 59_999, 60_000, 60_001, 60_250), fc.nat(30_000)),
      count: fc.integer({ min: 1, max: 150 }),
    }),
    { minLength: 2, maxLength: 30 },
  );
  fc.assert(
    fc.property(bursts, (list) => {
      const setup = limiterOn({ requestsPerMinute: RPM });
      let ms = 1_000_000;
      const passed: { ms: number; count: number }[] = [];
      for (const { gapMs, count } of list) {
        ms += gapMs;
        passed.push({ ms, count: admitted(setup, ms, count, 1) });
      }
      for (const { ms: end } of passed) {
        const within = passed.filter((burst) => burst.ms <= end && burst.ms > end - WINDOW_MS);
        expect(within.reduce((sum, { count }) => sum + count, 0)).toBeLessThanOrEqual(RPM);
      }
    }),
    { numRuns: 200 },
  );
});

test('at least 99 % of the limit is usable by bursts at the edges of the window, for requests and for tokens', () => {
  const RUN_MS = 20 * WINDOW_MS;
  for (const [rates, tokens, each] of [
    [{ requestsPerMinute: RPM }, 1, RPM],
    [{ tokensPerMinute: TPM }, 10, TPM / 10],
  ] as const) {
    const setup = limiterOn(rates);
    let passed = 0;
    // Whoever asks every 100 ms for all that there may be.
    for (let ms = 0; ms < RUN_MS; ms += 100) passed += admitted(setup, 1_000_000 + ms, each, tokens);
    const allowed = each * (RUN_MS / WINDOW_MS);
    expect(passed).toBeLessThanOrEqual(allowed + each);
    expect(passed).toBeGreaterThanOrEqual(Math.floor(0.99 * allowed));
  }
});
