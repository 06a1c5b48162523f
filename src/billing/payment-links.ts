import type { Pool } from 'pg';
import { signedPaymentPath } from '../download-links.ts';
import { Refusal } from '../errors.ts';
import type { EventStore } from '../store/event-store.ts';
import { reconcile } from './collect.ts';
import { type CollectionDeps, settingsOf } from './collection-deps.ts';
import { ProviderFailure } from './collector.ts';

/**
 * Where an invoice can be paid. The address on an invoice is ours, because it has to be there before
 * the provider knows the invoice, and must not change afterwards; it leads on to the provider's.
 */
export type PaymentLink = (agencyId: string, invoiceId: string) => Promise<string | null>;

/** Null for agencies that nobody collects for, and where this server's own address is not known. */
export function paymentLinks(deps: {
  readonly store: EventStore;
  readonly serverSecret: string;
  readonly publicUrl: string | null;
}): PaymentLink {
  const { store, serverSecret, publicUrl } = deps;
  return async (agencyId, invoiceId) => {
    if (publicUrl === null || (await settingsOf(store, agencyId)).stripe === null) return null;
    return `${publicUrl.replace(/\/$/, '')}${signedPaymentPath(serverSecret, invoiceId)}`;
  };
}

/** The provider's addresses end some time after the due date; a new one is asked for before that. */
const FRESH_MS_MAX = 7 * 86_400_000;

export async function knownPaymentPage(
  pool: Pool,
  invoiceId: string,
): Promise<{ readonly url: string; readonly updatedAt: string } | null> {
  const { rows } = await pool.query<{ readonly url: string; readonly updated_at: string }>(
    'select url, updated_at from payment_links where invoice_id = $1',
    [invoiceId],
  );
  const row = rows[0];
  return row === undefined ? null : { url: row.url, updatedAt: row.updated_at };
}

/** The provider's address, asked for anew when it is old. Throws Refusal(not_found | collector_unavailable). */
export async function paymentPage(deps: CollectionDeps, invoiceId: string): Promise<string> {
  const { pool, now } = deps;
  const known = await knownPaymentPage(pool, invoiceId);
  if (known === null) throw new Refusal('not_found', { what: 'page to pay this invoice yet' });
  if (Date.parse(now()) - Date.parse(known.updatedAt) < FRESH_MS_MAX) return known.url;
  const { rows } = await pool.query<{ readonly agency_id: string; readonly tenant_id: string }>(
    'select agency_id, tenant_id from collections where invoice_id = $1',
    [invoiceId],
  );
  const [row] = rows;
  if (row === undefined) return known.url;
  try {
    await reconcile(deps, { agencyId: row.agency_id, tenantId: row.tenant_id, invoiceId });
  } catch (error) {
    if (!(error instanceof ProviderFailure)) throw error;
    throw new Refusal('collector_unavailable', { problem: error.message });
  }
  return (await knownPaymentPage(pool, invoiceId))?.url ?? known.url;
}
