import type { PaymentMethod } from '../domain/billing-settings.ts';

/**
 * What is asked of a payment provider, in this project's words. stripe.ts is the one there is. Calls
 * that make something take an idempotency key; those that look for something find what was made
 * moments ago, customers after a minute at most.
 */
export interface Collector {
  accountId(): Promise<string>;
  findCustomer(tenantId: string): Promise<string | null>;
  createCustomer(customer: CustomerFacts, key: string): Promise<string>;
  findInvoice(customerId: string, invoiceId: string): Promise<ProviderInvoice | null>;
  createInvoice(invoice: InvoiceFacts, key: string): Promise<ProviderInvoice>;
  /** Ids of the items of an invoice, by the names that they were given. */
  items(reference: string): Promise<ReadonlyMap<string, string>>;
  createItem(item: ItemFacts, key: string): Promise<string>;
  invoice(reference: string): Promise<ProviderInvoice>;
  finalize(reference: string, key: string): Promise<ProviderInvoice>;
  deleteDraft(reference: string): Promise<void>;
  void(reference: string): Promise<void>;
  /** Notes that the money came another way, so that nobody pays twice. */
  markPaidElsewhere(reference: string, key: string): Promise<string>;
  /** Ids of what was credited of an invoice. */
  credits(reference: string): Promise<readonly string[]>;
  /** Takes a paid invoice back as a whole and returns the money. */
  refund(credit: CreditFacts, key: string): Promise<string>;
  /** Why the newest attempt to pay failed; null when nobody says. */
  paymentProblem(reference: string): Promise<string | null>;
  /** The invoice that a payment was for; null when it was for none. */
  invoiceOfPayment(paymentId: string): Promise<ProviderInvoice | null>;
  refundById(refundId: string): Promise<ProviderRefund>;
  disputeById(disputeId: string): Promise<ProviderDispute>;
}

export interface CustomerFacts {
  readonly agencyId: string;
  readonly tenantId: string;
  readonly name: string;
  readonly email: string | null;
  readonly language: 'de' | 'en';
}

export interface InvoiceFacts {
  readonly customerId: string;
  readonly invoiceId: string;
  readonly number: string;
  readonly agencyId: string;
  readonly tenantId: string;
  readonly documentHash: string;
  readonly currency: string;
  readonly daysUntilDue: number;
  readonly methods: readonly PaymentMethod[];
  readonly description: string;
  readonly footer: string;
}

export interface ItemFacts {
  readonly customerId: string;
  readonly reference: string;
  /** What finds it again. */
  readonly name: string;
  readonly description: string;
  readonly grossCents: bigint;
  readonly currency: string;
}

export interface CreditFacts {
  readonly reference: string;
  readonly cents: bigint;
  readonly memo: string;
  readonly cancellationId: string;
}

export interface ProviderInvoice {
  readonly reference: string;
  readonly status: 'draft' | 'open' | 'paid' | 'void' | 'uncollectible';
  readonly totalCents: bigint;
  /** What is asked for; less than the total when the provider has set something off. */
  readonly dueCents: bigint;
  /** ISO 4217, capitals. */
  readonly currency: string;
  /** Where it can be paid; null before it is final. */
  readonly link: string | null;
  /** Ours; null when it is not one of ours. */
  readonly invoiceId: string | null;
  readonly tenantId: string | null;
  /** Instant; null while it is not paid. */
  readonly paidAt: string | null;
}

export interface ProviderRefund {
  readonly refundId: string;
  readonly cents: bigint;
  readonly paymentId: string | null;
  readonly status: 'pending' | 'made' | 'failed';
  readonly reason: string | null;
  /** Instant. */
  readonly createdAt: string;
}

export interface ProviderDispute {
  readonly disputeId: string;
  readonly cents: bigint;
  readonly paymentId: string | null;
  /** `warning`: a question so far; no money has moved. */
  readonly status: 'warning' | 'open' | 'won' | 'lost';
  readonly reason: string;
}

/** Something that the provider told, verified. */
export interface ProviderEvent {
  readonly eventId: string;
  readonly type: string;
  readonly about:
    | { readonly kind: 'invoice-paid' | 'payment-failed'; readonly invoice: ProviderInvoice }
    | { readonly kind: 'refund'; readonly refundId: string }
    | { readonly kind: 'dispute'; readonly disputeId: string }
    | { readonly kind: 'other' };
}

/** The provider could not be reached, was busy, or said no. Its message holds no secret. */
export class ProviderFailure extends Error {
  override readonly name = 'ProviderFailure';
  /**
   * unknown: it may have been done or not · busy: it was not done, and may be later · refused: it was
   * not done, and the same request never will be.
   */
  readonly kind: 'unknown' | 'busy' | 'refused';
  /** True when the answer belongs to the idempotency key: asking again gives the same. */
  readonly final: boolean;

  constructor(kind: ProviderFailure['kind'], message: string, final: boolean) {
    super(message);
    this.kind = kind;
    this.final = final;
  }
}
