/**
 * What evidence costs: rate and highest memory of filling all read models from the log, of rebuilding one, of
 * sealing, of `audit verify` over the log and its seals and over everything, of a full export, and of checking that
 * export offline, for logs of several sizes. Each step is a process of its own, so that one does not live on the
 * other's memory. PostgreSQL is an embedded one that does not wait for the disk.
 *
 *   node dist/test/bench/audit.js [--events <n> ...] [--step <name> ...]      default 100000 and 1000000, all steps
 */
import { generateKeyPairSync } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { usage } from '../../projections/usage.ts';
import { linesOf } from '../../src/audit/bundle.ts';
import { exportBundle } from '../../src/audit/export.ts';
import { adoptKey, createSealer } from '../../src/audit/sealer.ts';
import { signingKey } from '../../src/audit/signing-key.ts';
import { verifyBundle } from '../../src/audit/verify-bundle.ts';
import { verifyLog } from '../../src/audit/verify.ts';
import { openDatabase } from '../../src/database.ts';
import { removeEmbeddedPostgres, startEmbeddedPostgres } from '../../src/embedded-postgres.ts';
import { migrate } from '../../src/migrate.ts';
import { prepareTables } from '../../src/projection-tables.ts';
import { startProjector } from '../../src/projector.ts';
import { readModels } from '../../src/read-models.ts';
import { rebuild } from '../../src/rebuild.ts';
import { type StreamHead } from '../../src/store/event-store.ts';
import { postgresStore } from '../../src/store/postgres.ts';
import { newEvent, spendRecorded } from '../support/events.ts';

const STEPS = ['fill', 'rebuild', 'seal', 'verify', 'verify all', 'export', 'offline'] as const;
type Step = (typeof STEPS)[number];
const WHAT: Readonly<Record<Step, string>> = {
  fill: 'all read models filled by the projector',
  rebuild: 'rebuild of usage',
  seal: 'sealing',
  verify: 'audit verify: chains and seals',
  'verify all': 'audit verify: everything, read models too',
  export: 'audit export --all',
  offline: 'audit verify --offline',
};
const BATCH = 500;
const KEYS = 1_000;
const PROJECTS = 50;
const CATCH_UP_MS_MAX = 3_600_000;
/** A machine that others use too stands still at times. */
const APPEND_MS_MAX = 300_000;
const log = pino({ level: 'silent' });

interface Result {
  readonly step: Step;
  readonly events: number;
  readonly seconds: number;
  /** Of the process itself, without PostgreSQL: what a shared machine does not distort. */
  readonly cpuSeconds: number;
  /** Highest resident memory of the process. */
  readonly peakBytes: number;
  readonly said: string;
}

const { values } = parseArgs({
  options: {
    events: { type: 'string', multiple: true, default: ['100000', '1000000'] },
    step: { type: 'string', multiple: true, default: [...STEPS] },
    run: { type: 'string' },
    url: { type: 'string', default: '' },
    file: { type: 'string', default: '' },
  },
});

if (values.run === undefined) await runAll(values.events.map(Number), values.step as Step[]);
else await runStep(values.run as Step, values.url, values.file);

