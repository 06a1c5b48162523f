import { type KeyHandOver, type LogSealEvent, NO_SEAL, type Seal } from '../domain/log-seal.ts';
import type { Recorded } from '../events.ts';
import type { Placed } from '../store/stored-event.ts';
import { type CheckResult, newCheck } from './check.ts';
import { handOverText, sealHash, sealText } from './seal.ts';
import { isKeyId, isSignedBy, type PublicKey } from './signing-key.ts';
import { newStretch } from './stretch.ts';

/**
 * Checks the log against its seals: each continues the one before, is signed by the key in force, and
 * its root is the one that the events have which it covers. A chain of hashes can be made anew from
 * any edit on; a seal cannot, without the key. What no seal covers yet is only chained: an end that
 * was cut off there leaves no trace in the log, which is why a check can be told what must be there.
 */
export interface SealCheck {
  /** `place` counts the events of the log from 1. Events come in order and without those before the start. */
  accept(placed: Placed, place: bigint): void;
  /** Where the last event is: its place, and its position in the store. */
  results(end: { readonly place: bigint; readonly position: bigint }): readonly CheckResult[];
  /** The newest seal within reach, null when there is none; and the key in force. */
  readonly newest: Seal | null;
  readonly keyId: string | null;
}

export interface SealCheckOptions {
  /** The stream of seals, oldest first. */
  readonly checkpoints: readonly Checkpoint[];
  /** Place of the first event that will come; default 1. */
  readonly from?: bigint;
  /** Keys that the auditor trusts; [] leaves only what the log says of its own keys. */
  readonly trusted?: readonly PublicKey[];
  /** Hashes of events or seals that the auditor knows from elsewhere and that must be there. */
  readonly expected?: readonly string[];
}

export interface Checkpoint {
  readonly position: bigint;
  readonly event: LogSealEvent;
}

/** The seals and keys among decoded events. */
export function isCheckpoint(recorded: Recorded): recorded is Recorded<LogSealEvent> {
  return recorded.event.type === 'log.sealed' || recorded.event.type === 'log.key-rotated';
}

export function sealCheck(options: SealCheckOptions): SealCheck {
  const { checkpoints, from = 1n, trusted = [], expected = [] } = options;
  const seals = newCheck('seals');
  const missing = new Set(expected);
  const { signatures, all, keyId } = checkSignatures(checkpoints, trusted);
  for (const { seal } of all) missing.delete(seal.hash);
  const due = all.filter(({ seal }) => seal.after >= from - 1n);
  const skipped = all.length - due.length;
  let next = 0;
  let stretch = newStretch();

  function finish({ position, seal }: PlacedSeal): void {
    const { heads, root, order } = stretch.sum();
    const covers = `the seal at ${position} covers positions ${seal.after + 1n} to ${seal.position}`;
    if (root !== seal.root || heads !== seal.heads) {
      seals.fail(seal.after + 1n, `${covers}, and something there is not what was sealed`);
    } else if (order !== seal.order) {
      seals.fail(seal.after + 1n, `${covers}, and the events there are not in the order that was sealed`);
    }
    stretch = newStretch();
    next += 1;
  }

  return {
    accept(placed, place) {
      for (let seal = due[next]; seal !== undefined && place > seal.seal.position; seal = due[next])
        finish(seal);
      const open = due[next];
      if (open !== undefined && place > open.seal.after) stretch.add(placed);
      if (missing.size > 0) missing.delete(placed.hash);
    },
    results({ place: end, position }) {
      for (let seal = due[next]; seal !== undefined && seal.seal.position <= end; seal = due[next])
        finish(seal);
      const last = due[next - 1]?.seal;
      const beyond = due[next];
      // It was read itself, and there are fewer events before it than it covers.
      if (beyond !== undefined && beyond.position <= position) {
        const { seal } = beyond;
        seals.fail(
          end,
          `the seal at ${beyond.position} covers up to ${seal.position}, and the log ends at ${end}`,
        );
      }
      const checked = `${next} seals hold${skipped > 0 ? `, ${skipped} reach out of the part that was read` : ''}`;
      const rest = last === undefined ? 'nothing is sealed' : `sealed up to ${last.position} of ${end}`;
      const known = newCheck('expected');
      for (const hash of missing) known.fail(null, `${hash} is not in the log: it was cut off or altered`);
      return [
        seals.result(`${checked}; ${rest}`),
        signatures.result(signatureDetail(all, keyId, trusted)),
        ...(expected.length > 0
          ? [known.result(`${expected.length} hashes known from elsewhere are there`)]
          : []),
      ];
    },
    get newest() {
      return due[next - 1]?.seal ?? null;
    },
    keyId,
  };
}

