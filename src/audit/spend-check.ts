import type { Pool } from 'pg';
import { spendTotals } from '../../projections/spend-totals.ts';
import { OPEN, usage } from '../../projections/usage.ts';
import { formatNanos } from '../domain/money.ts';
import type { Recorded } from '../events.ts';
import { inSnapshot } from '../projection-reader.ts';
import { quoted } from '../projection-sql.ts';
import { type CheckResult, newCheck } from './check.ts';

/**
 * The sum of what was recorded per key is the key's spend, and per tenant what is on its invoices
 * plus what is not on one yet, to the nano. The read models move on while the log is read; each is
 * therefore read first, and compared with the log as it was at exactly its position.
 */
export interface SpendCheck {
  accept(recorded: Recorded): void;
  /** `drafts` by tenantPeriod(). */
  results(drafts: ReadonlyMap<string, InvoicedUsage>): CheckResult;
}

/** The usage that one invoice carries. */
export interface InvoicedUsage {
  readonly nanos: bigint;
  /** Of the draft. */
  readonly position: bigint;
}

interface Sum {
  requests: bigint;
  nanos: bigint;
}

export interface SpendTables {
  readonly keys: { readonly position: bigint; readonly sums: ReadonlyMap<string, Sum> };
  /** By tenantPeriod(). */
  readonly usage: { readonly position: bigint; readonly nanos: ReadonlyMap<string, bigint> };
}

export function tenantPeriod(tenantId: string, period: string): string {
  return `${tenantId} ${period}`;
}

export function spendCheck(tables: SpendTables): SpendCheck {
  const check = newCheck('spend');
  const ofKeys = new Map<string, Sum>();
  const ofTenants = new Map<string, bigint>();

  function acceptSpend({ event, position, tenantId }: Recorded): void {
    if (event.type !== 'spend.recorded') return;
    const { keyId, priceNanos, lines } = event.data;
    const ofLines = lines.reduce((sum, line) => sum + line.priceNanos, 0n);
    if (ofLines !== priceNanos)
      check.fail(position, `the lines come to ${ofLines} nanos, the price is ${priceNanos}`);
    if (position <= tables.keys.position) {
      const sum = ofKeys.get(keyId);
      if (sum === undefined) ofKeys.set(keyId, { requests: 1n, nanos: priceNanos });
      else {
        sum.requests += 1n;
        sum.nanos += priceNanos;
      }
    }
    if (position <= tables.usage.position) {
      ofTenants.set(tenantId ?? '', (ofTenants.get(tenantId ?? '') ?? 0n) + ofLines);
    }
  }

  function compareKeys(): bigint {
    const { sums } = tables.keys;
    for (const keyId of new Set([...ofKeys.keys(), ...sums.keys()])) {
      const logged = ofKeys.get(keyId) ?? { requests: 0n, nanos: 0n };
      const shown = sums.get(keyId) ?? { requests: 0n, nanos: 0n };
      if (logged.nanos === shown.nanos && logged.requests === shown.requests) continue;
      check.fail(
        null,
        `key ${keyId}: the log has ${logged.requests} requests and ${logged.nanos} nanos, ` +
          `spend_totals ${shown.requests} and ${shown.nanos}`,
      );
    }
    return [...ofKeys.values()].reduce((sum, { nanos }) => sum + nanos, 0n);
  }

  /** Returns where the usage of the log is. */
  function compareTenants(drafts: ReadonlyMap<string, InvoicedUsage>): Record<Place, bigint> {
    const { nanos: shownNanos, position } = tables.usage;
    const where = { invoiced: 0n, open: 0n, uninvoiced: 0n };
    const shown = new Map<string, bigint>();
    for (const [id, nanos] of shownNanos) {
      const end = id.lastIndexOf(' ');
      const tenantId = id.slice(0, end);
      shown.set(tenantId, (shown.get(tenantId) ?? 0n) + nanos);
      where[id.slice(end + 1) === OPEN ? 'open' : drafts.has(id) ? 'invoiced' : 'uninvoiced'] += nanos;
    }
    for (const [id, draft] of drafts) {
      const expected = shownNanos.get(id) ?? 0n;
      if (draft.position > position || draft.nanos === expected) continue;
      check.fail(
        draft.position,
        `the invoice of ${id} carries usage of ${draft.nanos} nanos, its period has ${expected}`,
      );
    }
    for (const tenantId of new Set([...shown.keys(), ...ofTenants.keys()])) {
      const logged = ofTenants.get(tenantId) ?? 0n;
      const sum = shown.get(tenantId) ?? 0n;
      if (logged !== sum) check.fail(null, `tenant ${tenantId}: the log has ${logged} nanos, usage ${sum}`);
    }
    return where;
  }

  return {
    accept: acceptSpend,
    results(drafts) {
      const total = compareKeys();
      const where = compareTenants(drafts);
      return check.result(
        `${ofKeys.size} keys spent ${formatNanos(total)}; usage: ${formatNanos(where.invoiced)} on invoices, ` +
          `${formatNanos(where.open)} open, ${formatNanos(where.uninvoiced)} in closed periods without an invoice`,
      );
    },
  };
}

type Place = 'invoiced' | 'open' | 'uninvoiced';

export async function readSpendTables(pool: Pool): Promise<SpendTables> {
  return { keys: await readKeys(pool), usage: await readUsage(pool) };
}

function readKeys(pool: Pool): Promise<SpendTables['keys']> {
  return inSnapshot(pool, spendTotals, async (client, { tableName, position }) => {
    const { rows } = await client.query<{ id: string; requests: bigint; price_nanos: bigint }>(
      `select id, requests, price_nanos from ${quoted(tableName)} where level = 'key'`,
    );
    const sums = new Map(rows.map((row) => [row.id, { requests: row.requests, nanos: row.price_nanos }]));
    return { position, sums };
  });
}

function readUsage(pool: Pool): Promise<SpendTables['usage']> {
  return inSnapshot(pool, usage, async (client, { tableName, position }) => {
    const { rows } = await client.query<{ tenant_id: string; invoice_period: string; nanos: bigint }>(
      `select tenant_id, invoice_period, sum(price_nanos) as nanos from ${quoted(tableName)}
       group by tenant_id, invoice_period`,
    );
    return {
      position,
      nanos: new Map(rows.map((row) => [tenantPeriod(row.tenant_id, row.invoice_period), row.nanos])),
    };
  });
}
