import type { agencies } from '../../projections/agencies.ts';
import type { keys } from '../../projections/keys.ts';
import type { projects } from '../../projections/projects.ts';
import type { tenants } from '../../projections/tenants.ts';
import { type Limits, UNLIMITED } from '../domain/limits.ts';
import { periodClock } from '../domain/period.ts';
import { readLimits, readTerms } from '../domain/terms-json.ts';
import { Refusal } from '../errors.ts';
import type { Actor } from '../events.ts';
import type { MemoryTable } from '../memory-table.ts';
import type { RowIn } from '../projection.ts';
import { hashSecret } from '../secrets.ts';
import type { Level, LevelName } from './levels.ts';
import type { Limiter } from './limiter.ts';
import { contractTariff, noTariff, ownTariff, type Tariff } from './offers.ts';

/**
 * From a secret to everything that is known about its key, without I/O: the read models in memory
 * are kept current from the log, so a blocked key is blocked for the next request. What is derived
 * from rows is kept as long as the rows are the same objects; a change always makes a new one.
 */
export interface KeyTables {
  readonly keys: Pick<MemoryTable<typeof keys>, 'find'>;
  readonly projects: Pick<MemoryTable<typeof projects>, 'get'>;
  readonly tenants: Pick<MemoryTable<typeof tenants>, 'get'>;
  readonly agencies: Pick<MemoryTable<typeof agencies>, 'get'>;
  /** Whether they may be relied on: nothing that was committed can be missing, as far as anybody can know. */
  readonly isCurrent: () => boolean;
}

export type KeyRow = RowIn<typeof keys>;
type ProjectRow = RowIn<typeof projects>;
type TenantRow = RowIn<typeof tenants>;
type AgencyRow = RowIn<typeof agencies>;

/** Who calls, and all that follows from it. */
export interface Caller {
  readonly keyId: string;
  /** Of the secret that was used. */
  readonly tokenHash: string;
  /** True for the administrator, who has no limits. */
  readonly master: boolean;
  readonly actor: Actor;
  readonly agencyId: string;
  readonly tenantId: string;
  readonly projectId: string | null;
  readonly userId: string | null;
  readonly tags: readonly string[];
  /** Model lists that must all allow the model; [] allows all. */
  readonly keyModels: readonly string[];
  readonly projectModels: readonly string[];
  readonly tenantModels: readonly string[];
  readonly aliases: Readonly<Record<string, string>>;
  readonly allowedRoutes: readonly string[];
  readonly expiresAt: string | null;
  readonly expiresAtMs: number;
  readonly projectBlocked: boolean;
  readonly tenantSuspended: boolean;
  readonly tariff: Tariff;
  readonly limits: Limits;
  readonly levels: readonly Level[];
  /** The month, in the agency's zone, that an instant belongs to. */
  readonly monthOf: (ms: number) => string;
}

export interface KeyTable {
  /** Throws Refusal(key_table_stale | not_a_virtual_key | unknown_key | key_blocked). */
  find(secret: string, nowMs: number): Caller;
}

export interface KeyTableOptions {
  readonly tables: KeyTables;
  readonly limiter: Pick<Limiter, 'account'>;
  /** The administrator's key, and the agency's own tenant under which its spend is recorded. */
  readonly masterKey: string;
  readonly ownTenantId: string;
}

export const MASTER_KEY_ID = 'master';
const MASTER_USER_ID = 'default_user_id';

interface Derived {
  readonly project: ProjectRow | null;
  readonly tenant: TenantRow;
  readonly agency: AgencyRow;
  readonly caller: Caller;
}

