import type { agencies } from '../../projections/agencies.ts';
import type { budgets } from '../../projections/budgets.ts';
import type { keys } from '../../projections/keys.ts';
import type { members } from '../../projections/members.ts';
import type { projects } from '../../projections/projects.ts';
import type { tenants } from '../../projections/tenants.ts';
import type { users } from '../../projections/users.ts';
import { suspension } from '../domain/dunning.ts';
import { periodClock } from '../domain/period.ts';
import { readTermsInForce } from '../domain/terms-json.ts';
import { Refusal } from '../errors.ts';
import type { MemoryTable } from '../memory-table.ts';
import { hashSecret } from '../secrets.ts';
import type { Accounts } from './accounts.ts';
import { type Caller, type CallerDeps, callerOfKey, masterCaller } from './caller.ts';
import type { CallerRows, InstallationLimits } from './caller-levels.ts';
import { contractClock } from './contract-now.ts';
import { contractTariff, noTariff, ownTariff, type Tariff } from './offers.ts';

/**
 * From a secret to everything that is known about its key, without I/O: the read models in memory
 * are kept current from the log, so a blocked key is blocked for the next request. What is derived
 * from rows is kept as long as the rows are the same objects; a change always makes a new one.
 */
export interface KeyTables {
  readonly keys: Pick<MemoryTable<typeof keys>, 'find' | 'get'>;
  readonly projects: Pick<MemoryTable<typeof projects>, 'get'>;
  readonly tenants: Pick<MemoryTable<typeof tenants>, 'get'>;
  readonly agencies: Pick<MemoryTable<typeof agencies>, 'get'>;
  readonly users: Pick<MemoryTable<typeof users>, 'get' | 'changes'>;
  readonly members: Pick<MemoryTable<typeof members>, 'get' | 'changes'>;
  readonly budgets: Pick<MemoryTable<typeof budgets>, 'get' | 'changes'>;
  /** Whether they may be relied on: nothing that was committed can be missing, as far as anybody can know. */
  readonly isCurrent: () => boolean;
}

type KeyRow = CallerRows['key'];
type TenantRow = CallerRows['tenant'];
type AgencyRow = CallerRows['agency'];

export interface KeyTable {
  /** Throws Refusal(key_table_stale | not_a_virtual_key | unknown_key | key_blocked). */
  find(secret: string, nowMs: number): Caller;
  /** Why what a caller has running must end; null when it may go on. */
  revocation(caller: Caller, nowMs: number): Refusal | null;
  /** Of the agency that runs the installation. Throws Refusal(key_table_stale). */
  ownZone(): string;
}

export interface KeyTableOptions {
  readonly tables: KeyTables;
  readonly accounts: Accounts;
  /** The administrator's key, and the agency's own tenant under which its spend is recorded. */
  readonly masterKey: string;
  readonly ownTenantId: string;
  readonly installation: InstallationLimits | null;
}

interface Derived {
  readonly rows: Pick<CallerRows, 'project' | 'tenant' | 'agency'> & Partial<CallerRows>;
  readonly caller: Caller;
  readonly generation: number;
  /** Changes of users, members and shared budgets that it takes into account. */
  people: number;
}

