import * as fc from 'fast-check';
import { Temporal } from 'temporal-polyfill';
import { expect, test } from 'vitest';
import { OPEN } from '../../projections/usage.ts';
import { contractAtCut } from '../../src/billing/contract-facts.ts';
import { readDocument } from '../../src/billing/documents/invoice-document.ts';
import { cancelInvoice } from '../../src/billing/invoice-life.ts';
import { runInvoices } from '../../src/billing/invoice-run.ts';
import { verifyInvoice } from '../../src/billing/verify-invoice.ts';
import { parseNanos } from '../../src/domain/money.ts';
import { nextPeriod, periodOf } from '../../src/domain/period.ts';
import { feeShare, monthlySum, partsOf } from '../../src/domain/proration.ts';
import { tenant } from '../../src/domain/tenant.ts';
import { load } from '../../src/transact.ts';
import { type MemoryBilling, memoryBilling } from '../billing/memory-billing.ts';
import {
  agencyRegistered,
  contractSigned,
  spendRecorded,
  tenantOnboarded,
  terms,
} from '../support/events.ts';

/**
 * Random months of two agencies, of which one is in another zone: usage at any instant, the hours around
 * the start of a month more often; usage that is recorded weeks late; plans that change at any instant,
 * also for days that are invoiced; invoices that are taken back, and issued anew or not. The months
 * include both changes of the clocks, the end of a year, and a February with 29 days.
 */
const MONTHS = 4;
const STARTS = ['2026-09', '2027-12', '2028-01', '2029-02'] as const;
const ZONES = ['America/New_York', 'Asia/Kathmandu', 'Australia/Lord_Howe', 'Africa/Casablanca'] as const;
const BERLIN = 'Europe/Berlin';
const AGENCIES = ['age_1', 'age_2'] as const;
const TENANTS = [0, 1] as const;
const MINUTES = 43_200;
const RATE = 1_000_000_000n;

/** Minutes from the start of a month of the world; close to it every other time. */
const instant = fc.record({
  month: fc.nat(MONTHS - 1),
  minute: fc.oneof(fc.integer({ min: -180, max: 180 }), fc.integer({ min: 0, max: MINUTES - 1 })),
});
const whose = { agency: fc.nat(1), tenant: fc.nat(1) };
const act = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('use' as const),
      ...whose,
      at: instant,
      tokens: fc.integer({ min: 1, max: 5_000_000 }),
      lateDays: fc.oneof(fc.constant(0), fc.nat(45)),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('change' as const),
      ...whose,
      at: instant,
      cents: fc.integer({ min: 0, max: 50_000 }),
      backDays: fc.oneof(fc.constant(0), fc.nat(20)),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('take back' as const),
      ...whose,
      at: instant,
      replace: fc.boolean(),
    }),
  },
);
type ValueOf<A> = A extends fc.Arbitrary<infer V> ? V : never;
type Act = ValueOf<typeof act>;

interface World {
  readonly billing: MemoryBilling;
  readonly zones: readonly string[];
  readonly months: readonly string[];
}

const tenantOf = ({ agency, tenant: n }: { readonly agency: number; readonly tenant: number }) =>
  `ten_${agency}_${n}`;
const startOf = (month: string, zone: string) =>
  Temporal.PlainDate.from(`${month}-01`).toZonedDateTime(zone).toInstant();
const iso = (at: Temporal.Instant) => at.toString({ smallestUnit: 'millisecond' });
const plan = (cents: number) =>
  terms({ plan: `p${cents}`, monthlyFeeNanos: BigInt(cents) * 10_000_000n, includedUsageNanos: 0n });

async function begin(start: string, zone: string): Promise<World> {
  const months = [start];
  while (months.length < MONTHS) months.push(nextPeriod(months.at(-1)!));
  const zones = [BERLIN, zone];
  const billing = memoryBilling(iso(startOf(start, zone)));
  for (const [agency, agencyId] of AGENCIES.entries()) {
    const registered = agencyRegistered({ agencyId, zone: zones[agency]! });
    await billing.append(`agency-${agencyId}`, [registered], { agencyId, tenantId: null });
    for (const n of TENANTS) {
      const tenantId = tenantOf({ agency, tenant: n });
      const effectiveFrom = iso(startOf(start, zones[agency]!));
      const signed = contractSigned({ tenantId, effectiveFrom, terms: plan(n * 4_900) });
      const envelope = { agencyId, tenantId, occurredAt: effectiveFrom };
      await billing.append(`tenant-${tenantId}`, [tenantOnboarded({ tenantId, agencyId }), signed], envelope);
    }
  }
  return { billing, zones, months };
}

