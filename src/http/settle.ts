import { Refusal } from '../errors.ts';
import type { HttpDeps } from './deps.ts';

/** Longest wait for the read models. They are milliseconds behind unless one of them has stopped. */
const SETTLE_MS_MAX = 10_000;

/** Waits until reads show the position. Throws Refusal(stale_read) when that takes too long. */
export async function settle(deps: Pick<HttpDeps, 'settled'>, position: bigint): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Refusal('stale_read', { position: String(position) }, { retryAfterSeconds: 1 }));
    }, SETTLE_MS_MAX);
  });
  try {
    await Promise.race([deps.settled(position), late]);
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
