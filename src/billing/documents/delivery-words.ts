import type { Language } from './parties.ts';

/** What is said around an invoice: at the payment provider, and in mails. */
export const collectionWords = {
  de: {
    invoice: 'Rechnung',
    item: (rate: string, net: string, tax: string) => `Netto ${net} zuzüglich ${rate} % USt. ${tax}`,
    footer:
      'Zahlungsaufforderung zur genannten Rechnung. Die Rechnung im Sinne des Umsatzsteuergesetzes wurde gesondert übermittelt.',
  },
  en: {
    invoice: 'Invoice',
    item: (rate: string, net: string, tax: string) => `Net ${net} plus ${rate} % VAT ${tax}`,
    footer:
      'Request for payment of the named invoice. The invoice for VAT purposes was sent to you separately.',
  },
} as const satisfies Record<Language, object>;
