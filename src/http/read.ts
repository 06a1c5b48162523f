import { type Kysely, sql } from 'kysely';
import type { agencies } from '../../projections/agencies.ts';
import type { auditors } from '../../projections/auditors.ts';
import type { collections } from '../../projections/collections.ts';
import type { consultations } from '../../projections/consultations.ts';
import type { invoices } from '../../projections/invoices.ts';
import type { keys } from '../../projections/keys.ts';
import type { plans } from '../../projections/plans.ts';
import type { projects } from '../../projections/projects.ts';
import type { spendLog } from '../../projections/spend-log.ts';
import type { spendTotals } from '../../projections/spend-totals.ts';
import type { tenants } from '../../projections/tenants.ts';
import type { budgets } from '../../projections/budgets.ts';
import type { customers } from '../../projections/customers.ts';
import type { invitations } from '../../projections/invitations.ts';
import type { members } from '../../projections/members.ts';
import type { models } from '../../projections/models.ts';
import type { tags } from '../../projections/tags.ts';
import type { users } from '../../projections/users.ts';
import type { Json, JsonObject } from '../domain/json.ts';
import { Refusal } from '../errors.ts';
import type { RowOf } from '../projection.ts';

/**
 * What the API reads: the read models, whose row types follow from their definitions, and the
 * records of 0002_records.sql.
 */
export interface Tables {
  readonly agencies: RowOf<(typeof agencies)['columns']>;
  readonly plans: RowOf<(typeof plans)['columns']>;
  readonly tenants: RowOf<(typeof tenants)['columns']>;
  readonly projects: RowOf<(typeof projects)['columns']>;
  readonly keys: RowOf<(typeof keys)['columns']>;
  readonly spend_totals: RowOf<(typeof spendTotals)['columns']>;
  readonly spend_log: RowOf<(typeof spendLog)['columns']>;
  readonly invoices: RowOf<(typeof invoices)['columns']>;
  readonly collections: RowOf<(typeof collections)['columns']>;
  readonly auditors: RowOf<(typeof auditors)['columns']>;
  readonly consultations: RowOf<(typeof consultations)['columns']>;
  readonly budgets: RowOf<(typeof budgets)['columns']>;
  readonly customers: RowOf<(typeof customers)['columns']>;
  readonly invitations: RowOf<(typeof invitations)['columns']>;
  readonly members: RowOf<(typeof members)['columns']>;
  readonly tags: RowOf<(typeof tags)['columns']>;
  readonly models: RowOf<(typeof models)['columns']>;
  readonly users: RowOf<(typeof users)['columns']>;
  readonly contacts: {
    readonly subject_id: string;
    readonly version: number;
    readonly data: Json;
  };
  /** The migration of sessions. */
  readonly sessions: {
    readonly token_hash: string;
    readonly user_id: string;
    readonly opened_with: string | null;
    readonly created_at: string;
    readonly expires_at: string;
  };
  /** The migration of attempts to sign in. */
  readonly login_attempts: { readonly id: string; readonly failures: number; readonly began_at: string };
  /** The migration of repeated requests. */
  readonly repeated_requests: {
    readonly id: string;
    readonly fingerprint: string;
    readonly answer: string | null;
    readonly asked_at: string;
  };
  readonly passwords: { readonly user_id: string; readonly hash: string; readonly changed_at: string };
  readonly project_names: { readonly project_id: string; readonly name: string };
  readonly invoice_documents: { readonly invoice_id: string; readonly document: string };
}

export type KeyRow = Tables['keys'];
export type TenantRow = Tables['tenants'];
export type ProjectRow = Tables['projects'];
export type AgencyRow = Tables['agencies'];
export type AuditorRow = Tables['auditors'];
export type Db = Kysely<Tables>;

/** A key as the API shows it. */
export interface KeyView extends KeyRow {
  /** Nanos; 0 before the first request. */
  readonly spend: bigint;
  readonly last_active: string | null;
  /** Zone in which its budget windows begin. */
  readonly zone: string;
  /** True when it belongs to the agency's own tenant, of which LiteLLM's clients know nothing. */
  readonly own: boolean;
}

