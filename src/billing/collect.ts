import { invoice, isIssued, isOpen, type IssuedState } from '../domain/invoice.ts';
import { canonicalJson } from '../domain/json.ts';
import { isRefusal, Refusal } from '../errors.ts';
import { load, transact } from '../transact.ts';
import {
  type Account,
  accountOf,
  type CollectionDeps,
  type InvoicePlace,
  systemMeta,
} from './collection-deps.ts';
import { ProviderFailure, type ProviderInvoice } from './collector.ts';
import { readDocument } from './documents/invoice-document.ts';
import { agencyAt, invoiceStream, localDate } from './log-facts.ts';
import type { Worked } from './outbox.ts';
import {
  customerName,
  differenceOf,
  draftAtProvider,
  finalizeAtProvider,
  type Opening,
  stepName,
} from './provider-invoice.ts';
import { carryOut, resultOf, wasBegun } from './provider-steps.ts';

/**
 * Brings the payment provider in line with an invoice as the log has it: a finalised one is made
 * there, final, to be paid under a link; one that was taken back is void there, or refunded; one that
 * was paid another way is not collected. The provider gets amounts, never usage, and each amount with
 * its tax in it, so that it computes nothing.
 */
export async function collect(deps: CollectionDeps, place: InvoicePlace): Promise<Worked> {
  try {
    const state = await load(deps.store, invoice, invoiceStream(place.agencyId, place.invoiceId));
    if (!isIssued(state)) return skipped('it is not final');
    const account = await accountOf(deps, place.agencyId);
    if (account === null) return skipped('nobody collects for this agency');
    if (state.payment.collection !== null) return await bringInLine(deps, account, place, state);
    return isOpen(state)
      ? await open(deps, account, place, state)
      : await abandon(deps, account, place, state);
  } catch (error) {
    if (isRefusal(error, 'stream_changed')) return waiting('somebody else changed the invoice');
    if (error instanceof Refusal) return stopped(error.message);
    if (!(error instanceof ProviderFailure)) throw error;
    return error.kind === 'refused' ? stopped(error.message) : waiting(error.message);
  }
}

function waiting(note: string): Worked {
  return { status: 'waiting', note, retryAfterMs: null };
}

function skipped(note: string): Worked {
  return { status: 'skipped', note };
}

/** Currencies without cents, or with more than two digits of them, are counted in other units there. */
const NOT_IN_CENTS =
  /^(BIF|CLP|DJF|GNF|JPY|KMF|KRW|MGA|PYG|RWF|UGX|VND|VUV|XAF|XOF|XPF|BHD|JOD|KWD|OMR|TND)$/;

async function open(
  deps: CollectionDeps,
  account: Account,
  place: InvoicePlace,
  state: IssuedState,
): Promise<Worked> {
  const { draft, finalized } = state;
  if (draft.grossCents <= 0n) return skipped('there is nothing to collect');
  if (NOT_IN_CENTS.test(draft.currency)) return stopped(`${draft.currency} is not counted in cents`);
  const kept = await deps.records.document(place.invoiceId);
  if (kept === null || kept.hash !== finalized.documentHash)
    return stopped('its document is not the kept one');
  const opening: Opening = { place, state, account, document: readDocument(kept.document) };
  const made = await draftAtProvider(deps, opening);
  const difference = differenceOf(made, draft);
  if (difference !== null)
    return stopped(`${difference}: it was not finalised there, and nothing is charged`);
  const final = made.status === 'draft' ? await finalizeAtProvider(deps, opening, made.reference) : made;
  return await opened(deps, opening, final);
}

function stopped(note: string): Worked {
  return { status: 'stopped', note };
}

/** What the provider asks for is looked at once more: it may have set a balance of the customer off. */
async function opened(deps: CollectionDeps, opening: Opening, made: ProviderInvoice): Promise<Worked> {
  const { place, state, account } = opening;
  const { reference, link } = made;
  if (made.status === 'void' || made.status === 'uncollectible') {
    return stopped(`the provider's invoice ${reference} is ${made.status}`);
  }
  const difference = made.status === 'open' ? differenceOf(made, state.draft) : null;
  if (difference !== null) {
    await account.collector.void(reference);
    return stopped(`${difference}: it was taken back there, and nothing is charged`);
  }
  if (link !== null) await keepLink(deps, place.invoiceId, link);
  const { accountId } = account.settings;
  const command = { type: 'open-collection', provider: 'stripe', accountId, reference } as const;
  const meta = systemMeta(place, 'collection', `collect ${place.invoiceId}`, deps.now());
  const { state: now } = await transact(
    deps.store,
    invoice,
    invoiceStream(place.agencyId, place.invoiceId),
    command,
    meta,
  );
  // Meanwhile it may have been taken back or paid.
  return isIssued(now) ? await bringInLine(deps, account, place, now) : skipped('it is not final');
}

async function keepLink({ pool, now }: CollectionDeps, invoiceId: string, url: string): Promise<void> {
  await pool.query(
    `insert into payment_links (invoice_id, url, updated_at) values ($1, $2, $3)
     on conflict (invoice_id) do update set url = $2, updated_at = $3`,
    [invoiceId, url, now()],
  );
}

