import { createHmac } from 'node:crypto';
import { sameSecret } from './secrets.ts';

/** Links to files of invoices that work without a key until they expire, and to the page that pays one. */
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

/** Path and query on this server; it grants no more than to pay, and lasts as long as the paper that it is on. */
export function signedPaymentPath(serverSecret: string, invoiceId: string): string {
  return `/api/payments/${invoiceId}?signature=${paymentSignature(serverSecret, invoiceId)}`;
}

export function isPaymentSigned(serverSecret: string, invoiceId: string, signature: string): boolean {
  return sameSecret(signature, paymentSignature(serverSecret, invoiceId));
}

/** 128 bits: it is typed from paper now and then. */
function paymentSignature(serverSecret: string, invoiceId: string): string {
  const key = createHmac('sha256', serverSecret).update('payment links').digest();
  return createHmac('sha256', key).update(invoiceId).digest('base64url').slice(0, 22);
}

/** Over everything that the link grants; the key is for links alone. */
function sign(serverSecret: string, { id, file, expires }: DownloadLink): string {
  const key = createHmac('sha256', serverSecret).update('invoice links').digest();
  return createHmac('sha256', key)
    .update(JSON.stringify([id, file, expires]))
    .digest('base64url');
}
