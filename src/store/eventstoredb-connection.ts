import {
  AccessDeniedError,
  EventStoreDBClient,
  InvalidArgumentError,
  MaxAppendSizeExceededError,
} from '@eventstore/db-client';

/**
 * One client of EventStoreDB and the rules under which it may be used. The client reconnects by
 * itself after a lost connection and follows the leader; a server that hangs it never notices, so
 * whoever has waited too long takes a fresh one.
 */
export interface Connection {
  /** The current client. */
  readonly client: EventStoreDBClient;
  /** Ends everything that goes on over the current client and connects anew. */
  readonly renew: () => void;
  /** Ends everything that goes on. */
  readonly close: () => Promise<void>;
}

export interface ConnectionOptions {
  /** With user and password; never part of a message. */
  readonly url: string;
}

/** What the client keeps to itself and these rules need. */
interface Inside {
  supports: (method: { readonly path: string }, feature?: string) => Promise<boolean>;
  getChannel(): Promise<{ close(): void }>;
}

const CLOSE_MS_MAX = 2_000;

export function connect({ url }: ConnectionOptions): Connection {
  let client = newClient(url);
  return {
    get client() {
      return client;
    },
    renew() {
      const old = client;
      client = newClient(url);
      void end(old);
    },
    close: () => end(client),
  };
}

/** Throws an Error without the address when that cannot be used. */
function newClient(url: string): EventStoreDBClient {
  // Answers without errors give a wrong revision.
  if (/throwOnAppendFailure=false/i.test(url))
    throw new Error('EVENTSTOREDB_URL must not set throwOnAppendFailure');
  let client: EventStoreDBClient;
  try {
    client = EventStoreDBClient.connectionString(url);
  } catch {
    throw new Error('the address of EventStoreDB cannot be used; see EVENTSTOREDB_URL');
  }
  // Batch appends have no deadline, and one broken connection fails those of all others.
  const inside = client as unknown as Inside;
  const { supports } = inside;
  inside.supports = async (method, feature) =>
    !/batchappend/i.test(method.path) && (await supports(method, feature));
  return client;
}

/** The client's own dispose ends its calls and leaves the connection open. */
async function end(client: EventStoreDBClient): Promise<void> {
  const closing = (async () => {
    await client.dispose();
    const channel = await (client as unknown as Inside).getChannel();
    channel.close();
  })().catch(() => undefined);
  await within(closing, CLOSE_MS_MAX, 'closing').catch(() => undefined);
}

/** The value, or an Error once so much time has passed. */
export async function within<T>(value: Promise<T>, msMax: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`EventStoreDB did not answer in ${msMax} ms: ${what}`)), msMax);
  });
  try {
    return await Promise.race([value, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** True for answers that mean "not written, and never will be"; after all others it may be written. */
export function isFinalAnswer(error: unknown): boolean {
  return (
    error instanceof AccessDeniedError ||
    error instanceof MaxAppendSizeExceededError ||
    error instanceof InvalidArgumentError
  );
}
