import { describe, expect, test } from 'vitest';
import { bookingsOf } from '../../../src/billing/documents/bookings.ts';
import { csvText } from '../../../src/billing/documents/csv.ts';
import {
  DATEV_DEFAULTS,
  type DatevBatch,
  datevBatch,
  windows1252,
} from '../../../src/billing/documents/datev.ts';
import { DATEV_COLUMNS } from '../../../src/billing/documents/datev-columns.ts';
import type { InvoiceDocument } from '../../../src/billing/documents/invoice-document.ts';
import { journalCsv } from '../../../src/billing/documents/journal.ts';
import { cancelled, documentOf, used } from './invoices.ts';

const AE = { treatment: 'reverse-charge', evidence: 'vck_1' } as const;

function rowsOf(
  documents: readonly InvoiceDocument[],
  overrides: Partial<DatevBatch> = {},
): readonly string[][] {
  const bytes = datevBatch({
    settings: DATEV_DEFAULTS,
    month: '2026-12',
    from: '2026-12-01',
    to: '2026-12-31',
    createdAt: '2027-01-04T09:30:15.123Z',
    currency: 'EUR',
    documents,
    debtors: new Map(),
    ...overrides,
  });
  const lines = bytes.toString('latin1').split('\r\n');
  expect(lines.pop()).toBe('');
  return lines.map((line) => line.split(';'));
}

/** By the number that DATEV gives a column. */
const field = (row: readonly string[], column: number) => row[column - 1];

describe('a DATEV batch', () => {
  test('has the header of format version 13, and 125 columns everywhere', () => {
    const [header, head, row] = rowsOf([documentOf()]);
    expect(header!.slice(0, 6)).toEqual([
      '"EXTF"',
      '700',
      '21',
      '"Buchungsstapel"',
      '13',
      '20270104093015123',
    ]);
    expect(header).toHaveLength(31);
    expect(header!.slice(10, 17)).toEqual([
      '1001',
      '1',
      '20260101',
      '4',
      '20261201',
      '20261231',
      '"Rechnungen 2026-12"',
    ]);
    expect(header![21]).toBe('"EUR"');
    expect(header![26]).toBe('"03"');
    expect(DATEV_COLUMNS).toHaveLength(125);
    expect(head).toHaveLength(125);
    expect(row).toHaveLength(125);
  });

  test('books an invoice gross, from the customer to revenue, with its dates', () => {
    const [, , row] = rowsOf([documentOf()]);
    expect([1, 2, 3, 7, 8, 10, 11, 115, 117].map((column) => field(row!, column))).toEqual([
      '59,02',
      '"S"',
      '"EUR"',
      '10000',
      '8400',
      '0112',
      '"RE-2026-00042"',
      '30112026',
      '15122026',
    ]);
    expect(field(row!, 14)).toBe('"Rechnung B\u00e4ckerei Sonnenkorn GmbH"');
  });

  test('takes a Stornorechnung back from the same accounts', () => {
    const [, , row] = rowsOf([cancelled(documentOf())]);
    expect([1, 2, 8, 11].map((column) => field(row!, column))).toEqual([
      '59,02',
      '"H"',
      '8400',
      '"RE-2026-00043"',
    ]);
  });

  test('names the VAT id where reverse charge holds, and takes accounts of either chart', () => {
    const document = documentOf({ taxCase: AE, buyer: { country: 'AT', vat_id: 'ATU12345678' } });
    const settings = { ...DATEV_DEFAULTS, chart: '04', accountLength: 5 } as const;
    const debtors = new Map([['ten_1', '70001']]);
    const [, , row] = rowsOf([document], { settings, debtors });
    expect([7, 8, 40].map((column) => field(row!, column))).toEqual(['70001', '43360', '"ATU12345678"']);
  });

  test('is Windows-1252', () => {
    expect([...windows1252('ä€„Š–')]).toEqual([0xe4, 0x80, 0x84, 0x8a, 0x96]);
    expect(windows1252('ł Łódź č 日').toString('latin1')).toBe('? ?\u00f3dz c ?');
  });

  test('cannot be broken by a name', () => {
    const [, , row] = rowsOf([documentOf({ buyer: { name: 'A "B"\r\nC' } })]);
    expect(field(row!, 14)).toBe('"Rechnung A ""B"" C"');
  });
});

describe('bookings', () => {
  test('are one per rate and month of service, and come to the invoice to the cent', () => {
    const usage = Array.from({ length: 9 }, (_, i) =>
      used({
        model: `m${i}`,
        month: ['2020-11', '2026-10', '2026-11'][i % 3]!,
        quantity: BigInt(5_012_345 * (i + 1)),
      }),
    );
    const document = documentOf({ usage });
    const bookings = bookingsOf(document);
    expect(bookings.map(({ ratePercent, serviceTo }) => `${ratePercent} ${serviceTo}`)).toEqual([
      '16 2020-11-30',
      '19 2026-10-31',
      '19 2026-11-30',
    ]);
    const cents = (text: string) => Number(text.replace('.', ''));
    for (const name of ['net', 'tax', 'gross'] as const) {
      expect(bookings.reduce((sum, one) => sum + cents(one[name]), 0)).toBe(cents(document.totals[name]));
    }
  });
});

describe('the journal', () => {
  test('has a row for each booking and says what a Stornorechnung cancels', () => {
    const invoice = documentOf();
    const rows = journalCsv([invoice, cancelled(invoice)])
      .trim()
      .split('\r\n');
    expect(rows[0]).toMatch(/^issued_on,number,kind,/);
    expect(rows[1]).toContain('2026-12-01,RE-2026-00042,invoice,,ten_1,Bäckerei Sonnenkorn GmbH,DE');
    expect(rows[2]).toContain('RE-2026-00043,cancellation,RE-2026-00042,');
    expect(rows[2]).toContain(',-49.60,-9.42,-59.02,EUR,');
  });

  test('holds no formula that a spreadsheet would run', () => {
    expect(csvText([['=1+1', '-5.00', '@x', '-x', 'a"b,c']])).toBe(`'=1+1,-5.00,'@x,'-x,"a""b,c"\r\n`);
  });
});
