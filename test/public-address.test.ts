import { describe, expect, test } from 'vitest';
import { checkedAddress, isPublicAddress } from '../src/public-address.ts';

describe('an address', () => {
  test.each([
    '127.0.0.1',
    '10.1.2.3',
    '172.31.255.255',
    '192.168.1.1',
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
    '224.0.0.1',
    '255.255.255.255',
    '::1',
    '::',
    'fe80::1',
    'fd00::1',
    '::ffff:127.0.0.1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    '2001:db8::1',
    'not an address',
  ])('%s is not public', (address) => {
    expect(isPublicAddress(address)).toBe(false);
  });

  test.each(['1.1.1.1', '172.32.0.1', '193.99.144.80', '2606:4700:4700::1111', '2a02:2e0:3fe:1001::1'])(
    '%s is public',
    (address) => {
      expect(isPublicAddress(address)).toBe(true);
    },
  );

  test('of this machine is called only where the administrator named it, however it is written', async () => {
    for (const host of ['localhost', '127.0.0.1', '[::1]', '2130706433', '0x7f.1']) {
      await expect(checkedAddress(host, []), host).rejects.toThrow(/not a public address|no address/);
    }
    await expect(checkedAddress('127.0.0.1', ['127.0.0.1'])).resolves.toEqual({
      address: '127.0.0.1',
      family: 4,
    });
    await expect(checkedAddress('127.0.0.1', ['localhost'])).rejects.toThrow('not a public address');
  });
});
