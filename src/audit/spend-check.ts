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
 * therefore compared at the position that it had in one snapshot.
 */
export interface SpendCheck {
  accept(recorded: Recorded): void;
  /** Reads the tables. The log must then be accepted up to `position` before `results`. */
  readTables(pool: Pool): Promise<{ readonly position: bigint }>;
  /** `invoiced` is the usage on each invoice, by tenantPeriod(). */
  results(head: bigint, invoiced: ReadonlyMap<string, bigint>): CheckResult;
}

interface Sum {
  requests: bigint;
  nanos: bigint;
}

interface Tables {
  readonly keys: { readonly position: bigint; readonly sums: ReadonlyMap<string, Sum> };
  /** By tenantPeriod(). */
  readonly usage: { readonly position: bigint; readonly nanos: ReadonlyMap<string, bigint> };
}

export function tenantPeriod(tenantId: string, period: string): string {
  return `${tenantId} ${period}`;
}

export function spendCheck(): SpendCheck {
  const check = newCheck('spend');
  const ofKeys = new Map<string, Sum>();
  const ofTenants = new Map<string, bigint>();
  let tables: Tables | null = null;

  function acceptSpend({ event, position, tenantId }: Recorded): void {
    if (event.type !== 'spend.recorded') return;
    const { keyId, priceNanos, lines } = event.data;
    const ofLines = lines.reduce((sum, line) => sum + line.priceNanos, 0n);
    if (ofLines !== priceNanos)
      check.fail(position, `the lines come to ${ofLines} nanos, the price is ${priceNanos}`);
    if (tables === null || position <= tables.keys.position) {
      const sum = ofKeys.get(keyId);
      if (sum === undefined) ofKeys.set(keyId, { requests: 1n, nanos: priceNanos });
      else {
        sum.requests += 1n;
        sum.nanos += priceNanos;
      }
    }
    if (tables === null || position <= tables.usage.position) {
      ofTenants.set(tenantId ?? '', (ofTenants.get(tenantId ?? '') ?? 0n) + ofLines);
    }
  }

  function compareKeys({ keys }: Tables): bigint {
    const all = new Set([...ofKeys.keys(), ...keys.sums.keys()]);
    for (const keyId of all) {
      const logged = ofKeys.get(keyId) ?? { requests: 0n, nanos: 0n };
      const shown = keys.sums.get(keyId) ?? { requests: 0n, nanos: 0n };
      if (logged.nanos === shown.nanos && logged.requests === shown.requests) continue;
      check.fail(
        null,
        `key ${keyId}: the log has ${logged.requests} requests and ${logged.nanos} nanos, spend_totals ${shown.requests} and ${shown.nanos}`,
      );
    }
    return [...ofKeys.values()].reduce((sum, { nanos }) => sum + nanos, 0n);
  }

  /** Returns where the usage of the log is. */
  function compareTenants(
    { usage }: Tables,
    invoiced: ReadonlyMap<string, bigint>,
  ): { readonly invoiced: bigint; readonly open: bigint; readonly uninvoiced: bigint } {
    const where = { invoiced: 0n, open: 0n, uninvoiced: 0n };
    const shown = new Map<string, bigint>();
    for (const [id, nanos] of usage.nanos) {
      const end = id.lastIndexOf(' ');
      const tenantId = id.slice(0, end);
      const period = id.slice(end + 1);
      shown.set(tenantId, (shown.get(tenantId) ?? 0n) + nanos);
      where[period === OPEN ? 'open' : invoiced.has(id) ? 'invoiced' : 'uninvoiced'] += nanos;
    }
    for (const [id, nanos] of invoiced) {
      const expected = usage.nanos.get(id) ?? 0n;
      if (nanos === expected) continue;
      check.fail(null, `the invoice of ${id} carries usage of ${nanos} nanos, its period has ${expected}`);
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
    async readTables(pool) {
      tables = { keys: await readKeys(pool), usage: await readUsage(pool) };
      const { keys, usage } = tables;
      return { position: keys.position > usage.position ? keys.position : usage.position };
    },
    results(head, invoiced) {
      if (tables === null) throw new Error('read the tables first');
      for (const [name, { position }] of [
        ['spend_totals', tables.keys],
        ['usage', tables.usage],
      ] as const) {
        if (position < head)
          check.fail(
            position,
            `${name} stands at position ${position} and the log at ${head}: let it catch up`,
          );
      }
      const total = compareKeys(tables);
      const where = compareTenants(tables, invoiced);
      return check.result(
        `${ofKeys.size} keys spent ${formatNanos(total)}; usage: ${formatNanos(where.invoiced)} on invoices, ` +
          `${formatNanos(where.open)} open, ${formatNanos(where.uninvoiced)} in closed periods without an invoice`,
      );
    },
  };
}

function readKeys(pool: Pool): Promise<Tables['keys']> {
  return inSnapshot(pool, spendTotals, async (client, { tableName, position }) => {
    const { rows } = await client.query<{ id: string; requests: bigint; price_nanos: bigint }>(
      `select id, requests, price_nanos from ${quoted(tableName)} where level = 'key'`,
    );
    const sums = new Map(rows.map((row) => [row.id, { requests: row.requests, nanos: row.price_nanos }]));
    return { position, sums };
  });
}

function readUsage(pool: Pool): Promise<Tables['usage']> {
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
