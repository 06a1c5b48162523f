import type { Pool } from 'pg';
import type { Kysely } from 'kysely';
import { billingSettings, type BillingSettings } from '../domain/billing-settings.ts';
import { Refusal } from '../errors.ts';
import type { Cause } from '../events.ts';
import { openText, sealText } from '../sealed-text.ts';
import type { EventStore } from '../store/event-store.ts';
import { type CommandMeta, load } from '../transact.ts';
import type { BillingRecords, BillingTables } from './billing-records.ts';
import type { Collector } from './collector.ts';
import type { OpenCollector } from './stripe.ts';

/** What collecting, mailing and dunning need of the rest of the program. */
export interface CollectionDeps {
  readonly store: EventStore;
  readonly pool: Pool;
  readonly db: Kysely<BillingTables>;
  readonly records: Pick<BillingRecords, 'document'>;
  /** ISO instant, UTC. */
  readonly now: () => string;
  /** From it follows the key that secrets of agencies are sealed with. */
  readonly serverSecret: string;
  readonly openCollector: OpenCollector;
}

export interface InvoicePlace {
  readonly agencyId: string;
  readonly tenantId: string;
  readonly invoiceId: string;
}

export function billingSettingsStream(agencyId: string): string {
  return `billing-settings-${agencyId}`;
}

export function settingsOf(store: EventStore, agencyId: string): Promise<BillingSettings> {
  return load(store, billingSettings, billingSettingsStream(agencyId));
}

/** The envelope of what the system does by itself. Its command id follows from what is done. */
export function systemMeta(
  place: Pick<Cause, 'agencyId' | 'tenantId'>,
  part: string,
  commandId: string,
  at: string,
): CommandMeta {
  const { agencyId, tenantId } = place;
  const actor = { kind: 'system', id: part } as const;
  return { agencyId, tenantId, actor, correlationId: commandId, causationId: commandId, commandId, at };
}

export type SecretName = 'stripe key' | 'stripe webhook' | `alert ${string}`;

export async function keepSecret(
  { pool, serverSecret, now }: Pick<CollectionDeps, 'pool' | 'serverSecret' | 'now'>,
  agencyId: string,
  name: SecretName,
  secret: string,
): Promise<void> {
  const sealed = sealText(serverSecret, secret, `${agencyId} ${name}`);
  await pool.query(
    `insert into agency_secrets (agency_id, name, sealed, updated_at) values ($1, $2, $3, $4)
     on conflict (agency_id, name) do update set sealed = $3, updated_at = $4`,
    [agencyId, name, sealed, now()],
  );
}

export async function forgetSecrets({ pool }: Pick<CollectionDeps, 'pool'>, agencyId: string): Promise<void> {
  await pool.query("delete from agency_secrets where agency_id = $1 and name like 'stripe %'", [agencyId]);
}

/** Null when there is none. Throws Refusal(secret_unreadable). */
export async function secretOf(
  { pool, serverSecret }: Pick<CollectionDeps, 'pool' | 'serverSecret'>,
  agencyId: string,
  name: SecretName,
): Promise<string | null> {
  const { rows } = await pool.query<{ readonly sealed: string }>(
    'select sealed from agency_secrets where agency_id = $1 and name = $2',
    [agencyId, name],
  );
  const sealed = rows[0]?.sealed;
  return sealed === undefined ? null : openText(serverSecret, sealed, `${agencyId} ${name}`);
}

export interface Account {
  readonly collector: Collector;
  readonly settings: NonNullable<BillingSettings['stripe']>;
}

/** Who collects for an agency; null when nobody does. Throws Refusal(secret_unreadable). */
export async function accountOf(deps: CollectionDeps, agencyId: string): Promise<Account | null> {
  const { stripe: settings } = await settingsOf(deps.store, agencyId);
  if (settings === null) return null;
  const secretKey = await secretOf(deps, agencyId, 'stripe key');
  if (secretKey === null) throw new Refusal('secret_unreadable');
  return { collector: deps.openCollector(secretKey), settings };
}