/** The invoice came to an end before it was opened: what was begun of it is taken away. */
async function abandon(
  deps: CollectionDeps,
  account: Account,
  place: InvoicePlace,
  state: IssuedState,
): Promise<Worked> {
  const made = await begunInvoice(deps, account, place);
  if (made === null) return skipped(`it is ${state.status}`);
  if (made.status !== 'draft') return await settleOne(deps, account, place, state, made);
  await account.collector.deleteDraft(made.reference);
  return { status: 'done', note: `the draft ${made.reference} was deleted there` };
}

/** Null when nothing had been begun, or nothing came of it. */
async function begunInvoice(
  { pool }: CollectionDeps,
  account: Account,
  place: InvoicePlace,
): Promise<ProviderInvoice | null> {
  if (!(await wasBegun(pool, stepName({ account, place }, 'draft')))) return null;
  const customerId = await resultOf<string>(pool, customerName({ account, place }));
  return customerId === null ? null : await account.collector.findInvoice(customerId, place.invoiceId);
}

async function bringInLine(
  deps: CollectionDeps,
  account: Account,
  place: InvoicePlace,
  state: IssuedState,
): Promise<Worked> {
  const { reference, accountId } = state.payment.collection!;
  if (accountId !== account.settings.accountId) {
    return stopped(`${reference} belongs to the account ${accountId}, which is no longer the agency's`);
  }
  return await settleOne(deps, account, place, state, await account.collector.invoice(reference));
}

async function settleOne(
  deps: CollectionDeps,
  account: Account,
  place: InvoicePlace,
  state: IssuedState,
  made: ProviderInvoice,
): Promise<Worked> {
  const { collector } = account;
  const { reference, status } = made;
  if (state.status === 'cancelled') return await takeBack(deps, account, state, made);
  const elsewhere = stepName({ account, place }, 'paid elsewhere');
  if (status === 'open' && state.status === 'paid') {
    await carryOut(deps, {
      name: elsewhere,
      content: reference,
      find: async () => ((await collector.invoice(reference)).status === 'paid' ? reference : null),
      make: (key) => collector.markPaidElsewhere(reference, key),
    });
    return { status: 'done', note: `${reference} was paid another way` };
  }
  if (status !== 'paid' || lostDispute(state)) return { status: 'done', note: `${reference} is ${status}` };
  if (state.paid === null) await recordPaid(deps, place, made);
  else if (state.paid.reference !== reference && !(await wasBegun(deps.pool, elsewhere))) {
    return stopped(
      `it was paid twice, as ${state.paid.method} and as ${reference}: one has to be given back`,
    );
  }
  return { status: 'done', note: `${reference} is paid` };
}

/** What came another way goes back another way; what a dispute took back is back already. */
async function takeBack(
  deps: CollectionDeps,
  { collector, settings }: Account,
  state: IssuedState,
  made: ProviderInvoice,
): Promise<Worked> {
  const { reference, status } = made;
  if (status === 'open') {
    await collector.void(reference);
    return { status: 'done', note: `${reference} is void` };
  }
  const cameElsewhere = state.paid !== null && state.paid.reference !== reference;
  if (status !== 'paid' || cameElsewhere || lostDispute(state)) {
    return { status: 'done', note: `${reference} is ${status}` };
  }
  const { cancellationId, number } = state.cancelled!;
  const credit = { reference, cents: made.totalCents, memo: number, cancellationId };
  await carryOut(deps, {
    name: `${settings.accountId} ${cancellationId} credit`,
    content: credit,
    find: async () => (await collector.credits(reference))[0] ?? null,
    make: (key) => collector.refund(credit, key),
  });
  return { status: 'done', note: `${reference} was refunded` };
}

/** Notes a payment that the provider has; once, whoever hears of it first. */
export async function recordPaid(
  { store, now }: Pick<CollectionDeps, 'store' | 'now'>,
  place: InvoicePlace,
  { reference, paidAt }: ProviderInvoice,
): Promise<void> {
  const agency = await agencyAt(store, place.agencyId, null);
  const paidOn = localDate(paidAt ?? now(), agency?.zone ?? 'UTC');
  const command = { type: 'pay', paidOn, method: 'stripe', reference } as const;
  const meta = systemMeta(place, 'collection', `paid ${reference}`, now());
  await transact(store, invoice, invoiceStream(place.agencyId, place.invoiceId), command, meta, {
    input: canonicalJson({ reference }),
  });
}

/** Asks the provider what has become of an open invoice, and notes it. Throws ProviderFailure, Refusal. */
export async function reconcile(
  deps: CollectionDeps,
  place: InvoicePlace,
): Promise<ProviderInvoice['status'] | 'uncollected'> {
  const state = await load(deps.store, invoice, invoiceStream(place.agencyId, place.invoiceId));
  if (!isIssued(state) || state.payment.collection === null || lostDispute(state)) return 'uncollected';
  const account = await accountOf(deps, place.agencyId);
  if (account === null || account.settings.accountId !== state.payment.collection.accountId)
    return 'uncollected';
  const made = await account.collector.invoice(state.payment.collection.reference);
  if (made.link !== null) await keepLink(deps, place.invoiceId, made.link);
  if (made.status === 'paid' && isOpen(state)) await recordPaid(deps, place, made);
  return made.status;
}

/** The provider's invoice stays paid when a dispute took the money back. */
function lostDispute({ payment }: IssuedState): boolean {
  return [...payment.disputes.values()].includes('lost');
}
