import { type Kysely, sql } from 'kysely';
import type { keys } from '../../projections/keys.ts';
import type { Json } from '../domain/json.ts';
import type { ContractVersion } from '../domain/contract.ts';
import { key, type KeyState } from '../domain/key.ts';
import type { Budget } from '../domain/limits.ts';
import { tenantLimitsFor } from '../domain/plan.ts';
import type { TenantState } from '../domain/tenant.ts';
import type { Actor } from '../events.ts';
import type { RowIn } from '../projection.ts';
import { hashSecret } from '../secrets.ts';
import type { EventStore } from '../store/event-store.ts';
import { type FieldChange, isAfter, type KeyView, replayKey, type Step } from './replay.ts';
import { type MonthSpend, spendOfKey, type SpendTables } from './key-spend.ts';
import { contractOf, type TenantFacts, tenantFacts } from './tenant-facts.ts';
import { agencyAt, windowSpend, type WindowSpend } from './window-spend.ts';

/**
 * One key as an auditor asks for it: what happened to it, what it was at a moment, whether its
 * secret would have been accepted then, and what it spent until then on which invoices. Everything
 * but the spend is replayed from the log.
 */
export interface KeyHistoryDeps {
  readonly store: EventStore;
  readonly db: Kysely<HistoryTables>;
  /** ISO instant, UTC, milliseconds. */
  readonly now: () => string;
}

export interface HistoryTables extends SpendTables {
  readonly keys: RowIn<typeof keys>;
}

/** A position in the log, or an ISO instant; both inclusive. */
export type Moment = bigint | string;

/** As JSON: type aliases, because an interface is not assignable to Json. */
export type KeyHistory = {
  readonly key_id: string;
  readonly agency_id: string;
  readonly tenant_id: string;
  /** The instant that the state is of. */
  readonly at: string;
  /** Position of the last event of the key until then; null when it did not exist yet. */
  readonly position: string | null;
  /** The log had been read up to here when this was computed. */
  readonly log_position: string;
  readonly state: KeyView | null;
  /** Whether a call with the key's secret would have been let in at that instant. */
  readonly acceptance: Acceptance;
  /** The budgets that a call counted on at that instant: of the key, its project and its tenant. */
  readonly budgets: readonly WindowSpend[];
  /** Who changed it last until then; null when it did not exist yet. */
  readonly last_change: LastChange | null;
  readonly steps: readonly HistoryStep[];
  readonly spend: readonly MonthSpend[];
};

export type Acceptance = {
  readonly secret: boolean;
  /** The secret before the last rotation; false when there is none. */
  readonly old_secret: boolean;
  /** Code of the refusal that a call would have got; null when it would have been let in. */
  readonly refusal: string | null;
};

export type LastChange = Pick<HistoryStep, 'position' | 'recorded_at' | 'type' | 'actor' | 'correlation_id'>;

export type HistoryStep = {
  readonly position: string;
  readonly revision: string;
  readonly recorded_at: string;
  readonly occurred_at: string;
  readonly type: string;
  readonly actor: { readonly kind: string; readonly id: string; readonly on_behalf_of: string | null };
  readonly correlation_id: string;
  readonly causation_id: string;
  readonly changes: readonly { readonly field: string; readonly before: Json; readonly after: Json }[];
  readonly state: KeyView;
};

/**
 * `name` is a key id, the SHA-256 of a secret, a secret or an alias; a key id wins over an alias, a
 * live key over deleted ones of the same alias. Null when no such key ever existed.
 * The read models must show what the answer is to cover: wait for them first.
 */
export async function keyHistory(
  deps: KeyHistoryDeps,
  name: string,
  options: { readonly at?: Moment } = {},
): Promise<KeyHistory | null> {
  const { store } = deps;
  const logPosition = await store.head();
  const keyId = await findKey(deps.db, name);
  const all = await replayKey(store, keyId);
  const [first] = all;
  if (first === undefined || first.state.status !== 'active') return null;
  const { tenantId } = first.state;
  const { at: until } = options;
  const steps = all.filter(({ position, recordedAt }) => !isAfter(until, position, recordedAt));
  const last = steps.at(-1);
  const at = await instantOf(deps, until, last);
  const owner = await tenantFacts(store, tenantId, until);
  const agencyId = await agencyOf(store, tenantId);
  return {
    key_id: keyId,
    agency_id: agencyId,
    tenant_id: tenantId,
    at,
    position: last === undefined ? null : String(last.position),
    log_position: String(logPosition),
    state: last?.view ?? null,
    acceptance: acceptanceOf(last?.state ?? { status: 'absent' }, owner, at),
    budgets: await budgetsAt(deps, last?.state ?? key.initial, owner, { agencyId, at, until }),
    last_change: last === undefined ? null : lastChange(stepJson(last)),
    steps: steps.map(stepJson),
    spend: await spendOfKey(deps.db, keyId, until),
  };
}

