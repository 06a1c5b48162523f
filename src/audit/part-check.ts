import { CHECKPOINT, type Seal } from '../domain/log-seal.ts';
import { decode, hashHolds } from '../store/codec.ts';
import { UndecodableEvent, ZERO_HASH } from '../store/event-store.ts';
import type { Placed } from '../store/stored-event.ts';
import type { Entry, Scope } from './bundle.ts';
import { type CheckResult, newCheck } from './check.ts';
import type { Checkpoint } from './seal-check.ts';
import { type Inclusion, rootOfInclusion } from './stretch.ts';

/**
 * Checks the events of a partial export: each is what was stored, belongs to the subject, and is
 * proven to be under a seal. Streams that are the subject's own must be there from their first event
 * to where the last proof says that they went; in streams that it shares with others, what is left
 * out cannot be told from what belongs to others.
 */
export interface PartCheck {
  accept(entry: Entry): void;
  results(head: bigint): readonly CheckResult[];
  readonly streams: number;
  /** The newest seal that something here was proven by. */
  readonly newest: Seal | null;
}

interface Tail {
  readonly revision: bigint;
  readonly hash: string;
}

export function partCheck(
  scope: Exclude<Scope, { kind: 'all' }>,
  checkpoints: readonly Checkpoint[],
): PartCheck {
  const events = newCheck('events');
  const chains = newCheck('chains');
  const proofs = newCheck('proofs');
  const all = checkpoints.flatMap(({ event }) => (event.type === 'log.sealed' ? [event.data] : []));
  const seals = new Map(all.map((seal) => [seal.root, seal]));
  const sealed = all.at(-1);
  const tails = new Map<string, Tail>();
  const unproven = new Map<string, Placed>();
  let newest: Seal | null = null;
  let count = 0;
  let proven = 0;
  let last = 0n;
  let provenTo = 0n;
  const drafted = new Set<string>();

  function acceptEvent(placed: Placed): void {
    const { position, stream, revision, hash } = placed;
    const at = `${stream}@${revision}`;
    count += 1;
    if (position <= last) events.fail(position, `${at} is out of order`);
    last = position;
    if (!hashHolds(placed)) events.fail(position, `${at} is not what was stored: it was altered`);
    try {
      const { event } = decode(placed);
      if (event.type === 'invoice.drafted') drafted.add(event.data.invoiceId);
      const isNumber = event.type === 'number.assigned' && drafted.has(event.data.invoiceId);
      if (!isNumber && !isOfSubject(scope, placed)) {
        events.fail(position, `${at} does not belong to what was exported`);
      }
    } catch (error) {
      if (!(error instanceof UndecodableEvent)) throw error;
      events.fail(position, error.message);
    }
    checkTail(placed);
    tails.set(stream, { revision, hash });
    if (stream !== CHECKPOINT) unproven.set(at, placed);
  }

  function checkTail({ position, stream, revision, previousHash }: Placed): void {
    const tail = tails.get(stream) ?? { revision: -1n, hash: ZERO_HASH };
    const at = `${stream}@${revision}`;
    if (revision <= tail.revision) chains.fail(position, `${at} comes after revision ${tail.revision}`);
    else if (revision > tail.revision + 1n) {
      if (isWhole(scope, stream))
        chains.fail(position, `${at} follows revision ${tail.revision}: events are missing`);
    } else if (previousHash !== tail.hash) {
      chains.fail(position, `${at} does not continue the event before it`);
    }
  }

  function acceptProof(proof: Inclusion): void {
    const at = `${proof.stream}@${proof.revision}`;
    const placed = unproven.get(at);
    if (placed === undefined) return proofs.fail(null, `a proof for ${at}, which is not here`);
    const root = rootOfInclusion(proof);
    const seal = root === null ? undefined : seals.get(root);
    if (placed.hash !== proof.hash || seal === undefined) {
      return proofs.fail(placed.position, `${at} is not under any seal: it was altered or put in`);
    }
    proven += 1;
    if (placed.position > provenTo) provenTo = placed.position;
    unproven.delete(at);
    if (newest === null || seal.position > newest.position) newest = seal;
    const tail = tails.get(proof.stream);
    if (isWhole(scope, proof.stream) && tail !== undefined && tail.revision < proof.head.revision) {
      chains.fail(
        placed.position,
        `${proof.stream} went to revision ${proof.head.revision}, here it ends at ${tail.revision}`,
      );
    }
  }

  return {
    accept(entry) {
      if (entry.kind === 'event') acceptEvent(entry.placed);
      if (entry.kind === 'proof') acceptProof(entry.proof);
    },
    results() {
      // Everything up to a seal is under it: only what came after the last one can be without a proof.
      const covered = sealed === undefined || provenTo > sealed.position ? provenTo : sealed.position;
      let open = 0;
      for (const [at, { position }] of unproven) {
        if (position > covered) open += 1;
        else proofs.fail(position, `${at} has no proof, although the log was sealed up to ${covered}`);
      }
      return [
        events.result(`${count} events are what was stored, and nobody else's`),
        chains.result(`${tails.size} streams, those of the subject without gaps`),
        proofs.result(
          `${proven} events are under a seal${open > 0 ? `, ${open} came after the last one` : ''}`,
        ),
      ];
    },
    get streams() {
      return tails.size;
    },
    get newest() {
      return newest;
    },
  };
}

function isOfSubject(scope: Exclude<Scope, { kind: 'all' }>, { stream, tenantId, type }: Placed): boolean {
  if (stream === CHECKPOINT) return tenantId === null;
  switch (scope.kind) {
    case 'tenant':
      return tenantId === scope.id;
    case 'key':
      return tenantId === scope.tenantId && (stream === `key-${scope.id}` || type === 'spend.recorded');
    default:
      return tenantId === scope.tenantId || stream === `period-${scope.agencyId}-${scope.period}`;
  }
}

/** Streams that the subject shares with nobody. */
function isWhole(scope: Exclude<Scope, { kind: 'all' }>, stream: string): boolean {
  if (stream === CHECKPOINT) return true;
  if (scope.kind === 'key') return stream === `key-${scope.id}`;
  if (scope.kind === 'invoice')
    return stream === `invoice-${scope.agencyId}-${scope.id}` || stream === `tenant-${scope.tenantId}`;
  return /^(tenant|key|invoice|auditor)-/.test(stream);
}
