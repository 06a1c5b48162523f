import { taxOn } from '../../domain/tax.ts';
import { parseNanos, toCents } from '../../domain/money.ts';
import type { EInvoice, ELine, ETax } from './e-invoice.ts';

/**
 * The business rules of EN 16931 and XRechnung that an invoice can break: sums, tax categories,
 * decimals, and what must be there. They are checked before an invoice is finalised, since nothing
 * can be put right afterwards. Names are those of the official rule sets.
 */
export interface Violation {
  /** Such as `BR-CO-10`. */
  readonly rule: string;
  /** The field at fault, such as `BT-106 total of the lines`. */
  readonly field: string;
}

/** All violations, [] for an invoice in order. XRechnung's own rules hold for its profile only. */
export function violationsOf(invoice: EInvoice): readonly Violation[] {
  return [
    ...headRules(invoice),
    ...invoice.lines.flatMap(lineRules),
    ...sumRules(invoice),
    ...invoice.taxes.flatMap((_, index) => taxRules(index, invoice)),
    ...partyRules(invoice),
    ...(invoice.profile === 'xrechnung-3.0' ? xrechnungRules(invoice) : []),
  ];
}

type Check = readonly [holds: boolean, rule: string, field: string];

function broken(checks: readonly Check[]): readonly Violation[] {
  return checks.filter(([holds]) => !holds).map(([, rule, field]) => ({ rule, field }));
}

const AMOUNT = /^-?\d+\.\d{2}$/;
const NUMBER = /^-?\d+(\.\d+)?$/;

function cents(amount: string): bigint {
  return NUMBER.test(amount) ? toCents(parseNanos(amount)) : 0n;
}

function sumOf(amounts: readonly string[]): bigint {
  return amounts.reduce((sum, amount) => sum + cents(amount), 0n);
}

function headRules(invoice: EInvoice): readonly Violation[] {
  const { totals, payment, preceding, dueOn, paymentTerms } = invoice;
  return broken([
    [invoice.number !== '', 'BR-02', 'BT-1 invoice number'],
    [isDate(invoice.issuedOn), 'BR-03', 'BT-2 issue date'],
    [/^[A-Z]{3}$/.test(invoice.currency), 'BR-05', 'BT-5 currency'],
    [invoice.lines.length > 0, 'BR-16', 'BG-25 invoice line'],
    [isDate(invoice.deliveredOn), 'BR-DE-TMP-32', 'BT-72 delivery date'],
    [invoice.from <= invoice.to, 'BR-29', 'BT-74 end of the period'],
    [preceding.every(({ number }) => number !== ''), 'BR-55', 'BT-25 preceding invoice'],
    [payment.code !== '58' || payment.iban !== null, 'BR-61', 'BT-84 payment account'],
    [cents(totals.due) <= 0n || dueOn !== null || paymentTerms !== null, 'BR-CO-25', 'BT-9 due date'],
  ]);
}

function isDate(text: string): boolean {
  return /^\d{4}-\d\d-\d\d$/.test(text);
}

function lineRules(line: ELine): readonly Violation[] {
  const at = (field: string): string => `${field} of line ${line.id}`;
  const rate = line.ratePercent;
  return broken([
    [line.id !== '', 'BR-21', at('BT-126 id')],
    [NUMBER.test(line.quantity), 'BR-22', at('BT-129 quantity')],
    [AMOUNT.test(line.net), 'BR-DEC-23', at('BT-131 net amount')],
    [line.name.trim() !== '', 'BR-25', at('BT-153 item name')],
    [NUMBER.test(line.price), 'BR-26', at('BT-146 net price')],
    [!line.price.startsWith('-'), 'BR-27', at('BT-146 net price')],
    [
      NUMBER.test(line.priceBase) && parseNanos(line.priceBase) > 0n,
      'PEPPOL-EN16931-R121',
      at('BT-149 price base quantity'),
    ],
    [line.from <= line.to, 'BR-30', at('BT-135 end of the period')],
    [followsFromPrice(line), 'PEPPOL-EN16931-R120', at('BT-131 net amount')],
    [line.category !== 'S' || Number(rate) > 0, 'BR-S-05', at('BT-152 VAT rate')],
    [line.category !== 'AE' || Number(rate) === 0, 'BR-AE-05', at('BT-152 VAT rate')],
    [line.category !== 'E' || Number(rate) === 0, 'BR-E-05', at('BT-152 VAT rate')],
    [line.category !== 'O' || rate === null, 'BR-O-05', at('BT-152 VAT rate')],
  ]);
}

