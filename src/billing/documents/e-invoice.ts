import type { TaxCategory } from '../../domain/tax.ts';
import { type DocumentLine, type InvoiceDocument, referencesOf } from './invoice-document.ts';
import type { Party } from './parties.ts';
import { referenceTexts } from './references.ts';
import { documentWords, formatDate } from './words.ts';

/**
 * An invoice in the terms of EN 16931: what both syntaxes (CII, UBL) write and the business rules
 * speak about. `BT-…` are the norm's own names of the fields. Amounts are decimal texts.
 */
export const PROFILES = {
  en16931: { id: 'urn:cen.eu:en16931:2017', process: null },
  'xrechnung-3.0': {
    id: 'urn:cen.eu:en16931:2017#compliant#urn:xeinkauf.de:kosit:xrechnung_3.0',
    process: 'urn:fdc:peppol.eu:2017:poacc:billing:01:1.0',
  },
} as const;
export type Profile = keyof typeof PROFILES;

export interface EInvoice {
  readonly profile: Profile;
  /** BT-1 */
  readonly number: string;
  /** BT-2, BT-9: `YYYY-MM-DD`. */
  readonly issuedOn: string;
  readonly dueOn: string | null;
  /** BT-3: 380 invoice, 384 corrected invoice, which takes back others or parts of them. */
  readonly typeCode: '380' | '384';
  /** BT-5 */
  readonly currency: string;
  /** BT-10 */
  readonly buyerReference: string | null;
  /** BT-20 */
  readonly paymentTerms: string | null;
  /** BT-22 */
  readonly notes: readonly string[];
  /** BT-25, BT-26 */
  readonly preceding: readonly { readonly number: string; readonly issuedOn: string }[];
  readonly seller: EParty;
  readonly buyer: EParty;
  /** BT-72 */
  readonly deliveredOn: string;
  /** BT-73, BT-74 */
  readonly from: string;
  readonly to: string;
  readonly payment: {
    /** BT-81: 58 SEPA credit transfer; 1 when no account is known. */
    readonly code: '58' | '1';
    readonly iban: string | null;
    readonly bic: string | null;
    readonly accountName: string;
  };
  readonly lines: readonly ELine[];
  readonly taxes: readonly ETax[];
  /** BT-106, 109, 110, 112, 115. There are no allowances, charges or prepayments on document level. */
  readonly totals: {
    readonly lines: string;
    readonly net: string;
    readonly tax: string;
    readonly gross: string;
    readonly due: string;
  };
}

export interface EParty {
  /** BT-29, BT-46: our own id of it. */
  readonly id: string;
  readonly name: string;
  readonly street: string;
  readonly postalCode: string;
  readonly city: string;
  readonly country: string;
  /** BT-31, BT-48 */
  readonly vatId: string | null;
  /** BT-32 */
  readonly taxNumber: string | null;
  /** BT-33 */
  readonly legalInformation: string | null;
  /** BT-34, BT-49: an e-mail address. */
  readonly electronicAddress: string | null;
  /** BG-6: name, phone, e-mail. */
  readonly contact: {
    readonly name: string | null;
    readonly phone: string | null;
    readonly email: string | null;
  };
}

export interface ELine {
  readonly id: string;
  /** BT-153, BT-154 */
  readonly name: string;
  readonly description: string | null;
  /** BT-129, BT-130: C62 is a piece, MON a month. */
  readonly quantity: string;
  readonly unitCode: 'C62' | 'MON';
  /** BT-131 */
  readonly net: string;
  /** BT-146, BT-149: never negative; the quantity carries the sign. */
  readonly price: string;
  readonly priceBase: string;
  readonly category: TaxCategory;
  /** BT-152; null outside the scope of the tax. */
  readonly ratePercent: string | null;
  /** BT-134, BT-135 */
  readonly from: string;
  readonly to: string;
}

