import { Stripe } from 'stripe';
import {
  type Collector,
  type InvoiceFacts,
  type ProviderDispute,
  type ProviderEvent,
  ProviderFailure,
  type ProviderInvoice,
  type ProviderRefund,
} from './collector.ts';

/** Stripe, and the only file that knows its package. Nothing here retries: the outbox does. */
const TIMEOUT_MS = 20_000;
/** As Stripe recommends: an older signature is a replay. */
const SIGNATURE_SECONDS_MAX = 300;
const PAGE = 100;

export type OpenCollector = (secretKey: string) => Collector;

/** `baseUrl`: https://api.stripe.com, or a stand-in. */
export function stripeCollector(baseUrl: string): OpenCollector {
  const { hostname, port, protocol } = new URL(baseUrl);
  const scheme = protocol === 'http:' ? 'http' : 'https';
  const options = {
    host: hostname,
    protocol: scheme,
    ...(port === '' ? {} : { port }),
    maxNetworkRetries: 0,
    timeout: TIMEOUT_MS,
    telemetry: false,
  } as const;
  return (secretKey) => collectorOver(new Stripe(secretKey, options));
}

function collectorOver(stripe: Stripe): Collector {
  return {
    accountId: async () => (await asked(stripe.accounts.retrieveCurrent())).id,
    async findCustomer(tenantId) {
      const query = `metadata['keyledger_tenant']:'${tenantId.replaceAll(/[^\w-]/g, '')}'`;
      const { data } = await asked(stripe.customers.search({ query, limit: 1 }));
      return data[0]?.id ?? null;
    },
    async createCustomer({ agencyId, tenantId, name, email, language }, key) {
      const params = {
        name,
        ...(email === null ? {} : { email }),
        preferred_locales: [language],
        metadata: { keyledger_agency: agencyId, keyledger_tenant: tenantId },
      };
      return (await asked(stripe.customers.create(params, { idempotencyKey: key }))).id;
    },
    async findInvoice(customerId, invoiceId) {
      const pages = stripe.invoices.list({ customer: customerId, limit: PAGE });
      return await asked(firstWhere(pages, ({ metadata }) => metadata?.['keyledger_invoice'] === invoiceId));
    },
    createInvoice: async (facts, key) =>
      invoiceOf(await asked(stripe.invoices.create(invoiceParams(facts), { idempotencyKey: key }))),
    async items(reference) {
      const found = new Map<string, string>();
      const { data } = await asked(stripe.invoiceItems.list({ invoice: reference, limit: PAGE }));
      for (const { id, metadata } of data) found.set(metadata?.['keyledger_item'] ?? id, id);
      return found;
    },
    async createItem({ customerId, reference, name, description, grossCents, currency }, key) {
      const params = {
        customer: customerId,
        invoice: reference,
        amount: Number(grossCents),
        currency: currency.toLowerCase(),
        description,
        discountable: false,
        metadata: { keyledger_item: name },
      };
      return (await asked(stripe.invoiceItems.create(params, { idempotencyKey: key }))).id;
    },
    invoice: async (reference) => invoiceOf(await asked(stripe.invoices.retrieve(reference))),
    finalize: async (reference, key) =>
      invoiceOf(
        await asked(
          stripe.invoices.finalizeInvoice(reference, { auto_advance: false }, { idempotencyKey: key }),
        ),
      ),
    async deleteDraft(reference) {
      await asked(stripe.invoices.del(reference));
    },
    async void(reference) {
      await asked(stripe.invoices.voidInvoice(reference));
    },
    markPaidElsewhere: async (reference, key) =>
      (await asked(stripe.invoices.pay(reference, { paid_out_of_band: true }, { idempotencyKey: key }))).id,
    async credits(reference) {
      const { data } = await asked(stripe.creditNotes.list({ invoice: reference, limit: PAGE }));
      return data.map(({ id }) => id);
    },
    async refund({ reference, cents, memo, cancellationId }, key) {
      const params = {
        invoice: reference,
        amount: Number(cents),
        refund_amount: Number(cents),
        email_type: 'none',
        memo,
        metadata: { keyledger_cancellation: cancellationId },
      } as const;
      return (await asked(stripe.creditNotes.create(params, { idempotencyKey: key }))).id;
    },
    paymentProblem: (reference) => asked(paymentProblem(stripe, reference)),
    invoiceOfPayment: (paymentId) => asked(invoiceOfPayment(stripe, paymentId)),
    refundById: async (refundId) => refundOf(await asked(stripe.refunds.retrieve(refundId))),
    disputeById: async (disputeId) => disputeOf(await asked(stripe.disputes.retrieve(disputeId))),
  };
}

/** `auto_advance` is off and nobody tells Stripe to send anything: the only mail about an invoice is ours. */
function invoiceParams(facts: InvoiceFacts): Stripe.InvoiceCreateParams {
  return {
    customer: facts.customerId,
    number: facts.number,
    collection_method: 'send_invoice',
    auto_advance: false,
    days_until_due: facts.daysUntilDue,
    currency: facts.currency.toLowerCase(),
    pending_invoice_items_behavior: 'exclude',
    automatic_tax: { enabled: false },
    discounts: '',
    payment_settings: { payment_method_types: [...facts.methods] },
    description: facts.description,
    footer: facts.footer,
    metadata: {
      keyledger_invoice: facts.invoiceId,
      keyledger_number: facts.number,
      keyledger_agency: facts.agencyId,
      keyledger_tenant: facts.tenantId,
      keyledger_document: facts.documentHash,
    },
  };
}

