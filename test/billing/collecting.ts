/** Finalised invoices in memory and a payment provider that is a stand-in: what tests of collecting need. */
import { billingSettings } from '../../src/domain/billing-settings.ts';
import {
  billingSettingsStream,
  type CollectionDeps,
  type InvoicePlace,
  keepSecret,
  systemMeta,
} from '../../src/billing/collection-deps.ts';
import { type OpenCollector, stripeCollector } from '../../src/billing/stripe.ts';
import { transact } from '../../src/transact.ts';
import { agencyRegistered, tenantOnboarded } from '../support/events.ts';
import { issuedInvoice } from '../support/issued-invoice.ts';
import type { TestDatabase } from '../support/database.ts';
import { type MemoryBilling, memoryBilling } from './memory-billing.ts';

export const STRIPE_KEY = 'sk_test_canary0123456789';
export const WEBHOOK_SECRET = 'whsec_canary0123456789';
export const AGENCY = 'age_1';

export interface Collecting {
  readonly billing: MemoryBilling;
  readonly deps: CollectionDeps;
  /** Opens a collector that the test may have tampered with. */
  openCollector: OpenCollector;
  /** A new tenant and its finalised invoice of November: 58.32 EUR. */
  invoice(tenantId: string): Promise<InvoicePlace>;
  setStripe(): Promise<void>;
}

export async function startCollecting(
  database: TestDatabase,
  stripeUrl: string,
  { secretKey = STRIPE_KEY, series = 'RE-2026' } = {},
): Promise<Collecting> {
  let count = 0;
  const billing = memoryBilling('2026-12-01T09:00:00.000Z');
  await billing.append(`agency-${AGENCY}`, [agencyRegistered()], { tenantId: null });
  const collecting: Collecting = {
    billing,
    openCollector: stripeCollector(stripeUrl),
    deps: {
      store: billing.store,
      pool: database.pool,
      db: database.db,
      records: billing.records,
      now: () => billing.clock,
      serverSecret: 'server secret of the tests',
      openCollector: (key) => collecting.openCollector(key),
    },
    async invoice(tenantId) {
      count += 1;
      const invoiceId = `inv_${tenantId}`;
      const number = `${series}-${String(count).padStart(5, '0')}`;
      const { kept, events } = issuedInvoice({ agencyId: AGENCY, tenantId, invoiceId, number });
      await billing.records.keepDocument(kept);
      await billing.append(`tenant-${tenantId}`, [tenantOnboarded({ tenantId })], { tenantId });
      await billing.append(`invoice-${AGENCY}-${invoiceId}`, events, { tenantId });
      return { agencyId: AGENCY, tenantId, invoiceId };
    },
    async setStripe() {
      await keepSecret(collecting.deps, AGENCY, 'stripe key', secretKey);
      await keepSecret(collecting.deps, AGENCY, 'stripe webhook', WEBHOOK_SECRET);
      const stripe = { accountId: 'acct_1', mode: 'test', methods: ['card', 'sepa_debit'] } as const;
      await transact(
        billing.store,
        billingSettings,
        billingSettingsStream(AGENCY),
        { type: 'change', agencyId: AGENCY, settings: { stripe } },
        systemMeta({ agencyId: AGENCY, tenantId: null }, 'test', 'set stripe', billing.clock),
      );
    },
  };
  await collecting.setStripe();
  return collecting;
}
