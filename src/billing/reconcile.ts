import { Refusal } from '../errors.ts';
import type { Log } from '../log.ts';
import { reconcile } from './collect.ts';
import type { CollectionDeps } from './collection-deps.ts';
import { ProviderFailure } from './collector.ts';
import { exclusively } from './exclusive.ts';

/**
 * Asks the payment provider about every invoice that is open here and collected there, so that a
 * message that never came (a webhook that was set wrong, an outage of days) is made good all the same.
 */
const LOCK = 'reconciling payments';
/** Provider calls in one go; the rest comes next time, the longest unasked first. */
const INVOICES_MAX = 500;

/** Returns how many were found paid. Does nothing while another process does. */
export async function reconcileOpen(
  deps: CollectionDeps & { readonly log: Pick<Log, 'warn'> },
): Promise<number> {
  const found = await exclusively(deps.pool, LOCK, async (lost) => {
    const { rows } = await deps.pool.query<{
      readonly agency_id: string;
      readonly tenant_id: string;
      readonly invoice_id: string;
    }>(
      `select collections.agency_id, collections.tenant_id, invoice_id
       from collections join invoices using (invoice_id) left join payment_links using (invoice_id)
       where provider is not null and status in ('finalized', 'sent')
       order by payment_links.updated_at nulls first, invoice_id limit $1`,
      [INVOICES_MAX],
    );
    let paid = 0;
    const unreachable = new Set<string>();
    for (const { agency_id: agencyId, tenant_id: tenantId, invoice_id: invoiceId } of rows) {
      if (lost.aborted || unreachable.has(agencyId)) continue;
      try {
        if ((await reconcile(deps, { agencyId, tenantId, invoiceId })) === 'paid') paid += 1;
      } catch (error) {
        if (!(error instanceof ProviderFailure) && !(error instanceof Refusal)) throw error;
        unreachable.add(agencyId);
        deps.log.warn({ err: error, agencyId }, 'the payment provider could not be asked');
      }
    }
    return paid;
  });
  return found ?? 0;
}
