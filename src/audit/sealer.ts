import { randomUUID } from 'node:crypto';
import { CHECKPOINT, logSeal, type LogSealState, NO_SEAL, type Seal } from '../domain/log-seal.ts';
import type { Cause } from '../events.ts';
import { hashHolds } from '../store/codec.ts';
import type { EventStore } from '../store/event-store.ts';
import { load, transact } from '../transact.ts';
import { signHandOver, signSeal } from './seal.ts';
import type { SigningKey } from './signing-key.ts';
import { newStretch, type Stretch } from './stretch.ts';

/**
 * Takes seals. It reads the log from where the last seal ended and remembers one entry per stream that
 * it met; what is too much for one seal becomes several. Any number of processes may try at once:
 * the stream of seals lets one through, and the others find that nothing is left to do.
 */
export interface Sealer {
  /** Seals everything that is in the log now. [] when nothing but seals was added since the last one. */
  seal(): Promise<readonly Seal[]>;
  /** Where the log stands: its key and its last seal. */
  state(): Promise<LogSealState>;
}

export interface SealerDeps {
  readonly store: EventStore;
  /** The keys at hand, read anew for each seal. */
  readonly keys: () => readonly SigningKey[];
  /** The agency that the events of the installation are filed under. */
  readonly agencyId: string;
  /** ISO instant, UTC, milliseconds. */
  readonly now: () => string;
  /** Most events and most streams under one seal. */
  readonly eventsMax?: number;
  readonly headsMax?: number;
}

const EVENTS_MAX = 100_000;
const HEADS_MAX = 20_000;

export function createSealer(deps: SealerDeps): Sealer {
  const { store, eventsMax = EVENTS_MAX, headsMax = HEADS_MAX } = deps;
  const gapless = store.positions === 'gapless';
  /** A place in the log and its position in this store. */
  let reached = { place: 0n, position: 0n };

  /** Reads on after so many events, as far as one seal reaches. */
  async function read(after: bigint): Promise<{ stretch: Stretch; place: bigint; isFull: boolean }> {
    if (gapless) reached = { place: after, position: after };
    else if (reached.place > after) reached = { place: 0n, position: 0n };
    let { place } = reached;
    const stretch = newStretch();
    for await (const placed of store.readLog(reached.position)) {
      place += 1n;
      if (gapless && placed.position !== place) {
        throw new Error(`position ${place} is missing from the log: nothing is sealed over a hole`);
      }
      if (place <= after) continue;
      if (!hashHolds(placed)) {
        throw new Error(`the event at position ${placed.position} was altered: it is not sealed`);
      }
      stretch.add(placed);
      reached = { place, position: placed.position };
      if (stretch.events >= eventsMax || stretch.heads >= headsMax) return { stretch, place, isFull: true };
    }
    return { stretch, place, isFull: false };
  }

  async function sealNext(): Promise<{ readonly seal: Seal; readonly isFull: boolean } | null> {
    const { key, last } = await load(store, logSeal, CHECKPOINT);
    const signing = deps.keys().find(({ keyId }) => keyId === key?.keyId);
    if (signing === undefined) throw foreignKey(key?.keyId ?? null);
    const after = last?.position ?? 0n;
    const { stretch, place, isFull } = await read(after);
    if (stretch.isIdle) return null;
    const sealedAt = deps.now();
    const seal = signSeal(signing, {
      position: place,
      after,
      ...stretch.sum(),
      previousSeal: last?.hash ?? NO_SEAL,
      sealedAt,
      keyId: signing.keyId,
    });
    const meta = metaOf(deps.agencyId, `seal ${seal.hash}`, sealedAt);
    const { state } = await transact(store, logSeal, CHECKPOINT, { type: 'seal', seal }, meta);
    return state.last?.hash === seal.hash ? { seal, isFull } : null;
  }

  return {
    async seal() {
      const seals: Seal[] = [];
      for (;;) {
        const taken = await sealNext();
        if (taken === null) return seals;
        seals.push(taken.seal);
        if (!taken.isFull) return seals;
      }
    },
    state: () => load(store, logSeal, CHECKPOINT),
  };
}

/**
 * Makes the first of the keys the one in force: as the first key of the log, or handed over by the
 * one before when that is at hand. `force` takes over without it, which every later check will point
 * out. Returns the id of the key. Throws Error when another key is in force and none of these.
 */
export async function adoptKey(
  deps: Pick<SealerDeps, 'store' | 'keys' | 'agencyId' | 'now'>,
  options: { readonly force?: boolean } = {},
): Promise<string> {
  const { store } = deps;
  const keys = deps.keys();
  const next = keys[0]!;
  const { key: inForce } = await load(store, logSeal, CHECKPOINT);
  if (inForce?.keyId === next.keyId) return next.keyId;
  const previous = keys.find(({ keyId }) => keyId === inForce?.keyId) ?? null;
  if (inForce !== null && previous === null && options.force !== true) throw foreignKey(inForce.keyId);
  const previousKeyId = inForce?.keyId ?? null;
  const validFrom = deps.now();
  const handOver = signHandOver(next, previous, { previousKeyId, validFrom });
  const meta = metaOf(
    deps.agencyId,
    `key ${next.keyId} after ${previousKeyId ?? 'none'} ${validFrom}`,
    validFrom,
  );
  await transact(store, logSeal, CHECKPOINT, { type: 'rotate-key', handOver }, meta);
  return next.keyId;
}

function foreignKey(keyId: string | null): Error {
  if (keyId === null) return new Error('The log has no signing key yet.');
  return new Error(
    `The log is sealed with the key ${keyId}, which is not at hand. Give it as AUDIT_SIGNING_KEY, ` +
      'or take over with a key of this installation: keyledger audit rotate-key --force.',
  );
}

function metaOf(agencyId: string, commandId: string, at: string): Cause & { commandId: string; at: string } {
  const requestId = randomUUID();
  return {
    agencyId,
    tenantId: null,
    actor: { kind: 'system', id: 'sealer' },
    correlationId: requestId,
    causationId: requestId,
    commandId,
    at,
  };
}
