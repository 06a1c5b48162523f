import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { billingRecords } from '../billing/billing-records.ts';
import { runOrPreview } from '../billing/dry-run.ts';
import { EXPORT_FORMATS, exportMonth } from '../billing/exports.ts';
import { FILE_KINDS, invoiceFile } from '../billing/invoice-files.ts';
import type { InvoiceRunReport } from '../billing/invoice-run.ts';
import { findDocument } from '../billing/kept-documents.ts';
import { paymentLinks } from '../billing/payment-links.ts';
import { type InvoiceProof, verifyInvoice } from '../billing/verify-invoice.ts';
import { Refusal } from '../errors.ts';
import type { Installation } from '../installation.ts';
import { masterKeyOf, serverSecretOf } from '../master-key.ts';
import { type CommandContext, toJson, usage, withInstallation } from './context.ts';
import { withReadModels } from './read-models.ts';

/**
 * Closes a period and finalises its invoices: of one agency, or of every agency. Safe to repeat. With
 * --dry-run it says what that would come to, and writes nothing.
 */
export async function invoiceRun(context: CommandContext): Promise<number> {
  const [period] = context.args;
  if (period === undefined)
    return usage(context, 'invoice run <YYYY-MM> [--agency <id>] [--dry-run] [--json]');
  return withInstallation(context, (installation) =>
    withReadModels(context, installation, async (settled) => {
      const reports: InvoiceRunReport[] = [];
      const refused: { readonly agency_id: string; readonly reason: string; readonly message: string }[] = [];
      for (const agencyId of await agencyIds(context, installation)) {
        try {
          reports.push(await runOne(context, installation, { period, agencyId, settled }));
        } catch (error) {
          // The others have months to invoice all the same.
          if (!(error instanceof Refusal)) throw error;
          refused.push({ agency_id: agencyId, reason: error.code, message: error.message });
        }
      }
      context.progress('');
      if (context.options.json) context.say(toJson([...reports, ...refused]));
      else {
        for (const report of reports) context.say(formatReport(report));
        for (const { agency_id: agencyId, message } of refused)
          context.say(`${agencyId}, ${period}: ${message}`);
      }
      const failed = reports.some(({ invoices }) => invoices.some(({ status }) => status === 'failed'));
      return failed || refused.length > 0 ? 1 : 0;
    }),
  );
}

/** Writes a file of an invoice, by number or id. Needs no read models: documents are kept as they are. */
export async function invoiceDocument(context: CommandContext): Promise<number> {
  const [name] = context.args;
  const kind = FILE_KINDS.find((one) => one === (context.options.format ?? 'pdf'));
  const { out } = context.options;
  if (name === undefined || out === undefined || kind === undefined) {
    return usage(context, `invoice document <number> --out <file> [--format ${FILE_KINDS.join('|')}]`);
  }
  return withInstallation(context, async ({ database }) => {
    const file = await invoiceFile(database.db, name, kind);
    writeFileSync(out, file.bytes);
    context.say(`${out}: ${file.name}, ${file.bytes.length} bytes`);
    return 0;
  });
}

/** Exit code 0: equal, 1: not. */
export async function invoiceVerify(context: CommandContext): Promise<number> {
  const [name] = context.args;
  if (name === undefined) return usage(context, 'invoice verify <number> [--json]');
  return withInstallation(context, async ({ store, database }) => {
    const { document: named } = await findDocument(database.db, name);
    // A Stornorechnung is proved with the invoice that it takes back.
    const { document } =
      named.kind === 'cancellation' && named.preceding !== null
        ? await findDocument(database.db, named.preceding.number)
        : { document: named };
    const { agency_id: agencyId, tenant_id: tenantId, invoice_id: invoiceId } = document;
    const records = billingRecords(database);
    const proof = await verifyInvoice({ store, records }, { invoiceId, agencyId, tenantId });
    context.say(context.options.json ? toJson(proof) : formatProof(proof));
    return proof.equal ? 0 : 1;
  });
}

function formatProof(proof: InvoiceProof): string {
  const { number, invoice_id: id, totals, spend_events: events, differences } = proof;
  const head = `${number ?? 'draft'} (${id}), ${proof.period}: ${totals.gross}`;
  if (proof.equal) return `${head}: equal, computed again from ${events} spend records in the log`;
  return [`${head}: NOT EQUAL`, ...differences.map((difference) => `  ${difference}`)].join('\n');
}

export async function invoiceExport(context: CommandContext): Promise<number> {
  const [month] = context.args;
  const format = EXPORT_FORMATS.find((one) => one === (context.options.format ?? 'datev'));
  if (month === undefined || !/^20\d\d-(0[1-9]|1[0-2])$/.test(month) || format === undefined) {
    return usage(context, 'invoice export <YYYY-MM> [--format datev|csv] [--agency <id>] [--out <file>]');
  }
  return withInstallation(context, (installation) =>
    withReadModels(context, installation, async () => {
      const [agencyId, ...others] = await agencyIds(context, installation);
      if (agencyId === undefined || others.length > 0) {
        context.say('Name one agency with --agency.');
        return 2;
      }
      const { store, database } = installation;
      const deps = {
        store,
        db: database.db,
        records: billingRecords(database),
        now: () => new Date().toISOString(),
      };
      const file = await exportMonth(deps, { agencyId, month, format });
      const { out } = context.options;
      if (out === undefined) {
        context.progress('');
        await context.put(file.bytes);
        return 0;
      }
      writeFileSync(out, file.bytes);
      context.say(`${out}: ${file.bytes.length} bytes`);
      return 0;
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
  const { PUBLIC_URL: publicUrl } = context.config.settings;
  const deps = {
    store,
    records: billingRecords(database),
    now: () => new Date().toISOString(),
    settled,
    log: context.log,
    paymentLink: paymentLinks({ store, serverSecret: serverSecret(context), publicUrl: publicUrl ?? null }),
  };
  let failed = 0;
  return runOrPreview(deps, {
    dryRun: context.options.dryRun,
    period,
    agencyId,
    actor: { kind: 'system', id: 'invoice run' },
    correlationId: randomUUID(),
    onProgress: ({ done, total, invoice }) => {
      if (invoice?.status === 'failed') failed += 1;
      const problems = failed === 0 ? '' : `, ${failed} failed`;
      context.progress(`${agencyId}, ${period}: ${done} of ${total} tenants${problems}`);
    },
  });
}

/** The same as the server's, so that it accepts the links. */
function serverSecret({ config }: CommandContext): string {
  return serverSecretOf(config.settings.LITELLM_SALT_KEY, masterKeyOf(config.masterKey, config.dataDir));
}

function formatReport(report: InvoiceRunReport): string {
  const { closed_position: closed } = report;
  const cut = closed === null ? 'open, as it is now' : `closed at position ${closed}`;
  const head = `${report.agency_id}, ${report.period}: ${cut}`;
  const lines = report.invoices.map((invoice) => {
    const amount = invoice.gross === null ? '' : `  ${invoice.gross} ${report.currency}`;
    const problem = invoice.error === null ? '' : `  ${invoice.error.message}`;
    return `  ${(invoice.number ?? '-').padEnd(16)}  ${invoice.status.padEnd(9)}  ${invoice.tenant_id}${amount}${problem}`;
  });
  return [head, ...(lines.length > 0 ? lines : ['  no tenant has a contract in this period'])].join('\n');
}
