import { createHash } from 'node:crypto';
import { Temporal } from 'temporal-polyfill';
import { agencyTaxStatus } from '../domain/tax-status.ts';
import { type DatedTaxStatus, type TaxCase, vatPrefix } from '../domain/tax.ts';
import { vatCheck } from '../domain/vat-check.ts';
import { Refusal } from '../errors.ts';
import type { EventStore } from '../store/event-store.ts';
import { load } from '../transact.ts';
import type { TaxStatusDeclared } from '../domain/tax-status.ts';
import { type Party, treatmentOf } from './documents/parties.ts';

/** What the log says about taxes: the agency's dated status, and the checks of a tenant's VAT id. */

/** A check of a VAT id is evidence for so long; then it has to be repeated. */
const VAT_CHECK_DAYS_MAX = 92;

export function taxStatusStream(agencyId: string): string {
  return `taxes-${agencyId}`;
}

export function vatCheckStream(tenantId: string): string {
  return `vat-checks-${tenantId}`;
}

/** The statuses that had been declared at `until`, a position; null for now. */
export async function taxStatusesAt(
  store: Pick<EventStore, 'readStream'>,
  agencyId: string,
  until: bigint | null,
): Promise<readonly DatedTaxStatus[]> {
  let state = agencyTaxStatus.initial;
  for await (const { position, event } of store.readStream(taxStatusStream(agencyId))) {
    if (until !== null && position > until) break;
    state = agencyTaxStatus.evolve(state, event as TaxStatusDeclared);
  }
  return state;
}

/** Throws Refusal(tax_case_unsupported | vat_id_unchecked). */
export async function taxCaseOf(
  store: EventStore,
  tenantId: string,
  recipient: Pick<Party, 'country' | 'vat_id'>,
  now: string,
): Promise<TaxCase> {
  const treatment = treatmentOf(recipient);
  if (treatment !== 'reverse-charge') return { treatment, evidence: null };
  const unchecked = (problem: string) => new Refusal('vat_id_unchecked', { tenantId, problem });
  const vatId = plainVatId(recipient.vat_id ?? '');
  if (!vatId.startsWith(vatPrefix(recipient.country)))
    throw unchecked('is of another country than its address');
  const check = await load(store, vatCheck, vatCheckStream(tenantId));
  if (check === null || check.vatIdHash !== vatIdHash(vatId)) throw unchecked('has not been checked');
  if (!check.valid) throw unchecked('was found not valid');
  if (ageDays(check.checkedAt, now) > VAT_CHECK_DAYS_MAX) {
    throw unchecked(`was checked more than ${VAT_CHECK_DAYS_MAX} days ago`);
  }
  return { treatment, evidence: check.checkId };
}

function ageDays(instant: string, now: string): number {
  return Temporal.Instant.from(now).since(instant).total('hours') / 24;
}

/** Without blanks and dots, in capitals. */
export function plainVatId(text: string): string {
  return text.replaceAll(/[\s.-]/g, '').toUpperCase();
}

export function vatIdHash(vatId: string): string {
  return createHash('sha256').update(plainVatId(vatId)).digest('hex');
}
