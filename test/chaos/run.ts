import { type Load, type Observation, startLoad } from './clients.ts';
import { onboard } from './customers.ts';
import { probeDisk } from './disk.ts';
import { gather } from './evidence.ts';
import { type Evidence, judge } from './judge.ts';
import { type Blow, nextBlow, strike } from './kills.ts';
import { chance, type Chance } from './random.ts';
import { openWorld, type Store, type World } from './world.ts';

/** Kills processes at random under load, then has all accounts of what happened compared. */
export interface RunOptions {
  readonly store: Store;
  /** Processes killed, at least. */
  readonly kills: number;
  readonly requests: number;
  readonly seed: number;
  readonly clients: number;
  readonly progress: (line: string) => void;
  /** Nothing is removed: the processes are down, the folder is named in the result. */
  readonly keep?: boolean;
}

export interface RunResult {
  readonly store: Store;
  readonly seed: number;
  readonly kills: number;
  readonly blows: Readonly<Partial<Record<Blow, number>>>;
  readonly requests: number;
  /** How they ended for the clients. */
  readonly clients: Readonly<Record<Observation['end'], number>>;
  readonly upstreamCalls: number;
  /** By outcome, as recorded. */
  readonly spends: Readonly<Record<string, number>>;
  /** Of the disk itself, for whoever syncs a byte. */
  readonly longestSyncMs: number;
  readonly failedStarts: readonly string[];
  readonly seconds: number;
  readonly dataDir: string;
  readonly violations: readonly string[];
}

const LATENCY_MS = 5;
const CHUNK_DELAY_MS = 6;
/** Between reaching its request and a blow. */
const JITTER_MS_MAX = 60;

export async function runChaos(options: RunOptions): Promise<RunResult> {
  const { store, requests, seed } = options;
  const began = performance.now();
  const dice = chance(seed);
  const callsMax = requests * 4 + 10_000;
  const world = await openWorld({ store, latencyMs: LATENCY_MS, chunkDelayMs: CHUNK_DELAY_MS, callsMax });
  try {
    const customers = await onboard(await world.startServer());
    const load = startLoad({
      customers,
      chance: chance(seed + 1),
      clients: options.clients,
      requests,
      port: () => world.server()?.port ?? null,
    });
    const disk = probeDisk(world.dataDir);
    const struck = await strikeAll(world, load, dice, options);
    await load.reached(requests);
    await load.finish();
    const longestSyncMs = Math.round(disk.stop());
    // The last one of all: with whatever is in the spool at that moment.
    await world.killServer();
    options.progress('comparing the accounts');
    const evidence = await gather(world, load.observations, longestSyncMs);
    const violations = [...judge(evidence), ...(await verify(world)), ...endedThemselves(world)];
    return {
      store,
      seed,
      kills: struck.kills + 1,
      blows: struck.blows,
      requests: load.observations.length,
      ...counts(evidence),
      longestSyncMs,
      failedStarts: world.failedStarts,
      seconds: Math.round((performance.now() - began) / 1_000),
      dataDir: world.dataDir,
      violations,
    };
  } finally {
    await world.close(options.keep === true);
  }
}

/** Blows fall when so many requests were sent, at random distances, until there were enough kills. */
async function strikeAll(
  world: World,
  load: Load,
  dice: Chance,
  { kills, requests, progress }: RunOptions,
): Promise<{ readonly kills: number; readonly blows: Partial<Record<Blow, number>> }> {
  const blows: Partial<Record<Blow, number>> = {};
  let killed = 0;
  while (killed < kills - 1) {
    // What is left of the requests is spread over what is left of the kills.
    const share = Math.max(0, requests - load.sent) / (kills - killed);
    await load.reached(Math.min(requests, load.sent + dice.between(0, Math.round(share * 1.5))));
    await new Promise((resolve) => setTimeout(resolve, dice.between(0, JITTER_MS_MAX)));
    const blow = nextBlow(world, dice);
    progress(`${world.store}: ${killed} kills, ${load.sent} requests; ${blow}`);
    killed += await strike(blow, world, dice);
    blows[blow] = (blows[blow] ?? 0) + 1;
  }
  return { kills: killed, blows };
}

async function verify(world: World): Promise<readonly string[]> {
  const { code, stdout, stderr } = await world.command('audit', 'verify');
  return code === 0 ? [] : [`audit verify: ${stdout}${stderr}`];
}

function endedThemselves({ unexpectedEnds }: World): readonly string[] {
  return unexpectedEnds.map((end) => `the server ended although nobody killed it: ${end}`);
}

function counts({ observations, calls, spends }: Evidence) {
  const clients = { whole: 0, refused: 0, broken: 0, left: 0, silent: 0 };
  for (const { end } of observations) clients[end] += 1;
  const outcomes: Record<string, number> = {};
  for (const { data } of spends) outcomes[data.outcome] = (outcomes[data.outcome] ?? 0) + 1;
  return { clients, upstreamCalls: calls.length, spends: outcomes };
}
