import { createHash } from 'node:crypto';
import type { AlertTarget } from '../domain/alert-settings.ts';
import { invoice } from '../domain/invoice.ts';
import { load } from '../transact.ts';
import type { Alert } from './alert-conditions.ts';
import { alertWords } from './alert-words.ts';
import { type AlertTask, raise, targetsOf } from './alerts.ts';
import { type CollectionDeps, secretOf } from './collection-deps.ts';
import { invoiceStream } from './log-facts.ts';
import type { SendMail } from './mailer.ts';
import type { Task } from './outbox-records.ts';
import type { Worked } from './outbox.ts';
import { postWebhook } from './webhook.ts';

/** Takes alerts to their targets: the names of what they are about are looked up when they go out. */
export interface DeliveryDeps extends CollectionDeps {
  /** Null: no mail server is set. */
  readonly sendMail: SendMail | null;
  readonly mailFrom: string | null;
  readonly publicUrl: string | null;
  readonly newestContact: (subjectId: string) => Promise<unknown>;
  /** Hosts that may be called although they are not public. */
  readonly alertHosts: readonly string[];
}

/** Where a target is, and what its messages are signed with: kept sealed. */
export interface Address {
  readonly address: string;
  readonly secret: string;
}

export type Delivered =
  | { readonly kind: 'accepted'; readonly detail: string }
  /** Trying again is of no use. */
  | { readonly kind: 'refused'; readonly detail: string }
  | { readonly kind: 'failed'; readonly detail: string };

/** After so many attempts, about two hours, somebody has to look at it. */
const ATTEMPTS_MAX = 10;

export async function alertTask(deps: DeliveryDeps, task: Task): Promise<Worked> {
  if (task.kind === 'raise-alert') return await raisePaymentFailure(deps, task);
  const alert = JSON.parse(task.detail ?? '{}') as AlertTask;
  const target = (await targetsOf(deps.store, task.agencyId)).find(({ id }) => id === alert.targetId);
  if (target === undefined || !target.active) return { status: 'skipped', note: 'the target is gone or off' };
  const told = await deliver(deps, task.agencyId, target, { ...alert, tenantId: task.tenantId });
  if (told.kind === 'accepted') return { status: 'done', note: told.detail };
  if (told.kind === 'refused' || task.attempts + 1 >= ATTEMPTS_MAX) {
    return { status: 'stopped', note: told.detail };
  }
  return { status: 'waiting', note: told.detail, retryAfterMs: null };
}

/** A payment that failed is an event: each failure is told of once, also the second of one invoice. */
async function raisePaymentFailure(deps: DeliveryDeps, task: Task): Promise<Worked> {
  const { agencyId, tenantId, invoiceId, taskId } = task;
  const state = await load(deps.store, invoice, invoiceStream(agencyId, invoiceId));
  const name = 'number' in state && typeof state.number === 'string' ? state.number : invoiceId;
  const alert: Alert = {
    id: taskId,
    kind: 'payment-failed',
    agencyId,
    tenantId,
    subject: { kind: 'invoice', id: invoiceId },
    facts: { name, problem: task.detail ?? '' },
  };
  await raise(deps, await targetsOf(deps.store, agencyId), [alert]);
  return { status: 'done', note: null };
}

type Told = Omit<AlertTask, 'kind' | 'targetId'> & {
  readonly kind: AlertTask['kind'] | 'test';
  readonly tenantId: string;
};

export async function deliver(
  deps: DeliveryDeps,
  agencyId: string,
  target: AlertTarget,
  alert: Told,
): Promise<Delivered> {
  const sealed = await secretOf(deps, agencyId, `alert ${target.id}`);
  if (sealed === null) return { kind: 'refused', detail: 'the target has no address' };
  const { address, secret } = JSON.parse(sealed) as Address;
  const name = alert.facts['name'] ?? (await nameOf(deps, alert.subject));
  const words = alertWords(alert.kind, target.language, { ...alert.facts, name });
  const link = linkTo(deps.publicUrl, alert.subject);
  return target.channel === 'email'
    ? await mail(deps, agencyId, address, { ...alert, ...words, link })
    : await post(deps, { address, secret }, { agencyId, alert, name, words, link });
}

