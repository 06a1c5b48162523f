import { describe, expect, test } from 'vitest';
import { invoice, type InvoiceDraft, type InvoiceEvent } from '../../src/domain/invoice.ts';
import { NO_PAYMENT } from '../../src/domain/invoice-payment.ts';
import { DOMESTIC } from '../../src/domain/tax.ts';
import { specification } from '../support/specification.ts';

const given = specification(invoice);
const draft: InvoiceDraft = {
  invoiceId: 'inv_1',
  period: '2026-11',
  currency: 'EUR',
  taxCase: DOMESTIC,
  replaces: null,
  lines: [
    {
      kind: 'fee',
      projectId: null,
      model: null,
      unit: null,
      serviceMonth: '2026-11',
      quantity: 1n,
      priceRate: null,
      nanos: 49_000_000_000n,
      netCents: 4_900n,
      tax: { category: 'S', ratePercent: '19' },
    },
  ],
  taxes: [{ category: 'S', ratePercent: '19', netCents: 4_900n, taxCents: 931n }],
  netCents: 4_900n,
  taxCents: 931n,
  grossCents: 5_831n,
};
const finalize = {
  type: 'finalize',
  number: 'RE-2026-00001',
  issuedOn: '2026-12-01',
  dueOn: '2026-12-15',
  documentHash: 'a'.repeat(64),
} as const;
const { type: _, ...issued } = finalize;
const drafted: InvoiceEvent = { type: 'invoice.drafted', data: draft };
const finalized: InvoiceEvent = { type: 'invoice.finalized', data: { invoiceId: 'inv_1', ...issued } };

describe('an invoice', () => {
  test('is drafted once: a second draft, even another one, changes nothing', () => {
    given().when({ type: 'draft', draft }).gives(drafted).andNothingWhenRepeated();
    given(drafted)
      .when({ type: 'draft', draft: { ...draft, grossCents: 1n } })
      .gives();
  });

  test('is finalised once, and keeps its first number', () => {
    given(drafted).when(finalize).gives(finalized).andNothingWhenRepeated();
    given(drafted, finalized)
      .when({ ...finalize, number: 'RE-2026-00002' })
      .gives();
    expect(given(drafted, finalized).state).toEqual({
      status: 'finalized',
      draft,
      finalized: { invoiceId: 'inv_1', ...issued },
      cancelled: null,
      paid: null,
      payment: NO_PAYMENT,
    });
  });

  test('cannot be finalised before it is drafted', () => {
    given().when(finalize).refuses('not_found', { what: 'invoice' });
  });

  test('never changes after it is final, whatever event comes', () => {
    const { state } = given(drafted, finalized);
    const other: InvoiceEvent = { type: 'invoice.drafted', data: { ...draft, grossCents: 1n } };
    expect(invoice.evolve(state, other)).toBe(state);
    expect(invoice.evolve(state, finalized)).toBe(state);
    expect(invoice.evolve(invoice.initial, finalized)).toBe(invoice.initial);
  });
});

describe('a finalised invoice', () => {
  const sent: InvoiceEvent = { type: 'invoice.sent', data: { invoiceId: 'inv_1', channel: 'mail' } };
  const payment = { paidOn: '2026-12-10', method: 'bank transfer', reference: null };
  const paid: InvoiceEvent = { type: 'invoice.paid', data: { invoiceId: 'inv_1', ...payment } };
  const failure = { method: 'card', reference: null, reason: 'declined' };
  const storno = {
    reason: 'wrong address',
    cancellationId: 'sto_1',
    number: 'RE-2026-00002',
    issuedOn: '2026-12-03',
    documentHash: 'b'.repeat(64),
  };
  const cancelled: InvoiceEvent = {
    type: 'invoice.cancelled',
    data: { invoiceId: 'inv_1', ...storno, included: [] },
  };

  test('is sent once and paid once', () => {
    given(drafted, finalized).when({ type: 'send', channel: 'mail' }).gives(sent).andNothingWhenRepeated();
    given(drafted, finalized, sent)
      .when({ type: 'pay', ...payment })
      .gives(paid)
      .andNothingWhenRepeated();
    given(drafted, finalized, paid).when({ type: 'send', channel: 'mail' }).gives();
  });

  test('notes every payment that failed, and stays as it was', () => {
    const failed: InvoiceEvent = {
      type: 'invoice.payment-failed',
      data: { invoiceId: 'inv_1', ...failure },
    };
    given(drafted, finalized, sent)
      .when({ type: 'fail-payment', ...failure })
      .gives(failed);
    expect(given(drafted, finalized, sent, failed).state.status).toBe('sent');
    given(drafted, finalized, paid)
      .when({ type: 'fail-payment', ...failure })
      .refuses('invoice_state', { status: 'paid' });
  });

  test('is taken back once, by one Stornorechnung, whether it was paid or not', () => {
    for (const before of [[], [sent], [paid]]) {
      given(drafted, finalized, ...before)
        .when({ type: 'cancel', ...storno })
        .gives(cancelled)
        .andNothingWhenRepeated();
    }
    given(drafted, finalized, cancelled)
      .when({ type: 'cancel', ...storno, cancellationId: 'sto_2' })
      .refuses('invoice_state', { status: 'cancelled' });
    given(drafted, finalized, cancelled)
      .when({ type: 'pay', ...payment })
      .refuses('invoice_state', { status: 'cancelled' });
    given(drafted)
      .when({ type: 'cancel', ...storno })
      .refuses('invoice_state', { status: 'draft' });
  });

  test('gives back the included usage that it had granted', () => {
    const line = { ...draft.lines[0]!, kind: 'included', nanos: -5n } as const;
    const granting: InvoiceEvent = { type: 'invoice.drafted', data: { ...draft, lines: [line] } };
    given(granting, finalized)
      .when({ type: 'cancel', ...storno })
      .gives({ ...cancelled, data: { ...cancelled.data, included: [{ month: '2026-11', nanos: 5n }] } });
  });
});
