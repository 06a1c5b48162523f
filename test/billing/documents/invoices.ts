/** Invoices of all kinds, as documents: what the tests of PDF and XML are given. */
import {
  cancellationDocument,
  type InvoiceDocument,
  invoiceDocument,
} from '../../../src/billing/documents/invoice-document.ts';
import { readParties } from '../../../src/billing/documents/parties.ts';
import { draftInvoice, type InvoiceFacts, type UsageSum } from '../../../src/domain/invoice-lines.ts';
import { DOMESTIC } from '../../../src/domain/tax.ts';
import { terms } from '../../support/events.ts';

export const SELLER = {
  name: 'Nordlicht Digital GmbH',
  street: 'Speicherstraße 7',
  postal_code: '24103',
  city: 'Kiel',
  country: 'DE',
  email: 'rechnung@nordlicht.example',
  vat_id: 'DE811569869',
  tax_number: '20/291/12345',
  contact_name: 'Jette Petersen',
  phone: '+49 431 5550100',
  iban: 'DE89 3704 0044 0532 0130 00',
  // A BIC may end with three letters for the branch; three times X is the head office.
  bic: 'COBADEFFXXX',
  bank: 'Commerzbank Kiel',
  payment_days: 14,
  register: 'Amtsgericht Kiel, HRB 12345',
  management: 'Geschäftsführung: Jette Petersen',
  website: 'nordlicht.example',
};

export const BUYER = {
  name: 'Bäckerei Sonnenkorn GmbH',
  street: 'Marktstraße 12',
  postal_code: '29221',
  city: 'Celle',
  country: 'DE',
  email: 'post@sonnenkorn.example',
  vat_id: 'DE136695976',
  language: 'de',
};

/** A million output tokens for 0.60 EUR, unless told otherwise. */
export function used(overrides: Partial<UsageSum> = {}): UsageSum {
  const priceRate = overrides.priceRate ?? 600_000_000n;
  const quantity = overrides.quantity ?? 1_000_000n;
  return {
    projectId: 'prj_1',
    model: 'gpt-4o-mini',
    unit: 'output',
    month: '2026-11',
    priceNanos: (priceRate / 1_000_000n) * quantity,
    ...overrides,
    priceRate,
    quantity,
  };
}

export interface Facts extends Partial<Omit<InvoiceFacts, 'terms'>> {
  readonly seller?: Readonly<Record<string, unknown>>;
  readonly buyer?: Readonly<Record<string, unknown>>;
  readonly fee?: bigint;
  readonly included?: bigint;
  readonly preceding?: InvoiceDocument['preceding'];
}

export function documentOf(facts: Facts = {}): InvoiceDocument {
  const { seller, buyer, fee = 49_000_000_000n, included = 0n, preceding = null, ...rest } = facts;
  const draft = draftInvoice({
    invoiceId: 'inv_1',
    period: '2026-11',
    terms: terms({ monthlyFeeNanos: fee, includedUsageNanos: included }),
    feeDue: true,
    usage: [used()],
    includedGranted: new Map(),
    taxCase: DOMESTIC,
    taxStatuses: [],
    replaces: null,
    ...rest,
  });
  return invoiceDocument({
    draft,
    number: 'RE-2026-00042',
    issuedOn: '2026-12-01',
    agencyId: 'age_main',
    tenantId: 'ten_1',
    zone: 'Europe/Berlin',
    parties: readParties({ ...SELLER, ...seller }, { ...BUYER, ...buyer }),
    projectNames: new Map([
      ['prj_1', 'Online-Shop'],
      ['prj_2', 'Kundenservice'],
    ]),
    preceding,
    brand: null,
  });
}

export function cancelled(document: InvoiceDocument): InvoiceDocument {
  return cancellationDocument(document, {
    cancellationId: 'sto_1',
    number: 'RE-2026-00043',
    issuedOn: '2026-12-03',
    reason: 'Anschrift falsch',
  });
}
