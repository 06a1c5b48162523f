import { alertSettings, type AlertTarget } from '../domain/alert-settings.ts';
import type { Log } from '../log.ts';
import type { EventStore } from '../store/event-store.ts';
import { load } from '../transact.ts';
import {
  type Alert,
  type AlertedAgency,
  type ConditionDeps,
  conditionsOf,
  healthAlerts,
} from './alert-conditions.ts';
import { exclusively } from './exclusive.ts';
import { keepTask } from './outbox-records.ts';

/**
 * Looks what needs somebody's attention and puts a task into the outbox for every target that wants to be
 * told of it: so each alert goes out once to each target, at least once on the wire, with retries.
 */
export interface AlertDeps extends ConditionDeps {
  readonly store: EventStore;
  readonly now: () => string;
  readonly log: Pick<Log, 'warn'>;
}

const LOCK = 'alerts';

export function alertSettingsStream(agencyId: string): string {
  return `alert-settings-${agencyId}`;
}

export function targetsOf(store: EventStore, agencyId: string): Promise<readonly AlertTarget[]> {
  return load(store, alertSettings, alertSettingsStream(agencyId));
}

/** What the task of an alert holds; the rest is looked up when it goes out. */
export interface AlertTask extends Pick<Alert, 'kind' | 'subject' | 'facts'> {
  readonly targetId: string;
  readonly alertId: string;
  readonly at: string;
}

/** One look at everything; nothing while another process does it. Targets that were known are told while the log is away. */
export function alertRounds(deps: AlertDeps): (now: string) => Promise<number> {
  const known = new Map<string, readonly AlertTarget[]>();
  return async (now) =>
    (await exclusively(deps.pool, LOCK, async () => {
      let raised = 0;
      for (const agency of await agenciesOf(deps)) {
        const targets = await targetsOf(deps.store, agency.agencyId).catch((error: unknown) => {
          deps.log.warn({ err: error }, 'the alert settings cannot be read; the ones known before hold');
          return known.get(agency.agencyId) ?? [];
        });
        known.set(agency.agencyId, targets);
        if (!targets.some(({ active }) => active)) continue;
        const alerts = [...healthAlerts(agency, deps, now), ...(await conditionsOf(agency, deps, now))];
        raised += await raise(deps, targets, alerts);
      }
      return raised;
    })) ?? 0;
}

/** Returns how many tasks there were for the first time. */
export async function raise(
  { pool, now }: Pick<AlertDeps, 'pool' | 'now'>,
  targets: readonly AlertTarget[],
  alerts: readonly Alert[],
): Promise<number> {
  const { rows } = await pool.query<{ readonly position: bigint }>('select position from outbox_checkpoint');
  const position = rows[0]?.position ?? 0n;
  const at = now();
  let raised = 0;
  for (const { id: alertId, kind, agencyId, tenantId, subject, facts } of alerts) {
    for (const target of targets) {
      if (!target.active || !target.alerts.includes(kind)) continue;
      const task: AlertTask = { targetId: target.id, alertId, kind, subject, facts, at };
      const isNew = await keepTask(
        pool,
        {
          taskId: `alert ${target.id} ${alertId}`,
          kind: 'alert',
          agencyId,
          tenantId,
          invoiceId: subject.kind === 'invoice' ? subject.id : '',
          detail: JSON.stringify(task satisfies AlertTask),
          position,
        },
        at,
      );
      if (isNew) raised += 1;
    }
  }
  return raised;
}

async function agenciesOf({ pool }: Pick<AlertDeps, 'pool'>): Promise<readonly AlertedAgency[]> {
  const { rows } = await pool.query<{
    readonly agency_id: string;
    readonly zone: string;
    readonly currency: string;
    readonly tenant_id: string | null;
  }>(
    `select agency_id, zone, currency,
       (select tenant_id from tenants t where t.agency_id = a.agency_id and own limit 1) as tenant_id
     from agencies a order by agency_id`,
  );
  return rows.map(({ agency_id: agencyId, zone, currency, tenant_id: own }) => ({
    agencyId,
    zone,
    currency,
    ownTenantId: own ?? '',
  }));
}
