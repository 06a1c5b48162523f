import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Ed25519 keys that sign seals. The private key is given by the settings, or drawn on the first start
 * and kept in the data folder, readable by its owner only. While a rotation is under way its
 * successor lies beside it.
 */
export interface SigningKey extends PublicKey {
  /** Base64. */
  sign(text: string): string;
}

export interface PublicKey {
  /** The first 32 hex digits of the SHA-256 of `publicKey`. */
  readonly keyId: string;
  /** SubjectPublicKeyInfo, DER, base64. */
  readonly publicKey: string;
}

export interface KeySource {
  /** PEM of a private key, or the path of a file with it; null: drawn and kept in the data folder. */
  readonly configured: string | null;
  /** The key before the configured one, so that it can hand over; null when there is none. */
  readonly previous: string | null;
  readonly dataDir: string;
}

const FILE = 'audit-signing-key.pem';
const NEXT_FILE = 'audit-signing-key.next.pem';

/** The keys at hand. The first is the one to sign with; another one may be in force still. */
export function signingKeys({ configured, previous, dataDir }: KeySource): readonly SigningKey[] {
  if (configured !== null) {
    return [configured, previous].flatMap((given) => (given === null ? [] : [signingKey(pemOf(given))]));
  }
  const file = join(dataDir, FILE);
  if (!existsSync(file)) draw(file);
  return [join(dataDir, NEXT_FILE), file]
    .filter((path) => existsSync(path))
    .map((path) => signingKey(readFileSync(path, 'utf8')));
}

/** False while none is given or drawn. */
export function hasSigningKey({ configured, dataDir }: KeySource): boolean {
  return configured !== null || existsSync(join(dataDir, FILE));
}

/** Draws the key to rotate to, beside the one in force. It is a no-op while one lies there. */
export function drawNextKey(dataDir: string): void {
  const file = join(dataDir, NEXT_FILE);
  if (!existsSync(file)) draw(file);
}

/** Puts the next key in the place of the one before, once the log says that it is in force. */
export function settleNextKey(dataDir: string): void {
  const file = join(dataDir, NEXT_FILE);
  if (existsSync(file)) renameSync(file, join(dataDir, FILE));
}

function draw(file: string): void {
  const { privateKey } = generateKeyPairSync('ed25519');
  try {
    writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600, flag: 'wx' });
  } catch (error) {
    // Another process of this data folder was faster; its key is the key.
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
}

function pemOf(given: string): string {
  return given.includes('-----BEGIN') ? given.replaceAll('\\n', '\n') : readFileSync(given, 'utf8');
}

/** Throws Error unless the text is an Ed25519 private key in PEM. */
export function signingKey(pem: string): SigningKey {
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(pem);
  } catch {
    throw new Error('The signing key of the audit is not a private key in PEM.');
  }
  if (privateKey.asymmetricKeyType !== 'ed25519')
    throw new Error('The signing key of the audit is not Ed25519.');
  const described = describeKey(createPublicKey(privateKey));
  return { ...described, sign: (text) => sign(null, Buffer.from(text), privateKey).toString('base64') };
}

/** Reads a public key in PEM, such as the one that `GET /api/audit/public-key` gives. */
export function publicKeyOf(pem: string): PublicKey {
  const key = createPublicKey(pem);
  if (key.asymmetricKeyType !== 'ed25519') throw new Error('The public key is not Ed25519.');
  return describeKey(key);
}

function describeKey(key: KeyObject): PublicKey {
  const der = key.export({ type: 'spki', format: 'der' });
  return { keyId: keyIdOf(der), publicKey: der.toString('base64') };
}

function keyIdOf(der: Buffer): string {
  return createHash('sha256').update(der).digest('hex').slice(0, 32);
}

/** True when the id belongs to the key. */
export function isKeyId({ keyId, publicKey }: PublicKey): boolean {
  return keyIdOf(Buffer.from(publicKey, 'base64')) === keyId;
}

/** PEM of a public key. */
export function toPem(publicKey: string): string {
  const lines = publicKey.match(/.{1,64}/g) ?? [];
  return `-----BEGIN PUBLIC KEY-----\n${lines.join('\n')}\n-----END PUBLIC KEY-----\n`;
}

/** False also for what is no key or no signature. */
export function isSignedBy(publicKey: string, text: string, signature: string): boolean {
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey, 'base64'), format: 'der', type: 'spki' });
    return verify(null, Buffer.from(text), key, Buffer.from(signature, 'base64'));
  } catch {
    return false;
  }
}
