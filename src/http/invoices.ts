import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { sql } from 'kysely';
import { z } from 'zod';
import type { Json } from '../domain/json.ts';
import { formatCents } from '../domain/money.ts';
import { Refusal } from '../errors.ts';
import { commandOf, takeEffect } from './command.ts';
import type { App, HttpDeps, InvoiceRunReport } from './deps.ts';
import { collectionOf, InvoiceCollection } from './invoice-collection.ts';
import { insightOf } from './insight.ts';
import { requireInvoiceSight } from './invoice-sight.ts';
import { type Db, ID, pageOf, placeIn, type Tables } from './read.ts';
import { After, AnyValue, Money, money, Page, refusalAnswers } from './schemas.ts';
import { settle } from './settle.ts';

/** The stored lines and taxes of an invoice, with bigints as decimal strings. */
const StoredLines = z.array(
  z.object({
    kind: z.string(),
    projectId: z.string().nullable(),
    model: z.string().nullable(),
    unit: z.string().nullable(),
    serviceMonth: z.string(),
    quantity: z.coerce.number(),
    priceRate: z.coerce.bigint().nullable(),
    nanos: z.coerce.bigint(),
    netCents: z.coerce.bigint(),
    tax: z
      .object({ category: z.string(), ratePercent: z.string() })
      .default({ category: 'S', ratePercent: '19' }),
  }),
);
const StoredTaxes = z.array(
  z.object({
    category: z.string(),
    ratePercent: z.string(),
    netCents: z.coerce.bigint(),
    taxCents: z.coerce.bigint(),
  }),
);

const Summary = z.object({
  id: z.string(),
  number: z.string().nullable().describe('Null while it is a draft'),
  agency_id: z.string(),
  tenant_id: z.string(),
  period: z.string(),
  status: z.string().describe('draft, finalized, sent, overdue, paid or cancelled'),
  net: Money,
  tax: Money,
  gross: Money,
  issued_on: z.string().nullable(),
  due_on: z.string().nullable(),
  paid_on: z.string().nullable(),
  payment_problem: z.string().nullable().describe('Why the newest payment failed'),
  cancellation: z
    .object({ id: z.string(), number: z.string(), issued_on: z.string(), reason: z.string() })
    .nullable()
    .describe('The Stornorechnung; its files are under its own id and number'),
  replaces: z.string().nullable().describe('Id of the cancelled invoice that it replaces'),
  drafted_at: z.string(),
  finalized_at: z.string().nullable(),
  sent_at: z.string().nullable(),
  cancelled_at: z.string().nullable(),
});

const Invoice = Summary.extend({
  lines: z.array(
    z.object({
      kind: z.string().describe('fee, project-fee, correction, usage, tier, included, commitment or discount'),
      project_id: z.string().nullable(),
      model: z.string().nullable(),
      unit: z.string().nullable(),
      service_month: z.string(),
      quantity: z.number(),
      price_per_million: Money.nullable(),
      amount_exact: Money.describe('Net, before rounding'),
      amount: Money.describe('Net, rounded half up to cents'),
      tax_category: z.string().describe('EN 16931: S, AE reverse charge, E exempt, O outside the scope'),
      tax_rate_percent: z.string(),
    }),
  ),
  taxes: z.array(z.object({ category: z.string(), rate_percent: z.string(), net: Money, tax: Money })),
  collection: InvoiceCollection,
  document_hash: z.string().nullable(),
  document: AnyValue.describe('The invoice as issued; null while it is a draft'),
}).meta({ id: 'Invoice' });

const RunAnswer = z.object({
  period: z.string(),
  position: z.string(),
  runs: z
    .array(
      z.object({
        agency_id: z.string(),
        closed_position: z
          .string()
          .nullable()
          .describe('Spend at or before it is on invoices up to this period; null: the period is open'),
        invoices: z.array(
          z.object({
            id: z.string(),
            tenant_id: z.string(),
            status: z
              .enum(['finalized', 'repeated', 'cancelled', 'skipped', 'failed', 'planned'])
              .describe(
                'repeated: by an earlier run; skipped: neither a fee nor usage; planned: in a dry run',
              ),
            number: z.string().nullable(),
            net: Money.nullable(),
            tax: Money.nullable(),
            gross: Money.nullable(),
            error: z.object({ reason: z.string(), message: z.string() }).nullable(),
          }),
        ),
      }),
    )
    .describe('One per agency'),
});

