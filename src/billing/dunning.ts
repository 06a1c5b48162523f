import { Temporal } from 'temporal-polyfill';
import type { BillingSettings } from '../domain/billing-settings.ts';
import { dunning } from '../domain/dunning.ts';
import { invoice } from '../domain/invoice.ts';
import { Refusal } from '../errors.ts';
import type { Log } from '../log.ts';
import { transact } from '../transact.ts';
import { reconcile } from './collect.ts';
import { type CollectionDeps, type InvoicePlace, settingsOf, systemMeta } from './collection-deps.ts';
import { ProviderFailure } from './collector.ts';
import { exclusively } from './exclusive.ts';
import { agencyAt, invoiceStream, localDate } from './log-facts.ts';

/**
 * Reminds of invoices that are overdue, and suspends the keys of a tenant after the last reminder.
 * What is due follows from the day alone, and every step is noted under an id of its own, so that the
 * job may run as often as it likes. After an outage nothing is hurried: between two reminders, and
 * between the last one and the suspension, there is always the time that the settings say.
 *
 * The payment provider is asked first: what it never told of is no reason to remind anybody.
 */
export interface DunningDeps extends CollectionDeps {
  readonly log: Pick<Log, 'warn' | 'error'>;
  readonly settled: (position: bigint) => Promise<void>;
}

interface OverdueInvoice extends InvoicePlace {
  readonly number: string;
  readonly dueOn: string;
  /** Level of the newest reminder; 0 before the first. */
  readonly level: number;
  readonly remindedOn: string | null;
  /** False when its tenant is suspended already. */
  readonly isTenantActive: boolean;
}

const LOCK = 'dunning';

export type DunningStep = { readonly type: 'remind'; readonly level: number } | { readonly type: 'suspend' };

/** What is due on a day; null when nothing is. All days are local dates. */
export function dueStep(
  { reminderDays, suspendAfterDays }: Pick<BillingSettings, 'reminderDays' | 'suspendAfterDays'>,
  invoice: Pick<OverdueInvoice, 'dueOn' | 'level' | 'remindedOn'>,
  today: string,
): DunningStep | null {
  const { dueOn, level, remindedOn } = invoice;
  const days = (from: string) => Temporal.PlainDate.from(from).until(today).total('days');
  if (level < reminderDays.length) {
    const day = reminderDays[level]!;
    const gap = level === 0 ? 0 : day - reminderDays[level - 1]!;
    const isDue = days(dueOn) >= day && (remindedOn === null || days(remindedOn) >= gap);
    return isDue ? { type: 'remind', level: level + 1 } : null;
  }
  if (suspendAfterDays === null || remindedOn === null) return null;
  return days(remindedOn) >= suspendAfterDays ? { type: 'suspend' } : null;
}

/** Does what is due at `now`; returns how many steps were taken. Nothing while another process does. */
export async function runDunning(deps: DunningDeps, now: string): Promise<number> {
  await deps.settled(await deps.store.head());
  const taken = await exclusively(deps.pool, LOCK, async (lost) => {
    let steps = 0;
    const { rows } = await deps.pool.query<{ readonly agency_id: string }>('select agency_id from agencies');
    for (const { agency_id: agencyId } of rows) {
      if (!lost.aborted) steps += await dunAgency(deps, agencyId, now);
    }
    return steps;
  });
  return taken ?? 0;
}

async function dunAgency(deps: DunningDeps, agencyId: string, now: string): Promise<number> {
  const settings = await settingsOf(deps.store, agencyId);
  const agency = await agencyAt(deps.store, agencyId, null);
  if (settings.reminderDays.length === 0 || agency === null) return 0;
  const today = localDate(now, agency.zone);
  let steps = 0;
  for (const overdue of await overdueInvoices(deps, agencyId, today)) {
    const step = dueStep(settings, overdue, today);
    const isTaken = step?.type === 'suspend' && !overdue.isTenantActive;
    if (step !== null && !isTaken && (await isReallyOpen(deps, overdue))) {
      await takeStep(deps, overdue, step, { today, now });
      steps += 1;
    }
  }
  return steps;
}

