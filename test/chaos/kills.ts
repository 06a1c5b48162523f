import type { ChildProcess } from 'node:child_process';
import type { Chance } from './random.ts';
import type { World } from './world.ts';

/**
 * What is done to the processes while requests are under way. Each ends with everything up again.
 * Times are drawn at random, so that kills fall into starts, recoveries and stops too.
 */
const BLOWS = ['server', 'start', 'stop', 'database', 'log', 'both', 'hang'] as const;
export type Blow = (typeof BLOWS)[number];

const WEIGHTS: Readonly<Record<World['store'], readonly (readonly [Blow, number])[]>> = {
  postgres: [
    ['server', 45],
    ['start', 10],
    ['stop', 5],
    ['database', 20],
    ['both', 10],
    ['hang', 10],
  ],
  eventstoredb: [
    ['server', 35],
    ['start', 10],
    ['stop', 5],
    ['database', 10],
    ['log', 20],
    ['both', 10],
    ['hang', 10],
  ],
};

/** For how long something stays away or stands still. */
const AWAY_MS_MAX = 700;
const HANG_MS_MAX = 2_500;
/** About as long as a start takes. */
const START_MS_MAX = 1_200;

export function nextBlow(world: World, chance: Chance): Blow {
  const choices = WEIGHTS[world.store];
  return chance.pick(
    world.killsLog || world.store === 'postgres'
      ? choices
      : choices.filter(([blow]) => blow !== 'log' && blow !== 'hang'),
  );
}

/** Returns how many processes it has killed. */
export function strike(blow: Blow, world: World, chance: Chance): Promise<number> {
  return STRIKES[blow](world, chance);
}

const STRIKES: Readonly<Record<Blow, (world: World, chance: Chance) => Promise<number>>> = {
  server: killServer,
  start: killWhileStarting,
  stop: killWhileStopping,
  database: killDatabase,
  log: killLog,
  both: killBoth,
  hang,
};

async function killServer(world: World): Promise<number> {
  await world.killServer();
  await world.startServer();
  return 1;
}

/** The start takes what the last process has left to the log: that is killed too, at any point of it. */
async function killWhileStarting(world: World, chance: Chance): Promise<number> {
  await world.killServer();
  const delayMs = chance.between(0, START_MS_MAX);
  let killed = 1;
  const spawned = (child: ChildProcess): void => void setTimeout(() => child.kill('SIGKILL'), delayMs);
  try {
    await world.startServer(spawned);
    await world.killServer();
  } catch {
    // Killed before it was ready, as it should.
  }
  killed += 1;
  await world.startServer();
  return killed;
}

/** SIGTERM, and SIGKILL before it is done with it, or after. */
async function killWhileStopping(world: World, chance: Chance): Promise<number> {
  const { child } = world.server()!;
  const stopped = world.stopServer();
  await pause(chance.between(0, 300));
  child.kill('SIGKILL');
  await stopped;
  await world.startServer();
  return 1;
}

/** Either comes back under the server that waits for it, or with the next server. */
async function killDatabase(world: World, chance: Chance): Promise<number> {
  await world.killDatabase();
  await pause(chance.between(0, AWAY_MS_MAX));
  const how = chance.next();
  if (how < 0.5) {
    await world.startDatabase();
    return 1;
  }
  if (how < 0.7) await world.stopServer();
  else await world.killServer();
  await world.startServer();
  return how < 0.7 ? 1 : 2;
}

async function killLog(world: World, chance: Chance): Promise<number> {
  await world.killLog();
  await pause(chance.between(0, AWAY_MS_MAX));
  await world.startLog();
  return 1;
}

/** The server and the log, wherever it is, at the same moment. */
async function killBoth(world: World): Promise<number> {
  const log = world.store === 'postgres' ? world.killDatabase() : world.killLog();
  await Promise.all([world.killServer(), log]);
  await world.startLog();
  await world.startServer();
  return 2;
}

/** The log stands still, which no connection notices; sometimes the server dies meanwhile. */
async function hang(world: World, chance: Chance): Promise<number> {
  world.signalLog('SIGSTOP');
  await pause(chance.between(100, HANG_MS_MAX));
  const dies = chance.next() < 0.4;
  if (dies) await world.killServer();
  world.signalLog('SIGCONT');
  if (!dies) return 0;
  await world.startServer();
  return 1;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
