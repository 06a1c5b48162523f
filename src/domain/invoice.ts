import type { Decider } from './decider.ts';
import type { Discount } from './discount.ts';
import type { Unit } from './spend.ts';
import type { LineTax, TaxCase, TaxCategory } from './tax.ts';
import { Refusal } from '../errors.ts';
import {
  decidePayment,
  evolvePayment,
  type InvoicePaymentCommand,
  type InvoicePaymentEvent,
  NO_PAYMENT,
  type PaymentState,
} from './invoice-payment.ts';

/**
 * An invoice: drafted with all its lines, finalised with its number, and never changed after that.
 * What happens to it later (sent, paid, cancelled) is told by further events and changes no amount.
 * Overdue is not an event, since nothing happens at that moment: the due date is compared with today.
 */

export const LINE_KINDS = [
  'fee',
  'project-fee',
  /** Of fees that earlier invoices charged for a month whose contract was amended since. */
  'correction',
  'usage',
  /** The difference between tiered prices and those at which usage was recorded. */
  'tier',
  'included',
  /** What is missing to the minimum commitment. */
  'commitment',
  /** What the contract agrees to take off. */
  'discount',
] as const;
export type LineKind = (typeof LINE_KINDS)[number];

export interface InvoiceLine {
  readonly kind: LineKind;
  readonly projectId: string | null;
  readonly model: string | null;
  readonly unit: Unit | null;
  /** `YYYY-MM` in which the service was rendered; an earlier month than the period's is late usage. */
  readonly serviceMonth: string;
  /** First and last local day of the service; left out: the whole month. */
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  /** Tokens for usage lines, else 1. */
  readonly quantity: bigint;
  /** Requests behind a usage line, each on one line only; left out where the contract includes none. */
  readonly requests?: bigint | undefined;
  /** Of a discount line: which one. */
  readonly discount?: Pick<Discount, 'name' | 'of' | 'percent'> | undefined;
  /** Nanos per million tokens for usage lines; null elsewhere. */
  readonly priceRate: bigint | null;
  /** Exact net amount; negative for included usage. */
  readonly nanos: bigint;
  /** `nanos` rounded half up, once; for included usage see invoice-lines.ts. */
  readonly netCents: bigint;
  readonly tax: LineTax;
}

export interface InvoiceTax {
  readonly category: TaxCategory;
  /** A decimal such as "19". */
  readonly ratePercent: string;
  readonly netCents: bigint;
  readonly taxCents: bigint;
}

export interface InvoiceDraft {
  readonly invoiceId: string;
  readonly period: string;
  /**
   * 2: contracts change within a month, and parts of a month are charged as such. Left out: drafted
   * before that was so; the contract signed last held for whole months.
   */
  readonly rules?: 2 | undefined;
  readonly currency: string;
  readonly taxCase: TaxCase;
  /** The cancelled invoice that this one replaces: it bills the same usage; null for a first invoice. */
  readonly replaces: string | null;
  readonly lines: readonly InvoiceLine[];
  readonly taxes: readonly InvoiceTax[];
  readonly netCents: bigint;
  readonly taxCents: bigint;
  readonly grossCents: bigint;
}

