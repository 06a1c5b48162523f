import { randomUUID } from 'node:crypto';
import { stepsThrough } from './domain/contract.ts';
import { key } from './domain/key.ts';
import { type ContractState, standing } from './domain/tenant-contract.ts';
import { tenant, type TenantState } from './domain/tenant.ts';
import { isRefusal } from './errors.ts';
import type { Cause } from './events.ts';
import type { EventStore } from './store/event-store.ts';
import { load, transact } from './transact.ts';

/**
 * Brings the keys of a tenant in line with its contract: what has come into force since, and whether
 * they run at all. Doing it twice, in two processes, or after it was cut off changes nothing further;
 * how late it is does not matter either, because whoever decides compares the contract with the clock.
 */
export interface ContractDeps {
  readonly store: EventStore;
  /** Ids of the keys of a tenant that are not deleted, all that were made so far included. */
  readonly keyIds: (tenantId: string) => Promise<readonly string[]>;
}

export interface BringInLine extends Omit<Cause, 'tenantId' | 'agencyId'> {
  readonly tenantId: string;
  /** Instant that counts as now. */
  readonly at: string;
}

/** How often keys that were made meanwhile are looked for. */
const ROUNDS_MAX = 5;

/** The position of the last event, 0 when nothing was to be done. */
export async function applyContract(deps: ContractDeps, request: BringInLine): Promise<bigint> {
  const { store } = deps;
  const { tenantId, at, ...cause } = request;
  const state = await load(store, tenant, `tenant-${tenantId}`);
  if (state.status === 'absent' || state.status === 'closed' || !isDue(state, at)) return 0n;
  const { contract, agencyId } = state;
  const { due, paused } = standing(contract, at, state.status === 'suspended');
  const comply = { type: 'comply', steps: stepsThrough(contract.followed, due), paused } as const;
  const meta = { ...cause, agencyId, tenantId, at };
  const input = { contract: due.at(-1)?.contractId ?? contract.applied?.contractId ?? null, paused };
  const done = new Set<string>();
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const fresh = (await deps.keyIds(tenantId)).filter((id) => !done.has(id));
    if (fresh.length === 0) break;
    for (const keyId of fresh) {
      done.add(keyId);
      // Deleted meanwhile: then there is nothing to bring in line.
      await transact(
        store,
        key,
        `key-${keyId}`,
        comply,
        { ...meta, commandId: randomUUID() },
        { input },
      ).catch((error: unknown) => {
        if (!isRefusal(error, 'key_deleted')) throw error;
      });
    }
  }
  const applied = await transact(
    store,
    tenant,
    `tenant-${tenantId}`,
    { type: 'apply-contract', at },
    { ...meta, commandId: randomUUID() },
  );
  return applied.position;
}

/** Whether something came into force, or the tenant's standing changed, since its keys were brought in line. */
export function isDue(state: Exclude<TenantState, { status: 'absent' }>, at: string): boolean {
  const { contract }: { readonly contract: ContractState } = state;
  const { due, paused } = standing(contract, at, state.status === 'suspended');
  return due.length > 0 || paused !== contract.paused;
}
