/** Applying a stretch of the log to a table that nobody else writes to, up to an exact position. */
import type { PoolClient } from 'pg';
import { FailingEvent } from './failing-event.ts';
import type { Projection } from './projection.ts';
import { writeChanges } from './projection-writer.ts';
import type { EventStore } from './store/event-store.ts';

export interface StretchProgress {
  /** Position in the log. */
  readonly position: bigint;
  /** Events of the projection that were applied so far. */
  readonly events: number;
}

/** Applies what is above `from` and not above `to`. `to` must have been reached by the log. */
export async function applyStretch(options: {
  readonly store: EventStore;
  readonly client: PoolClient;
  readonly projection: Projection;
  readonly table: string;
  readonly from: bigint;
  readonly to: bigint;
  readonly batchMax: number;
  readonly onProgress?: (progress: StretchProgress) => void;
}): Promise<void> {
  const { store, client, projection, table, from, to, batchMax, onProgress } = options;
  if (to <= from) return;
  const ending = new AbortController();
  let events = 0;
  try {
    for await (const batch of store.subscribe(from, ending.signal, {
      prefixes: projection.prefixes,
      batchMax,
    })) {
      const wanted = batch.events.filter(({ position }) => position <= to);
      const changes = wanted.flatMap((recorded) => {
        try {
          return projection.apply(recorded);
        } catch (error) {
          throw new FailingEvent(projection.name, recorded, error);
        }
      });
      await writeChanges(client, projection, table, changes);
      events += wanted.length;
      onProgress?.({ position: batch.position < to ? batch.position : to, events });
      if (batch.position >= to) return;
    }
    throw new Error('the log was closed');
  } finally {
    ending.abort();
  }
}

/** For switchTable: brings the new table to where the old one is. */
export function catchUpFrom(
  store: EventStore,
  projection: Projection,
  batchMax: number,
): (client: PoolClient, table: string, from: bigint, to: bigint) => Promise<void> {
  return (client, table, from, to) => applyStretch({ store, client, projection, table, from, to, batchMax });
}
