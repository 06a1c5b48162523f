import { formatNanos, parseNanos } from '../../domain/money.ts';
import type { Brand } from './brand.ts';
import { csvText } from './csv.ts';
import type { DocumentLine, InvoiceDocument } from './invoice-document.ts';
import {
  footers,
  GREY,
  letterHead,
  MM,
  rule,
  runningHead,
  type Sheet,
  SHEET,
  sheetOf,
  write,
} from './page.ts';
import { FONTS, newPdf, pdfBytes } from './pdf-file.ts';
import { formatDate, formatDecimal, formatMoney, lineWords } from './words.ts';

/** The usage behind an invoice, by project, to the nano: what the rounded lines came from. */
export function statementCsv(document: InvoiceDocument): string {
  const head = ['invoice', 'month', 'project_id', 'project', 'model', 'unit', 'tokens'];
  const rows = usageLines(document).map((line) => [
    document.number,
    line.service_from.slice(0, 7),
    line.project_id ?? '',
    line.project_name ?? '',
    line.model ?? '',
    line.unit ?? '',
    line.quantity,
    line.unit_price ?? '',
    line.exact,
    line.net,
    document.currency,
  ]);
  return csvText([[...head, 'price_per_million_tokens', 'amount_exact', 'amount', 'currency'], ...rows]);
}

function usageLines({ lines }: InvoiceDocument): readonly DocumentLine[] {
  return lines.filter(({ kind }) => kind === 'usage');
}

/** A4, one block per project with its sum. The same document gives the same bytes. */
export async function statementPdf(document: InvoiceDocument, brand: Brand): Promise<Buffer> {
  const { issued_on: date, language, issuer, number } = document;
  const pdf = newPdf({ title: `${number} – ${issuer.name}`, author: issuer.name, language, date });
  const sheet = sheetOf(pdf, document, brand);
  const { word } = sheet;
  const title = `${word.statement} ${word.statementOf(number)}`;
  letterHead(sheet);
  let y = write(pdf, title, SHEET.left, 44 * MM, { size: 15, font: FONTS.bold, colour: brand.accent });
  y =
    write(pdf, periodText(document), SHEET.left, y + 2, { size: 9, colour: GREY, within: SHEET.width }) + 14;
  const turn = (): number => {
    pdf.addPage();
    runningHead(sheet, title);
    return SHEET.top;
  };
  for (const lines of byProject(document)) {
    if (y + 4 * ROW > SHEET.bottom) y = turn();
    y = projectHead(sheet, lines[0]!, y);
    for (const line of lines) {
      if (y + ROW > SHEET.bottom) y = projectHead(sheet, line, turn());
      y = usageRow(sheet, line, y);
    }
    if (y + ROW > SHEET.bottom) y = turn();
    y = projectSum(sheet, lines, y);
  }
  footers(sheet);
  return await pdfBytes(pdf);
}

const ROW = 15;
const COLUMNS = {
  month: { left: SHEET.left, width: 18 * MM },
  model: { left: SHEET.left + 18 * MM, width: 58 * MM },
  quantity: { left: SHEET.left + 76 * MM, width: 30 * MM },
  price: { left: SHEET.left + 106 * MM, width: 27 * MM },
  amount: { left: SHEET.left + 133 * MM, width: 32 * MM },
} as const;

function periodText({ service_from, service_to, recipient, language }: InvoiceDocument): string {
  return `${recipient.name} · ${formatDate(service_from, language)} – ${formatDate(service_to, language)}`;
}

function byProject(document: InvoiceDocument): readonly (readonly DocumentLine[])[] {
  const projects = new Map<string, DocumentLine[]>();
  for (const line of usageLines(document)) {
    const id = line.project_id ?? '';
    projects.set(id, [...(projects.get(id) ?? []), line]);
  }
  return [...projects.values()];
}

function projectHead({ pdf, word, brand }: Sheet, line: DocumentLine, y: number): number {
  const name = line.project_name ?? line.project_id ?? word.noProject;
  const bold = { size: 10.5, font: FONTS.bold, colour: brand.accent, within: SHEET.width };
  const next = write(pdf, name, SHEET.left, y, bold) + 4;
  const pen = { size: 7.5, font: FONTS.medium, colour: GREY } as const;
  write(pdf, word.month, COLUMNS.month.left, next, pen);
  write(pdf, word.model, COLUMNS.model.left, next, pen);
  write(pdf, word.quantity, COLUMNS.quantity.left, next, { ...pen, ...COLUMNS.quantity, align: 'right' });
  write(pdf, `${word.price} / 1M`, COLUMNS.price.left, next, { ...pen, ...COLUMNS.price, align: 'right' });
  write(pdf, word.exact, COLUMNS.amount.left, next, { ...pen, ...COLUMNS.amount, align: 'right' });
  rule(pdf, next + 13);
  return next + 18;
}

function usageRow({ pdf, document }: Sheet, line: DocumentLine, y: number): number {
  const { language, currency } = document;
  const unit = line.unit === null ? '' : `, ${lineWords[language][line.unit]}`;
  const money = (decimal: string) => formatMoney(formatNanos(parseNanos(decimal), 2), currency, language);
  write(pdf, line.service_from.slice(0, 7), COLUMNS.month.left, y, { size: 8.5, colour: GREY });
  write(pdf, `${line.model ?? ''}${unit}`, COLUMNS.model.left, y, {
    size: 8.5,
    ...COLUMNS.model,
    height: ROW,
  });
  const right = { size: 8.5, align: 'right' } as const;
  write(pdf, formatDecimal(line.quantity, language), COLUMNS.quantity.left, y, {
    ...right,
    ...COLUMNS.quantity,
    within: COLUMNS.quantity.width,
  });
  const single = line.price_base === '1' ? ' / 1' : '';
  write(pdf, money(line.unit_price ?? '0') + single, COLUMNS.price.left, y, {
    ...right,
    ...COLUMNS.price,
    within: COLUMNS.price.width,
  });
  write(pdf, money(line.exact), COLUMNS.amount.left, y, {
    ...right,
    ...COLUMNS.amount,
    within: COLUMNS.amount.width - 4,
  });
  return y + ROW;
}

function projectSum({ pdf, document, word }: Sheet, lines: readonly DocumentLine[], y: number): number {
  const { language, currency } = document;
  const sum = lines.reduce((nanos, { exact }) => nanos + parseNanos(exact), 0n);
  rule(pdf, y, '#9aa2ab');
  const pen = { size: 9, font: FONTS.bold } as const;
  write(pdf, word.net, COLUMNS.model.left, y + 5, pen);
  const text = formatMoney(formatNanos(sum, 2), currency, language);
  write(pdf, text, COLUMNS.price.left, y + 5, {
    ...pen,
    width: COLUMNS.price.width + COLUMNS.amount.width,
    align: 'right',
  });
  return y + 36;
}
