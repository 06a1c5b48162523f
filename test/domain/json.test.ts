import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalJson, type Json } from '../../src/domain/json.ts';

/** Without members named `__proto__`, which are refused. */
const anyJson = fc
  .jsonValue()
  .map((value) => value as Json)
  .filter((value) => !JSON.stringify(value).includes('"__proto__"'));
const anyName = fc.string().filter((name) => name !== '__proto__');

describe('canonical JSON', () => {
  test('is read back as the same value', () => {
    fc.assert(
      fc.property(anyJson, (value) => {
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  test('does not change when it is written again', () => {
    fc.assert(
      fc.property(anyJson, (value) => {
        const text = canonicalJson(value);
        expect(canonicalJson(JSON.parse(text))).toBe(text);
      }),
    );
  });

  test('does not depend on the order in which members were set', () => {
    fc.assert(
      fc.property(fc.dictionary(anyName, anyJson), (value) => {
        expect(canonicalJson(Object.fromEntries(Object.entries(value).toReversed()))).toBe(
          canonicalJson(value),
        );
      }),
    );
  });

  test('has sorted names and no white space, at every depth', () => {
    expect(canonicalJson({ b: [{ d: 1, c: 'x y' }], a: null })).toBe('{"a":null,"b":[{"c":"x y","d":1}]}');
  });

  test('writes bigints as text and leaves out what is undefined', () => {
    expect(canonicalJson({ nanos: 12_345_678_901_234_567_890n, gone: undefined })).toBe(
      '{"nanos":"12345678901234567890"}',
    );
  });

  test('keeps the order of lists', () => {
    expect(canonicalJson([3, 1, 2])).toBe('[3,1,2]');
  });

  test.each([NaN, Infinity, undefined, () => 1, Symbol('x')])(
    'refuses what JSON has no word for: %s',
    (value) => {
      expect(() => canonicalJson(value)).toThrow(TypeError);
      expect(() => canonicalJson([value])).toThrow(TypeError);
    },
  );
});
