import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { sql } from 'kysely';
import { z } from 'zod';
import { type DeploymentUse, type MarginRow, marginOf } from '../domain/margin.ts';
import { formatNanos } from '../domain/money.ts';
import { periodBounds } from '../domain/period.ts';
import { DAY_MS, isoInstant } from '../domain/local-time.ts';
import type { App, HttpDeps } from './deps.ts';
import { sendFile } from './invoice-files.ts';
import type { Db } from './read.ts';
import { After, Money, money, refusalAnswers } from './schemas.ts';

/** What the agency earns with usage: the tenant's price book against its own. */
const Month = z.string().regex(/^20\d\d-(0[1-9]|1[0-2])$/, 'expected a month such as 2026-11');

const MarginAnswer = z.object({
  period: z.string(),
  data: z.array(
    z.object({
      agency_id: z.string(),
      tenant_id: z.string(),
      project_id: z.string().nullable(),
      requests: z.number(),
      tokens: z.string(),
      price: Money.describe('What its usage was sold for, before fees, included usage and tiers'),
      cost: Money.describe('What the upstream asks for it, as far as that is known'),
      flat_cost: Money.describe('Its share of the flat fees of dedicated endpoints, by tokens'),
      margin: Money,
    }),
  ),
  unspread: z
    .array(z.object({ deployment: z.string(), flat_cost: Money }))
    .describe('Flat fees of deployments that nobody used in the month'),
});

export function marginRoutes(): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    marginRoute(app);
    done();
  };
}

function marginRoute(app: App): void {
  app.get(
    '/api/reports/margin',
    {
      schema: {
        summary: 'Price, cost and margin of a month, by tenant and project; JSON or CSV',
        tags: ['reports'],
        querystring: After.extend({
          period: Month,
          agency: z.string().max(100).optional(),
          format: z.enum(['json', 'csv']).default('json'),
        }),
        response: {
          200: MarginAnswer.describe('As CSV the rows of data'),
          ...refusalAnswers,
        },
      },
    },
    async ({ deps, query: { period, agency, format } }, reply) => {
      const currencies = await currenciesOf(deps.db);
      const { rows, unspread } = marginOf(await usesOf(deps.db, period), flatFees(deps));
      const shown = rows.filter(({ agencyId }) => agency === undefined || agencyId === agency);
      if (format === 'csv') return await sendFile(reply, csvOf(period, shown, currencies));
      const currency = currencies.get(deps.ownTenant.agencyId) ?? 'EUR';
      const answer: z.output<typeof MarginAnswer> = {
        period,
        data: shown.map((row) => rowAnswer(row, currencies.get(row.agencyId) ?? currency)),
        unspread: [...unspread].map(([deployment, nanos]) => ({
          deployment,
          flat_cost: money(nanos, currency),
        })),
      };
      return answer;
    },
  );
}

function rowAnswer(row: MarginRow, currency: string) {
  return {
    agency_id: row.agencyId,
    tenant_id: row.tenantId,
    project_id: row.projectId,
    requests: row.requests,
    tokens: String(row.tokens),
    price: money(row.priceNanos, currency),
    cost: money(row.costNanos, currency),
    flat_cost: money(row.flatNanos, currency),
    margin: money(row.marginNanos, currency),
  };
}

const HEADER = 'period,agency_id,tenant_id,project_id,requests,tokens,price,cost,flat_cost,margin,currency';

function csvOf(period: string, rows: readonly MarginRow[], currencies: ReadonlyMap<string, string>) {
  const lines = rows.map((row) => {
    const { priceNanos, costNanos, flatNanos, marginNanos } = row;
    const amounts = [priceNanos, costNanos, flatNanos, marginNanos].map((nanos) => formatNanos(nanos, 2));
    const place = [period, row.agencyId, row.tenantId, row.projectId ?? ''];
    const cells = [
      ...place,
      String(row.requests),
      String(row.tokens),
      ...amounts,
      currencies.get(row.agencyId) ?? '',
    ];
    return cells.map(quoted).join(',');
  });
  const text = [HEADER, ...lines].map((line) => `${line}\r\n`).join('');
  return { name: `margin-${period}.csv`, mediaType: 'text/csv; charset=utf-8', bytes: Buffer.from(text) };
}

/** Ids may hold anything; a leading sign or `=` is no formula. */
function quoted(cell: string): string {
  const plain = /^[A-Za-z0-9_.-]*$/.test(cell);
  return plain ? cell : `"${cell.replaceAll('"', '""')}"`;
}

function flatFees({ models }: HttpDeps): ReadonlyMap<string, bigint> {
  const fees = new Map<string, bigint>();
  for (const { id, monthlyCostNanos } of models()) {
    if (monthlyCostNanos !== undefined) fees.set(id, monthlyCostNanos);
  }
  return fees;
}

async function currenciesOf(db: Db): Promise<ReadonlyMap<string, string>> {
  const rows = await db.selectFrom('agencies').select(['agency_id', 'currency']).execute();
  return new Map(rows.map(({ agency_id: id, currency }) => [id, currency]));
}

/** The month is the agency's own; the span of time only lets the index find it. */
async function usesOf(db: Db, period: string): Promise<readonly DeploymentUse[]> {
  const { startMs, endMs } = periodBounds(period, 'UTC');
  const rows = await db
    .selectFrom('spend_log')
    .select((eb) => [
      'agency_id',
      'tenant_id',
      'project_id',
      'deployment',
      eb.fn.countAll<bigint>().as('requests'),
      sql<bigint>`sum(input_tokens + output_tokens)`.as('tokens'),
      sql<bigint>`sum(price_nanos)`.as('price'),
      sql<bigint>`sum(cost_nanos)`.as('cost'),
    ])
    .where('tenant_id', 'in', (eb) => eb.selectFrom('tenants').select('tenant_id'))
    .where('admitted_at', '>=', isoInstant(startMs - DAY_MS))
    .where('admitted_at', '<', isoInstant(endMs + DAY_MS))
    .where('month', '=', period)
    .groupBy(['agency_id', 'tenant_id', 'project_id', 'deployment'])
    .execute();
  return rows.map((row) => ({
    agencyId: row.agency_id,
    tenantId: row.tenant_id,
    projectId: row.project_id,
    deployment: row.deployment,
    requests: Number(row.requests),
    tokens: row.tokens,
    priceNanos: row.price,
    costNanos: row.cost,
  }));
}
