import { Refusal } from '../errors.ts';

/**
 * Slows down guessing of passwords: failures are counted for the name from one address, for the
 * address, and for the name from anywhere, and each count refuses further attempts for a while. In
 * memory: a restart forgets, and several processes count on their own.
 */
export interface LoginThrottle {
  /** Throws Refusal(login_throttled). Call before the password is looked at. */
  check(attempt: Attempt): void;
  failed(attempt: Attempt): void;
  succeeded(attempt: Attempt): void;
}

export interface Attempt {
  /** As typed; compared without case. */
  readonly name: string;
  readonly address: string;
  readonly nowMs: number;
}

const WINDOW_MS = 300_000;
const FAILURES_MAX = { nameAndAddress: 5, address: 30, name: 100 } as const;
/** Beyond this, the oldest counts are dropped: memory stays bounded whoever knocks. */
const COUNTS_MAX = 20_000;

interface Count {
  failures: number;
  /** The window began with the first failure. */
  readonly beganMs: number;
}

export function loginThrottle(): LoginThrottle {
  const counts = new Map<string, Count>();
  const live = (id: string, nowMs: number): Count | undefined => {
    const count = counts.get(id);
    return count !== undefined && nowMs - count.beganMs < WINDOW_MS ? count : undefined;
  };
  return {
    check(attempt) {
      for (const [id, max] of idsOf(attempt)) {
        const count = live(id, attempt.nowMs);
        if (count === undefined || count.failures < max) continue;
        const seconds = Math.ceil((count.beganMs + WINDOW_MS - attempt.nowMs) / 1_000);
        throw new Refusal('login_throttled', { seconds }, { retryAfterSeconds: seconds });
      }
    },
    failed(attempt) {
      for (const [id] of idsOf(attempt)) {
        const count = live(id, attempt.nowMs) ?? { failures: 0, beganMs: attempt.nowMs };
        count.failures += 1;
        counts.delete(id);
        counts.set(id, count);
      }
      for (const id of counts.keys()) {
        if (counts.size <= COUNTS_MAX) break;
        counts.delete(id);
      }
    },
    succeeded(attempt) {
      counts.delete(idsOf(attempt)[0]![0]);
    },
  };
}

function idsOf({ name, address }: Attempt): readonly (readonly [id: string, max: number])[] {
  const who = name.trim().toLowerCase();
  return [
    [`both ${address} ${who}`, FAILURES_MAX.nameAndAddress],
    [`address ${address}`, FAILURES_MAX.address],
    [`name ${who}`, FAILURES_MAX.name],
  ];
}
