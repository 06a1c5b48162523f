/**
 * What Keyledger costs, measured against a bare pass-through in the same run (`npm run bench`). Upstream, load
 * generator and each target are processes of their own; the targets take turns within each round, so that a noisy
 * minute hits all of them; the tables show the median of the rounds. `direct` is the load generator on the
 * upstream itself: what the apparatus costs.
 *
 *   --quick                 one short round: under a minute
 *   --json                  the result as JSON on stdout, progress on stderr
 *   --without-keyledger     only the apparatus and the pass-throughs
 */
import { cpuMs, memoryMb } from './cpu.ts';
import { keyledgerIsBuilt, startKeyledger } from './keyledger.ts';
import type { Job, LoadResult } from './load.ts';
import { type Helper, startHelper, startServer } from './processes.ts';
import { type Cell, cellTable, compare, comparisonTable, FLOOR, KEYLEDGER, machine } from './report.ts';

interface Target {
  readonly name: string;
  readonly url: string;
  readonly authorization: string;
  /** Whose CPU time counts, with all their children. The first is also asked for its memory. */
  readonly pids: readonly number[];
}

interface Mode {
  readonly name: string;
  readonly body: string;
  readonly connections: number;
  readonly ratePerSecond: number | null;
  readonly durationMs: number;
}

const QUICK = { rounds: 1, loadMs: 1_000, rateMs: 1_500, warmUpMs: 3_000, restMs: 250 };
const FULL = { rounds: 3, loadMs: 2_000, rateMs: 3_000, warmUpMs: 10_000, restMs: 400 };
const CONNECTIONS = [1, 32, 256];
const RATE_PER_SECOND = 100;
const RATE_CONNECTIONS_MAX = 64;

const flags = new Set(process.argv.slice(2));
const size = flags.has('--quick') ? QUICK : FULL;
const stops: (() => Promise<void>)[] = [];

try {
  await main();
} finally {
  for (const stop of stops.toReversed()) await stop();
}

async function main(): Promise<void> {
  const withKeyledger = !flags.has('--without-keyledger');
  if (withKeyledger && !keyledgerIsBuilt()) throw new Error('keyledger is not built: npm run build');
  const load = await startHelper('load');
  stops.push(load.stop);
  const targets = await startTargets(withKeyledger);
  const modes = allModes();
  const samples = new Map<string, Cell[]>();
  for (const target of targets) await warmUp(load, target, modes);
  for (let round = 1; round <= size.rounds; round += 1) {
    for (const mode of modes) {
      for (const target of targets) {
        const cell = await measure(load, target, mode);
        const name = `${mode.name} ${target.name}`;
        samples.set(name, [...(samples.get(name) ?? []), cell]);
        process.stderr.write(
          `round ${round}/${size.rounds}  ${name}: ${cell.requestsPerSecond.toFixed(0)}/s\n`,
        );
      }
    }
  }
  const cells = [...samples.values()].map(medianCell);
  const comparisons = compare(cells);
  if (flags.has('--json')) {
    console.log(JSON.stringify({ machine: machine(), rounds: size.rounds, cells, comparisons }, null, 2));
    return;
  }
  console.log(`\n${machine()}; median of ${size.rounds} round(s)\n\n${cellTable(cells)}`);
  if (comparisons.length > 0) console.log(`\n${comparisonTable(comparisons)}`);
}

async function startTargets(withKeyledger: boolean): Promise<Target[]> {
  const upstream = await startServer('upstream');
  stops.push(upstream.stop);
  const authorization = 'Bearer sk-bench';
  const targets: Target[] = [{ name: 'direct', url: upstream.url, authorization, pids: [upstream.pid] }];
  const proxies = flags.has('--quick') ? [FLOOR] : [FLOOR, 'pass-through-fastify'];
  for (const name of proxies) {
    const { url, pid, stop } = await startServer(name, upstream.url);
    stops.push(stop);
    targets.push({ name, url, authorization, pids: [pid] });
  }
  if (!withKeyledger) return targets;
  const keyledger = await startKeyledger(upstream.url);
  stops.push(keyledger.stop);
  return [...targets, { ...keyledger, name: KEYLEDGER }];
}

