import { describe, expect, test } from 'vitest';
import { eInvoice } from '../../src/billing/documents/e-invoice.ts';
import { invoiceXml } from '../../src/billing/documents/e-invoice-file.ts';
import { verifyInvoice } from '../../src/billing/verify-invoice.ts';
import { invoicePdf } from '../../src/billing/documents/invoice-pdf.ts';
import { violationsOf } from '../../src/billing/documents/rules.ts';
import { parseNanos } from '../../src/domain/money.ts';
import { cancelled } from './documents/invoices.ts';
import { pdfText } from './documents/pdf-text.ts';
import { goldenDocument, goldenInvoices, told } from './golden.ts';
import { stories, tell } from './story.ts';

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

describe.each(stories())('the story $name', (story) => {
  const telling = tell(story);

  test('gives the documents that were worked out for it, and each follows from the log', async () => {
    const { documents, billing } = await telling;
    const given = [...documents].map(([number, document]) => {
      const { pdf = [], xml = [] } = story.expected[number] ?? {};
      return [number, { kind: document.kind, ...told(document), pdf, xml }];
    });
    expect(Object.fromEntries(given)).toEqual(story.expected);
    for (const { event } of await billing.events()) {
      if (event.type !== 'invoice.drafted') continue;
      const ref = { invoiceId: event.data.invoiceId, agencyId: 'age_1', tenantId: 'ten_1' };
      expect((await verifyInvoice(billing, ref)).differences).toEqual([]);
    }
  });

  test('keeps the rules in every syntax, and says on paper what it has to', async () => {
    for (const [number, document] of (await telling).documents) {
      expect(violationsOf(eInvoice(document, 'en16931'))).toEqual([]);
      expect(violationsOf(eInvoice(document, 'xrechnung-3.0'))).toEqual([]);
      const { pdf, xml } = story.expected[number]!;
      const cii = invoiceXml(document, 'cii').replaceAll(/>\s+</g, '><');
      const ubl = invoiceXml(document, 'xrechnung-ubl').replaceAll(/>\s+</g, '><');
      for (const part of xml) expect([cii, ubl].filter((text) => text.includes(part))).not.toEqual([]);
      const text = plain(pdfText(await invoicePdf(document)).join('\n'));
      for (const part of pdf) expect(text).toContain(part);
      expect(text).not.toMatch(/Gutschrift|\ufffd/);
    }
  });
});
