import type { QueryExecutorProvider } from 'kysely';
import type { Pool } from 'pg';
import { expiringKeys, type Spent, tightKeys, tightScopes } from '../attention.ts';
import type { AlertKind } from '../domain/alert-settings.ts';
import { formatNanos } from '../domain/money.ts';
import { createHash } from 'node:crypto';

/**
 * What somebody should be told of. An alert has an id that follows from what it is about (this budget in
 * this window, this end of this key), so that looking again tells nobody twice, and a new window, a
 * raised budget or another day does.
 */
export interface Alert {
  readonly id: string;
  readonly kind: AlertKind;
  readonly agencyId: string;
  readonly tenantId: string;
  readonly subject: {
    readonly kind: 'key' | 'project' | 'tenant' | 'invoice' | 'invoice-run' | 'server';
    readonly id: string;
  };
  /** Texts without names of people: what the sentences of the alert are filled from. */
  readonly facts: Readonly<Record<string, string>>;
}

export interface ConditionDeps {
  readonly pool: Pool;
  readonly db: QueryExecutorProvider;
  /** What does not work in this process. */
  readonly health: () => readonly HealthProblem[];
}

export interface HealthProblem {
  readonly part: string;
  readonly problem: string;
}

export interface AlertedAgency {
  readonly agencyId: string;
  /** Where things of the agency itself belong. */
  readonly ownTenantId: string;
  readonly zone: string;
  readonly currency: string;
}

const EXPIRES_WITHIN_MS = 7 * 86_400_000;
/** Of one kind in one look; the others come with the next ones, as these are dealt with. */
const MAX = 100;

export function healthAlerts(
  { agencyId, ownTenantId }: AlertedAgency,
  deps: ConditionDeps,
  now: string,
): Alert[] {
  return deps.health().map(({ part, problem }) => ({
    id: `unhealthy ${part} ${now.slice(0, 10)}`,
    kind: 'unhealthy',
    agencyId,
    tenantId: ownTenantId,
    subject: { kind: 'server', id: part },
    facts: { name: part, problem },
  }));
}

export async function conditionsOf(
  agency: AlertedAgency,
  deps: ConditionDeps,
  now: string,
): Promise<Alert[]> {
  const { db } = deps;
  const { agencyId, zone } = agency;
  const question = { now, zone, max: MAX };
  const [tight, scopes, expiring, runs] = await Promise.all([
    tightKeys(db, question),
    tightScopes(db, question, () => true),
    expiringKeys(db, question, EXPIRES_WITHIN_MS),
    failedRuns(deps.pool, agency),
  ]);
  return [
    ...tight.map((key) => budgetAlert(agency, { kind: 'key', id: key.key_id }, key.tenant_id, key)),
    ...scopes.map((scope) => budgetAlert(agency, { kind: scope.kind, id: scope.id }, scope.tenant_id, scope)),
    ...expiring.map(({ key_id: id, tenant_id: tenantId, expires_at: expires }) => ({
      id: `key-expiring ${id} ${expires}`,
      kind: 'key-expiring' as const,
      agencyId,
      tenantId,
      subject: { kind: 'key' as const, id },
      facts: { expires },
    })),
    ...runs,
  ];
}

function budgetAlert(
  { agencyId, currency }: AlertedAgency,
  subject: Alert['subject'],
  tenantId: string,
  { spent, budget, since }: Spent,
): Alert {
  const kind = spent >= budget ? 'budget-over' : 'budget-near';
  return {
    id: `${kind} ${subject.id} ${since ?? 'ever'} ${budget}`,
    kind,
    agencyId,
    tenantId,
    subject,
    facts: {
      spent: formatNanos(spent, 2),
      budget: formatNanos(budget, 2),
      currency,
      percent: String((spent * 100n) / budget),
    },
  };
}

/** Runs that came by themselves; who starts one by hand sees what became of it. */
async function failedRuns(pool: Pool, { agencyId, ownTenantId }: AlertedAgency): Promise<Alert[]> {
  const { rows } = await pool.query<{ readonly period: string; readonly problem: string }>(
    'select period, problem from scheduled_runs where agency_id = $1 and problem is not null order by period desc limit 3',
    [agencyId],
  );
  return rows.map(({ period, problem }) => ({
    id: `invoice-run-failed ${period} ${createHash('sha256').update(problem).digest('hex').slice(0, 12)}`,
    kind: 'invoice-run-failed',
    agencyId,
    tenantId: ownTenantId,
    subject: { kind: 'invoice-run', id: period },
    facts: { name: period, problem },
  }));
}