/** Without those that are disputed: the provider has the last word on them. */
async function overdueInvoices(
  { pool }: DunningDeps,
  agencyId: string,
  today: string,
): Promise<readonly OverdueInvoice[]> {
  const { rows } = await pool.query<{
    readonly invoice_id: string;
    readonly tenant_id: string;
    readonly number: string;
    readonly due_on: string;
    readonly reminders: bigint;
    readonly reminded_on: string | null;
    readonly tenant_status: string;
  }>(
    `select invoice_id, invoices.tenant_id, number, due_on, reminders, reminded_on,
            tenants.status as tenant_status
     from invoices join collections using (invoice_id)
       join tenants on tenants.tenant_id = invoices.tenant_id
     where invoices.agency_id = $1 and invoices.status in ('finalized', 'sent') and due_on < $2
       and dispute_status is distinct from 'open'
     order by due_on, invoice_id`,
    [agencyId, today],
  );
  return rows.map((row) => ({
    agencyId,
    tenantId: row.tenant_id,
    invoiceId: row.invoice_id,
    number: row.number,
    dueOn: row.due_on,
    level: Number(row.reminders),
    remindedOn: row.reminded_on,
    isTenantActive: row.tenant_status === 'active',
  }));
}

async function isReallyOpen(deps: DunningDeps, overdue: OverdueInvoice): Promise<boolean> {
  try {
    return (await reconcile(deps, overdue)) !== 'paid';
  } catch (error) {
    if (!(error instanceof ProviderFailure) && !(error instanceof Refusal)) throw error;
    deps.log.warn(
      { err: error, invoiceId: overdue.invoiceId },
      'nobody is reminded of what cannot be looked up',
    );
    return false;
  }
}

async function takeStep(
  { store }: DunningDeps,
  overdue: OverdueInvoice,
  step: DunningStep,
  { today, now }: { readonly today: string; readonly now: string },
): Promise<void> {
  const { agencyId, tenantId, invoiceId, number } = overdue;
  const meta = (commandId: string) => systemMeta(overdue, 'dunning', commandId, now);
  if (step.type === 'remind') {
    const command = { ...step, on: today } as const;
    const input = { level: step.level };
    await transact(
      store,
      invoice,
      invoiceStream(agencyId, invoiceId),
      command,
      meta(`remind ${invoiceId} ${step.level}`),
      { input },
    );
    return;
  }
  const command = { type: 'suspend-unpaid', tenantId, number } as const;
  // A day's id: whoever reinstates a tenant by hand has until tomorrow to see it paid.
  await transact(
    store,
    dunning,
    `tenant-${tenantId}`,
    command,
    meta(`suspend ${tenantId} ${invoiceId} ${today}`),
  );
}

/**
 * Lifts the suspension of a tenant when it was dunning that suspended it and no other invoice of the
 * tenant has come as far. Repeating it changes nothing.
 */
export async function reinstateIfPaid(
  deps: DunningDeps,
  place: InvoicePlace,
  taskId: string,
): Promise<boolean> {
  const { store, now } = deps;
  const { agencyId, tenantId } = place;
  await deps.settled(await store.head());
  const settings = await settingsOf(store, agencyId);
  const agency = await agencyAt(store, agencyId, null);
  const today = localDate(now(), agency?.zone ?? 'UTC');
  const overdue = await overdueInvoices(deps, agencyId, today);
  const stands = overdue.some(
    (one) => one.tenantId === tenantId && dueStep(settings, one, today)?.type === 'suspend',
  );
  if (stands) return false;
  const command = { type: 'lift-unpaid', tenantId } as const;
  const meta = systemMeta(place, 'dunning', `lift ${taskId}`, now());
  const before = await transact(store, dunning, `tenant-${tenantId}`, command, meta);
  return before.state.status === 'active';
}
