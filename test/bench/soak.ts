/**
 * Whether memory stays flat: so many requests, a third of them streamed, and the resident memory of the program
 * after each piece. The slope is that of a line through what was seen after the first third.
 *
 *   npm run bench:soak -- [--requests 1000000] [--seconds 5 per piece]
 */
import { parseArgs } from 'node:util';
import { memoryMb } from './cpu.ts';
import { startKeyledger } from './keyledger.ts';
import type { Job, LoadResult } from './load.ts';
import { startHelper, startServer } from './processes.ts';
import { machine } from './report.ts';

const { values } = parseArgs({
  options: { requests: { type: 'string', default: '1000000' }, seconds: { type: 'string', default: '5' } },
});
const REQUESTS = Number(values.requests);
const CONNECTIONS = 32;
const stops: (() => unknown)[] = [];
try {
  await main();
} finally {
  for (const stop of stops.toReversed()) await stop();
}

async function main(): Promise<void> {
  const upstream = await startServer('upstream');
  stops.push(upstream.stop);
  const load = await startHelper('load');
  stops.push(load.stop);
  const { url, authorization, pids, stop } = await startKeyledger(upstream.url);
  stops.push(stop);
  const seen: { readonly requests: number; readonly mb: number }[] = [];
  let requests = 0;
  for (let piece = 0; requests < REQUESTS; piece += 1) {
    const job: Job = {
      port: Number(new URL(url).port),
      authorization,
      body: bodyOf(piece % 3 === 2),
      durationMs: Number(values.seconds) * 1_000,
      connections: CONNECTIONS,
      ratePerSecond: null,
    };
    const result = (await load.ask(job)) as LoadResult;
    if (result.errors > 0) throw new Error(`${result.errors} requests failed`);
    requests += result.requests;
    seen.push({ requests, mb: memoryMb(pids[0]!) ?? Number.NaN });
    process.stderr.write(`${requests} requests: ${seen.at(-1)!.mb.toFixed(0)} MB\n`);
  }
  const late = seen.filter((one) => one.requests >= requests / 3);
  const most = Math.max(...seen.map(({ mb }) => mb));
  console.log(
    `\n${machine()}\n${requests} requests, ${CONNECTIONS} connections: at most ${most.toFixed(0)} MB; ` +
      `${(slope(late) * 100_000).toFixed(2)} MB per 100,000 requests after the first third`,
  );
}

function bodyOf(stream: boolean): string {
  const messages = [{ role: 'user', content: 'When do you open on Saturday, and may I bring my dog?' }];
  return JSON.stringify({ model: 'demo-small', messages, max_tokens: 64, ...(stream ? { stream } : {}) });
}

/** Of the line with the least squares, in MB per request. */
function slope(seen: readonly { readonly requests: number; readonly mb: number }[]): number {
  const mean = (of: (one: { requests: number; mb: number }) => number) =>
    seen.reduce((sum, one) => sum + of(one), 0) / seen.length;
  const [x, y] = [mean(({ requests }) => requests), mean(({ mb }) => mb)];
  const above = seen.reduce((sum, { requests, mb }) => sum + (requests - x) * (mb - y), 0);
  return above / seen.reduce((sum, { requests }) => sum + (requests - x) ** 2, 0);
}
