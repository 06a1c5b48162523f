import type { EventStore } from '../store/event-store.ts';
import { CHECKPOINT } from '../domain/log-seal.ts';
import type { Log } from '../log.ts';
import type { VerifyOptions, VerifyReport } from './verify.ts';

/** One verification at a time, at work beside everything else, for those who ask how far it is. */
export interface VerificationDeps {
  readonly store: EventStore;
  readonly verify: (options: VerifyOptions) => Promise<VerifyReport>;
  /** ISO instant. */
  readonly now: () => string;
  readonly log: Log;
}

export type VerificationState = {
  readonly status: 'none' | 'running' | 'done' | 'failed';
  readonly started_at: string | null;
  /** What is being checked, and how much of it is done; kept from the last progress. */
  readonly part: string | null;
  readonly done: number;
  readonly total: number;
  readonly report: VerifyReport | null;
};

export type SealRow = {
  readonly position: string;
  readonly recorded_at: string;
  readonly covers_to: string;
  readonly hash: string;
  readonly key_id: string;
};

export interface VerificationDesk {
  /** Starts one unless one is at work. */
  start(): void;
  state(): VerificationState;
  /** The newest first, at most so many. */
  seals(max: number): Promise<readonly SealRow[]>;
  /** Resolves when none is at work. */
  settled(): Promise<void>;
}

const NONE: VerificationState = {
  status: 'none',
  started_at: null,
  part: null,
  done: 0,
  total: 0,
  report: null,
};

export function verificationDesk({ store, verify, now, log }: VerificationDeps): VerificationDesk {
  let state = NONE;
  let working: Promise<void> = Promise.resolve();

  async function work(): Promise<void> {
    try {
      const report = await verify({ onProgress: (progress) => (state = { ...state, ...progress }) });
      state = { ...state, status: 'done', report };
    } catch (error) {
      log.error({ err: error }, 'a verification was cut off');
      state = { ...state, status: 'failed' };
    }
  }

  return {
    start() {
      if (state.status === 'running') return;
      state = { ...NONE, status: 'running', started_at: now() };
      working = work();
    },
    state: () => state,
    settled: () => working,
    async seals(max) {
      const rows: SealRow[] = [];
      for await (const { event, position, recordedAt } of store.readStream(CHECKPOINT)) {
        if (event.type !== 'log.sealed') continue;
        const { position: coversTo, hash, keyId } = event.data;
        rows.push({
          position: String(position),
          recorded_at: recordedAt,
          covers_to: String(coversTo),
          hash,
          key_id: keyId,
        });
        if (rows.length > max) rows.shift();
      }
      return rows.toReversed();
    },
  };
}
