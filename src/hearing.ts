import type { Pool, PoolClient } from 'pg';
import { ignore } from './connections.ts';
import type { Log } from './log.ts';

/**
 * Hears what other processes notify over PostgreSQL, on one connection of the pool that is replaced
 * when it breaks. What was said meanwhile is lost, so whoever hears looks for himself as well.
 */
export interface Hearing {
  stop(): Promise<void>;
}

export interface HearingOptions {
  readonly pool: Pool;
  /** Names of channels: letters and underscores. */
  readonly channels: readonly string[];
  readonly onHeard: (channel: string, payload: string) => void;
  readonly log: Pick<Log, 'debug'>;
}

const RETRY_MS = 500;

export function hear({ pool, channels, onHeard, log }: HearingOptions): Hearing {
  const stopping = new AbortController();
  let wake = (): void => {};

  async function listen(): Promise<void> {
    const client: PoolClient = await pool.connect();
    const ended = new Promise<void>((resolve) => {
      wake = resolve;
      client.on('error', () => resolve());
      client.on('end', () => resolve());
    });
    client.on('notification', ({ channel, payload }) => onHeard(channel, payload ?? ''));
    try {
      await client.query(channels.map((channel) => `listen ${channel}`).join('; '));
      if (!stopping.signal.aborted) await ended;
    } finally {
      client.on('error', ignore);
      client.release(true);
    }
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      await listen().catch((error: unknown) => log.debug({ err: error }, 'hearing of others is interrupted'));
      if (!stopping.signal.aborted) await pause();
    }
  }

  function pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, RETRY_MS);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  const running = run();
  return {
    async stop() {
      stopping.abort();
      wake();
      await running;
    },
  };
}
