import { describe, expect, test } from 'vitest';
import { invoiceXml } from '../../../src/billing/documents/e-invoice-file.ts';
import { cancelled, documentOf, used } from './invoices.ts';

const flat = (xml: string): string => xml.replaceAll(/>\s+</g, '><');
const AE = { treatment: 'reverse-charge', evidence: 'vck_1' } as const;
const O = { treatment: 'third-country', evidence: null } as const;
const AUSTRIAN = { country: 'AT', vat_id: 'ATU12345678' };

describe('the XML of an invoice', () => {
  test('names its profile: plain EN 16931, or XRechnung 3.0 in both syntaxes', () => {
    const document = documentOf();
    expect(invoiceXml(document, 'cii')).toContain('<ram:ID>urn:cen.eu:en16931:2017</ram:ID>');
    const id = 'urn:cen.eu:en16931:2017#compliant#urn:xeinkauf.de:kosit:xrechnung_3.0';
    expect(invoiceXml(document, 'xrechnung-cii')).toContain(`<ram:ID>${id}</ram:ID>`);
    expect(invoiceXml(document, 'xrechnung-ubl')).toContain(
      `<cbc:CustomizationID>${id}</cbc:CustomizationID>`,
    );
  });

  test('states the price of a million tokens, with every decimal, and the period of each line', () => {
    const usage = [used({ priceRate: 162_345_000n, priceNanos: 162_345_000n, month: '2026-10' })];
    const ubl = flat(invoiceXml(documentOf({ usage }), 'xrechnung-ubl'));
    expect(ubl).toContain(
      '<cbc:PriceAmount currencyID="EUR">0.162345</cbc:PriceAmount><cbc:BaseQuantity unitCode="C62">1000000</cbc:BaseQuantity>',
    );
    expect(ubl).toContain('<cbc:StartDate>2026-10-01</cbc:StartDate><cbc:EndDate>2026-10-31</cbc:EndDate>');
    const cii = flat(invoiceXml(documentOf({ usage }), 'cii'));
    expect(cii).toContain(
      '<ram:ChargeAmount>0.162345</ram:ChargeAmount><ram:BasisQuantity unitCode="C62">1000000</ram:BasisQuantity>',
    );
    expect(cii).toContain('<udt:DateTimeString format="102">20261031</udt:DateTimeString>');
  });

  test('says reverse charge with both VAT ids', () => {
    const document = documentOf({ taxCase: AE, buyer: AUSTRIAN });
    const cii = flat(invoiceXml(document, 'cii'));
    expect(cii).toContain(
      '<ram:CategoryCode>AE</ram:CategoryCode><ram:ExemptionReasonCode>VATEX-EU-AE</ram:ExemptionReasonCode><ram:RateApplicablePercent>0</ram:RateApplicablePercent>',
    );
    expect(cii).toContain('<ram:ID schemeID="VA">DE811569869</ram:ID>');
    expect(cii).toContain('<ram:ID schemeID="VA">ATU12345678</ram:ID>');
    expect(cii).toContain('Steuerschuldnerschaft des Leistungsempfängers');
  });

  test('has neither rate nor VAT ids outside the scope of the tax, and keeps the id as legal information', () => {
    const ubl = flat(
      invoiceXml(documentOf({ taxCase: O, buyer: { country: 'CH', vat_id: 'CHE123' } }), 'xrechnung-ubl'),
    );
    expect(ubl).toContain('<cac:TaxCategory><cbc:ID>O</cbc:ID><cbc:TaxExemptionReasonCode>VATEX-EU-O');
    expect(ubl).not.toContain('<cbc:CompanyID>DE811569869');
    expect(ubl).toContain('<cbc:CompanyLegalForm>VAT ID DE811569869</cbc:CompanyLegalForm>');
  });

  test('of a small business says why there is no VAT', () => {
    const taxStatuses = [{ from: '2026-01-01', status: 'small-business' }] as const;
    const ubl = flat(invoiceXml(documentOf({ taxStatuses }), 'xrechnung-ubl'));
    expect(ubl).toContain(
      '<cbc:ID>E</cbc:ID><cbc:Percent>0</cbc:Percent><cbc:TaxExemptionReason>Kein Ausweis von Umsatzsteuer',
    );
  });

  test('of a Stornorechnung is a corrected invoice with negative quantities that names the first one', () => {
    const ubl = flat(invoiceXml(cancelled(documentOf()), 'xrechnung-ubl'));
    expect(ubl).toContain('<cbc:InvoiceTypeCode>384</cbc:InvoiceTypeCode>');
    expect(ubl).toContain(
      '<cac:InvoiceDocumentReference><cbc:ID>RE-2026-00042</cbc:ID><cbc:IssueDate>2026-12-01</cbc:IssueDate>',
    );
    expect(ubl).toContain('<cbc:InvoicedQuantity unitCode="C62">-1000000</cbc:InvoicedQuantity>');
    expect(ubl).toContain('<cbc:PayableAmount currencyID="EUR">-59.02</cbc:PayableAmount>');
    expect(ubl).not.toContain('DueDate');
  });

  test('carries the Leitweg-ID, or else the number of the customer', () => {
    const buyer = { buyer_reference: '04011000-12345-34' };
    expect(invoiceXml(documentOf({ buyer }), 'xrechnung-cii')).toContain(
      '<ram:BuyerReference>04011000-12345-34<',
    );
    expect(invoiceXml(documentOf(), 'xrechnung-cii')).toContain('<ram:BuyerReference>ten_1<');
    expect(invoiceXml(documentOf(), 'cii')).not.toContain('BuyerReference');
  });

  test('holds whatever is in a name as text', () => {
    const xml = invoiceXml(documentOf({ buyer: { name: 'A&B <"Söhne"> \u0007KG' } }), 'cii');
    expect(xml).toContain('<ram:Name>A&amp;B &lt;&quot;Söhne&quot;&gt; KG</ram:Name>');
  });

  test('is not written when it breaks a rule', () => {
    const document = documentOf({ seller: { contact_name: null } });
    expect(() => invoiceXml(document, 'xrechnung-ubl')).toThrow(/BR-DE-5/);
    expect(() => invoiceXml(document, 'cii')).not.toThrow();
  });
});
