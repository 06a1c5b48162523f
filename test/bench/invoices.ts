/**
 * What a month of invoices costs: time, highest memory, and where the time goes, for an agency with many tenants.
 * Each step is a process of its own, so that one does not live on the other's memory; a run is put together as
 * `keyledger invoice run` does it. PostgreSQL is an embedded one that does not wait for the disk.
 *
 *   node dist/test/bench/invoices.js [--tenants <n>] [--events <n>] [--all]      default 1000 and 5000000
 *
 * Filled beforehand are the read models that invoices are made from; with --all every one there is.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { billingRecords, type BillingTables } from '../../src/billing/billing-records.ts';
import { runInvoices } from '../../src/billing/invoice-run.ts';
import { openDatabase } from '../../src/database.ts';
import { removeEmbeddedPostgres, startEmbeddedPostgres } from '../../src/embedded-postgres.ts';
import { migrate } from '../../src/migrate.ts';
import { startProjector } from '../../src/projector.ts';
import { readModel, readModels } from '../../src/read-models.ts';
import { postgresStore } from '../../src/store/postgres.ts';
import { cpuMs, postgresPids } from './cpu.ts';
import { AGENCY, amendSome, FIRST, SECOND, writeSpend, writeTenants } from './invoice-month.ts';
import { timed, type Times } from './timed.ts';

/** Of a hundred spends so many are of the month before, and are invoiced with it. */
const EARLIER = 5;
const NEEDED = ['agencies', 'tenants', 'usage', 'included_usage', 'billed_lines', 'invoices', 'periods'];
const CATCH_UP_MS_MAX = 4 * 3_600_000;
const APPEND_MS_MAX = 300_000;
const TELLING_MS = 10_000;
const RUNS_MAX = 5;
const log = pino({ level: 'silent' });

interface Result {
  readonly seconds: number;
  /** Of the process itself, without PostgreSQL. */
  readonly cpuSeconds: number;
  /** Highest resident memory of the process. */
  readonly peakBytes: number;
  readonly said: string;
  readonly times: Times;
}

const { values } = parseArgs({
  options: {
    tenants: { type: 'string', default: '1000' },
    events: { type: 'string', default: '5000000' },
    run: { type: 'string' },
    url: { type: 'string', default: '' },
    all: { type: 'boolean', default: false },
  },
});
const projections = values.all ? readModels : NEEDED.map(readModel);
const tenants = Number(values.tenants);
const events = Number(values.events);
if (values.run === undefined) await runAll();
else process.stdout.write(JSON.stringify(await runStep(values.run, values.url)));

async function runAll(): Promise<void> {
  const results: [string, Result & { readonly postgresSeconds: number }][] = [];
  const dataDir = await mkdtemp(join(tmpdir(), `keyledger-bench-${process.pid}-`));
  const { url } = await startEmbeddedPostgres({ dataDir, durable: false });
  const steps = [
    ['write tenants', 'tenants and contracts written'],
    [`write ${FIRST}`, `spend of ${FIRST} written`],
    ['fill', 'read models filled'],
    [`run ${FIRST}`, `invoice run ${FIRST}`],
    [`write ${SECOND}`, `spend of ${SECOND} and changes of plans written`],
    ['fill', 'read models filled'],
    [`run ${SECOND}`, `invoice run ${SECOND}`],
    [`run ${SECOND}`, 'the same again'],
    ['check', 'every nano on one invoice'],
  ] as const;
  try {
    for (const [step, what] of steps) {
      const before = cpuMs(postgresPids(dataDir)) ?? 0;
      const own = await inProcess(step, url);
      const result = { ...own, postgresSeconds: ((cpuMs(postgresPids(dataDir)) ?? 0) - before) / 1_000 };
      results.push([what, result]);
      say(`${what}: ${result.seconds.toFixed(1)} s, ${result.said}`);
      for (const [name, { seconds, calls }] of slowest(result.times))
        say(`  ${name}: ${seconds.toFixed(2)} s in ${calls} calls`);
    }
  } finally {
    await removeEmbeddedPostgres(dataDir);
    await rm(dataDir, { recursive: true, force: true });
  }
  const head = ['Step', 'Time', 'CPU', 'CPU of PostgreSQL', 'Peak memory', 'Result'];
  const rows = results.map(([what, { seconds, cpuSeconds, postgresSeconds, peakBytes, said }]) => [
    what,
    `${seconds.toFixed(1)} s`,
    `${cpuSeconds.toFixed(1)} s`,
    `${postgresSeconds.toFixed(1)} s`,
    `${Math.round(peakBytes / 1e6)} MB`,
    said,
  ]);
  for (const row of [head, head.map(() => '---'), ...rows]) console.log(`| ${row.join(' | ')} |`);
}

function slowest(times: Times): readonly [string, { readonly seconds: number; readonly calls: number }][] {
  return Object.entries(times).toSorted(([, a], [, b]) => b.seconds - a.seconds);
}

