import { type EInvoice, type ELine, type EParty, PROFILES } from './e-invoice.ts';
import { element, type XmlElement, xmlText } from './xml.ts';

/** Writes OASIS UBL 2.1 Invoice, the other syntax of EN 16931. */
const NAMESPACES = {
  xmlns: 'urn:oasis:names:specification:ubl:schema:xsd:Invoice-2',
  'xmlns:cac': 'urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2',
  'xmlns:cbc': 'urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2',
};

export function ublXml(invoice: EInvoice): string {
  const { id, process } = PROFILES[invoice.profile];
  const { preceding, currency } = invoice;
  const root = element(
    'Invoice',
    [
      cbc('CustomizationID', id),
      cbc('ProfileID', process),
      cbc('ID', invoice.number),
      cbc('IssueDate', invoice.issuedOn),
      cbc('DueDate', invoice.dueOn),
      cbc('InvoiceTypeCode', invoice.typeCode),
      ...invoice.notes.map((note) => cbc('Note', note)),
      cbc('DocumentCurrencyCode', currency),
      cbc('BuyerReference', invoice.buyerReference),
      period(invoice),
      ...preceding.map(({ number, issuedOn }) =>
        cac('BillingReference', [
          cac('InvoiceDocumentReference', [cbc('ID', number), cbc('IssueDate', issuedOn)]),
        ]),
      ),
      cac('AccountingSupplierParty', [party(invoice.seller)]),
      cac('AccountingCustomerParty', [party(invoice.buyer)]),
      cac('Delivery', [cbc('ActualDeliveryDate', invoice.deliveredOn)]),
      paymentMeans(invoice),
      cac('PaymentTerms', [cbc('Note', invoice.paymentTerms)]),
      taxTotal(invoice),
      monetaryTotal(invoice),
      ...invoice.lines.map((line) => invoiceLine(line, currency)),
    ],
    NAMESPACES,
  );
  return xmlText(root!);
}

function cbc(name: string, text: string | null, attributes = {}): XmlElement | null {
  return element(`cbc:${name}`, text, attributes);
}

function cac(name: string, children: readonly (XmlElement | null)[]): XmlElement | null {
  return element(`cac:${name}`, children);
}

function period({ from, to }: { readonly from: string; readonly to: string }): XmlElement | null {
  return cac('InvoicePeriod', [cbc('StartDate', from), cbc('EndDate', to)]);
}

const TAX_SCHEME = cac('TaxScheme', [cbc('ID', 'VAT')]);

function party(one: EParty): XmlElement | null {
  const { contact } = one;
  return cac('Party', [
    cbc('EndpointID', one.electronicAddress, { schemeID: 'EM' }),
    cac('PartyIdentification', [cbc('ID', one.id)]),
    cac('PostalAddress', [
      cbc('StreetName', one.street),
      cbc('CityName', one.city),
      cbc('PostalZone', one.postalCode),
      cac('Country', [cbc('IdentificationCode', one.country)]),
    ]),
    one.vatId === null ? null : cac('PartyTaxScheme', [cbc('CompanyID', one.vatId), TAX_SCHEME]),
    one.taxNumber === null
      ? null
      : cac('PartyTaxScheme', [cbc('CompanyID', one.taxNumber), cac('TaxScheme', [cbc('ID', 'FC')])]),
    cac('PartyLegalEntity', [
      cbc('RegistrationName', one.name),
      cbc('CompanyLegalForm', one.legalInformation),
    ]),
    cac('Contact', [
      cbc('Name', contact.name),
      cbc('Telephone', contact.phone),
      cbc('ElectronicMail', contact.email),
    ]),
  ]);
}

function paymentMeans({ payment, number }: EInvoice): XmlElement | null {
  return cac('PaymentMeans', [
    cbc('PaymentMeansCode', payment.code),
    cbc('PaymentID', number),
    payment.iban === null
      ? null
      : cac('PayeeFinancialAccount', [
          cbc('ID', payment.iban),
          cbc('Name', payment.accountName),
          cac('FinancialInstitutionBranch', [cbc('ID', payment.bic)]),
        ]),
  ]);
}

function taxTotal({ taxes, totals, currency }: EInvoice): XmlElement | null {
  const currencyID = { currencyID: currency };
  return cac('TaxTotal', [
    cbc('TaxAmount', totals.tax, currencyID),
    ...taxes.map((tax) =>
      cac('TaxSubtotal', [
        cbc('TaxableAmount', tax.net, currencyID),
        cbc('TaxAmount', tax.tax, currencyID),
        cac('TaxCategory', [
          cbc('ID', tax.category),
          cbc('Percent', tax.ratePercent),
          cbc('TaxExemptionReasonCode', tax.reasonCode),
          cbc('TaxExemptionReason', tax.reason),
          TAX_SCHEME,
        ]),
      ]),
    ),
  ]);
}

function monetaryTotal({ totals, currency }: EInvoice): XmlElement | null {
  const amount = (name: string, text: string) => cbc(name, text, { currencyID: currency });
  return cac('LegalMonetaryTotal', [
    amount('LineExtensionAmount', totals.lines),
    amount('TaxExclusiveAmount', totals.net),
    amount('TaxInclusiveAmount', totals.gross),
    amount('PayableAmount', totals.due),
  ]);
}

function invoiceLine(line: ELine, currency: string): XmlElement | null {
  const currencyID = { currencyID: currency };
  return cac('InvoiceLine', [
    cbc('ID', line.id),
    cbc('InvoicedQuantity', line.quantity, { unitCode: line.unitCode }),
    cbc('LineExtensionAmount', line.net, currencyID),
    period(line),
    cac('Item', [
      cbc('Description', line.description),
      cbc('Name', line.name),
      cac('ClassifiedTaxCategory', [cbc('ID', line.category), cbc('Percent', line.ratePercent), TAX_SCHEME]),
    ]),
    cac('Price', [
      cbc('PriceAmount', line.price, currencyID),
      cbc('BaseQuantity', line.priceBase, { unitCode: line.unitCode }),
    ]),
  ]);
}
