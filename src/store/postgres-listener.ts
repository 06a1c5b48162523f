import { Client } from 'pg';
import type { Log } from '../log.ts';

/**
 * One connection that hears of new events. What it hears is a hint: while it is lost, polling finds
 * the same events a little later. It reconnects by itself.
 */
export interface Listener {
  start(): void;
  /** Ends the connection. It can be started again. */
  stop(): Promise<void>;
}

export interface ListenerOptions {
  readonly url: string;
  /** It listens from now on; what was appended before has to be looked for. */
  readonly onListening: () => void;
  /** Called with the position of the newest event. */
  readonly onPosition: (position: bigint) => void;
  readonly log: Pick<Log, 'info' | 'warn'>;
}

const RECONNECT_MS_MIN = 100;
const RECONNECT_MS_MAX = 5_000;
const CONNECT_MS_MAX = 10_000;

export function createListener({ url, onListening, onPosition, log }: ListenerOptions): Listener {
  let wanted = false;
  let client: Client | null = null;
  let timer: NodeJS.Timeout | null = null;
  let failures = 0;
  const ending = new Set<Promise<void>>();

  function connect(): void {
    timer = null;
    const connection = new Client({
      connectionString: url,
      application_name: 'keyledger listener',
      keepAlive: true,
      connectionTimeoutMillis: CONNECT_MS_MAX,
    });
    client = connection;
    connection.on('notification', ({ payload }) => onPosition(BigInt(payload ?? 0)));
    connection.on('error', (error) => lost(connection, error));
    connection.on('end', () => lost(connection, new Error('the connection ended')));
    connection
      .connect()
      .then(() => connection.query('listen event_log'))
      .then(() => {
        if (failures > 0) log.info('hearing of new events again');
        failures = 0;
        onListening();
      })
      .catch((error: unknown) => lost(connection, error));
  }

  function lost(connection: Client, error: unknown): void {
    if (client !== connection) return;
    client = null;
    end(connection);
    if (!wanted) return;
    failures += 1;
    if (failures === 1)
      log.warn({ err: error }, 'the connection that hears of new events is lost; polling goes on');
    const waitMs = Math.min(RECONNECT_MS_MAX, RECONNECT_MS_MIN * 2 ** Math.min(failures - 1, 10));
    timer = setTimeout(connect, waitMs);
  }

  function end(connection: Client): void {
    const ended = connection.end().catch(() => {});
    ending.add(ended);
    void ended.then(() => ending.delete(ended));
  }

  return {
    start() {
      wanted = true;
      if (client === null && timer === null) connect();
    },
    async stop() {
      wanted = false;
      if (timer !== null) clearTimeout(timer);
      timer = null;
      const connection = client;
      client = null;
      if (connection !== null) end(connection);
      await Promise.all(ending);
    },
  };
}
