import { createHash } from 'node:crypto';
import { canonicalJson } from '../domain/json.ts';
import type { KeyHandOver, KeyHandOverBody, Seal, SealBody } from '../domain/log-seal.ts';
import type { SigningKey } from './signing-key.ts';

/** What exactly is signed, and how it is made. The texts are for ever: old seals are checked by them. */

export function signSeal(key: SigningKey, body: SealBody): Seal {
  const text = sealText(body);
  return { ...body, hash: sha256(text), signature: key.sign(text) };
}

/** The text that a seal's hash and signature are of. */
export function sealText(seal: SealBody): string {
  const { position, after, heads, root, order, previousSeal, sealedAt, keyId } = seal;
  const body = { position, after, heads, root, order, previousSeal, sealedAt, keyId };
  return `keyledger log seal 1\n${canonicalJson(body)}`;
}

export function sealHash(seal: SealBody): string {
  return sha256(sealText(seal));
}

/** Signed by the key that comes and by the one that goes; `previous` is null when there is none at hand. */
export function signHandOver(
  key: SigningKey,
  previous: SigningKey | null,
  from: { readonly previousKeyId: string | null; readonly validFrom: string },
): KeyHandOver {
  const body = { keyId: key.keyId, publicKey: key.publicKey, ...from };
  const text = handOverText(body);
  return { ...body, signature: key.sign(text), previousSignature: previous?.sign(text) ?? null };
}

export function handOverText({ keyId, publicKey, previousKeyId, validFrom }: KeyHandOverBody): string {
  return `keyledger signing key 1\n${canonicalJson({ keyId, publicKey, previousKeyId, validFrom })}`;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
