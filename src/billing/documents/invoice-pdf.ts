import { type Brand, PLAIN_BRAND } from './brand.ts';
import { ciiXml } from './cii.ts';
import { eInvoice } from './e-invoice.ts';
import type { InvoiceDocument } from './invoice-document.ts';
import { lineTable } from './line-table.ts';
import {
  addressWindow,
  foldMarks,
  footers,
  GREY,
  heightOf,
  letterHead,
  MM,
  rule,
  runningHead,
  type Sheet,
  SHEET,
  sheetOf,
  spacedIban,
  write,
} from './page.ts';
import { attachXml, FONTS, newPdf, pdfBytes } from './pdf-file.ts';
import { referenceTexts } from './references.ts';
import { documentWords, formatDate, formatMoney } from './words.ts';

/**
 * The PDF of a finalised invoice with its XML inside (ZUGFeRD / Factur-X, profile EN 16931). The
 * same document and brand always give the same bytes.
 */
export async function invoicePdf(document: InvoiceDocument, brand: Brand = PLAIN_BRAND): Promise<Buffer> {
  const { issued_on: date, language, issuer } = document;
  const title = titleOf(document);
  const pdf = newPdf({ title: `${title} – ${issuer.name}`, author: issuer.name, language, date });
  attachXml(pdf, ciiXml(eInvoice(document, 'en16931')), date);
  const sheet = sheetOf(pdf, document, brand);
  letterHead(sheet);
  foldMarks(sheet);
  addressWindow(sheet);
  facts(sheet);
  const start = opening(sheet, title);
  const y = sums(sheet, await lineTable(sheet, title, start));
  closing(sheet, title, y);
  footers(sheet);
  return await pdfBytes(pdf);
}

function titleOf({ kind, number, language }: InvoiceDocument): string {
  return `${documentWords[language][kind]} ${number}`;
}

/** The block beside the address: number, dates, references. */
function facts({ pdf, document, word }: Sheet): void {
  const { language } = document;
  const date = (text: string) => formatDate(text, language);
  const rows: readonly (readonly [string, string] | null)[] = [
    [word.number, document.number],
    [word.date, date(document.issued_on)],
    [word.period, `${date(document.service_from)} – ${date(document.service_to)}`],
    document.due_on === null ? null : [word.due, date(document.due_on)],
    [word.customer, document.tenant_id],
    document.buyer_reference === null ? null : [word.reference, document.buyer_reference],
    document.recipient.vat_id === null ? null : [word.theirVatId, document.recipient.vat_id],
  ];
  const left = 114 * MM;
  const labels = 27 * MM;
  const width = SHEET.right - left;
  let y = 50 * MM;
  for (const [label, value] of rows.filter((row) => row !== null)) {
    write(pdf, label, left, y, { size: 7, colour: GREY, width });
    const size = value.length > 24 ? 7.5 : 9;
    const top = size === 9 ? y - 1 : y;
    y = write(pdf, value, left + labels, top, { size, width: width - labels }) + 2.2;
  }
}

/** Title and first sentence; returns where the lines begin. */
function opening({ pdf, document, word, brand }: Sheet, title: string): number {
  const { language, kind, reason } = document;
  const width = SHEET.width;
  let y = write(pdf, title, SHEET.left, 100 * MM, {
    size: 17,
    font: FONTS.bold,
    colour: brand.accent,
    width,
  });
  for (const text of referenceTexts(document)) {
    y = write(pdf, text, SHEET.left, y + 3, { size: 10, font: FONTS.medium, width });
  }
  if (reason !== null) y = write(pdf, `${word.reason}: ${reason}`, SHEET.left, y + 2, { size: 9, width });
  const usual = { invoice: word.salutation, cancellation: word.cancelIntro, correction: word.correctIntro }[
    kind
  ];
  const intro = kind === 'invoice' ? (brand.texts[language]?.intro ?? usual) : usual;
  return write(pdf, intro, SHEET.left, y + 6, { size: 9, width }) + 13;
}

