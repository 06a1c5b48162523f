import type { Decider } from './decider.ts';
import { unreachable } from './decider.ts';
import { Refusal } from '../errors.ts';

/**
 * Seals of the whole log, in one stream for the installation. A seal fixes what the log held up to a
 * place, continues the seal before it, and is signed; so whoever keeps one seal can prove everything
 * before it. The places that it names are counted, not taken from a store, because a log keeps its
 * order when it moves to another store, and its positions perhaps not.
 */

// Events. These names and shapes are stored for ever; see store/codec.ts before changing one.
export type LogSealed = { readonly type: 'log.sealed'; readonly data: Seal };

export interface Seal extends SealBody {
  /** Lower-case hex SHA-256 of what is signed. */
  readonly hash: string;
  /** Ed25519 over the canonical text of the body, base64. */
  readonly signature: string;
}

export interface SealBody {
  /** The seal covers the first so many events of the log: the position, where positions have no gaps. */
  readonly position: bigint;
  /** What the seal before it covers; 0 for the first. This one is made of the events in between. */
  readonly after: bigint;
  /** Streams that have events in between: the leaves of the tree. */
  readonly heads: number;
  /** Merkle root over those streams, in hex; see audit/merkle.ts. */
  readonly root: string;
  /** SHA-256 over the hashes of the events in between in the order of the log, in hex. */
  readonly order: string;
  /** Hash of the seal before it; 64 zeros for the first. */
  readonly previousSeal: string;
  /** Instant. */
  readonly sealedAt: string;
  /** Of the key that signed. */
  readonly keyId: string;
}

/** The key that signs from here on, also for the first one. */
export type LogKeyRotated = { readonly type: 'log.key-rotated'; readonly data: KeyHandOver };

export interface KeyHandOver extends KeyHandOverBody {
  /** By the new key, base64: whoever hands over has it. */
  readonly signature: string;
  /** By the key before; null for the first key, and when the one before was lost. */
  readonly previousSignature: string | null;
}

export interface KeyHandOverBody {
  readonly keyId: string;
  /** SubjectPublicKeyInfo, DER, base64. */
  readonly publicKey: string;
  /** Null for the first key. */
  readonly previousKeyId: string | null;
  /** Instant from which seals are signed with it. */
  readonly validFrom: string;
}

export type LogSealEvent = LogSealed | LogKeyRotated;

export type LogSealCommand =
  | { readonly type: 'seal'; readonly seal: Seal }
  | { readonly type: 'rotate-key'; readonly handOver: KeyHandOver };

export interface LogSealState {
  /** The key in force; null before the first. */
  readonly key: KeyHandOver | null;
  /** Null before the first. */
  readonly last: Seal | null;
}

/** The stream of seals. */
export const CHECKPOINT = 'checkpoint';
/** What the first seal continues. */
export const NO_SEAL = '0'.repeat(64);

export const logSeal: Decider<LogSealCommand, LogSealState, LogSealEvent> = {
  initial: { key: null, last: null },
  decide,
  evolve,
};

function decide(command: LogSealCommand, { key, last }: LogSealState): readonly LogSealEvent[] {
  switch (command.type) {
    case 'seal': {
      const { seal } = command;
      // Somebody else has sealed meanwhile: what this one was to cover is covered.
      const follows = seal.previousSeal === (last?.hash ?? NO_SEAL) && seal.after === (last?.position ?? 0n);
      if (!follows || seal.position <= seal.after) return [];
      if (seal.keyId !== key?.keyId) throw new Refusal('stream_changed');
      return [{ type: 'log.sealed', data: seal }];
    }
    case 'rotate-key': {
      const { handOver } = command;
      if (handOver.keyId === key?.keyId) return [];
      if (handOver.previousKeyId !== (key?.keyId ?? null)) throw new Refusal('stream_changed');
      return [{ type: 'log.key-rotated', data: handOver }];
    }
    default:
      return unreachable(command);
  }
}

function evolve(state: LogSealState, event: LogSealEvent): LogSealState {
  switch (event.type) {
    case 'log.sealed':
      return { ...state, last: event.data };
    case 'log.key-rotated':
      return { ...state, key: event.data };
    default:
      return unreachable(event);
  }
}
