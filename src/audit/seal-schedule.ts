import { setTimeout as pause } from 'node:timers/promises';
import { CHECKPOINT, type Seal } from '../domain/log-seal.ts';
import type { Log } from '../log.ts';
import { type EventStore, UndecodableEvent } from '../store/event-store.ts';
import type { Sealer } from './sealer.ts';

/**
 * When seals are taken: every so many minutes, right after a period was closed, and at the start when
 * one is due. A seal that fails is logged and tried again at the next occasion: nothing waits for it.
 */
export interface SealSchedule {
  /** Waits for a seal under way. */
  stop(): Promise<void>;
  facts(): SealFacts;
}

export interface SealFacts {
  /** The newest seal that this process has seen; null before the first. */
  readonly last: Seal | null;
  /** Attempts that failed since the start. */
  readonly failures: number;
}

export interface SealScheduleOptions {
  readonly sealer: Sealer;
  readonly store: EventStore;
  /** 0 takes none at all. */
  readonly minutes: number;
  /** ISO instant, UTC. */
  readonly now: () => string;
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>;
}

const RETRY_MS = 5_000;
const MINUTE_MS = 60_000;

export function startSealing({ sealer, store, minutes, now, log }: SealScheduleOptions): SealSchedule {
  const facts: { last: Seal | null; failures: number } = { last: null, failures: 0 };
  if (minutes === 0) return { stop: () => Promise.resolve(), facts: () => facts };
  const stopping = new AbortController();
  let sealing: Promise<void> = Promise.resolve();

  function sealNow(): Promise<void> {
    sealing = sealing.then(async () => {
      if (stopping.signal.aborted) return;
      try {
        for (const { position, heads } of await sealer.seal()) {
          log.info({ position: String(position), streams: heads }, 'the log was sealed');
        }
        // Another process may have taken it.
        facts.last = (await sealer.state()).last;
      } catch (error) {
        facts.failures += 1;
        log.error({ err: error }, 'the log could not be sealed');
      }
    });
    return sealing;
  }

  async function begin(): Promise<void> {
    let position = 0n;
    for await (const recorded of store.readStream(CHECKPOINT)) {
      if (recorded.event.type !== 'log.sealed') continue;
      ({ position } = recorded);
      facts.last = recorded.event.data;
    }
    const dueMs = facts.last === null ? 0 : Date.parse(facts.last.sealedAt) + minutes * MINUTE_MS;
    const isDue = dueMs <= Date.parse(now());
    if (isDue) await sealNow();
    await followCloses(position);
  }

  async function followCloses(from: bigint): Promise<void> {
    let position = from;
    const { signal } = stopping;
    for await (const batch of store.subscribe(position, signal, { prefixes: ['period.'] })) {
      ({ position } = batch);
      if (batch.events.length > 0) await sealNow();
    }
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        await begin();
      } catch (error) {
        if (stopping.signal.aborted) return;
        if (error instanceof UndecodableEvent) {
          return log.error({ err: error }, 'the log can no longer be sealed when a period is closed');
        }
        log.warn({ err: error }, 'following the closes of periods was interrupted');
      }
      await pause(RETRY_MS, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  }

  const running = run();
  const timer = setInterval(() => void sealNow(), minutes * MINUTE_MS);
  return {
    async stop() {
      clearInterval(timer);
      stopping.abort();
      await running;
      await sealing;
    },
    facts: () => facts,
  };
}
