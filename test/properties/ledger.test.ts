import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { OPEN } from '../../projections/usage.ts';
import { runInvoices } from '../../src/billing/invoice-run.ts';
import type { InvoiceRunDeps } from '../../src/billing/issue-invoice.ts';
import { derivedId } from '../../src/secrets.ts';
import type { EventStore } from '../../src/store/event-store.ts';
import { type MemoryBilling, memoryBilling } from '../billing/memory-billing.ts';
import {
  agencyRegistered,
  contractSigned,
  spendRecorded,
  tenantOnboarded,
  terms,
} from '../support/events.ts';
import { runs } from '../support/runs.ts';

/**
 * Random histories through the product's own decider, read models and invoice run: spend of several
 * tenants, projects and models, closes early and late and out of order, runs killed at any append.
 */
const TENANTS = ['ten_1', 'ten_2', 'ten_3'] as const;
const MONTHS = ['2026-09', '2026-10', '2026-11'] as const;
const RATES = { input: 150_000_000n, 'cached-input': 75_000_000n, output: 613_000_000n } as const;
const INCLUDED = 20_000_000n;

const spend = fc.record({
  kind: fc.constant('spend' as const),
  tenant: fc.nat(TENANTS.length - 1),
  key: fc.nat(1),
  projectId: fc.constantFrom(null, 'prj_1', 'prj_2'),
  model: fc.constantFrom('small', 'large'),
  month: fc.constantFrom(...MONTHS),
  lines: fc.uniqueArray(
    fc.record({
      unit: fc.constantFrom('input', 'cached-input', 'output'),
      quantity: fc.nat(200_000),
    }),
    { selector: ({ unit }) => unit, maxLength: 3 },
  ),
});
const close = fc.record({
  kind: fc.constant('close' as const),
  month: fc.constantFrom(...MONTHS),
  /** Append at which the run is killed, and whether that append is lost; null for an undisturbed run. */
  kill: fc.option(fc.record({ after: fc.nat(12), isLost: fc.boolean() })),
});
const history = fc.array(fc.oneof({ weight: 4, arbitrary: spend }, { weight: 1, arbitrary: close }), {
  maxLength: 40,
});
type ValueOf<A> = A extends fc.Arbitrary<infer V> ? V : never;
type Spend = ValueOf<typeof spend>;
type Close = ValueOf<typeof close>;
type Act = Spend | Close;

function request(period: string) {
  const actor = { kind: 'system', id: 'test' } as const;
  return { period, agencyId: 'age_1', actor, correlationId: `run ${period}` };
}

function killed(
  billing: MemoryBilling,
  { after, isLost }: { after: number; isLost: boolean },
): InvoiceRunDeps {
  let left = after;
  const store: EventStore = {
    ...billing.store,
    async append(writes) {
      left -= 1;
      if (left >= 0) return billing.store.append(writes);
      if (left === -1 && !isLost) await billing.store.append(writes);
      // Of a kind that nobody tries again: a killed process does not either.
      throw new TypeError('killed');
    },
  };
  return { ...billing, store };
}

async function play(acts: readonly Act[]): Promise<MemoryBilling> {
  const billing = memoryBilling('2026-12-15T10:00:00.000Z');
  await billing.append('agency-age_1', [agencyRegistered()], { tenantId: null });
  for (const [i, tenantId] of TENANTS.entries()) {
    const contract = terms({
      monthlyFeeNanos: BigInt(i) * 10_000_000_000n,
      includedUsageNanos: BigInt(i) * INCLUDED,
    });
    const signed = contractSigned({ tenantId, effectiveFrom: '2026-01-01T00:00:00.000Z', terms: contract });
    await billing.append(`tenant-${tenantId}`, [tenantOnboarded({ tenantId }), signed], { tenantId });
  }
  for (const [i, act] of acts.entries()) {
    if (act.kind === 'spend') await recordSpend(billing, act, i);
    else await closeMonth(billing, act);
  }
  return billing;
}

async function recordSpend(billing: MemoryBilling, act: Spend, i: number): Promise<void> {
  const { projectId, model, month } = act;
  const tenantId = TENANTS[act.tenant]!;
  const lines = act.lines.map(({ unit, quantity }) => {
    const priceNanos = (RATES[unit] / 1_000_000n) * BigInt(quantity);
    return { unit, quantity, priceRate: RATES[unit], priceNanos, costNanos: 0n };
  });
  const priceNanos = lines.reduce((sum, line) => sum + line.priceNanos, 0n);
  const keyId = `key_${tenantId}_${act.key}`;
  const event = spendRecorded({
    requestId: `req_${i}`,
    keyId,
    projectId,
    model,
    month,
    lines,
    priceNanos,
    costNanos: 0n,
  });
  await billing.append('spend-2026-11-w1', [event], { tenantId });
}

