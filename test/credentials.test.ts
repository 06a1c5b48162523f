import { describe, expect, test } from 'vitest';
import { readCredential } from '../src/credentials.ts';
import { refusalOf } from './support/specification.ts';

const SECRET = 'sk-kl_secret';
const HEADERS = [
  'X-LiteLLM-API-Key',
  'Authorization',
  'api-key',
  'x-api-key',
  'X-Goog-Api-Key',
  'Ocp-Apim-Subscription-Key',
];
const BARE_HEADERS = HEADERS.filter((header) => header !== 'Authorization');

describe('a credential', () => {
  test.each(HEADERS)('is read from %s with Bearer, in any letter case', (header) => {
    expect(readCredential(['host', 'x', header, `Bearer ${SECRET}`])).toBe(SECRET);
    expect(readCredential([header.toLowerCase(), `Bearer ${SECRET}`])).toBe(SECRET);
    expect(readCredential([header.toUpperCase(), `bEaReR   ${SECRET}  `])).toBe(SECRET);
  });

  test.each(BARE_HEADERS)('is read from %s without Bearer', (header) => {
    expect(readCredential([header, ` ${SECRET} `])).toBe(SECRET);
  });

  test.each([SECRET, `Basic ${SECRET}`, `Bearer${SECRET}`, `Token ${SECRET}`])(
    'in Authorization has to say Bearer: %s',
    (value) => {
      expect(refusalOf(() => readCredential(['authorization', value])).code).toBe('malformed_key');
    },
  );

  test.each(HEADERS)('is missing when %s is empty', (header) => {
    for (const value of ['', '   ', 'Bearer', 'Bearer ', 'bearer \t']) {
      expect(refusalOf(() => readCredential([header, value])).code).toBe('no_key');
    }
  });

  test('is missing when no header carries one', () => {
    expect(refusalOf(() => readCredential([])).code).toBe('no_key');
    expect(refusalOf(() => readCredential(['cookie', `authorization=${SECRET}`])).code).toBe('no_key');
  });

  test('is never quoted in a refusal', () => {
    for (const headers of [
      ['authorization', SECRET],
      ['authorization', `Bearer ${SECRET}`, 'api-key', SECRET],
    ]) {
      const refusal = refusalOf(() => readCredential(headers));
      expect(JSON.stringify([refusal.message, refusal.detail])).not.toContain(SECRET);
    }
  });
});

describe('two readings of one request', () => {
  test('two different credential headers are refused, even with the same secret', () => {
    for (const first of HEADERS) {
      for (const second of HEADERS.filter((header) => header !== first)) {
        const refusal = refusalOf(() =>
          readCredential([first, `Bearer ${SECRET}`, second, `Bearer ${SECRET}`]),
        );
        expect(refusal.code).toBe('two_credentials');
        expect(refusal.detail).toEqual({ headers: `${first.toLowerCase()}, ${second.toLowerCase()}` });
      }
    }
  });

  test('the same credential header twice is refused, even when one is empty', () => {
    const headers = ['Authorization', `Bearer ${SECRET}`, 'authorization', ''];
    expect(refusalOf(() => readCredential(headers)).code).toBe('two_credentials');
  });

  test.each(['Host', 'Content-Type', 'Content-Length'])('%s twice is refused', (header) => {
    const headers = [header, '1', 'authorization', `Bearer ${SECRET}`, header.toLowerCase(), '1'];
    expect(refusalOf(() => readCredential(headers)).code).toBe('duplicate_header');
  });

  test('other headers may come twice', () => {
    expect(readCredential(['accept', 'a', 'accept', 'b', 'authorization', `Bearer ${SECRET}`])).toBe(SECRET);
  });
});

describe('a header of the operator’s own', () => {
  test('takes the place of the usual ones', () => {
    const headers = ['X-Our-Key', `Bearer ${SECRET}`, 'authorization', 'Bearer other'];
    expect(readCredential(headers, 'x-our-key')).toBe(SECRET);
    expect(refusalOf(() => readCredential(['authorization', `Bearer ${SECRET}`], 'x-our-key')).code).toBe(
      'no_key',
    );
  });

  test('has to say Bearer too', () => {
    expect(refusalOf(() => readCredential(['x-our-key', SECRET], 'x-our-key')).code).toBe('malformed_key');
  });
});
