import type { Recorded } from './events.ts';
import { UndecodableEvent } from './store/event-store.ts';

/** Where a read model stands still: the event that it cannot apply, and where to find it in the log. */
export class FailingEvent extends Error {
  override readonly name = 'FailingEvent';
  readonly position: bigint;
  readonly stream: string;
  readonly eventId: string;

  constructor(projection: string, recorded: Recorded, cause: unknown) {
    const { id, position, stream, revision } = recorded;
    const reason = cause instanceof Error ? cause.message : String(cause);
    super(
      `${projection} cannot apply event ${id} (${recorded.event.type}) at position ${position}, ${stream}@${revision}: ${reason}`,
      { cause },
    );
    this.position = position;
    this.stream = stream;
    this.eventId = id;
  }
}

/** A newer build has raised a projection's version; this process must not write to it any more. */
export class Superseded extends Error {
  override readonly name = 'Superseded';

  constructor(projection: string, version: number, newer: number) {
    super(
      `a newer Keyledger has raised ${projection} from version ${version} to ${newer}; this process no longer keeps it current`,
    );
  }
}

/**
 * True for what comes again however often it is tried: an event that cannot be read or applied, a
 * newer build at work, or a log that ends before the position this reader has seen.
 */
export function isFinal(error: unknown): boolean {
  return (
    error instanceof FailingEvent ||
    error instanceof UndecodableEvent ||
    error instanceof Superseded ||
    error instanceof RangeError
  );
}
