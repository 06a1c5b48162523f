import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SimulatedCall } from '../../src/demo/simulated-stats.ts';
import {
  type EmbeddedPostgres,
  removeEmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../src/embedded-postgres.ts';
import {
  freePort,
  MASTER_KEY,
  runCommand,
  type Server,
  startServer,
  temporaryDataDir,
} from '../journeys/server.ts';
import { PLANS, planFile } from './customers.ts';

/**
 * The processes of one run, each of which can be killed alone: the built server with its embedded
 * PostgreSQL, the log in EventStoreDB where it is there, and the upstream, which is not killed.
 */
export type Store = 'postgres' | 'eventstoredb';

export interface World {
  readonly store: Store;
  readonly dataDir: string;
  /** Whether the log is a stand-in, which can be killed and stopped. */
  readonly killsLog: boolean;
  /** Null while none is up. */
  server(): Server | null;
  /** Starts the server and waits until it is ready. `spawned` has its process before. */
  startServer(spawned?: (child: ChildProcess) => void): Promise<Server>;
  /** SIGKILL, and the process is gone. */
  killServer(): Promise<void>;
  /** An orderly end. */
  stopServer(): Promise<void>;
  /** SIGKILL of the postmaster. */
  killDatabase(): Promise<void>;
  /** Under a server that is up: at the port where it was. */
  startDatabase(): Promise<void>;
  /** The address of the database that is up. */
  databaseUrl(): string;
  killLog(): Promise<void>;
  startLog(): Promise<void>;
  /** To the whole log: the stand-in, or every process of the database. */
  signalLog(signal: 'SIGSTOP' | 'SIGCONT'): void;
  /** A command of the program. */
  command(
    ...args: string[]
  ): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>;
  upstreamCalls(): Promise<readonly SimulatedCall[]>;
  spoolFiles(): readonly string[];
  /** How servers that were up have ended although nobody killed them. */
  readonly unexpectedEnds: readonly string[];
  /** Starts that gave up, as those do that find no log; they were repeated, as a supervisor does. */
  readonly failedStarts: readonly string[];
  /** `keeps` leaves the data where it is. */
  close(keeps?: boolean): Promise<void>;
}

const STARTS_MAX = 5;

export interface WorldOptions {
  readonly store: Store;
  readonly latencyMs: number;
  readonly chunkDelayMs: number;
  /** Of the upstream's books. */
  readonly callsMax: number;
  readonly settings?: Readonly<Record<string, string>>;
  /** After `keyledger start`. */
  readonly args?: readonly string[];
}

export async function openWorld({
  store,
  settings = {},
  args = [],
  ...upstreamOptions
}: WorldOptions): Promise<World> {
  const folder = temporaryDataDir();
  const plansDir = join(folder.path, 'plans');
  mkdirSync(plansDir);
  for (const plan of PLANS) writeFileSync(join(plansDir, `${plan.name}.yaml`), planFile(plan));
  const upstream = await startUpstream(upstreamOptions);
  const realLog = process.env['EVENTSTORE_TEST_URL'];
  const killsLog = store === 'eventstoredb' && realLog === undefined;
  const logPort = killsLog ? await freePort() : 0;
  const environment = {
    UPSTREAM_BASE_URL: upstream.url,
    UPSTREAM_API_KEY: 'sk-upstream-chaos',
    KEYLEDGER_PLANS_DIR: plansDir,
    AGENCY_NAME: 'Nordlicht Digital GmbH',
    LOG_LEVEL: 'error',
    SHUTDOWN_GRACE_MS: '5000',
    ...(store === 'eventstoredb'
      ? { EVENT_STORE: store, EVENTSTOREDB_URL: realLog ?? `esdb://127.0.0.1:${logPort}?tls=false` }
      : {}),
    ...settings,
  };
  let log: ChildProcess | null = null;
  let server: Server | null = null;
  let database: EmbeddedPostgres | null = null;
  let newest: ChildProcess | null = null;
  const unexpectedEnds: string[] = [];
  const failedStarts: string[] = [];
  /** Ends of these are somebody's wish. */
  const condemned = new WeakSet<ChildProcess>();

  async function startLog(): Promise<void> {
    if (!killsLog || log !== null) return;
    const file = join(folder.path, 'log');
    const program = 'dist/test/support/eventstoredb/main.js';
    const args = [program, '--file', file, '--port', String(logPort), '--durable'];
    log = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(log.stdout!, 'data');
  }

  function watch(child: ChildProcess): void {
    let complained = '';
    child.stderr?.on('data', (chunk: Buffer) => (complained = (complained + chunk.toString()).slice(-2_000)));
    child.once('exit', (code, signal) => {
      if (!condemned.has(child)) unexpectedEnds.push(`${code ?? signal}: ${complained}`);
    });
  }

  async function adopt(port?: number): Promise<void> {
    const at = port === undefined ? {} : { port };
    database = await startEmbeddedPostgres({ dataDir: folder.path, durable: true, ...at });
  }

  const world: World = {
    store,
    dataDir: folder.path,
    killsLog,
    server: () => server,
    async startServer(spawned) {
      server = null;
      for (let left = STARTS_MAX - 1; server === null; left -= 1) {
        try {
          const born = (child: ChildProcess): void => {
            newest = child;
            condemnable(child, condemned);
            spawned?.(child);
          };
          server = await startServer(folder.path, environment, born, args);
        } catch (error) {
          if (condemned.has(newest!) || left === 0) throw error;
          failedStarts.push(error instanceof Error ? error.message : String(error));
          newest!.kill('SIGKILL');
        }
      }
      watch(server.child);
      await adopt();
      return server;
    },
    async killServer() {
      const victim = server;
      server = null;
      if (victim === null) return;
      condemned.add(victim.child);
      await victim.kill();
    },
    async stopServer() {
      const stopping = server;
      server = null;
      if (stopping === null) return;
      condemned.add(stopping.child);
      await stopping.stop();
    },
    async killDatabase() {
      if (database === null) return;
      const { pid } = database;
      process.kill(pid, 'SIGKILL');
      await gone(pid);
    },
    startDatabase: () => adopt(Number(new URL(database!.url).port)),
    databaseUrl: () => database!.url,
    async killLog() {
      if (log === null) return;
      const ended = once(log, 'exit');
      log.kill('SIGKILL');
      log = null;
      await ended;
    },
    startLog,
    signalLog(signal) {
      if (store === 'eventstoredb') log?.kill(signal);
      else signalAll(database!.pid, signal);
    },
    command: (...args) =>
      runCommand(args, { KEYLEDGER_DATA_DIR: folder.path, LITELLM_MASTER_KEY: MASTER_KEY, ...environment }),
    async upstreamCalls() {
      const answer = await fetch(`${upstream.url}/_simulated/calls`);
      return (await answer.json()) as SimulatedCall[];
    },
    spoolFiles: () => readdirSync(join(folder.path, 'spool')),
    unexpectedEnds,
    failedStarts,
    async close(keeps = false) {
      newest?.kill('SIGKILL');
      await world.killServer();
      // What stands still cannot be stopped.
      if (database !== null && store === 'postgres') signalAll(database.pid, 'SIGCONT');
      await world.killLog();
      upstream.child.disconnect();
      if (keeps) return;
      await removeEmbeddedPostgres(folder.path);
      folder.remove();
    },
  };
  await startLog();
  return world;
}

/** Whoever gets a process while it starts may end it with `kill`, which is then no surprise. */
function condemnable(child: ChildProcess, condemned: WeakSet<ChildProcess>): void {
  const kill = child.kill.bind(child);
  child.kill = (signal) => {
    condemned.add(child);
    return kill(signal);
  };
}

async function startUpstream({
  latencyMs,
  chunkDelayMs,
  callsMax,
}: Omit<WorldOptions, 'store' | 'settings' | 'args'>): Promise<{
  readonly url: string;
  readonly child: ChildProcess;
}> {
  const args = [latencyMs, chunkDelayMs, callsMax].map(String);
  const child = fork('dist/test/chaos/upstream.js', args);
  const [{ url }] = (await once(child, 'message')) as [{ url: string }];
  return { url, child };
}

/** PostgreSQL's processes are groups of their own, so that no single signal reaches them all. */
function signalAll(postmaster: number, signal: NodeJS.Signals): void {
  for (const pid of [postmaster, ...childrenOf(postmaster)]) {
    try {
      process.kill(pid, signal);
    } catch {
      // It has ended since it was listed.
    }
  }
}

function childrenOf(pid: number): readonly number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return text
      .split(' ')
      .filter((part) => part !== '')
      .map(Number);
  } catch {
    return [];
  }
}

/** Somebody else's child leaves no event behind; one that nobody has waited for yet has an empty command line. */
async function gone(pid: number): Promise<void> {
  for (;;) {
    const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (commandLine === '') return;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
