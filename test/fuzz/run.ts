/**
 * Generated requests and raw bytes against the whole program on its real port:
 * `npm run fuzz -- [--seed 1] [--count 100000] [--lanes 16]`. The program runs as a process of its
 * own with an empty database and the simulated upstream. Exits with 1 when it answered a 5xx, ended,
 * or kept a plain question waiting for more than 200 ms.
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
import { fuzz } from './fuzz.ts';

const STALL_MS_MAX = 200;
const PROBE_MS = 50;
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

let stallMs = 0;
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
      { ...report, seed: options.seed, longestStallMs: Math.round(stallMs), ended: state.ended },
      null,
      2,
    ),
  );
  failed = state.ended || report.failed > 0 || stallMs > STALL_MS_MAX;
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
  while (!signal.aborted && !state.ended) {
    const askedMs = performance.now();
    const answer = await fetch(`${url}/health/liveliness`).catch(() => null);
    await answer?.arrayBuffer();
    stallMs = Math.max(stallMs, performance.now() - askedMs);
    await wait(PROBE_MS);
  }
}
