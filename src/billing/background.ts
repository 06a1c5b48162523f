import type { Pool } from 'pg';
import type { Kysely } from 'kysely';
import type { Log } from '../log.ts';
import type { Metric } from '../metrics.ts';
import { single } from '../metrics.ts';
import type { EventStore } from '../store/event-store.ts';
import { alertDesk } from './alert-desk.ts';
import { alertTask, type DeliveryDeps } from './alert-delivery.ts';
import type { HealthProblem } from './alert-conditions.ts';
import { alertRounds } from './alerts.ts';
import { billingRecords, type BillingTables } from './billing-records.ts';
import { collect } from './collect.ts';
import { collectionDesk } from './collection-desk.ts';
import { runOrPreview } from './dry-run.ts';
import { type DunningDeps, reinstateIfPaid, runDunning } from './dunning.ts';
import { mailTask, type MailDeps } from './invoice-mail.ts';
import type { InvoiceRunProgress, InvoiceRunReport, InvoiceRunRequest } from './invoice-run.ts';
import { smtpMailer } from './mailer.ts';
import { type Outbox, startOutbox, type Worked } from './outbox.ts';
import type { OutboxFacts, Task } from './outbox-records.ts';
import { type PaymentLink, paymentLinks } from './payment-links.ts';
import { reconcileOpen } from './reconcile.ts';
import { runScheduled } from './scheduled-run.ts';
import { stripeCollector } from './stripe.ts';

/** What billing does by itself: the outbox, the scheduled invoice runs, and dunning. */
export interface BackgroundOptions {
  readonly store: EventStore;
  readonly pool: Pool;
  readonly db: Kysely<BillingTables>;
  readonly now: () => string;
  readonly settled: (position: bigint) => Promise<void>;
  readonly serverSecret: string;
  readonly log: Log;
  /** What does not work in this process. */
  readonly health: () => readonly HealthProblem[];
  readonly settings: {
    readonly ALERT_HOSTS_ALLOWED: readonly string[];
    readonly STRIPE_URL: string;
    readonly SMTP_URL?: string | undefined;
    readonly MAIL_FROM?: string | undefined;
    readonly PUBLIC_URL?: string | undefined;
  };
}

export interface BackgroundDeps extends DunningDeps, MailDeps, DeliveryDeps {}

/** How often it is looked whether a month or a reminder is due. */
const ROUND_MS = 60_000;
const TELLING_MS = 10_000;
/** How often the provider is asked about what it has not told. */
const RECONCILE_ROUNDS = 30;

export function backgroundDeps(options: BackgroundOptions): BackgroundDeps {
  const { SMTP_URL: smtpUrl, STRIPE_URL: stripeUrl, MAIL_FROM, PUBLIC_URL } = options.settings;
  const records = billingRecords(options);
  return {
    ...options,
    records,
    openCollector: stripeCollector(stripeUrl),
    sendMail: smtpUrl === undefined ? null : smtpMailer(smtpUrl),
    mailFrom: MAIL_FROM ?? null,
    publicUrl: PUBLIC_URL ?? null,
    newestContact: records.contact,
    alertHosts: options.settings.ALERT_HOSTS_ALLOWED,
  };
}

export function workTask(deps: BackgroundDeps): (task: Task) => Promise<Worked> {
  return async (task) => {
    switch (task.kind) {
      case 'collect':
        return await collect(deps, task);
      case 'reinstate':
        return (await reinstateIfPaid(deps, task, task.taskId))
          ? { status: 'done', note: null }
          : { status: 'done', note: 'another invoice is as late' };
      case 'alert':
      case 'raise-alert':
        return await alertTask(deps, task);
      default:
        return await mailTask(deps, task);
    }
  };
}

export interface Background {
  readonly paymentLink: PaymentLink;
  readonly desk: ReturnType<typeof collectionDesk>;
  readonly alerts: ReturnType<typeof alertDesk>;
  runInvoices(request: InvoiceRunRequest & { readonly dryRun?: boolean }): Promise<InvoiceRunReport>;
  metrics(): readonly Metric[];
  stop(): Promise<void>;
}

export function startBackground(options: BackgroundOptions): Background {
  const deps = backgroundDeps(options);
  const { store, pool, now, log, settled } = options;
  const lookForAlerts = alertRounds(options);
  const records = billingRecords(options);
  const paymentLink = paymentLinks(deps);
  const run = (request: InvoiceRunRequest & { readonly dryRun?: boolean }) =>
    runOrPreview(
      { store, records, now, settled, log, paymentLink },
      { onProgress: progressIn(log, request), ...request },
    );
  const outbox: Outbox = startOutbox({ store, pool, now, log, work: workTask(deps) });
  let round: Promise<unknown> = Promise.resolve();
  let rounds = 0;
  const timer = setInterval(() => {
    round = round
      .then(() => runScheduled({ store, pool, log, runInvoices: run }, now()))
      .then(() => runDunning(deps, now()))
      .then(() => lookForAlerts(now()))
      .then(async () => {
        rounds += 1;
        if (rounds % RECONCILE_ROUNDS === 0) await reconcileOpen(deps);
      })
      .catch((error: unknown) => log.error({ err: error }, 'a round of billing failed'));
  }, ROUND_MS);
  return {
    paymentLink,
    desk: collectionDesk(deps),
    alerts: alertDesk(deps),
    runInvoices: run,
    metrics: () => outboxMetrics(outbox.facts(), now()),
    async stop() {
      clearInterval(timer);
      await round;
      await outbox.stop();
    },
  };
}

/** How far a run is, in the log of the server. */
function progressIn(
  log: Log,
  { agencyId, period }: InvoiceRunRequest,
): (progress: InvoiceRunProgress) => void {
  let toldMs = performance.now();
  return ({ done, total }) => {
    if (performance.now() - toldMs < TELLING_MS) return;
    toldMs = performance.now();
    log.info({ agencyId, period, done, total }, 'an invoice run is at work');
  };
}

function outboxMetrics({ waiting, failing, stopped, oldestAt }: OutboxFacts, now: string): readonly Metric[] {
  const ageMs = oldestAt === null ? 0 : Math.max(0, Date.parse(now) - Date.parse(oldestAt));
  return [
    single('gauge', 'keyledger_outbox_waiting', 'Tasks of the outbox that are to be carried out.', waiting),
    single('gauge', 'keyledger_outbox_failing', 'Of those, how many have failed at least once.', failing),
    single('gauge', 'keyledger_outbox_stopped', 'Tasks that somebody has to look at.', stopped),
    single('gauge', 'keyledger_outbox_oldest_seconds', 'Age of the task that waits longest.', ageMs / 1_000),
  ];
}
