import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import type { App } from '../app.ts';
import { type Installation, openInstallation } from '../installation.ts';
import { lockInstance } from '../instance-lock.ts';
import { masterKeyOf } from '../master-key.ts';
import { recoverSpools } from '../recovery.ts';
import type { CommandContext } from './context.ts';
import { join } from 'node:path';

/**
 * Several processes on one port. The first owns what there is one of: the data folder, an embedded
 * PostgreSQL, and the spool of workers that died. It serves nothing itself; it hands connections to
 * the workers in turn, starts a worker anew that died, and stops them in order.
 */
export const WORKERS_MAX = 32;
/** Connections that an embedded PostgreSQL has for all workers together. */
const CONNECTIONS_MAX = 80;
/** Four connections are for listening and for locks. */
const POOL_MIN = 10;
/** A worker that dies sooner than this after its start is started again ever later. */
const STEADY_MS = 10_000;
const RESTART_MS = 100;
const RESTART_MS_MAX = 5_000;

/** What a worker says once it serves. */
interface Serving {
  readonly serving: string;
}

interface Watch {
  readonly context: CommandContext;
  readonly installation: Installation;
  readonly environment: Readonly<Record<string, string>>;
  stopping: boolean;
  /** Recoveries and restarts under way. */
  readonly pending: Set<Promise<void>>;
}

export async function startWorkers(context: CommandContext, count: number): Promise<App> {
  const { config, log, root } = context;
  const closers: (() => unknown)[] = [];
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).toReversed()) await closer();
  };
  try {
    const lock = await lockInstance(config.dataDir);
    closers.push(lock.release);
    const masterKey = masterKeyOf(config.masterKey, config.dataDir);
    const installation = await openInstallation({
      ...context,
      migrationsDir: join(root, 'migrations'),
      applicationName: 'keyledger-supervisor',
      adopts: true,
      creates: true,
    });
    closers.push(installation.close);
    await recoverAll(context, installation);
    const environment = environmentOf(context, installation, count);
    const watch: Watch = { context, installation, environment, stopping: false, pending: new Set() };
    closers.push(() => stopAll(watch));
    // The first one settles what an installation begins with.
    const url = await startWorker(watch);
    await Promise.all(Array.from({ length: count - 1 }, () => startWorker(watch)));
    log.info({ workers: count }, 'all workers serve');
    return { url, masterKey, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function environmentOf({ config }: CommandContext, { embedded }: Installation, count: number) {
  if (embedded === null) return {};
  const most = Math.max(POOL_MIN, Math.floor(CONNECTIONS_MAX / count));
  return {
    DATABASE_URL: embedded.url,
    DATABASE_POOL_MAX: String(Math.min(config.settings.DATABASE_POOL_MAX, most)),
  };
}

function recoverAll({ config, log, say }: CommandContext, { store, database }: Installation): Promise<void> {
  return recoverSpools({ config, log, say, store, pool: database.pool });
}

/** Resolves with the address once it serves; rejects when it ends before that. From then on it is watched. */
async function startWorker(watch: Watch): Promise<string> {
  const startedMs = performance.now();
  const worker = cluster.fork(watch.environment);
  closeUndelivered(worker);
  const url = await new Promise<string>((resolve, reject) => {
    worker.on('message', (message: Partial<Serving>) => {
      if (message.serving !== undefined) resolve(message.serving);
    });
    worker.once('error', reject);
    worker.once('exit', (code, signal) => {
      reject(new Error(`a worker ended before it served (${signal ?? code})`));
    });
  });
  watch.context.log.info({ worker: worker.id, pid: worker.process.pid }, 'a worker serves');
  worker.once('exit', (code, signal) => {
    if (watch.stopping) return;
    watch.context.log.error({ worker: worker.id, code, signal }, 'a worker died');
    const replaced = replace(watch, performance.now() - startedMs).finally(() =>
      watch.pending.delete(replaced),
    );
    watch.pending.add(replaced);
  });
  return url;
}

interface Handle {
  close(done?: () => void): void;
}

/**
 * A connection that is on its way to a worker when that dies would stay open here with nobody behind it,
 * and its client would wait for ever: node:cluster forgets it. So what was sent and not closed since, as
 * it is when the worker has it, is closed when the worker is gone.
 */
function closeUndelivered(worker: Worker): void {
  const undelivered = new Set<Handle>();
  const send = worker.process.send.bind(worker.process) as (...message: unknown[]) => boolean;
  worker.process.send = (...message: unknown[]) => {
    const [, handle] = message;
    if (isHandle(handle)) {
      const close = handle.close.bind(handle);
      undelivered.add(handle);
      handle.close = (done) => {
        undelivered.delete(handle);
        close(done);
      };
    }
    return send(...message);
  };
  worker.once('exit', () => {
    for (const handle of undelivered) handle.close();
  });
}

function isHandle(value: unknown): value is Handle {
  return typeof value === 'object' && value !== null && 'close' in value && typeof value.close === 'function';
}

/** Takes what the dead one has left to the log, then starts another, as often as it takes. */
async function replace(watch: Watch, livedMs: number): Promise<void> {
  const { context, installation } = watch;
  let pauseMs = livedMs > STEADY_MS ? 0 : RESTART_MS;
  for (; !watch.stopping; pauseMs = Math.min(Math.max(pauseMs * 2, RESTART_MS), RESTART_MS_MAX)) {
    await pause(pauseMs);
    if (watch.stopping) return;
    try {
      await recoverAll(context, installation);
      await startWorker(watch);
      return;
    } catch (error) {
      context.log.error({ err: error }, 'a worker could not be replaced yet');
    }
  }
}

async function stopAll(watch: Watch): Promise<void> {
  watch.stopping = true;
  const workers = Object.values(cluster.workers ?? {}).filter(
    (worker): worker is Worker => worker !== undefined,
  );
  await Promise.all(
    workers.map(async (worker) => {
      if (worker.isDead()) return;
      const ended = once(worker, 'exit');
      worker.process.kill('SIGTERM');
      await ended;
    }),
  );
  await Promise.all(watch.pending);
}

/** In a worker: tells the one that started it that it serves. */
export function saysServing(url: string): void {
  const message: Serving = { serving: url };
  process.send?.(message);
}
