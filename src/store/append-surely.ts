import { setTimeout as sleep } from 'node:timers/promises';
import { Refusal } from '../errors.ts';
import type { Appended, EventStore, Write } from './event-store.ts';

export interface AppendSurelyOptions {
  /** How often the append is tried in all, at least 1; infinite for who would rather wait than lose. */
  readonly attemptsMax: number;
  /** Ends the waiting: one more attempt, and its error is thrown. */
  readonly signal?: AbortSignal;
  readonly onRetry?: (error: unknown, attempt: number) => void;
  /** A number from 0 up to 1. */
  readonly random?: () => number;
  readonly pause?: (ms: number, signal?: AbortSignal) => Promise<unknown>;
}

const WAIT_MS_MIN = 50;
const WAIT_MS_MAX = 5_000;

/**
 * Appends, and repeats the identical append while its outcome is unknown: if an earlier attempt was
 * written after all, the store answers as if the last one had been. Refusals and what can never be
 * stored (TypeError) are final.
 */
export async function appendSurely(
  store: Pick<EventStore, 'append'>,
  writes: readonly Write[],
  options: AppendSurelyOptions,
): Promise<Appended> {
  const { attemptsMax, signal, onRetry, random = Math.random, pause = pauseFor } = options;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await store.append(writes);
    } catch (error) {
      const final = error instanceof Refusal || error instanceof TypeError;
      if (final || attempt >= attemptsMax || signal?.aborted) throw error;
      onRetry?.(error, attempt);
      const waitMs = Math.min(WAIT_MS_MAX, WAIT_MS_MIN * 2 ** Math.min(attempt - 1, 10));
      await pause(waitMs * (0.5 + random() / 2), signal);
    }
  }
}

/** Also resolves when `signal` aborts; one more attempt follows. */
async function pauseFor(ms: number, signal?: AbortSignal): Promise<void> {
  await sleep(ms, undefined, signal === undefined ? {} : { signal }).catch(() => {});
}
