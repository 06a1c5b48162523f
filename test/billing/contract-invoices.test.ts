import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { runInvoices } from '../../src/billing/invoice-run.ts';
import { contractAtCut } from '../../src/billing/contract-facts.ts';
import { previewInvoice } from '../../src/billing/preview-invoice.ts';
import { verifyInvoice } from '../../src/billing/verify-invoice.ts';
import { tenant } from '../../src/domain/tenant.ts';
import { parseNanos } from '../../src/domain/money.ts';
import type { Discount } from '../../src/domain/discount.ts';
import type { Agreed, Terms } from '../../src/domain/plan.ts';
import { feeShare, monthlySum, partsOf } from '../../src/domain/proration.ts';
import { load } from '../../src/transact.ts';
import { agencyRegistered, spendRecorded, tenantOnboarded, terms } from '../support/events.ts';
import { type MemoryBilling, memoryBilling } from './memory-billing.ts';

const ZONE = 'Europe/Berlin';
const RATE = 1_000_000_000n;
const plan = (name: string, fee: string, different: Partial<Terms> = {}): Terms =>
  terms({ plan: name, monthlyFeeNanos: parseNanos(fee), includedUsageNanos: 0n, ...different });

/** A tenant whose contract changes go through its decider, as they do in the product. */
async function begin(at: string, first: Terms, open: readonly string[] = []): Promise<MemoryBilling> {
  const billing = memoryBilling(at);
  await billing.append('agency-age_1', [agencyRegistered()], { tenantId: null });
  const contract = { contractId: 'con_0', effectiveFrom: at, terms: first };
  const signed = { type: 'contract.signed', data: { tenantId: 'ten_1', ...contract } } as const;
  const projects = open.map((projectId) => ({
    type: 'project.opened' as const,
    data: { tenantId: 'ten_1', projectId, environments: [], limits: null },
  }));
  const envelope = { tenantId: 'ten_1', occurredAt: at };
  await billing.append('tenant-ten_1', [tenantOnboarded(), signed, ...projects], envelope);
  return billing;
}

let changes = 0;
/** `from` defaults to the instant of agreeing; null ends the contract. */
async function change(
  billing: MemoryBilling,
  at: string,
  next: Terms | null,
  from = at,
  agreed: Agreed | null = null,
): Promise<void> {
  const state = await load(billing.store, tenant, 'tenant-ten_1');
  changes += 1;
  const version = { contractId: `con_${changes}`, effectiveFrom: from, terms: next, agreed };
  const events = tenant.decide({ type: 'agree', version }, state);
  if (events.length > 0) await billing.append('tenant-ten_1', events, { tenantId: 'ten_1', occurredAt: at });
}

async function close(billing: MemoryBilling, period: string): Promise<void> {
  const [year, month] = period.split('-').map(Number);
  billing.clock = new Date(Date.UTC(year!, month, 2, 10)).toISOString();
  const actor = { kind: 'system', id: 'test' } as const;
  await runInvoices(billing, { period, agencyId: 'age_1', actor, correlationId: `run ${period}` });
}

let requests = 0;
async function use(billing: MemoryBilling, month: string, tokens: number): Promise<void> {
  requests += 1;
  const priceNanos = (RATE / 1_000_000n) * BigInt(tokens);
  const line = { unit: 'output', quantity: tokens, priceRate: RATE, priceNanos, costNanos: 0n } as const;
  const facts = { requestId: `req_${requests}`, projectId: null, model: 'small', month, lines: [line] };
  const spent = spendRecorded({ ...facts, priceNanos, costNanos: 0n });
  await billing.append('spend-2026-w1', [spent], { tenantId: 'ten_1' });
}

/** `2026-11 fee 2026-11-01..2026-11-10 16.33`, by the period of the invoice. */
async function invoices(billing: MemoryBilling): Promise<Readonly<Record<string, readonly string[]>>> {
  const found: Record<string, readonly string[]> = {};
  for (const { event } of await billing.events()) {
    if (event.type !== 'invoice.drafted') continue;
    found[event.data.period] = event.data.lines.map(({ serviceMonth, kind, from, to, netCents }) =>
      [serviceMonth, kind, ...(from === undefined ? [] : [`${from}..${to}`]), Number(netCents) / 100].join(
        ' ',
      ),
    );
  }
  return found;
}

