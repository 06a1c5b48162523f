import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { openText, sealText } from '../src/sealed-text.ts';

test('a sealed text opens with the same secret at the same place, and is another one every time', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      const sealed = sealText('secret', text, 'age_1 key');
      expect(openText('secret', sealed, 'age_1 key')).toBe(text);
      expect(sealText('secret', text, 'age_1 key')).not.toBe(sealed);
    }),
  );
});

test('it does not open elsewhere, with another secret, or after a bit was changed', () => {
  const sealed = sealText('secret', 'sk_live_0123456789', 'age_1 key');
  expect(sealed).not.toContain('sk_live');
  const refused = expect.objectContaining({ code: 'secret_unreadable' });
  expect(() => openText('secret', sealed, 'age_2 key')).toThrow(refused);
  expect(() => openText('other', sealed, 'age_1 key')).toThrow(refused);
  for (const damaged of ['', 'v1.', 'v2.abc', sealed.slice(0, -4)]) {
    expect(() => openText('secret', damaged, 'age_1 key'), damaged).toThrow(refused);
  }
  const bytes = Buffer.from(sealed.slice(3), 'base64url');
  for (let at = 0; at < bytes.length; at += 1) {
    const altered = Buffer.from(bytes);
    altered[at]! ^= 1;
    expect(() => openText('secret', `v1.${altered.toString('base64url')}`, 'age_1 key')).toThrow(refused);
  }
});