// Events. These names and shapes are stored for ever; see store/codec.ts before changing one.
export type InvoiceDrafted = { readonly type: 'invoice.drafted'; readonly data: InvoiceDraft };
export type InvoiceFinalized = {
  readonly type: 'invoice.finalized';
  readonly data: {
    readonly invoiceId: string;
    readonly number: string;
    /** Local date `YYYY-MM-DD` in the agency's zone. */
    readonly issuedOn: string;
    /** Local date from which it is overdue when it is not paid; null where no date was agreed. */
    readonly dueOn: string | null;
    /** SHA-256 of the canonical invoice document, which holds issuer and recipient as they were. */
    readonly documentHash: string;
  };
};
export type InvoiceSent = {
  readonly type: 'invoice.sent';
  /** `channel`: how, such as `mail` or `by hand`. */
  readonly data: { readonly invoiceId: string; readonly channel: string };
};
export type InvoicePaid = {
  readonly type: 'invoice.paid';
  readonly data: {
    readonly invoiceId: string;
    /** Local date `YYYY-MM-DD` of the payment. */
    readonly paidOn: string;
    /** How it came in, such as `bank transfer`. */
    readonly method: string;
    /** What finds it again in the bank or at the payment provider; null when nothing was given. */
    readonly reference: string | null;
  };
};
export type InvoicePaymentFailed = {
  readonly type: 'invoice.payment-failed';
  readonly data: {
    readonly invoiceId: string;
    readonly method: string;
    readonly reference: string | null;
    readonly reason: string;
  };
};
export type InvoiceCancelled = {
  readonly type: 'invoice.cancelled';
  readonly data: {
    readonly invoiceId: string;
    readonly reason: string;
    /** The Stornorechnung: a document of its own, with a number of the same series. */
    readonly cancellationId: string;
    readonly number: string;
    readonly issuedOn: string;
    readonly documentHash: string;
    /** Included usage that the invoice had granted, by month of service, in nanos: it is free again. */
    readonly included: readonly { readonly month: string; readonly nanos: bigint }[];
  };
};
export type InvoiceEvent =
  | InvoiceDrafted
  | InvoiceFinalized
  | InvoiceSent
  | InvoicePaid
  | InvoicePaymentFailed
  | InvoiceCancelled
  | InvoicePaymentEvent;

export type InvoiceCommand =
  | { readonly type: 'draft'; readonly draft: InvoiceDraft }
  | ({ readonly type: 'finalize' } & Omit<InvoiceFinalized['data'], 'invoiceId'>)
  | { readonly type: 'send'; readonly channel: string }
  | ({ readonly type: 'pay' } & Omit<InvoicePaid['data'], 'invoiceId'>)
  | ({ readonly type: 'fail-payment' } & Omit<InvoicePaymentFailed['data'], 'invoiceId'>)
  | ({ readonly type: 'cancel' } & Omit<InvoiceCancelled['data'], 'invoiceId' | 'included'>)
  | InvoicePaymentCommand;

/** A finalised invoice and what became of it. */
export interface IssuedState {
  readonly status: 'finalized' | 'sent' | 'paid' | 'cancelled';
  readonly draft: InvoiceDraft;
  readonly finalized: InvoiceFinalized['data'];
  readonly cancelled: InvoiceCancelled['data'] | null;
  /** How it was paid; null while it is not, and again when a dispute took the money back. */
  readonly paid: Omit<InvoicePaid['data'], 'invoiceId'> | null;
  readonly payment: PaymentState;
}
export type InvoiceState =
  | { readonly status: 'absent' }
  | { readonly status: 'draft'; readonly draft: InvoiceDraft }
  | IssuedState;

export const invoice: Decider<InvoiceCommand, InvoiceState, InvoiceEvent> = {
  initial: { status: 'absent' },
  decide,
  evolve,
};

export function isIssued(state: InvoiceState): state is IssuedState {
  return state.status !== 'absent' && state.status !== 'draft';
}

/** Finalised, and neither paid nor cancelled. */
export function isOpen({ status }: IssuedState): boolean {
  return status === 'finalized' || status === 'sent';
}

function decide(command: InvoiceCommand, state: InvoiceState): readonly InvoiceEvent[] {
  if (command.type === 'draft') {
    return state.status === 'absent' ? [{ type: 'invoice.drafted', data: command.draft }] : [];
  }
  if (state.status === 'absent') throw new Refusal('not_found', { what: 'invoice' });
  const { invoiceId } = state.draft;
  if (command.type === 'finalize') {
    if (isIssued(state)) return [];
    const { number, issuedOn, dueOn, documentHash } = command;
    return [{ type: 'invoice.finalized', data: { invoiceId, number, issuedOn, dueOn, documentHash } }];
  }
  if (!isIssued(state)) throw new Refusal('invoice_state', { status: state.status });
  return decideIssued(command, state);
}

