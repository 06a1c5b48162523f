import { Temporal } from 'temporal-polyfill';
import type { Pool } from 'pg';
import type { BillingSettings } from '../domain/billing-settings.ts';
import type { Json } from '../domain/json.ts';
import { Refusal } from '../errors.ts';
import type { Log } from '../log.ts';
import type { EventStore } from '../store/event-store.ts';
import { settingsOf } from './collection-deps.ts';
import { exclusively } from './exclusive.ts';
import type { InvoiceRunReport, InvoiceRunRequest } from './invoice-run.ts';
import { agencyAt } from './log-facts.ts';

/**
 * The invoice run that comes by itself: on the first of a month in the agency's zone, after a grace
 * for late usage, the month before is invoiced. One process at a time looks, and the run itself is
 * safe to repeat, so a process that dies in it is simply followed by another. A run in which a tenant
 * failed is repeated every day until every tenant is through or the next month begins.
 */
export interface ScheduleDeps {
  readonly store: EventStore;
  readonly pool: Pool;
  readonly log: Pick<Log, 'info' | 'error'>;
  readonly runInvoices: (request: InvoiceRunRequest) => Promise<InvoiceRunReport>;
}

const LOCK = 'scheduled invoice runs';
const AGAIN_AFTER_FAILURES_MS = 24 * 3_600_000;
const AGAIN_AFTER_PROBLEM_MS = 15 * 60_000;

/** Null when the grace of the month before is not over, or when runs do not come by themselves. */
export function duePeriod(run: BillingSettings['invoiceRun'], zone: string, now: string): string | null {
  if (run === null) return null;
  const instant = Temporal.Instant.from(now);
  const first = instant.toZonedDateTimeISO(zone).startOfDay().with({ day: 1 }).startOfDay();
  const begins = first.toInstant().add({ hours: run.graceHours });
  if (Temporal.Instant.compare(instant, begins) < 0) return null;
  const period = first.toPlainDate().subtract({ months: 1 }).toString().slice(0, 7);
  return period < run.from ? null : period;
}

/** Runs what is due; returns the agencies whose run was tried. Does nothing while another process does. */
export async function runScheduled(deps: ScheduleDeps, now: string): Promise<readonly string[]> {
  const tried = await exclusively(deps.pool, LOCK, async (lost) => {
    const ran: string[] = [];
    for (const agencyId of await agencyIds(deps.pool)) {
      if (!lost.aborted && (await runOne(deps, agencyId, now))) ran.push(agencyId);
    }
    return ran;
  });
  return tried ?? [];
}

async function agencyIds(pool: Pool): Promise<readonly string[]> {
  const { rows } = await pool.query<{ readonly agency_id: string }>(
    'select agency_id from agencies order by agency_id',
  );
  return rows.map((row) => row.agency_id);
}

async function runOne(deps: ScheduleDeps, agencyId: string, now: string): Promise<boolean> {
  const { store, pool, log } = deps;
  const agency = await agencyAt(store, agencyId, null);
  const { invoiceRun } = await settingsOf(store, agencyId);
  const period = agency === null ? null : duePeriod(invoiceRun, agency.zone, now);
  if (period === null || !(await claim(pool, agencyId, period, now))) return false;
  try {
    const actor = { kind: 'system', id: 'invoice schedule' } as const;
    const report = await deps.runInvoices({
      period,
      agencyId,
      actor,
      correlationId: `run ${agencyId} ${period}`,
    });
    const failed = report.invoices.filter(({ status }) => status === 'failed').length;
    log.info({ agencyId, period, invoices: report.invoices.length, failed }, 'a month was invoiced');
    await end(pool, agencyId, period, {
      report: report as unknown as Json,
      problem: failed === 0 ? null : `${failed} of ${report.invoices.length} tenants failed`,
      nextAt: failed === 0 ? null : later(now, AGAIN_AFTER_FAILURES_MS),
      endedAt: now,
    });
  } catch (error) {
    log.error({ err: error, agencyId, period }, 'the scheduled invoice run failed');
    const problem =
      error instanceof Refusal ? error.message : 'Internal error; the log of the server has its cause.';
    await end(pool, agencyId, period, {
      report: null,
      problem,
      nextAt: later(now, AGAIN_AFTER_PROBLEM_MS),
      endedAt: now,
    });
  }
  return true;
}

/** False when it has been through, or is to be tried again later. */
async function claim(pool: Pool, agencyId: string, period: string, now: string): Promise<boolean> {
  const { rowCount } = await pool.query(
    `insert into scheduled_runs (agency_id, period, attempts, next_at, started_at)
     values ($1, $2, 1, $3, $3)
     on conflict (agency_id, period) do update
     set attempts = scheduled_runs.attempts + 1, started_at = $3, next_at = $3
     where scheduled_runs.next_at <= $3`,
    [agencyId, period, now],
  );
  return rowCount === 1;
}

async function end(
  pool: Pool,
  agencyId: string,
  period: string,
  ended: {
    readonly report: Json;
    readonly problem: string | null;
    readonly nextAt: string | null;
    readonly endedAt: string;
  },
): Promise<void> {
  await pool.query(
    `update scheduled_runs set report = coalesce($3, report), problem = $4, next_at = $5, ended_at = $6
     where agency_id = $1 and period = $2`,
    [
      agencyId,
      period,
      ended.report === null ? null : JSON.stringify(ended.report),
      ended.problem,
      ended.nextAt,
      ended.endedAt,
    ],
  );
}

function later(now: string, ms: number): string {
  return new Date(Date.parse(now) + ms).toISOString();
}

export interface ScheduledRun {
  readonly agencyId: string;
  readonly period: string;
  readonly attempts: number;
  readonly nextAt: string | null;
  readonly report: Json;
  readonly problem: string | null;
  readonly startedAt: string;
  readonly endedAt: string | null;
}

/** Newest first; of every agency when none is named. */
export async function scheduledRuns(pool: Pool, agencyId: string | null): Promise<readonly ScheduledRun[]> {
  const { rows } = await pool.query<{
    readonly agency_id: string;
    readonly period: string;
    readonly attempts: number;
    readonly next_at: string | null;
    readonly report: Json;
    readonly problem: string | null;
    readonly started_at: string;
    readonly ended_at: string | null;
  }>(
    `select * from scheduled_runs where $1::text is null or agency_id = $1
     order by period desc, agency_id limit 100`,
    [agencyId],
  );
  return rows.map((row) => ({
    agencyId: row.agency_id,
    period: row.period,
    attempts: row.attempts,
    nextAt: row.next_at,
    report: row.report,
    problem: row.problem,
    startedAt: row.started_at,
    endedAt: row.ended_at,
  }));
}
