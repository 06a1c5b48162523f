import { expect, test } from 'vitest';
import { OPEN, usage } from '../../projections/usage.ts';
import { periodClosed, recorded, spendRecorded } from '../support/events.ts';
import { project } from '../support/project.ts';

const line = (quantity: number) =>
  ({
    unit: 'input',
    quantity,
    priceRate: 150_000_000n,
    priceNanos: BigInt(quantity) * 150n,
    costNanos: BigInt(quantity) * 125n,
  }) as const;
const spend = (month: string, quantity: number, data: Parameters<typeof spendRecorded>[0] = {}) =>
  spendRecorded({ month, lines: [line(quantity)], ...data });

test('each line of a request counts in its own unit and rate', () => {
  expect(project(usage, [spendRecorded()])).toMatchObject([
    { unit: 'input', quantity: 900n, price_nanos: 135_000n, cost_nanos: 112_500n, invoice_period: OPEN },
    { unit: 'cached-input', quantity: 100n, price_nanos: 7_500n, cost_nanos: 6_250n },
    { unit: 'output', quantity: 200n, price_nanos: 120_000n, cost_nanos: 100_000n },
  ]);
});

test('the same price is one row; another price, model, project or month is another', () => {
  const rows = project(usage, [
    spend('2026-11', 10),
    spend('2026-11', 5),
    spend('2026-11', 1, { lines: [{ ...line(1), priceRate: 160_000_000n }] }),
    spend('2026-11', 1, { model: 'large' }),
    spend('2026-11', 1, { projectId: null }),
    spend('2026-10', 1),
  ]);
  expect(rows.map(({ quantity }) => quantity)).toEqual([15n, 1n, 1n, 1n, 1n]);
  expect(rows[3]).toMatchObject({ project_id: '' });
});

test('closing a period stamps what is open of that month or earlier, and nothing else', () => {
  const rows = project(usage, [
    spend('2026-10', 1),
    spend('2026-11', 2),
    spend('2026-12', 3),
    periodClosed({ period: '2026-11' }),
  ]);
  expect(rows.map(({ month, invoice_period }) => [month, invoice_period])).toEqual(
    expect.arrayContaining([
      ['2026-10', '2026-11'],
      ['2026-11', '2026-11'],
      ['2026-12', OPEN],
    ]),
  );
});

test('usage that arrives after the closing stays open for the next invoice', () => {
  const rows = project(usage, [
    spend('2026-11', 2),
    periodClosed({ period: '2026-11' }),
    spend('2026-11', 5),
    periodClosed({ period: '2026-12' }),
  ]);
  expect(rows.map(({ month, invoice_period, quantity }) => [month, invoice_period, quantity])).toEqual([
    ['2026-11', '2026-11', 2n],
    ['2026-11', '2026-12', 5n],
  ]);
});

test('closing concerns only its own agency', () => {
  const rows = project(usage, [
    recorded(spend('2026-11', 2), { position: 1n, agencyId: 'age_2' }),
    recorded(periodClosed({ agencyId: 'age_1', period: '2026-11' }), { position: 2n }),
  ]);
  expect(rows).toMatchObject([{ agency_id: 'age_2', invoice_period: OPEN }]);
});
