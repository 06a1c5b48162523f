import type { Decider } from './decider.ts';
import { unreachable } from './decider.ts';
import type { Unit } from './spend.ts';
import { Refusal } from '../errors.ts';

/** An invoice: drafted with all its lines, finalised with its number, and never changed after that. */

export interface InvoiceLine {
  readonly kind: 'fee' | 'usage' | 'included';
  readonly projectId: string | null;
  readonly model: string | null;
  readonly unit: Unit | null;
  /** `YYYY-MM` in which the service was rendered; an earlier month than the period's is late usage. */
  readonly serviceMonth: string;
  /** Tokens for usage lines, else 1. */
  readonly quantity: bigint;
  /** Nanos per million tokens for usage lines; null elsewhere. */
  readonly priceRate: bigint | null;
  /** Exact net amount; negative for included usage. */
  readonly nanos: bigint;
  /** `nanos` rounded half up, once; for included usage see invoice-lines.ts. */
  readonly netCents: bigint;
}

export interface InvoiceTax {
  /** EN 16931 category code: S = standard rate. */
  readonly category: 'S';
  /** A decimal such as "19". */
  readonly ratePercent: string;
  readonly netCents: bigint;
  readonly taxCents: bigint;
}

export interface InvoiceDraft {
  readonly invoiceId: string;
  readonly period: string;
  readonly currency: string;
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
    /** SHA-256 of the canonical invoice document, which holds issuer and recipient as they were. */
    readonly documentHash: string;
  };
};
export type InvoiceEvent = InvoiceDrafted | InvoiceFinalized;

export type InvoiceCommand =
  | { readonly type: 'draft'; readonly draft: InvoiceDraft }
  | {
      readonly type: 'finalize';
      readonly number: string;
      readonly issuedOn: string;
      readonly documentHash: string;
    };

export type InvoiceState =
  | { readonly status: 'absent' }
  | { readonly status: 'draft'; readonly draft: InvoiceDraft }
  | {
      readonly status: 'finalized';
      readonly draft: InvoiceDraft;
      readonly finalized: InvoiceFinalized['data'];
    };

export const invoice: Decider<InvoiceCommand, InvoiceState, InvoiceEvent> = {
  initial: { status: 'absent' },
  decide,
  evolve,
};

function decide(command: InvoiceCommand, state: InvoiceState): readonly InvoiceEvent[] {
  switch (command.type) {
    case 'draft':
      return state.status === 'absent' ? [{ type: 'invoice.drafted', data: command.draft }] : [];
    case 'finalize': {
      if (state.status === 'absent') throw new Refusal('not_found', { what: 'invoice' });
      if (state.status === 'finalized') return [];
      const { number, issuedOn, documentHash } = command;
      const { invoiceId } = state.draft;
      return [{ type: 'invoice.finalized', data: { invoiceId, number, issuedOn, documentHash } }];
    }
    default:
      return unreachable(command);
  }
}

function evolve(state: InvoiceState, event: InvoiceEvent): InvoiceState {
  switch (event.type) {
    case 'invoice.drafted':
      return state.status === 'absent' ? { status: 'draft', draft: event.data } : state;
    case 'invoice.finalized':
      return state.status === 'draft'
        ? { status: 'finalized', draft: state.draft, finalized: event.data }
        : state;
    default:
      return unreachable(event);
  }
}