/** Quantity x price / base, rounded to the cent. Included usage may be off by what its rounding takes off more. */
function followsFromPrice({ quantity, price, priceBase, net }: ELine): boolean {
  if (![quantity, price, priceBase].every((text) => NUMBER.test(text)) || parseNanos(priceBase) === 0n)
    return true;
  const exact = (parseNanos(price) * parseNanos(quantity)) / parseNanos(priceBase);
  const off = toCents(exact) - cents(net);
  return off >= -2n && off <= 2n;
}

function sumRules({ lines, taxes, totals }: EInvoice): readonly Violation[] {
  const amounts = Object.values(totals);
  return broken([
    [amounts.every((amount) => AMOUNT.test(amount)), 'BR-DEC-09..18', 'BG-22 document totals'],
    [
      taxes.every(({ net, tax }) => AMOUNT.test(net) && AMOUNT.test(tax)),
      'BR-DEC-19..20',
      'BG-23 VAT breakdown',
    ],
    [cents(totals.lines) === sumOf(lines.map(({ net }) => net)), 'BR-CO-10', 'BT-106 total of the lines'],
    [cents(totals.net) === cents(totals.lines), 'BR-CO-13', 'BT-109 total without VAT'],
    [cents(totals.tax) === sumOf(taxes.map(({ tax }) => tax)), 'BR-CO-14', 'BT-110 total VAT'],
    [cents(totals.gross) === cents(totals.net) + cents(totals.tax), 'BR-CO-15', 'BT-112 total with VAT'],
    [cents(totals.due) === cents(totals.gross), 'BR-CO-16', 'BT-115 amount due'],
    [taxes.length > 0, 'BR-CO-18', 'BG-23 VAT breakdown'],
    [
      lines.every((line) => taxes.some((tax) => tax.category === line.category && sameRate(tax, line))),
      'BR-CO-18',
      'BG-23 VAT breakdown of each category and rate',
    ],
  ]);
}

function sameRate(a: Pick<ETax, 'ratePercent'>, b: Pick<ETax, 'ratePercent'>): boolean {
  return a.ratePercent === b.ratePercent;
}

function taxRules(index: number, { lines, taxes, seller, buyer }: EInvoice): readonly Violation[] {
  const tax = taxes[index]!;
  const { category, ratePercent } = tax;
  const own = lines.filter((line) => line.category === category && sameRate(line, tax));
  const others = taxes.filter((_, place) => place !== index);
  const rate = ratePercent ?? '0';
  const hasSeller = seller.vatId !== null || seller.taxNumber !== null;
  const isTaxed = category === 'S';
  const prefix = `BR-${category}`;
  return broken([
    [category === 'O' || ratePercent !== null, 'BR-48', 'BT-119 VAT rate'],
    [
      others.every((other) => other.category !== category || (isTaxed && !sameRate(other, tax))),
      `${prefix}-01`,
      `BG-23 VAT breakdown of category ${category}`,
    ],
    [category === 'O' || hasSeller, `${prefix}-02`, 'BT-31 VAT id or BT-32 tax number of the seller'],
    [category !== 'AE' || buyer.vatId !== null, 'BR-AE-02', 'BT-48 VAT id of the buyer'],
    [category !== 'O' || (seller.vatId === null && buyer.vatId === null), 'BR-O-02', 'BT-31, BT-48 VAT ids'],
    [cents(tax.net) === sumOf(own.map(({ net }) => net)), `${prefix}-08`, 'BT-116 taxable amount'],
    [
      cents(tax.tax) === taxOn(cents(tax.net), rate),
      isTaxed ? 'BR-CO-17' : `${prefix}-09`,
      'BT-117 VAT amount',
    ],
    [
      isTaxed ? Number(rate) > 0 : Number(rate) === 0,
      isTaxed ? 'BR-S-05' : `${prefix}-09`,
      'BT-119 VAT rate',
    ],
    [isTaxed === (tax.reason === null), `${prefix}-10`, 'BT-120 reason for no VAT'],
    [category !== 'O' || others.length === 0, 'BR-O-11', 'BG-23 VAT breakdown beside category O'],
  ]);
}

