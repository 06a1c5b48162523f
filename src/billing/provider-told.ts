import { invoice, type InvoiceCommand, isIssued, type IssuedState } from '../domain/invoice.ts';
import { isRefusal, Refusal } from '../errors.ts';
import { load, transact } from '../transact.ts';
import { recordPaid } from './collect.ts';
import {
  type Account,
  accountOf,
  type CollectionDeps,
  type InvoicePlace,
  secretOf,
  systemMeta,
} from './collection-deps.ts';
import { ProviderFailure, type ProviderEvent, type ProviderInvoice } from './collector.ts';
import { agencyAt, invoiceStream, localDate } from './log-facts.ts';
import { keepTask } from './outbox-records.ts';
import { readStripeEvent } from './stripe.ts';

/**
 * What the payment provider tells, as events of the invoice. It tells at least once and in any order,
 * so a message is only a hint where to look: refunds and disputes are asked for as they are now, and
 * everything noted follows from the id of what happened.
 */
export async function receive(
  deps: CollectionDeps,
  agencyId: string,
  message: { readonly body: string; readonly signature: string },
): Promise<{ readonly outcome: string }> {
  const secret = await secretOf(deps, agencyId, 'stripe webhook');
  const account = secret === null ? null : await accountOf(deps, agencyId);
  if (secret === null || account === null)
    throw new Refusal('not_found', { what: 'agency that Stripe collects for' });
  const event = read(message, secret, Date.parse(deps.now()));
  const known = await deps.pool.query(
    'select 1 from provider_events where agency_id = $1 and event_id = $2',
    [agencyId, event.eventId],
  );
  if (known.rows.length > 0) return { outcome: 'known already' };
  const outcome = await handle(deps, account, agencyId, event).catch((error: unknown) => {
    if (!(error instanceof ProviderFailure)) throw error;
    throw new Refusal('collector_unavailable', { problem: error.message });
  });
  await deps.pool.query(
    `insert into provider_events (agency_id, event_id, type, outcome, received_at)
     values ($1, $2, $3, $4, $5) on conflict do nothing`,
    [agencyId, event.eventId, event.type, outcome, deps.now()],
  );
  return { outcome };
}

function read(
  { body, signature }: { readonly body: string; readonly signature: string },
  secret: string,
  nowMs: number,
): ProviderEvent {
  try {
    return readStripeEvent(body, signature, secret, nowMs);
  } catch {
    throw new Refusal('webhook_invalid');
  }
}

const NOT_OURS = 'not about an invoice of ours';

async function handle(
  deps: CollectionDeps,
  account: Account,
  agencyId: string,
  { eventId, about }: ProviderEvent,
): Promise<string> {
  switch (about.kind) {
    case 'invoice-paid': {
      const found = await issuedOf(deps, agencyId, about.invoice);
      return found === null ? NOT_OURS : await paid(deps, found.place, about.invoice, eventId);
    }
    case 'payment-failed': {
      const found = await issuedOf(deps, agencyId, about.invoice);
      return found === null ? NOT_OURS : await failed(deps, account, found.place, about.invoice, eventId);
    }
    case 'refund':
      return await refunded(deps, account, agencyId, about.refundId);
    case 'dispute':
      return await disputed(deps, account, agencyId, about.disputeId);
    default:
      return 'nothing to do';
  }
}

/** Our invoice behind the provider's; null when it is not one of this agency's. */
async function issuedOf(
  { store }: CollectionDeps,
  agencyId: string,
  { invoiceId, tenantId }: ProviderInvoice,
): Promise<{ readonly place: InvoicePlace; readonly state: IssuedState } | null> {
  if (invoiceId === null || tenantId === null) return null;
  const state = await load(store, invoice, invoiceStream(agencyId, invoiceId));
  return isIssued(state) ? { place: { agencyId, tenantId, invoiceId }, state } : null;
}

/** One that was taken back, or paid another way as well, is looked at by the outbox. */
async function paid(
  deps: CollectionDeps,
  place: InvoicePlace,
  made: ProviderInvoice,
  eventId: string,
): Promise<string> {
  try {
    await recordPaid(deps, place, made);
  } catch (error) {
    if (!isRefusal(error, 'invoice_state')) throw error;
  }
  const { invoiceId, agencyId } = place;
  const state = await load(deps.store, invoice, invoiceStream(agencyId, invoiceId));
  if (isIssued(state) && state.status === 'paid' && state.paid?.reference === made.reference) return 'paid';
  const task = { ...place, taskId: `collect ${eventId}`, kind: 'collect', detail: null } as const;
  await keepTask(deps.pool, { ...task, position: await deps.store.head() }, deps.now());
  return 'to be looked at';
}

async function failed(
  deps: CollectionDeps,
  { collector }: Account,
  place: InvoicePlace,
  { reference }: ProviderInvoice,
  eventId: string,
): Promise<string> {
  const reason = (await collector.paymentProblem(reference)) ?? 'the payment failed';
  return await note(deps, place, `failed ${eventId}`, {
    type: 'fail-payment',
    method: 'stripe',
    reference,
    reason,
  });
}

async function refunded(
  deps: CollectionDeps,
  { collector }: Account,
  agencyId: string,
  refundId: string,
): Promise<string> {
  const { cents, status, paymentId, reason, createdAt } = await collector.refundById(refundId);
  const made = paymentId === null ? null : await collector.invoiceOfPayment(paymentId);
  const found = made === null ? null : await issuedOf(deps, agencyId, made);
  if (found === null) return NOT_OURS;
  if (status === 'pending') return 'nothing to do';
  if (status === 'failed') {
    const command = { type: 'fail-refund', refundId, cents, reason: reason ?? 'no reason given' } as const;
    return await note(deps, found.place, `refund-failed ${refundId}`, command);
  }
  const agency = await agencyAt(deps.store, agencyId, null);
  const on = localDate(createdAt, agency?.zone ?? 'UTC');
  return await note(deps, found.place, `refund ${refundId}`, { type: 'refund', refundId, cents, on });
}

async function disputed(
  deps: CollectionDeps,
  { collector }: Account,
  agencyId: string,
  id: string,
): Promise<string> {
  const { cents, status, paymentId, reason } = await collector.disputeById(id);
  const made = paymentId === null ? null : await collector.invoiceOfPayment(paymentId);
  const found = made === null ? null : await issuedOf(deps, agencyId, made);
  if (found === null) return NOT_OURS;
  if (status === 'warning') return 'nothing to do';
  const facts = { disputeId: id, cents, reason };
  if (status === 'open') return await note(deps, found.place, `dispute ${id}`, { type: 'dispute', ...facts });
  const closing = { type: 'close-dispute', ...facts, outcome: status } as const;
  return await note(deps, found.place, `dispute-closed ${id}`, closing);
}

/** What the invoice's state no longer allows came too late, and changes nothing. */
async function note(
  { store, now }: CollectionDeps,
  place: InvoicePlace,
  commandId: string,
  command: InvoiceCommand,
): Promise<string> {
  const meta = systemMeta(place, 'collection', commandId, now());
  const input = { commandId };
  try {
    await transact(store, invoice, invoiceStream(place.agencyId, place.invoiceId), command, meta, { input });
    return command.type;
  } catch (error) {
    if (!isRefusal(error, 'invoice_state')) throw error;
    return 'too late';
  }
}
