/** A process of test/chaos/invoice-run-kills.ts: several invoice runs at once, until it is through or dies where it was told. */
import { setTimeout as pause } from 'node:timers/promises';
import { pino } from 'pino';
import {
  billingRecords,
  type BillingRecords,
  type BillingTables,
} from '../../src/billing/billing-records.ts';
import { type InvoiceRunReport, runInvoices } from '../../src/billing/invoice-run.ts';
import { openDatabase } from '../../src/database.ts';
import { isRefusal } from '../../src/errors.ts';
import { postgresStore } from '../../src/store/postgres.ts';
import { dyingAt, stepping } from './dying.ts';
import { NEEDED } from './invoice-world.ts';
import { chance } from './random.ts';

export interface WorkerTask {
  readonly url: string;
  readonly period: string;
  readonly agencyIds: readonly string[];
  /** Runs at once. */
  readonly lanes: number;
  /** Step to die at; 0: never. */
  readonly dieAt: number;
  /** False: as if every run had lost its lock, so that only the log keeps them apart. */
  readonly locked: boolean;
  readonly seed: number;
  /** ISO instant. */
  readonly now: string;
}

const LOOK_MS = 20;
const log = pino({ level: 'silent' });
const task = JSON.parse(process.argv[2] ?? '') as WorkerTask;
const { url, period, agencyIds, lanes, dieAt, locked, seed, now } = task;
const step = dyingAt(dieAt);
const random = chance(seed);
const database = openDatabase<BillingTables>({ url, poolMax: lanes * 2, applicationName: 'invoice run' });
const store = stepping(
  postgresStore({ pool: database.pool, listenUrl: null, log, now: () => now }),
  ['append'],
  step,
);
const kept = billingRecords(database);
const records: BillingRecords = {
  ...stepping(kept, ['keepDocument'], step),
  exclusively: locked ? kept.exclusively : async (_, work) => await work(new AbortController().signal),
};

/** The read models are kept by another process, as by a server beside the command. */
async function settled(position: bigint): Promise<void> {
  for (;;) {
    const { rows } = await database.pool.query<{ readonly least: string }>(
      'select min(position)::text as least from projections where name = any($1)',
      [NEEDED],
    );
    if (BigInt(rows[0]!.least) >= position) return;
    await pause(LOOK_MS);
  }
}

async function run(agencyId: string): Promise<InvoiceRunReport> {
  const actor = { kind: 'system', id: 'chaos' } as const;
  const deps = { store, records, settled, now: () => now, log, atOnce: 2 };
  for (;;) {
    try {
      return await runInvoices(deps, { period, agencyId, actor, correlationId: `run ${agencyId} ${period}` });
    } catch (error) {
      if (!isRefusal(error, 'invoice_run_busy')) throw error;
      await pause(LOOK_MS + random.between(0, LOOK_MS));
    }
  }
}

async function lane(): Promise<void> {
  const open = [...agencyIds];
  while (open.length > 0) {
    const [agencyId] = open.splice(random.between(0, open.length - 1), 1);
    for (;;) {
      const { invoices } = await run(agencyId!);
      // Whoever lost too many races without a lock tries again, as a person would.
      if (invoices.every(({ status }) => status !== 'failed')) break;
      if (locked) throw new Error(JSON.stringify(invoices.filter(({ status }) => status === 'failed')));
      await pause(LOOK_MS);
    }
  }
}

await Promise.all(Array.from({ length: lanes }, lane));
await store.close();
await database.close();
