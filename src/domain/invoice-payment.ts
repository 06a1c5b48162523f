import { unreachable } from './decider.ts';
import { Refusal } from '../errors.ts';

/**
 * What happens to the money of a finalised invoice: it is collected by a payment provider, reminded
 * of, given back, disputed. No amount of the invoice changes by any of it.
 *
 * Refunds and disputes are told by the provider in any order and more than once. Each has an id, and
 * what is known of it already changes nothing.
 */

// Events. These names and shapes are stored for ever; see store/codec.ts before changing one.
export type InvoiceCollectionOpened = {
  readonly type: 'invoice.collection-opened';
  /** From here on the provider collects it. `reference`: its own id of the invoice. */
  readonly data: {
    readonly invoiceId: string;
    readonly provider: 'stripe';
    readonly accountId: string;
    readonly reference: string;
  };
};
export type InvoiceRefunded = {
  readonly type: 'invoice.refunded';
  /** `cents` are positive; `on` is a local date. */
  readonly data: {
    readonly invoiceId: string;
    readonly refundId: string;
    readonly cents: bigint;
    readonly on: string;
  };
};
/** The money came back to the agency: the recipient's bank did not take it. */
export type InvoiceRefundFailed = {
  readonly type: 'invoice.refund-failed';
  readonly data: {
    readonly invoiceId: string;
    readonly refundId: string;
    readonly cents: bigint;
    readonly reason: string;
  };
};
export type InvoiceDisputed = {
  readonly type: 'invoice.disputed';
  readonly data: {
    readonly invoiceId: string;
    readonly disputeId: string;
    readonly cents: bigint;
    readonly reason: string;
  };
};
/** `lost`: the money is gone, and the invoice is open again. */
export type InvoiceDisputeClosed = {
  readonly type: 'invoice.dispute-closed';
  readonly data: {
    readonly invoiceId: string;
    readonly disputeId: string;
    readonly outcome: 'won' | 'lost';
    readonly reason: string;
  };
};
export type InvoiceReminded = {
  readonly type: 'invoice.reminded';
  /** `level` counts from 1; `on` is a local date. */
  readonly data: { readonly invoiceId: string; readonly level: number; readonly on: string };
};
export type InvoicePaymentEvent =
  | InvoiceCollectionOpened
  | InvoiceRefunded
  | InvoiceRefundFailed
  | InvoiceDisputed
  | InvoiceDisputeClosed
  | InvoiceReminded;

type Payload<E extends { readonly data: object }> = Omit<E['data'], 'invoiceId'>;
export type InvoicePaymentCommand =
  | ({ readonly type: 'open-collection' } & Payload<InvoiceCollectionOpened>)
  | ({ readonly type: 'refund' } & Payload<InvoiceRefunded>)
  | ({ readonly type: 'fail-refund' } & Payload<InvoiceRefundFailed>)
  | ({ readonly type: 'dispute' } & Payload<InvoiceDisputed>)
  | ({ readonly type: 'close-dispute' } & Payload<InvoiceDisputeClosed> & { readonly cents: bigint })
  | ({ readonly type: 'remind' } & Payload<InvoiceReminded>);

export interface PaymentState {
  /** Who collects it; null while nobody does. */
  readonly collection: Omit<InvoiceCollectionOpened['data'], 'invoiceId'> | null;
  /** By refund id: `failed` ones came back. */
  readonly refunds: ReadonlyMap<string, 'made' | 'failed'>;
  readonly disputes: ReadonlyMap<string, 'open' | 'won' | 'lost'>;
  /** The newest reminder; null before the first. */
  readonly reminder: { readonly level: number; readonly on: string } | null;
}

export const NO_PAYMENT: PaymentState = {
  collection: null,
  refunds: new Map(),
  disputes: new Map(),
  reminder: null,
};

/** `isOpen`: neither paid nor cancelled. */
export function decidePayment(
  command: InvoicePaymentCommand,
  state: PaymentState,
  { invoiceId, isOpen }: { readonly invoiceId: string; readonly isOpen: boolean },
): readonly InvoicePaymentEvent[] {
  switch (command.type) {
    case 'open-collection': {
      const { provider, accountId, reference } = command;
      if (state.collection?.reference === reference) return [];
      if (state.collection !== null) throw new Refusal('invoice_state', { status: 'collected already' });
      return [{ type: 'invoice.collection-opened', data: { invoiceId, provider, accountId, reference } }];
    }
    case 'refund': {
      const { refundId, cents, on } = command;
      if (state.refunds.has(refundId)) return [];
      return [{ type: 'invoice.refunded', data: { invoiceId, refundId, cents, on } }];
    }
    case 'fail-refund': {
      const { refundId, cents, reason } = command;
      if (state.refunds.get(refundId) !== 'made') return [];
      return [{ type: 'invoice.refund-failed', data: { invoiceId, refundId, cents, reason } }];
    }
    case 'dispute': {
      const { disputeId, cents, reason } = command;
      if (state.disputes.has(disputeId)) return [];
      return [{ type: 'invoice.disputed', data: { invoiceId, disputeId, cents, reason } }];
    }
    case 'close-dispute': {
      const { disputeId, cents, reason, outcome } = command;
      const known = state.disputes.get(disputeId);
      if (known === 'won' || known === 'lost') return [];
      const opened = { type: 'invoice.disputed', data: { invoiceId, disputeId, cents, reason } } as const;
      const closed = {
        type: 'invoice.dispute-closed',
        data: { invoiceId, disputeId, outcome, reason },
      } as const;
      return known === undefined ? [opened, closed] : [closed];
    }
    case 'remind': {
      const { level, on } = command;
      if (!isOpen || level !== (state.reminder?.level ?? 0) + 1) return [];
      return [{ type: 'invoice.reminded', data: { invoiceId, level, on } }];
    }
    default:
      return unreachable(command);
  }
}

export function evolvePayment(state: PaymentState, event: InvoicePaymentEvent): PaymentState {
  switch (event.type) {
    case 'invoice.collection-opened': {
      const { provider, accountId, reference } = event.data;
      return { ...state, collection: { provider, accountId, reference } };
    }
    case 'invoice.refunded':
      return { ...state, refunds: new Map(state.refunds).set(event.data.refundId, 'made') };
    case 'invoice.refund-failed':
      return { ...state, refunds: new Map(state.refunds).set(event.data.refundId, 'failed') };
    case 'invoice.disputed':
      return { ...state, disputes: new Map(state.disputes).set(event.data.disputeId, 'open') };
    case 'invoice.dispute-closed': {
      const { disputeId, outcome } = event.data;
      return { ...state, disputes: new Map(state.disputes).set(disputeId, outcome) };
    }
    case 'invoice.reminded': {
      const { level, on } = event.data;
      return { ...state, reminder: { level, on } };
    }
    default:
      return unreachable(event);
  }
}
