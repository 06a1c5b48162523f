import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { agencies } from '../projections/agencies.ts';
import { budgets } from '../projections/budgets.ts';
import { customers } from '../projections/customers.ts';
import { keys } from '../projections/keys.ts';
import { members } from '../projections/members.ts';
import { projects } from '../projections/projects.ts';
import { tags } from '../projections/tags.ts';
import { tenants } from '../projections/tenants.ts';
import { users } from '../projections/users.ts';
import { publicKeys } from './audit/public-keys.ts';
import { type SealSchedule, startSealing } from './audit/seal-schedule.ts';
import { adoptKey, createSealer } from './audit/sealer.ts';
import { settleNextKey, signingKeys } from './audit/signing-key.ts';
import { timeTravel } from './audit/time-travel.ts';
import { billingRecords } from './billing/billing-records.ts';
import { billingDesk } from './billing/desk.ts';
import { runInvoices } from './billing/invoice-run.ts';
import { viesClient } from './billing/vies.ts';
import { bootstrap, type OwnTenant } from './bootstrap.ts';
import { type Config, consoleLogin } from './config.ts';
import { demoDeployments } from './demo/deployments.ts';
import { type SimulatedUpstream, startSimulatedUpstream } from './demo/simulated-upstream.ts';
import type { Deployment } from './domain/deployment.ts';
import { type Follower, follow, loadTable } from './follow.ts';
import { createGateway, type Gateway } from './gateway/gateway.ts';
import { createLedger } from './gateway/ledger.ts';
import { recoverSpool } from './gateway/spool-recovery.ts';
import type { HealthFacts, HttpDeps } from './http/deps.ts';
import { startRotation } from './http/rotate-due.ts';
import { createHttp } from './http/server.ts';
import { type Installation, openInstallation, verificationOf } from './installation.ts';
import { lockInstance } from './instance-lock.ts';
import { gatewayMetrics, logMetrics } from './log-metrics.ts';
import type { Log } from './log.ts';
import { masterKeyOf, serverSecretOf } from './master-key.ts';
import { memoryTable } from './memory-table.ts';
import { type Projector, startProjector } from './projector.ts';
import { readModels } from './read-models.ts';
import type { EventStore } from './store/event-store.ts';

/**
 * The whole program, built with plain calls from the settings. Reading it from top to bottom is
 * reading the start; `close` undoes it in the opposite order.
 */
export interface App {
  readonly url: string;
  readonly masterKey: string;
  close(): Promise<void>;
}

export interface AppOptions {
  readonly config: Config;
  readonly log: Log;
  /** Folder of package.json. */
  readonly root: string;
  readonly version: string;
  readonly say: (line: string) => void;
}

/** Longest wait of the start for the read models, which a new version of one may have to fill from the beginning. */
const CATCH_UP_MS_MAX = 3_600_000;
/** Longest wait of a request for the read models. They are milliseconds behind unless one has stopped. */
const SETTLE_MS_MAX = 10_000;
/** A key table that has not heard from a log that works for this long decides nothing. */
const STALE_MS_MAX = 5_000;

export async function startApp(options: AppOptions): Promise<App> {
  const { config } = options;
  const closers: Closers = [];
  try {
    const lock = await lockInstance(config.dataDir);
    closers.push(lock.release);
    const masterKey = masterKeyOf(config.masterKey, config.dataDir);
    const installation = await openInstallation({
      ...options,
      migrationsDir: join(options.root, 'migrations'),
      applicationName: 'keyledger',
      adopts: true,
      creates: true,
    });
    closers.push(installation.close);
    await recover(options, installation.store);
    const core = await startCore(options, installation, closers);
    const seals = await startSeals(options, core, closers);
    const deployments = config.deployments ?? (await simulate(config, closers));
    const server = await serve(
      { ...options, ...core, seals, database: installation.database, deployments, masterKey },
      closers,
    );
    return { url: urlOf(server, config), masterKey, close: () => closeAll(closers) };
  } catch (error) {
    await closeAll(closers);
    throw error;
  }
}

/** What was started, in this order; taken down from the end. */
type Closers = (() => unknown)[];

async function closeAll(closers: Closers): Promise<void> {
  for (const closer of closers.splice(0).toReversed()) await closer();
}

/** The log, the read models, and the tables that the gateway decides by. */
interface Core {
  readonly store: EventStore;
  /** Highest position that this process has appended by a command; 0 before the first. */
  readonly appendedPosition: () => bigint;
  /** Head of the log when this process started. */
  readonly startPosition: bigint;
  readonly own: OwnTenant;
  readonly projector: Projector;
  readonly tables: ReturnType<typeof keyTables>;
  readonly follower: Follower;
}

/** What a killed process has left in the spool goes to the log first: budgets and reads then know of it. */
async function recover({ config, log, say }: AppOptions, store: EventStore): Promise<void> {
  const { spends, interrupted } = await recoverSpool({ dir: spoolDirOf(config), store, log });
  if (spends === 0) return;
  say(
    `recorded ${spends} requests that the last run had not taken to the log, ${interrupted} of them cut off`,
  );
}

