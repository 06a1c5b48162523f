/**
 * Whoever waits until the log has been applied up to a position. Made for thousands of waiters at
 * once: an advance touches only those that it releases.
 */
import { Refusal } from './errors.ts';

export interface PositionWaiters {
  /** The highest position reached. */
  readonly reached: bigint;
  /** How many wait right now. */
  readonly count: number;
  /** Resolves when `position` is reached. Rejects with Refusal(stale_read) after the time, or once it cannot be reached. */
  wait(position: bigint, timeoutMs: number): Promise<void>;
  /** Never goes back. */
  advance(position: bigint): void;
  /** From here on nothing beyond `reached` will come: ends all waits, and every later one at once. */
  stop(): void;
}

/** Those that wait for the same position. */
interface Group {
  readonly position: bigint;
  readonly waiters: Set<Waiter>;
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

export function positionWaiters(start: bigint): PositionWaiters {
  let reached = start;
  let stopped = false;
  let count = 0;
  /** By position, ascending. Almost every new one belongs at the end. */
  const groups: Group[] = [];

  function groupAt(position: bigint): Group {
    const at = lowerBound(groups, position);
    const found = groups[at];
    if (found?.position === position) return found;
    const group = { position, waiters: new Set<Waiter>() };
    groups.splice(at, 0, group);
    return group;
  }

  function giveUp(group: Group, waiter: Waiter): void {
    group.waiters.delete(waiter);
    count -= 1;
    if (group.waiters.size === 0) groups.splice(lowerBound(groups, group.position), 1);
    waiter.reject(staleRead(group.position));
  }

  return {
    get reached() {
      return reached;
    },
    get count() {
      return count;
    },
    wait(position, timeoutMs) {
      if (position <= reached) return Promise.resolve();
      if (stopped) return Promise.reject(staleRead(position));
      return new Promise((resolve, reject) => {
        const group = groupAt(position);
        const waiter: Waiter = { resolve, reject, timer: setTimeout(() => giveUp(group, waiter), timeoutMs) };
        group.waiters.add(waiter);
        count += 1;
      });
    },
    advance(position) {
      if (position <= reached) return;
      reached = position;
      const released = groups.splice(0, lowerBound(groups, position + 1n));
      for (const { waiters } of released) {
        count -= waiters.size;
        for (const { resolve, timer } of waiters) {
          clearTimeout(timer);
          resolve();
        }
      }
    },
    stop() {
      stopped = true;
      for (const { position, waiters } of groups.splice(0)) {
        count -= waiters.size;
        for (const { reject, timer } of waiters) {
          clearTimeout(timer);
          reject(staleRead(position));
        }
      }
    },
  };
}

function staleRead(position: bigint): Refusal {
  return new Refusal('stale_read', { position: String(position) }, { retryAfterSeconds: 1 });
}

/** Index of the first group at or after the position. */
function lowerBound(groups: readonly Group[], position: bigint): number {
  const last = groups.at(-1);
  if (last === undefined || last.position < position) return groups.length;
  let low = 0;
  let high = groups.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (groups[middle]!.position < position) low = middle + 1;
    else high = middle;
  }
  return low;
}