interface Written {
  readonly title: string;
  readonly text: string;
}

async function post(
  { alertHosts, now }: DeliveryDeps,
  { address: url, secret }: Address,
  message: {
    readonly agencyId: string;
    readonly alert: Told;
    readonly name: string;
    readonly words: Written;
    readonly link: string | null;
  },
): Promise<Delivered> {
  const { agencyId, alert, name, words, link } = message;
  const { alertId, kind, tenantId, subject, facts, at } = alert;
  const body = JSON.stringify({
    id: alertId,
    type: kind,
    agency_id: agencyId,
    tenant_id: tenantId === '' ? null : tenantId,
    subject: { ...subject, name },
    facts,
    ...words,
    link,
    at,
  });
  const seconds = Math.floor(Date.parse(now()) / 1_000);
  const result = await postWebhook({ url, secret, body, at: seconds, id: alertId, allowedHosts: alertHosts });
  if (result.kind === 'forbidden') return { kind: 'refused', detail: result.problem };
  if (result.kind === 'failed') return { kind: 'failed', detail: result.problem };
  const detail = `answered ${result.status}`;
  if (result.status >= 200 && result.status < 300) return { kind: 'accepted', detail };
  // Gone: whoever was there wants nothing any more.
  return { kind: result.status === 410 ? 'refused' : 'failed', detail };
}

async function mail(
  deps: DeliveryDeps,
  agencyId: string,
  to: string,
  { alertId, title, text, link }: Told & Written & { readonly link: string | null },
): Promise<Delivered> {
  if (deps.sendMail === null) return { kind: 'refused', detail: 'no mail server is set (SMTP_URL)' };
  const contact = (await deps.newestContact(agencyId)) as { readonly email?: unknown } | null;
  const from = deps.mailFrom ?? (typeof contact?.email === 'string' ? contact.email : null);
  if (from === null) return { kind: 'refused', detail: 'there is no sender: set MAIL_FROM' };
  const id = createHash('sha256').update(`${alertId} ${to}`).digest('hex').slice(0, 32);
  const result = await deps.sendMail({
    messageId: `alert-${id}@${from.split('@')[1] ?? 'keyledger'}`,
    from,
    to,
    replyTo: null,
    subject: title,
    text: [text, ...(link === null ? [] : [link])].join('\n\n'),
    attachments: [],
  });
  if (result.kind === 'accepted') return { kind: 'accepted', detail: 'the mail server took it' };
  return { kind: result.kind, detail: result.problem };
}

/** As people know it: alias, project name, company; else its id. */
async function nameOf(
  { pool, newestContact }: DeliveryDeps,
  { kind, id }: Alert['subject'],
): Promise<string> {
  if (kind === 'tenant') {
    const contact = (await newestContact(id)) as { readonly name?: unknown } | null;
    return typeof contact?.name === 'string' ? contact.name : id;
  }
  const sources = {
    key: 'select alias as name from keys where key_id = $1',
    project: 'select name from project_names where project_id = $1',
  } as const;
  if (kind !== 'key' && kind !== 'project') return id;
  const { rows } = await pool.query<{ readonly name: string | null }>(sources[kind], [id]);
  return rows[0]?.name ?? id;
}

const PAGES = {
  key: '/keys/',
  tenant: '/tenants/',
  invoice: '/invoices/',
} as const;

function linkTo(publicUrl: string | null, { kind, id }: Alert['subject']): string | null {
  if (publicUrl === null) return null;
  const path = kind in PAGES ? `${PAGES[kind as keyof typeof PAGES]}${encodeURIComponent(id)}` : '/';
  return `${publicUrl.replace(/\/$/, '')}/ui${path}`;
}
