import { expect, test } from 'vitest';
import { includedUsage } from '../../projections/included-usage.ts';
import { invoiceCancelled, invoiceDrafted } from '../support/events.ts';
import { project } from '../support/project.ts';

const included = (serviceMonth: string, nanos: bigint) =>
  ({
    kind: 'included',
    projectId: null,
    model: null,
    unit: null,
    serviceMonth,
    quantity: 1n,
    priceRate: null,
    nanos,
    netCents: nanos / 10_000_000n,
    tax: { category: 'S', ratePercent: '19' },
  }) as const;

test('what invoices granted of a month adds up, as a positive amount', () => {
  const first = invoiceDrafted({ lines: [included('2026-10', -3n), included('2026-11', -5n)] });
  const second = invoiceDrafted({ invoiceId: 'inv_2', lines: [included('2026-11', -4n)] });
  expect(project(includedUsage, [first, second])).toEqual([
    { tenant_id: 'ten_1', month: '2026-10', granted_nanos: 3n },
    { tenant_id: 'ten_1', month: '2026-11', granted_nanos: 9n },
  ]);
});

test('fees and usage grant nothing', () => {
  expect(project(includedUsage, [invoiceDrafted()])).toEqual([]);
});

test('what a cancelled invoice had granted can be granted again', () => {
  const drafted = invoiceDrafted({ lines: [included('2026-11', -5n)] });
  const cancelled = invoiceCancelled({ included: [{ month: '2026-11', nanos: 5n }] });
  expect(project(includedUsage, [drafted, cancelled])).toEqual([
    { tenant_id: 'ten_1', month: '2026-11', granted_nanos: 0n },
  ]);
});
