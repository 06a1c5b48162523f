import { bookingsOf } from './bookings.ts';
import { csvText } from './csv.ts';
import type { InvoiceDocument } from './invoice-document.ts';

/** The month's invoices as a table that every program reads: one row per tax rate and month of service. */
const HEAD =
  'issued_on number kind cancels tenant_id customer country vat_id service_from service_to tax_category tax_rate_percent net tax gross currency due_on'.split(
    ' ',
  );

export function journalCsv(documents: readonly InvoiceDocument[]): string {
  const rows = documents.flatMap((document) =>
    bookingsOf(document).map((booking) => [
      document.issued_on,
      document.number,
      document.kind,
      document.kind === 'cancellation' ? (document.preceding?.number ?? '') : '',
      document.tenant_id,
      document.recipient.name,
      document.recipient.country,
      document.recipient.vat_id ?? '',
      booking.serviceFrom,
      booking.serviceTo,
      booking.category,
      booking.ratePercent,
      booking.net,
      booking.tax,
      booking.gross,
      document.currency,
      document.due_on ?? '',
    ]),
  );
  return csvText([HEAD, ...rows]);
}
