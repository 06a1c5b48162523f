import { Refusal } from '../../errors.ts';
import { ciiXml } from './cii.ts';
import { eInvoice, type Profile } from './e-invoice.ts';
import type { InvoiceDocument } from './invoice-document.ts';
import { violationsOf } from './rules.ts';
import { ublXml } from './ubl.ts';

/** The XML of an invoice in the three forms that recipients ask for. */
const XML_FORMATS = ['cii', 'xrechnung-cii', 'xrechnung-ubl'] as const;
export type XmlFormat = (typeof XML_FORMATS)[number];

const PROFILE: Readonly<Record<XmlFormat, Profile>> = {
  cii: 'en16931',
  'xrechnung-cii': 'xrechnung-3.0',
  'xrechnung-ubl': 'xrechnung-3.0',
};

/** The same bytes for the same document. Throws Refusal(e_invoice_rule). */
export function invoiceXml(document: InvoiceDocument, format: XmlFormat): string {
  const invoice = eInvoice(document, PROFILE[format]);
  refuseViolations(document, PROFILE[format]);
  return format === 'xrechnung-ubl' ? ublXml(invoice) : ciiXml(invoice);
}

/** Checks what this recipient will get. Throws Refusal(e_invoice_rule), which names rule and field. */
export function checkEInvoice(document: InvoiceDocument): void {
  refuseViolations(document, 'en16931');
  if (document.e_invoice !== 'zugferd') refuseViolations(document, 'xrechnung-3.0');
}

function refuseViolations(document: InvoiceDocument, profile: Profile): void {
  const violations = violationsOf(eInvoice(document, profile));
  const [first] = violations;
  if (first === undefined) return;
  const more = violations.slice(1).map(({ rule, field }) => `${rule} (${field})`);
  throw new Refusal('e_invoice_rule', {
    standard: profile === 'en16931' ? 'EN 16931' : 'XRechnung 3.0',
    rule: first.rule,
    field: first.field,
    more: more.length === 0 ? 'none' : more.join(', '),
  });
}
