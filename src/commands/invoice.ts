import { randomUUID } from 'node:crypto';
import { billingRecords } from '../billing/billing-records.ts';
import { type InvoiceRunReport, runInvoices } from '../billing/invoice-run.ts';
import type { Installation } from '../installation.ts';
import { type CommandContext, toJson, usage, withInstallation } from './context.ts';
import { withReadModels } from './read-models.ts';

/** Closes a period and finalises its invoices: of one agency, or of every agency. Safe to repeat. */
export async function invoiceRun(context: CommandContext): Promise<number> {
  const [period] = context.args;
  if (period === undefined) return usage(context, 'invoice run <YYYY-MM> [--agency <id>] [--json]');
  return withInstallation(context, (installation) =>
    withReadModels(context, installation, async (settled) => {
      const reports: InvoiceRunReport[] = [];
      for (const agencyId of await agencyIds(context, installation)) {
        reports.push(await runOne(context, installation, { period, agencyId, settled }));
      }
      context.progress('');
      if (context.options.json) context.say(toJson(reports));
      else for (const report of reports) context.say(formatReport(report));
      return reports.some(({ invoices }) => invoices.some(({ status }) => status === 'failed')) ? 1 : 0;
    }),
  );
}

async function agencyIds(context: CommandContext, { database }: Installation): Promise<readonly string[]> {
  if (context.options.agency !== undefined) return [context.options.agency];
  const { rows } = await database.pool.query<{ agency_id: string }>(
    'select agency_id from agencies order by agency_id',
  );
  return rows.map(({ agency_id: agencyId }) => agencyId);
}

function runOne(
  context: CommandContext,
  { store, database }: Installation,
  run: {
    readonly period: string;
    readonly agencyId: string;
    readonly settled: (position: bigint) => Promise<void>;
  },
): Promise<InvoiceRunReport> {
  const { period, agencyId, settled } = run;
  const deps = {
    store,
    records: billingRecords(database),
    now: () => new Date().toISOString(),
    settled,
    log: context.log,
  };
  return runInvoices(deps, {
    period,
    agencyId,
    actor: { kind: 'system', id: 'invoice run' },
    correlationId: randomUUID(),
    onProgress: ({ done, total }) => context.progress(`${agencyId}: ${done} of ${total} tenants`),
  });
}

function formatReport(report: InvoiceRunReport): string {
  const head = `${report.agency_id}, ${report.period}: closed at position ${report.closed_position}`;
  const lines = report.invoices.map((invoice) => {
    const amount = invoice.gross === null ? '' : `  ${invoice.gross} ${report.currency}`;
    const problem = invoice.error === null ? '' : `  ${invoice.error.message}`;
    return `  ${(invoice.number ?? '-').padEnd(16)}  ${invoice.status.padEnd(9)}  ${invoice.tenant_id}${amount}${problem}`;
  });
  return [head, ...(lines.length > 0 ? lines : ['  no tenant has a contract in this period'])].join('\n');
}
