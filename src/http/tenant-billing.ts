import type { z } from 'zod';
import { type Command, hasRun, partOf } from './command.ts';
import type { HttpDeps } from './deps.ts';
import { onTenant } from './project-command.ts';
import type { TenantRow } from './read.ts';
import { type Billing, contactAnswer, contactOf } from './tenant-view.ts';

/** Who a tenant's invoices are made out to, beside the log. */

export async function contactFor(
  { db }: HttpDeps,
  { tenant_id: tenantId, contact_version: version }: TenantRow,
) {
  const row = await db
    .selectFrom('contacts')
    .select('data')
    .where('subject_id', '=', tenantId)
    .where('version', '=', Number(version))
    .executeTakeFirst();
  return row?.data ?? null;
}

/** Repeating the command finds the version that it made. */
export async function keepBilling(
  deps: HttpDeps,
  command: Command,
  row: TenantRow,
  billing: z.output<typeof Billing>,
): Promise<void> {
  const part = partOf(command, 'billing');
  if (await hasRun(deps.store, `tenant-${row.tenant_id}`, part)) return;
  const { name } = contactAnswer(await contactFor(deps, row));
  const contactVersion = Number(row.contact_version) + 1;
  const data = contactOf(name ?? billing.name, billing);
  await deps.db
    .insertInto('contacts')
    .values({ subject_id: row.tenant_id, version: contactVersion, data })
    .onConflict((conflict) => conflict.columns(['subject_id', 'version']).doUpdateSet({ data }))
    .execute();
  await onTenant(deps, part, row, { type: 'change', settings: { contactVersion } });
}
