import { applyContract } from '../contracts.ts';
import type { HttpDeps } from './deps.ts';
import { settle } from './settle.ts';

/**
 * Changes of contracts that were agreed for later come into force by themselves: the gateway compares
 * them with its clock for every request, and this writes them into the keys.
 */
export interface DueOptions {
  /** Instant that counts as now. */
  readonly now: string;
  /** Most tenants in one go; the rest is due still. */
  readonly tenantsMax: number;
}

/** Applies what is due and returns the tenants. Doing it twice, or in two processes, does it once. */
export async function applyDueContracts(
  deps: HttpDeps,
  { now, tenantsMax }: DueOptions,
): Promise<readonly string[]> {
  const due = await deps.db
    .selectFrom('tenants')
    .select('tenant_id')
    .where('due_at', '<=', now)
    .where('status', '!=', 'closed')
    .orderBy('due_at')
    .orderBy('tenant_id')
    .limit(tenantsMax)
    .execute();
  for (const { tenant_id: tenantId } of due) await applyNow(deps, tenantId, now);
  return due.map(({ tenant_id }) => tenant_id);
}

/** Resolves when reads show it. The position of the last event, 0 when nothing was due. */
export async function applyNow(deps: HttpDeps, tenantId: string, now: string): Promise<bigint> {
  const causationId = `contract of ${tenantId} at ${now}`;
  const position = await applyContract(contractDeps(deps), {
    tenantId,
    at: now,
    actor: { kind: 'system', id: 'contracts' },
    correlationId: causationId,
    causationId,
  });
  if (position > 0n) await settle(deps, position);
  return position;
}

export function contractDeps(deps: HttpDeps) {
  return {
    store: deps.store,
    keyIds: async (tenantId: string) => {
      await settle(deps, await deps.store.head());
      const rows = await deps.db
        .selectFrom('keys')
        .select('key_id')
        .where('tenant_id', '=', tenantId)
        .where('status', '!=', 'deleted')
        .orderBy('key_id')
        .execute();
      return rows.map(({ key_id }) => key_id);
    },
  };
}

/** How often it is looked whether something is due, and how much is done in one go. */
const ROUND_MS = 10_000;
const TENANTS_MAX = 500;

/** `stop` waits for a round under way. */
export function startContractChanges(deps: HttpDeps): { readonly stop: () => Promise<void> } {
  let round: Promise<unknown> = Promise.resolve();
  const timer = setInterval(() => {
    round = round
      .then(() => applyDueContracts(deps, { now: deps.now(), tenantsMax: TENANTS_MAX }))
      .catch((error: unknown) =>
        deps.log.error({ err: error }, 'a change of a contract that is due could not be written'),
      );
  }, ROUND_MS);
  return {
    async stop() {
      clearInterval(timer);
      await round;
    },
  };
}
