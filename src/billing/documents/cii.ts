import { type EInvoice, type ELine, type EParty, PROFILES } from './e-invoice.ts';
import { element, type XmlElement, xmlText } from './xml.ts';

/** Writes UN/CEFACT Cross Industry Invoice (D16B): the XML of ZUGFeRD/Factur-X and of one XRechnung. */
const NAMESPACES = {
  'xmlns:rsm': 'urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100',
  'xmlns:ram': 'urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100',
  'xmlns:udt': 'urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100',
  'xmlns:qdt': 'urn:un:unece:uncefact:data:standard:QualifiedDataType:100',
};

export function ciiXml(invoice: EInvoice): string {
  const { id, process } = PROFILES[invoice.profile];
  const root = element(
    'rsm:CrossIndustryInvoice',
    [
      element('rsm:ExchangedDocumentContext', [
        ram('BusinessProcessSpecifiedDocumentContextParameter', [ram('ID', process)]),
        ram('GuidelineSpecifiedDocumentContextParameter', [ram('ID', id)]),
      ]),
      element('rsm:ExchangedDocument', [
        ram('ID', invoice.number),
        ram('TypeCode', invoice.typeCode),
        ram('IssueDateTime', [date(invoice.issuedOn)]),
        ...invoice.notes.map((note) => ram('IncludedNote', [ram('Content', note)])),
      ]),
      element('rsm:SupplyChainTradeTransaction', [
        ...invoice.lines.map(line),
        ram('ApplicableHeaderTradeAgreement', [
          ram('BuyerReference', invoice.buyerReference),
          ram('SellerTradeParty', party(invoice.seller)),
          ram('BuyerTradeParty', party(invoice.buyer)),
        ]),
        ram('ApplicableHeaderTradeDelivery', [
          ram('ActualDeliverySupplyChainEvent', [ram('OccurrenceDateTime', [date(invoice.deliveredOn)])]),
        ]),
        settlement(invoice),
      ]),
    ],
    NAMESPACES,
  );
  return xmlText(root!);
}

function ram(name: string, content: Parameters<typeof element>[1], attributes = {}): XmlElement | null {
  return element(`ram:${name}`, content, attributes);
}

/** Format 102 is `YYYYMMDD`. */
function date(text: string, type = 'udt'): XmlElement | null {
  return element(`${type}:DateTimeString`, text.replaceAll('-', ''), { format: '102' });
}

function line(one: ELine): XmlElement | null {
  return ram('IncludedSupplyChainTradeLineItem', [
    ram('AssociatedDocumentLineDocument', [ram('LineID', one.id)]),
    ram('SpecifiedTradeProduct', [ram('Name', one.name), ram('Description', one.description)]),
    ram('SpecifiedLineTradeAgreement', [
      ram('NetPriceProductTradePrice', [
        ram('ChargeAmount', one.price),
        ram('BasisQuantity', one.priceBase, { unitCode: one.unitCode }),
      ]),
    ]),
    ram('SpecifiedLineTradeDelivery', [ram('BilledQuantity', one.quantity, { unitCode: one.unitCode })]),
    ram('SpecifiedLineTradeSettlement', [
      ram('ApplicableTradeTax', [
        ram('TypeCode', 'VAT'),
        ram('CategoryCode', one.category),
        ram('RateApplicablePercent', one.ratePercent),
      ]),
      period(one),
      ram('SpecifiedTradeSettlementLineMonetarySummation', [ram('LineTotalAmount', one.net)]),
    ]),
  ]);
}

function period({ from, to }: { readonly from: string; readonly to: string }): XmlElement | null {
  return ram('BillingSpecifiedPeriod', [ram('StartDateTime', [date(from)]), ram('EndDateTime', [date(to)])]);
}

function party(one: EParty): readonly (XmlElement | null)[] {
  const { contact } = one;
  return [
    ram('ID', one.id),
    ram('Name', one.name),
    ram('Description', one.legalInformation),
    ram('DefinedTradeContact', [
      ram('PersonName', contact.name),
      ram('TelephoneUniversalCommunication', [ram('CompleteNumber', contact.phone)]),
      ram('EmailURIUniversalCommunication', [ram('URIID', contact.email)]),
    ]),
    ram('PostalTradeAddress', [
      ram('PostcodeCode', one.postalCode),
      ram('LineOne', one.street),
      ram('CityName', one.city),
      ram('CountryID', one.country),
    ]),
    ram('URIUniversalCommunication', [ram('URIID', one.electronicAddress, { schemeID: 'EM' })]),
    ram('SpecifiedTaxRegistration', [ram('ID', one.vatId, { schemeID: 'VA' })]),
    ram('SpecifiedTaxRegistration', [ram('ID', one.taxNumber, { schemeID: 'FC' })]),
  ];
}

function settlement(invoice: EInvoice): XmlElement | null {
  const { payment, totals, preceding, currency } = invoice;
  const [first] = preceding;
  return ram('ApplicableHeaderTradeSettlement', [
    ram('PaymentReference', invoice.number),
    ram('InvoiceCurrencyCode', currency),
    ram('SpecifiedTradeSettlementPaymentMeans', [
      ram('TypeCode', payment.code),
      payment.iban === null
        ? null
        : ram('PayeePartyCreditorFinancialAccount', [
            ram('IBANID', payment.iban),
            ram('AccountName', payment.accountName),
          ]),
      payment.iban === null
        ? null
        : ram('PayeeSpecifiedCreditorFinancialInstitution', [ram('BICID', payment.bic)]),
    ]),
    ...invoice.taxes.map((tax) =>
      ram('ApplicableTradeTax', [
        ram('CalculatedAmount', tax.tax),
        ram('TypeCode', 'VAT'),
        ram('ExemptionReason', tax.reason),
        ram('BasisAmount', tax.net),
        ram('CategoryCode', tax.category),
        ram('ExemptionReasonCode', tax.reasonCode),
        ram('RateApplicablePercent', tax.ratePercent),
      ]),
    ),
    period(invoice),
    ram('SpecifiedTradePaymentTerms', [
      ram('Description', invoice.paymentTerms),
      ram('DueDateDateTime', invoice.dueOn === null ? null : [date(invoice.dueOn)]),
    ]),
    ram('SpecifiedTradeSettlementHeaderMonetarySummation', [
      ram('LineTotalAmount', totals.lines),
      ram('TaxBasisTotalAmount', totals.net),
      ram('TaxTotalAmount', totals.tax, { currencyID: currency }),
      ram('GrandTotalAmount', totals.gross),
      ram('DuePayableAmount', totals.due),
    ]),
    // The syntax has room for one; the notes name all.
    first === undefined
      ? null
      : ram('InvoiceReferencedDocument', [
          ram('IssuerAssignedID', first.number),
          ram('FormattedIssueDateTime', [date(first.issuedOn, 'qdt')]),
        ]),
  ]);
}
