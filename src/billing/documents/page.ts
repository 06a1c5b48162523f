import type { Brand } from './brand.ts';
import type { InvoiceDocument } from './invoice-document.ts';
import { FONTS, type Pdf } from './pdf-file.ts';
import type { DocumentWords } from './words.ts';
import { documentWords } from './words.ts';

/** The sheet: measures, pens, and what every page carries. Lengths are points from the top left. */
export const MM = 72 / 25.4;
export const SHEET = {
  left: 25 * MM,
  right: 190 * MM,
  width: 165 * MM,
  /** First line of text on following pages, and where the text ends on all of them. */
  top: 36 * MM,
  bottom: 258 * MM,
  footer: 266 * MM,
} as const;

export const INK = '#1a1d21';
export const GREY = '#626a73';
const RULE = '#d9dde2';

export interface Sheet {
  readonly pdf: Pdf;
  readonly document: InvoiceDocument;
  readonly word: DocumentWords;
  readonly brand: Brand;
}

export function sheetOf(pdf: Pdf, document: InvoiceDocument, brand: Brand): Sheet {
  return { pdf, document, word: documentWords[document.language], brand };
}

export interface Pen {
  readonly size?: number;
  readonly font?: (typeof FONTS)[keyof typeof FONTS];
  readonly colour?: string;
  readonly width?: number;
  readonly align?: 'left' | 'right';
  /** What does not fit is cut off with an ellipsis. */
  readonly height?: number;
  /** Set smaller where one line of it would be wider than this. */
  readonly within?: number;
}

/** Writes text at a place and returns where the next line would begin. */
export function write(pdf: Pdf, text: string, x: number, y: number, pen: Pen = {}): number {
  const { size: wanted = 9, font = FONTS.regular, colour = INK, width, height, align = 'left', within } = pen;
  const size = within === undefined ? wanted : fittingSize(pdf, text, font, wanted, within);
  pdf.font(font).fontSize(size).fillColor(colour);
  const options = {
    align,
    lineGap: size * 0.22,
    ...(width === undefined ? { lineBreak: false } : { width }),
    ...(height === undefined ? {} : { height, ellipsis: true }),
  };
  pdf.text(text, x, y, options);
  return width === undefined ? y + wanted * 1.43 : pdf.y;
}

const SIZE_MIN = 4;
/** A little less than all of it: a text as wide as its place is broken by the last digit of a sum. */
const FILLED = 0.99;

function fittingSize(pdf: Pdf, text: string, font: Pen['font'], size: number, width: number): number {
  const taken = pdf
    .font(font ?? FONTS.regular)
    .fontSize(size)
    .widthOfString(text);
  return taken <= width ? size : Math.max(SIZE_MIN, ((size * width) / taken) * FILLED);
}

/** The largest of the sizes at which lines below each other are no higher than so much; else the last. */
function sizeWithin(
  pdf: Pdf,
  lines: readonly string[],
  {
    width,
    height,
    sizes,
  }: { readonly width: number; readonly height: number; readonly sizes: readonly number[] },
): number {
  const isWithin = (size: number): boolean =>
    lines.reduce((sum, line) => sum + heightOf(pdf, line, { size, width }), 0) <= height;
  return sizes.find(isWithin) ?? sizes.at(-1)!;
}

export function heightOf(
  pdf: Pdf,
  text: string,
  { size = 9, font = FONTS.regular, width = SHEET.width }: Pen,
): number {
  return pdf
    .font(font)
    .fontSize(size)
    .heightOfString(text, { width, lineGap: size * 0.22 });
}

export function rule(pdf: Pdf, y: number, colour = RULE, weight = 0.5, left: number = SHEET.left): void {
  pdf.moveTo(left, y).lineTo(SHEET.right, y).lineWidth(weight).strokeColor(colour).stroke();
}

const LOGO = { width: 62 * MM, height: 19 * MM } as const;

/** Logo or name at the top of the first page. */
export function letterHead({ pdf, document, brand }: Sheet): void {
  const { issuer } = document;
  const y = 14 * MM;
  if (brand.logo !== null) {
    const { width, height } = LOGO;
    const image = Buffer.from(brand.logo.data, 'base64');
    pdf.image(image, SHEET.right - width, y, { fit: [width, height], align: 'right' });
    return;
  }
  write(pdf, issuer.name, SHEET.left, y + 4, {
    size: 15,
    font: FONTS.bold,
    colour: brand.accent,
    width: SHEET.width,
    align: 'right',
  });
}

