import { type EventStoreDBClient, eventTypeFilter, excludeSystemEvents, START } from '@eventstore/db-client';
import { toPlaced } from './eventstoredb-events.ts';
import { type OpenReader, openReader } from './eventstoredb-reader.ts';
import type { Placed } from './stored-event.ts';

/**
 * Walks along the whole log from a position, over the events of some types only when asked: the
 * server leaves out the others and says from time to time how far it has looked.
 */
export interface Walk {
  /** Everything up to here has been given out. */
  readonly position: bigint;
  /** The server has sent everything that it had when it said so; what follows comes live. */
  readonly caughtUp: boolean;
  /**
   * Events in order, at most so many; [] when the server only looked further. Waits until there is
   * something to say. Throws what the stream failed with, also when the server just ended it.
   */
  next(max: number): Promise<readonly Placed[]>;
  close(): void;
}

export interface WalkOptions {
  readonly after: bigint;
  /** Prefixes of the types that are wanted; null for all events. */
  readonly prefixes: readonly string[] | null;
  /** Longest silence before and after the server has sent everything that there is. */
  readonly firstMsMax: number;
  readonly silenceMsMax: number;
}

/** How many events the server looks at in one go, and after how many such goes it says where it is. */
const SEARCH_WINDOW = 1_000;
const CHECKPOINT_WINDOWS = 1;
/** Events that may come before they are asked for. */
const AHEAD = 64;

export function openWalk(client: EventStoreDBClient, options: WalkOptions): Walk {
  const { after, prefixes, firstMsMax, silenceMsMax } = options;
  let reader: OpenReader | null = null;
  let position = after;
  let caughtUp = false;
  const filterOptions = {
    maxSearchWindow: SEARCH_WINDOW,
    checkpointInterval: CHECKPOINT_WINDOWS,
    // It cannot throw: a throwing handler ends the process.
    checkpointReached: (_: unknown, { commit }: { readonly commit: bigint }) => reader?.onCheckpoint(commit),
  };
  reader = openReader(
    client.subscribeToAll(
      {
        fromPosition: after === 0n ? START : { commit: after, prepare: after },
        resolveLinkTos: false,
        filter:
          prefixes === null
            ? excludeSystemEvents(filterOptions)
            : eventTypeFilter({ ...filterOptions, prefixes: [...prefixes] }),
      },
      { highWaterMark: AHEAD },
    ),
  );
  const source = reader;

  return {
    get position() {
      return position;
    },
    get caughtUp() {
      return caughtUp;
    },
    async next(max) {
      for (;;) {
        // Whatever a server sends twice after a reconnect is passed over.
        const placed = source
          .take(max)
          .flatMap(({ event }) => (event === undefined ? [] : [toPlaced(event)]))
          .filter((one) => one.position > position);
        const marks = source.marks();
        const last = placed.at(-1)?.position ?? position;
        position = marks.checkpoint !== null && marks.checkpoint > last ? marks.checkpoint : last;
        if (marks.caughtUp) caughtUp = true;
        if (placed.length > 0 || marks.checkpoint !== null || marks.caughtUp) return placed;
        if (source.ended) throw new Error('EventStoreDB has ended the subscription');
        await source.news(caughtUp ? silenceMsMax : firstMsMax);
      }
    },
    close: source.close,
  };
}
