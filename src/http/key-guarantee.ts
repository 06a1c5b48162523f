import { tenantLimitsFor } from '../domain/plan.ts';
import { readAgreed, readLimits, readTerms } from '../domain/terms-json.ts';
import { Refusal } from '../errors.ts';
import type { HttpDeps } from './deps.ts';
import type { KeyInput } from './key-input.ts';
import { keyedLock } from './keyed-lock.ts';
import { projectOf, tenantOf } from './read.ts';

/**
 * A key with guaranteed throughput takes its part of what its team may use, or of its organization
 * without a team: together the guarantees never exceed it.
 */

/** Makes "is there room" and taking it one step. */
const lock = keyedLock('guarantee');

const KINDS = [
  ['requestsKind', 'requestsPerMinute', 'requests_kind', 'requests_per_minute', 'rpm_limit', 'RPM'],
  ['tokensKind', 'tokensPerMinute', 'tokens_kind', 'tokens_per_minute', 'tpm_limit', 'TPM'],
] as const;

/** Runs the task when there is room for the key. Throws Refusal(bad_request). */
export async function withinGuarantees<T>(
  deps: HttpDeps,
  tenantId: string,
  keyId: string | null,
  { limits, settings }: KeyInput,
  task: () => Promise<T>,
): Promise<T> {
  const { extra, projectId } = settings;
  const guaranteed = KINDS.filter(([kind]) => extra?.[kind] === 'guaranteed_throughput');
  if (guaranteed.length === 0) return task();
  return lock(deps, `${tenantId}/${projectId ?? ''}`, async () => {
    for (const [, count, kindColumn, column, field, unit] of guaranteed) {
      const most = await mostOf(deps, tenantId, projectId, count);
      const wanted = limits[count];
      if (most === null) continue;
      const taken = await takenOf(deps, tenantId, projectId, keyId, kindColumn, column);
      if (wanted !== null && BigInt(wanted) + taken <= BigInt(most)) continue;
      const scope = projectId === null ? 'organization' : 'team';
      const asked = wanted === null ? 'unlimited' : String(wanted);
      const problem = `${field} of ${asked} with ${taken} guaranteed already is greater than the ${scope} ${unit} limit of ${most}.`;
      throw new Refusal('bad_request', { problem }, { param: field });
    }
    return task();
  });
}

async function mostOf(
  { db }: HttpDeps,
  tenantId: string,
  projectId: string | null,
  count: 'requestsPerMinute' | 'tokensPerMinute',
): Promise<number | null> {
  const project = projectId === null ? undefined : await projectOf(db, projectId);
  if (project?.limits != null) return readLimits(project.limits)[count];
  if (projectId !== null) return null;
  const { limits, terms, agreed } = await tenantOf(db, tenantId);
  const own = limits === null ? null : readLimits(limits)[count];
  return own ?? (terms === null ? null : tenantLimitsFor(readTerms(terms), readAgreed(agreed))[count]);
}

async function takenOf(
  { db }: HttpDeps,
  tenantId: string,
  projectId: string | null,
  keyId: string | null,
  kindColumn: 'requests_kind' | 'tokens_kind',
  column: 'requests_per_minute' | 'tokens_per_minute',
): Promise<bigint> {
  let rows = db
    .selectFrom('keys')
    .select((eb) => eb.fn.coalesce(eb.fn.sum<bigint>(column), eb.lit(0)).$castTo<bigint>().as('taken'))
    .where('tenant_id', '=', tenantId)
    .where('status', '!=', 'deleted')
    .where(kindColumn, '=', 'guaranteed_throughput');
  if (projectId !== null) rows = rows.where('project_id', '=', projectId);
  if (keyId !== null) rows = rows.where('key_id', '!=', keyId);
  const { taken } = await rows.executeTakeFirstOrThrow();
  return taken;
}