async function firstWhere(
  pages: AsyncIterable<Stripe.Invoice>,
  wanted: (invoice: Stripe.Invoice) => boolean,
): Promise<ProviderInvoice | null> {
  for await (const invoice of pages) if (wanted(invoice)) return invoiceOf(invoice);
  return null;
}

const INVOICE_STATUSES = ['draft', 'open', 'paid', 'void', 'uncollectible'] as const;

function invoiceOf(invoice: Stripe.Invoice): ProviderInvoice {
  const { id, status, total, amount_due: due, currency, metadata, status_transitions: when } = invoice;
  return {
    reference: id,
    status: INVOICE_STATUSES.find((known) => known === status) ?? 'draft',
    totalCents: BigInt(total),
    dueCents: BigInt(due),
    currency: currency.toUpperCase(),
    link: invoice.hosted_invoice_url ?? null,
    invoiceId: metadata?.['keyledger_invoice'] ?? null,
    tenantId: metadata?.['keyledger_tenant'] ?? null,
    paidAt: when.paid_at === null ? null : new Date(when.paid_at * 1_000).toISOString(),
  };
}

async function paymentProblem(stripe: Stripe, reference: string): Promise<string | null> {
  const { data } = await stripe.invoicePayments.list({ invoice: reference, limit: 10 });
  for (const { payment } of data) {
    const intent = idOf(payment.payment_intent);
    if (intent === null) continue;
    const { last_payment_error: problem } = await stripe.paymentIntents.retrieve(intent);
    if (problem !== null) return problem.message ?? problem.code ?? problem.type;
  }
  return null;
}

async function invoiceOfPayment(stripe: Stripe, paymentId: string): Promise<ProviderInvoice | null> {
  const payment = { type: 'payment_intent', payment_intent: paymentId } as const;
  const { data } = await stripe.invoicePayments.list({ payment, limit: 1 });
  const reference = idOf(data[0]?.invoice ?? null);
  return reference === null ? null : invoiceOf(await stripe.invoices.retrieve(reference));
}

function idOf(thing: string | { readonly id?: string } | null | undefined): string | null {
  return typeof thing === 'string' ? thing : (thing?.id ?? null);
}

const REFUND_STATUS: Readonly<Record<string, ProviderRefund['status']>> = {
  succeeded: 'made',
  failed: 'failed',
  canceled: 'failed',
};

function refundOf(refund: Stripe.Refund): ProviderRefund {
  return {
    refundId: refund.id,
    cents: BigInt(refund.amount),
    paymentId: idOf(refund.payment_intent),
    status: REFUND_STATUS[refund.status ?? ''] ?? 'pending',
    reason: refund.failure_reason ?? null,
    createdAt: new Date(refund.created * 1_000).toISOString(),
  };
}

function disputeOf({ id, amount, payment_intent: payment, status, reason }: Stripe.Dispute): ProviderDispute {
  const known = (['won', 'lost'] as const).find((one) => one === status) ?? null;
  const asking = status.startsWith('warning_') ? 'warning' : 'open';
  return {
    disputeId: id,
    cents: BigInt(amount),
    paymentId: idOf(payment),
    status: known ?? asking,
    reason,
  };
}

/** Throws Error when the signature is not Stripe's, or too old at `nowMs`. */
export function readStripeEvent(
  body: string,
  signature: string,
  secret: string,
  nowMs: number,
): ProviderEvent {
  const event = Stripe.webhooks.constructEvent(
    body,
    signature,
    secret,
    SIGNATURE_SECONDS_MAX,
    undefined,
    nowMs,
  );
  return { eventId: event.id, type: event.type, about: aboutOf(event) };
}

function aboutOf(event: Stripe.Event): ProviderEvent['about'] {
  switch (event.type) {
    case 'invoice.paid':
      return { kind: 'invoice-paid', invoice: invoiceOf(event.data.object) };
    case 'invoice.payment_failed':
      return { kind: 'payment-failed', invoice: invoiceOf(event.data.object) };
    case 'refund.created':
    case 'refund.updated':
    case 'refund.failed':
      return { kind: 'refund', refundId: event.data.object.id };
    case 'charge.dispute.created':
    case 'charge.dispute.updated':
    case 'charge.dispute.closed':
    case 'charge.dispute.funds_withdrawn':
    case 'charge.dispute.funds_reinstated':
      return { kind: 'dispute', disputeId: event.data.object.id };
    default:
      return { kind: 'other' };
  }
}

async function asked<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw error instanceof Stripe.errors.StripeError ? failureOf(error) : error;
  }
}

/** Whatever Stripe quotes of a secret is cut out, though it masks them itself. */
function failureOf({ statusCode, headers, message }: Stripe.errors.StripeError): ProviderFailure {
  const replayed = headers?.['idempotent-replayed'] === 'true';
  const text = message.replaceAll(/\b(sk|rk|whsec)_\w+/g, '$1_…').slice(0, 300);
  if (statusCode === undefined)
    return new ProviderFailure('unknown', `Stripe did not answer: ${text}`, false);
  const said = `Stripe answered ${statusCode}: ${text}`;
  if (statusCode === 409 || statusCode === 429) return new ProviderFailure('busy', said, false);
  if (statusCode >= 500) return new ProviderFailure('unknown', said, replayed);
  return new ProviderFailure('refused', said, true);
}
