import { Temporal } from 'temporal-polyfill';
import type { InvoiceDraft, IssuedState } from '../domain/invoice.ts';
import { formatCents } from '../domain/money.ts';
import type { Account, CollectionDeps, InvoicePlace } from './collection-deps.ts';
import type { ProviderInvoice } from './collector.ts';
import { collectionWords } from './documents/delivery-words.ts';
import type { InvoiceDocument } from './documents/invoice-document.ts';
import { localDate } from './log-facts.ts';
import { carryOut } from './provider-steps.ts';

/** An invoice at the payment provider, made step by step; each step finds its own earlier result. */
export interface Opening {
  readonly place: InvoicePlace;
  readonly state: IssuedState;
  readonly document: InvoiceDocument;
  readonly account: Account;
}

/** Null when the provider would ask for exactly what the invoice says. */
export function differenceOf(
  { totalCents, dueCents, currency }: ProviderInvoice,
  draft: Pick<InvoiceDraft, 'grossCents' | 'currency'>,
): string | null {
  const { grossCents } = draft;
  if (currency !== draft.currency)
    return `the provider's invoice is in ${currency}, ours in ${draft.currency}`;
  if (totalCents !== grossCents) return `the provider's total is ${totalCents} cents, ours ${grossCents}`;
  return dueCents === grossCents ? null : `the provider asks for ${dueCents} cents instead of ${grossCents}`;
}

export function stepName({ account, place }: Pick<Opening, 'account' | 'place'>, step: string): string {
  return `${account.settings.accountId} ${place.invoiceId} ${step}`;
}

/** A tenant is one customer of an account, whichever invoice came first. */
export function customerName({ account, place }: Pick<Opening, 'account' | 'place'>): string {
  return `${account.settings.accountId} ${place.tenantId} customer`;
}

/** Everything but the finalising. */
export async function draftAtProvider(deps: CollectionDeps, opening: Opening): Promise<ProviderInvoice> {
  const customerId = await customerStep(deps, opening);
  const reference = await draftStep(deps, opening, customerId);
  await itemSteps(deps, opening, customerId, reference);
  return await opening.account.collector.invoice(reference);
}

async function customerStep(deps: CollectionDeps, opening: Opening): Promise<string> {
  const { place, document, account } = opening;
  const { agencyId, tenantId } = place;
  const { name, email } = document.recipient;
  const customer = { agencyId, tenantId, name, email, language: document.language };
  return await carryOut(deps, {
    name: customerName(opening),
    content: customer,
    find: () => account.collector.findCustomer(tenantId),
    make: (key) => account.collector.createCustomer(customer, key),
  });
}

async function draftStep(deps: CollectionDeps, opening: Opening, customerId: string): Promise<string> {
  const { place, document, account, state } = opening;
  const { collector, settings } = account;
  const words = collectionWords[document.language];
  const facts = {
    ...place,
    customerId,
    number: state.finalized.number,
    documentHash: state.finalized.documentHash,
    currency: state.draft.currency,
    methods: settings.methods.filter((method) => method !== 'sepa_debit' || state.draft.currency === 'EUR'),
    description: `${words.invoice} ${state.finalized.number}`,
    footer: words.footer,
  };
  return await carryOut(deps, {
    name: stepName(opening, 'draft'),
    content: facts,
    find: async () => (await collector.findInvoice(customerId, place.invoiceId))?.reference ?? null,
    make: async (key, begunAt) => {
      const daysUntilDue = daysBetween(localDate(begunAt, document.zone), state.finalized.dueOn);
      return (await collector.createInvoice({ ...facts, daysUntilDue }, key)).reference;
    },
  });
}

/** At least 0: what is late already is due today. */
function daysBetween(today: string, dueOn: string | null): number {
  if (dueOn === null) return 0;
  return Math.max(0, Temporal.PlainDate.from(today).until(Temporal.PlainDate.from(dueOn)).total('days'));
}

/** One item per tax category and rate, each with its tax in it. */
async function itemSteps(
  deps: CollectionDeps,
  opening: Opening,
  customerId: string,
  reference: string,
): Promise<void> {
  const { account, document, state } = opening;
  const { collector } = account;
  const { currency, taxes } = state.draft;
  const words = collectionWords[document.language];
  for (const { category, ratePercent, netCents, taxCents } of taxes) {
    const name = `${category}-${ratePercent}`;
    const [net, tax] = [netCents, taxCents].map((cents) => `${formatCents(cents)} ${currency}`);
    const description = words.item(ratePercent, net!, tax!);
    const item = { customerId, reference, name, description, grossCents: netCents + taxCents, currency };
    await carryOut(deps, {
      name: stepName(opening, `item ${name}`),
      content: item,
      find: async () => (await collector.items(reference)).get(name) ?? null,
      make: (key) => collector.createItem(item, key),
    });
  }
}

export async function finalizeAtProvider(
  deps: CollectionDeps,
  opening: Opening,
  reference: string,
): Promise<ProviderInvoice> {
  const { collector } = opening.account;
  await carryOut(deps, {
    name: stepName(opening, 'finalize'),
    content: reference,
    find: async () => ((await collector.invoice(reference)).status === 'draft' ? null : reference),
    make: async (key) => (await collector.finalize(reference, key)).reference,
  });
  return await collector.invoice(reference);
}
