import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { Brand } from '../../../src/billing/documents/brand.ts';
import { ciiXml } from '../../../src/billing/documents/cii.ts';
import { eInvoice } from '../../../src/billing/documents/e-invoice.ts';
import { invoicePdf } from '../../../src/billing/documents/invoice-pdf.ts';
import { cancelled, documentOf, used } from './invoices.ts';
import { pdfObjects, pdfText } from './pdf-text.ts';

const many = Array.from({ length: 300 }, (_, i) =>
  used({ model: `model-${String(i).padStart(3, '0')}`, quantity: BigInt(1_000_000 + i), projectId: 'prj_2' }),
);

describe('the PDF of an invoice', () => {
  test('has what the law asks for', async () => {
    const [page, ...more] = pdfText(await invoicePdf(documentOf()));
    expect(more).toEqual([]);
    for (const text of [
      'Rechnung RE-2026-00042',
      'Nordlicht Digital GmbH · Speicherstraße 7 · 24103 Kiel',
      'Bäckerei Sonnenkorn GmbH',
      'Marktstraße 12',
      '29221 Celle',
      '01.12.2026',
      '01.11.2026 – 30.11.2026',
      'Online-Shop · 01.11.2026 – 30.11.2026',
      'USt-IdNr. DE811569869',
      'Steuernummer 20/291/12345',
      'Nutzung gpt-4o-mini, Ausgabe-Tokens',
      '1.000.000',
      '0,60 €',
      'je 1.000.000 Tokens',
      '49,60 €',
      'Umsatzsteuer 19 % auf 49,60 €',
      '9,42 €',
      '59,02 €',
      'IBAN DE89 3704 0044 0532 0130 00   BIC COBADEFFXXX   Commerzbank Kiel',
      'Verwendungszweck: RE-2026-00042',
      'Seite 1 von 1',
    ]) {
      expect(page!.replaceAll('\u00a0', ' ').split('\n'), text).toContain(text);
    }
  });

  test('speaks the language of its recipient', async () => {
    const [page] = pdfText(await invoicePdf(documentOf({ buyer: { language: 'en' } })));
    expect(page).toContain('Invoice RE-2026-00042');
    expect(page).toContain('VAT 19 % on €49.60');
    expect(page).not.toContain('Rechnung ');
  });

  test('shows every decimal of a price', async () => {
    const usage = [used({ priceRate: 162_345_000n, priceNanos: 162_345_000n })];
    const [page] = pdfText(await invoicePdf(documentOf({ usage })));
    expect(page).toContain('0,162345\u00a0€');
  });

  test('says why there is no tax', async () => {
    const taxCase = { treatment: 'reverse-charge', evidence: 'vck_1' } as const;
    const buyer = { country: 'AT', vat_id: 'ATU12345678' };
    const [page] = pdfText(await invoicePdf(documentOf({ taxCase, buyer })));
    expect(page).toContain('Steuerschuldnerschaft des Leistungsempfängers');
    expect(page).toContain('ÖSTERREICH');
    expect(page).toContain('ATU12345678');
  });

  test('of hundreds of lines has all of them, a head on every page, and sums that are carried forward', async () => {
    const document = documentOf({ usage: many });
    const pages = pdfText(await invoicePdf(document));
    const all = pages.join('\n');
    for (const { description } of document.lines) expect(all).toContain(description);
    expect(pages.length).toBeGreaterThan(10);
    for (const [index, page] of pages.entries()) {
      expect(page).toContain('Leistung');
      expect(page).toContain(`Seite ${index + 1} von ${pages.length}`);
      expect((page.match(/Übertrag/g) ?? []).length).toBe([0, pages.length - 1].includes(index) ? 1 : 2);
    }
    const carried = (page: string) => /Übertrag\n(.*)/.exec(page)?.[1];
    for (let i = 1; i < pages.length; i += 1) {
      expect(carried(pages[i]!)).toBe(/Übertrag\n(.*)(?![\s\S]*Übertrag)/.exec(pages[i - 1]!)?.[1]);
    }
    expect(pages.at(-1)).toContain('Gesamtbetrag');
  });

  test('of a Stornorechnung names the invoice that it takes back, and asks for no money', async () => {
    const [page] = pdfText(await invoicePdf(cancelled(documentOf())));
    expect(page).toContain('Stornorechnung RE-2026-00043');
    expect(page).toContain('Rechnungskorrektur zur Rechnung RE-2026-00042 vom 01.12.2026');
    expect(page).toContain('−59,02\u00a0€');
    expect(page).not.toMatch(/Gutschrift|überweisen/);
  });

  test('has the same bytes whenever it is made', async () => {
    const document = documentOf({ usage: many.slice(0, 40) });
    const [one, two] = [await invoicePdf(document), await invoicePdf(structuredClone(document))];
    expect(one.equals(two)).toBe(true);
  });

  // A change of layout, words, fonts or libraries changes issued documents: then this hash fails.
  test('has the bytes that it had when it was issued', async () => {
    const hash = createHash('sha256')
      .update(await invoicePdf(documentOf()))
      .digest('hex');
    expect(hash).toBe('eafe466d5ad249ec967bdc8f3e569ad8ccf1e7def3d2513eb29bddd8b3665bf6');
  });
});

