import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  amountAt,
  divideHalfUp,
  formatCents,
  formatNanos,
  NANOS_PER_CENT,
  nanosFromNumber,
  nanosToNumber,
  parseNanos,
  priceRate,
  rateFromPerToken,
  toCents,
} from '../../src/domain/money.ts';

const anyNanos = fc.bigInt({ min: -(10n ** 21n), max: 10n ** 21n });
const anyRate = fc.bigInt({ min: 0n, max: 10n ** 15n });
const anyTokens = fc.integer({ min: 0, max: 2 ** 40 });

describe('rounding', () => {
  test.each([
    [5n, 10n, 1n],
    [4n, 10n, 0n],
    [15n, 10n, 2n],
    [-5n, 10n, -1n],
    [-4n, 10n, 0n],
    [7n, 3n, 2n],
    [3n, 2n, 2n],
    [0n, 7n, 0n],
  ])('%s / %s is %s', (dividend, divisor, quotient) => {
    expect(divideHalfUp(dividend, divisor)).toBe(quotient);
  });

  test('is never further away than half, and away from zero when it is half', () => {
    fc.assert(
      fc.property(anyNanos, fc.bigInt({ min: 1n, max: 10n ** 12n }), (dividend, divisor) => {
        const twiceOff = (divideHalfUp(dividend, divisor) * divisor - dividend) * 2n;
        const away = dividend < 0n ? -twiceOff : twiceOff;
        expect(away).toBeGreaterThan(-divisor);
        expect(away).toBeLessThanOrEqual(divisor);
      }),
    );
  });

  test('treats a debit like the credit of the same size', () => {
    fc.assert(
      fc.property(anyNanos, (nanos) => {
        expect(toCents(-nanos)).toBe(-toCents(nanos));
      }),
    );
  });

  test('half a cent becomes a cent', () => {
    expect(toCents(5_000_000n)).toBe(1n);
    expect(toCents(4_999_999n)).toBe(0n);
  });
});

describe('amounts as text', () => {
  test('formatting and parsing give the same amount', () => {
    fc.assert(
      fc.property(anyNanos, fc.integer({ min: 0, max: 9 }), (nanos, decimals) => {
        expect(parseNanos(formatNanos(nanos, decimals))).toBe(nanos);
      }),
    );
  });

  test('are as short as they can be, with the decimals that were asked for', () => {
    expect(formatNanos(105_000n)).toBe('0.000105');
    expect(formatNanos(-1_500_000_000n)).toBe('-1.5');
    expect(formatNanos(12_000_000_000n, 2)).toBe('12.00');
    expect(formatNanos(1n, 2)).toBe('0.000000001');
    expect(formatNanos(0n)).toBe('0');
    expect(formatCents(-5n)).toBe('-0.05');
  });

  test.each(['', '.5', '5.', '1,5', '0x10', 'NaN', '--1', '1e', '1e999', ' ', '1 2', '1_000'])(
    '%j is not an amount',
    (text) => {
      expect(() => parseNanos(text)).toThrow(RangeError);
    },
  );

  test('a tenth of a nano is refused, not dropped', () => {
    expect(() => parseNanos('0.0000000001')).toThrow('more than nine decimals');
    expect(parseNanos('0.0000000010')).toBe(1n);
  });

  test('read exponents exactly', () => {
    expect(parseNanos('1e-7')).toBe(100n);
    expect(parseNanos('1.5E+3')).toBe(1_500_000_000_000n);
  });
});

describe('amounts as JSON numbers', () => {
  test('a number with at most nine decimals means exactly what was typed', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(10n ** 15n), max: 10n ** 15n }), (nanos) => {
        expect(nanosFromNumber(nanosToNumber(nanos))).toBe(nanos);
      }),
    );
    expect(nanosFromNumber(0.1)).toBe(100_000_000n);
    expect(nanosFromNumber(0.1 + 0.2)).toBe(300_000_000n);
  });

  test('what is finer than a nano is rounded half up', () => {
    expect(nanosFromNumber(0.0000000005)).toBe(1n);
    expect(nanosFromNumber(4e-10)).toBe(0n);
  });

  test.each([NaN, Infinity, -Infinity])('%s is not an amount', (value) => {
    expect(() => nanosFromNumber(value)).toThrow(RangeError);
  });

  test('a price per token is a rate per million', () => {
    expect(rateFromPerToken(0.00000015)).toBe(150_000_000n);
    expect(rateFromPerToken('1.5e-7')).toBe(150_000_000n);
    expect(rateFromPerToken(1.234e-9)).toBe(1_234_000n);
  });
});

describe('what tokens cost', () => {
  test('a price rate is whole nanos per token, and no more than half a nano off', () => {
    fc.assert(
      fc.property(anyRate, (rate) => {
        const whole = priceRate(rate);
        expect(whole % 1_000_000n).toBe(0n);
        expect(whole - rate).toBeLessThanOrEqual(500_000n);
        expect(whole - rate).toBeGreaterThan(-500_000n);
        expect(priceRate(whole)).toBe(whole);
      }),
    );
  });

  test('at a price rate the price of all is the sum of the prices of any parts', () => {
    fc.assert(
      fc.property(anyRate, fc.array(anyTokens, { maxLength: 20 }), (rate, parts) => {
        const price = priceRate(rate);
        const total = parts.reduce((sum, tokens) => sum + tokens, 0);
        const sum = parts.reduce((sum, tokens) => sum + amountAt(price, tokens), 0n);
        expect(amountAt(price, total)).toBe(sum);
        expect(sum).toBe((price * BigInt(total)) / 1_000_000n);
      }),
    );
  });

  test('at any other rate an amount is rounded half up once', () => {
    expect(amountAt(1n, 499_999)).toBe(0n);
    expect(amountAt(1n, 500_000)).toBe(1n);
    expect(amountAt(150_000_000n, 7)).toBe(1_050n);
    expect(amountAt(600_000_000n, 0)).toBe(0n);
  });

  test('a cent has ten million nanos', () => {
    expect(toCents(NANOS_PER_CENT * 123n)).toBe(123n);
  });
});