function spoolDirOf({ dataDir }: Config): string {
  return join(dataDir, 'spool');
}

async function startCore(options: AppOptions, installation: Installation, closers: Closers): Promise<Core> {
  const { config, log, root, say } = options;
  const { pool } = installation.database;
  const { store, appendedPosition } = counting(installation.store);
  const plansDir = config.settings.KEYLEDGER_PLANS_DIR ?? join(root, 'plans');
  const own = await bootstrap({ store, pool, config, plansDir, now: isoNow, say });
  const projector = await startProjector({ store, pool, projections: readModels, log });
  closers.push(projector.stop);
  const startPosition = await store.head();
  await projector.reached(startPosition, CATCH_UP_MS_MAX);
  const tables = keyTables();
  const all = Object.values(tables);
  for (const table of all) await loadTable(pool, table);
  const following = new AbortController();
  const onFailure = (error: unknown) =>
    log.error({ err: error }, 'the gateway no longer follows the log and will refuse');
  const follower = follow({
    store,
    tables: all,
    signal: following.signal,
    nowMs: monotonicMs,
    log,
    onFailure,
  });
  closers.push(() => {
    following.abort();
    return follower.done;
  });
  return { store, appendedPosition, startPosition, own, projector, tables, follower };
}

/** Seals the log from here on. Without the key in force nothing is sealed, and everything else goes on. */
async function startSeals(
  { config, log, say }: AppOptions,
  core: Core,
  closers: Closers,
): Promise<SealSchedule> {
  const { store, own } = core;
  const { settings, dataDir } = config;
  const source = {
    configured: settings.AUDIT_SIGNING_KEY ?? null,
    previous: settings.AUDIT_SIGNING_KEY_PREVIOUS ?? null,
    dataDir,
  };
  const deps = { store, keys: () => signingKeys(source), agencyId: own.agencyId, now: isoNow };
  const sealer = createSealer(deps);
  try {
    await adoptKey(deps);
    if (source.configured === null) settleNextKey(dataDir);
  } catch (error) {
    log.error({ err: error }, 'the log is not sealed');
    say(`the log is not sealed: ${error instanceof Error ? error.message : String(error)}`);
  }
  const schedule = startSealing({ sealer, store, minutes: settings.AUDIT_SEAL_MINUTES, now: isoNow, log });
  closers.push(schedule.stop);
  return schedule;
}

function keyTables() {
  return {
    keys: memoryTable(keys, { indexes: ['token_hash', 'old_token_hash'] }),
    projects: memoryTable(projects),
    tenants: memoryTable(tenants),
    agencies: memoryTable(agencies),
    users: memoryTable(users),
    members: memoryTable(members),
    budgets: memoryTable(budgets),
    customers: memoryTable(customers),
    tags: memoryTable(tags),
  };
}

/** Notes how far this process has written, so that a read can wait for its own writes. */
function counting(store: EventStore): {
  readonly store: EventStore;
  readonly appendedPosition: () => bigint;
} {
  let highest = 0n;
  return {
    appendedPosition: () => highest,
    store: {
      ...store,
      async append(writes) {
        const appended = await store.append(writes);
        if (appended.position > highest) highest = appended.position;
        return appended;
      },
    },
  };
}

interface ServeOptions extends AppOptions, Core {
  readonly database: Installation['database'];
  readonly seals: SealSchedule;
  readonly deployments: readonly Deployment[];
  readonly masterKey: string;
}

async function serve(options: ServeOptions, closers: Closers): Promise<Server> {
  const { config, projector, follower } = options;
  const settled = async (position: bigint) => {
    await Promise.all([
      projector.reached(position, SETTLE_MS_MAX),
      follower.reached(position, SETTLE_MS_MAX),
    ]);
  };
  const gateway = gatewayOf(options, settled);
  const http = httpOf(options, gateway, settled, closers);
  await http.ready();
  const server = createServer(LIMITS, (request, response) => {
    if (gateway.matches(request.method ?? '', request.url ?? '')) gateway.handle(request, response);
    else http.routing(request, response);
  });
  server.listen(config.settings.PORT, config.settings.HOST);
  await once(server, 'listening').catch((error: unknown) => listeningFailed(error, config));
  closers.push(async () => {
    const closed = new Promise((done) => server.close(done));
    await gateway.close(config.settings.SHUTDOWN_GRACE_MS);
    server.closeAllConnections();
    await closed;
    await http.close();
  });
  return server;
}

/** What a slow or malicious client may take: see the anchors of Node's own defaults. */
const LIMITS = {
  headersTimeout: 10_000,
  requestTimeout: 60_000,
  connectionsCheckingInterval: 5_000,
  keepAliveTimeout: 65_000,
};

