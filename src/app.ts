import { randomUUID } from 'node:crypto';
import { createServer, type RequestListener, type Server } from 'node:http';
import { join } from 'node:path';
import { bundleDesk } from './audit/bundle-desk.ts';
import { publicKeys } from './audit/public-keys.ts';
import { type SealSchedule, startSealing } from './audit/seal-schedule.ts';
import { adoptKey, createSealer } from './audit/sealer.ts';
import { settleNextKey, signingKeys } from './audit/signing-key.ts';
import { verificationMark } from './audit/verification.ts';
import { timeTravel } from './audit/time-travel.ts';
import { startBackground } from './billing/background.ts';
import { billingDesk } from './billing/desk.ts';
import { viesClient } from './billing/vies.ts';
import { problemsOf, statusOf } from './app-status.ts';
import { bootstrap, type OwnTenant } from './bootstrap.ts';
import { type Config, consoleLogin } from './config.ts';
import { countedStore, type CountedStore } from './counted-store.ts';
import { demoDeployments } from './demo/deployments.ts';
import { type SimulatedUpstream, startSimulatedUpstream } from './demo/simulated-upstream.ts';
import type { Deployment } from './domain/deployment.ts';
import { type Follower, follow, loadTable } from './follow.ts';
import { gatewayTables } from './gateway-tables.ts';
import { deploymentProviders } from './gateway/deployment-providers.ts';
import { createGateway, type Gateway } from './gateway/gateway.ts';
import type { GatewayDeps } from './gateway/gateway-deps.ts';
import { createLedger } from './gateway/ledger.ts';
import { withCustomAuth } from './custom-auth.ts';
import { type CustomModules, customModules } from './custom-modules.ts';
import { createQuote } from './gateway/quote.ts';
import { keyPolicy } from './http/key-policy.ts';
import type { HttpDeps } from './http/deps.ts';
import { startContractChanges } from './http/due-contracts.ts';
import { startRotation } from './http/rotate-due.ts';
import { startDaySums } from './http/stored-days.ts';
import { createLiveHub, type LiveHub } from './http/live-hub.ts';
import { createHttp } from './http/server.ts';
import { type Installation, openInstallation, verificationOf } from './installation.ts';
import { lockInstance } from './instance-lock.ts';
import { gatewayMetrics, logMetrics } from './log-metrics.ts';
import { listen, SERVER_LIMITS, urlOf } from './listening.ts';
import type { Log } from './log.ts';
import { masterKeyOf, serverSecretOf } from './master-key.ts';
import { createModelBook, type ModelBook } from './model-book.ts';
import { type CredentialSeal, credentialSeal, saltKeyOf } from './model-credentials.ts';
import { seedCosts } from './price-library.ts';
import { type Projector, startProjector } from './projector.ts';
import { readModels } from './read-models.ts';
import { recoverSpools, spoolDirOf } from './recovery.ts';
import { noteSpoolOwner } from './spool-owner.ts';
import { type Part, takePart } from './taking-part.ts';

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
  /** One of several processes on a data folder that belongs to the one that started them; default false. */
  readonly isWorker?: boolean;
}

/** Longest wait of the start for the read models, which a new version of one may have to fill from the beginning. */
const CATCH_UP_MS_MAX = 3_600_000;
/** Longest wait of a request for the read models. They are milliseconds behind unless one has stopped. */
const SETTLE_MS_MAX = 10_000;
/** A key table that has not heard from a log that works for this long decides nothing. */
const STALE_MS_MAX = 5_000;
/** A log that is silent for so long is told of. */
const SILENT_MS_MAX = 30_000;

