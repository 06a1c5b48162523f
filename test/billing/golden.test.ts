import { describe, expect, test } from 'vitest';
import { eInvoice } from '../../src/billing/documents/e-invoice.ts';
import { invoiceXml } from '../../src/billing/documents/e-invoice-file.ts';
import { invoicePdf } from '../../src/billing/documents/invoice-pdf.ts';
import { violationsOf } from '../../src/billing/documents/rules.ts';
import { parseNanos } from '../../src/domain/money.ts';
import { cancelled } from './documents/invoices.ts';
import { pdfText } from './documents/pdf-text.ts';
import { goldenDocument, goldenInvoices, told } from './golden.ts';

const plain = (text: string): string => text.replaceAll('\u00a0', ' ');

describe.each(goldenInvoices())('$name', (golden) => {
  const document = goldenDocument(golden);
  const { expected } = golden;

  test('has the lines and totals that were worked out for it', () => {
    const { lines, taxes, totals } = expected;
    expect(told(document)).toEqual({ lines, taxes, totals });
  });

  test('keeps the rules of EN 16931 and XRechnung', () => {
    expect(violationsOf(eInvoice(document, 'en16931'))).toEqual([]);
    expect(violationsOf(eInvoice(document, 'xrechnung-3.0'))).toEqual([]);
    const xml = invoiceXml(document, 'cii').replaceAll(/>\s+</g, '><');
    for (const text of expected.xml) expect(xml).toContain(text);
  });

  test('says on paper what it has to', async () => {
    const text = plain(pdfText(await invoicePdf(document)).join('\n'));
    for (const part of expected.pdf) expect(text).toContain(part);
    expect(text).not.toContain('Gutschrift');
    expect(text).not.toContain('\ufffd');
  });

  test('comes to exactly zero with its Stornorechnung', () => {
    const { totals, lines } = document;
    const back = cancelled(document);
    for (const name of ['net', 'tax', 'gross'] as const) {
      expect(parseNanos(totals[name]) + parseNanos(back.totals[name])).toBe(0n);
    }
    for (const [i, line] of lines.entries()) {
      expect(parseNanos(line.net) + parseNanos(back.lines[i]!.net)).toBe(0n);
      expect(BigInt(line.quantity) + BigInt(back.lines[i]!.quantity)).toBe(0n);
    }
  });
});