/** Everything in the order of its instants; each agency closes each month ten days after its end. */
async function play(world: World, acts: readonly Act[]): Promise<void> {
  const { billing, zones, months } = world;
  const happenings: { at: Temporal.Instant; run: () => Promise<void> }[] = [];
  for (const [i, one] of acts.entries()) {
    const at = startOf(months[one.at.month]!, zones[one.agency]!).add({ minutes: one.at.minute });
    happenings.push({ at, run: () => carryOut(world, one, at, i) });
  }
  for (const [agency, agencyId] of AGENCIES.entries()) {
    for (const period of [...months, nextPeriod(months.at(-1)!)]) {
      const at = startOf(nextPeriod(period), zones[agency]!).add({ hours: 240 });
      happenings.push({ at, run: () => close(billing, agencyId, period) });
    }
  }
  happenings.sort((a, b) => Temporal.Instant.compare(a.at, b.at));
  for (const { at, run } of happenings) {
    billing.clock = iso(at);
    await run();
  }
}

async function close(billing: MemoryBilling, agencyId: string, period: string): Promise<void> {
  const actor = { kind: 'system', id: 'test' } as const;
  const { invoices } = await runInvoices(billing, { period, agencyId, actor, correlationId: 'run' });
  for (const { status } of invoices) expect(['finalized', 'skipped']).toContain(status);
}

async function carryOut(
  { billing, zones, months }: World,
  one: Act,
  at: Temporal.Instant,
  i: number,
): Promise<void> {
  const agencyId = AGENCIES[one.agency]!;
  const tenantId = tenantOf(one);
  const zone = zones[one.agency]!;
  const begun = startOf(months[0]!, zone);
  const ago = (days: number) => {
    const then = at.subtract({ hours: 24 * days });
    return Temporal.Instant.compare(then, begun) < 0 ? begun : then;
  };
  const envelope = { agencyId, tenantId, occurredAt: iso(at) };
  if (one.kind === 'use') {
    const admitted = ago(one.lateDays);
    const priceNanos = (RATE / 1_000_000n) * BigInt(one.tokens);
    const spend = spendRecorded({
      requestId: `req_${i}`,
      admittedAt: iso(admitted),
      month: periodOf(iso(admitted), zone),
      projectId: null,
      lines: [{ unit: 'output', quantity: one.tokens, priceRate: RATE, priceNanos, costNanos: 0n }],
      priceNanos,
      costNanos: 0n,
    });
    await billing.append(`spend-${agencyId}-w1`, [spend], envelope);
  } else if (one.kind === 'change') {
    const state = await load(billing.store, tenant, `tenant-${tenantId}`);
    const version = {
      contractId: `con_${i}`,
      effectiveFrom: iso(ago(one.backDays)),
      terms: plan(one.cents),
      agreed: null,
    };
    const events = tenant.decide({ type: 'agree', version }, state);
    if (events.length > 0) await billing.append(`tenant-${tenantId}`, events, envelope);
  } else {
    const newest = [...(await chains(billing)).values()].filter(
      (chain) => chain.at(-1)!.tenantId === tenantId,
    );
    const last = newest.at(-1)?.at(-1);
    if (last === undefined || last.number === null || last.cancellationId !== null) return;
    const cause = { actor: { kind: 'system', id: 'test' }, correlationId: 'c', causationId: 'c' } as const;
    const { invoiceId } = last;
    await cancelInvoice(billing, {
      agencyId,
      tenantId,
      invoiceId,
      reason: 'wrong',
      replace: one.replace,
      cause,
    });
  }
}

interface Issued {
  readonly agencyId: string;
  readonly tenantId: string;
  readonly invoiceId: string;
  readonly period: string;
  readonly lines: readonly { readonly kind: string; readonly serviceMonth: string; readonly nanos: bigint }[];
  number: string | null;
  cancellationId: string | null;
  cancellationNumber: string | null;
}

/** The invoices of each tenant and period, each the replacement of the one before it, from the log alone. */
async function chains(billing: MemoryBilling): Promise<ReadonlyMap<string, readonly Issued[]>> {
  const found = new Map<string, Issued[]>();
  const byId = new Map<string, Issued>();
  for (const { event, agencyId, tenantId } of await billing.events()) {
    if (event.type === 'invoice.drafted') {
      const { invoiceId, period, lines, replaces } = event.data;
      const none = { number: null, cancellationId: null, cancellationNumber: null };
      const issued: Issued = { agencyId, tenantId: tenantId!, invoiceId, period, lines, ...none };
      const chain = found.get(`${tenantId} ${period}`) ?? [];
      expect(replaces).toBe(chain.at(-1)?.invoiceId ?? null);
      found.set(`${tenantId} ${period}`, [...chain, issued]);
      byId.set(invoiceId, issued);
    }
    if (event.type === 'invoice.finalized') byId.get(event.data.invoiceId)!.number = event.data.number;
    if (event.type !== 'invoice.cancelled') continue;
    const cancelled = byId.get(event.data.invoiceId)!;
    cancelled.cancellationId = event.data.cancellationId;
    cancelled.cancellationNumber = event.data.number;
  }
  return found;
}