export function createKeyTable(options: KeyTableOptions): KeyTable {
  const { tables, accounts, ownTenantId, installation } = options;
  const masterHash = hashSecret(options.masterKey);
  const derivedByKey = new WeakMap<KeyRow, Derived>();
  const inForce = contractClock();
  let master: Derived | null = null;
  const deps: CallerDeps = { accounts, tariffOf: tariffs(), monthOf: monthClocks(), installation };

  function find(secret: string, nowMs: number): Caller {
    if (!tables.isCurrent()) throw new Refusal('key_table_stale', {}, { retryAfterSeconds: 1 });
    const hash = hashSecret(secret);
    // Digests are compared, so the time it takes says nothing about the key.
    if (hash === masterHash) return administrator();
    if (!secret.startsWith('sk-')) {
      throw new Refusal('not_a_virtual_key', { masked: '***' }, { param: 'None' });
    }
    const row = tables.keys.find('token_hash', hash).find(isThere);
    return row === undefined ? callerByOldSecret(hash, nowMs) : callerOf(row, nowMs);
  }

  function callerByOldSecret(hash: string, nowMs: number): Caller {
    const row = tables.keys.find('old_token_hash', hash).find(isThere);
    // Deleted, rotated, mistyped and made-up secrets get the same answer: nothing is to be learnt from it.
    if (row === undefined || !inGrace(row, nowMs)) throw new Refusal('unknown_key', {}, { param: 'key' });
    return { ...callerOf(row, nowMs), tokenHash: hash };
  }

  function callerOf(stored: KeyRow, nowMs: number): Caller {
    if (stored.status === 'blocked') throw new Refusal('key_blocked', {}, { param: 'None' });
    const { key: row, tenant } = inForce(known(tables.tenants.get(stored.tenant_id)), stored, nowMs);
    const project = row.project_id === null ? null : known(tables.projects.get(row.project_id));
    const agency = known(tables.agencies.get(row.agency_id));
    const derived = derivedByKey.get(row);
    if (derived !== undefined && isSame(derived, project, tenant, agency)) {
      if (derived.people === people()) return derived.caller;
      if (isSamePeople(derived.rows, peopleOf(row, tenant))) {
        derived.people = people();
        return derived.caller;
      }
    }
    const rows = { key: row, project, tenant, agency, ...peopleOf(row, tenant) };
    const caller = callerOfKey(rows, deps);
    derivedByKey.set(row, { rows, caller, generation: accounts.generation, people: people() });
    return caller;
  }

  function isSame(
    { rows, generation }: Derived,
    project: CallerRows['project'],
    tenant: TenantRow,
    agency: AgencyRow,
  ): boolean {
    const sameRows = rows.project === project && rows.tenant === tenant && rows.agency === agency;
    return sameRows && generation === accounts.generation;
  }

  /** Looking these up costs more than counting their changes, which are rare. */
  function people(): number {
    return tables.users.changes + tables.members.changes + tables.budgets.changes;
  }

  function peopleOf({ user_id: userId, project_id: projectId }: KeyRow, tenant: TenantRow): People {
    const user = userId === null ? undefined : tables.users.get(userId);
    const isIn = (level: string, scope: string) =>
      userId === null ? null : (tables.members.get(level, scope, userId) ?? null);
    const budget = (id: string | null | undefined) => (id == null ? null : (tables.budgets.get(id) ?? null));
    return {
      user: user ?? null,
      member: projectId === null ? null : isIn('project', projectId),
      tenantMember: isIn('tenant', tenant.tenant_id),
      userBudget: budget(user?.budget_id),
      tenantBudget: budget(tenant.budget_id),
    };
  }

  function administrator(): Caller {
    const tenant = known(tables.tenants.get(ownTenantId));
    const agency = known(tables.agencies.get(tenant.agency_id));
    if (master !== null && isSame(master, null, tenant, agency)) return master.caller;
    const caller = masterCaller(tenant, agency, deps);
    master = { rows: { project: null, tenant, agency }, caller, generation: accounts.generation, people: 0 };
    return caller;
  }

  function revocation(caller: Caller, nowMs: number): Refusal | null {
    if (caller.master) return null;
    const row = tables.keys.get(caller.keyId);
    const rightful =
      row !== undefined &&
      isThere(row) &&
      (row.token_hash === caller.tokenHash ||
        (row.old_token_hash === caller.tokenHash && inGrace(row, nowMs)));
    if (!rightful) return new Refusal('unknown_key', {}, { param: 'key' });
    if (row.status === 'blocked') return new Refusal('key_blocked', {}, { param: 'None' });
    const { projectId, tenantId } = caller;
    if (projectId !== null && tables.projects.get(projectId)?.status === 'blocked')
      return new Refusal('project_blocked', { projectId }, { param: 'None' });
    const tenant = tables.tenants.get(tenantId);
    if (tenant?.status === 'suspended') return suspension(tenant.suspended_reason);
    return null;
  }

  return {
    find,
    revocation,
    ownZone: () => known(tables.agencies.get(known(tables.tenants.get(ownTenantId)).agency_id)).zone,
  };
}

type People = Pick<CallerRows, 'user' | 'member' | 'tenantMember' | 'userBudget' | 'tenantBudget'>;

function isSamePeople(a: Partial<People>, b: People): boolean {
  return (
    a.user === b.user &&
    a.member === b.member &&
    a.tenantMember === b.tenantMember &&
    a.userBudget === b.userBudget &&
    a.tenantBudget === b.tenantBudget
  );
}

function tariffs(): CallerDeps['tariffOf'] {
  const remembered = new WeakMap<TenantRow, { readonly agency: AgencyRow; readonly tariff: Tariff }>();
  return (tenant, agency) => {
    const found = remembered.get(tenant);
    if (found?.agency === agency) return found.tariff;
    let tariff = tenant.own ? ownTariff(agency.currency) : noTariff(agency.currency);
    const terms = readTermsInForce(tenant);
    if (terms !== null) tariff = contractTariff(terms);
    remembered.set(tenant, { agency, tariff });
    return tariff;
  };
}

function monthClocks(): CallerDeps['monthOf'] {
  const clocks = new Map<string, (ms: number) => string>();
  return (zone) => {
    let clock = clocks.get(zone);
    if (clock === undefined) clocks.set(zone, (clock = periodClock(zone)));
    return clock;
  };
}

function isThere({ status }: KeyRow): boolean {
  return status !== 'deleted';
}

function inGrace({ grace_ends_at: until }: KeyRow, nowMs: number): boolean {
  return until !== null && nowMs < Date.parse(until);
}

/** The row that another row names. Without it nothing can be decided: the tables are not complete yet. */
function known<R>(row: R | undefined): R {
  if (row === undefined) throw new Refusal('key_table_stale', {}, { retryAfterSeconds: 1 });
  return row;
}
