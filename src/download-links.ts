import { createHmac } from 'node:crypto';
import { sameSecret } from './secrets.ts';

/** Links to files of invoices that work without a key until they expire. */
export interface DownloadLink {
  /** Id or number of the invoice. */
  readonly id: string;
  readonly file: string;
  /** Unix seconds. */
  readonly expires: string;
}

/** Path and query on this server. */
export function signedPath(serverSecret: string, link: DownloadLink): string {
  const { id, file, expires } = link;
  const signature = sign(serverSecret, link);
  return `/api/downloads/${encodeURIComponent(id)}/${file}?expires=${expires}&signature=${signature}`;
}

export function isSigned(serverSecret: string, link: DownloadLink, signature: string): boolean {
  return sameSecret(signature, sign(serverSecret, link));
}

/** Over everything that the link grants; the key is for links alone. */
function sign(serverSecret: string, { id, file, expires }: DownloadLink): string {
  const key = createHmac('sha256', serverSecret).update('invoice links').digest();
  return createHmac('sha256', key)
    .update(JSON.stringify([id, file, expires]))
    .digest('base64url');
}
