/**
 * Whether it matters how many keys there are: two installations, one with 10,000 keys and one with 1,000,000,
 * under the same load in turns, and what a key costs in memory. The rows of the keys are put into the read model
 * directly, like the one that the first key has, and the program loads them when it starts.
 *
 *   npm run bench:keys -- [--few 10000] [--many 1000000] [--rounds 7] [--seconds 5]
 *     [--active 10000]   so many of the keys are used; of the few all, of the many the same number
 */
import { rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { keys } from '../../projections/keys.ts';
import { openDatabase } from '../../src/database.ts';
import { startEmbeddedPostgres } from '../../src/embedded-postgres.ts';
import { cpuMs, memoryMb } from './cpu.ts';
import { type Keyledger, launch, newFolder, onboard } from './keyledger.ts';
import type { Job, LoadResult } from './load.ts';
import { type Helper, startHelper, startServer } from './processes.ts';
import { machine } from './report.ts';

const { values } = parseArgs({
  options: {
    few: { type: 'string', default: '10000' },
    many: { type: 'string', default: '1000000' },
    active: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '5' },
  },
});
const ACTIVE = Number(values.active);
const SECONDS = Number(values.seconds);
const CONNECTIONS = 32;
/** Rows per statement. */
const PIECE = 50_000;
const REST_MS = 400;
const SECRET = 'sk-bench-many-';

interface Side {
  readonly keys: number;
  readonly keyledger: Omit<Keyledger, 'authorization'>;
  /** When nothing had been asked yet. */
  readonly idleMb: number;
  readonly cpuMicros: number[];
}

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
  const sides: Side[] = [];
  for (const count of [Number(values.few), Number(values.many)]) sides.push(await side(count, upstream.url));
  // Every key in use is met at least once: what follows from its row is worked out then.
  for (const { keyledger } of sides) {
    for (let sent = 0; sent < ACTIVE * 1.5; ) sent += (await measure(load, keyledger)).requests;
  }
  for (let round = 1; round <= Number(values.rounds); round += 1) {
    for (const { keyledger, keys: count, cpuMicros } of sides) {
      const { micros } = await measure(load, keyledger);
      cpuMicros.push(micros);
      process.stderr.write(`round ${round}, ${count} keys: ${micros.toFixed(0)} us\n`);
    }
  }
  report(sides);
}

function report([few, many]: readonly Side[]): void {
  const [a, b] = [median(few!.cpuMicros), median(many!.cpuMicros)];
  const bytes = ((many!.idleMb - few!.idleMb) * 1e6) / (many!.keys - few!.keys);
  console.log(`\n${machine()}; median of ${values.rounds} rounds of ${SECONDS} s, ${ACTIVE} keys in use\n`);
  for (const { keys: count, idleMb, cpuMicros } of [few!, many!]) {
    const micros = median(cpuMicros).toFixed(0);
    console.log(
      `${count} keys: ${micros} us of CPU per request, PostgreSQL included; ${idleMb.toFixed(0)} MB before the first`,
    );
  }
  console.log(
    `difference ${(((b - a) / a) * 100).toFixed(1)} %; a key costs ${bytes.toFixed(0)} bytes of memory`,
  );
}

async function side(count: number, upstreamUrl: string): Promise<Side> {
  const folder = newFolder();
  stops.push(() => rmSync(folder, { recursive: true, force: true }));
  const first = await launch(folder, upstreamUrl);
  await onboard(first.url);
  await first.stop();
  await fillKeys(folder, count);
  const keyledger = await launch(folder, upstreamUrl);
  stops.push(keyledger.stop);
  return { keys: count, keyledger, idleMb: memoryMb(keyledger.pids[0]!) ?? Number.NaN, cpuMicros: [] };
}

/** As many keys as wanted, like the one there is, with secrets that end in a number. */
async function fillKeys(folder: string, count: number): Promise<void> {
  const postgres = await startEmbeddedPostgres({ dataDir: folder, durable: true });
  const database = openDatabase({
    url: postgres.url,
    poolMax: 1,
    applicationName: 'bench',
    log: () => undefined,
  });
  const table = `${keys.name}__v${keys.version}`;
  try {
    for (let from = 0; from < count; from += PIECE) {
      await database.pool.query(
        `insert into ${table} select r.* from ${keys.name} k, generate_series($1::int, $2::int) as i,
         lateral jsonb_populate_record(null::${table}, to_jsonb(k) || jsonb_build_object(
           'key_id', 'key_' || lpad(i::text, 24, '0'), 'alias', null, 'created_at', k.created_at,
           'token_hash', encode(sha256(convert_to('${SECRET}' || i, 'UTF8')), 'hex'))) r
         where k.key_id not like 'key_000000000%'`,
        [from, Math.min(from + PIECE, count) - 1],
      );
    }
  } finally {
    await database.close();
    await postgres.stop();
  }
}

async function measure(
  load: Helper,
  { url, pids }: Side['keyledger'],
): Promise<{ readonly micros: number; readonly requests: number }> {
  const job: Job = {
    port: Number(new URL(url).port),
    authorization: `Bearer ${SECRET}#`,
    secrets: ACTIVE,
    body: JSON.stringify({
      model: 'demo-small',
      messages: [{ role: 'user', content: 'When do you open on Saturday, and may I bring my dog?' }],
      max_tokens: 64,
    }),
    durationMs: SECONDS * 1_000,
    connections: CONNECTIONS,
    ratePerSecond: null,
  };
  const before = cpuMs(pids);
  const result = (await load.ask(job)) as LoadResult;
  await new Promise((resolve) => setTimeout(resolve, REST_MS));
  const after = cpuMs(pids);
  if (result.errors > 0) throw new Error(`${result.errors} requests failed`);
  if (before === null || after === null) throw new Error('there is no /proc to read CPU time from');
  return { micros: ((after - before) * 1_000) / result.requests, requests: result.requests };
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor((numbers.length - 1) / 2)]!;
}