async function findKey(db: Kysely<HistoryTables>, name: string): Promise<string> {
  const wanted = name.startsWith('sk-') ? hashSecret(name) : name;
  const found = await db
    .selectFrom('keys')
    .select('key_id')
    .where((or) =>
      or.or([
        or('key_id', '=', wanted),
        or('token_hash', '=', wanted),
        or('old_token_hash', '=', wanted),
        or('alias', '=', wanted),
      ]),
    )
    .orderBy(sql`key_id = ${wanted}`, 'desc')
    .orderBy(sql`status <> 'deleted'`, 'desc')
    .orderBy('created_at', 'desc')
    .limit(1)
    .executeTakeFirst();
  // Not in the read model: the log decides whether it exists.
  return found?.key_id ?? wanted;
}

/**
 * The instant that a moment is: of a position, when the event there was recorded. Where positions cannot
 * be counted, that of the subject's last change until then stands for it. Now, when there is none.
 */
export async function instantOf(
  { store, now }: Pick<KeyHistoryDeps, 'store' | 'now'>,
  until: Moment | undefined,
  last: { readonly recordedAt: string } | undefined,
): Promise<string> {
  if (until === undefined) return now();
  if (typeof until === 'string') return new Date(until).toISOString();
  if (store.positions === 'gapless' && until > 0n && until <= (await store.head())) {
    for await (const { recordedAt } of store.readLog(until - 1n)) return recordedAt;
  }
  return last?.recordedAt ?? now();
}

export async function agencyOf(store: EventStore, tenantId: string): Promise<string> {
  for await (const { agencyId } of store.readStream(`tenant-${tenantId}`)) return agencyId;
  return '';
}

/** Every budget that a request with the key would have counted on. */
async function budgetsAt(
  { store, db }: KeyHistoryDeps,
  state: KeyState,
  owner: TenantFacts,
  moment: { readonly agencyId: string; readonly at: string; readonly until: Moment | undefined },
): Promise<readonly WindowSpend[]> {
  if (state.status === 'absent' || state.status === 'deleted') return [];
  const zoned = { ...moment, ...(await agencyAt(store, moment.agencyId, moment.until)) };
  const { projectId } = state.settings;
  const levels = [
    { level: 'key', id: state.keyId, budget: state.limits.budget },
    {
      level: 'project',
      id: projectId ?? '',
      budget: owner.projects.get(projectId ?? '')?.limits?.budget ?? null,
    },
    { level: 'tenant', id: state.tenantId, budget: tenantBudgetOf(contractOf(owner, moment.at)) },
  ] as const;
  const budgets: WindowSpend[] = [];
  for (const { level, id, budget } of levels) {
    if (budget !== null) budgets.push(await windowSpend(db, budget, { level, id }, zoned));
  }
  return budgets;
}

/** Of all keys together, by the contract. */
export function tenantBudgetOf(contract: ContractVersion | null): Budget | null {
  if (contract === null || contract.terms === null) return null;
  return tenantLimitsFor(contract.terms, contract.agreed).budget;
}

/** The same questions in the same order as the gateway asks them. */
function acceptanceOf(state: KeyState, owner: TenantFacts, at: string): Acceptance {
  const instant = Date.parse(at);
  const hasEnded = contractOf(owner, at)?.terms === null;
  const refusal = refusalOf(state, owner.state, instant, hasEnded);
  const inGrace =
    (state.status === 'active' || state.status === 'blocked') &&
    state.graceEndsAt !== null &&
    instant < Date.parse(state.graceEndsAt);
  return { secret: refusal === null, old_secret: refusal === null && inGrace, refusal };
}

function refusalOf(state: KeyState, owner: TenantState, instant: number, hasEnded: boolean): string | null {
  if (state.status === 'absent' || state.status === 'deleted') return 'unknown_key';
  if (state.status === 'blocked') return 'key_blocked';
  const { expiresAt, projectId } = state.settings;
  if (expiresAt !== null && instant >= Date.parse(expiresAt)) return 'key_expired';
  if (owner.status === 'suspended') return 'tenant_suspended';
  if (hasEnded) return 'contract_ended';
  if (projectId === null || owner.status === 'absent') return null;
  return owner.projects.get(projectId)?.status === 'blocked' ? 'project_blocked' : null;
}

function lastChange({ position, recorded_at, type, actor, correlation_id }: HistoryStep): LastChange {
  return { position, recorded_at, type, actor, correlation_id };
}

function stepJson(step: Step): HistoryStep {
  return {
    position: String(step.position),
    revision: String(step.revision),
    recorded_at: step.recordedAt,
    occurred_at: step.occurredAt,
    type: step.type,
    actor: actorJson(step.actor),
    correlation_id: step.correlationId,
    causation_id: step.causationId,
    changes: step.changes.map(({ field, before, after }: FieldChange) => ({ field, before, after })),
    state: step.view,
  };
}

export function actorJson({ kind, id, onBehalfOf }: Actor): HistoryStep['actor'] {
  return { kind, id, on_behalf_of: onBehalfOf ?? null };
}
