import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { Refusal } from './errors.ts';

/**
 * Secrets of others, such as that of an agency's payment provider, as they are kept: AES-256-GCM under
 * a key that follows from the server's own secret (LITELLM_SALT_KEY). The place where a secret belongs
 * is sealed in, so that it cannot be moved to another one.
 */
const IV_BYTES = 12;
const TAG_BYTES = 16;
const VERSION = 'v1';

export function sealText(serverSecret: string, text: string, place: string): string {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv('aes-256-gcm', keyFrom(serverSecret), iv).setAAD(Buffer.from(place));
  const sealed = Buffer.concat([iv, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]);
  return `${VERSION}.${sealed.toString('base64url')}`;
}

/** Throws Refusal(secret_unreadable) when the server's secret is another one, or the text was altered or moved. */
export function openText(serverSecret: string, sealed: string, place: string): string {
  const [version, encoded = ''] = sealed.split('.', 2);
  const bytes = Buffer.from(encoded, 'base64url');
  try {
    if (version !== VERSION) throw new Error('another version');
    const decipher = createDecipheriv('aes-256-gcm', keyFrom(serverSecret), bytes.subarray(0, IV_BYTES))
      .setAAD(Buffer.from(place))
      .setAuthTag(bytes.subarray(-TAG_BYTES));
    const text = decipher.update(bytes.subarray(IV_BYTES, -TAG_BYTES));
    return Buffer.concat([text, decipher.final()]).toString('utf8');
  } catch {
    throw new Refusal('secret_unreadable');
  }
}

function keyFrom(serverSecret: string): Buffer {
  return Buffer.from(hkdfSync('sha256', serverSecret, '', 'keyledger secrets of agencies', 32));
}