/** The recipient in the window of a DIN 5008 envelope (form B), with the sender's line above. */
export function addressWindow({ pdf, document }: Sheet): void {
  const { issuer, recipient } = document;
  const width = 80 * MM;
  const sender = `${issuer.name} · ${issuer.street} · ${issuer.postal_code} ${issuer.city}`;
  write(pdf, sender, SHEET.left, 56.5 * MM, { size: 6.5, colour: GREY, width, within: width });
  const lines = [
    recipient.name,
    recipient.street,
    `${recipient.postal_code} ${recipient.city}`,
    ...(document.country_line === null ? [] : [document.country_line]),
  ];
  let y = 63 * MM;
  const size = sizeWithin(pdf, lines, { width, height: 33 * MM, sizes: [10, 9, 8, 7, 6] });
  for (const line of lines) y = write(pdf, line, SHEET.left, y, { size, width });
}

/** Where the letter is folded and punched. */
export function foldMarks({ pdf }: Sheet): void {
  for (const [y, length] of [
    [105, 4],
    [148.5, 6],
    [210, 4],
  ] as const) {
    pdf
      .moveTo(5 * MM, y * MM)
      .lineTo((5 + length) * MM, y * MM)
      .lineWidth(0.4)
      .strokeColor('#b5bac1')
      .stroke();
  }
}

/** Head of the following pages: what the page belongs to. */
export function runningHead({ pdf, document, brand }: Sheet, title: string): void {
  const y = 18 * MM;
  write(pdf, document.issuer.name, SHEET.left, y, { size: 8.5, font: FONTS.bold, colour: brand.accent });
  write(pdf, title, SHEET.left, y, { size: 8.5, colour: GREY, width: SHEET.width, align: 'right' });
  rule(pdf, y + 16);
}

/** Foot of every page: who issues it, and which page it is. Called when all pages are there. */
export function footers({ pdf, document, word }: Sheet): void {
  const { issuer, payment, letter } = document;
  const columns: readonly (readonly (string | null)[])[] = [
    [issuer.name, issuer.street, `${issuer.postal_code} ${issuer.city}`, letter.management],
    [
      issuer.contact_name,
      issuer.phone === null ? null : `${word.phone} ${issuer.phone}`,
      issuer.email,
      letter.website,
    ],
    [
      payment.iban === null ? null : word.bank,
      payment.bank,
      payment.iban === null ? null : spacedIban(payment.iban),
      payment.bic === null ? null : `BIC ${payment.bic}`,
    ],
    [
      issuer.vat_id === null ? null : `${word.vatId} ${issuer.vat_id}`,
      issuer.tax_number === null ? null : `${word.taxNumber} ${issuer.tax_number}`,
      letter.register,
    ],
  ];
  const filled = columns
    .map((lines) => lines.filter((line) => line !== null))
    .filter((lines) => lines.length > 0);
  const gap = 10;
  const width = (SHEET.width - gap * (filled.length - 1)) / filled.length;
  const room = pdf.page.height - SHEET.footer - 7 - 5 * MM;
  const sizes = [7, 6.5, 6, 5.5, 5, 4.5, 4];
  const size = Math.min(...filled.map((lines) => sizeWithin(pdf, lines, { width, height: room, sizes })));
  const { start, count } = pdf.bufferedPageRange();
  for (let page = 0; page < count; page += 1) {
    pdf.switchToPage(start + page);
    write(pdf, word.page(page + 1, count), SHEET.left, SHEET.footer - 15, {
      size: 7.5,
      colour: GREY,
      width: SHEET.width,
      align: 'right',
    });
    rule(pdf, SHEET.footer);
    for (const [index, lines] of filled.entries()) {
      let y = SHEET.footer + 7;
      for (const line of lines) {
        const left = Math.max(SHEET.footer + 7 + room - y, 1);
        y = write(pdf, line, SHEET.left + index * (width + gap), y, {
          size,
          colour: GREY,
          width,
          height: left,
        });
      }
    }
  }
}

export function spacedIban(iban: string): string {
  return iban.replaceAll(/(.{4})(?=.)/g, '$1 ');
}
