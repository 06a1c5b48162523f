/** An invoice of 58.32 EUR as it is when it has been finalised: its events and its kept document. */
import { documentHash, type StoredDocument } from '../../src/billing/billing-records.ts';
import { invoiceDocument } from '../../src/billing/documents/invoice-document.ts';
import { readParties } from '../../src/billing/documents/parties.ts';
import { canonicalJson } from '../../src/domain/json.ts';
import type { DomainEvent } from '../../src/events.ts';
import { invoiceDrafted, invoiceFinalized } from './events.ts';

export const ISSUER = {
  name: 'Agentur Nord GmbH',
  street: 'Speicherstraße 7',
  postal_code: '24103',
  city: 'Kiel',
  country: 'DE',
  email: 'rechnung@nord.example',
  vat_id: 'DE811569869',
};

export const RECIPIENT = {
  name: 'Bäckerei Sonnenkorn GmbH',
  street: 'Marktstraße 12',
  postal_code: '29221',
  city: 'Celle',
  country: 'DE',
  email: 'post@sonnenkorn.example',
  language: 'de',
};

export interface InvoiceName {
  readonly agencyId: string;
  readonly tenantId: string;
  readonly invoiceId: string;
  readonly number: string;
}

export const ISSUED_CENTS = 5_832;

export function issuedInvoice(name: InvoiceName): {
  readonly kept: StoredDocument;
  readonly events: readonly DomainEvent[];
} {
  const { agencyId, tenantId, invoiceId, number } = name;
  const { data: draft } = invoiceDrafted({ invoiceId });
  const document = canonicalJson(
    invoiceDocument({
      draft,
      number,
      issuedOn: '2026-12-01',
      agencyId,
      tenantId,
      zone: 'Europe/Berlin',
      parties: readParties(ISSUER, RECIPIENT),
      projectNames: new Map(),
      preceding: null,
      brand: null,
    }),
  );
  const hash = documentHash(document);
  return {
    kept: { invoiceId, number, agencyId, tenantId, document, hash },
    events: [invoiceDrafted({ invoiceId }), invoiceFinalized({ invoiceId, number, documentHash: hash })],
  };
}
