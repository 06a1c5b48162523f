import type { Discount } from '../../domain/discount.ts';
import type { InvoiceLine } from '../../domain/invoice.ts';
import type { Unit } from '../../domain/spend.ts';
import type { TaxCategory } from '../../domain/tax.ts';
import type { Language } from './parties.ts';

/** Every word of the documents. In German VAT law "Gutschrift" is self-billing: no document is called that. */
export const lineWords = {
  de: {
    fee: 'Grundgebühr',
    'project-fee': 'Projektgebühr',
    correction: 'Korrektur der Gebühren nach Vertragsänderung',
    tier: 'Staffelpreis, Differenz',
    commitment: 'Aufstockung auf den Mindestumsatz',
    discount: 'Rabatt',
    included: 'Inklusivnutzung',
    usage: 'Nutzung',
    input: 'Eingabe-Tokens',
    'cached-input': 'Eingabe-Tokens aus dem Cache',
    'cache-write': 'in den Cache geschriebene Eingabe-Tokens',
    'audio-input': 'Audio-Eingabe-Tokens',
    output: 'Ausgabe-Tokens',
    'audio-output': 'Audio-Ausgabe-Tokens',
    image: 'Bilder',
    search: 'Suchen',
    character: 'Zeichen',
    second: 'Sekunden Audio',
  },
  en: {
    fee: 'Monthly fee',
    'project-fee': 'Project fee',
    correction: 'Correction of fees after a change of the contract',
    tier: 'Tiered price, difference',
    commitment: 'Top-up to the minimum commitment',
    discount: 'Discount',
    included: 'Included usage',
    usage: 'Usage',
    input: 'input tokens',
    'cached-input': 'cached input tokens',
    'cache-write': 'input tokens written to the cache',
    'audio-input': 'audio input tokens',
    output: 'output tokens',
    'audio-output': 'audio output tokens',
    image: 'images',
    search: 'searches',
    character: 'characters',
    second: 'seconds of audio',
  },
} as const satisfies Record<Language, Record<InvoiceLine['kind'] | Unit, string>>;

/** What a discount is of, after its percentage. */
export const discountWords = {
  de: { fees: '% auf die Gebühren', usage: '% auf die Nutzung', all: '% auf alle Leistungen' },
  en: { fees: '% of the fees', usage: '% of the usage', all: '% of all services' },
} as const satisfies Record<Language, Record<Discount['of'], string>>;

/** The hints that the law asks for where no tax is charged: sections 14a(5), 34a UStDV, 3a(2) UStG. */
export const taxNotes = {
  de: {
    S: null,
    AE: 'Steuerschuldnerschaft des Leistungsempfängers (Reverse Charge)',
    E: 'Kein Ausweis von Umsatzsteuer: steuerfrei nach § 19 UStG (Kleinunternehmer)',
    O: 'In Deutschland nicht steuerbar: Der Leistungsort liegt im Drittland (§ 3a Abs. 2 UStG)',
  },
  en: {
    S: null,
    AE: 'Reverse charge: VAT is owed by the recipient (Steuerschuldnerschaft des Leistungsempfängers)',
    E: 'No VAT is shown: exempt under section 19 of the German VAT act (Kleinunternehmer)',
    O: 'Not taxable in Germany: the place of supply is outside the EU (section 3a(2) of the German VAT act)',
  },
} as const satisfies Record<Language, Record<TaxCategory, string | null>>;