/** Net, VAT per rate, total. The table has kept room for them. */
function sums({ pdf, document, word, brand }: Sheet, top: number): number {
  const { totals, taxes, currency, language } = document;
  const money = (text: string) => formatMoney(text, currency, language);
  const left = 95 * MM;
  const width = SHEET.right - left;
  const line = (label: string, amount: string, y: number, size: number, isTotal: boolean): number => {
    const font = isTotal ? FONTS.bold : FONTS.regular;
    write(pdf, label, left, y, { size, font, width: width - 80 });
    return write(pdf, money(amount), left, y, { size, font, width, align: 'right' }) + 3;
  };
  rule(pdf, top, brand.accent, 0.9);
  let y = line(word.net, totals.net, top + 8, 9, false);
  for (const { category, rate_percent: rate, net, tax } of taxes) {
    y = line(category === 'S' ? word.vat(rate, money(net)) : word.noVat(money(net)), tax, y, 9, false);
  }
  rule(pdf, y + 1, '#9aa2ab', 0.5, left);
  y = line(word.gross, totals.gross, y + 7, 11, true);
  return y + 6;
}

/** What is left to say: why there is no tax, how to pay, the agency's own words. */
function closing(sheet: Sheet, title: string, top: number): void {
  const { pdf, document, word, brand } = sheet;
  const { language, kind, taxes } = document;
  let y = top;
  /** Makes room for so much, on the next page when there is none on this one. */
  const reserve = (height: number): void => {
    if (y + height <= SHEET.bottom) return;
    pdf.addPage();
    runningHead(sheet, title);
    y = SHEET.top;
  };
  const paragraph = (
    text: string,
    font: (typeof FONTS)[keyof typeof FONTS] = FONTS.regular,
    size = 9,
  ): void => {
    const pen = { size, font, width: SHEET.width };
    reserve(heightOf(pdf, text, pen));
    y = write(pdf, text, SHEET.left, y, pen) + 6;
  };
  for (const note of new Set(taxes.map((tax) => tax.note))) if (note !== null) paragraph(note, FONTS.medium);
  if (kind === 'invoice' && document.due_on === null) paragraph(word.nothingToPay);
  if (kind === 'correction') {
    const amount = formatMoney(document.totals.gross.replace('-', ''), document.currency, language);
    paragraph(word.refund(amount), FONTS.medium);
  }
  if (document.due_on !== null) {
    reserve(PANEL_HEIGHT + 10);
    y = paymentPanel(sheet, document.due_on, y + 2) + 10;
    if (document.payment_link !== undefined)
      paragraph(word.payOnline(document.payment_link), FONTS.regular, 8);
  }
  const own = kind === 'invoice' ? (brand.texts[language]?.closing ?? null) : null;
  if (own !== null) paragraph(own);
  // Not worth a page of its own.
  if (y + 2 * 7.5 <= SHEET.bottom) paragraph(word.attachment, FONTS.regular, 7.5);
}

const PANEL_HEIGHT = 52;

/** Amount, date, account and reference in one place, to be read off when paying. */
function paymentPanel({ pdf, document, word, brand }: Sheet, due: string, y: number): number {
  const { payment, totals, currency, language, number, issuer } = document;
  const date = formatDate(due, language);
  const amount = formatMoney(totals.gross, currency, language);
  pdf.rect(SHEET.left, y, SHEET.width, PANEL_HEIGHT).fill('#f4f6f8');
  pdf.rect(SHEET.left, y, 2.5, PANEL_HEIGHT).fill(brand.accent);
  const left = SHEET.left + 12;
  const width = SHEET.width - 24;
  const lead = payment.iban === null ? `${word.payTerms(date)}: ${amount}` : word.pay(amount, date);
  write(pdf, lead, left, y + 9, { size: 9, font: FONTS.medium, width });
  const account =
    payment.iban === null
      ? [issuer.name]
      : [
          `IBAN ${spacedIban(payment.iban)}`,
          ...(payment.bic === null ? [] : [`BIC ${payment.bic}`]),
          ...(payment.bank === null ? [] : [payment.bank]),
        ];
  write(pdf, account.join('   '), left, y + 23, { size: 8.5, width });
  write(pdf, `${word.usage}: ${number}`, left, y + 36, { size: 8.5, width });
  return y + PANEL_HEIGHT;
}
