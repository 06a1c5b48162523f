import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { DOMESTIC } from '../../src/domain/tax.ts';
import { draftInvoice, type UsageSum } from '../../src/domain/invoice-lines.ts';
import { NANOS_PER_CENT, toCents } from '../../src/domain/money.ts';
import { terms } from '../support/events.ts';

/** Amounts around the edges of cents, where rounding decides. */
const nanos = fc.oneof(
  fc.bigInt({ min: 0n, max: 3n * NANOS_PER_CENT }),
  fc.bigInt({ min: 0n, max: 10n ** 12n }),
  fc.constantFrom(0n, 1n, NANOS_PER_CENT / 2n - 1n, NANOS_PER_CENT / 2n, NANOS_PER_CENT),
);
const MONTHS = ['2026-09', '2026-10', '2026-11'] as const;

const usageSum: fc.Arbitrary<UsageSum> = fc.record({
  projectId: fc.constantFrom(null, 'prj_1', 'prj_2'),
  model: fc.constantFrom('small', 'large'),
  unit: fc.constantFrom('input', 'cached-input', 'output'),
  priceRate: fc.constantFrom(1_000_000n, 2_000_000n),
  month: fc.constantFrom(...MONTHS),
  quantity: fc.bigInt({ min: 1n, max: 10n ** 9n }),
  priceNanos: nanos,
});

const facts = fc.record({
  usage: fc.uniqueArray(usageSum, {
    selector: ({ projectId, model, unit, priceRate, month }) =>
      [projectId, model, unit, priceRate, month].join(' '),
    maxLength: 30,
  }),
  fee: nanos,
  included: nanos,
  granted: fc.dictionary(fc.constantFrom(...MONTHS), nanos),
});

const UNTAXED = { taxCase: DOMESTIC, taxStatuses: [], replaces: null } as const;

test('every invoice is the sum of its parts, and its order does not depend on how the facts came', () => {
  fc.assert(
    fc.property(facts, ({ usage, fee, included, granted }) => {
      const made = (rows: readonly UsageSum[]) =>
        draftInvoice({
          invoiceId: 'inv_1',
          period: '2026-11',
          terms: terms({ monthlyFeeNanos: fee, includedUsageNanos: included }),
          feeDue: true,
          usage: rows,
          includedGranted: new Map(Object.entries(granted)),
          ...UNTAXED,
        });
      const draft = made(usage);
      const net = draft.lines.reduce((sum, line) => sum + line.netCents, 0n);
      expect(draft.netCents).toBe(net);
      // Half up in whole cents: 19 % of net, doubled to compare without fractions.
      expect(200n * draft.taxCents - 38n * net).toBeLessThanOrEqual(100n);
      expect(200n * draft.taxCents - 38n * net).toBeGreaterThan(-100n);
      expect(draft.grossCents).toBe(net + draft.taxCents);
      expect(made(usage.toReversed())).toEqual(draft);
      const usageLines = draft.lines.filter(({ kind }) => kind === 'usage');
      expect(usageLines).toHaveLength(usage.length);
      for (const line of draft.lines)
        if (line.kind !== 'included') expect(line.netCents).toBe(toCents(line.nanos));
    }),
    { numRuns: 500 },
  );
});

test('included usage covers exactly what is left of the plan, and a month costs between nothing and its exact rest', () => {
  fc.assert(
    fc.property(facts, ({ usage, included, granted }) => {
      const { lines } = draftInvoice({
        invoiceId: 'inv_1',
        period: '2026-11',
        terms: terms({ monthlyFeeNanos: 0n, includedUsageNanos: included }),
        feeDue: true,
        usage,
        includedGranted: new Map(Object.entries(granted)),
        ...UNTAXED,
      });
      for (const month of MONTHS) {
        const ofMonth = lines.filter(({ serviceMonth }) => serviceMonth === month);
        const used = ofMonth.reduce((sum, { kind, nanos }) => (kind === 'usage' ? sum + nanos : sum), 0n);
        const covered = ofMonth.reduce(
          (sum, { kind, nanos }) => (kind === 'included' ? sum - nanos : sum),
          0n,
        );
        const before = granted[month] ?? 0n;
        const left = included > before ? included - before : 0n;
        expect(covered).toBe(used < left ? used : left);
        if (covered === 0n) continue;
        const cents = ofMonth.reduce((sum, line) => sum + line.netCents, 0n);
        expect(cents).toBeGreaterThanOrEqual(0n);
        expect(cents).toBeLessThanOrEqual(toCents(used - covered));
        if (covered === used) expect(cents).toBe(0n);
      }
    }),
    { numRuns: 500 },
  );
});
