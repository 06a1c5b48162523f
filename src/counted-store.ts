import type { EventStore } from './store/event-store.ts';

/** Notes how far this process has written, and heard that others have, so that a read can wait for all of that. */
export interface CountedStore {
  readonly store: EventStore;
  /** Highest position that was appended by a command here or heard of; 0 before the first. */
  readonly appendedPosition: () => bigint;
  /** Another process has written up to there. */
  heardOf(position: bigint): void;
}

export function countedStore(store: EventStore): CountedStore {
  let highest = 0n;
  const heardOf = (position: bigint): void => {
    if (position > highest) highest = position;
  };
  return {
    appendedPosition: () => highest,
    heardOf,
    store: {
      ...store,
      async append(writes) {
        const appended = await store.append(writes);
        heardOf(appended.position);
        return appended;
      },
    },
  };
}
