import { z } from 'zod';
import { HOME_COUNTRY, isOtherEuCountry, type Treatment } from '../../domain/tax.ts';
import { Refusal } from '../../errors.ts';
import { isIban } from '../../domain/iban.ts';

/** Who issues and who receives an invoice, as both stand on it. */
export const LANGUAGES = ['de', 'en'] as const;
export type Language = (typeof LANGUAGES)[number];

/** How an invoice is delivered to machines: ZUGFeRD is the PDF with its XML inside. */
const E_INVOICE_FORMATS = ['zugferd', 'xrechnung-cii', 'xrechnung-ubl'] as const;
export type EInvoiceFormat = (typeof E_INVOICE_FORMATS)[number];

const Text = z.string().trim().min(1);
const Optional = Text.nullish().transform((text) => text ?? null);
const PartyFields = z.object({
  name: Text,
  street: Text,
  postal_code: Text,
  city: Text,
  /** ISO 3166-1 alpha-2. */
  country: z.string().regex(/^[A-Z]{2}$/),
  email: Optional,
  vat_id: Optional,
  /** German Steuernummer. */
  tax_number: Optional,
  /** Whom to ask, and where. */
  contact_name: Optional,
  phone: Optional,
});
export type Party = Readonly<z.infer<typeof PartyFields>>;

const PAYMENT_DAYS_DEFAULT = 14;
const PaymentFields = z.object({
  iban: Optional.transform((text) => text?.replaceAll(' ', '').toUpperCase() ?? null).refine(
    (text) => text === null || isIban(text),
  ),
  bic: Optional,
  bank: Optional,
  /** Days from the date of the invoice until it is due. */
  payment_days: z.coerce.number().int().min(0).max(365).catch(PAYMENT_DAYS_DEFAULT),
});
export type Payment = Readonly<z.infer<typeof PaymentFields>>;

/** What the foot of a letter says beside the address, where the agency has it. */
const LetterFields = z.object({ register: Optional, management: Optional, website: Optional });
export type Letter = Readonly<z.infer<typeof LetterFields>>;

const PreferenceFields = z.object({
  language: z.enum(LANGUAGES).catch('de'),
  e_invoice: z.enum(E_INVOICE_FORMATS).catch('zugferd'),
  /** Leitweg-ID of public bodies, or whatever the recipient wants to find on its invoices. */
  buyer_reference: Optional,
});
export type Preferences = Readonly<z.infer<typeof PreferenceFields>>;

export interface Parties {
  readonly issuer: Party;
  readonly recipient: Party;
  readonly payment: Payment;
  readonly letter: Letter;
  readonly preferences: Preferences;
}

/** Reads both contacts. Throws Refusal(invoice_incomplete). */
export function readParties(agencyContact: unknown, tenantContact: unknown): Parties {
  const issuer = read('issuer', PartyFields, agencyContact);
  if (issuer.vat_id === null && issuer.tax_number === null) {
    throw new Refusal('invoice_incomplete', { party: 'issuer', missing: 'vat_id or tax_number' });
  }
  return {
    issuer,
    recipient: read('recipient', PartyFields, tenantContact),
    payment: read('issuer', PaymentFields, agencyContact),
    letter: read('issuer', LetterFields, agencyContact),
    preferences: read('recipient', PreferenceFields, tenantContact),
  };
}

function read<T>(party: 'issuer' | 'recipient', schema: z.ZodType<T>, contact: unknown): T {
  const parsed = schema.safeParse(contact ?? {});
  if (parsed.success) return parsed.data;
  const missing = [...new Set(parsed.error.issues.map(({ path }) => path.join('.')))].join(', ');
  throw new Refusal('invoice_incomplete', { party, missing });
}

/**
 * How a service to this recipient is taxed. A customer in another EU country without a VAT id is a
 * consumer: that tax is owed in the customer's country (One Stop Shop), which is not available.
 * Throws Refusal(tax_case_unsupported).
 */
export function treatmentOf({ country, vat_id: vatId }: Pick<Party, 'country' | 'vat_id'>): Treatment {
  if (country === HOME_COUNTRY) return 'domestic';
  if (!isOtherEuCountry(country)) return 'third-country';
  if (vatId === null) throw new Refusal('tax_case_unsupported', { country });
  return 'reverse-charge';
}
