import type { Pool } from 'pg';
import type { EventStore } from '../store/event-store.ts';
import { CHECKPOINT } from '../domain/log-seal.ts';
import type { Log } from '../log.ts';
import type { VerifyOptions, VerifyReport } from './verify.ts';

/**
 * One verification at a time, at work beside everything else, for those who ask how far it is. Its state
 * is in the database, so that every process answers the same, whichever is at work.
 */
export interface VerificationDeps {
  readonly store: EventStore;
  readonly pool: Pool;
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
  start(): Promise<void>;
  state(): Promise<VerificationState>;
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

/** How often the state is kept while it changes, and how long one that is not kept any more is believed. */
const KEEP_MS = 500;
const BEAT_MS = 5_000;
const SILENCE_MS_MAX = 30_000;

export function verificationDesk({ store, pool, verify, now, log }: VerificationDeps): VerificationDesk {
  let working: Promise<void> = Promise.resolve();

  async function work(begun: VerificationState): Promise<void> {
    let state = begun;
    let kept = Promise.resolve();
    let keptMs = 0;
    const keep = (): Promise<void> => {
      keptMs = performance.now();
      kept = kept
        .then(() => keepState(pool, state, now()))
        .catch((error: unknown) => log.warn({ err: error }, 'the state of a verification was not kept'));
      return kept;
    };
    const beat = setInterval(() => void keep(), BEAT_MS);
    try {
      const onProgress: VerifyOptions['onProgress'] = (progress) => {
        state = { ...state, ...progress };
        if (performance.now() - keptMs >= KEEP_MS) void keep();
      };
      const report = await verify({ onProgress });
      state = { ...state, status: 'done', report };
    } catch (error) {
      log.error({ err: error }, 'a verification was cut off');
      state = { ...state, status: 'failed' };
    } finally {
      clearInterval(beat);
      await keep();
    }
  }

  return {
    async start() {
      const at = now();
      const state: VerificationState = { ...NONE, status: 'running', started_at: at };
      const { rowCount } = await pool.query(
        `insert into verification (state, kept_at) values ($1, $2) on conflict (single) do update
         set state = $1, kept_at = $2
         where verification.state ->> 'status' <> 'running' or verification.kept_at < $3`,
        [JSON.stringify(state), at, silentSince(at)],
      );
      if (rowCount === 1) working = work(state);
    },
    async state() {
      const { rows } = await pool.query<{ readonly state: VerificationState; readonly kept_at: string }>(
        'select state, kept_at from verification',
      );
      const [row] = rows;
      if (row === undefined) return NONE;
      const isLost = row.state.status === 'running' && row.kept_at < silentSince(now());
      return isLost ? { ...row.state, status: 'failed' } : row.state;
    },
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

/** Changes whenever the state does. */
export async function verificationMark(pool: Pool): Promise<string> {
  const { rows } = await pool.query<{ readonly mark: string }>(
    "select concat(state ->> 'status', state ->> 'part', state ->> 'done') as mark from verification",
  );
  return rows[0]?.mark ?? '';
}

/** The process that was at work is gone when it has kept nothing since. */
function silentSince(at: string): string {
  return new Date(Date.parse(at) - SILENCE_MS_MAX).toISOString();
}

async function keepState(pool: Pool, state: VerificationState, at: string): Promise<void> {
  await pool.query('update verification set state = $1, kept_at = $2', [JSON.stringify(state), at]);
}
