import { mkdirSync } from 'node:fs';
import type { HistoryTables } from './audit/key-history.ts';
import { type VerificationDesk, verificationDesk } from './audit/verification.ts';
import { verifyLog } from './audit/verify.ts';
import { billingRecords, type BillingTables } from './billing/billing-records.ts';
import { recomputeDraft } from './billing/recompute.ts';
import type { Config } from './config.ts';
import { type Database, openDatabase } from './database.ts';
import { type EmbeddedPostgres, hasEmbeddedPostgres, startEmbeddedPostgres } from './embedded-postgres.ts';
import type { HttpDeps } from './http/deps.ts';
import type { Tables } from './http/read.ts';
import type { Log } from './log.ts';
import { migrate } from './migrate.ts';
import { prepareReader } from './row-security.ts';
import { openScopedReads } from './scoped-reads.ts';
import type { EventStore } from './store/event-store.ts';
import { postgresStore } from './store/postgres.ts';

/**
 * What every command stands on: the database with its tables and the log in it. The server and the
 * one-off commands open it the same way; a command that finds the embedded Postgres running uses it
 * and leaves it running.
 */
/** What the parts of the program read with the query builder. */
type AllTables = Tables & BillingTables & HistoryTables;

/** People and keys of tenants read with a quarter of the connections. */
const READERS_PER_POOL = 4;

export interface Installation {
  readonly database: Database<AllTables> & Pick<HttpDeps, 'dbWithin'>;
  readonly store: EventStore;
  readonly embedded: EmbeddedPostgres | null;
  close(): Promise<void>;
}

export interface InstallationOptions {
  readonly config: Config;
  readonly log: Log;
  readonly migrationsDir: string;
  readonly applicationName: string;
  /** The server owns an embedded Postgres that it finds running; a command does not. */
  readonly adopts: boolean;
  /** A command other than these must not make a database where there is none. */
  readonly creates: boolean;
  readonly say: (line: string) => void;
}

export async function openInstallation(options: InstallationOptions): Promise<Installation> {
  const { config, log, say, applicationName } = options;
  if (config.databaseUrl === null && !options.creates && !hasEmbeddedPostgres(config.dataDir)) {
    throw new Error(
      `There is no installation in ${config.dataDir}. Set KEYLEDGER_DATA_DIR, or DATABASE_URL, as for the server.`,
    );
  }
  mkdirSync(config.dataDir, { recursive: true, mode: 0o711 });
  const embedded = config.databaseUrl === null ? await startEmbedded(options) : null;
  const url = embedded?.url ?? config.databaseUrl!;
  const database = openDatabase<AllTables>({
    url,
    poolMax: config.settings.DATABASE_POOL_MAX,
    applicationName,
    log: (line) => log.warn(line),
  });
  try {
    const applied = await migrate(database.db, options.migrationsDir);
    if (applied.length > 0) say(`applied ${applied.length} migrations`);
  } catch (error) {
    await database.close();
    if (embedded !== null && (options.adopts || !embedded.reused)) await embedded.stop();
    throw unreachable(error, config);
  }
  let store: EventStore;
  let reads: Awaited<ReturnType<typeof openReads>> | undefined;
  try {
    reads = await openReads(options, database, url);
    store = await openStore(config, database, url, log);
  } catch (error) {
    await reads?.close();
    await database.close();
    if (embedded !== null && (options.adopts || !embedded.reused)) await embedded.stop();
    throw error;
  }
  return {
    database: { ...database, dbWithin: reads.within },
    store,
    embedded,
    async close() {
      await store.close();
      await reads.close();
      await database.close();
      if (embedded !== null && (options.adopts || !embedded.reused)) await embedded.stop();
    },
  };
}

/** Without row security everybody reads as the owner of the tables does, and the checks of the API stand alone. */
async function openReads(
  { config, log, applicationName, say }: InstallationOptions,
  { pool, db }: Database<AllTables>,
  url: string,
) {
  const problem = await prepareReader(pool);
  if (problem !== null) {
    const line = `row security is off: ${problem}`;
    log.warn({}, line);
    say(line);
    return { within: () => db, close: () => Promise.resolve() };
  }
  return openScopedReads<Tables>({
    url,
    poolMax: Math.ceil(config.settings.DATABASE_POOL_MAX / READERS_PER_POOL),
    applicationName,
    log: (text) => log.warn(text),
  });
}

/** Says which database cannot be reached, and where its address comes from; never the password. */
function unreachable(error: unknown, { databaseUrl }: Config): unknown {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (databaseUrl === null || !/^(E[A-Z]+|28P01|28000|3D000)$/.test(code)) return error;
  const { hostname, port, pathname } = new URL(databaseUrl);
  const place = `${hostname}:${port === '' ? '5432' : port}${pathname}`;
  return new Error(
    `The database at ${place} (DATABASE_URL or POSTGRES_*) cannot be used: ${(error as Error).message}. ` +
      'Without these settings an embedded PostgreSQL is used.',
    { cause: error },
  );
}

/** The read models in a database belong to one log; positions of another one mean nothing to them. */
async function openStore(
  { eventStoreDbUrl }: Config,
  { pool }: Pick<Database, 'pool'>,
  listenUrl: string,
  log: Log,
): Promise<EventStore> {
  if (eventStoreDbUrl === null) return postgresStore({ pool, listenUrl, log });
  const { rows } = await pool.query('select 1 from events limit 1');
  if (rows.length > 0) {
    throw new Error('This database holds a log of its own. Give EVENT_STORE=eventstoredb a fresh database.');
  }
  // Its client is a fifth of what a start loads, and most installations have no use for it.
  const { eventStoreDb } = await import('./store/eventstoredb.ts');
  return eventStoreDb({ url: eventStoreDbUrl, log });
}

async function startEmbedded({ config, log, say }: InstallationOptions): Promise<EmbeddedPostgres> {
  const began = performance.now();
  const embedded = await startEmbeddedPostgres({
    dataDir: config.dataDir,
    durable: true,
    log: (line) => log.info(line),
  });
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  say(embedded.reused ? 'found the embedded PostgreSQL running' : `embedded PostgreSQL is up (${seconds} s)`);
  return embedded;
}

/** Verifies the log of this installation, once at a time, for whoever asks while it serves. */
export function verificationOf(
  deps: Pick<Installation, 'store' | 'database'> & { readonly now: () => string; readonly log: Log },
): VerificationDesk {
  const { store, database, now, log } = deps;
  const recompute = recomputeDraft.bind(null, { store, records: billingRecords(database) });
  const verifying = { store, pool: database.pool, recompute, nowMs: () => performance.now() };
  return verificationDesk({
    store,
    pool: database.pool,
    now,
    log,
    verify: (options) => verifyLog(verifying, options),
  });
}