const Period = z.string().regex(/^20\d\d-(0[1-9]|1[0-2])$/, 'expected a month such as 2026-11');

export function invoiceRoutes(deps: HttpDeps): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    listRoute(app);
    showRoute(app);
    runRoute(app, deps);
    done();
  };
}

function listRoute(app: App): void {
  app.get(
    '/api/invoices',
    {
      schema: {
        summary: 'List invoices, newest first',
        tags: ['invoices'],
        querystring: Page.extend({
          tenant_id: z.string().optional(),
          agency_id: z.string().optional(),
          period: Period.optional(),
          status: z.enum(['draft', 'finalized', 'sent', 'overdue', 'paid', 'cancelled']).optional(),
        }),
        response: {
          200: z.object({ data: z.array(Summary), next_cursor: z.string().nullable() }),
          ...refusalAnswers,
        },
      },
    },
    async ({ deps, caller, query }) => {
      const { db } = deps;
      const place = placeIn(query.cursor, [/^\d{1,18}$/, ID]);
      let rows = invoiceRows(db, deps.now());
      const { all, tenants } = insightOf(caller);
      if (!all)
        rows = rows
          .where('invoices.tenant_id', 'in', ['', ...tenants])
          .where('invoices.status', '!=', 'draft');
      for (const field of ['tenant_id', 'agency_id', 'period'] as const) {
        const wanted = query[field];
        if (wanted !== undefined) rows = rows.where(`invoices.${field}`, '=', wanted);
      }
      if (query.status !== undefined) rows = rows.where(shownStatus(deps.now()), '=', query.status);
      if (place !== undefined) {
        const [position, id] = place as [string, string];
        rows = rows.where(({ eb, refTuple, tuple }) =>
          eb(refTuple('invoices.position', 'invoices.invoice_id'), '<', tuple(BigInt(position), id)),
        );
      }
      const found = await rows
        .orderBy('invoices.position', 'desc')
        .orderBy('invoices.invoice_id', 'desc')
        .limit(query.limit + 1)
        .execute();
      const page = pageOf(found, query.limit, (row) => [String(row.position), row.invoice_id]);
      return { data: page.rows.map(summaryOf), next_cursor: page.nextCursor };
    },
  );
}

function showRoute(app: App): void {
  app.get(
    '/api/invoices/:id',
    {
      schema: {
        summary: 'Show one invoice with its lines and the document as issued',
        tags: ['invoices'],
        params: z.object({ id: z.string().describe('Id or invoice number') }),
        querystring: After,
        response: { 200: Invoice, ...refusalAnswers },
      },
    },
    async ({ deps, caller, params: { id } }) => {
      const { db } = deps;
      await requireInvoiceSight(deps, caller, id);
      const row = await invoiceRows(db, deps.now())
        .where((eb) => eb.or([eb('invoices.invoice_id', '=', id), eb('invoices.number', '=', id)]))
        .executeTakeFirst();
      if (row === undefined) throw new Refusal('not_found', { what: 'invoice' });
      return {
        ...(await invoiceOf(db, row)),
        collection: await collectionOf(deps, row.invoice_id, row.currency),
      };
    },
  );
}

function runRoute(app: App, deps: HttpDeps): void {
  const { db } = deps;
  app.post(
    '/api/invoice-runs',
    {
      schema: {
        summary: 'Close a period and finalise its invoices; safe to repeat',
        tags: ['invoices'],
        body: z.strictObject({
          period: Period,
          agency_id: z.string().optional(),
          dry_run: z.boolean().optional().describe('Only says what that would come to'),
        }),
        response: {
          200: RunAnswer,
          ...refusalAnswers,
        },
      },
    },
    async (request, reply) => {
      const { actor, correlationId } = commandOf(deps, request);
      const { period, agency_id: wanted, dry_run: dryRun = false } = request.body;
      await settle(deps, deps.appendedPosition());
      const agencies = await db.selectFrom('agencies').select('agency_id').orderBy('agency_id').execute();
      const agencyIds = agencies
        .map(({ agency_id }) => agency_id)
        .filter((id) => wanted === undefined || id === wanted);
      if (agencyIds.length === 0) throw new Refusal('not_found', { what: 'agency' }, { param: 'agency_id' });
      const reports: InvoiceRunReport[] = [];
      for (const agencyId of agencyIds) {
        reports.push(await deps.runInvoices({ period, agencyId, actor, correlationId, dryRun }));
      }
      const position = reports.map((report) => BigInt(report.position)).reduce((a, b) => (a > b ? a : b));
      await takeEffect(deps, reply, position);
      return { period, position: String(position), runs: reports.map(runAnswer) };
    },
  );
}

