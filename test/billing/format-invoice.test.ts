import { expect, test } from 'vitest';
import { formatInvoice } from '../../src/billing/format-invoice.ts';
import { invoiceDocument } from '../../src/billing/documents/invoice-document.ts';
import { readParties } from '../../src/billing/documents/parties.ts';
import { invoiceDrafted } from '../support/events.ts';
import { ISSUER, RECIPIENT } from './memory-billing.ts';

function formatted(language: string): string {
  return formatInvoice(
    invoiceDocument({
      draft: invoiceDrafted().data,
      number: 'RE-2026-00042',
      issuedOn: '2026-12-01',
      agencyId: 'age_1',
      tenantId: 'ten_1',
      zone: 'Europe/Berlin',
      parties: readParties(ISSUER, { ...RECIPIENT, language }),
      projectNames: new Map([['prj_1', 'Online-Shop']]),
      preceding: null,
      brand: null,
    }),
  );
}

test('an invoice reads as a page in its own language', () => {
  expect(
    formatted('de')
      .split('\n')
      .map((line) => line.replaceAll(/ {3,}/g, ' … ')),
  ).toEqual([
    'Rechnung RE-2026-00042 vom 2026-12-01',
    'Leistungszeitraum: 2026-11-01 - 2026-11-30',
    '',
    'Von: Agentur Nord GmbH, Speicherstraße 7, DE-24103 Kiel, USt-IdNr. DE811569869',
    'An: Bäckerei Sonnenkorn GmbH, Marktstraße 12, DE-29221 Celle',
    '',
    '-'.repeat(96),
    '  1  Grundgebühr … 49.00 EUR',
    '  2  Nutzung gpt-4o-mini, Ausgabe-Tokens … 0.01 EUR',
    ' … Online-Shop: 20 000 x 0.6 EUR je 1 000 000 = 0.012',
    '-'.repeat(96),
    ' … Netto … 49.01 EUR',
    ' … USt. 19 % … 9.31 EUR',
    ' … Gesamtbetrag … 58.32 EUR',
    '',
  ]);
  expect(formatted('en')).toContain('Invoice RE-2026-00042');
  expect(formatted('xx')).toContain('Rechnung RE-2026-00042');
});
