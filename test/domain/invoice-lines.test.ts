import { describe, expect, test } from 'vitest';
import {
  draftInvoice,
  type InvoiceFacts,
  isWorthIssuing,
  type UsageSum,
} from '../../src/domain/invoice-lines.ts';
import { DOMESTIC } from '../../src/domain/tax.ts';
import { terms } from '../support/events.ts';

const CENT = 10_000_000n;
const NO_TERMS = terms({ monthlyFeeNanos: 0n, includedUsageNanos: 0n });

function sum(overrides: Partial<UsageSum> = {}): UsageSum {
  return {
    projectId: 'prj_1',
    model: 'small',
    unit: 'input',
    priceRate: 1_000_000_000n,
    month: '2026-11',
    quantity: 1_000n,
    priceNanos: 100n * CENT,
    ...overrides,
  };
}

function draft(facts: Partial<InvoiceFacts> = {}) {
  return draftInvoice({
    invoiceId: 'inv_1',
    period: '2026-11',
    terms: NO_TERMS,
    feeDue: true,
    usage: [],
    includedGranted: new Map(),
    taxCase: DOMESTIC,
    taxStatuses: [],
    replaces: null,
    ...facts,
  });
}

describe('an invoice draft', () => {
  test('has the fee, the usage by month, project, model, unit and price, and what is included after its month', () => {
    const usage = [
      sum({ projectId: 'prj_2' }),
      sum({ unit: 'output' }),
      sum({ model: 'large' }),
      sum(),
      sum({ priceRate: 2n }),
      sum({ month: '2026-10' }),
      sum({ projectId: null }),
    ];
    const { lines } = draft({ terms: terms({ includedUsageNanos: 50n * CENT }), usage });
    const shape = lines.map(({ kind, serviceMonth, projectId, model, unit, priceRate }) =>
      [kind, serviceMonth, projectId, model, unit, priceRate].join(' '),
    );
    expect(shape).toEqual([
      'fee 2026-11    ',
      'usage 2026-10 prj_1 small input 1000000000',
      'included 2026-10    ',
      'usage 2026-11  small input 1000000000',
      'usage 2026-11 prj_1 large input 1000000000',
      'usage 2026-11 prj_1 small input 2',
      'usage 2026-11 prj_1 small input 1000000000',
      'usage 2026-11 prj_1 small output 1000000000',
      'usage 2026-11 prj_2 small input 1000000000',
      'included 2026-11    ',
    ]);
    expect(
      draft({ terms: terms({ includedUsageNanos: 50n * CENT }), usage: usage.toReversed() }).lines,
    ).toEqual(lines);
  });

  test('adds 19 % VAT once, on the sum of its lines, half up', () => {
    const fee = terms({ monthlyFeeNanos: 4_900n * CENT, includedUsageNanos: 0n });
    // 49.00 + 0.50 + 0.50 = 50.00; 9.50
    expect(
      draft({
        terms: fee,
        usage: [sum({ priceNanos: 50n * CENT }), sum({ unit: 'output', priceNanos: 50n * CENT })],
      }),
    ).toMatchObject({
      netCents: 5_000n,
      taxes: [{ category: 'S', ratePercent: '19', netCents: 5_000n, taxCents: 950n }],
      taxCents: 950n,
      grossCents: 5_950n,
    });
    // 0.50 x 19 % = 9.5 cents
    expect(draft({ usage: [sum({ priceNanos: 50n * CENT })] })).toMatchObject({
      taxCents: 10n,
      grossCents: 60n,
    });
  });

  test('rounds each line once and keeps its exact amount', () => {
    const { lines } = draft({
      usage: [sum({ priceNanos: CENT / 2n }), sum({ unit: 'output', priceNanos: CENT / 2n - 1n })],
    });
    expect(lines.map(({ nanos, netCents }) => [nanos, netCents])).toEqual([
      [CENT / 2n, 1n],
      [CENT / 2n - 1n, 0n],
    ]);
  });

  test('charges no fee for a month before the contract, but what was used', () => {
    const { lines } = draft({ terms: terms(), feeDue: false, usage: [sum()] });
    expect(lines.map(({ kind }) => kind)).toEqual(['usage', 'included']);
  });

  test('is not worth issuing when no line has an amount', () => {
    expect(isWorthIssuing(draft())).toBe(false);
    expect(isWorthIssuing(draft({ usage: [sum({ priceNanos: 0n })] }))).toBe(false);
    expect(isWorthIssuing(draft({ usage: [sum({ priceNanos: 1n })] }))).toBe(true);
  });
});

function included(cents: bigint) {
  return terms({ monthlyFeeNanos: 0n, includedUsageNanos: cents * CENT });
}

function half(unit: UsageSum['unit'], model: string): UsageSum {
  return sum({ unit, model, priceNanos: CENT / 2n });
}

describe('included usage', () => {
  test('that covers everything comes to exactly 0.00, however the lines were rounded', () => {
    const usage = [half('input', 'a'), half('output', 'a'), half('input', 'b')];
    expect(draft({ terms: included(100n), usage })).toMatchObject({ netCents: 0n, grossCents: 0n });
    expect(draft({ terms: included(100n), usage }).lines.at(-1)).toMatchObject({
      nanos: -3n * (CENT / 2n),
      netCents: -3n,
    });
  });

  test('that covers a part takes off exactly what the plan says when rounding did no harm', () => {
    const { lines, netCents } = draft({ terms: included(30n), usage: [sum()] });
    expect(lines.at(-1)).toMatchObject({
      kind: 'included',
      quantity: 1n,
      nanos: -30n * CENT,
      netCents: -30n,
    });
    expect(netCents).toBe(70n);
  });

  test('never leaves more to pay than the exact rest, rounded', () => {
    // Two lines of half a cent are rounded to 0.02; all but one nano of them is covered.
    const usage = [half('input', 'a'), half('output', 'a')];
    const oneShort = terms({ monthlyFeeNanos: 0n, includedUsageNanos: CENT - 1n });
    expect(draft({ terms: oneShort, usage }).netCents).toBe(0n);
  });

  test('never turns usage into a credit', () => {
    const usage = ['a', 'b', 'c'].map((model) => sum({ model, priceNanos: CENT / 2n - 1n }));
    expect(draft({ terms: included(1n), usage }).netCents).toBe(0n);
  });

  test('is counted per month of service, less what earlier invoices granted', () => {
    const { lines } = draft({
      terms: included(100n),
      usage: [sum({ priceNanos: 80n * CENT }), sum({ month: '2026-10', priceNanos: 80n * CENT })],
      includedGranted: new Map([['2026-10', 90n * CENT]]),
    });
    expect(
      lines.filter(({ kind }) => kind === 'included').map(({ serviceMonth, nanos }) => [serviceMonth, nanos]),
    ).toEqual([
      ['2026-10', -10n * CENT],
      ['2026-11', -80n * CENT],
    ]);
  });

  test('that is used up, or more than used up, leaves no line', () => {
    const granted = new Map([['2026-11', 101n * CENT]]);
    expect(draft({ terms: included(100n), usage: [sum()], includedGranted: granted }).lines).toHaveLength(1);
  });
});