async function closeMonth(billing: MemoryBilling, { month, kill }: Close): Promise<void> {
  if (kill !== null) {
    const failing = runInvoices(killed(billing, kill), request(month));
    await failing.catch((error: unknown) => expect(error).toMatchObject({ message: 'killed' }));
  }
  await runInvoices(billing, request(month));
}

function add(sums: Map<string, bigint>, id: string, by: bigint): void {
  sums.set(id, (sums.get(id) ?? 0n) + by);
}

/** What the log says, added up without the product's read models. */
async function ledger(billing: MemoryBilling) {
  const ofKeys = new Map<string, bigint>();
  const recorded = new Map<string, bigint>();
  const invoiced = new Map<string, bigint>();
  const granted = new Map<string, bigint>();
  const numbers: string[] = [];
  for (const { event, tenantId } of await billing.events()) {
    if (event.type === 'spend.recorded') {
      add(ofKeys, event.data.keyId, event.data.priceNanos);
      add(recorded, `${tenantId} ${event.data.month}`, event.data.priceNanos);
    }
    if (event.type === 'invoice.finalized') numbers.push(event.data.number);
    if (event.type !== 'invoice.drafted') continue;
    for (const { kind, serviceMonth, nanos } of event.data.lines) {
      if (kind === 'usage') add(invoiced, `${tenantId} ${serviceMonth}`, nanos);
      if (kind === 'included') add(granted, `${tenantId} ${serviceMonth}`, -nanos);
    }
  }
  return { ofKeys, recorded, invoiced, granted, numbers };
}

test('each recorded nano is the spend of its key, and is open or on exactly one invoice of its tenant', async () => {
  await fc.assert(
    fc.asyncProperty(history, async (acts) => {
      const billing = await play(acts);
      await billing.settled(await billing.store.head());
      const { ofKeys, recorded, invoiced, granted, numbers } = await ledger(billing);
      const { usage, totals } = billing.tables;
      for (const [keyId, nanos] of ofKeys) expect(totals.get('key', keyId)?.price_nanos).toBe(nanos);
      for (const tenantId of TENANTS) {
        for (const month of MONTHS) {
          const id = `${tenantId} ${month}`;
          const open = [...usage.rows()]
            .filter((row) => row.tenant_id === tenantId && row.month === month && row.invoice_period === OPEN)
            .reduce((sum, row) => sum + row.price_nanos, 0n);
          expect((invoiced.get(id) ?? 0n) + open, id).toBe(recorded.get(id) ?? 0n);
          const included = BigInt(TENANTS.indexOf(tenantId)) * INCLUDED;
          expect(granted.get(id) ?? 0n).toBeLessThanOrEqual(included);
          // What is invoiced of a month has used up what the plan gives, or is covered by it.
          const covered = (invoiced.get(id) ?? 0n) < included ? (invoiced.get(id) ?? 0n) : included;
          expect(granted.get(id) ?? 0n, id).toBe(covered);
        }
      }
      expect(numbers.toSorted()).toEqual(numbers.map((_, i) => `RE-2026-${String(i + 1).padStart(5, '0')}`));
    }),
    runs(30),
  );
}, 60_000);

test('nothing is invoiced for a month after the period', async () => {
  await fc.assert(
    fc.asyncProperty(history, async (acts) => {
      const billing = await play(acts);
      for (const { event } of await billing.events()) {
        if (event.type !== 'invoice.drafted') continue;
        for (const { serviceMonth } of event.data.lines) expect(serviceMonth <= event.data.period).toBe(true);
      }
    }),
    runs(15),
  );
}, 60_000);

test('running every closed month again changes nothing', async () => {
  await fc.assert(
    fc.asyncProperty(history, async (acts) => {
      const billing = await play(acts);
      const head = await billing.store.head();
      const documents = new Map(billing.documents);
      for (const month of new Set(acts.flatMap((act) => (act.kind === 'close' ? [act.month] : [])))) {
        const { invoices } = await runInvoices(billing, request(month));
        for (const { tenant_id, invoice_id, status } of invoices) {
          expect(['repeated', 'skipped']).toContain(status);
          expect(invoice_id).toBe(derivedId('inv', `age_1 ${month}`, tenant_id));
        }
      }
      expect(await billing.store.head()).toBe(head);
      expect(billing.documents).toEqual(documents);
    }),
    runs(15),
  );
}, 60_000);
