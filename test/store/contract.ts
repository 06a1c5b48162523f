/**
 * What every event store promises (src/store/event-store.ts), as a suite that each one runs. It needs
 * no empty log: it looks only at what lies behind the position where a test began, and at streams
 * that the test itself made.
 */
import { afterEach, beforeEach, describe } from 'vitest';
import type { EventStore } from '../../src/store/event-store.ts';
import type { Placed } from '../../src/store/stored-event.ts';
import { appending } from './contract-appending.ts';
import { competing } from './contract-competing.ts';
import { following } from './contract-following.ts';
import { reading } from './contract-reading.ts';

/** One log, as this process and as another one sees it. */
export interface OpenLog {
  readonly store: EventStore;
  /** The same log through a store of its own, as another process has it; closed with the log. */
  readonly other: EventStore;
  /** The log's head before anything of the test was in it. */
  readonly start: bigint;
  close(): Promise<void>;
}

export interface StoreUnderTest {
  /** `stored` is put into the log as it is, also when no build could read it. */
  readonly open: (stored?: readonly Placed[]) => Promise<OpenLog>;
  /** Positions are counted without gaps. All stores promise that they only increase. */
  readonly gapless: boolean;
  /** The store itself compares hashes, not only revisions and ids. */
  readonly comparesHashes: boolean;
  /** The log holds what earlier tests left there, events included that nobody can read. */
  readonly keepsForeign: boolean;
}

export interface Suite extends Omit<StoreUnderTest, 'open'> {
  /** The log of the running test. */
  readonly log: () => OpenLog;
  /** Replaces the log of the running test by one that holds these. */
  readonly reopen: (stored: readonly Placed[]) => Promise<OpenLog>;
}

export function eventStoreContract(name: string, { open, ...promises }: StoreUnderTest): void {
  describe(`the event store contract: ${name}`, () => {
    let current: OpenLog | null = null;
    const log = (): OpenLog => current!;
    beforeEach(async () => {
      current = await open();
    });
    afterEach(async () => {
      await current?.close();
      current = null;
    });
    async function reopen(stored: readonly Placed[]): Promise<OpenLog> {
      await current?.close();
      current = null;
      return (current = await open(stored));
    }
    const suite: Suite = { ...promises, log, reopen };
    describe('appending', () => appending(suite));
    describe('competing writers', () => competing(suite));
    describe('reading', () => reading(suite));
    describe('following', () => following(suite));
  });
}
