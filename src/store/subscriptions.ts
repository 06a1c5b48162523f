import type { Batch, SubscribeOptions } from './event-store.ts';
import { follow, type Source } from './tail.ts';

/** The open subscriptions of one store: each ends by its own signal, and all when the store closes. */
export interface Subscriptions {
  open(position: bigint, signal: AbortSignal, options?: SubscribeOptions): AsyncGenerator<Batch, void, void>;
  close(): void;
}

export interface SubscriptionHooks {
  /** The first subscription opens. */
  readonly started?: () => void;
  /** The last one has ended. */
  readonly stopped?: () => void;
}

export function createSubscriptions(source: Source, hooks: SubscriptionHooks = {}): Subscriptions {
  const running = new Set<AbortController>();

  async function* open(
    position: bigint,
    signal: AbortSignal,
    options: SubscribeOptions = {},
  ): AsyncGenerator<Batch, void, void> {
    const ending = new AbortController();
    const end = (): void => {
      ending.abort();
      source.tail.wake();
    };
    if (signal.aborted) return;
    signal.addEventListener('abort', end, { once: true });
    running.add(ending);
    if (running.size === 1) hooks.started?.();
    try {
      yield* follow(source, position, ending.signal, options);
    } finally {
      signal.removeEventListener('abort', end);
      ending.abort();
      running.delete(ending);
      if (running.size === 0) hooks.stopped?.();
    }
  }

  return {
    open,
    close() {
      for (const ending of running) ending.abort();
      source.tail.wake();
    },
  };
}