/** Every invoice follows from the log alone. */
async function verified(billing: MemoryBilling): Promise<void> {
  for (const { event } of await billing.events()) {
    if (event.type !== 'invoice.drafted') continue;
    const ref = { invoiceId: event.data.invoiceId, agencyId: 'age_1', tenantId: 'ten_1' };
    const { equal, differences } = await verifyInvoice(billing, ref);
    expect({ equal, differences }).toEqual({ equal: true, differences: [] });
  }
}

describe('fees', () => {
  test('of a contract that begins and changes within a month are charged by days, with the days on the line', async () => {
    const billing = await begin('2026-11-06T10:00:00.000Z', plan('starter', '49.00'));
    await change(billing, '2026-11-16T10:00:00.000Z', plan('studio', '149.00'));
    await change(billing, '2026-11-26T10:00:00.000Z', plan('agency', '499.00'));
    await close(billing, '2026-11');
    await close(billing, '2026-12');
    expect(await invoices(billing)).toEqual({
      // 49.00 x 15/30 - 49.00 x 5/30, 149.00 x 25/30 - 149.00 x 15/30, 499.00 - 499.00 x 25/30
      '2026-11': [
        '2026-11 fee 2026-11-06..2026-11-15 16.33',
        '2026-11 fee 2026-11-16..2026-11-25 49.67',
        '2026-11 fee 2026-11-26..2026-11-30 83.17',
      ],
      '2026-12': ['2026-12 fee 499'],
    });
    await verified(billing);
  });

  test('of a month that is amended after its close are corrected on the next invoice', async () => {
    const billing = await begin('2026-10-01T10:00:00.000Z', plan('starter', '49.00'));
    await close(billing, '2026-10');
    await change(billing, '2026-11-20T10:00:00.000Z', plan('studio', '149.00'), '2026-10-17T22:00:00.000Z');
    await close(billing, '2026-11');
    await close(billing, '2026-12');
    const { '2026-11': november, '2026-12': december } = await invoices(billing);
    // 49.00 x 17/31 = 26.87, and 149.00 - 149.00 x 17/31 = 67.29: 94.16 instead of 49.00.
    expect(november).toEqual(['2026-10 correction 45.16', '2026-11 fee 149']);
    expect(december).toEqual(['2026-12 fee 149']);
    await verified(billing);
  });

  test('of projects are charged for the days on which they were open', async () => {
    const billing = await begin(
      '2026-11-01T10:00:00.000Z',
      plan('starter', '0.00', { projectFeeNanos: parseNanos('30') }),
      ['prj_1'],
    );
    const second = { tenantId: 'ten_1', projectId: 'prj_2', environments: [], limits: null } as const;
    await billing.append('tenant-ten_1', [{ type: 'project.opened', data: second }], {
      tenantId: 'ten_1',
      occurredAt: '2026-11-11T10:00:00.000Z',
    });
    await billing.append('tenant-ten_1', [{ type: 'project.closed', data: { projectId: 'prj_1' } }], {
      tenantId: 'ten_1',
      occurredAt: '2026-11-16T10:00:00.000Z',
    });
    await close(billing, '2026-11');
    expect(await invoices(billing)).toEqual({
      '2026-11': [
        '2026-11 project-fee 2026-11-01..2026-11-15 15',
        '2026-11 project-fee 2026-11-11..2026-11-30 20',
      ],
    });
  });

  test('that are due in advance are on the invoice before their month, and settled when it changes', async () => {
    const billing = await begin(
      '2026-11-16T10:00:00.000Z',
      plan('starter', '60.00', { feesInAdvance: true }),
    );
    await close(billing, '2026-11');
    await change(
      billing,
      '2026-12-11T10:00:00.000Z',
      plan('studio', '91.00', { feesInAdvance: true }),
      '2026-12-16T23:00:00.000Z',
    );
    await close(billing, '2026-12');
    const { '2026-11': november, '2026-12': december } = await invoices(billing);
    expect(november).toEqual(['2026-11 fee 2026-11-16..2026-11-30 30', '2026-12 fee 60']);
    // 60.00 x 16/31 + 91.00 - 91.00 x 16/31 = 30.97 + 44.03: 15.00 more than was charged.
    expect(december).toEqual(['2026-12 correction 15', '2027-01 fee 91']);
    await verified(billing);
  });
});

