import { createHash, createHmac, hash, randomBytes, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';

/**
 * Secrets of virtual keys: `sk-kl_<43 base62 characters = 256 bits>_<6 base62 characters: CRC-32>`.
 * The checksum lets a scanner or this server tell a mistyped key without a look-up; the prefix lets
 * leak scanners find it. `sk-` comes first because LiteLLM clients check it.
 * Published for scanners: /sk-kl_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}/
 */
const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const BODY_LENGTH = 43;
const CHECKSUM_LENGTH = 6;
const OURS = /^sk-kl_([0-9A-Za-z]{43})_([0-9A-Za-z]{6})$/;

export function newSecret(): string {
  return secretFrom(randomBytes(32));
}

/**
 * The secret that a repeated request gets again: it follows from the server's own secret and the
 * command, so nothing has to be stored to answer the same request the same way.
 */
export function derivedSecret(serverSecret: string, commandId: string, name: string): string {
  return secretFrom(createHmac('sha256', serverSecret).update(`virtual-key\n${commandId}\n${name}`).digest());
}

function secretFrom(bytes: Buffer): string {
  const body = base62(bytes, BODY_LENGTH);
  return `sk-kl_${body}_${checksum(body)}`;
}

function checksum(body: string): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(body));
  return base62(bytes, CHECKSUM_LENGTH);
}

/** False for a secret in our format whose checksum is wrong: mistyped, or made up. */
export function isPlausible(secret: string): boolean {
  const match = OURS.exec(secret);
  return match === null || checksum(match[1]!) === match[2];
}

/** Lower-case hex SHA-256: `token` in the LiteLLM API. Identifies a key, never authenticates one. */
export function hashSecret(secret: string): string {
  return hash('sha256', secret, 'hex');
}

/** `sk-...abcd`: what may be shown and logged. */
export function maskSecret(secret: string): string {
  return secret.length < 12 ? 'sk-...' : `sk-...${secret.slice(-4)}`;
}

/** Compares in a time that does not depend on where two secrets differ. */
export function sameSecret(a: string, b: string): boolean {
  return timingSafeEqual(createHash('sha256').update(a).digest(), createHash('sha256').update(b).digest());
}

/**
 * A short id such as `ten_4kQ…` that follows from the command, so that a repeated command means the
 * same thing. 22 base62 characters, 128 bits.
 */
export function derivedId(prefix: string, commandId: string, name: string): string {
  const digest = createHash('sha256').update(`${prefix}\n${commandId}\n${name}`).digest();
  return `${prefix}_${base62(digest.subarray(0, 16), 22)}`;
}

function base62(bytes: Buffer, length: number): string {
  let value = BigInt(`0x${bytes.toString('hex')}`);
  let text = '';
  for (let i = 0; i < length; i += 1) {
    text = ALPHABET[Number(value % 62n)]! + text;
    value /= 62n;
  }
  return text;
}
