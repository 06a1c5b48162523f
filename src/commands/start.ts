import cluster from 'node:cluster';
import { type App, startApp } from '../app.ts';
import { consoleLogin } from '../config.ts';
import { seedDemo } from '../demo/seed.ts';
import { demoSummary } from '../demo/summary.ts';
import { periodOf } from '../domain/period.ts';
import { haltEmbeddedPostgres } from '../embedded-postgres.ts';
import { holdsInstance } from '../instance-lock.ts';
import { type CommandContext, usage } from './context.ts';
import { saysServing, startWorkers, WORKERS_MAX } from './workers.ts';

/** What a shell says of a process that a Ctrl-C has ended. */
const INTERRUPTED = 130;

/** Serves until a signal comes, then stops in order; at once when it comes again. Fills the demo on the first start. */
export async function startCommand(context: CommandContext): Promise<number> {
  if (cluster.isWorker) return await serveAsWorker(context);
  const { config, say, log, options } = context;
  const workers = Number(options.workers ?? 1);
  if (!Number.isInteger(workers) || workers < 1 || workers > WORKERS_MAX) {
    return usage(context, `start [--workers <1 to ${WORKERS_MAX}>]`);
  }
  const { stopped, hurried } = context.signals();
  void hurried.then((signal) => endAtOnce(context, signal));
  for (const warning of config.warnings) log.warn(warning);
  const app = workers === 1 ? await startApp(context) : await startWorkers(context, workers);
  say(`listening on ${app.url}`);
  try {
    if (config.demo) await showDemo(context, app, stopped);
    else
      say(
        config.deployments === null
          ? 'the upstream is simulated'
          : `ready: ${config.deployments.map(({ publicName, baseUrl }) => `${publicName} at ${baseUrl}`).join(', ')}`,
      );
    const signal = await stopped;
    say(`${signal}: finishing what is under way`);
  } finally {
    await app.close();
  }
  say('stopped');
  return 0;
}

/** One of several, started by another process that speaks for all of them. */
async function serveAsWorker(context: CommandContext): Promise<number> {
  const worker = cluster.worker!;
  const log = context.log.child({ worker: worker.id });
  const { stopped, hurried } = context.signals();
  void hurried.then(() => context.exit(INTERRUPTED));
  const app = await startApp({ ...context, log, say: (line) => log.info(line), isWorker: true });
  saysServing(app.url);
  try {
    await stopped;
  } finally {
    await app.close();
  }
  worker.disconnect();
  return 0;
}

/** Leaves what is under way as after a crash, from which the next start recovers, but no PostgreSQL behind. */
async function endAtOnce({ config, say, exit }: CommandContext, signal: string): Promise<never> {
  say(`${signal} again: ending at once`);
  for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill('SIGKILL');
  try {
    if (config.databaseUrl === null && (await holdsInstance(config.dataDir)))
      await haltEmbeddedPostgres(config.dataDir);
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
  }
  return exit(INTERRUPTED);
}

/** Gives up the demo when the server is to stop; the next start goes on with it. */
async function showDemo(context: CommandContext, app: App, stopped: Promise<string>): Promise<void> {
  const { config, say } = context;
  const { url, masterKey } = app;
  const stopping = new AbortController();
  void stopped.then(() => stopping.abort());
  const demo = await seedDemo({ baseUrl: url, masterKey, say, signal: stopping.signal }).catch(
    (error: unknown) => {
      if (!stopping.signal.aborted) throw error;
      return 'interrupted' as const;
    },
  );
  if (demo === 'interrupted') {
    say('the demo is interrupted; the next start goes on with it');
    return;
  }
  if (demo === null) {
    say(
      'this installation has customers of its own, so the demo is left out (KEYLEDGER_DEMO=off says so for good)',
    );
    return;
  }
  if (!demo.fresh) say('the demo is there from an earlier start; it goes on with its data');
  const period = periodOf(new Date().toISOString(), config.settings.AGENCY_ZONE);
  const prefix =
    config.settings.KEYLEDGER_DATA_DIR === undefined ? '' : `KEYLEDGER_DATA_DIR=${config.dataDir} `;
  const { username, password } = consoleLogin(config, masterKey);
  const signIn = `${username} and ${password === masterKey ? 'the master key' : 'UI_PASSWORD'}`;
  say(
    demoSummary({
      url,
      masterKey,
      signIn,
      key: demo.key,
      tenantId: demo.tenants[1]!.tenant.id,
      period,
      prefix,
    }),
  );
}