interface PlacedSeal {
  readonly position: bigint;
  readonly seal: Seal;
}

interface Key {
  readonly position: bigint;
  readonly handOver: KeyHandOver;
  /** True when the key before it signed, or there was none. */
  readonly isHandedOver: boolean;
}

function checkSignatures(checkpoints: readonly Checkpoint[], trusted: readonly PublicKey[]) {
  const signatures = newCheck('signatures');
  const all: PlacedSeal[] = [];
  const keys: Key[] = [];
  for (const { position, event } of checkpoints) {
    const key = keys.at(-1) ?? null;
    if (event.type === 'log.key-rotated') {
      keys.push(checkHandOver(event.data, key, position, (problem) => signatures.fail(position, problem)));
      continue;
    }
    const seal = event.data;
    const before = all.at(-1)?.seal;
    if (seal.previousSeal !== (before?.hash ?? NO_SEAL) || seal.after !== (before?.position ?? 0n)) {
      signatures.fail(position, 'the seal does not continue the one before it: a seal was removed or put in');
    }
    all.push({ position, seal });
    if (seal.hash !== sealHash(seal)) signatures.fail(position, 'the seal was altered');
    else if (seal.keyId !== key?.handOver.keyId) {
      signatures.fail(
        position,
        `the seal names the key ${seal.keyId}, in force is ${key?.handOver.keyId ?? 'none'}`,
      );
    } else if (!isSignedBy(key.handOver.publicKey, sealText(seal), seal.signature)) {
      signatures.fail(position, `the seal is not signed by its key ${seal.keyId}`);
    }
  }
  const vouched = vouchedFor(keys, trusted);
  for (const [i, { position, handOver, isHandedOver }] of keys.entries()) {
    if (vouched[i] === true) continue;
    const why =
      trusted.length === 0 && !isHandedOver
        ? `took over from ${handOver.previousKeyId} without its signature`
        : 'is none that you trust, and none of those vouches for it';
    signatures.fail(position, `the key ${handOver.keyId} ${why}`);
  }
  if (keys.length === 0 && trusted.length > 0) {
    signatures.fail(null, `the log is not sealed with the key ${trusted[0]!.keyId}: it has no key`);
  }
  return { signatures, all, keyId: keys.at(-1)?.handOver.keyId ?? null };
}

function checkHandOver(
  handOver: KeyHandOver,
  before: Key | null,
  position: bigint,
  fail: (problem: string) => void,
): Key {
  const text = handOverText(handOver);
  const { keyId, publicKey, signature, previousSignature, previousKeyId } = handOver;
  if (!isKeyId(handOver) || !isSignedBy(publicKey, text, signature))
    fail(`the key ${keyId} is not what it says`);
  if (previousKeyId !== (before?.handOver.keyId ?? null)) {
    fail(
      `the key ${keyId} follows ${previousKeyId ?? 'none'}, in force was ${before?.handOver.keyId ?? 'none'}`,
    );
  }
  const isSigned =
    before !== null &&
    previousSignature !== null &&
    isSignedBy(before.handOver.publicKey, text, previousSignature);
  if (before !== null && previousSignature !== null && !isSigned) {
    fail(`the hand-over to the key ${keyId} is not signed by the key before it`);
  }
  return { position, handOver, isHandedOver: before === null || isSigned };
}

/**
 * A trusted key vouches for the keys that it and its successors handed over to, and, because every
 * seal continues the one before, for all that was sealed before it. When no key is trusted, the log
 * speaks for itself: every key must have been handed over by the one before.
 */
function vouchedFor(keys: readonly Key[], trusted: readonly PublicKey[]): readonly boolean[] {
  const isTrusted = keys.map(({ handOver }) =>
    trusted.some(({ publicKey }) => publicKey === handOver.publicKey),
  );
  const newest = isTrusted.lastIndexOf(true);
  let isVouched = trusted.length === 0;
  return keys.map(({ isHandedOver }, i) => {
    isVouched = isTrusted[i] === true || (isVouched && isHandedOver);
    return isVouched || i <= newest;
  });
}

function signatureDetail(
  all: readonly PlacedSeal[],
  keyId: string | null,
  trusted: readonly PublicKey[],
): string {
  if (keyId === null) return 'no key yet';
  const whose =
    trusted.length > 0 ? 'which you trust' : 'which the log itself names; compare it with one you know';
  return `${all.length} seals are signed and continue each other; in force is the key ${keyId}, ${whose}`;
}