export const documentWords = {
  de: {
    invoice: 'Rechnung',
    cancellation: 'Stornorechnung',
    correction: 'Rechnungskorrektur',
    corrects: (invoices: string) => `Rechnungskorrektur zur Rechnung ${invoices}`,
    invoiceOf: (number: string, date: string) => `${number} vom ${date}`,
    cancels: (number: string, date: string) => `Rechnungskorrektur zur Rechnung ${number} vom ${date}`,
    replaces: (number: string, date: string) => `Ersetzt die stornierte Rechnung ${number} vom ${date}`,
    reason: 'Grund',
    number: 'Rechnungsnummer',
    date: 'Rechnungsdatum',
    period: 'Leistungszeitraum',
    due: 'Fällig am',
    customer: 'Kundennummer',
    reference: 'Ihre Referenz',
    theirVatId: 'Ihre USt-IdNr.',
    place: 'Pos.',
    description: 'Leistung',
    quantity: 'Menge',
    price: 'Preis',
    rate: 'USt.',
    amount: 'Betrag',
    carried: 'Übertrag',
    late: 'Nachtrag',
    noProject: 'ohne Projekt',
    perTokens: (count: string) => `je ${count} Tokens`,
    per: (count: string) => `je ${count}`,
    net: 'Summe netto',
    vat: (rate: string, net: string) => `Umsatzsteuer ${rate} % auf ${net}`,
    noVat: (net: string) => `Umsatzsteuer 0 % auf ${net}`,
    gross: 'Gesamtbetrag',
    pay: (amount: string, date: string) => `Bitte überweisen Sie ${amount} bis zum ${date} auf das Konto`,
    payOnline: (link: string) => `Online bezahlen: ${link}`,
    payTerms: (date: string) => `Zahlbar ohne Abzug bis zum ${date}`,
    nothingToPay: 'Es ist nichts zu zahlen.',
    usage: 'Verwendungszweck',
    page: (page: number, pages: number) => `Seite ${page} von ${pages}`,
    vatId: 'USt-IdNr.',
    taxNumber: 'Steuernummer',
    bank: 'Bankverbindung',
    phone: 'Telefon',
    salutation: 'Für die Nutzung im Leistungszeitraum berechnen wir:',
    cancelIntro: 'Wir nehmen die genannte Rechnung vollständig zurück:',
    correctIntro: 'Wir berichtigen frühere Abrechnungen wie folgt:',
    refund: (amount: string) =>
      `Der Betrag von ${amount} wird Ihnen erstattet oder mit offenen Rechnungen verrechnet.`,
    statement: 'Nutzungsnachweis',
    statementOf: (number: string) => `zur Rechnung ${number}`,
    month: 'Monat',
    project: 'Projekt',
    model: 'Modell',
    unit: 'Einheit',
    exact: 'Betrag genau',
    attachment: 'Diese PDF-Datei enthält die Rechnung auch als XML (ZUGFeRD, EN 16931).',
  },
  en: {
    invoice: 'Invoice',
    cancellation: 'Cancellation invoice',
    correction: 'Invoice correction',
    corrects: (invoices: string) => `Correction of invoice ${invoices}`,
    invoiceOf: (number: string, date: string) => `${number} of ${date}`,
    cancels: (number: string, date: string) => `Correction of invoice ${number} of ${date}`,
    replaces: (number: string, date: string) => `Replaces the cancelled invoice ${number} of ${date}`,
    reason: 'Reason',
    number: 'Invoice number',
    date: 'Invoice date',
    period: 'Period of service',
    due: 'Due on',
    customer: 'Customer number',
    reference: 'Your reference',
    theirVatId: 'Your VAT id',
    place: 'No.',
    description: 'Service',
    quantity: 'Quantity',
    price: 'Price',
    rate: 'VAT',
    amount: 'Amount',
    carried: 'Carried forward',
    late: 'Late usage',
    noProject: 'without a project',
    perTokens: (count: string) => `per ${count} tokens`,
    per: (count: string) => `per ${count}`,
    net: 'Net total',
    vat: (rate: string, net: string) => `VAT ${rate} % on ${net}`,
    noVat: (net: string) => `VAT 0 % on ${net}`,
    gross: 'Total',
    pay: (amount: string, date: string) => `Please transfer ${amount} by ${date} to`,
    payOnline: (link: string) => `Pay online: ${link}`,
    payTerms: (date: string) => `Payable without deduction by ${date}`,
    nothingToPay: 'Nothing is to be paid.',
    usage: 'Reference',
    page: (page: number, pages: number) => `Page ${page} of ${pages}`,
    vatId: 'VAT id',
    taxNumber: 'Tax number',
    bank: 'Bank details',
    phone: 'Phone',
    salutation: 'For the usage in the period of service we charge:',
    cancelIntro: 'We take back the named invoice in full:',
    correctIntro: 'We correct what was charged before as follows:',
    refund: (amount: string) =>
      `The amount of ${amount} is refunded to you or set off against open invoices.`,
    statement: 'Usage statement',
    statementOf: (number: string) => `for invoice ${number}`,
    month: 'Month',
    project: 'Project',
    model: 'Model',
    unit: 'Unit',
    exact: 'Exact amount',
    attachment: 'This PDF file also holds the invoice as XML (ZUGFeRD / Factur-X, EN 16931).',
  },
} as const satisfies Record<Language, object>;

export type DocumentWords = (typeof documentWords)[Language];

/** `30.11.2026` or `30 Nov 2026`, from `YYYY-MM-DD`. */
export function formatDate(date: string, language: Language): string {
  const [year, month, day] = date.split('-');
  if (language === 'de') return `${day}.${month}.${year}`;
  const names = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');
  return `${Number(day)} ${names[Number(month) - 1]} ${year}`;
}

/** `1.234,56` or `1,234.56`, from a decimal; a true minus sign. */
export function formatDecimal(decimal: string, language: Language): string {
  const [, sign = '', whole = '', fraction = ''] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(decimal) ?? [];
  const [group, point] = language === 'de' ? ['.', ','] : [',', '.'];
  const grouped = whole.replaceAll(/\B(?=(\d{3})+$)/g, group);
  return `${sign === '' ? '' : '−'}${grouped}${fraction === '' ? '' : `${point}${fraction}`}`;
}

/** `1.234,56 €` or `€1,234.56`; other currencies by their code. */
export function formatMoney(decimal: string, currency: string, language: Language): string {
  const amount = formatDecimal(decimal, language);
  if (currency !== 'EUR') return `${amount}\u00a0${currency}`;
  if (language === 'de') return `${amount}\u00a0€`;
  return amount.startsWith('−') ? `−€${amount.slice(1)}` : `€${amount}`;
}
