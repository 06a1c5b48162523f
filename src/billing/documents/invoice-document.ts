import { Temporal } from 'temporal-polyfill';
import { periodDays } from '../../domain/billing-period.ts';
import type { InvoiceDraft, InvoiceLine } from '../../domain/invoice.ts';
import { formatCents, formatNanos, TOKENS_PER_RATE } from '../../domain/money.ts';
import { priceBase, type Unit } from '../../domain/spend.ts';
import type { TaxCategory } from '../../domain/tax.ts';
import type { EInvoiceFormat, Language, Letter, Parties, Party, Payment } from './parties.ts';
import { discountWords, formatDecimal, lineWords, taxNotes } from './words.ts';

/**
 * The invoice as it is issued: everything that the law wants on it, in one value that is stored as
 * canonical JSON and never changes. PDF and XML are made from it alone. Names and addresses are
 * copied in, because contacts change and may have to be forgotten while the invoice has to be kept.
 */
export interface InvoiceDocument {
  /**
   * `cancellation`: a Stornorechnung, which takes back every line of an invoice. `correction`: a
   * Rechnungskorrektur, which takes back more of earlier invoices than it charges.
   */
  readonly kind: 'invoice' | 'cancellation' | 'correction';
  /** Raised when the meaning of a field changes. */
  readonly format: 2;
  readonly invoice_id: string;
  readonly number: string;
  /** Local date in the agency's zone. */
  readonly issued_on: string;
  /** Null when nothing is to be paid. */
  readonly due_on: string | null;
  readonly agency_id: string;
  readonly tenant_id: string;
  readonly period: string;
  /** First and last day of the period, local dates in `zone`. */
  readonly service_from: string;
  readonly service_to: string;
  readonly zone: string;
  readonly language: Language;
  readonly currency: string;
  readonly issuer: Party;
  readonly recipient: Party;
  /** Last line of the address abroad, as the post wants it: the country in capitals. */
  readonly country_line: string | null;
  readonly payment: Payment;
  readonly letter: Letter;
  readonly e_invoice: EInvoiceFormat;
  readonly buyer_reference: string | null;
  /** The invoice that this one takes back or replaces. */
  readonly preceding: DocumentReference | null;
  /** The invoices that a correction is about, newest first; left out on other kinds. */
  readonly corrects?: readonly DocumentReference[] | undefined;
  /** Why it takes it back. */
  readonly reason: string | null;
  /** SHA-256 of the brand that its PDF wears; null for the plain one. */
  readonly brand: string | null;
  readonly lines: readonly DocumentLine[];
  readonly taxes: readonly DocumentTax[];
  readonly totals: { readonly net: string; readonly tax: string; readonly gross: string };
  /** Where it can be paid; only on invoices that somebody collects. */
  readonly payment_link?: string;
}

export interface DocumentReference {
  readonly number: string;
  readonly issued_on: string;
}

export interface DocumentLine {
  /** From 1. */
  readonly place: number;
  readonly kind: InvoiceLine['kind'];
  readonly description: string;
  readonly project_id: string | null;
  readonly project_name: string | null;
  readonly model: string | null;
  readonly unit: Unit | null;
  readonly service_from: string;
  readonly service_to: string;
  /** Whole; negative on a cancellation. */
  readonly quantity: string;
  /** Price of `price_base` pieces; null where the line has no price per piece. */
  readonly unit_price: string | null;
  readonly price_base: string | null;
  /** Net before rounding, to the nano. */
  readonly exact: string;
  readonly net: string;
  readonly tax_category: TaxCategory;
  readonly tax_rate_percent: string;
}

export interface DocumentTax {
  readonly category: TaxCategory;
  readonly rate_percent: string;
  readonly net: string;
  readonly tax: string;
  /** Why no tax is charged, in the words that the law asks for; null where tax is charged. */
  readonly note: string | null;
}

export interface DocumentFacts {
  readonly draft: InvoiceDraft;
  readonly number: string;
  readonly issuedOn: string;
  readonly agencyId: string;
  readonly tenantId: string;
  readonly zone: string;
  readonly parties: Parties;
  readonly projectNames: ReadonlyMap<string, string>;
  readonly preceding: InvoiceDocument['preceding'];
  readonly corrects?: readonly DocumentReference[] | undefined;
  readonly brand: string | null;
}

export function invoiceDocument(facts: DocumentFacts): InvoiceDocument {
  const { draft, parties } = facts;
  const { payment, preferences } = parties;
  const { first, last } = periodDays(draft.period);
  const isCorrection = draft.grossCents < 0n;
  return {
    kind: isCorrection ? 'correction' : 'invoice',
    format: 2,
    invoice_id: draft.invoiceId,
    number: facts.number,
    issued_on: facts.issuedOn,
    due_on: draft.grossCents > 0n ? daysAfter(facts.issuedOn, payment.payment_days) : null,
    agency_id: facts.agencyId,
    tenant_id: facts.tenantId,
    period: draft.period,
    service_from: first,
    service_to: last,
    zone: facts.zone,
    language: preferences.language,
    currency: draft.currency,
    issuer: parties.issuer,
    recipient: parties.recipient,
    country_line: countryLine(parties),
    payment,
    letter: parties.letter,
    e_invoice: preferences.e_invoice,
    buyer_reference: preferences.buyer_reference,
    preceding: facts.preceding,
    ...(isCorrection ? { corrects: facts.corrects ?? [] } : {}),
    reason: null,
    brand: facts.brand,
    lines: draft.lines.map((line, index) => documentLine(line, index + 1, facts)),
    taxes: draft.taxes.map(({ category, ratePercent, netCents, taxCents }) => ({
      category,
      rate_percent: ratePercent,
      net: formatCents(netCents),
      tax: formatCents(taxCents),
      note: taxNotes[preferences.language][category],
    })),
    totals: totalsText(draft),
  };
}

