import { type Kysely, sql } from 'kysely';
import type { invoices } from '../../projections/invoices.ts';
import type { periods } from '../../projections/periods.ts';
import type { spendLog } from '../../projections/spend-log.ts';
import { formatNanos } from '../domain/money.ts';
import type { RowIn } from '../projection.ts';

export interface SpendTables {
  readonly spend_log: RowIn<typeof spendLog>;
  readonly periods: RowIn<typeof periods>;
  readonly invoices: RowIn<typeof invoices>;
}

type Amount = { readonly amount: string; readonly currency: string };

/** What a key used in one month, and where it is billed. */
export type MonthSpend = {
  /** `YYYY-MM` of the admission in the agency's zone. */
  readonly month: string;
  readonly requests: number;
  /** Decimal strings. */
  readonly input_tokens: string;
  readonly output_tokens: string;
  /** Exact to the nano. */
  readonly price: Amount;
  readonly invoices: readonly InvoiceShare[];
};

/** The part of a month's spend that one period's invoice carries. */
export type InvoiceShare = {
  /** Null while no invoice carries it: its period is open, or closed and not invoiced. */
  readonly invoice_id: string | null;
  readonly number: string | null;
  /** draft | finalized | open */
  readonly status: string;
  /** The period whose close took it; null while that is open. */
  readonly period: string | null;
  readonly price: Amount;
};

interface SpendRow {
  readonly month: string;
  readonly currency: string;
  readonly period: string | null;
  readonly invoice_id: string | null;
  readonly number: string | null;
  readonly status: string | null;
  readonly requests: bigint;
  readonly input_tokens: bigint;
  readonly output_tokens: bigint;
  readonly price_nanos: bigint;
}

/** What was known of the log at a moment: a condition on `spend_log s`. */
export function knownUntil(until: bigint | string | undefined) {
  if (until === undefined) return sql`true`;
  return typeof until === 'bigint'
    ? sql`s.position <= ${until}`
    : sql`s.recorded_at <= ${until}::timestamptz`;
}

/**
 * Spend belongs to the first close after it in the log of its month or a later one: the same rule
 * as in projections/usage.ts, so this is the invoice that has it, and not one that looks like it.
 */
export async function spendOfKey(
  db: Kysely<SpendTables>,
  keyId: string,
  until: bigint | string | undefined,
): Promise<readonly MonthSpend[]> {
  const { rows } = await sql<SpendRow>`
    select s.month, s.currency, closed.period, i.invoice_id, i.number, i.status,
           count(*) as requests, sum(s.input_tokens) as input_tokens, sum(s.output_tokens) as output_tokens,
           sum(s.price_nanos) as price_nanos
    from spend_log s
    left join lateral (
      select p.period from periods p
      where p.agency_id = s.agency_id and p.position > s.position and p.period collate "C" >= s.month
      order by p.position limit 1
    ) closed on true
    left join invoices i on i.tenant_id = s.tenant_id and i.period = closed.period
    where s.key_id = ${keyId} and ${knownUntil(until)}
    group by s.month, s.currency, closed.period, i.invoice_id, i.number, i.status
    order by s.month collate "C", closed.period collate "C" nulls last`.execute(db);
  const months = new Set(rows.map(({ month }) => month));
  return [...months].map((month) => monthSpend(rows.filter((row) => row.month === month)));
}

function monthSpend(rows: readonly SpendRow[]): MonthSpend {
  const { month, currency } = rows[0]!;
  const sum = (name: 'requests' | 'input_tokens' | 'output_tokens' | 'price_nanos'): bigint =>
    rows.reduce((total, row) => total + row[name], 0n);
  return {
    month,
    requests: Number(sum('requests')),
    input_tokens: String(sum('input_tokens')),
    output_tokens: String(sum('output_tokens')),
    price: { amount: formatNanos(sum('price_nanos')), currency },
    invoices: rows.map((row) => ({
      invoice_id: row.invoice_id,
      number: row.number,
      status: row.status ?? 'open',
      period: row.period,
      price: { amount: formatNanos(row.price_nanos), currency },
    })),
  };
}
