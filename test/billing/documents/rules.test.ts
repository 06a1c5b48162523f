import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type EInvoice, type ELine, eInvoice, type ETax } from '../../../src/billing/documents/e-invoice.ts';
import { checkEInvoice } from '../../../src/billing/documents/e-invoice-file.ts';
import { violationsOf } from '../../../src/billing/documents/rules.ts';
import { cancelled, documentOf, type Facts, used } from './invoices.ts';

const abroad = { treatment: 'reverse-charge', evidence: 'vck_1' } as const;
const third = { treatment: 'third-country', evidence: null } as const;
const AUSTRIAN = { country: 'AT', vat_id: 'ATU12345678' };
const SWISS = { country: 'CH', vat_id: null };
const small: Facts = { taxStatuses: [{ from: '2026-01-01', status: 'small-business' }] };

const cases: readonly (readonly [string, Facts])[] = [
  ['domestic', {}],
  ['reverse charge', { taxCase: abroad, buyer: AUSTRIAN }],
  ['outside the scope', { taxCase: third, buyer: SWISS }],
  [
    'outside the scope, though both have VAT ids',
    { taxCase: third, buyer: { country: 'GB', vat_id: 'GB123456789' } },
  ],
  ['small business', small],
  ['included usage', { included: 100_000_000_000n }],
  ['two rates', { usage: [used(), used({ month: '2020-11' })] }],
  ['no bank account', { seller: { iban: null } }],
];

describe.each(cases)('%s', (_, facts) => {
  test.each(['en16931', 'xrechnung-3.0'] as const)(
    'keeps the rules of %s, also when it is cancelled',
    (profile) => {
      const document = documentOf(facts);
      expect(violationsOf(eInvoice(document, profile))).toEqual([]);
      expect(violationsOf(eInvoice(cancelled(document), profile))).toEqual([]);
    },
  );
});

test('whatever was used, an invoice keeps every rule', () => {
  const usage = fc.record({
    rate: fc.bigInt(0n, 50_000n),
    quantity: fc.bigInt(0n, 10n ** 12n),
    month: fc.constantFrom('2026-11', '2026-10', '2020-12'),
    model: fc.integer({ min: 0, max: 1_000_000 }).map(String),
  });
  fc.assert(
    fc.property(
      fc.uniqueArray(usage, { selector: ({ model }) => model, maxLength: 20 }),
      fc.bigInt(0n, 10n ** 12n),
      (rows, included) => {
        const document = documentOf({
          included,
          usage: rows.map(({ rate, quantity, month, model }) =>
            used({ priceRate: rate * 1_000_000n, quantity, priceNanos: rate * quantity, month, model }),
          ),
        });
        expect(violationsOf(eInvoice(document, 'xrechnung-3.0'))).toEqual([]);
      },
    ),
    { numRuns: 200 },
  );
});

type Change = (invoice: EInvoice) => Partial<EInvoice>;
const line =
  (change: Partial<ELine>): Change =>
  ({ lines: [first, ...rest] }) => ({ lines: [{ ...first!, ...change }, ...rest] });
const tax =
  (change: Partial<ETax>): Change =>
  ({ taxes: [first, ...rest] }) => ({ taxes: [{ ...first!, ...change }, ...rest] });
const total =
  (change: Partial<EInvoice['totals']>): Change =>
  ({ totals }) => ({ totals: { ...totals, ...change } });
const seller =
  (change: Partial<EInvoice['seller']>): Change =>
  (one) => ({ seller: { ...one.seller, ...change } });
const buyer =
  (change: Partial<EInvoice['buyer']>): Change =>
  (one) => ({ buyer: { ...one.buyer, ...change } });
const contact =
  (change: Partial<EInvoice['seller']['contact']>): Change =>
  (one) => ({
    seller: { ...one.seller, contact: { ...one.seller.contact, ...change } },
  });

