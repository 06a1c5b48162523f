import { formatCents, parseNanos, toCents } from '../../domain/money.ts';
import { taxOn, type TaxCategory } from '../../domain/tax.ts';
import type { InvoiceDocument } from './invoice-document.ts';

/**
 * An invoice as accounting books it: one amount per tax rate and month of service, because VAT
 * belongs to the month of supply. The amounts add up to the invoice to the cent.
 */
export interface Booking {
  readonly category: TaxCategory;
  readonly ratePercent: string;
  /** First and last day of the month of service. */
  readonly serviceFrom: string;
  readonly serviceTo: string;
  readonly net: string;
  readonly tax: string;
  readonly gross: string;
}

/** In the order of category, rate and month; without what comes to nothing. */
export function bookingsOf({ lines, taxes }: InvoiceDocument): readonly Booking[] {
  return taxes.flatMap(({ category, rate_percent: ratePercent }) => {
    const months = new Map<string, { readonly to: string; net: bigint }>();
    for (const line of lines) {
      if (line.tax_category !== category || line.tax_rate_percent !== ratePercent) continue;
      const month = months.get(line.service_from) ?? { to: line.service_to, net: 0n };
      month.net += toCents(parseNanos(line.net));
      months.set(line.service_from, month);
    }
    // The tax of the months so far, minus what was booked before: so the rounding of the invoice is kept.
    let netSoFar = 0n;
    let taxSoFar = 0n;
    const bookings: Booking[] = [];
    for (const [serviceFrom, { to: serviceTo, net }] of [...months].toSorted(([a], [b]) =>
      a < b ? -1 : 1,
    )) {
      netSoFar += net;
      const tax = taxOn(netSoFar, ratePercent) - taxSoFar;
      taxSoFar += tax;
      if (net === 0n && tax === 0n) continue;
      const amounts = { net: formatCents(net), tax: formatCents(tax), gross: formatCents(net + tax) };
      bookings.push({ category, ratePercent, serviceFrom, serviceTo, ...amounts });
    }
    return bookings;
  });
}