export function totalsText(draft: InvoiceDraft): InvoiceDocument['totals'] {
  return {
    net: formatCents(draft.netCents),
    tax: formatCents(draft.taxCents),
    gross: formatCents(draft.grossCents),
  };
}

/** Every invoice that a document refers to, the one that matters most first. */
export function referencesOf({ preceding, corrects = [] }: InvoiceDocument): readonly DocumentReference[] {
  return [...(preceding === null ? [] : [preceding]), ...corrects];
}

/** Takes every line back with the opposite sign, so that both documents come to exactly zero. */
export function cancellationDocument(
  original: InvoiceDocument,
  facts: {
    readonly cancellationId: string;
    readonly number: string;
    readonly issuedOn: string;
    readonly reason: string;
  },
): InvoiceDocument {
  const { payment_link: _paid, corrects: _corrected, ...rest } = original;
  const { totals, payment } = original;
  const isOwed = totals.gross.startsWith('-');
  return {
    ...rest,
    kind: 'cancellation',
    invoice_id: facts.cancellationId,
    number: facts.number,
    issued_on: facts.issuedOn,
    // Taking back what was to be refunded leaves something to pay.
    due_on: isOwed ? daysAfter(facts.issuedOn, payment.payment_days) : null,
    preceding: { number: original.number, issued_on: original.issued_on },
    reason: facts.reason,
    lines: original.lines.map((line) => ({
      ...line,
      quantity: negated(line.quantity),
      exact: negated(line.exact),
      net: negated(line.net),
    })),
    taxes: original.taxes.map((tax) => ({ ...tax, net: negated(tax.net), tax: negated(tax.tax) })),
    totals: { net: negated(totals.net), tax: negated(totals.tax), gross: negated(totals.gross) },
  };
}

/** A document as it was stored, in today's format: what the first format did not say was not on it. */
export function readDocument(text: string): InvoiceDocument {
  const stored = JSON.parse(text) as Partial<InvoiceDocument> & Pick<InvoiceDocument, 'lines' | 'taxes'>;
  const nobody = { contact_name: null, phone: null };
  return {
    due_on: null,
    country_line: null,
    payment: { iban: null, bic: null, bank: null, payment_days: 0 },
    letter: { register: null, management: null, website: null },
    e_invoice: 'zugferd',
    buyer_reference: null,
    preceding: null,
    reason: null,
    brand: null,
    ...stored,
    format: 2,
    issuer: { ...nobody, ...stored.issuer },
    recipient: { ...nobody, ...stored.recipient },
    lines: stored.lines.map((line) => ({ ...FIRST_TAX, ...line })),
    taxes: stored.taxes.map((tax) => ({ ...tax, note: (tax as Partial<DocumentTax>).note ?? null })),
  } as InvoiceDocument;
}

const FIRST_TAX = { tax_category: 'S', tax_rate_percent: '19' } as const;

function negated(amount: string): string {
  if (/^-?[0.]+$/.test(amount)) return amount;
  return amount.startsWith('-') ? amount.slice(1) : `-${amount}`;
}

/** Written down once: the names of countries are the platform's, and change with it. */
function countryLine({ issuer, recipient, preferences }: Parties): string | null {
  if (recipient.country === issuer.country) return null;
  const names = new Intl.DisplayNames([preferences.language], { type: 'region' });
  return (names.of(recipient.country) ?? recipient.country).toLocaleUpperCase(preferences.language);
}

function daysAfter(date: string, days: number): string {
  return Temporal.PlainDate.from(date).add({ days }).toString();
}

function documentLine(line: InvoiceLine, place: number, facts: DocumentFacts): DocumentLine {
  const { first, last } = periodDays(line.serviceMonth);
  const { projectId, model, unit, priceRate } = line;
  const base = unit === null ? TOKENS_PER_RATE : priceBase(unit);
  return {
    place,
    kind: line.kind,
    description: describe(line, facts.parties.preferences.language),
    project_id: projectId,
    project_name: projectId === null ? null : (facts.projectNames.get(projectId) ?? null),
    model,
    unit,
    service_from: line.from ?? first,
    service_to: line.to ?? last,
    quantity: String(line.quantity),
    unit_price: priceRate === null ? null : formatNanos((priceRate * base) / TOKENS_PER_RATE),
    price_base: priceRate === null ? null : String(base),
    exact: formatNanos(line.nanos),
    net: formatCents(line.netCents),
    tax_category: line.tax.category,
    tax_rate_percent: line.tax.ratePercent,
  };
}

function describe({ kind, model, unit, discount }: InvoiceLine, language: Language): string {
  const word = lineWords[language];
  if (discount !== undefined) {
    const { name, of, percent } = discount;
    const share =
      percent === null ? '' : `, ${formatDecimal(percent, language)} ${discountWords[language][of]}`;
    return `${word[kind]}: ${name}${share}`;
  }
  return unit === null ? word[kind] : `${word[kind]} ${model ?? ''}, ${word[unit]}`;
}
