import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Untaxed } from '../../src/domain/contract-lines.ts';
import { type Discount, DISCOUNTED } from '../../src/domain/discount.ts';
import { discountLines } from '../../src/domain/discount-lines.ts';
import { billedBy, type BilledLine, type LineKind } from '../../src/domain/invoice.ts';
import { toCents } from '../../src/domain/money.ts';

const MONTH = '2026-11';
const charge = (kind: LineKind, nanos: bigint): Untaxed => ({
  kind,
  projectId: null,
  model: null,
  unit: null,
  quantity: 1n,
  priceRate: null,
  serviceMonth: MONTH,
  nanos,
  netCents: toCents(nanos),
});
const discount = (different: Partial<Discount>): Discount => ({
  name: 'a',
  of: 'all',
  percent: null,
  nanos: 0n,
  from: '2026-01',
  until: null,
  ...different,
});
const tax = { category: 'S', ratePercent: '19' } as const;
const billed = (invoiceId: string, lines: readonly Untaxed[]): readonly BilledLine[] =>
  billedBy({ invoiceId, period: MONTH, lines: lines.map((line) => ({ ...line, tax })) });
const sum = (lines: readonly { readonly nanos: bigint }[]): bigint =>
  lines.reduce((all, { nanos }) => all + nanos, 0n);

const amounts = fc.array(
  fc.record({
    kind: fc.constantFrom<LineKind>(
      'fee',
      'project-fee',
      'correction',
      'usage',
      'tier',
      'included',
      'commitment',
    ),
    nanos: fc.bigInt(-(10n ** 11n), 10n ** 12n),
  }),
  { maxLength: 5 },
);
const discounts = fc
  .array(
    fc.record({
      of: fc.constantFrom(...DISCOUNTED),
      percent: fc.option(fc.integer({ min: 1, max: 100 }).map(String)),
      nanos: fc.bigInt(1n, 10n ** 12n),
      until: fc.constantFrom(null, '2026-10', '2026-11'),
    }),
    { maxLength: 4 },
  )
  .map((all) =>
    all.map((one, i) => discount({ ...one, name: `d${i}`, nanos: one.percent === null ? one.nanos : 0n })),
  );

describe('the discounts of a month', () => {
  test('come to the same whether it is charged at once or bit by bit, and never to more than it', () => {
    fc.assert(
      fc.property(amounts, amounts, discounts, (first, later, agreed) => {
        const one = first.map(({ kind, nanos }) => charge(kind, nanos));
        const two = later.map(({ kind, nanos }) => charge(kind, nanos));
        const atOnce = sum(discountLines(MONTH, agreed, [...one, ...two], []));
        const before = discountLines(MONTH, agreed, one, []);
        const after = discountLines(MONTH, agreed, two, billed('inv_1', [...one, ...before]));
        expect(sum(before) + sum(after)).toBe(atOnce);
        const charged = sum(one) + sum(two);
        expect(charged + atOnce >= (charged < 0n ? charged : 0n)).toBe(true);
        expect(atOnce <= 0n).toBe(true);
      }),
    );
  });

  test('are of what they say, and not of each other', () => {
    const lines = [charge('fee', 50_000_000_000n), charge('usage', 30_000_000_000n)];
    const agreed = [
      discount({ name: 'fees', of: 'fees', percent: '10' }),
      discount({ name: 'usage', of: 'usage', percent: '10' }),
      discount({ name: 'all', percent: '10' }),
    ];
    expect(discountLines(MONTH, agreed, lines, []).map(({ netCents }) => netCents)).toEqual([
      -500n,
      -300n,
      -800n,
    ]);
  });

  test('are rounded half up once, like every line', () => {
    const [line] = discountLines(MONTH, [discount({ percent: '50' })], [charge('usage', 10_000_000n)], []);
    expect([line!.nanos, line!.netCents]).toEqual([-5_000_000n, -1n]);
  });
});
