import { type Kysely, sql } from 'kysely';
import type { Json } from '../domain/json.ts';
import { formatNanos } from '../domain/money.ts';
import { toJson } from '../projection.ts';
import {
  actorJson,
  agencyOf,
  type HistoryTables,
  type KeyHistoryDeps,
  type LastChange,
  type Moment,
  instantOf,
  tenantBudgetOf,
} from './key-history.ts';
import { knownUntil } from './key-spend.ts';
import { type KeyView, replayKey, type Step } from './replay.ts';
import { contractOf, type TenantFacts, tenantFacts } from './tenant-facts.ts';
import { agencyAt, windowSpend, type WindowSpend } from './window-spend.ts';

/**
 * A tenant as it was at a moment: its contract, its projects, its keys, and what it had spent. All of
 * it but the spend is replayed from the log. As JSON.
 */
export type TenantHistory = {
  readonly tenant_id: string;
  readonly agency_id: string;
  /** The instant that the state is of. */
  readonly at: string;
  /** Position of the last event of the tenant or its keys until then; null when it did not exist yet. */
  readonly position: string | null;
  /** The log had been read up to here when this was computed. */
  readonly log_position: string;
  /** Null when it did not exist yet. */
  readonly state: TenantView | null;
  readonly budgets: readonly WindowSpend[];
  readonly spend: readonly TenantMonth[];
  readonly last_change: LastChange | null;
};

export type TenantView = {
  readonly status: string;
  readonly suspended_reason: string | null;
  readonly plan: string | null;
  readonly plan_version: number | null;
  readonly contract_id: string | null;
  readonly effective_from: string | null;
  /** Everything that was agreed, amounts in nanos; null without a contract. */
  readonly terms: Json;
  /** What it sets apart from the plan; null for nothing. */
  readonly agreed: Json;
  /** Changes that are agreed and not in force yet, oldest first; `plan` null ends the contract. */
  readonly planned: readonly {
    readonly effective_from: string;
    readonly plan: string | null;
    readonly plan_version: number | null;
  }[];
  /** By id. */
  readonly projects: { readonly [id: string]: Json };
  /** By id, as in a key's own history: fingerprints instead of secrets. */
  readonly keys: { readonly [id: string]: KeyView };
};

export type TenantMonth = {
  /** `YYYY-MM` of the admission in the agency's zone. */
  readonly month: string;
  readonly requests: number;
  /** Decimal, exact. */
  readonly price: { readonly amount: string; readonly currency: string };
};

/** Null when there never was such a tenant. The read models must show what the answer is to cover. */
export async function tenantHistory(
  deps: KeyHistoryDeps,
  tenantId: string,
  options: { readonly at?: Moment } = {},
): Promise<TenantHistory | null> {
  const { store, db } = deps;
  const { at: until } = options;
  const logPosition = await store.head();
  const agencyId = await agencyOf(store, tenantId);
  if (agencyId === '') return null;
  const facts = await tenantFacts(store, tenantId, until);
  const keys = await keysAt(deps, tenantId, until);
  const last = [...facts.events, ...keys.flatMap(({ last: step }) => step)]
    .toSorted((a, b) => (a.position < b.position ? -1 : 1))
    .at(-1);
  const at = await instantOf(deps, until, last);
  const zoned = { at, until, ...(await agencyAt(store, agencyId, until)) };
  const budget = tenantBudgetOf(contractOf(facts, at));
  return {
    tenant_id: tenantId,
    agency_id: agencyId,
    at,
    position: last === undefined ? null : String(last.position),
    log_position: String(logPosition),
    state: facts.state.status === 'absent' ? null : viewOf(facts, keys, at),
    budgets: budget === null ? [] : [await windowSpend(db, budget, { level: 'tenant', id: tenantId }, zoned)],
    spend: await spendOfTenant(db, tenantId, until),
    last_change: last === undefined ? null : changeOf(last),
  };
}

interface KeyAt {
  readonly keyId: string;
  readonly last: Step;
}

async function keysAt(
  { store, db }: KeyHistoryDeps,
  tenantId: string,
  until: Moment | undefined,
): Promise<readonly KeyAt[]> {
  const rows = await db
    .selectFrom('keys')
    .select('key_id')
    .where('tenant_id', '=', tenantId)
    .orderBy('key_id')
    .execute();
  const keys: KeyAt[] = [];
  for (const { key_id: keyId } of rows) {
    const last = (await replayKey(store, keyId, until === undefined ? {} : { until })).at(-1);
    if (last !== undefined) keys.push({ keyId, last });
  }
  return keys;
}

function viewOf(facts: TenantFacts, keys: readonly KeyAt[], at: string): TenantView {
  const { state, suspendedReason, projects } = facts;
  const opened = state.status === 'absent' ? [] : [...state.projects];
  const contract = contractOf(facts, at);
  const planned = state.status === 'absent' ? [] : state.contract.planned;
  return {
    status: state.status,
    suspended_reason: suspendedReason,
    plan: contract?.terms?.plan ?? null,
    plan_version: contract?.terms?.planVersion ?? null,
    contract_id: contract?.contractId ?? null,
    effective_from: contract?.effectiveFrom ?? null,
    terms: jsonOrNull(contract?.terms ?? null),
    agreed: jsonOrNull(contract?.agreed ?? null),
    planned: planned
      .filter(({ effectiveFrom }) => effectiveFrom > at)
      .map(({ effectiveFrom, terms }) => ({
        effective_from: effectiveFrom,
        plan: terms?.plan ?? null,
        plan_version: terms?.planVersion ?? null,
      })),
    projects: Object.fromEntries(
      opened.map(([id, { status, environments }]) => {
        const { limits = null, openedAt = null } = projects.get(id) ?? {};
        return [id, { status, environments, limits: jsonOrNull(limits), opened_at: openedAt }];
      }),
    ),
    keys: Object.fromEntries(keys.map(({ keyId, last }) => [keyId, last.view])),
  };
}

function jsonOrNull(value: object | null): Json {
  return value === null ? null : toJson(value);
}

async function spendOfTenant(
  db: Kysely<HistoryTables>,
  tenantId: string,
  until: Moment | undefined,
): Promise<readonly TenantMonth[]> {
  const { rows } = await sql<{ month: string; currency: string; requests: bigint; nanos: bigint }>`
    select s.month, s.currency, count(*) as requests, sum(s.price_nanos) as nanos from spend_log s
    where s.tenant_id = ${tenantId} and ${knownUntil(until)}
    group by s.month, s.currency order by s.month collate "C", s.currency collate "C"`.execute(db);
  return rows.map(({ month, currency, requests, nanos }) => ({
    month,
    requests: Number(requests),
    price: { amount: formatNanos(nanos), currency },
  }));
}

function changeOf(last: TenantFacts['events'][number] | Step): LastChange {
  const { position, recordedAt, actor, correlationId } = last;
  return {
    position: String(position),
    recorded_at: recordedAt,
    type: 'event' in last ? last.event.type : last.type,
    actor: actorJson(actor),
    correlation_id: correlationId,
  };
}