async function runAll(sizes: readonly number[], steps: readonly Step[]): Promise<void> {
  const results: Result[] = [];
  for (const events of sizes) {
    const dataDir = await mkdtemp(join(tmpdir(), `keyledger-bench-${process.pid}-`));
    const { url } = await startEmbeddedPostgres({ dataDir, durable: false });
    try {
      await write(url, events);
      for (const step of STEPS.filter((one) => steps.includes(one))) {
        const args = ['--run', step, '--url', url, '--file', join(dataDir, 'all.jsonl')];
        const child = spawnSync(process.execPath, [fileURLToPath(import.meta.url), ...args], {
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        const result = JSON.parse(child.stdout) as Omit<Result, 'step' | 'events'>;
        results.push({ step, events, ...result });
        process.stderr.write(`${events} ${step}: ${result.seconds.toFixed(1)} s, ${result.said}\n`);
      }
    } finally {
      await removeEmbeddedPostgres(dataDir);
      await rm(dataDir, { recursive: true, force: true });
    }
  }
  process.stdout.write(table(results));
}

function table(results: readonly Result[]): string {
  const rows = results.map(({ step, events, seconds, cpuSeconds, peakBytes, said }) => [
    WHAT[step],
    events.toLocaleString('en'),
    `${seconds.toFixed(1)} s`,
    `${cpuSeconds.toFixed(1)} s`,
    Math.round(events / seconds).toLocaleString('en'),
    `${Math.round(peakBytes / 1e6)} MB`,
    said,
  ]);
  const head = ['Step', 'Events', 'Time', 'CPU', 'Events/s', 'Peak memory', 'Result'];
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |\n`).join('');
}

function open(url: string) {
  const database = openDatabase({ url, poolMax: 16, applicationName: 'bench' });
  const store = postgresStore({ pool: database.pool, listenUrl: null, log, appendMsMax: APPEND_MS_MAX });
  const close = async (): Promise<void> => {
    await store.close();
    await database.close();
  };
  return { database, store, close };
}

/** Spend of many keys in streams of its writers, and some streams of keys in between. */
async function write(url: string, events: number): Promise<void> {
  const { database, store, close } = open(url);
  await migrate(database.db, join(process.cwd(), 'migrations'));
  const heads = new Map<string, StreamHead>();
  for (let i = 0; i < events; i += BATCH) {
    // Another writer every 20 batches.
    const stream =
      (i / BATCH) % 10 === 9 ? `key-key_${i / BATCH}` : `spend-2026-11-w${Math.floor(i / BATCH / 20)}`;
    const batch = Array.from({ length: BATCH }, (_, n) => newEvent(spendOf(i + n), `${i + n}`));
    const { heads: after } = await store.append([
      { stream, expected: heads.get(stream) ?? 'none', events: batch },
    ]);
    heads.set(stream, after[0]!);
  }
  await close();
}

function spendOf(n: number): ReturnType<typeof spendRecorded> {
  return spendRecorded({
    requestId: `r${n}`,
    keyId: `key_${n % KEYS}`,
    projectId: `prj_${n % PROJECTS}`,
    model: n % 3 === 0 ? 'gpt-4o' : 'gpt-4o-mini',
  });
}

async function runStep(step: Step, url: string, file: string): Promise<void> {
  const opened = open(url);
  const began = performance.now();
  const said = await work(step, file, opened);
  const seconds = (performance.now() - began) / 1000;
  await opened.close();
  const { maxRSS } = process.resourceUsage();
  const { user, system } = process.cpuUsage();
  process.stdout.write(
    JSON.stringify({ seconds, cpuSeconds: (user + system) / 1e6, peakBytes: maxRSS * 1024, said }),
  );
}

async function work(step: Step, file: string, { database, store }: ReturnType<typeof open>): Promise<string> {
  const { pool } = database;
  const now = () => new Date().toISOString();
  const nowMs = () => performance.now();
  const recompute = () => Promise.resolve(null);
  switch (step) {
    case 'fill': {
      const projector = await startProjector({ store, pool, projections: readModels, log });
      await projector.reached(await store.head(), CATCH_UP_MS_MAX);
      await projector.stop();
      return `${readModels.length} tables`;
    }
    case 'rebuild': {
      await prepareTables(pool, [usage]);
      const { events } = await rebuild({ store, pool, projection: usage, nowMs });
      return `${events} events applied`;
    }
    case 'seal': {
      const { privateKey } = generateKeyPairSync('ed25519');
      const keys = [signingKey(privateKey.export({ type: 'pkcs8', format: 'pem' }) as string)];
      const deps = { store, keys: () => keys, agencyId: 'age_1', now };
      await adoptKey(deps);
      return `${(await createSealer(deps).seal()).length} seals`;
    }
    case 'verify': {
      const report = await verifyLog({ store, pool, recompute, nowMs }, { to: await store.head() });
      return `ok ${report.ok}, sealed to ${report.sealedTo}`;
    }
    case 'verify all': {
      const report = await verifyLog({ store, pool, recompute, nowMs });
      return `ok ${report.ok}, ${report.checks.length} checks`;
    }
    case 'export': {
      const out = createWriteStream(file);
      const put = async (line: string): Promise<void> => {
        if (!out.write(line)) await once(out, 'drain');
      };
      const footer = await exportBundle({ store, pool, now }, { scope: { kind: 'all' }, put });
      out.end();
      await once(out, 'finish');
      return `${footer.events} events`;
    }
    default: {
      const report = await verifyBundle({ open: () => linesOf(file), nowMs });
      return `ok ${report.ok}`;
    }
  }
}
