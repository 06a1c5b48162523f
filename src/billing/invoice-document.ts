import { z } from 'zod';
import { periodDays } from '../domain/billing-period.ts';
import type { InvoiceDraft, InvoiceLine } from '../domain/invoice.ts';
import { formatCents, formatNanos, TOKENS_PER_RATE } from '../domain/money.ts';
import type { Unit } from '../domain/spend.ts';
import { Refusal } from '../errors.ts';

/**
 * The invoice as it is issued: everything that the law wants on it, in one value that is stored as
 * canonical JSON and never changes. Names and addresses are copied in, because contacts change and
 * may have to be forgotten while the invoice has to be kept.
 */
export interface InvoiceDocument {
  readonly kind: 'invoice';
  /** Raised when the meaning of a field changes. */
  readonly format: 1;
  readonly invoice_id: string;
  readonly number: string;
  /** Local date in the agency's zone. */
  readonly issued_on: string;
  readonly agency_id: string;
  readonly tenant_id: string;
  readonly period: string;
  /** First and last day of the period, local dates in `zone`. */
  readonly service_from: string;
  readonly service_to: string;
  readonly zone: string;
  readonly language: Language;
  readonly currency: string;
  readonly issuer: Party;
  readonly recipient: Party;
  readonly lines: readonly DocumentLine[];
  readonly taxes: readonly DocumentTax[];
  readonly totals: { readonly net: string; readonly tax: string; readonly gross: string };
}

export interface DocumentLine {
  /** From 1. */
  readonly place: number;
  readonly kind: InvoiceLine['kind'];
  readonly description: string;
  readonly project_id: string | null;
  readonly project_name: string | null;
  readonly model: string | null;
  readonly unit: Unit | null;
  readonly service_from: string;
  readonly service_to: string;
  readonly quantity: string;
  /** Price of `price_base` pieces; null where the line has no price per piece. */
  readonly unit_price: string | null;
  readonly price_base: string | null;
  /** Net before rounding, to the nano. */
  readonly exact: string;
  readonly net: string;
}

export interface DocumentTax {
  readonly category: 'S';
  readonly rate_percent: string;
  readonly net: string;
  readonly tax: string;
}

const LANGUAGES = ['de', 'en'] as const;
type Language = (typeof LANGUAGES)[number];

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
});
export type Party = Readonly<z.infer<typeof PartyFields>>;

const Preferences = z.object({ language: z.enum(LANGUAGES).catch('de') });

export interface Parties {
  readonly issuer: Party;
  readonly recipient: Party;
  readonly language: Language;
}

/**
 * Reads both contacts and checks that an invoice between them can be issued here.
 * Throws Refusal(invoice_incomplete | tax_case_unsupported).
 */
export function readParties(agencyContact: unknown, tenantContact: unknown): Parties {
  const issuer = readParty('issuer', agencyContact);
  if (issuer.vat_id === null && issuer.tax_number === null) {
    throw new Refusal('invoice_incomplete', { party: 'issuer', missing: 'vat_id or tax_number' });
  }
  const recipient = readParty('recipient', tenantContact);
  if (recipient.country !== 'DE') throw new Refusal('tax_case_unsupported', { country: recipient.country });
  return { issuer, recipient, language: Preferences.parse(tenantContact).language };
}

function readParty(party: 'issuer' | 'recipient', contact: unknown): Party {
  const parsed = PartyFields.safeParse(contact ?? {});
  if (parsed.success) return parsed.data;
  const missing = [...new Set(parsed.error.issues.map(({ path }) => path.join('.')))].join(', ');
  throw new Refusal('invoice_incomplete', { party, missing });
}

export interface DocumentFacts {
  readonly draft: InvoiceDraft;
  readonly number: string;
  readonly issuedOn: string;
  readonly agencyId: string;
  readonly tenantId: string;
  readonly zone: string;
  readonly parties: Parties;
  readonly projectNames: ReadonlyMap<string, string>;
}

export function invoiceDocument(facts: DocumentFacts): InvoiceDocument {
  const { draft, parties } = facts;
  const { first, last } = periodDays(draft.period);
  return {
    kind: 'invoice',
    format: 1,
    invoice_id: draft.invoiceId,
    number: facts.number,
    issued_on: facts.issuedOn,
    agency_id: facts.agencyId,
    tenant_id: facts.tenantId,
    period: draft.period,
    service_from: first,
    service_to: last,
    zone: facts.zone,
    language: parties.language,
    currency: draft.currency,
    issuer: parties.issuer,
    recipient: parties.recipient,
    lines: draft.lines.map((line, index) => documentLine(line, index + 1, facts)),
    taxes: draft.taxes.map(({ category, ratePercent, netCents, taxCents }) => ({
      category,
      rate_percent: ratePercent,
      net: formatCents(netCents),
      tax: formatCents(taxCents),
    })),
    totals: totalsText(draft),
  };
}

export function totalsText(draft: InvoiceDraft): InvoiceDocument['totals'] {
  return {
    net: formatCents(draft.netCents),
    tax: formatCents(draft.taxCents),
    gross: formatCents(draft.grossCents),
  };
}

function documentLine(line: InvoiceLine, place: number, facts: DocumentFacts): DocumentLine {
  const { first, last } = periodDays(line.serviceMonth);
  const { projectId, model, unit, priceRate } = line;
  return {
    place,
    kind: line.kind,
    description: describe(line, facts.parties.language),
    project_id: projectId,
    project_name: projectId === null ? null : (facts.projectNames.get(projectId) ?? null),
    model,
    unit,
    service_from: first,
    service_to: last,
    quantity: String(line.quantity),
    unit_price: priceRate === null ? null : formatNanos(priceRate),
    price_base: priceRate === null ? null : String(TOKENS_PER_RATE),
    exact: formatNanos(line.nanos),
    net: formatCents(line.netCents),
  };
}

const words = {
  de: {
    fee: 'Grundgebühr',
    included: 'Inklusivnutzung',
    usage: 'Nutzung',
    input: 'Eingabe-Tokens',
    'cached-input': 'Eingabe-Tokens aus dem Cache',
    output: 'Ausgabe-Tokens',
  },
  en: {
    fee: 'Monthly fee',
    included: 'Included usage',
    usage: 'Usage',
    input: 'input tokens',
    'cached-input': 'cached input tokens',
    output: 'output tokens',
  },
} as const satisfies Record<Language, Record<InvoiceLine['kind'] | Unit, string>>;

function describe({ kind, model, unit }: InvoiceLine, language: Language): string {
  const word = words[language];
  return unit === null ? word[kind] : `${word[kind]} ${model ?? ''}, ${word[unit]}`;
}
