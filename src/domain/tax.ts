import { divideHalfUp, NANOS_PER_UNIT, parseNanos } from './money.ts';
import { periodDays } from './billing-period.ts';

/**
 * German VAT on services that are rendered month by month. A month's service is supplied when the
 * month ends, so rate and status are those of its last day, also when it is billed later.
 */

/** EN 16931: S standard rate, AE reverse charge, E exempt, O outside the scope of the tax. */
export const TAX_CATEGORIES = ['S', 'AE', 'E', 'O'] as const;
export type TaxCategory = (typeof TAX_CATEGORIES)[number];

export interface LineTax {
  readonly category: TaxCategory;
  /** A decimal such as "19"; "0" wherever no tax is charged. */
  readonly ratePercent: string;
}

export const TREATMENTS = ['domestic', 'reverse-charge', 'third-country'] as const;
export type Treatment = (typeof TREATMENTS)[number];

/** How an invoice is taxed because of who receives it. */
export interface TaxCase {
  readonly treatment: Treatment;
  /** The check of the recipient's VAT id that reverse charge rests on; null elsewhere. */
  readonly evidence: string | null;
}

export const DOMESTIC: TaxCase = { treatment: 'domestic', evidence: null };

export const TAX_STATUSES = ['standard', 'small-business'] as const;
/** `small-business`: §19 UStG, which holds for domestic supplies only. */
export type TaxStatus = (typeof TAX_STATUSES)[number];

export interface DatedTaxStatus {
  /** Local date `YYYY-MM-DD` from which it holds, until the next one. */
  readonly from: string;
  readonly status: TaxStatus;
}

/** Newest last. */
const STANDARD_RATES: readonly { readonly from: string; readonly ratePercent: string }[] = [
  { from: '2007-01-01', ratePercent: '19' },
  { from: '2020-07-01', ratePercent: '16' },
  { from: '2021-01-01', ratePercent: '19' },
];

/** The EU without Germany, as the prefixes of VAT ids write it (Greece is EL there, GR as a country). */
const EU_COUNTRIES: ReadonlySet<string> = new Set(
  'AT BE BG CY CZ DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK'.split(' '),
);

export const HOME_COUNTRY = 'DE';

export function isOtherEuCountry(country: string): boolean {
  return EU_COUNTRIES.has(country);
}

/** The prefix that VAT ids of a country have. */
export function vatPrefix(country: string): string {
  return country === 'GR' ? 'EL' : country;
}

/** How a service of a month (`YYYY-MM`) is taxed. Statuses come in any order; none is standard. */
export function lineTax(
  { treatment }: TaxCase,
  statuses: readonly DatedTaxStatus[],
  serviceMonth: string,
): LineTax {
  if (treatment === 'reverse-charge') return { category: 'AE', ratePercent: '0' };
  if (treatment === 'third-country') return { category: 'O', ratePercent: '0' };
  const { last } = periodDays(serviceMonth);
  if (taxStatusOn(statuses, last) === 'small-business') return { category: 'E', ratePercent: '0' };
  return { category: 'S', ratePercent: standardRateOn(last) };
}

export function taxStatusOn(statuses: readonly DatedTaxStatus[], date: string): TaxStatus {
  let found: DatedTaxStatus | null = null;
  for (const one of statuses) if (one.from <= date && (found === null || one.from >= found.from)) found = one;
  return found?.status ?? 'standard';
}

export function standardRateOn(date: string): string {
  const known = STANDARD_RATES.findLast(({ from }) => from <= date) ?? STANDARD_RATES[0]!;
  return known.ratePercent;
}

/** Tax on a sum in cents, rounded half up once. */
export function taxOn(netCents: bigint, ratePercent: string): bigint {
  return divideHalfUp(netCents * parseNanos(ratePercent), 100n * NANOS_PER_UNIT);
}
