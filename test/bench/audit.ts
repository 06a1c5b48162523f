/**
 * What checking a log costs: rate and highest memory of sealing, of `audit verify` over the log and its seals, of
 * a full export, and of checking that export offline, for logs of several sizes. Each step is a process of its own,
 * so that one does not live on the other's memory.
 *
 *   node dist/test/bench/audit.js [events ...]      default 100000 300000
 */
import { generateKeyPairSync } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { linesOf } from '../../src/audit/bundle.ts';
import { exportBundle } from '../../src/audit/export.ts';
import { adoptKey, createSealer } from '../../src/audit/sealer.ts';
import { signingKey } from '../../src/audit/signing-key.ts';
import { verifyBundle } from '../../src/audit/verify-bundle.ts';
import { verifyLog } from '../../src/audit/verify.ts';
import { openDatabase } from '../../src/database.ts';
import { removeEmbeddedPostgres, startEmbeddedPostgres } from '../../src/embedded-postgres.ts';
import { migrate } from '../../src/migrate.ts';
import { type StreamHead } from '../../src/store/event-store.ts';
import { postgresStore } from '../../src/store/postgres.ts';
import { newEvent, spendRecorded } from '../support/events.ts';

const STEPS = ['seal', 'verify', 'export', 'offline'] as const;
type Step = (typeof STEPS)[number];
const BATCH = 500;
const KEYS = 1_000;
const [mode, ...rest] = process.argv.slice(2);

if (mode === '--step') await runStep(rest[0] as Step, rest[1]!, rest[2]!);
else await runAll(process.argv.slice(2).map(Number));

async function runAll(given: readonly number[]): Promise<void> {
  for (const events of given.length > 0 ? given : [100_000, 300_000]) {
    const dataDir = await mkdtemp(join(tmpdir(), `keyledger-bench-${process.pid}-`));
    const { url } = await startEmbeddedPostgres({ dataDir, durable: false });
    try {
      await fill(url, events);
      for (const step of STEPS) {
        const script = fileURLToPath(import.meta.url);
        const { stdout, stderr } = spawnSync(process.execPath, [
          script,
          '--step',
          step,
          url,
          join(dataDir, 'all.jsonl'),
        ]);
        process.stdout.write(
          `${String(events).padStart(8)}  ${step.padEnd(8)} ${String(stdout)}${String(stderr)}`,
        );
      }
    } finally {
      await removeEmbeddedPostgres(dataDir);
    }
  }
}

function open(url: string) {
  const database = openDatabase({ url, poolMax: 4, applicationName: 'bench' });
  const store = postgresStore({ pool: database.pool, listenUrl: null, log: pino({ level: 'silent' }) });
  const close = async (): Promise<void> => {
    await store.close();
    await database.close();
  };
  return { database, store, close };
}

async function fill(url: string, events: number): Promise<void> {
  const { database, store, close } = open(url);
  await migrate(database.db, join(process.cwd(), 'migrations'));
  const heads = new Map<string, StreamHead>();
  for (let i = 0; i < events; i += BATCH) {
    // Another writer every 20 batches, and some streams of keys between.
    const stream =
      (i / BATCH) % 10 === 9 ? `key-key_${i / BATCH}` : `spend-2026-11-w${Math.floor(i / BATCH / 20)}`;
    const batch = Array.from({ length: BATCH }, (_, n) =>
      newEvent(spendRecorded({ requestId: `r${i + n}`, keyId: `key_${(i + n) % KEYS}` }), `${i + n}`),
    );
    const { heads: after } = await store.append([
      { stream, expected: heads.get(stream) ?? 'none', events: batch },
    ]);
    heads.set(stream, after[0]!);
  }
  await close();
}

async function runStep(step: Step, url: string, file: string): Promise<void> {
  let peak = 0;
  const timer = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss());
  }, 20);
  const { database, store, close } = open(url);
  const began = performance.now();
  const nowMs = () => performance.now();
  const said = await work(step, file, { database, store, nowMs });
  const seconds = (performance.now() - began) / 1000;
  clearInterval(timer);
  const head = Number(await store.head());
  await close();
  const rate = Math.round(head / seconds);
  process.stdout.write(
    `${seconds.toFixed(1)} s  ${rate} events/s  peak ${Math.round(peak / 1e6)} MB  ${said}\n`,
  );
}

async function work(
  step: Step,
  file: string,
  {
    database,
    store,
    nowMs,
  }: Pick<ReturnType<typeof open>, 'database' | 'store'> & { readonly nowMs: () => number },
): Promise<string> {
  const { pool } = database;
  const now = () => new Date().toISOString();
  switch (step) {
    case 'seal': {
      const { privateKey } = generateKeyPairSync('ed25519');
      const keys = [signingKey(privateKey.export({ type: 'pkcs8', format: 'pem' }) as string)];
      const deps = { store, keys: () => keys, agencyId: 'age_1', now };
      await adoptKey(deps);
      return `${(await createSealer(deps).seal()).length} seals`;
    }
    case 'verify': {
      const recompute = () => Promise.resolve(null);
      const report = await verifyLog({ store, pool, recompute, nowMs }, { to: await store.head() });
      return `ok ${report.ok}, sealed to ${report.sealedTo}`;
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
