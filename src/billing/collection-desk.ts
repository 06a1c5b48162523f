import { type BillingSettings, billingSettings, type PaymentMethod } from '../domain/billing-settings.ts';
import { Refusal } from '../errors.ts';
import { type CommandMeta, transact } from '../transact.ts';
import {
  billingSettingsStream,
  type CollectionDeps,
  forgetSecrets,
  keepSecret,
  settingsOf,
} from './collection-deps.ts';
import { ProviderFailure } from './collector.ts';
import { agencyAt, localDate } from './log-facts.ts';
import { listTasks, outboxFacts, retryStopped, retryTask, tasksOfInvoice } from './outbox-records.ts';
import { knownPaymentPage, paymentPage } from './payment-links.ts';
import { receive } from './provider-told.ts';
import { scheduledRuns } from './scheduled-run.ts';

/** Everything that can be asked of collecting and delivering: what the API serves. */
export function collectionDesk(deps: CollectionDeps) {
  const { pool, store, now } = deps;
  const change = (agencyId: string, settings: Partial<BillingSettings>, meta: CommandMeta) =>
    transact(
      store,
      billingSettings,
      billingSettingsStream(agencyId),
      { type: 'change', agencyId, settings },
      meta,
    );
  return {
    settings: (agencyId: string) => settingsOf(store, agencyId),
    async changeSettings(
      agencyId: string,
      given: Partial<Omit<BillingSettings, 'stripe' | 'invoiceRun'>> & {
        readonly invoiceRun?: { readonly graceHours: number } | null;
      },
      meta: CommandMeta,
    ) {
      const { invoiceRun, ...settings } = given;
      if (invoiceRun === undefined) return await change(agencyId, settings, meta);
      const run = invoiceRun === null ? null : await runFrom(deps, agencyId, invoiceRun.graceHours);
      return await change(agencyId, { ...settings, invoiceRun: run }, meta);
    },
    async setStripe(
      agencyId: string,
      given: {
        readonly secretKey: string;
        readonly webhookSecret: string;
        readonly methods: readonly PaymentMethod[];
      },
      meta: CommandMeta,
    ) {
      const { secretKey, webhookSecret, methods } = given;
      const accountId = await accountBehind(deps, secretKey);
      await keepSecret(deps, agencyId, 'stripe key', secretKey);
      await keepSecret(deps, agencyId, 'stripe webhook', webhookSecret);
      const mode = /^(sk|rk)_live_/.test(secretKey) ? 'live' : 'test';
      const changed = await change(agencyId, { stripe: { accountId, mode, methods } }, meta);
      await retryStopped(pool, agencyId, 'collect', now());
      return changed;
    },
    async removeStripe(agencyId: string, meta: CommandMeta) {
      const changed = await change(agencyId, { stripe: null }, meta);
      await forgetSecrets(deps, agencyId);
      return changed;
    },
    receive: (agencyId: string, message: { readonly body: string; readonly signature: string }) =>
      receive(deps, agencyId, message),
    paymentLink: async (invoiceId: string) => (await knownPaymentPage(pool, invoiceId))?.url ?? null,
    paymentPage: (invoiceId: string) => paymentPage(deps, invoiceId),
    tasks: (filter: Parameters<typeof listTasks>[1]) => listTasks(pool, filter),
    tasksOfInvoice: (invoiceId: string) => tasksOfInvoice(pool, invoiceId),
    retry: (taskId: string) => retryTask(pool, taskId, now()),
    outboxFacts: () => outboxFacts(pool),
    scheduledRuns: (agencyId: string | null) => scheduledRuns(pool, agencyId),
  };
}

/** Runs that come by themselves begin with the running month: earlier ones are somebody's decision. */
async function runFrom(
  { store, now }: CollectionDeps,
  agencyId: string,
  graceHours: number,
): Promise<BillingSettings['invoiceRun']> {
  const known = (await settingsOf(store, agencyId)).invoiceRun;
  const agency = await agencyAt(store, agencyId, null);
  if (agency === null) throw new Refusal('not_found', { what: 'agency' });
  return { from: known?.from ?? localDate(now(), agency.zone).slice(0, 7), graceHours };
}

async function accountBehind({ openCollector }: CollectionDeps, secretKey: string): Promise<string> {
  try {
    return await openCollector(secretKey).accountId();
  } catch (error) {
    if (!(error instanceof ProviderFailure)) throw error;
    throw new Refusal('collector_unavailable', { problem: error.message });
  }
}
