/**
 * Kills the built server, its database and its log at random under load, and compares what the clients
 * received, what the upstream produced, what the log says and what the read models say.
 *
 *   npm run test:chaos -- [--kills <n>] [--requests <n>] [--seed <n>] [--store postgres|eventstoredb] [--json]
 *
 *   npm run test:chaos -- --outage [--spends <n>] [--store …]     how long 45,000 waiting spends take to the log
 *
 * Without --store, kills and requests are shared by both. The log in EventStoreDB is a stand-in, or the server
 * that EVENTSTORE_TEST_URL names, which is then not killed. Exit code 1 when a promise was broken.
 */
import { parseArgs } from 'node:util';
import { type OutageResult, runOutage } from './outage.ts';
import { type RunResult, runChaos } from './run.ts';
import type { Store } from './world.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    requests: { type: 'string', default: '50000' },
    clients: { type: 'string', default: '24' },
    seed: { type: 'string' },
    store: { type: 'string' },
    json: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    outage: { type: 'boolean', default: false },
    spends: { type: 'string', default: '45000' },
  },
});
const VIOLATIONS_SHOWN = 20;
const DRAIN_SECONDS_MAX = 120;
/** No kill at random was followed by a loss: what that says about the next one, at 95 %. */
const RULE_OF_THREE = 3;

const seed = values.seed === undefined ? Date.now() % 1_000_000 : whole('seed', values.seed);
const stores = storesOf(values.store);
const results: RunResult[] = [];
say(`seed ${seed}`);
if (values.outage) await measureOutages();
else await killAtRandom();

async function killAtRandom(): Promise<void> {
  for (const [i, store] of stores.entries()) {
    const result = await runChaos({
      store,
      kills: Math.ceil(whole('kills', values.kills) / stores.length),
      requests: Math.ceil(whole('requests', values.requests) / stores.length),
      clients: whole('clients', values.clients),
      seed: seed + i * 1_000,
      progress,
      keep: values.keep,
    });
    progress('');
    results.push(result);
    if (!values.json) report(result);
  }
  if (values.json) console.log(JSON.stringify({ seed, results }, null, 2));
  conclude();
}

async function measureOutages(): Promise<void> {
  const outages: OutageResult[] = [];
  for (const store of stores) {
    const how = 'killed';
    const spends = whole('spends', values.spends);
    const outage = await runOutage({
      store,
      how,
      spends,
      seed,
      clients: whole('clients', values.clients),
      progress,
    });
    progress('');
    outages.push(outage);
    if (!values.json) reportOutage(outage);
  }
  if (values.json) console.log(JSON.stringify({ seed, outages }, null, 2));
  const broken = outages.some(
    ({ violations, drainSeconds }) => violations.length > 0 || drainSeconds > DRAIN_SECONDS_MAX,
  );
  say(
    broken ? 'FAILED' : `passed: nothing lost, nothing twice, all in the log within ${DRAIN_SECONDS_MAX} s`,
  );
  if (broken) process.exitCode = 1;
}

function reportOutage(outage: OutageResult): void {
  const { store, how, waited, spoolBytes, awaySeconds, drainSeconds, readableSeconds, refused, requests } =
    outage;
  console.log(
    `\n${store} ${how} for ${awaySeconds.toFixed(0)} s: ${requests} requests, ${refused} not answered`,
  );
  console.log(`  waiting    ${waited} spends, ${(spoolBytes / 1e6).toFixed(0)} MB in the spool`);
  console.log(
    `  in the log ${drainSeconds.toFixed(1)} s after it was back, readable after ${readableSeconds.toFixed(1)} s`,
  );
  for (const violation of outage.violations.slice(0, VIOLATIONS_SHOWN))
    console.log(`  BROKEN     ${violation}`);
}

function report(result: RunResult): void {
  const { store, kills, blows, requests, clients, upstreamCalls, spends, seconds, violations } = result;
  console.log(`\n${store}: ${kills} kills (${list(blows)}), ${requests} requests in ${seconds} s`);
  console.log(`  clients    ${list(clients)}`);
  console.log(`  upstream   ${upstreamCalls} calls`);
  console.log(`  log        ${list(spends)}`);
  console.log(`  disk       longest sync ${result.longestSyncMs} ms`);
  for (const failed of result.failedStarts) console.log(`  a start gave up and was repeated: ${failed}`);
  for (const violation of violations.slice(0, VIOLATIONS_SHOWN)) console.log(`  BROKEN     ${violation}`);
  if (violations.length > VIOLATIONS_SHOWN) console.log(`  and ${violations.length - VIOLATIONS_SHOWN} more`);
  if (values.keep) console.log(`  kept in ${result.dataDir}`);
}

function conclude(): void {
  const broken = results.reduce((sum, { violations }) => sum + violations.length, 0);
  const kills = results.reduce((sum, result) => sum + result.kills, 0);
  if (broken > 0) {
    say(`FAILED: ${broken} promises broken, seed ${seed}`);
    process.exitCode = 1;
    return;
  }
  const bound = ((RULE_OF_THREE / kills) * 100).toFixed(1);
  say(
    `passed: ${kills} kills, nothing lost, nothing twice (a loss in less than ${bound} % of kills, at 95 %), seed ${seed}`,
  );
}

function list(numbers: Readonly<Record<string, number>>): string {
  return Object.entries(numbers)
    .map(([name, number]) => `${name} ${number}`)
    .join(', ');
}

function storesOf(name: string | undefined): readonly Store[] {
  if (name === undefined) return ['postgres', 'eventstoredb'];
  if (name === 'postgres' || name === 'eventstoredb') return [name];
  throw new Error(`--store is postgres or eventstoredb, not ${name}`);
}

function whole(name: string, text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 1) throw new Error(`--${name} is a whole number from 1 on`);
  return number;
}

function progress(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${line}`);
  else if (line !== '') process.stderr.write(`${line}\n`);
}

function say(line: string): void {
  if (values.json) process.stderr.write(`${line}\n`);
  else console.log(line);
}