/** Throws what kept the server from listening. */
function listeningFailed(error: unknown, { settings }: Config): never {
  if (!(error instanceof Error && 'code' in error && error.code === 'EADDRINUSE')) throw error;
  throw new Error(`Port ${settings.PORT} is taken. Stop the other program, or set PORT.`, { cause: error });
}

function gatewayOf(options: ServeOptions, settled: (position: bigint) => Promise<void>): Gateway {
  const { config, store, tables, follower, own, database } = options;
  const outageMsMax = Math.max(config.settings.LOG_OUTAGE_SECONDS_MAX * 1_000, STALE_MS_MAX);
  return createGateway({
    store,
    writerId: randomUUID(),
    tables: { ...tables, isCurrent: () => follower.isCurrent(STALE_MS_MAX, outageMsMax) },
    deployments: options.deployments,
    routing: config.routing,
    masterKey: options.masterKey,
    ownTenantId: own.tenantId,
    installation: config.installation,
    spentSince: createLedger({ pool: database.pool, startPosition: options.startPosition, settled }),
    keyHeader: config.keyHeader,
    budgetExceededStatus: config.budgetExceededStatus,
    bodyBytesMax: config.settings.BODY_BYTES_MAX,
    spoolDir: spoolDirOf(config),
    spendWaitingMax: config.settings.SPEND_WAITING_MAX,
    outageMsMax,
    version: options.version,
    log: options.log,
    wallMs: Date.now,
    monotonicMs,
    newId: randomUUID,
    random: Math.random,
  });
}

function httpOf(
  options: ServeOptions,
  gateway: Gateway,
  settled: (position: bigint) => Promise<void>,
  closers: Closers,
) {
  const { config, store, database, own, log } = options;
  const records = billingRecords(database);
  const verification = verificationOf({ store, database, now: isoNow, log });
  const deps: HttpDeps = {
    store,
    db: database.db,
    now: isoNow,
    settled,
    appendedPosition: options.appendedPosition,
    recorded: gateway.flush,
    masterKey: options.masterKey,
    console: consoleLogin(config, options.masterKey),
    consoleDir: join(options.root, 'dist', 'ui'),
    serverSecret: serverSecretOf(config.settings.LITELLM_SALT_KEY, options.masterKey),
    ownTenant: own,
    keyHeader: config.keyHeader,
    version: options.version,
    log,
    models: () => options.deployments,
    status: () => statusOf(options, gateway),
    metrics: () => [
      ...logMetrics({ ...options, seals: options.seals.facts }),
      ...gatewayMetrics({
        inFlight: gateway.inFlight(),
        ...gateway.backlog(),
        softBudgetsReached: gateway.softBudgetsReached(),
      }),
    ],
    runInvoices: (request) => runInvoices({ store, records, now: isoNow, settled, log }, request),
    billing: billingDesk({
      ...database,
      store,
      now: isoNow,
      settled,
      log,
      askVies: viesClient(config.settings.VIES_URL),
    }),
    ...timeTravel({ store, db: database.db, now: isoNow }),
    publicKeys: () => publicKeys(store),
    verification,
    bodyBytesMax: config.settings.BODY_BYTES_MAX,
  };
  closers.push(verification.settled, startRotation(deps).stop);
  return createHttp(deps);
}

function statusOf(options: ServeOptions, gateway: Gateway): HealthFacts {
  const { projector, follower } = options;
  const known = [options.appendedPosition(), follower.position, projector.head()];
  return {
    head: known.reduce((highest, position) => (position > highest ? position : highest)),
    keyTableAgeMs: follower.lastHeardMs(),
    projections: [
      ...projector
        .status()
        .map(({ name, position, error }) => ({ name, position, error: error?.message ?? null })),
      {
        name: 'gateway',
        position: follower.position,
        error:
          gateway.trouble()?.message ??
          (follower.failure === null ? null : 'the gateway no longer follows the log'),
      },
    ],
    deployments: gateway.deployments(),
    inFlight: gateway.inFlight(),
  };
}

async function simulate({ settings }: Config, closers: Closers): Promise<readonly Deployment[]> {
  const upstream: SimulatedUpstream = await startSimulatedUpstream({
    latencyMs: settings.SIMULATED_LATENCY_MS,
    chunkDelayMs: settings.SIMULATED_CHUNK_DELAY_MS,
    chunkCount: settings.SIMULATED_CHUNK_COUNT,
    faults: settings.SIMULATED_FAULTS,
  });
  closers.push(upstream.stop);
  return demoDeployments(upstream.url);
}

function urlOf(server: Server, { settings }: Config): string {
  const { port } = server.address() as AddressInfo;
  const host = ['0.0.0.0', '::', '127.0.0.1'].includes(settings.HOST) ? 'localhost' : settings.HOST;
  return `http://${host}:${port}`;
}

function isoNow(): string {
  return new Date().toISOString();
}

function monotonicMs(): number {
  return performance.now();
}