function decideIssued(
  command: Exclude<InvoiceCommand, { readonly type: 'draft' | 'finalize' }>,
  state: IssuedState,
): readonly InvoiceEvent[] {
  const { status, draft } = state;
  const { invoiceId } = draft;
  switch (command.type) {
    case 'send':
      if (status === 'cancelled') throw new Refusal('invoice_state', { status });
      return status === 'finalized'
        ? [{ type: 'invoice.sent', data: { invoiceId, channel: command.channel } }]
        : [];
    case 'pay': {
      if (status === 'cancelled') throw new Refusal('invoice_state', { status });
      const { paidOn, method, reference } = command;
      return status === 'paid'
        ? []
        : [{ type: 'invoice.paid', data: { invoiceId, paidOn, method, reference } }];
    }
    case 'fail-payment': {
      if (status === 'cancelled' || status === 'paid') throw new Refusal('invoice_state', { status });
      const { method, reference, reason } = command;
      return [{ type: 'invoice.payment-failed', data: { invoiceId, method, reference, reason } }];
    }
    case 'cancel': {
      if (status === 'cancelled') {
        if (state.cancelled?.cancellationId === command.cancellationId) return [];
        throw new Refusal('invoice_state', { status });
      }
      const { reason, cancellationId, number, issuedOn, documentHash } = command;
      const included = grantedBy(draft);
      const data = { invoiceId, reason, cancellationId, number, issuedOn, documentHash, included };
      return [{ type: 'invoice.cancelled', data }];
    }
    default:
      return decidePayment(command, state.payment, { invoiceId, isOpen: isOpen(state) });
  }
}

/** A line as later invoices have to know it. */
export interface BilledLine
  extends Pick<InvoiceLine, 'kind' | 'model' | 'unit' | 'priceRate' | 'quantity' | 'requests' | 'nanos'> {
  readonly invoiceId: string;
  /** Of the invoice. */
  readonly period: string;
  /** Of the service. */
  readonly month: string;
  /** Name of the discount; left out on lines of other kinds. */
  readonly discount?: string | undefined;
}

export function billedBy({
  invoiceId,
  period,
  lines,
}: Pick<InvoiceDraft, 'invoiceId' | 'period' | 'lines'>): readonly BilledLine[] {
  return lines.map(({ kind, serviceMonth, model, unit, priceRate, quantity, requests, discount, nanos }) => ({
    invoiceId,
    period,
    month: serviceMonth,
    kind,
    model,
    unit,
    priceRate,
    quantity,
    ...(requests === undefined ? {} : { requests }),
    ...(discount === undefined ? {} : { discount: discount.name }),
    nanos,
  }));
}

/** What a draft grants of included usage, positive. */
export function grantedBy({ lines }: InvoiceDraft): InvoiceCancelled['data']['included'] {
  return lines
    .filter(({ kind }) => kind === 'included')
    .map(({ serviceMonth, nanos }) => ({ month: serviceMonth, nanos: -nanos }));
}

function evolve(state: InvoiceState, event: InvoiceEvent): InvoiceState {
  if (event.type === 'invoice.drafted') {
    return state.status === 'absent' ? { status: 'draft', draft: event.data } : state;
  }
  if (event.type === 'invoice.finalized') {
    if (state.status !== 'draft') return state;
    const nothing = { cancelled: null, paid: null, payment: NO_PAYMENT };
    return { status: 'finalized', draft: state.draft, finalized: event.data, ...nothing };
  }
  if (!isIssued(state)) return state;
  switch (event.type) {
    case 'invoice.sent':
      return { ...state, status: state.status === 'finalized' ? 'sent' : state.status };
    case 'invoice.paid': {
      const { paidOn, method, reference } = event.data;
      return { ...state, status: 'paid', paid: { paidOn, method, reference } };
    }
    case 'invoice.payment-failed':
      return state;
    case 'invoice.cancelled':
      return { ...state, status: 'cancelled', cancelled: event.data };
    case 'invoice.dispute-closed': {
      const payment = evolvePayment(state.payment, event);
      const isLost = event.data.outcome === 'lost' && state.status === 'paid';
      return isLost ? { ...state, status: 'sent', paid: null, payment } : { ...state, payment };
    }
    default:
      return { ...state, payment: evolvePayment(state.payment, event) };
  }
}
