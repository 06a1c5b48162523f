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

interface MailFacts {
  readonly issuer: string;
  readonly number: string;
  readonly amount: string;
  /** Formatted; null when nothing is to be paid. */
  readonly dueOn: string | null;
  readonly payLink: string | null;
  readonly fileLink: string | null;
  readonly transfer: string | null;
}

interface MailWords {
  readonly subject: string;
  readonly text: string;
}

export interface DeliveryWords {
  readonly invoice: (facts: MailFacts) => MailWords;
  /** `amount`: what is to be refunded, not negative. */
  readonly correction: (facts: MailFacts) => MailWords;
  readonly cancellation: (facts: MailFacts & { readonly preceding: string }) => MailWords;
  /** `suspendsOn`: formatted; null when no suspension follows. */
  readonly reminder: (
    facts: MailFacts & { readonly level: number; readonly suspendsOn: string | null },
  ) => MailWords;
}

export const deliveryWords: Readonly<Record<Language, DeliveryWords>> = {
  de: {
    invoice: (facts) => ({
      subject: `Rechnung ${facts.number} von ${facts.issuer}`,
      text: letter([
        'Guten Tag,',
        `anbei erhalten Sie die Rechnung ${facts.number} über ${facts.amount}.`,
        facts.dueOn === null ? null : `Bitte zahlen Sie bis zum ${facts.dueOn}.`,
        ...waysGerman(facts),
        'Mit freundlichen Grüßen',
        facts.issuer,
      ]),
    }),
    correction: (facts) => ({
      subject: `Rechnungskorrektur ${facts.number} von ${facts.issuer}`,
      text: letter([
        'Guten Tag,',
        `anbei erhalten Sie die Rechnungskorrektur ${facts.number}. Der Betrag von ${facts.amount} wird Ihnen erstattet oder mit offenen Rechnungen verrechnet.`,
        'Mit freundlichen Grüßen',
        facts.issuer,
      ]),
    }),
    cancellation: (facts) => ({
      subject: `Stornorechnung ${facts.number} zu ${facts.preceding}`,
      text: letter([
        'Guten Tag,',
        `die Rechnung ${facts.preceding} haben wir mit der beiliegenden Stornorechnung ${facts.number} vollständig zurückgenommen.`,
        'Mit freundlichen Grüßen',
        facts.issuer,
      ]),
    }),
    reminder: (facts) => ({
      subject: `${facts.level === 1 ? 'Zahlungserinnerung' : `${facts.level}. Erinnerung`} zur Rechnung ${facts.number}`,
      text: letter([
        'Guten Tag,',
        `die Rechnung ${facts.number} über ${facts.amount} war am ${facts.dueOn ?? ''} fällig. Eine Zahlung haben wir bisher nicht gefunden.`,
        facts.suspendsOn === null
          ? null
          : `Ohne Zahlung werden die Schlüssel Ihres Vertrags ab dem ${facts.suspendsOn} gesperrt. Mit dem Eingang der Zahlung wird die Sperre von selbst aufgehoben.`,
        'Hat sich dies mit Ihrer Zahlung überschnitten, ist nichts weiter zu tun.',
        ...waysGerman(facts),
        'Mit freundlichen Grüßen',
        facts.issuer,
      ]),
    }),
  },
  en: {
    invoice: (facts) => ({
      subject: `Invoice ${facts.number} from ${facts.issuer}`,
      text: letter([
        'Hello,',
        `please find attached the invoice ${facts.number} for ${facts.amount}.`,
        facts.dueOn === null ? null : `Please pay it by ${facts.dueOn}.`,
        ...waysEnglish(facts),
        'Kind regards',
        facts.issuer,
      ]),
    }),
    correction: (facts) => ({
      subject: `Invoice correction ${facts.number} from ${facts.issuer}`,
      text: letter([
        'Hello,',
        `please find attached the invoice correction ${facts.number}. The amount of ${facts.amount} is refunded to you or set off against open invoices.`,
        'Kind regards',
        facts.issuer,
      ]),
    }),
    cancellation: (facts) => ({
      subject: `Cancellation ${facts.number} of ${facts.preceding}`,
      text: letter([
        'Hello,',
        `we have taken back the invoice ${facts.preceding} in full by the attached cancellation ${facts.number}.`,
        'Kind regards',
        facts.issuer,
      ]),
    }),
    reminder: (facts) => ({
      subject: `Reminder ${facts.level} of invoice ${facts.number}`,
      text: letter([
        'Hello,',
        `the invoice ${facts.number} for ${facts.amount} was due on ${facts.dueOn ?? ''}. We have not found a payment so far.`,
        facts.suspendsOn === null
          ? null
          : `Without a payment the keys of your contract are suspended from ${facts.suspendsOn} on. The suspension is lifted by itself when the payment arrives.`,
        'If you have paid meanwhile, there is nothing left to do.',
        ...waysEnglish(facts),
        'Kind regards',
        facts.issuer,
      ]),
    }),
  },
};

function waysGerman({ payLink, fileLink, transfer }: MailFacts): readonly (string | null)[] {
  return [
    payLink === null ? null : `Online bezahlen: ${payLink}`,
    transfer === null ? null : `Überweisung: ${transfer}`,
    fileLink === null ? null : `Die Rechnung zum Herunterladen (90 Tage gültig): ${fileLink}`,
  ];
}

function waysEnglish({ payLink, fileLink, transfer }: MailFacts): readonly (string | null)[] {
  return [
    payLink === null ? null : `Pay online: ${payLink}`,
    transfer === null ? null : `Bank transfer: ${transfer}`,
    fileLink === null ? null : `Download the invoice (valid for 90 days): ${fileLink}`,
  ];
}

function letter(parts: readonly (string | null)[]): string {
  return `${parts.filter((part) => part !== null).join('\n\n')}\n`;
}
