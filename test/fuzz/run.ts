/**
 * Generated requests and raw bytes against the whole program on its real port:
 * `npm run fuzz -- [--seed 1] [--count 100000] [--lanes 16]`. The program runs as a process of its
 * own with an empty database and the simulated upstream. Exits with 1 when it answered a 5xx, ended, did
 * not answer a whole request, or kept a plain question waiting for more than 200 ms. A machine that others
 * use too stands still at times: for how long this process itself did not run is taken off such a wait.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { cpuMs } from '../bench/cpu.ts';
import { fuzz } from './fuzz.ts';

const STALL_MS_MAX = 200;
const PROBE_MS = 50;
const TICK_MS = 5;
const START_MS_MAX = 60_000;

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    count: { type: 'string', default: '100000' },
    lanes: { type: 'string', default: '16' },
  },
});

const port = await freePort();
const url = `http://127.0.0.1:${port}`;
const secret = `sk-${randomBytes(24).toString('hex')}`;
const dataDir = await mkdtemp(join(tmpdir(), 'keyledger-fuzz-'));
const server = spawn(process.execPath, ['dist/src/cli.js', 'start'], {
  env: {
    ...process.env,
    PORT: String(port),
    KEYLEDGER_DATA_DIR: dataDir,
    KEYLEDGER_DEMO: 'off',
    LITELLM_MASTER_KEY: secret,
    SIMULATED_LATENCY_MS: '0',
    SIMULATED_CHUNK_DELAY_MS: '0',
    LOG_LEVEL: 'error',
  },
  stdio: ['ignore', 'ignore', 'inherit'],
});
const state = { ended: false };
server.on('exit', () => {
  state.ended = true;
});

/** Waits of more than 200 ms: how long, for how much of that this process stood still, what the program used of the processor. */
const stalls: { readonly ms: number; readonly stoodStillMs: number; readonly cpuMs: number | null }[] = [];
let longestMs = 0;
let failed = true;
try {
  await started();
  const probing = new AbortController();
  const probes = probe(probing.signal);
  const options = {
    port,
    secret,
    seed: Number(values.seed),
    count: Number(values.count),
    lanes: Number(values.lanes),
  };
  const report = await fuzz({
    ...options,
    answerMsMax: 10_000,
    onProgress: (done) => console.log(`${done} sent`),
  });
  probing.abort();
  await probes;
  console.log(
    JSON.stringify(
      { ...report, seed: options.seed, longestWaitMs: Math.round(longestMs), stalls, ended: state.ended },
      null,
      2,
    ),
  );
  failed =
    state.ended ||
    report.failed > 0 ||
    stalls.some(({ ms, stoodStillMs }) => ms - stoodStillMs > STALL_MS_MAX);
} finally {
  if (!state.ended) {
    server.kill('SIGTERM');
    await once(server, 'exit');
  }
  await rm(dataDir, { recursive: true, force: true });
}
process.exitCode = failed ? 1 : 0;

async function freePort(): Promise<number> {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port: free } = taken.address() as AddressInfo;
  taken.close();
  await once(taken, 'close');
  return free;
}

async function started(): Promise<void> {
  const until = Date.now() + START_MS_MAX;
  while (Date.now() < until && !state.ended) {
    const ready = await fetch(`${url}/health/readiness`).catch(() => null);
    if (ready?.status === 200) return;
    await wait(200);
  }
  throw new Error('the program did not start');
}

/** How long the shortest question there is waits, over and over. */
async function probe(signal: AbortSignal): Promise<void> {
  let tickMs = performance.now();
  let gapMs = 0;
  const ticks = setInterval(() => {
    const nowMs = performance.now();
    gapMs = Math.max(gapMs, nowMs - tickMs - TICK_MS);
    tickMs = nowMs;
  }, TICK_MS);
  while (!signal.aborted && !state.ended) {
    gapMs = 0;
    const cpuBefore = cpuMs([server.pid!]);
    const askedMs = performance.now();
    const answer = await fetch(`${url}/health/liveliness`).catch(() => null);
    await answer?.arrayBuffer();
    const ms = performance.now() - askedMs;
    longestMs = Math.max(longestMs, ms);
    if (ms > STALL_MS_MAX) {
      const used = cpuBefore === null ? null : cpuMs([server.pid!])! - cpuBefore;
      stalls.push({ ms: Math.round(ms), stoodStillMs: Math.round(gapMs), cpuMs: used });
    }
    await wait(PROBE_MS);
  }
  clearInterval(ticks);
}
