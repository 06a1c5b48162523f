/** Invoice runs of many processes at once, which die by SIGKILL in the middle of their work and are begun anew. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { openDatabase } from '../../src/database.ts';
import { migrate } from '../../src/migrate.ts';
import { startProjector } from '../../src/projector.ts';
import { readModel } from '../../src/read-models.ts';
import { postgresStore } from '../../src/store/postgres.ts';
import type { WorkerTask } from './invoice-worker.ts';
import { invoiceWorld, judgeInvoices, NEEDED, settleWorld, spendMonth, watchFinal } from './invoice-world.ts';
import { chance } from './random.ts';

export interface KillsRequest {
  /** An empty database, or a migrated one without events. */
  readonly url: string;
  readonly processes: number;
  /** Runs at once in each process. */
  readonly lanes: number;
  readonly kills: number;
  readonly agencies: number;
  readonly tenants: number;
  readonly months: number;
  readonly seed: number;
  readonly progress: (line: string) => void;
}

export interface KillsResult {
  readonly kills: number;
  /** How often a process died at each kind of step. */
  readonly places: Readonly<Record<string, number>>;
  readonly invoices: number;
  readonly seconds: number;
  readonly violations: readonly string[];
}

/** Of package.json: this file runs from test/chaos and from dist/test/chaos. */
const ROOT = fileURLToPath(import.meta.url).replace(/(\/dist)?\/test\/chaos\/[^/]+$/, '');
const WORKER = join(ROOT, 'dist', 'test', 'chaos', 'invoice-worker.js');
/** Where a worker dies at the latest, and of the steps of an invoice so many are in what it does of a month. */
const DIE_AT_MAX = 60;
const STEPS_SURE = 4;
/** A machine that stands still breaks connections: such a run ends by itself and is begun anew. */
const BROKEN_MAX = 20;
const log = pino({ level: 'silent' });

export async function killInvoiceRuns(request: KillsRequest): Promise<KillsResult> {
  const { url, kills: wanted, progress } = request;
  const world = invoiceWorld(request.agencies, request.tenants, request.months);
  const random = chance(request.seed);
  const database = openDatabase({ url, poolMax: 10, applicationName: 'chaos' });
  const { pool } = database;
  await migrate(database.db, join(ROOT, 'migrations'));
  const store = postgresStore({ pool, listenUrl: url, log });
  const projections = NEEDED.map(readModel);
  const projector = await startProjector({ store, pool, projections, log });
  const watch = watchFinal(pool);
  const began = performance.now();
  const places: Record<string, number> = {};
  const violations: string[] = [];
  let kills = 0;
  let broken = 0;
  const share = Math.ceil((STEPS_SURE * request.agencies * request.tenants) / request.processes);
  try {
    await settleWorld(store, pool, world);
    for (const [n, period] of world.periods.entries()) {
      await spendMonth(store, world, period, random);
      const quota = Math.ceil((wanted * (n + 1)) / world.periods.length);
      // In every other month the runs have no lock that keeps them apart.
      const base = { url, period, agencyIds: world.agencyIds, lanes: request.lanes, locked: n % 2 === 0 };
      let left = quota - kills;
      const worker = async (): Promise<void> => {
        for (;;) {
          const dies = left > 0;
          left -= 1;
          const dieAt = dies ? random.between(1, Math.min(DIE_AT_MAX, share)) : 0;
          const seed = random.between(1, 1_000_000);
          const place = await outcome({ ...base, dieAt, seed, now: `${period}-28T12:00:00.000Z` });
          violations.push(...(await watch.look()));
          if (place === 'through') return;
          if (place === 'broken') {
            broken += 1;
            if (broken > BROKEN_MAX) throw new Error('invoice runs end by themselves');
            left += dies ? 1 : 0;
            continue;
          }
          kills += 1;
          places[place] = (places[place] ?? 0) + 1;
          progress(`${period}: ${kills} of ${wanted} kills, ${watch.count()} documents`);
        }
      };
      await Promise.all(Array.from({ length: request.processes }, worker));
    }
    violations.push(...(await judgeInvoices(store, pool, world)));
    const seconds = Math.round((performance.now() - began) / 1_000);
    return { kills, places, invoices: watch.count(), seconds, violations };
  } finally {
    await projector.stop();
    await store.close();
    await database.close();
  }
}

/** Where the process died; else that it was through, or ended by itself before that. */
async function outcome(task: WorkerTask): Promise<string> {
  const child: ChildProcess = spawn(process.execPath, [WORKER, JSON.stringify(task)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout!.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  if (code === 0) return 'through';
  if (signal !== 'SIGKILL') return 'broken';
  return /^died (.+)$/m.exec(said)?.[1] ?? 'elsewhere';
}
