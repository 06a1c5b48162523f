import { isIP } from 'node:net';
import { z } from 'zod';

/** Names that stand for private networks. */
const NAMES = ['loopback', 'linklocal', 'uniquelocal'];

/** Comma-separated addresses and networks: `10.0.0.0/8, 192.0.2.7, loopback`. */
export const Networks = z
  .string()
  .transform((text) => text.split(',').map((part) => part.trim()))
  .refine((parts) => parts.every(isNetwork), 'is not a list of addresses and networks such as 10.0.0.0/8');

function isNetwork(text: string): boolean {
  if (NAMES.includes(text)) return true;
  const [address, bits, ...rest] = text.split('/');
  const family = isIP(address ?? '');
  if (family === 0 || rest.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}
