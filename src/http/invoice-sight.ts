import { Refusal } from '../errors.ts';
import type { Caller } from './caller.ts';
import type { HttpDeps } from './deps.ts';
import { insightOf } from './insight.ts';
import { settle } from './settle.ts';

/** Tenants see their own invoices once these are final; what is not theirs does not exist for them. */

/** Throws Refusal(not_found) unless the caller may see the invoice or Stornorechnung with this id or number. */
export async function requireInvoiceSight(
  deps: HttpDeps,
  caller: Caller | null,
  name: string,
): Promise<void> {
  const { all, tenants } = insightOf(caller);
  await settle(deps, deps.appendedPosition());
  let named = deps.db
    .selectFrom('invoices')
    .select('invoice_id')
    .where((eb) =>
      eb.or([
        eb('invoice_id', '=', name),
        eb('number', '=', name),
        eb('cancellation_id', '=', name),
        eb('cancellation_number', '=', name),
      ]),
    );
  if (!all) named = named.where('tenant_id', 'in', ['', ...tenants]).where('status', '!=', 'draft');
  const found = await named.executeTakeFirst();
  if (found === undefined) throw new Refusal('not_found', { what: 'invoice' });
}
