import { assert, bigInt, integer, property } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { perMillion, perToken } from '../../src/ui/pages/model-prices.ts';

describe('the cost of a model', () => {
  test.each([
    ['0.00000025', '0.25'],
    [2.5e-7, '0.25'],
    ['0.000015', '15'],
    [0.000_002, '2'],
    ['1.5', '1500000'],
    ['0', '0'],
    [null, ''],
    [undefined, ''],
    ['-1', ''],
  ])('of %s per token is %s per million', (given, shown) => {
    expect(perMillion(given)).toBe(shown);
  });

  test.each([
    ['0.25', '0.00000025'],
    ['2,5', '0.0000025'],
    ['15', '0.000015'],
    ['1500000', '1.5'],
    ['0', '0'],
    ['', null],
    ['-1', null],
    ['1e3', null],
  ])('that is written as %s per million is sent as %s', (written, sent) => {
    expect(perToken(written)).toBe(sent);
  });

  test('comes back as it was written', () => {
    assert(
      property(bigInt(0n, 10n ** 15n), integer({ min: 0, max: 12 }), (count, places) => {
        const digits = String(count).padStart(places + 1, '0');
        const fraction = digits.slice(digits.length - places).replace(/0+$/, '');
        const whole = digits.slice(0, digits.length - places);
        const written = places === 0 || fraction === '' ? whole : `${whole}.${fraction}`;
        expect(perMillion(perToken(written))).toBe(written);
      }),
    );
  });
});
