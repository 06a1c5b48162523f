import { Refusal } from '../errors.ts';
import type { HttpDeps } from './deps.ts';

/** Longest wait for the read models. They are milliseconds behind unless one of them has stopped. */
const SETTLE_MS_MAX = 10_000;

/** Longest wait for the log to take what was served already. */
const RECORD_MS_MAX = 5_000;

/** Waits until reads show the position. Throws Refusal(stale_read) when that takes too long. */
export async function settle(deps: Pick<HttpDeps, 'settled'>, position: bigint): Promise<void> {
  const late = new Refusal('stale_read', { position: String(position) }, { retryAfterSeconds: 1 });
  await inTime(deps.settled(position), SETTLE_MS_MAX, late);
}

/** Waits until the log has the spend of every request that was answered so far. Throws Refusal(log_unavailable). */
export async function settleSpend(deps: Pick<HttpDeps, 'recorded'>): Promise<void> {
  const late = new Refusal('log_unavailable', { retryAfterSeconds: 5 }, { retryAfterSeconds: 5 });
  await inTime(deps.recorded(), RECORD_MS_MAX, late);
}

async function inTime(done: Promise<unknown>, ms: number, late: Refusal): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const lateness = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late), ms);
  });
  try {
    await Promise.race([done, lateness]);
  } finally {
    clearTimeout(timer);
  }
}

/** What a read has to have seen: `?after=`, else everything that this process wrote. */
export async function settleForRead(
  deps: Pick<HttpDeps, 'settled' | 'appendedPosition' | 'store'>,
  after: unknown,
): Promise<void> {
  const appended = deps.appendedPosition();
  if (after === undefined) return settle(deps, appended);
  if (typeof after !== 'string' || !/^\d{1,18}$/.test(after)) {
    throw new Refusal(
      'invalid_input',
      { problems: 'after: send one position, digits only' },
      { param: 'after' },
    );
  }
  const position = BigInt(after);
  if (position > appended && position > (await deps.store.head())) {
    throw new Refusal(
      'bad_request',
      { problem: `The log has no position ${after} yet.` },
      { param: 'after' },
    );
  }
  return settle(deps, position);
}