const worlds = fc.record({
  start: fc.constantFrom(...STARTS),
  zone: fc.constantFrom(...ZONES),
  acts: fc.array(act, { maxLength: 30 }),
});

test('over random months of several agencies every nano is on exactly one invoice, fees are those of their days, and a Stornorechnung nets to zero', {
  timeout: 120_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(worlds, async ({ start, zone, acts }) => {
      const world = await begin(start, zone);
      await play(world, acts);
      const { billing } = world;
      await billing.settled(await billing.store.head());
      const all = await chains(billing);
      await expectUsageOnce(world, all);
      await expectFees(world, all);
      expectNumbers(all);
      for (const chain of all.values()) for (const one of chain) await expectProved(billing, one);
    }),
    { numRuns: Number(process.env['MONTHS_RUNS'] ?? 10) },
  );
});

/** By the month of service: what was recorded is on the first invoice of exactly one chain, and on all of that chain. */
async function expectUsageOnce(
  { billing }: World,
  all: ReadonlyMap<string, readonly Issued[]>,
): Promise<void> {
  const left = new Map<string, bigint>();
  const add = (id: string, nanos: bigint) => left.set(id, (left.get(id) ?? 0n) + nanos);
  for (const { event, tenantId } of await billing.events()) {
    if (event.type === 'spend.recorded') add(`${tenantId} ${event.data.month}`, event.data.priceNanos);
  }
  for (const row of billing.tables.usage.rows()) {
    if (row.invoice_period === OPEN) add(`${row.tenant_id} ${row.month}`, -row.price_nanos);
  }
  for (const chain of all.values()) {
    const usages = chain.map(({ lines }) => lines.filter(({ kind }) => kind === 'usage'));
    for (const { serviceMonth, nanos } of usages[0]!) add(`${chain[0]!.tenantId} ${serviceMonth}`, -nanos);
    for (const again of usages) expect(again).toEqual(usages[0]);
    for (const one of chain.slice(0, -1)) expect(one.cancellationId).not.toBeNull();
  }
  expect([...left].filter(([, nanos]) => nanos !== 0n)).toEqual([]);
}

/** Of months whose invoice was not left taken back: what was charged for each is what its contract came to. */
async function expectFees(
  { billing, zones, months }: World,
  all: ReadonlyMap<string, readonly Issued[]>,
): Promise<void> {
  for (const [agency] of AGENCIES.entries()) {
    for (const n of TENANTS) {
      const tenantId = tenantOf({ agency, tenant: n });
      const own = [...all.values()].filter((chain) => chain[0]!.tenantId === tenantId);
      if (own.some((chain) => chain.some(({ cancellationId }) => cancellationId !== null))) continue;
      const { versions } = await contractAtCut(billing.store, tenantId, await billing.store.head());
      const fees = own.flat().flatMap(({ lines }) => lines.filter(({ kind }) => kind !== 'usage'));
      for (const month of months) {
        const due = monthlySum(
          partsOf(versions, month, zones[agency]!),
          (one) => one.monthlyFeeNanos,
          feeShare,
        );
        const charged = fees.reduce(
          (sum, line) => (line.serviceMonth === month ? sum + line.nanos : sum),
          0n,
        );
        expect(charged, `${tenantId} ${month}`).toBe(due);
      }
    }
  }
}

/** Each agency has its own, 1 to N in each year, Stornorechnungen included. */
function expectNumbers(all: ReadonlyMap<string, readonly Issued[]>): void {
  const series = new Map<string, string[]>();
  for (const { agencyId, number, cancellationNumber } of [...all.values()].flat()) {
    for (const one of [number, cancellationNumber]) {
      if (one === null) continue;
      const id = `${agencyId} ${one.slice(0, -6)}`;
      series.set(id, [...(series.get(id) ?? []), one.slice(-5)]);
    }
  }
  for (const places of series.values()) {
    expect(places.toSorted()).toEqual(places.map((_, n) => String(n + 1).padStart(5, '0')));
  }
}

async function expectProved(billing: MemoryBilling, one: Issued): Promise<void> {
  const { equal, differences } = await verifyInvoice(billing, one);
  expect({ equal, differences }).toEqual({ equal: true, differences: [] });
  if (one.cancellationId === null) return;
  const made = readDocument(billing.documents.get(one.invoiceId)!.document);
  const storno = readDocument(billing.documents.get(one.cancellationId)!.document);
  for (const name of ['net', 'tax', 'gross'] as const) {
    expect(parseNanos(storno.totals[name]) + parseNanos(made.totals[name])).toBe(0n);
  }
  for (const [i, line] of made.lines.entries()) {
    expect(parseNanos(storno.lines[i]!.net) + parseNanos(line.net)).toBe(0n);
  }
}
