import { describe, expect, test } from 'vitest';
import { BILLING_SETTINGS_DEFAULT, billingSettings } from '../../src/domain/billing-settings.ts';
import { invoice, isIssued } from '../../src/domain/invoice.ts';
import {
  billingSettingsChanged,
  invoiceCancelled,
  invoiceCollectionOpened,
  invoiceDisputeClosed,
  invoiceDisputed,
  invoiceDrafted,
  invoiceFinalized,
  invoicePaid,
  invoiceRefunded,
  invoiceRefundFailed,
  invoiceReminded,
} from '../support/events.ts';
import { specification } from '../support/specification.ts';

const given = specification(invoice);
const issued = [invoiceDrafted(), invoiceFinalized()];
const opening = { type: 'open-collection', provider: 'stripe', accountId: 'acct_1' } as const;
const refund = { refundId: 're_1', cents: 500n };
const dispute = { disputeId: 'du_1', cents: 5_832n, reason: 'fraudulent' };
const lose = { type: 'close-dispute', outcome: 'lost', ...dispute } as const;

describe('the collection of an invoice', () => {
  test('is opened once, and never under a second reference', () => {
    given(...issued)
      .when({ ...opening, reference: 'in_1' })
      .gives(invoiceCollectionOpened())
      .andNothingWhenRepeated();
    given(...issued, invoiceCollectionOpened())
      .when({ ...opening, reference: 'in_2' })
      .refuses('invoice_state', { status: 'collected already' });
    given(invoiceDrafted())
      .when({ ...opening, reference: 'in_1' })
      .refuses('invoice_state', { status: 'draft' });
  });

  test('notes each refund once, whatever became of the invoice, and its failure after it', () => {
    for (const after of [[invoicePaid()], [invoicePaid(), invoiceCancelled()], []]) {
      given(...issued, ...after)
        .when({ type: 'refund', ...refund, on: '2026-12-12' })
        .gives(invoiceRefunded())
        .andNothingWhenRepeated();
    }
    const failing = { type: 'fail-refund', ...refund, reason: 'account closed' } as const;
    given(...issued)
      .when(failing)
      .gives();
    given(...issued, invoiceRefunded())
      .when(failing)
      .gives(invoiceRefundFailed())
      .andNothingWhenRepeated();
  });

  test('notes a dispute and its end in either order, each once', () => {
    given(...issued, invoicePaid())
      .when({ type: 'dispute', ...dispute })
      .gives(invoiceDisputed())
      .andNothingWhenRepeated();
    given(...issued, invoicePaid())
      .when(lose)
      .gives(invoiceDisputed(), invoiceDisputeClosed())
      .andNothingWhenRepeated();
    given(...issued, invoicePaid(), invoiceDisputed(), invoiceDisputeClosed())
      .when({ type: 'dispute', ...dispute })
      .gives();
  });

  test('that lost a dispute makes the invoice open again; it can be paid once more', () => {
    const { state } = given(...issued, invoicePaid(), invoiceDisputed(), invoiceDisputeClosed());
    expect(isIssued(state) && [state.status, state.paid]).toEqual(['sent', null]);
    const { paidOn, method, reference } = invoicePaid().data;
    given(...issued, invoicePaid(), invoiceDisputed(), invoiceDisputeClosed())
      .when({ type: 'pay', paidOn, method, reference })
      .gives(invoicePaid());
    const won = given(...issued, invoicePaid(), invoiceDisputed(), invoiceDisputeClosed({ outcome: 'won' }));
    expect(won.state.status).toBe('paid');
  });

  test('reminds level by level, and nobody who has paid', () => {
    given(...issued)
      .when({ type: 'remind', level: 1, on: '2026-12-22' })
      .gives(invoiceReminded())
      .andNothingWhenRepeated();
    for (const before of [
      [...issued, invoicePaid()],
      [...issued, invoiceCancelled()],
    ]) {
      given(...before)
        .when({ type: 'remind', level: 1, on: '2026-12-22' })
        .gives();
    }
    given(...issued)
      .when({ type: 'remind', level: 2, on: '2026-12-22' })
      .gives();
  });
});

test('settings of an agency change one by one, and not at all when they are as they were', () => {
  const set = specification(billingSettings);
  const settings = { ...BILLING_SETTINGS_DEFAULT, reminderDays: [7] };
  set()
    .when({ type: 'change', agencyId: 'age_1', settings: { reminderDays: [7] } })
    .gives(billingSettingsChanged({ settings }))
    .andNothingWhenRepeated();
});
