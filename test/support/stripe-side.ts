/**
 * What there is at Stripe, and what people do there, asked for through its own package: of the stand-in, and, when
 * STRIPE_TEST_KEY is set, of a real account in test mode. Tests that use nothing else hold for both.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { Stripe } from 'stripe';

export interface StripeSide {
  readonly url: string;
  readonly secretKey: string;
  /** In the order in which they were made. */
  invoicesOf(invoiceId: string): Promise<readonly Stripe.Invoice[]>;
  itemsOf(reference: string): Promise<readonly Stripe.InvoiceItem[]>;
  customersOf(tenantId: string): Promise<readonly Stripe.Customer[]>;
  creditsOf(reference: string): Promise<readonly Stripe.CreditNote[]>;
  /** With a card that is good, or that is declined. */
  pay(reference: string, card: 'good' | 'declined'): Promise<void>;
  /** Signed as a webhook would bring it, `seconds` being the time of the signature; waits until Stripe has it. */
  told(type: 'invoice.paid' | 'invoice.payment_failed' | 'refund.created', reference: string): Promise<Told>;
}

export interface Told {
  signed(secret: string, seconds: number): { readonly body: string; readonly signature: string };
}

const CARDS = { good: 'pm_card_visa', declined: 'pm_card_chargeCustomerFail' } as const;
const LOOK_MS = 500;
const LOOKS_MAX = 60;

export function stripeSide(url: string, secretKey: string): StripeSide {
  const { hostname, port, protocol } = new URL(url);
  const stripe = new Stripe(secretKey, {
    host: hostname,
    protocol: protocol === 'http:' ? 'http' : 'https',
    ...(port === '' ? {} : { port }),
    telemetry: false,
  });
  const since = Math.floor(Date.now() / 1_000) - 60;
  const recent = { created: { gte: since }, limit: 100 } as const;

  /** Of a refund the invoice is not named: there it is the one whose payment was given back. */
  async function isAbout(event: Stripe.Event, reference: string): Promise<boolean> {
    const { object } = event.data;
    if (object.object !== 'refund') return 'id' in object && object.id === reference;
    const { payment_intent: intent } = object;
    const { data } = await stripe.invoicePayments.list({ invoice: reference, limit: 10 });
    return data.some(({ payment }) => payment.payment_intent === intent);
  }

  return {
    url,
    secretKey,
    async invoicesOf(invoiceId) {
      const found: Stripe.Invoice[] = [];
      for await (const one of stripe.invoices.list(recent)) {
        if (one.metadata?.['keyledger_invoice'] === invoiceId) found.push(one);
      }
      return found.toReversed();
    },
    itemsOf: async (reference) => (await stripe.invoiceItems.list({ invoice: reference, limit: 100 })).data,
    async customersOf(tenantId) {
      const found: Stripe.Customer[] = [];
      for await (const one of stripe.customers.list(recent)) {
        if (one.metadata['keyledger_tenant'] === tenantId) found.push(one);
      }
      return found;
    },
    creditsOf: async (reference) => (await stripe.creditNotes.list({ invoice: reference, limit: 100 })).data,
    async pay(reference, card) {
      const { customer } = await stripe.invoices.retrieve(reference);
      const method = await stripe.paymentMethods.attach(CARDS[card], {
        customer: typeof customer === 'string' ? customer : customer!.id,
      });
      const paying = stripe.invoices.pay(reference, { payment_method: method.id });
      await paying.catch((error: unknown) => {
        if (card === 'good' || !(error instanceof Stripe.errors.StripeCardError)) throw error;
      });
    },
    async told(type, reference) {
      for (let looks = 0; looks < LOOKS_MAX; looks += 1) {
        for await (const event of stripe.events.list({ ...recent, types: [type] })) {
          if (!(await isAbout(event, reference))) continue;
          const payload = JSON.stringify(event);
          return {
            signed: (secret, timestamp) => ({
              body: payload,
              signature: Stripe.webhooks.generateTestHeaderString({ payload, secret, timestamp }),
            }),
          };
        }
        await pause(LOOK_MS);
      }
      throw new Error(`Stripe told of no ${type} of ${reference}`);
    },
  };
}
