import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';

/**
 * Passwords of people, who choose weak ones: hashed with scrypt, slow and hungry for memory on purpose.
 * The stored form names its parameters, so that they can be raised and old ones still be checked.
 */
const COST_LOG2 = 15;
const BLOCK_SIZE = 8;
const PARALLEL = 1;
const HASH_BYTES = 32;
const STORED = /^scrypt\$(\d{1,2})\$(\d{1,2})\$(\d{1,2})\$([\w-]+)\$([\w-]+)$/;

export const PASSWORD_LENGTH_MIN = 12;
export const PASSWORD_LENGTH_MAX = 200;

/** `scrypt$15$8$1$<salt>$<hash>`. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  const hash = await derive(password, salt, { log2: COST_LOG2, r: BLOCK_SIZE, p: PARALLEL });
  return ['scrypt', COST_LOG2, BLOCK_SIZE, PARALLEL, text(salt), text(hash)].join('$');
}

/** Whether it is the password. `stored` null takes as long and says no: nobody learns who has one. */
export async function isPassword(password: string, stored: string | null): Promise<boolean> {
  const match = stored === null ? null : STORED.exec(stored);
  if (match === null) {
    await derive(password, Buffer.alloc(16), { log2: COST_LOG2, r: BLOCK_SIZE, p: PARALLEL });
    return false;
  }
  const [, log2, r, p, salt, hash] = match;
  const known = Buffer.from(hash!, 'base64url');
  const cost = { log2: Number(log2), r: Number(r), p: Number(p) };
  const found = await derive(password, Buffer.from(salt!, 'base64url'), cost);
  return known.length === found.length && timingSafeEqual(known, found);
}

interface Cost {
  readonly log2: number;
  readonly r: number;
  readonly p: number;
}

function derive(password: string, salt: Buffer, { log2, r, p }: Cost): Promise<Buffer> {
  const N = 2 ** log2;
  const options = { N, r, p, maxmem: 256 * N * r };
  return new Promise((resolve, reject) => {
    // Two ways to type the same letter are the same password.
    scrypt(password.normalize('NFKC'), salt, HASH_BYTES, options, (error, hash) =>
      error === null ? resolve(hash) : reject(error),
    );
  });
}

function text(bytes: Buffer): string {
  return bytes.toString('base64url');
}
