import { setImmediate } from 'node:timers/promises';
import { formatNanos, parseNanos } from '../../domain/money.ts';
import type { Unit } from '../../domain/spend.ts';
import type { DocumentLine } from './invoice-document.ts';
import { GREY, heightOf, INK, MM, type Pen, rule, runningHead, type Sheet, SHEET, write } from './page.ts';
import { FONTS } from './pdf-file.ts';
import { formatDate, formatDecimal, formatMoney } from './words.ts';

/** The lines of an invoice over as many pages as they need: head repeated, sums carried forward. */
interface Column {
  readonly left: number;
  readonly width: number;
  readonly align: 'left' | 'right';
}

function columnsOf(widths: readonly number[]): readonly Column[] {
  let left: number = SHEET.left;
  return widths.map((millimetres, index) => {
    const column = { left, width: millimetres * MM, align: index < 2 ? 'left' : 'right' } as const;
    left += column.width;
    return column;
  });
}

const [PLACE, SERVICE, QUANTITY, PRICE, RATE, AMOUNT] = columnsOf([
  9, 71, 22, 28, 12, 23,
]) as unknown as readonly [Column, Column, Column, Column, Column, Column];
const ROW_GAP = 4.5;
const HEAD_HEIGHT = 20;
const CARRY_HEIGHT = 18;
/** Room that the sums need below the last line, so that they never stand alone; more for each further tax. */
const SUMS_HEIGHT = 60;
const TAX_HEIGHT = 15;

/** So many lines are set before other work gets its turn: the gateway runs in the same process. */
const LINES_A_TURN = 20;

/** Returns where the text goes on. */
export async function lineTable(sheet: Sheet, title: string, top: number): Promise<number> {
  const { document, pdf } = sheet;
  let y = head(sheet, top);
  let carried = 0n;
  for (const [index, line] of document.lines.entries()) {
    if (index % LINES_A_TURN === LINES_A_TURN - 1) await setImmediate();
    const height = rowHeight(sheet, line);
    const isLast = index === document.lines.length - 1;
    const below = isLast ? SUMS_HEIGHT + TAX_HEIGHT * (document.taxes.length - 1) : CARRY_HEIGHT;
    if (y + height + below > SHEET.bottom) {
      carry(sheet, y, carried);
      pdf.addPage();
      runningHead(sheet, title);
      y = head(sheet, SHEET.top - 8);
      y = carry(sheet, y, carried);
    }
    row(sheet, line, y);
    carried += parseNanos(line.net);
    y += height;
    if (!isLast) rule(pdf, y - ROW_GAP / 2, '#eceef1', 0.4);
  }
  return y;
}

function head({ pdf, word, brand }: Sheet, y: number): number {
  const pen = { size: 7.5, font: FONTS.bold, colour: brand.accent } as const;
  const texts = [word.place, word.description, word.quantity, word.price, word.rate, word.amount] as const;
  for (const [index, column] of [PLACE, SERVICE, QUANTITY, PRICE, RATE, AMOUNT].entries()) {
    write(pdf, texts[index]!, column.left, y, { ...pen, ...column });
  }
  rule(pdf, y + 13, brand.accent, 0.9);
  return y + HEAD_HEIGHT;
}

function carry({ pdf, document, word }: Sheet, y: number, nanos: bigint): number {
  const pen = { size: 8.5, font: FONTS.medium } as const;
  const { currency, language } = document;
  write(pdf, word.carried, SERVICE.left, y, pen);
  const left = PRICE.left;
  const width = AMOUNT.left + AMOUNT.width - left;
  write(pdf, formatMoney(formatNanos(nanos, 2), currency, language), left, y, {
    ...pen,
    width,
    align: 'right',
  });
  return y + CARRY_HEIGHT;
}

const NAME_PEN: Pen = { size: 9, font: FONTS.medium, width: SERVICE.width - 6 };
const DETAIL_PEN: Pen = { size: 7.5, colour: GREY, width: SERVICE.width - 6 };

function rowHeight(sheet: Sheet, line: DocumentLine): number {
  const { pdf } = sheet;
  return (
    heightOf(pdf, line.description, NAME_PEN) + heightOf(pdf, detailOf(sheet, line), DETAIL_PEN) + ROW_GAP + 1
  );
}

/** They come in advance or are corrected; late is what was used. */
const FEES: ReadonlySet<string> = new Set(['fee', 'project-fee', 'correction', 'discount']);

function detailOf({ document, word }: Sheet, line: DocumentLine): string {
  const { language, period } = document;
  const days = `${formatDate(line.service_from, language)} – ${formatDate(line.service_to, language)}`;
  const named = line.project_name ?? line.project_id;
  const project = named ?? (line.unit_price === null ? null : word.noProject);
  const isLate = !FEES.has(line.kind) && line.service_from.slice(0, 7) < period;
  const late = isLate ? word.late : null;
  return [project, days, late].filter((part) => part !== null).join(' · ');
}

function row(sheet: Sheet, line: DocumentLine, y: number): void {
  const { pdf, document, word } = sheet;
  const { language, currency } = document;
  const number = { size: 9, tabular: true, align: 'right' } as const;
  const small = { size: 7.5, colour: GREY, align: 'right' } as const;
  write(pdf, String(line.place), PLACE.left, y, { size: 9, colour: GREY, width: PLACE.width });
  const below = write(pdf, line.description, SERVICE.left, y, NAME_PEN);
  write(pdf, detailOf(sheet, line), SERVICE.left, below, DETAIL_PEN);
  write(pdf, formatDecimal(line.quantity, language), QUANTITY.left, y, { ...number, ...inside(QUANTITY) });
  if (line.unit_price !== null && line.price_base !== null) {
    const price = formatMoney(withCents(line.unit_price), currency, language);
    const next = write(pdf, price, PRICE.left, y, { ...number, ...inside(PRICE) });
    const count = formatDecimal(line.price_base, language);
    const base = line.unit === null || isToken(line.unit) ? word.perTokens(count) : word.per(count);
    write(pdf, base, PRICE.left, next, { ...small, width: PRICE.width });
  }
  const rate = line.tax_category === 'S' ? `${formatDecimal(line.tax_rate_percent, language)} %` : '0 %';
  write(pdf, rate, RATE.left, y, { ...number, colour: GREY, width: RATE.width });
  write(pdf, formatMoney(line.net, currency, language), AMOUNT.left, y, {
    ...number,
    colour: INK,
    font: FONTS.medium,
    ...inside(AMOUNT),
  });
}

/** From the column before. */
const GAP = 4;

/** Numbers stay on one line, set smaller where they are long. */
function inside({ width }: Column): Pick<Pen, 'width' | 'within'> {
  return { width, within: width - GAP };
}

function isToken(unit: Unit): boolean {
  return unit !== 'image' && unit !== 'search' && unit !== 'character' && unit !== 'second';
}

/** At least two decimals, more where the price has them. */
function withCents(decimal: string): string {
  return formatNanos(parseNanos(decimal), 2);
}
