import type { Server } from '../journeys/server.ts';
import { startLoad } from './clients.ts';
import { onboard } from './customers.ts';
import { gather } from './evidence.ts';
import { judge } from './judge.ts';
import { chance } from './random.ts';
import { openWorld, type Store, type World } from './world.ts';

/**
 * Takes the log away until so many spends wait for it, gives it back, and measures how long they take
 * to get there; then has all accounts compared. 15 minutes at 50 requests/s are 45,000 spends.
 */
export interface OutageOptions {
  readonly store: Store;
  readonly how: Absence;
  readonly spends: number;
  readonly seed: number;
  readonly clients: number;
  readonly progress: (line: string) => void;
}

/** The process is dead, or it stands still with its connections open. */
export type Absence = 'killed' | 'stopped';

export interface OutageResult {
  readonly store: Store;
  readonly how: Absence;
  /** Waiting when the log came back. */
  readonly waited: number;
  readonly spoolBytes: number;
  readonly awaySeconds: number;
  /** From the moment in which the log is there again. */
  readonly drainSeconds: number;
  /** Until the read models have all of it. */
  readonly readableSeconds: number;
  /** Answers other than good ones, of all requests. */
  readonly refused: number;
  readonly requests: number;
  readonly violations: readonly string[];
}

/** Enough for every key to be known with what it has spent, which takes the database. */
const WARM_UP = 200;
const LOOK_MS = 20;

export async function runOutage(options: OutageOptions): Promise<OutageResult> {
  const { store, how, spends, seed, progress } = options;
  const world = await openWorld({ store, latencyMs: 0, chunkDelayMs: 0, callsMax: spends * 2 + 10_000 });
  try {
    const server = await world.startServer();
    const customers = await onboard(server);
    const requests = WARM_UP + spends;
    const load = startLoad({
      customers,
      chance: chance(seed),
      clients: options.clients,
      requests,
      port: () => server.port,
      leaving: 0,
      failing: 0,
    });
    await load.reached(WARM_UP);
    await takeAway(world, how);
    const began = performance.now();
    for (let step = 1; step <= 10; step += 1) {
      await load.reached(WARM_UP + Math.round((spends * step) / 10));
      progress(`${store}: ${load.sent} requests, the log is ${how}`);
    }
    await load.finish();
    const { waiting, spoolBytes } = await backlog(server);
    const backAt = await giveBack(world, how);
    const awaySeconds = (backAt - began) / 1_000;
    await until(async () => (await backlog(server)).waiting === 0);
    const drainSeconds = (performance.now() - backAt) / 1_000;
    await server.api('GET', `/key/info?key=${customers[0]!.keyId}`);
    await until(async () => (await backlog(server)).lag === 0);
    const readableSeconds = (performance.now() - backAt) / 1_000;
    progress('comparing the accounts');
    const evidence = await gather(world, load.observations);
    const { code, stdout } = await world.command('audit', 'verify');
    return {
      store,
      how,
      waited: waiting,
      spoolBytes,
      awaySeconds,
      drainSeconds,
      readableSeconds,
      refused: load.observations.filter(({ end }) => end !== 'whole').length,
      requests: load.observations.length,
      violations: [...judge(evidence), ...(code === 0 ? [] : [`audit verify: ${stdout}`])],
    };
  } finally {
    await world.close();
  }
}

export async function takeAway(world: World, how: Absence): Promise<void> {
  if (how === 'stopped') world.signalLog('SIGSTOP');
  else if (world.store === 'postgres') await world.killDatabase();
  else await world.killLog();
}

/** Returns when it was there, as performance.now() counts. */
export async function giveBack(world: World, how: Absence): Promise<number> {
  if (how === 'stopped') world.signalLog('SIGCONT');
  else if (world.store === 'postgres') await world.startDatabase();
  else await world.startLog();
  return performance.now();
}

/** What /metrics says. */
export async function backlog({ url, masterKey }: Server) {
  const answer = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${masterKey}` } });
  const text = await answer.text();
  const value = (name: string): number => {
    const values = [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))];
    if (values.length === 0) throw new Error(`/metrics answered ${answer.status} without ${name}`);
    return Math.max(...values.map(([, number]) => Number(number)));
  };
  return {
    waiting: value('keyledger_spool_spends'),
    spoolBytes: value('keyledger_spool_bytes'),
    lag: value('keyledger_projection_lag_positions'),
  };
}

export async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
}