describe('the file', () => {
  test('is a PDF/A-3b with all fonts inside', async () => {
    const bytes = await invoicePdf(documentOf());
    expect(bytes.toString('latin1', 0, 8)).toBe('%PDF-1.7');
    const objects = [...pdfObjects(bytes).values()];
    const metadata = objects.find(({ head }) => head.includes('/Type /Metadata'))!.stream!.toString();
    expect(metadata).toContain('<pdfaid:part>3</pdfaid:part>');
    expect(metadata).toContain('<pdfaid:conformance>B</pdfaid:conformance>');
    expect(objects.some(({ head }) => head.includes('/GTS_PDFA1'))).toBe(true);
    const fonts = objects.filter(({ head }) => head.includes('/Type /FontDescriptor'));
    expect(fonts.length).toBeGreaterThan(0);
    for (const { head } of fonts) expect(head).toMatch(/\/FontFile2 /);
  });

  test('holds its XML as Factur-X wants it', async () => {
    const document = documentOf();
    const objects = [...pdfObjects(await invoicePdf(document)).values()];
    const specification = objects.find(({ head }) => head.includes('/Type /Filespec'))!.head;
    expect(specification).toContain('/AFRelationship /Alternative');
    expect(specification).toContain('(factur-x.xml)');
    expect(objects.some(({ head }) => head.includes('/Type /Catalog') && head.includes('/AF '))).toBe(true);
    const embedded = objects.find(({ head }) => head.includes('/Type /EmbeddedFile'))!;
    expect(embedded.stream!.toString()).toBe(ciiXml(eInvoice(document, 'en16931')));
    const metadata = objects.find(({ head }) => head.includes('/Type /Metadata'))!.stream!.toString();
    expect(metadata).toContain('<fx:ConformanceLevel>EN 16931</fx:ConformanceLevel>');
    expect(metadata).toContain('<fx:DocumentFileName>factur-x.xml</fx:DocumentFileName>');
  });
});

describe('a brand', () => {
  const PIXEL =
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

  test('gives the document its logo, colour and words', async () => {
    const brand = Brand.parse({
      accent: '#8A1538',
      logo: { type: 'image/png', data: PIXEL },
      texts: { de: { intro: 'Moin! Hier kommt die Rechnung.', closing: 'Danke für Ihr Vertrauen.' } },
    });
    const bytes = await invoicePdf(documentOf(), brand);
    expect(bytes.equals(await invoicePdf(documentOf(), brand))).toBe(true);
    const [page] = pdfText(bytes);
    expect(page).toContain('Moin! Hier kommt die Rechnung.');
    expect(page).toContain('Danke für Ihr Vertrauen.');
    expect([...pdfObjects(bytes).values()].some(({ head }) => head.includes('/Subtype /Image'))).toBe(true);
  });

  test('is refused when nobody could read it, or its logo is something else', () => {
    expect(Brand.safeParse({ accent: '#ffe08a' }).success).toBe(false);
    expect(Brand.safeParse({ logo: { type: 'image/jpeg', data: PIXEL } }).success).toBe(false);
  });
});