export async function startApp(options: AppOptions): Promise<App> {
  const { config } = options;
  const closers: Closers = [];
  try {
    if (options.isWorker !== true) closers.push((await lockInstance(config.dataDir)).release);
    const masterKey = masterKeyOf(config.masterKey, config.dataDir);
    const installation = await openInstallation({
      ...options,
      migrationsDir: join(options.root, 'migrations'),
      applicationName: 'keyledger',
      adopts: true,
      creates: true,
    });
    closers.push(installation.close);
    const { store, database } = installation;
    if (options.isWorker !== true) await recoverSpools({ ...options, store, pool: database.pool });
    const core = await startCore(options, installation, closers);
    await noteSpoolOwner(spoolDirOf(config), store);
    const seals = await startSeals(options, core, closers);
    const configured = config.deployments ?? (await simulate(config, closers));
    const credentials = credentialSeal(saltKeyOf(config.settings.LITELLM_SALT_KEY, config.dataDir));
    const upstreamBaseUrl = config.settings.UPSTREAM_BASE_URL;
    const { log } = options;
    const book = createModelBook({
      configured,
      table: core.tables.models,
      seal: credentials,
      upstreamBaseUrl,
      seed: await seedCosts(config.settings.MODEL_PRICES_USD_RATE ?? null),
      log,
    });
    const custom = await customModules(config.keyPolicy);
    const server = await serve(
      { ...options, ...core, seals, database, book, credentials, masterKey, custom },
      closers,
    );
    return { url: urlOf(server, config.settings), masterKey, close: () => closeAll(closers) };
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
interface Core extends CountedStore {
  /** Head of the log when this process started. */
  readonly startPosition: bigint;
  readonly own: OwnTenant;
  readonly projector: Projector;
  readonly tables: ReturnType<typeof gatewayTables>;
  readonly follower: Follower;
}

async function startCore(options: AppOptions, installation: Installation, closers: Closers): Promise<Core> {
  const { config, log, root, say } = options;
  const { pool } = installation.database;
  const { store, appendedPosition, heardOf } = countedStore(installation.store);
  const plansDir = config.settings.KEYLEDGER_PLANS_DIR ?? join(root, 'plans');
  const own = await bootstrap({ store, pool, config, plansDir, now: isoNow, say });
  const projector = await startProjector({ store, pool, projections: readModels, log });
  closers.push(projector.stop);
  const startPosition = await store.head();
  await projector.reached(startPosition, CATCH_UP_MS_MAX);
  const tables = gatewayTables();
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
  return { store, appendedPosition, heardOf, startPosition, own, projector, tables, follower };
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

interface ServeOptions extends AppOptions, Core {
  readonly custom: CustomModules;
  readonly database: Installation['database'];
  readonly seals: SealSchedule;
  readonly book: ModelBook;
  readonly credentials: CredentialSeal;
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
  const writerId = randomUUID();
  const { startPosition, database } = options;
  const providers = deploymentProviders(database.pool, options.book.current);
  const spentSince = createLedger({ pool: database.pool, startPosition, settled, providers });
  const known = (position: bigint) => follower.reached(position, SETTLE_MS_MAX);
  const part = takePart({
    ...options,
    pool: database.pool,
    settled,
    known,
    spentSince,
    writerId,
    monotonicMs,
  });
  const gateway = gatewayOf(options, { spentSince, providers }, part);
  closers.push(() => part.leave(gateway.backlog().spends === 0));
  const live = liveOf(options, gateway, settled);
  const http = httpOf(options, gateway, settled, part, closers, live);
  await http.ready();
  await part.join(gateway);
  const listener: RequestListener = (request, response) => {
    if (gateway.matches(request.method ?? '', request.url ?? '')) gateway.handle(request, response);
    else http.routing(request, response);
  };
  const asked = withCustomAuth(listener, options.custom.auth, { ...config, ...options });
  const server = createServer(SERVER_LIMITS, asked);
  await listen(server, config.settings);
  closers.push(async () => {
    const closed = new Promise((done) => server.close(done));
    await gateway.close(config.settings.SHUTDOWN_GRACE_MS);
    server.closeAllConnections();
    await closed;
    await http.close();
  });
  // Before the server waits for what is under way: a stream would never end by itself.
  closers.push(live.close);
  return server;
}

function gatewayOf(
  options: ServeOptions,
  ledger: Pick<GatewayDeps, 'spentSince' | 'providers'>,
  { writerId, newRequestId }: Part,
): Gateway {
  const { config, store, tables, follower, own } = options;
  const outageMsMax = Math.max(config.settings.LOG_OUTAGE_SECONDS_MAX * 1_000, STALE_MS_MAX);
  return createGateway({
    store,
    writerId,
    tables: { ...tables, isCurrent: () => follower.isCurrent(STALE_MS_MAX, outageMsMax) },
    deployments: options.book.current,
    routing: config.routing,
    masterKey: options.masterKey,
    ownTenantId: own.tenantId,
    installation: config.installation,
    ...ledger,
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
    newId: newRequestId,
    random: Math.random,
  });
}

function httpOf(
  options: ServeOptions,
  gateway: Gateway,
  settled: (position: bigint) => Promise<void>,
  { claimName, recorded, everywhere }: Part,
  closers: Closers,
  live: LiveHub,
) {
  const { config, store, database, own, log } = options;
  const serverSecret = serverSecretOf(config.settings.LITELLM_SALT_KEY, options.masterKey);
  const shared = { ...database, store, now: isoNow, settled, log };
  const health = () => problemsOf(statusOf(options, gateway), SILENT_MS_MAX);
  const background = startBackground({ ...shared, serverSecret, health, settings: config.settings });
  closers.push(background.stop);
  const verification = verificationOf({ store, database, now: isoNow, log });
  const deps: HttpDeps = {
    store,
    db: database.db,
    dbWithin: database.dbWithin,
    now: isoNow,
    settled,
    appendedPosition: options.appendedPosition,
    claimName,
    recorded: () => recorded(gateway),
    everywhere,
    masterKey: options.masterKey,
    serverSecret,
    console: consoleLogin(config, options.masterKey),
    consoleDir: join(options.root, 'dist', 'ui'),
    ownTenant: own,
    keyHeader: config.keyHeader,
    keyPolicy: keyPolicy(config.keyPolicy, options.custom.generate),
    version: options.version,
    log,
    models: options.book.current,
    quote: createQuote(options.book.current),
    credentials: options.credentials,
    upstreamBaseUrl: config.settings.UPSTREAM_BASE_URL,
    status: () => statusOf(options, gateway),
    providerSpends: gateway.providerSpends,
    metrics: () => [
      ...background.metrics(),
      ...logMetrics({ ...options, seals: options.seals.facts }),
      ...gatewayMetrics({
        inFlight: gateway.inFlight(),
        ...gateway.backlog(),
        softBudgetsReached: gateway.softBudgetsReached(),
      }),
    ],
    runInvoices: background.runInvoices,
    billing: billingDesk({
      ...shared,
      paymentLink: background.paymentLink,
      askVies: viesClient(config.settings.VIES_URL),
    }),
    collection: background.desk,
    alerts: background.alerts,
    ...timeTravel({ store, db: database.db, now: isoNow }),
    publicKeys: () => publicKeys(store),
    verification,
    bundles: bundleDesk({ store, pool: database.pool, now: isoNow }),
    trustedProxies: config.settings.TRUSTED_PROXIES,
    live,
    bodyBytesMax: config.settings.BODY_BYTES_MAX,
  };
  closers.push(verification.settled, startRotation(deps).stop);
  closers.push(startContractChanges(deps).stop, startDaySums(deps).stop);
  return createHttp(deps);
}

/** What is not in the log and shows on a page: what works, and how far a verification is. */
function liveOf(
  options: ServeOptions,
  gateway: Gateway,
  settled: (position: bigint) => Promise<void>,
): LiveHub {
  const { store, database, log } = options;
  return createLiveHub({
    store,
    settled,
    log,
    async marks() {
      const { projections, deployments } = statusOf(options, gateway);
      // Latencies move with every answer: they are no news.
      const standing = deployments.map(({ id, problem }) => [id, problem]);
      const health = JSON.stringify([projections.map(({ error }) => error), standing]);
      return { health, audit: await verificationMark(database.pool) };
    },
  });
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

function isoNow(): string {
  return new Date().toISOString();
}

function monotonicMs(): number {
  return performance.now();
}
