import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { priceRate } from '../../src/domain/money.ts';
import { NO_USAGE, rate, type Rates, TOKEN_UNITS, UNITS, type Usage } from '../../src/domain/spend.ts';

const anyRate = fc.bigInt({ min: 0n, max: 10n ** 12n });
const anyRates: fc.Arbitrary<Rates> = fc
  .tuple(anyRate, anyRate, anyRate)
  .map(([input, cached, output]) => ({ input, 'cached-input': cached, output }));
const anyUsage: fc.Arbitrary<Usage> = fc
  .tuple(fc.nat(), fc.nat(), fc.nat(), fc.nat())
  .map(([fresh, cached, visible, reasoning]) => ({
    inputTokens: fresh + cached,
    cachedInputTokens: cached,
    outputTokens: visible + reasoning,
    reasoningTokens: reasoning,
  }));

describe('the lines of a usage', () => {
  const prices: Rates = { input: 300_000_000n, 'cached-input': 150_000_000n, output: 1_200_000_000n };
  const costs: Rates = { input: 150_000_001n, 'cached-input': 75_000_000n, output: 600_000_000n };

  test('take the cached part out of the input, and charge reasoning as output', () => {
    const usage = { inputTokens: 100, cachedInputTokens: 40, outputTokens: 10, reasoningTokens: 9 };
    expect(rate(usage, prices, costs)).toEqual([
      { unit: 'input', quantity: 60, priceRate: 300_000_000n, priceNanos: 18_000n, costNanos: 9_000n },
      { unit: 'cached-input', quantity: 40, priceRate: 150_000_000n, priceNanos: 6_000n, costNanos: 3_000n },
      { unit: 'output', quantity: 10, priceRate: 1_200_000_000n, priceNanos: 12_000n, costNanos: 6_000n },
    ]);
  });

  test('charge other units at their own rate, and parts without one at the rate of the whole', () => {
    const usage: Usage = {
      inputTokens: 100,
      cachedInputTokens: 40,
      outputTokens: 10,
      reasoningTokens: 0,
      units: { 'cache-write': 20, 'audio-input': 5, 'audio-output': 4, image: 2 },
    };
    const own: Rates = { ...prices, 'cache-write': 375_000_000n, image: 40_000_000_000_000n };
    const lines = rate(usage, own, costs);
    expect(lines.map(({ unit, quantity, priceNanos }) => [unit, quantity, priceNanos])).toEqual([
      ['input', 35, 10_500n],
      ['cached-input', 40, 6_000n],
      ['cache-write', 20, 7_500n],
      ['audio-input', 5, 1_500n],
      ['output', 6, 7_200n],
      ['audio-output', 4, 4_800n],
      ['image', 2, 80_000_000n],
    ]);
    expect(rate(usage, prices, costs).map(({ unit }) => unit)).not.toContain('image');
  });

  test('are none when nothing was used', () => {
    expect(rate(NO_USAGE, prices, costs)).toEqual([]);
  });

  test('hold every token exactly once, in the order of the units', () => {
    fc.assert(
      fc.property(anyUsage, anyRates, anyRates, (usage, prices, costs) => {
        const lines = rate(usage, prices, costs);
        expect(lines.reduce((sum, { quantity }) => sum + quantity, 0)).toBe(
          usage.inputTokens + usage.outputTokens,
        );
        expect(lines.every(({ quantity }) => quantity > 0)).toBe(true);
        expect(UNITS.filter((unit) => lines.some((line) => line.unit === unit))).toEqual(
          lines.map(({ unit }) => unit),
        );
      }),
    );
  });

  test('priced one by one come to the price of the sum, as an invoice shows it', () => {
    fc.assert(
      fc.property(fc.array(anyUsage, { maxLength: 8 }), anyRates, (usages, anyPrices) => {
        const prices = Object.fromEntries(
          TOKEN_UNITS.map((unit) => [unit, priceRate(anyPrices[unit])]),
        ) as unknown as Rates;
        const lines = usages.flatMap((usage) => rate(usage, prices, prices));
        for (const unit of TOKEN_UNITS) {
          const ofUnit = lines.filter((line) => line.unit === unit);
          const quantity = ofUnit.reduce((sum, line) => sum + BigInt(line.quantity), 0n);
          const price = ofUnit.reduce((sum, line) => sum + line.priceNanos, 0n);
          expect(price * 1_000_000n).toBe(quantity * prices[unit]);
        }
      }),
    );
  });
});
