import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  derivedId,
  derivedSecret,
  hashSecret,
  isPlausible,
  maskSecret,
  newSecret,
  sameSecret,
} from '../src/secrets.ts';

const FORMAT = /^sk-kl_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}$/;
const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

describe('a secret', () => {
  test('has the published format, and no two are alike', () => {
    const secrets = Array.from({ length: 200 }, newSecret);
    for (const secret of secrets) expect(secret).toMatch(FORMAT);
    expect(new Set(secrets).size).toBe(200);
  });

  test('with its own checksum is plausible', () => {
    for (let i = 0; i < 200; i += 1) expect(isPlausible(newSecret())).toBe(true);
  });

  test('with any one character changed is not', () => {
    const places = fc.integer({ min: 'sk-kl_'.length, max: 'sk-kl_'.length + 43 + 1 + 6 - 1 });
    fc.assert(
      fc.property(places, fc.constantFrom(...BASE62.split('')), (place, character) => {
        const secret = newSecret();
        fc.pre(secret[place] !== '_' && secret[place] !== character);
        expect(isPlausible(secret.slice(0, place) + character + secret.slice(place + 1))).toBe(false);
      }),
      { numRuns: 2_000 },
    );
  });

  test('in another format is for the look-up to judge', () => {
    expect(isPlausible('sk-1234567890abcdef')).toBe(true);
  });

  test('is shown by its last four characters only, and a short one not at all', () => {
    expect(maskSecret('sk-0123456789abcd')).toBe('sk-...abcd');
    expect(maskSecret('sk-12345678')).toBe('sk-...');
  });

  test('is hashed as lower-case hex SHA-256', () => {
    expect(hashSecret('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  });

  test('equals itself and nothing else', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (a, b) => {
        expect(sameSecret(a, a)).toBe(true);
        expect(sameSecret(a, b)).toBe(a === b);
      }),
    );
  });
});

describe('what follows from a command', () => {
  test('is the same secret every time, for the same server, command and name', () => {
    const secret = derivedSecret('server', 'command', 'name');
    expect(secret).toMatch(FORMAT);
    expect(isPlausible(secret)).toBe(true);
    expect(derivedSecret('server', 'command', 'name')).toBe(secret);
    const others = [
      derivedSecret('other', 'command', 'name'),
      derivedSecret('server', 'other', 'name'),
      derivedSecret('server', 'command', 'other'),
    ];
    expect(new Set([secret, ...others]).size).toBe(4);
  });

  test('is the same id every time, and another one for another kind, command or name', () => {
    const id = derivedId('ten', 'command', 'name');
    expect(id).toMatch(/^ten_[0-9A-Za-z]{22}$/);
    expect(derivedId('ten', 'command', 'name')).toBe(id);
    const others = [
      derivedId('key', 'command', 'name'),
      derivedId('ten', 'other', 'name'),
      derivedId('ten', 'command', 'other'),
    ];
    expect(new Set([id, ...others].map((text) => text.slice(4))).size).toBe(4);
  });
});