export function createKeyTable(options: KeyTableOptions): KeyTable {
  const { tables, limiter, ownTenantId } = options;
  const masterHash = hashSecret(options.masterKey);
  const derivedByKey = new WeakMap<KeyRow, Derived>();
  const tariffs = new WeakMap<TenantRow, { readonly agency: AgencyRow; readonly tariff: Tariff }>();
  const monthClocks = new Map<string, (ms: number) => string>();
  let master: Derived | null = null;

  function monthOf(zone: string): (ms: number) => string {
    let clock = monthClocks.get(zone);
    if (clock === undefined) monthClocks.set(zone, (clock = periodClock(zone)));
    return clock;
  }

  function tariffOf(tenant: TenantRow, agency: AgencyRow): Tariff {
    const known = tariffs.get(tenant);
    if (known?.agency === agency) return known.tariff;
    let tariff = tenant.own ? ownTariff(agency.currency) : noTariff(agency.currency);
    if (tenant.terms !== null) tariff = contractTariff(readTerms(tenant.terms));
    tariffs.set(tenant, { agency, tariff });
    return tariff;
  }

  function level(name: LevelName, id: string, subject: string, limits: Limits, zone: string): Level {
    return { name, id, subject, limits, zone, account: limiter.account(name, id) };
  }

  function find(secret: string, nowMs: number): Caller {
    if (!tables.isCurrent()) throw new Refusal('key_table_stale', {}, { retryAfterSeconds: 1 });
    const hash = hashSecret(secret);
    // Digests are compared, so the time it takes says nothing about the key.
    if (hash === masterHash) return masterCaller();
    if (!secret.startsWith('sk-')) {
      throw new Refusal('not_a_virtual_key', { masked: '***' }, { param: 'None' });
    }
    const row = tables.keys.find('token_hash', hash).find(isThere);
    return row === undefined ? callerByOldSecret(hash, nowMs) : callerOf(row);
  }

  function callerByOldSecret(hash: string, nowMs: number): Caller {
    const row = tables.keys.find('old_token_hash', hash).find(isThere);
    const valid = row?.grace_ends_at != null && nowMs < Date.parse(row.grace_ends_at);
    // Deleted, rotated, mistyped and made-up secrets get the same answer: nothing is to be learnt from it.
    if (row === undefined || !valid) throw new Refusal('unknown_key', {}, { param: 'key' });
    return { ...callerOf(row), tokenHash: hash };
  }

  function callerOf(row: KeyRow): Caller {
    if (row.status === 'blocked') throw new Refusal('key_blocked', {}, { param: 'None' });
    const project = row.project_id === null ? null : known(tables.projects.get(row.project_id));
    const tenant = known(tables.tenants.get(row.tenant_id));
    const agency = known(tables.agencies.get(row.agency_id));
    const derived = derivedByKey.get(row);
    const same = derived?.project === project && derived.tenant === tenant && derived.agency === agency;
    if (same) return derived.caller;
    const caller = derive(row, project, tenant, agency);
    derivedByKey.set(row, { project, tenant, agency, caller });
    return caller;
  }

  function derive(row: KeyRow, project: ProjectRow | null, tenant: TenantRow, agency: AgencyRow): Caller {
    const limits = limitsOf(row);
    const projectLimits =
      project === null || project.limits === null ? UNLIMITED : readLimits(project.limits);
    const tenantLimits = tenant.terms === null ? UNLIMITED : readTerms(tenant.terms).tenantLimits;
    const { zone } = agency;
    const subject = `Key=${row.alias === null ? '' : `${row.alias} `}(${row.key_name})`;
    const levels = [
      level('key', row.key_id, subject, limits, zone),
      ...(project === null
        ? []
        : [level('project', project.project_id, `Team=${project.project_id}`, projectLimits, zone)]),
      level('tenant', tenant.tenant_id, `Organization=${tenant.tenant_id}`, tenantLimits, zone),
    ];
    return {
      keyId: row.key_id,
      tokenHash: row.token_hash,
      master: false,
      actor: { id: row.key_id, kind: 'key' },
      agencyId: row.agency_id,
      tenantId: row.tenant_id,
      projectId: row.project_id,
      userId: row.user_id,
      tags: tagsOf(row),
      keyModels: row.models,
      projectModels: projectLimits.models,
      tenantModels: tenantLimits.models,
      aliases: row.aliases as Readonly<Record<string, string>>,
      allowedRoutes: row.allowed_routes,
      expiresAt: row.expires_at,
      expiresAtMs: row.expires_at === null ? Infinity : Date.parse(row.expires_at),
      projectBlocked: project?.status === 'blocked',
      tenantSuspended: tenant.status === 'suspended',
      tariff: tariffOf(tenant, agency),
      limits,
      levels,
      monthOf: monthOf(zone),
    };
  }

  function masterCaller(): Caller {
    const tenant = known(tables.tenants.get(ownTenantId));
    const agency = known(tables.agencies.get(tenant.agency_id));
    if (master?.tenant === tenant && master.agency === agency) return master.caller;
    const caller: Caller = {
      keyId: MASTER_KEY_ID,
      tokenHash: MASTER_KEY_ID,
      master: true,
      actor: { id: MASTER_KEY_ID, kind: 'master' },
      agencyId: tenant.agency_id,
      tenantId: tenant.tenant_id,
      projectId: null,
      userId: MASTER_USER_ID,
      tags: [],
      keyModels: [],
      projectModels: [],
      tenantModels: [],
      aliases: {},
      allowedRoutes: [],
      expiresAt: null,
      expiresAtMs: Infinity,
      projectBlocked: false,
      tenantSuspended: false,
      tariff: tariffOf(tenant, agency),
      limits: UNLIMITED,
      levels: [level('tenant', tenant.tenant_id, `Organization=${tenant.tenant_id}`, UNLIMITED, agency.zone)],
      monthOf: monthOf(agency.zone),
    };
    master = { project: null, tenant, agency, caller };
    return caller;
  }

  return { find };
}

function isThere({ status }: KeyRow): boolean {
  return status !== 'deleted';
}

/** The row that another row names. Without it nothing can be decided: the tables are not complete yet. */
function known<R>(row: R | undefined): R {
  if (row === undefined) throw new Refusal('key_table_stale', {}, { retryAfterSeconds: 1 });
  return row;
}

function limitsOf(row: KeyRow): Limits {
  return {
    requestsPerMinute: numberOrNull(row.requests_per_minute),
    tokensPerMinute: numberOrNull(row.tokens_per_minute),
    parallelRequests: numberOrNull(row.parallel_requests),
    models: row.models,
    budget: row.budget_nanos === null ? null : { nanos: row.budget_nanos, window: row.budget_window },
  };
}

function numberOrNull(value: bigint | null): number | null {
  return value === null ? null : Number(value);
}

/** A key's own tags, kept in its metadata as LiteLLM does. */
function tagsOf({ metadata }: KeyRow): readonly string[] {
  const tags =
    typeof metadata === 'object' && metadata !== null && 'tags' in metadata ? metadata['tags'] : [];
  return Array.isArray(tags) ? tags.filter((tag) => typeof tag === 'string') : [];
}