export interface ETax {
  readonly category: TaxCategory;
  /** BT-119; null outside the scope of the tax. */
  readonly ratePercent: string | null;
  readonly net: string;
  readonly tax: string;
  /** BT-120, BT-121 */
  readonly reason: string | null;
  readonly reasonCode: string | null;
}

const REASON_CODES: Readonly<Record<TaxCategory, string | null>> = {
  S: null,
  AE: 'VATEX-EU-AE',
  E: null,
  O: 'VATEX-EU-O',
};

export function eInvoice(document: InvoiceDocument, profile: Profile): EInvoice {
  const { totals, payment, issuer, recipient } = document;
  const word = documentWords[document.language];
  const isOutside = document.taxes.some(({ category }) => category === 'O');
  return {
    profile,
    number: document.number,
    issuedOn: document.issued_on,
    dueOn: document.due_on,
    typeCode: document.kind === 'invoice' ? '380' : '384',
    currency: document.currency,
    buyerReference: document.buyer_reference ?? (profile === 'en16931' ? null : document.tenant_id),
    paymentTerms:
      document.due_on === null ? null : word.payTerms(formatDate(document.due_on, document.language)),
    notes: notesOf(document),
    preceding: referencesOf(document).map(({ number, issued_on: issuedOn }) => ({ number, issuedOn })),
    seller: party(document.agency_id, issuer, isOutside),
    buyer: { ...party(document.tenant_id, recipient, isOutside), taxNumber: null, legalInformation: null },
    deliveredOn: document.service_to,
    from: document.service_from,
    to: document.service_to,
    payment: {
      code: payment.iban === null ? '1' : '58',
      iban: payment.iban,
      bic: payment.bic,
      accountName: issuer.name,
    },
    lines: document.lines.map((line) => eLine(line, document)),
    taxes: document.taxes.map(({ category, rate_percent, net, tax, note }) => ({
      category,
      ratePercent: category === 'O' ? null : rate_percent,
      net,
      tax,
      reason: note,
      reasonCode: REASON_CODES[category],
    })),
    totals: { lines: totals.net, net: totals.net, tax: totals.tax, gross: totals.gross, due: totals.gross },
  };
}

function notesOf(document: InvoiceDocument): readonly string[] {
  const { reason, language } = document;
  const { reason: because } = documentWords[language];
  return [...referenceTexts(document), ...(reason === null ? [] : [`${because}: ${reason}`])];
}

/** Outside the scope of the tax BR-O-02 allows no VAT ids: they are then named as legal information. */
function party(id: string, from: Party, isOutside: boolean): EParty {
  return {
    id,
    name: from.name,
    street: from.street,
    postalCode: from.postal_code,
    city: from.city,
    country: from.country,
    vatId: isOutside ? null : from.vat_id,
    taxNumber: from.tax_number,
    legalInformation: isOutside && from.vat_id !== null ? `VAT ID ${from.vat_id}` : null,
    electronicAddress: from.email,
    contact: { name: from.contact_name, phone: from.phone, email: from.email },
  };
}

function eLine(line: DocumentLine, { language }: InvoiceDocument): ELine {
  const word = documentWords[language];
  const project = line.project_name ?? line.project_id;
  const isUsage = line.unit_price !== null;
  const isNegative = line.net.startsWith('-');
  return {
    id: String(line.place),
    name: line.description,
    description: project === null ? (isUsage ? word.noProject : null) : `${word.project}: ${project}`,
    quantity: isUsage ? line.quantity : isNegative ? '-1' : '1',
    unitCode: line.kind === 'fee' ? 'MON' : 'C62',
    net: line.net,
    price: line.unit_price ?? (isNegative ? line.net.slice(1) : line.net),
    priceBase: line.price_base ?? '1',
    category: line.tax_category,
    ratePercent: line.tax_category === 'O' ? null : line.tax_rate_percent,
    from: line.service_from,
    to: line.service_to,
  };
}
