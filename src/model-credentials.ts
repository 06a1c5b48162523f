import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { canonicalJson, type JsonObject } from './domain/json.ts';

/**
 * Credentials of upstreams as they are kept: AES-256-GCM under a key that follows from the salt key,
 * bound to the model that they belong to, so that one model's cannot be put in the place of
 * another's. Without the salt key nothing in the log or its copies gives them away.
 *
 * `v1.<key fingerprint>.<nonce>.<ciphertext and tag>`, each base64url.
 */
export interface CredentialSeal {
  seal(modelId: string, credentials: JsonObject): string;
  /** Throws Error when the text was sealed under another key or for another model, or was changed. */
  open(modelId: string, sealed: string): JsonObject;
}

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export function credentialSeal(saltKey: string): CredentialSeal {
  const key = Buffer.from(hkdfSync('sha256', saltKey, 'keyledger', 'credentials of models', 32));
  const fingerprint = createHash('sha256').update(key).digest().subarray(0, 6).toString('base64url');
  return {
    seal(modelId, credentials) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(modelId));
      const sealed = Buffer.concat([
        cipher.update(canonicalJson(credentials), 'utf8'),
        cipher.final(),
        cipher.getAuthTag(),
      ]);
      return ['v1', fingerprint, nonce.toString('base64url'), sealed.toString('base64url')].join('.');
    },
    open(modelId, text) {
      const [version, sealedUnder, nonce = '', sealed = ''] = text.split('.');
      if (version !== 'v1') throw new Error(`the credentials of ${modelId} are in no known form`);
      if (sealedUnder !== fingerprint) {
        throw new Error(`the credentials of ${modelId} were encrypted under another LITELLM_SALT_KEY`);
      }
      const bytes = Buffer.from(sealed, 'base64url');
      const decipher = createDecipheriv('aes-256-gcm', key, Buffer.from(nonce, 'base64url'), {
        authTagLength: TAG_BYTES,
      });
      decipher.setAAD(Buffer.from(modelId)).setAuthTag(bytes.subarray(-TAG_BYTES));
      const plain = Buffer.concat([decipher.update(bytes.subarray(0, -TAG_BYTES)), decipher.final()]);
      return JSON.parse(plain.toString('utf8')) as JsonObject;
    },
  };
}

/** The configured salt key, or the one drawn when it was first needed and kept, readable by its owner only. */
export function saltKeyOf(configured: string | undefined, dataDir: string): string {
  if (configured !== undefined) return configured;
  const file = join(dataDir, 'salt-key');
  if (existsSync(file)) return readFileSync(file, 'utf8').trim();
  const drawn = randomBytes(32).toString('base64url');
  writeFileSync(file, `${drawn}\n`, { mode: 0o600, flag: 'wx' });
  return drawn;
}
