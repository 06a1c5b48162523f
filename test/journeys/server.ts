import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

/**
 * The built program as a user runs it: its own process, its own data folder and port, an embedded
 * Postgres. Journeys talk to it over real HTTP only.
 */
export interface Server {
  readonly url: string;
  readonly masterKey: string;
  readonly dataDir: string;
  readonly port: number;
  readonly child: ChildProcess;
  /** Everything it printed on standard output so far. */
  output(): string;
  /** Resolves when it has printed this. */
  printed(text: string): Promise<void>;
  /** SIGINT, then the exit code. */
  stop(): Promise<number | null>;
  /** SIGKILL: no handler runs. */
  kill(): Promise<void>;
  /** A request as the administrator; the parsed body. */
  api<T>(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer<T>>;
}

export interface Answer<T> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: T;
}

export const MASTER_KEY = 'sk-journey-master-key-0123456789abcdef';
/** A machine that others use too stands still at times. */
const START_MS_MAX = 180_000;
/** Between two questions whether another process is ready. */
const PROBE_MS = 50;

export function temporaryDataDir(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'keyledger-journey-'));
  // Open to search, so that an embedded Postgres of root's stays in here and goes with the folder.
  chmodSync(path, 0o711);
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, 'close');
  return port;
}

/** Starts the server and waits until it is ready; `spawned` has its process before. Settings left out come from the defaults. */
export async function startServer(
  dataDir: string,
  settings: Readonly<Record<string, string>> = {},
  spawned: (child: ChildProcess) => void = () => undefined,
  args: readonly string[] = [],
): Promise<Server> {
  const { LITELLM_MASTER_KEY: masterKey = MASTER_KEY } = settings;
  const environment: Record<string, string> = {
    PATH: process.env['PATH'] ?? '',
    HOME: process.env['HOME'] ?? '/',
    KEYLEDGER_DATA_DIR: dataDir,
    KEYLEDGER_DEMO: 'off',
    SIMULATED_LATENCY_MS: '0',
    SIMULATED_CHUNK_DELAY_MS: '0',
    ...settings,
    // 0: whichever is free at that moment; the server says which.
    PORT: settings['PORT'] ?? '0',
    LITELLM_MASTER_KEY: masterKey,
  };
  // An empty one means that none is set, which is not the same as set to nothing.
  if (masterKey === '') delete environment['LITELLM_MASTER_KEY'];
  const child = spawn(process.execPath, ['dist/src/cli.js', 'start', ...args], {
    env: environment,
    stdio: 'pipe',
  });
  spawned(child);
  let printed = '';
  let complained = '';
  const awaited = new Map<string, () => void>();
  child.stdout.on('data', (chunk: Buffer) => {
    printed += chunk.toString();
    for (const [text, done] of awaited) if (printed.includes(text)) done();
  });
  child.stderr.on('data', (chunk: Buffer) => (complained += chunk.toString()));
  const port = await portOf(
    child,
    () => printed,
    () => complained,
  );
  const url = `http://127.0.0.1:${port}`;
  await untilReady(url, child, () => complained);
  const api: Server['api'] = async (method, path, body, headers = {}) => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${masterKey}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: (text === '' ? null : JSON.parse(text)) as never,
    };
  };
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    child.kill(signal);
    const [code] = (await once(child, 'exit')) as [number | null];
    return code;
  };
  return {
    url,
    masterKey,
    dataDir,
    port,
    child,
    output: () => printed,
    printed: (text) =>
      printed.includes(text) ? Promise.resolve() : new Promise((done) => void awaited.set(text, done)),
    stop: () => end('SIGINT'),
    kill: async () => void (await end('SIGKILL')),
    api,
  };
}

/** The port that the server says it listens on. */
async function portOf(child: ChildProcess, printed: () => string, complained: () => string): Promise<number> {
  const deadline = performance.now() + START_MS_MAX;
  while (performance.now() < deadline) {
    const said = /listening on http:\/\/[^:]+:(\d+)/.exec(printed());
    if (said !== null) return Number(said[1]);
    failIfEnded(child, complained);
    await pause(PROBE_MS);
  }
  throw new Error(`the server did not listen in time:\n${complained()}`);
}

async function untilReady(url: string, child: ChildProcess, complained: () => string): Promise<void> {
  const deadline = performance.now() + START_MS_MAX;
  while (performance.now() < deadline) {
    failIfEnded(child, complained);
    try {
      const response = await fetch(`${url}/health/readiness`);
      await response.text();
      if (response.ok) return;
    } catch {
      // Not listening yet: ask again.
    }
    await pause(PROBE_MS);
  }
  throw new Error(`the server was not ready in time:\n${complained()}`);
}

function failIfEnded({ exitCode, signalCode }: ChildProcess, complained: () => string): void {
  const end = exitCode ?? signalCode;
  if (end !== null) throw new Error(`the server exited with ${end}:\n${complained()}`);
}

/** Runs a command of the program to its end. */
export async function runCommand(
  args: readonly string[],
  settings: Readonly<Record<string, string>>,
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  const env = { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '/', ...settings };
  const child = spawn(process.execPath, ['dist/src/cli.js', ...args], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}