function allModes(): Mode[] {
  const request = {
    model: 'demo-small',
    messages: [
      {
        role: 'system',
        content: 'You answer the customers of a small shop, in short and friendly sentences.',
      },
      { role: 'user', content: 'When do you open on Saturday, and may I bring my dog?' },
    ],
    max_tokens: 64,
  };
  const json = JSON.stringify(request);
  const sse = JSON.stringify({ ...request, stream: true, stream_options: { include_usage: true } });
  const { loadMs, rateMs } = size;
  const kinds = [['JSON', json] as const, ['SSE', sse] as const];
  const full = kinds.flatMap(([kind, body]) =>
    CONNECTIONS.map((connections) => {
      const name = `${kind}, ${connections} connection${connections === 1 ? '' : 's'}`;
      return { name, body, connections, ratePerSecond: null, durationMs: loadMs };
    }),
  );
  const paced = kinds.map(([kind, body]) => {
    const name = `${kind}, ${RATE_PER_SECOND}/s`;
    return {
      name,
      body,
      connections: RATE_CONNECTIONS_MAX,
      ratePerSecond: RATE_PER_SECOND,
      durationMs: rateMs,
    };
  });
  return [...full, ...paced];
}

/** Also the check that the target works: a wrong answer ends the run here, with its text. */
async function warmUp(load: Helper, target: Target, modes: readonly Mode[]): Promise<void> {
  for (const body of new Set(modes.map((mode) => mode.body))) {
    const headers = { authorization: target.authorization, 'content-type': 'application/json' };
    const answer = await fetch(`${target.url}/v1/chat/completions`, { method: 'POST', headers, body });
    const text = await answer.text();
    if (answer.status !== 200)
      throw new Error(`${target.name} answered ${answer.status}: ${text.slice(0, 500)}`);
    await ask(load, target, {
      name: '',
      body,
      connections: 32,
      ratePerSecond: null,
      durationMs: size.warmUpMs,
    });
  }
}

async function measure(load: Helper, target: Target, mode: Mode): Promise<Cell> {
  const before = cpuMs(target.pids);
  const result = await ask(load, target, mode);
  // What a target still does after its last answer (projections, the database's writer) belongs to its price.
  await new Promise((resolve) => setTimeout(resolve, size.restMs));
  const after = cpuMs(target.pids);
  const cpuMicros = before === null || after === null ? null : ((after - before) * 1000) / result.requests;
  const memory = target.pids[0] === undefined ? null : memoryMb(target.pids[0]);
  return { mode: mode.name, target: target.name, cpuMicros, memoryMb: memory, ...result };
}

async function ask(load: Helper, { url, authorization }: Target, mode: Mode): Promise<LoadResult> {
  const { body, connections, ratePerSecond, durationMs } = mode;
  const port = Number(new URL(url).port);
  const job: Job = { port, authorization, body, durationMs, connections, ratePerSecond };
  const result = await load.ask(job);
  if (!isLoadResult(result)) throw new Error(`the load generator said ${JSON.stringify(result)}`);
  return result;
}

function isLoadResult(value: unknown): value is LoadResult {
  return typeof value === 'object' && value !== null && 'requestsPerSecond' in value;
}

function medianCell(rounds: readonly Cell[]): Cell {
  const [first] = rounds;
  if (first === undefined) throw new Error('nothing was measured');
  const median = (pick: (cell: Cell) => number | null): number => {
    const values = rounds.map((cell) => pick(cell) ?? Number.NaN).toSorted((a, b) => a - b);
    return values[Math.floor((values.length - 1) / 2)] ?? Number.NaN;
  };
  return {
    ...first,
    requests: rounds.reduce((sum, { requests }) => sum + requests, 0),
    errors: rounds.reduce((sum, { errors }) => sum + errors, 0),
    requestsPerSecond: median((cell) => cell.requestsPerSecond),
    cpuMicros: first.cpuMicros === null ? null : median((cell) => cell.cpuMicros),
    p50Ms: median((cell) => cell.p50Ms),
    p90Ms: median((cell) => cell.p90Ms),
    p99Ms: median((cell) => cell.p99Ms),
    firstByteP50Ms: median((cell) => cell.firstByteP50Ms),
    firstByteP99Ms: median((cell) => cell.firstByteP99Ms),
    memoryMb: first.memoryMb === null ? null : median((cell) => cell.memoryMb),
  };
}
