/** Stored events that a store did not write: a log with one event that no build knows. */
import { encode, hashOf } from '../../src/store/codec.ts';
import type { Placed } from '../../src/store/stored-event.ts';
import { AT, spendRecorded, newEvent } from '../support/events.ts';
import { freshStream, someEvents } from '../support/log.ts';

export interface DamagedLog {
  /** Positions 1 to 6: two keys events, one that is damaged, one that is not, and two of spend. */
  readonly stored: readonly Placed[];
  readonly stream: string;
  readonly damaged: Placed;
}

export function logWithDamage(): DamagedLog {
  const stream = freshStream();
  const spend = [1, 2].map((i) => newEvent(spendRecorded(), `${stream} spend ${i}`));
  const written = [
    ...encode({ stream, expected: 'none', events: someEvents(4, stream) }),
    ...encode({ stream: freshStream('spend'), expected: 'none', events: spend }),
  ];
  const stored = written.map(
    (one, i): Placed => ({ ...one.stored, position: BigInt(i + 1), recordedAt: AT }),
  );
  const unknown = { ...stored[2]!, type: 'key.invented' };
  const damaged = { ...unknown, hash: hashOf(unknown) };
  stored[2] = damaged;
  return { stored, stream, damaged };
}
