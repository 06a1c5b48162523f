/**
 * Faults that a stand-in shows on demand. They are counted down, so that a test says exactly how
 * often something goes wrong.
 */
export type AppendFault =
  /** None, before the next one. */
  | 'none'
  /** Written, and the connection is lost before the answer. */
  | 'lose-answer'
  /** Written, and answered with "Operation timed out". */
  | 'time-out'
  /** Not written, and the connection is lost. */
  | 'lose-write'
  /** Not written and not answered. */
  | 'hang'
  /** Written and not answered. */
  | 'write-and-hang'
  /** Refused: another node leads. */
  | 'not-leader'
  | 'access-denied';

export type ReadFault =
  /** Neither answered nor ended. */
  | 'hang'
  | 'unavailable'
  /** Everything that is asked for comes, then nothing: no end. */
  | 'never-end';

export type SubscriptionFault =
  /** Confirmed, and then nothing ever comes. */
  | 'silent'
  /** Begins that many events too early. */
  | { readonly redeliver: number }
  | 'unavailable';

export interface Faults {
  readonly appends: AppendFault[];
  readonly reads: ReadFault[];
  readonly subscriptions: SubscriptionFault[];
  /** Each append waits for it before it is looked at; null when they do not wait. */
  hold: Promise<void> | null;
  /** How many live events may wait for a slow reader before it is dropped; Infinity: all. */
  slowReaderMax: number;
}

export function noFaults(): Faults {
  return { appends: [], reads: [], subscriptions: [], hold: null, slowReaderMax: Infinity };
}