describe('usage', () => {
  test('that is included is prorated like the fee, and one total for the month', async () => {
    const included = (amount: string) => ({ includedUsageNanos: parseNanos(amount) });
    const billing = await begin('2026-11-01T10:00:00.000Z', plan('starter', '0.00', included('30')));
    await change(billing, '2026-11-16T10:00:00.000Z', plan('studio', '0.00', included('90')));
    await use(billing, '2026-11', 100_000_000);
    await close(billing, '2026-11');
    expect((await invoices(billing))['2026-11']).toEqual(['2026-11 usage 100', '2026-11 included -60']);
    await verified(billing);
  });

  test('below the minimum commitment is topped up, and late usage takes that off again', async () => {
    const billing = await begin(
      '2026-11-01T10:00:00.000Z',
      plan('starter', '0.00', { commitmentNanos: parseNanos('50'), includedUsageNanos: parseNanos('10') }),
    );
    await use(billing, '2026-11', 25_000_000);
    await close(billing, '2026-11');
    await use(billing, '2026-11', 20_000_000);
    await use(billing, '2026-12', 70_000_000);
    await close(billing, '2026-12');
    expect(await invoices(billing)).toEqual({
      '2026-11': ['2026-11 usage 25', '2026-11 included -10', '2026-11 commitment 35'],
      '2026-12': ['2026-11 usage 20', '2026-11 commitment -20', '2026-12 usage 70', '2026-12 included -10'],
    });
    await verified(billing);
  });

  test('with tiers is recorded at the first price, and the month settles the difference', async () => {
    const steps = [
      { upTo: 10_000_000n, rate: RATE },
      { upTo: null, rate: RATE / 2n },
    ];
    const tiers = { output: { mode: 'graduated', steps, packageSize: 0n } } as const;
    const small = { inputRate: RATE, cachedInputRate: RATE, outputRate: RATE, tiers };
    const billing = await begin(
      '2026-11-01T10:00:00.000Z',
      plan('starter', '0.00', { prices: { models: { small }, markupPercent: null } }),
    );
    await use(billing, '2026-11', 16_000_000);
    await close(billing, '2026-11');
    await use(billing, '2026-11', 4_000_000);
    await close(billing, '2026-12');
    expect(await invoices(billing)).toEqual({
      '2026-11': ['2026-11 usage 16', '2026-11 tier -3'],
      '2026-12': ['2026-11 usage 4', '2026-11 tier -2'],
    });
    await verified(billing);
  });

  test('that is included in requests is taken off at the average price of the month', async () => {
    const billing = await begin(
      '2026-11-01T10:00:00.000Z',
      plan('starter', '0.00', { includedRequests: 3n }),
    );
    await use(billing, '2026-11', 2_000_000);
    await use(billing, '2026-11', 6_000_000);
    await close(billing, '2026-11');
    await use(billing, '2026-11', 4_000_000);
    await use(billing, '2026-11', 4_000_000);
    await close(billing, '2026-12');
    // First all of it: two of three requests. Then three of four: 12.00 of 16.00.
    expect(await invoices(billing)).toEqual({
      '2026-11': ['2026-11 usage 8', '2026-11 included -8'],
      '2026-12': ['2026-11 usage 8', '2026-11 included -4'],
    });
    await verified(billing);
  });

  test('that is included in tokens is taken off at the average price of the month', async () => {
    const billing = await begin(
      '2026-11-01T10:00:00.000Z',
      plan('starter', '0.00', { includedTokens: 4_000_000n }),
    );
    await use(billing, '2026-11', 10_000_000);
    await close(billing, '2026-11');
    expect((await invoices(billing))['2026-11']).toEqual(['2026-11 usage 10', '2026-11 included -4']);
  });
});

test('what was used in months before the first contract is not invoiced, later usage is', async () => {
  const billing = memoryBilling('2026-10-05T10:00:00.000Z');
  const onboarded = { tenantId: 'ten_1', occurredAt: billing.clock };
  await billing.append('agency-age_1', [agencyRegistered()], { tenantId: null });
  await billing.append('tenant-ten_1', [tenantOnboarded({ own: true })], onboarded);
  await use(billing, '2026-10', 1_000_000);
  await close(billing, '2026-10');
  await use(billing, '2026-11', 2_000_000);
  const signing = '2026-11-20T10:00:00.000Z';
  await change(billing, signing, plan('starter', '49.00'), '2026-11-30T23:00:00.000Z');
  const begun = await load(billing.store, tenant, 'tenant-ten_1');
  const applied = tenant.decide({ type: 'apply-contract', at: '2026-12-01T10:00:00.000Z' }, begun);
  await billing.append('tenant-ten_1', applied, {
    tenantId: 'ten_1',
    occurredAt: '2026-12-01T10:00:00.000Z',
  });
  await close(billing, '2026-11');
  await use(billing, '2026-12', 4_000_000);
  await close(billing, '2026-12');
  expect(await invoices(billing)).toEqual({ '2026-12': ['2026-12 fee 49', '2026-12 usage 4'] });
  await verified(billing);
});

