import type { Recorded } from '../events.ts';
import { decode, hashHolds } from '../store/codec.ts';
import { UndecodableEvent, ZERO_HASH } from '../store/event-store.ts';
import type { Placed } from '../store/stored-event.ts';
import { type CheckResult, newCheck } from './check.ts';

/**
 * Checks that the log is whole, event by event in its order: no position missing where the store
 * counts them, no revision missing, every event as it was sealed and continuing the one before it. After a problem it goes on
 * from what it found, so that one altered event is reported once. It remembers the head of every
 * stream and nothing else: about 200 bytes per stream.
 */
export interface ChainCheck {
  /** The decoded event; null when it cannot be read. */
  accept(placed: Placed): Recorded | null;
  readonly events: number;
  readonly streams: number;
  /** `head` is where the log, or the part of it, ended when reading began. */
  results(head: bigint): readonly CheckResult[];
}

export interface ChainCheckOptions {
  /** Position of the first event that will come; default 1. Then the first event of each stream is taken as it is. */
  readonly from?: bigint;
  /** False for a store whose positions have gaps: then they only have to rise. Default true. */
  readonly gapless?: boolean;
}

/**
 * How far the times of recording may run backwards. Clocks are set back by small steps in real life;
 * two events that changed places are usually further apart.
 */
const CLOCK_BACK_MS_MAX = 1_000;

/** Name of the check that finds holes. */
export const POSITIONS = 'positions';

export function chainCheck({ from = 1n, gapless = true }: ChainCheckOptions = {}): ChainCheck {
  const positions = newCheck(POSITIONS);
  const chains = newCheck('chains');
  const payloads = newCheck('payloads');
  const times = newCheck('times');
  const heads = new Map<string, { readonly revision: bigint; readonly hash: string }>();
  let last = from - 1n;
  let lastRecordedMs = -Infinity;
  let events = 0;

  function checkPlace({ position, stream, revision, recordedAt }: Placed): void {
    if (gapless ? position !== last + 1n : position <= last) {
      const missing =
        position <= last
          ? `position ${position} is out of order: position ${last + 1n} is`
          : position === last + 2n
            ? `position ${last + 1n} is`
            : `positions ${last + 1n} to ${position - 1n} are`;
      positions.fail(last + 1n, `${missing} missing`);
    }
    last = position;
    const recordedMs = Date.parse(recordedAt);
    if (recordedMs < lastRecordedMs - CLOCK_BACK_MS_MAX) {
      const seconds = Math.round((lastRecordedMs - recordedMs) / 1000);
      times.fail(
        position,
        `${stream}@${revision} was recorded ${seconds} s before its predecessor in the log: it was moved, or the clock was set back`,
      );
    }
    lastRecordedMs = recordedMs;
  }

  function checkChain(placed: Placed): void {
    const { position, stream, revision, hash, previousHash } = placed;
    const begin =
      from === 1n ? { revision: -1n, hash: ZERO_HASH } : { revision: revision - 1n, hash: previousHash };
    const head = heads.get(stream) ?? begin;
    const at = `${stream}@${revision}`;
    if (revision !== head.revision + 1n) {
      chains.fail(
        position,
        `${at} follows revision ${head.revision}: events are missing or in another order`,
      );
    } else if (previousHash !== head.hash) {
      chains.fail(
        position,
        `${at} does not continue the event before it: one of the two was altered or put in`,
      );
    }
    if (!hashHolds(placed)) chains.fail(position, `${at} is not what was sealed: it was altered`);
    heads.set(stream, { revision, hash });
  }

  return {
    accept(placed) {
      events += 1;
      checkPlace(placed);
      checkChain(placed);
      try {
        return decode(placed);
      } catch (error) {
        if (!(error instanceof UndecodableEvent)) throw error;
        payloads.fail(placed.position, error.message);
        return null;
      }
    },
    get events() {
      return events;
    },
    get streams() {
      return heads.size;
    },
    results(head) {
      if (last < head)
        positions.fail(gapless ? last + 1n : last, `the log ends at position ${last} and not at ${head}`);
      return [
        positions.result(
          gapless
            ? `every position from ${from} to ${head} is there`
            : `positions increase up to ${head}; this log does not count them`,
        ),
        chains.result(
          `${events} events in ${heads.size} streams: revisions without gaps, hashes hold and continue`,
        ),
        payloads.result('every event can be read'),
        times.result('the times of recording do not run backwards'),
      ];
    },
  };
}
