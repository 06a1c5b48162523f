import { parseNanos, toCents } from '../../domain/money.ts';
import type { TaxCategory } from '../../domain/tax.ts';
import { bookingsOf, type Booking } from './bookings.ts';
import { DATEV_COLUMNS } from './datev-columns.ts';
import type { InvoiceDocument } from './invoice-document.ts';

/**
 * A booking batch for DATEV (EXTF, header version 700, format version 13): one booking per invoice,
 * tax rate and month of service, gross, from the customer's account to a revenue account that
 * carries its tax by itself. Windows-1252 and CRLF, as the import wants it.
 */
export interface DatevSettings {
  /** Beraternummer and Mandantennummer. */
  readonly consultant: number;
  readonly client: number;
  /** Kontenrahmen: SKR03 or SKR04. */
  readonly chart: '03' | '04';
  /** Digits of a general ledger account. */
  readonly accountLength: number;
  /** Account of customers without one of their own. */
  readonly debtor: string;
}

export const DATEV_DEFAULTS: DatevSettings = {
  consultant: 1001,
  client: 1,
  chart: '03',
  accountLength: 4,
  debtor: '10000',
};

/** S: revenue at the standard rate; AE: services taxable in another EU country; O: third country; E: section 19. */
const REVENUE: Readonly<Record<DatevSettings['chart'], Readonly<Record<TaxCategory, string>>>> = {
  '03': { S: '8400', AE: '8336', O: '8338', E: '8195' },
  '04': { S: '4400', AE: '4336', O: '4338', E: '4185' },
};

export interface DatevBatch {
  readonly settings: DatevSettings;
  /** `YYYY-MM`, the month in which the invoices are dated. */
  readonly month: string;
  /** First and last day of it. */
  readonly from: string;
  readonly to: string;
  /** ISO instant of the export. */
  readonly createdAt: string;
  readonly currency: string;
  readonly documents: readonly InvoiceDocument[];
  /** Customer accounts by tenant. */
  readonly debtors: ReadonlyMap<string, string>;
}

export function datevBatch(batch: DatevBatch): Buffer {
  const rows = batch.documents.flatMap((document) =>
    bookingsOf(document).map((booking) => bookingRow(batch, document, booking)),
  );
  const lines = [headerRow(batch), DATEV_COLUMNS.join(';'), ...rows];
  return windows1252(lines.map((line) => `${line}\r\n`).join(''));
}

function headerRow({ settings, from, to, createdAt, month, currency }: DatevBatch): string {
  const day = (date: string) => date.replaceAll('-', '');
  const created = createdAt.replaceAll(/\D/g, '').slice(0, 17);
  const { consultant, client, accountLength, chart } = settings;
  const none = quoted('');
  const fields = [
    quoted('EXTF'),
    '700',
    '21',
    quoted('Buchungsstapel'),
    '13',
    created,
    '',
    quoted('RE'),
    none,
    none,
    String(consultant),
    String(client),
    `${month.slice(0, 4)}0101`,
    String(accountLength),
    day(from),
    day(to),
    quoted(`Rechnungen ${month}`),
    none,
    // Financial bookkeeping, for no special purpose, not locked.
    '1',
    '0',
    '0',
    quoted(currency),
    '',
    none,
    '',
    '',
    quoted(chart),
    '',
    '',
    none,
    none,
  ];
  return fields.join(';');
}

const TEXT_MAX = 60;

function bookingRow(
  { settings, debtors }: DatevBatch,
  document: InvoiceDocument,
  { category, gross, serviceTo }: Booking,
): string {
  const cents = toCents(parseNanos(gross));
  const amount = gross.replace('-', '').replace('.', ',');
  const [, month, day] = document.issued_on.split('-');
  const text = `${BOOKING_TEXT[document.kind]} ${document.recipient.name}`;
  const service = serviceTo.split('-').toReversed().join('');
  const cells = new Map<number, string>([
    [1, amount],
    [2, quoted(cents < 0n ? 'H' : 'S')],
    [3, quoted(document.currency)],
    [7, debtors.get(document.tenant_id) ?? settings.debtor],
    [8, REVENUE[settings.chart][category].padEnd(settings.accountLength, '0')],
    [10, `${day}${month}`],
    [11, quoted(document.number)],
    [14, quoted(text.slice(0, TEXT_MAX))],
    [40, quoted(category === 'AE' ? (document.recipient.vat_id ?? '') : '')],
    [114, '0'],
    [115, service],
    [116, service],
    [117, document.due_on === null ? '' : document.due_on.split('-').toReversed().join('')],
  ]);
  return DATEV_COLUMNS.map((_, index) => cells.get(index + 1) ?? '').join(';');
}

const BOOKING_TEXT = { invoice: 'Rechnung', cancellation: 'Storno', correction: 'Korrektur' } as const;

function quoted(text: string): string {
  return `"${text.replaceAll('"', '""').replaceAll(/[\r\n]+/g, ' ')}"`;
}

/** What Windows-1252 has between 0x80 and 0x9F; the five places without a character are blanks here. */
const HIGH = '€ ‚ƒ„…†‡ˆ‰Š‹Œ Ž  ‘’“”•–—˜™š›œ žŸ';

/** Letters that it does not have lose their marks, and everything else becomes a question mark. */
export function windows1252(text: string): Buffer {
  const bytes: number[] = [];
  for (const character of text.normalize('NFC')) {
    const byte = byteOf(character) ?? byteOf(character.normalize('NFD').charAt(0));
    bytes.push(byte ?? 0x3f);
  }
  return Buffer.from(bytes);
}

function byteOf(character: string): number | null {
  const code = character.codePointAt(0) ?? 0x3f;
  if (code < 0x80 || (code >= 0xa0 && code <= 0xff)) return code;
  const place = HIGH.indexOf(character);
  return place === -1 ? null : 0x80 + place;
}