const discount = (different: Partial<Discount>): Discount => ({
  name: 'Treue',
  of: 'all',
  percent: null,
  nanos: 0n,
  from: '2026-11',
  until: null,
  ...different,
});

describe('discounts', () => {
  const agreeing = async (discounts: readonly Discount[], terms = plan('starter', '49.00')) => {
    const billing = await begin('2026-11-01T10:00:00.000Z', terms);
    await change(billing, '2026-11-01T11:00:00.000Z', terms, '2026-11-01T11:00:00.000Z', { discounts });
    return billing;
  };

  test('are taken off fees and usage month by month, late usage too, and no longer than agreed', async () => {
    const billing = await agreeing([
      discount({ name: 'Treue', of: 'usage', percent: '10' }),
      discount({ name: 'Start', of: 'fees', nanos: parseNanos('20'), until: '2026-11' }),
    ]);
    await use(billing, '2026-11', 30_000_000);
    await close(billing, '2026-11');
    await use(billing, '2026-11', 5_000_000);
    await use(billing, '2026-12', 1_000_000);
    await close(billing, '2026-12');
    expect(await invoices(billing)).toEqual({
      '2026-11': ['2026-11 fee 49', '2026-11 usage 30', '2026-11 discount -3', '2026-11 discount -20'],
      '2026-12': [
        '2026-12 fee 49',
        '2026-11 usage 5',
        '2026-12 usage 1',
        '2026-11 discount -0.5',
        '2026-12 discount -0.1',
      ],
    });
    await verified(billing);
  });

  test('never make a month come to less than nothing, and what is discounted in full comes to 0.00', async () => {
    const all = [discount({ percent: '100' }), discount({ name: 'Mehr', nanos: parseNanos('5') })];
    const billing = await agreeing(all, plan('starter', '0.00'));
    for (let i = 0; i < 3; i += 1) await use(billing, '2026-11', 5_000);
    await use(billing, '2026-10', 5_000);
    await close(billing, '2026-11');
    expect((await invoices(billing))['2026-11']).toEqual([
      '2026-10 usage 0.01',
      '2026-11 usage 0.02',
      '2026-11 discount -0.02',
    ]);
  });

  test('follow a month that is amended later: what is not charged any more is not discounted either', async () => {
    const billing = await agreeing([discount({ percent: '10' })], plan('studio', '100.00'));
    await close(billing, '2026-11');
    const from = '2026-11-15T23:00:00.000Z';
    const half = { discounts: [discount({ percent: '10' })] };
    await change(billing, '2026-12-03T10:00:00.000Z', plan('starter', '50.00'), from, half);
    await close(billing, '2026-12');
    // 50.00 and 25.00 in the place of 100.00: 25.00 less, and 2.50 of the discount with it.
    expect(await invoices(billing)).toEqual({
      '2026-11': ['2026-11 fee 100', '2026-11 discount -10'],
      '2026-12': ['2026-11 correction -25', '2026-12 fee 50', '2026-11 discount 2.5', '2026-12 discount -5'],
    });
    await verified(billing);
  });

  test('that are agreed away for a past month are taken back', async () => {
    const billing = await agreeing([discount({ nanos: parseNanos('9') })]);
    await close(billing, '2026-11');
    await change(billing, '2026-12-03T10:00:00.000Z', plan('starter', '49.00'), '2026-11-01T23:00:00.000Z');
    await close(billing, '2026-12');
    expect((await invoices(billing))['2026-12']).toEqual(['2026-12 fee 49', '2026-11 discount 9']);
    await verified(billing);
  });

  test('of fees in advance are on the invoice that has the fees', async () => {
    const terms = plan('starter', '60.00', { feesInAdvance: true });
    const billing = await agreeing([discount({ of: 'fees', percent: '50', from: '2026-12' })], terms);
    await close(billing, '2026-11');
    await close(billing, '2026-12');
    expect(await invoices(billing)).toEqual({
      '2026-11': ['2026-11 fee 60', '2026-12 fee 60', '2026-12 discount -30'],
      '2026-12': ['2027-01 fee 60', '2027-01 discount -30'],
    });
  });
});