function runAnswer({ agency_id, currency, closed_position, invoices }: InvoiceRunReport) {
  const amount = (text: string | null) => (text === null ? null : { amount: text, currency });
  return {
    agency_id,
    closed_position,
    invoices: invoices.map(({ invoice_id, tenant_id, status, number, net, tax, gross, error }) => ({
      id: invoice_id,
      tenant_id,
      status,
      number,
      net: amount(net),
      tax: amount(tax),
      gross: amount(gross),
      error,
    })),
  };
}

/** Overdue is worked out when it is looked at, by the day in the agency's zone: nothing happens then. */
function shownStatus(now: string) {
  return sql<string>`case when invoices.status in ('finalized', 'sent')
    and invoices.due_on < to_char(${now}::timestamptz at time zone agencies.zone, 'YYYY-MM-DD')
    then 'overdue' else invoices.status end`;
}

function invoiceRows(db: Db, now: string) {
  return db
    .selectFrom('invoices')
    .innerJoin('agencies', 'agencies.agency_id', 'invoices.agency_id')
    .selectAll('invoices')
    .select(shownStatus(now).as('shown_status'));
}

type InvoiceRow = Tables['invoices'] & { readonly shown_status: string };

function cancellationOf(row: InvoiceRow): z.infer<typeof Summary>['cancellation'] {
  const { cancellation_id: id, cancellation_number: number, cancel_reason: reason } = row;
  if (id === null) return null;
  return { id, number: number!, issued_on: row.cancellation_issued_on!, reason: reason! };
}

function summaryOf(row: InvoiceRow): z.infer<typeof Summary> {
  const { currency } = row;
  return {
    id: row.invoice_id,
    number: row.number,
    agency_id: row.agency_id,
    tenant_id: row.tenant_id,
    period: row.period,
    status: row.shown_status,
    net: cents(row.net_cents, currency),
    tax: cents(row.tax_cents, currency),
    gross: cents(row.gross_cents, currency),
    issued_on: row.issued_on,
    due_on: row.due_on,
    paid_on: row.paid_on,
    payment_problem: row.payment_problem,
    cancellation: cancellationOf(row),
    replaces: row.replaces,
    drafted_at: row.drafted_at,
    finalized_at: row.finalized_at,
    sent_at: row.sent_at,
    cancelled_at: row.cancelled_at,
  };
}

async function invoiceOf(db: Db, row: InvoiceRow): Promise<Omit<z.infer<typeof Invoice>, 'collection'>> {
  const { currency } = row;
  const stored = await db
    .selectFrom('invoice_documents')
    .select('document')
    .where('invoice_id', '=', row.invoice_id)
    .executeTakeFirst();
  return {
    ...summaryOf(row),
    lines: StoredLines.parse(row.lines).map((line) => ({
      kind: line.kind,
      project_id: line.projectId,
      model: line.model,
      unit: line.unit,
      service_month: line.serviceMonth,
      quantity: line.quantity,
      price_per_million: line.priceRate === null ? null : money(line.priceRate, currency),
      amount_exact: money(line.nanos, currency),
      amount: cents(line.netCents, currency),
      tax_category: line.tax.category,
      tax_rate_percent: line.tax.ratePercent,
    })),
    taxes: StoredTaxes.parse(row.taxes).map(({ category, ratePercent, netCents, taxCents }) => ({
      category,
      rate_percent: ratePercent,
      net: cents(netCents, currency),
      tax: cents(taxCents, currency),
    })),
    document_hash: row.document_hash,
    document: stored === undefined ? null : (JSON.parse(stored.document) as Json),
  };
}

function cents(amount: bigint, currency: string): z.infer<typeof Money> {
  return { amount: formatCents(amount), currency };
}