function partyRules({ seller, buyer }: EInvoice): readonly Violation[] {
  const isCountry = (text: string): boolean => /^[A-Z]{2}$/.test(text);
  const hasPrefix = (id: string | null): boolean => id === null || /^[A-Z]{2}/.test(id);
  return broken([
    [seller.name !== '', 'BR-06', 'BT-27 name of the seller'],
    [buyer.name !== '', 'BR-07', 'BT-44 name of the buyer'],
    [isCountry(seller.country), 'BR-09', 'BT-40 country of the seller'],
    [isCountry(buyer.country), 'BR-11', 'BT-55 country of the buyer'],
    [hasPrefix(seller.vatId), 'BR-CO-09', 'BT-31 VAT id of the seller'],
    [hasPrefix(buyer.vatId), 'BR-CO-09', 'BT-48 VAT id of the buyer'],
    [seller.id !== '' || seller.vatId !== null, 'BR-CO-26', 'BT-29 id of the seller'],
  ]);
}

function xrechnungRules(invoice: EInvoice): readonly Violation[] {
  const { seller, buyer, payment, buyerReference, taxes, typeCode, preceding } = invoice;
  const { contact } = seller;
  const given = (text: string | null): boolean => text !== null && text.trim() !== '';
  const isOutside = taxes.every(({ category }) => category === 'O');
  const isMail = contact.email === null || /^[^@\s.][^@\s]*@[^@\s]+[^@\s.]$/.test(contact.email);
  return broken([
    [given(payment.code), 'BR-DE-1', 'BG-16 payment instructions'],
    [
      given(contact.name) || given(contact.phone) || given(contact.email),
      'BR-DE-2',
      'BG-6 contact of the seller',
    ],
    [given(seller.city), 'BR-DE-3', 'BT-37 city of the seller'],
    [given(seller.postalCode), 'BR-DE-4', 'BT-38 post code of the seller'],
    [given(contact.name), 'BR-DE-5', 'BT-41 contact name of the seller'],
    [given(contact.phone), 'BR-DE-6', 'BT-42 phone of the seller'],
    [given(contact.email), 'BR-DE-7', 'BT-43 e-mail of the seller'],
    [given(buyer.city), 'BR-DE-8', 'BT-52 city of the buyer'],
    [given(buyer.postalCode), 'BR-DE-9', 'BT-53 post code of the buyer'],
    [given(buyerReference), 'BR-DE-15', 'BT-10 buyer reference'],
    [
      isOutside || seller.vatId !== null || seller.taxNumber !== null,
      'BR-DE-16',
      'BT-31 VAT id or BT-32 tax number',
    ],
    [
      contact.phone === null || (contact.phone.match(/\d/g)?.length ?? 0) >= 3,
      'BR-DE-27',
      'BT-42 phone of the seller',
    ],
    [isMail, 'BR-DE-28', 'BT-43 e-mail of the seller'],
    [typeCode !== '384' || preceding.length > 0, 'BR-DE-26', 'BG-3 preceding invoice of a correction'],
    [given(buyer.electronicAddress), 'PEPPOL-EN16931-R010', 'BT-49 electronic address of the buyer'],
    [given(seller.electronicAddress), 'PEPPOL-EN16931-R020', 'BT-34 electronic address of the seller'],
  ]);
}