const breaks: readonly (readonly [rule: string, facts: Facts, change: Change])[] = [
  ['BR-02', {}, () => ({ number: '' })],
  ['BR-03', {}, () => ({ issuedOn: '1.12.2026' })],
  ['BR-05', {}, () => ({ currency: 'Euro' })],
  ['BR-06', {}, seller({ name: '' })],
  ['BR-07', {}, buyer({ name: '' })],
  ['BR-09', {}, seller({ country: 'Germany' })],
  ['BR-11', {}, buyer({ country: '' })],
  ['BR-16', {}, () => ({ lines: [] })],
  ['BR-22', {}, line({ quantity: '' })],
  ['BR-25', {}, line({ name: ' ' })],
  ['BR-27', {}, line({ price: '-49.00' })],
  ['BR-29', {}, () => ({ to: '2026-10-31' })],
  ['BR-30', {}, line({ to: '2026-10-31' })],
  ['BR-55', {}, () => ({ preceding: [{ number: '', issuedOn: '2026-11-01' }] })],
  ['BR-61', {}, (one) => ({ payment: { ...one.payment, iban: null } })],
  ['BR-DEC-23', {}, line({ net: '49.001' })],
  ['BR-DEC-09..18', {}, total({ gross: '59.020' })],
  ['BR-DEC-19..20', {}, tax({ tax: '9.424' })],
  ['PEPPOL-EN16931-R120', {}, line({ price: '50.00' })],
  ['PEPPOL-EN16931-R121', {}, line({ priceBase: '0' })],
  ['BR-CO-09', {}, buyer({ vatId: '123' })],
  ['BR-CO-10', {}, total({ lines: '49.61' })],
  ['BR-CO-13', {}, total({ net: '49.59' })],
  ['BR-CO-14', {}, total({ tax: '9.43' })],
  ['BR-CO-15', {}, total({ gross: '59.03' })],
  ['BR-CO-16', {}, total({ due: '0.00' })],
  ['BR-CO-17', {}, tax({ tax: '9.43' })],
  ['BR-CO-18', {}, () => ({ taxes: [] })],
  ['BR-CO-25', {}, () => ({ dueOn: null, paymentTerms: null })],
  ['BR-CO-26', {}, seller({ id: '', vatId: null })],
  ['BR-48', {}, tax({ ratePercent: null })],
  ['BR-S-01', {}, ({ taxes }) => ({ taxes: [...taxes, ...taxes] })],
  ['BR-S-02', {}, seller({ vatId: null, taxNumber: null })],
  ['BR-S-05', {}, line({ ratePercent: '0' })],
  ['BR-S-08', {}, tax({ net: '49.00' })],
  ['BR-S-10', {}, tax({ reason: 'because' })],
  ['BR-AE-02', { taxCase: abroad, buyer: AUSTRIAN }, buyer({ vatId: null })],
  ['BR-AE-05', { taxCase: abroad, buyer: AUSTRIAN }, line({ ratePercent: '19' })],
  ['BR-AE-08', { taxCase: abroad, buyer: AUSTRIAN }, tax({ net: '0.00' })],
  ['BR-AE-09', { taxCase: abroad, buyer: AUSTRIAN }, tax({ tax: '1.00' })],
  ['BR-AE-10', { taxCase: abroad, buyer: AUSTRIAN }, tax({ reason: null })],
  ['BR-E-01', small, ({ taxes }) => ({ taxes: [...taxes, ...taxes] })],
  ['BR-E-02', small, seller({ vatId: null, taxNumber: null })],
  ['BR-E-05', small, line({ ratePercent: '7' })],
  ['BR-E-08', small, tax({ net: '0.00' })],
  ['BR-E-09', small, tax({ tax: '1.00' })],
  ['BR-E-10', small, tax({ reason: null })],
  ['BR-O-02', { taxCase: third, buyer: SWISS }, seller({ vatId: 'DE811569869' })],
  ['BR-O-05', { taxCase: third, buyer: SWISS }, line({ ratePercent: '0' })],
  ['BR-O-08', { taxCase: third, buyer: SWISS }, tax({ net: '0.00' })],
  ['BR-O-09', { taxCase: third, buyer: SWISS }, tax({ tax: '1.00' })],
  ['BR-O-10', { taxCase: third, buyer: SWISS }, tax({ reason: null })],
  [
    'BR-O-11',
    { taxCase: third, buyer: SWISS },
    ({ taxes }) => ({ taxes: [...taxes, { ...taxes[0]!, category: 'E', ratePercent: '0' }] }),
  ],
  ['BR-DE-2', {}, contact({ name: null, phone: null, email: null })],
  ['BR-DE-3', {}, seller({ city: '' })],
  ['BR-DE-4', {}, seller({ postalCode: '' })],
  ['BR-DE-5', {}, contact({ name: null })],
  ['BR-DE-6', {}, contact({ phone: null })],
  ['BR-DE-7', {}, contact({ email: null })],
  ['BR-DE-8', {}, buyer({ city: '' })],
  ['BR-DE-9', {}, buyer({ postalCode: '' })],
  ['BR-DE-15', {}, () => ({ buyerReference: null })],
  ['BR-DE-16', {}, seller({ vatId: null, taxNumber: null })],
  ['BR-DE-26', {}, () => ({ typeCode: '384' })],
  ['BR-DE-27', {}, contact({ phone: 'ask' })],
  ['BR-DE-28', {}, contact({ email: 'nobody' })],
  ['PEPPOL-EN16931-R010', {}, buyer({ electronicAddress: null })],
  ['PEPPOL-EN16931-R020', {}, seller({ electronicAddress: null })],
];

test.each(breaks)('%s is noticed', (rule, facts, change) => {
  const invoice = eInvoice(documentOf(facts), 'xrechnung-3.0');
  expect(violationsOf({ ...invoice, ...change(invoice) }).map((one) => one.rule)).toContain(rule);
});

describe('before an invoice is finalised', () => {
  test('a violation names rule and field', () => {
    const document = documentOf({ buyer: { e_invoice: 'xrechnung-ubl' }, seller: { phone: null } });
    expect(() => checkEInvoice(document)).toThrow(/BR-DE-6 of XRechnung 3.0: BT-42 phone of the seller/);
  });

  test("XRechnung's own rules are for those who asked for it", () => {
    expect(() => checkEInvoice(documentOf({ seller: { phone: null } }))).not.toThrow();
  });
});
