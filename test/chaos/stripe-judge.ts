/** What must be true between the log and Stripe when nothing is under way any more. */
import { invoiceStream } from '../../src/billing/log-facts.ts';
import { invoice, isIssued, type IssuedState } from '../../src/domain/invoice.ts';
import type { EventStore } from '../../src/store/event-store.ts';
import { load } from '../../src/transact.ts';
import { type InvoiceName, ISSUED_CENTS } from '../support/issued-invoice.ts';
import type { StripeServer } from '../support/stripe-server.ts';

/** What happens to an invoice in a chaos run, step by step, and how often relative to the others. */
export const FATES = [
  ['paid', ['pay'], 5],
  ['paid after a failure', ['fail', 'pay'], 2],
  ['taken back', ['cancel'], 2],
  ['paid and taken back', ['pay', 'cancel'], 2],
  ['transferred', ['transfer'], 2],
] as const;
export type Fate = (typeof FATES)[number][0];

export interface Collected extends InvoiceName {
  readonly fate: Fate;
  /** Steps that have not happened yet. */
  readonly open: string[];
}

type Thing = ReturnType<StripeServer['of']>[number];

export async function judgePayments(
  store: EventStore,
  stripe: StripeServer,
  invoices: readonly Collected[],
): Promise<readonly string[]> {
  const broken: string[] = [];
  const metadata = (thing: Thing, name: string) => (thing['metadata'] as Record<string, string>)[name];
  for (const one of invoices) {
    const of = stripe.of('invoice').filter((made) => metadata(made, 'keyledger_invoice') === one.invoiceId);
    const state = await load(store, invoice, invoiceStream(one.agencyId, one.invoiceId));
    if (!isIssued(state)) broken.push(`${one.invoiceId} is not issued`);
    else
      broken.push(
        ...problemsOf(stripe, one, state, of).map((text) => `${one.invoiceId} (${one.fate}): ${text}`),
      );
    broken.push(...(await eventProblems(store, one)));
  }
  for (const tenantId of new Set(invoices.map((one) => one.tenantId))) {
    const customers = stripe.of('customer').filter((one) => metadata(one, 'keyledger_tenant') === tenantId);
    if (customers.length > 1) broken.push(`${tenantId} is ${customers.length} customers`);
  }
  return broken;
}

function problemsOf(
  stripe: StripeServer,
  { fate }: Collected,
  state: IssuedState,
  made: readonly Thing[],
): readonly string[] {
  const [only] = made;
  if (made.length > 1) return [`there are ${made.length} invoices at Stripe`];
  if (only === undefined) {
    // Settled here before anything was made there.
    return fate === 'taken back' || fate === 'transferred' ? [] : ['there is no invoice at Stripe'];
  }
  const items = stripe.of('invoiceitem').filter(({ invoice: id }) => id === only.id);
  const charges = stripe.of('invoice_payment').filter(({ invoice: id, payment }) => {
    const { payment_intent: intent } = payment as { readonly payment_intent: string };
    const failed = (stripe.things.get(intent) as Thing)['last_payment_error'] !== null;
    return id === only.id && !failed;
  });
  const credits = stripe.of('credit_note').filter(({ invoice: id }) => id === only.id);
  const isCharged = fate.startsWith('paid');
  const wanted = {
    total: ISSUED_CENTS,
    status: fate === 'taken back' ? 'void' : 'paid',
    items: 1,
    charges: isCharged ? 1 : 0,
    credits: fate === 'paid and taken back' ? 1 : 0,
    ours: fate.endsWith('taken back') ? 'cancelled' : 'paid',
    method: isCharged ? 'stripe' : fate === 'transferred' ? 'bank transfer' : undefined,
  };
  const found = {
    total: only['total'],
    status: only['status'],
    items: items.length,
    charges: charges.length,
    credits: credits.length,
    ours: state.status,
    // A payment that was taken back before anybody told of it needs no note.
    method: state.paid?.method ?? (fate === 'paid and taken back' ? 'stripe' : undefined),
  };
  return (Object.keys(wanted) as (keyof typeof wanted)[])
    .filter((name) => wanted[name] !== found[name])
    .map((name) => `${name} is ${String(found[name])}, not ${String(wanted[name])}`);
}

async function eventProblems(store: EventStore, one: Collected): Promise<readonly string[]> {
  const counts = new Map<string, number>();
  for await (const { event } of store.readStream(invoiceStream(one.agencyId, one.invoiceId))) {
    counts.set(event.type, (counts.get(event.type) ?? 0) + 1);
  }
  const once = ['invoice.collection-opened', 'invoice.paid', 'invoice.cancelled', 'invoice.refunded'];
  return once
    .filter((type) => (counts.get(type) ?? 0) > 1)
    .map((type) => `${one.invoiceId} has ${counts.get(type)} events ${type}`);
}
