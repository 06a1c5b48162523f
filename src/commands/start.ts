import cluster from 'node:cluster';
import { startApp } from '../app.ts';
import { consoleLogin } from '../config.ts';
import { seedDemo } from '../demo/seed.ts';
import { demoSummary } from '../demo/summary.ts';
import { periodOf } from '../domain/period.ts';
import { type CommandContext, usage } from './context.ts';
import { saysServing, startWorkers, WORKERS_MAX } from './workers.ts';

/** Serves until a signal comes, then stops in order. Fills the demo on the first start. */
export async function startCommand(context: CommandContext): Promise<number> {
  if (cluster.isWorker) return await serveAsWorker(context);
  const { config, say, log, options } = context;
  const workers = Number(options.workers ?? 1);
  if (!Number.isInteger(workers) || workers < 1 || workers > WORKERS_MAX) {
    return usage(context, `start [--workers <1 to ${WORKERS_MAX}>]`);
  }
  const stopped = context.stopped();
  for (const warning of config.warnings) log.warn(warning);
  const app = workers === 1 ? await startApp(context) : await startWorkers(context, workers);
  say(`listening on ${app.url}`);
  try {
    if (config.demo) await showDemo(context, app);
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
  const stopped = context.stopped();
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

async function showDemo(context: CommandContext, app: Awaited<ReturnType<typeof startApp>>): Promise<void> {
  const { config, say } = context;
  const { url, masterKey } = app;
  const demo = await seedDemo({ baseUrl: url, masterKey, say });
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