test('prices that are agreed apart from the plan settle the tiers of the month', async () => {
  const small = { inputRate: RATE, cachedInputRate: RATE, outputRate: RATE };
  const terms = plan('starter', '0.00', { prices: { models: { small }, markupPercent: null } });
  const billing = await begin('2026-11-01T10:00:00.000Z', terms);
  const steps = [
    { upTo: 1_000_000n, rate: RATE },
    { upTo: null, rate: RATE / 2n },
  ];
  const tiers = { output: { mode: 'graduated', steps, packageSize: 0n } } as const;
  const prices = { models: { small: { ...small, tiers } } };
  await change(billing, '2026-11-01T11:00:00.000Z', terms, '2026-11-01T11:00:00.000Z', { prices });
  await use(billing, '2026-11', 3_000_000);
  await close(billing, '2026-11');
  expect((await invoices(billing))['2026-11']).toEqual(['2026-11 usage 3', '2026-11 tier -1']);
  await verified(billing);
});

const MONTHS = ['2026-09', '2026-10', '2026-11'] as const;
const day = fc.integer({ min: 1, max: 28 });
const act = fc.record({
  month: fc.nat(MONTHS.length - 1),
  day,
  /** Months back from which the change holds. */
  back: fc.nat(1),
  fee: fc.option(fc.integer({ min: 0, max: 50_000 })),
});

test('however often a contract changes, also for closed months, the invoices come to exactly its fees', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(act, { maxLength: 6 }),
      fc.integer({ min: 1, max: 28 }),
      async (acts, first) => {
        const billing = await begin(
          `2026-09-${String(first).padStart(2, '0')}T10:00:00.000Z`,
          plan('p', '49.00'),
        );
        for (const [index, month] of MONTHS.entries()) {
          for (const { fee, back, ...one } of acts.filter((one) => one.month === index)) {
            const at = `${month}-${String(one.day).padStart(2, '0')}T12:00:00.000Z`;
            const from = `${MONTHS[Math.max(index - back, 0)]}-${String(one.day).padStart(2, '0')}T12:00:00.000Z`;
            const next =
              fee === null
                ? null
                : plan(`p${fee}`, `${Math.floor(fee / 100)}.${String(fee % 100).padStart(2, '0')}`);
            if (from >= `2026-09-${String(first).padStart(2, '0')}T10:00:00.000Z`)
              await change(billing, at, next, from);
          }
          await close(billing, month);
        }
        await close(billing, '2026-12');
        const { versions } = await contractAtCut(billing.store, 'ten_1', await billing.store.head());
        const charged = new Map<string, bigint>();
        for (const { event } of await billing.events()) {
          if (event.type !== 'invoice.drafted') continue;
          for (const { serviceMonth, nanos } of event.data.lines)
            charged.set(serviceMonth, (charged.get(serviceMonth) ?? 0n) + nanos);
        }
        for (const month of [...MONTHS, '2026-12']) {
          const due = monthlySum(
            partsOf(versions, month, ZONE),
            ({ monthlyFeeNanos }) => monthlyFeeNanos,
            feeShare,
          );
          expect(charged.get(month) ?? 0n, month).toBe(due);
        }
        await verified(billing);
      },
    ),
    { numRuns: 40 },
  );
}, 60_000);

test('what a month would have cost under another plan keeps what is agreed apart from the plan', () => {
  const usage = {
    projectId: null,
    model: 'small',
    unit: 'output',
    priceRate: RATE,
    month: '2026-11',
    quantity: 10_000_000n,
    priceNanos: parseNanos('10'),
    costNanos: parseNanos('4'),
  } as const;
  const other = plan('other', '20.00', { prices: { models: {}, markupPercent: '50' } });
  const agreed = { discounts: [discount({ percent: '25' })] };
  const net = (of: Agreed | null) => previewInvoice(other, '2026-11', [usage], [], of).draft.netCents;
  // 20.00 and 4.00 plus 50 %; a quarter off.
  expect([net(null), net(agreed)]).toEqual([2_600n, 1_950n]);
});
