import type { DocumentLine, InvoiceDocument } from './documents/invoice-document.ts';
import type { Party } from './documents/parties.ts';

/** An invoice for the terminal, in its own language, at most `WIDTH` columns where names allow it. */
const WIDTH = 96;
const AMOUNT_WIDTH = 14;

const words = {
  de: {
    invoice: 'Rechnung',
    cancellation: 'Stornorechnung',
    correction: 'Rechnungskorrektur',
    of: 'vom',
    period: 'Leistungszeitraum',
    from: 'Von',
    to: 'An',
    vatId: 'USt-IdNr.',
    taxNumber: 'Steuernummer',
    noProject: 'ohne Projekt',
    per: 'je',
    net: 'Netto',
    vat: 'USt.',
    gross: 'Gesamtbetrag',
  },
  en: {
    invoice: 'Invoice',
    cancellation: 'Cancellation invoice',
    correction: 'Invoice correction',
    of: 'of',
    period: 'Period of service',
    from: 'From',
    to: 'To',
    vatId: 'VAT id',
    taxNumber: 'Tax number',
    noProject: 'without a project',
    per: 'per',
    net: 'Net',
    vat: 'VAT',
    gross: 'Total',
  },
} as const;

export function formatInvoice(document: InvoiceDocument): string {
  const word = words[document.language];
  const { totals, currency } = document;
  const rule = '-'.repeat(WIDTH);
  const lines = [
    `${word[document.kind]} ${document.number} ${word.of} ${document.issued_on}`,
    `${word.period}: ${document.service_from} - ${document.service_to}`,
    '',
    `${word.from}: ${partyText(document.issuer, document)}`,
    `${word.to}: ${partyText(document.recipient, document)}`,
    '',
    rule,
    ...document.lines.flatMap((line) => lineText(line, document)),
    rule,
    row(word.net, totals.net, currency),
    ...document.taxes.map(({ rate_percent, tax }) => row(`${word.vat} ${rate_percent} %`, tax, currency)),
    row(word.gross, totals.gross, currency),
    ...document.taxes.flatMap(({ note }) => (note === null ? [] : ['', note])),
  ];
  return `${lines.join('\n')}\n`;
}

function partyText(party: Party, { language }: InvoiceDocument): string {
  const word = words[language];
  return [
    party.name,
    party.street,
    `${party.country}-${party.postal_code} ${party.city}`,
    ...(party.vat_id === null ? [] : [`${word.vatId} ${party.vat_id}`]),
    ...(party.tax_number === null ? [] : [`${word.taxNumber} ${party.tax_number}`]),
  ].join(', ');
}

function lineText(line: DocumentLine, { language, currency, period }: InvoiceDocument): readonly string[] {
  const word = words[language];
  // Service of another month than the invoice's is named; VAT belongs to the month of service.
  const month = line.service_from.slice(0, 7);
  const description = month === period ? line.description : `${line.description} (${month})`;
  const first = row(description, line.net, currency, `${String(line.place).padStart(3)}  `);
  if (line.unit_price === null) return [first];
  const project = line.project_name ?? line.project_id ?? word.noProject;
  const price = `${grouped(line.quantity)} x ${line.unit_price} ${currency} ${word.per} ${grouped(line.price_base ?? '1')}`;
  return [first, `       ${project}: ${price} = ${line.exact}`];
}

function row(label: string, amount: string, currency: string, prefix = '     '): string {
  const tail = `${amount.padStart(AMOUNT_WIDTH)} ${currency}`;
  return `${`${prefix}${label}`.padEnd(WIDTH - tail.length)}${tail}`;
}

/** `1 000 000`: the grouping that both languages read alike. */
function grouped(digits: string): string {
  return digits.replaceAll(/\B(?=(\d{3})+$)/g, ' ');
}