async function inProcess(step: string, url: string): Promise<Result> {
  const sizes = ['--tenants', values.tenants, '--events', values.events, ...(values.all ? ['--all'] : [])];
  const args = [...process.execArgv, fileURLToPath(import.meta.url), '--run', step, '--url', url, ...sizes];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${step} ended with ${code}`);
  return JSON.parse(text) as Result;
}

async function runStep(step: string, url: string): Promise<Result> {
  const database = openDatabase<BillingTables>({ url, poolMax: 16, applicationName: 'bench' });
  const { pool } = database;
  await migrate(database.db, join(process.cwd(), 'migrations'));
  const store = postgresStore({ pool, listenUrl: url, log, appendMsMax: APPEND_MS_MAX });
  const began = performance.now();
  const { said, times = {} } = await work();
  const seconds = (performance.now() - began) / 1_000;
  await store.close();
  await database.close();
  const { user, system } = process.cpuUsage();
  return { seconds, cpuSeconds: (user + system) / 1e6, peakBytes: await peakBytes(), said, times };

  async function work(): Promise<{ readonly said: string; readonly times?: Times }> {
    const [verb, what = ''] = step.split(' ');
    if (step === 'write tenants') {
      await writeTenants(store, pool, tenants);
      return { said: `${tenants} tenants` };
    }
    if (verb === 'write') {
      const count = Math.round((events * (what === FIRST ? EARLIER : 100 - EARLIER)) / 100);
      const amended = what === SECOND ? await amendSome(store, tenants) : 0;
      const nanos = await writeSpend(store, what, { tenants, events: count }, telling(step, count));
      return { said: `${count} spends of ${nanos} nanos, ${amended} changes` };
    }
    if (verb === 'check') return { said: await check() };
    const projector = await startProjector({ store, pool, projections, log });
    const settled = (position: bigint) => projector.reached(position, CATCH_UP_MS_MAX);
    const tell = telling(step, Number(await store.head()));
    const watching = setInterval(() => {
      const behind = projector.status().toSorted((a, b) => b.lag - a.lag)[0];
      if (behind !== undefined) tell(Number(behind.position));
    }, 1_000);
    try {
      await settled(await store.head());
      if (verb !== 'fill') return await run(what, settled);
      // This PostgreSQL has no autovacuum, which does it elsewhere.
      await pool.query('analyze');
      return { said: `${projections.length} tables` };
    } finally {
      clearInterval(watching);
      await projector.stop();
    }
  }

  async function run(period: string, settled: (position: bigint) => Promise<void>) {
    const times: Times = {};
    const agent = { actor: { kind: 'system', id: 'bench' }, correlationId: 'bench' } as const;
    const deps = {
      store: timed(store, 'store', times),
      records: timed(billingRecords(database), 'records', times),
      ...timed({ settled }, 'read models', times),
      now: () => new Date().toISOString(),
      log,
      paymentLink: () => Promise.resolve(null),
    };
    const said: string[] = [];
    // A tenant that failed (a machine that stood still) is through after another run, as for anybody.
    for (let failed = 1; failed > 0 && said.length < RUNS_MAX; ) {
      const report = await runInvoices(deps, { period, agencyId: AGENCY, ...agent });
      const counts = new Map<string, number>();
      for (const { status } of report.invoices) counts.set(status, (counts.get(status) ?? 0) + 1);
      failed = counts.get('failed') ?? 0;
      said.push([...counts].map(([status, count]) => `${count} ${status}`).join(', '));
    }
    delete times['records.exclusively'];
    return { said: said.join('; then '), times };
  }

  /** Usage as the read model adds it up against the lines of the invoices in the log. */
  async function check(): Promise<string> {
    const { rows } = await pool.query<{
      readonly open: string;
      readonly used: string;
      readonly billed: string;
    }>(
      `select (select coalesce(sum(price_nanos), 0) from usage where invoice_period = 'open')::text as open,
              (select sum(price_nanos) from usage)::text as used,
              (select sum(nanos) from billed_lines where kind = 'usage')::text as billed`,
    );
    const { open, used, billed } = rows[0]!;
    const whole = await pool.query<{ readonly gaps: bigint; readonly count: bigint }>(
      `select count(*) as count, max(right(number, 5)::int) - count(*) as gaps from invoices where number is not null`,
    );
    const { gaps, count } = whole.rows[0]!;
    if (BigInt(billed) + BigInt(open) !== BigInt(used)) {
      throw new Error(`${billed} + ${open} is not ${used}\n${(await differences()).join('\n')}`);
    }
    if (gaps !== 0n) throw new Error(`${gaps} numbers are missing`);
    return `${billed} nanos of ${used} on ${count} invoices, ${open} open, no gap in the numbers`;
  }

  /** By tenant, invoice and month of service. */
  async function differences(): Promise<readonly string[]> {
    const { rows } = await pool.query<Record<string, string>>(
      `select * from (
         select tenant_id, invoice_period as period, month, sum(price_nanos)::text as used
         from usage where invoice_period <> 'open' group by 1, 2, 3) u
       full join (
         select tenant_id, period, month, sum(nanos)::text as billed, count(*)::text as lines
         from billed_lines where kind = 'usage' group by 1, 2, 3) b using (tenant_id, period, month)
       where u.used is distinct from b.billed order by 1, 2, 3 limit 20`,
    );
    return rows.map((row) => JSON.stringify(row));
  }
}

function telling(step: string, all: number): (done: number) => void {
  let said = performance.now();
  return (done) => {
    if (performance.now() - said < TELLING_MS) return;
    said = performance.now();
    say(`${step}: ${done} of ${all}`);
  };
}

/** Linux knows the highest; elsewhere it is asked of Node. */
async function peakBytes(): Promise<number> {
  const status = await readFile('/proc/self/status', 'utf8').catch(() => '');
  const kilobytes = /VmHWM:\s+(\d+)/.exec(status)?.[1];
  return (kilobytes === undefined ? process.resourceUsage().maxRSS : Number(kilobytes)) * 1024;
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