export function keyViews(db: Db) {
  return db
    .selectFrom('keys')
    .innerJoin('tenants', 'tenants.tenant_id', 'keys.tenant_id')
    .innerJoin('agencies', 'agencies.agency_id', 'keys.agency_id')
    .leftJoin('spend_totals', (join) =>
      join.on('spend_totals.level', '=', 'key').onRef('spend_totals.id', '=', 'keys.key_id'),
    )
    .selectAll('keys')
    .select([
      sql<bigint>`coalesce(spend_totals.price_nanos, 0) + keys.spend_adjusted`.as('spend'),
      'spend_totals.last_at as last_active',
      'agencies.zone',
      // Others that are never invoiced are organizations, and have a contact record.
      sql<boolean>`tenants.own and tenants.contact_version = 0`.as('own'),
    ]);
}

/** The live key with this secret now, or with it as the old one while its grace period lasts. */
export async function findKeyForAuthentication(
  db: Db,
  tokenHash: string,
  now: string,
): Promise<
  | {
      readonly key: KeyRow;
      readonly tenantStatus: string;
      readonly suspendedReason: string | null;
      readonly projectStatus: string | null;
    }
  | undefined
> {
  const row = await db
    .selectFrom('keys')
    .innerJoin('tenants', 'tenants.tenant_id', 'keys.tenant_id')
    .leftJoin('projects', 'projects.project_id', 'keys.project_id')
    .selectAll('keys')
    .select([
      'tenants.status as tenant_status',
      'tenants.suspended_reason',
      'projects.status as project_status',
    ])
    .where('keys.status', '!=', 'deleted')
    .where((eb) =>
      eb.or([
        eb('keys.token_hash', '=', tokenHash),
        eb.and([eb('keys.old_token_hash', '=', tokenHash), eb('keys.grace_ends_at', '>', now)]),
      ]),
    )
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const {
    tenant_status: tenantStatus,
    suspended_reason: suspendedReason,
    project_status: projectStatus,
    ...key
  } = row;
  return { key, tenantStatus, suspendedReason, projectStatus };
}

export async function agencyOf(db: Db, agencyId: string): Promise<AgencyRow> {
  const row = await db
    .selectFrom('agencies')
    .selectAll()
    .where('agency_id', '=', agencyId)
    .executeTakeFirst();
  if (row === undefined) throw new Refusal('not_found', { what: 'agency' });
  return row;
}

export async function tenantOf(db: Db, tenantId: string): Promise<TenantRow> {
  const row = await db.selectFrom('tenants').selectAll().where('tenant_id', '=', tenantId).executeTakeFirst();
  if (row === undefined) throw new Refusal('not_found', { what: 'tenant' });
  return row;
}

export async function projectOf(db: Db, projectId: string): Promise<ProjectRow | undefined> {
  return await db.selectFrom('projects').selectAll().where('project_id', '=', projectId).executeTakeFirst();
}

export interface PageOf<R> {
  readonly rows: readonly R[];
  /** Null on the last page. */
  readonly nextCursor: string | null;
}

/** Cuts one row more than was wanted into a page and the cursor of the next. */
export function pageOf<R>(
  rows: readonly R[],
  limit: number,
  place: (row: R) => readonly string[],
): PageOf<R> {
  if (rows.length <= limit) return { rows, nextCursor: null };
  const page = rows.slice(0, limit);
  const cursor = Buffer.from(JSON.stringify(place(page.at(-1)!))).toString('base64url');
  return { rows: page, nextCursor: cursor };
}

/** Reads a cursor back; undefined on the first page. Throws Refusal(invalid_input). */
export function placeIn(
  cursor: string | undefined,
  pattern: readonly RegExp[],
): readonly string[] | undefined {
  if (cursor === undefined) return undefined;
  const place = parsed(Buffer.from(cursor, 'base64url').toString());
  const valid =
    Array.isArray(place) &&
    place.length === pattern.length &&
    place.every((part, index) => typeof part === 'string' && pattern[index]!.test(part));
  if (valid) return place as readonly string[];
  throw new Refusal('invalid_input', { problems: 'cursor: send next_cursor as it was' }, { param: 'cursor' });
}

export const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
export const ID = /^[\x21-\x7e]{1,200}$/;

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** A stored JSON object; anything else is read as an empty one. */
export function recordOf(value: Json): Record<string, Json> {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isObject ? { ...(value as JsonObject) } : {};
}
