import { CHECKPOINT } from '../domain/log-seal.ts';
import type { EventStore } from '../store/event-store.ts';
import { toPem } from './signing-key.ts';

/** The keys that the log is and was sealed with, as an auditor asks for them. As JSON. */
export type PublicKeys = {
  readonly key_id: string;
  readonly algorithm: 'Ed25519';
  /** PEM. */
  readonly public_key: string;
  readonly valid_from: string;
  /** Null while it is in force. */
  readonly valid_until: null;
  /** Position of the hand-over in the log. */
  readonly position: string;
  readonly earlier: readonly EarlierKey[];
};

type EarlierKey = {
  readonly key_id: string;
  readonly public_key: string;
  readonly valid_from: string;
  readonly valid_until: string;
  /** False when the key after it took over without its signature. */
  readonly handed_over: boolean;
};

/** Null before the log has a key. */
export async function publicKeys(store: EventStore): Promise<PublicKeys | null> {
  let current: PublicKeys | null = null;
  for await (const { event, position } of store.readStream(CHECKPOINT)) {
    if (event.type !== 'log.key-rotated') continue;
    const { keyId, publicKey, validFrom, previousSignature } = event.data;
    const earlier: EarlierKey[] =
      current === null
        ? []
        : [
            ...current.earlier,
            {
              key_id: current.key_id,
              public_key: current.public_key,
              valid_from: current.valid_from,
              valid_until: validFrom,
              handed_over: previousSignature !== null,
            },
          ];
    current = {
      key_id: keyId,
      algorithm: 'Ed25519',
      public_key: toPem(publicKey),
      valid_from: validFrom,
      valid_until: null,
      position: String(position),
      earlier,
    };
  }
  return current;
}
