import { createHash } from 'node:crypto';
import { Temporal } from 'temporal-polyfill';
import { signedPath } from '../download-links.ts';
import { invoice, isIssued, isOpen, type IssuedState } from '../domain/invoice.ts';
import { load, transact } from '../transact.ts';
import { type CollectionDeps, settingsOf, systemMeta } from './collection-deps.ts';
import { type DeliveryWords, deliveryWords } from './documents/delivery-words.ts';
import { type InvoiceDocument, readDocument } from './documents/invoice-document.ts';
import { formatDate, formatMoney } from './documents/words.ts';
import { type FileKind, invoiceFile } from './invoice-files.ts';
import { invoiceStream, localDate } from './log-facts.ts';
import type { SendMail } from './mailer.ts';
import { type Task, tasksOfInvoice } from './outbox-records.ts';
import type { Worked } from './outbox.ts';
import { knownPaymentPage } from './payment-links.ts';
import { claimMail, endMail } from './mail-claims.ts';

/**
 * Invoices, Stornorechnungen and reminders as mails, with the document attached, in the recipient's
 * language. An attempt is noted before the mail server gets the mail, and its end right after, so two
 * processes never send one mail side by side. Only a process that dies between the server's answer and
 * the note, or a server that takes a mail and does not say so, has it sent again, with the same
 * Message-ID, by which receivers tell a repetition. That an invoice was sent is noted once.
 */
export interface MailDeps extends CollectionDeps {
  /** Null: no mail server is set. */
  readonly sendMail: SendMail | null;
  /** Null: the agency's own address. */
  readonly mailFrom: string | null;
  /** Address of this server as others reach it; null: mails hold no links to it. */
  readonly publicUrl: string | null;
  readonly newestContact: (subjectId: string) => Promise<unknown>;
}

const LINK_DAYS = 90;
/** An invoice waits so long for its payment link before it goes out without one. */
const PAY_LINK_MS_MAX = 6 * 3_600_000;
const PAY_LINK_CHECK_MS = 10_000;
const CLAIM_CHECK_MS = 30_000;

export async function mailTask(deps: MailDeps, task: Task): Promise<Worked> {
  const { store, sendMail } = deps;
  const { agencyId, invoiceId } = task;
  if (sendMail === null) return skipped('no mail server is set');
  if (!(await settingsOf(store, agencyId)).mail) return skipped('the agency sends no mails');
  const state = await load(store, invoice, invoiceStream(agencyId, invoiceId));
  if (!isIssued(state)) return skipped('the invoice is not final');
  const others = await tasksOfInvoice(deps.pool, invoiceId);
  const reason = reasonAgainst(task, state, others);
  if (reason !== null) return skipped(reason);
  if (task.kind === 'mail-invoice' && waitsForLink(deps, task, others)) {
    return { status: 'waiting', note: 'waits for the payment link', retryAfterMs: PAY_LINK_CHECK_MS };
  }
  const worked = await send(deps, sendMail, task, state);
  if (worked !== null) return worked;
  if (task.kind === 'mail-invoice') await noteSent(deps, task);
  return { status: 'done', note: null };
}

function skipped(note: string): Worked {
  return { status: 'skipped', note };
}

function reasonAgainst({ kind }: Task, state: IssuedState, others: readonly Task[]): string | null {
  if (kind === 'mail-invoice') return state.status === 'cancelled' ? 'the invoice was taken back' : null;
  if (kind === 'mail-reminder') return isOpen(state) ? null : `the invoice is ${state.status}`;
  const wasSent = others.some((other) => other.kind === 'mail-invoice' && other.status === 'done');
  return wasSent ? null : 'the invoice itself was not mailed';
}

function waitsForLink({ now }: MailDeps, { createdAt }: Task, others: readonly Task[]): boolean {
  const isUnderWay = others.some(({ kind, status }) => kind === 'collect' && status === 'waiting');
  return isUnderWay && Date.parse(now()) - Date.parse(createdAt) < PAY_LINK_MS_MAX;
}

/** Null when the mail has been accepted, now or by an earlier attempt. */
async function send(
  deps: MailDeps,
  sendMail: SendMail,
  task: Task,
  state: IssuedState,
): Promise<Worked | null> {
  const { taskId, kind, tenantId, invoiceId } = task;
  const documentId = kind === 'mail-cancellation' ? state.cancelled!.cancellationId : invoiceId;
  const kept = await deps.records.document(documentId);
  if (kept === null) return { status: 'stopped', note: `the document of ${documentId} is missing` };
  const document = readDocument(kept.document);
  const to = mailIn(await deps.newestContact(tenantId)) ?? document.recipient.email;
  const from = deps.mailFrom ?? document.issuer.email;
  if (to === null) return { status: 'stopped', note: 'the recipient has no e-mail address' };
  if (from === null)
    return { status: 'stopped', note: 'the agency has no e-mail address, and MAIL_FROM is not set' };
  const words = await wordsOf(deps, task, state, document);
  const mail = {
    messageId: `${createHash('sha256').update(taskId).digest('hex').slice(0, 32)}@keyledger`,
    from,
    to,
    replyTo: document.issuer.email,
    ...words,
    attachments: await attachments(deps, documentId, document),
  };
  const claimed = await claimMail(deps, taskId);
  if (claimed === 'accepted') return null;
  if (claimed === 'elsewhere') {
    return { status: 'waiting', note: 'another attempt may be under way', retryAfterMs: CLAIM_CHECK_MS };
  }
  const result = await sendMail(mail);
  await endMail(deps, taskId, result.kind === 'accepted');
  if (result.kind === 'accepted') return null;
  if (result.kind === 'refused') return { status: 'stopped', note: result.problem };
  return { status: 'waiting', note: result.problem, retryAfterMs: null };
}

async function attachments({ db }: MailDeps, documentId: string, { e_invoice: format }: InvoiceDocument) {
  const kinds: readonly FileKind[] = format === 'zugferd' ? ['pdf'] : ['pdf', format];
  return await Promise.all(kinds.map((kind) => invoiceFile(db, documentId, kind)));
}

async function wordsOf(
  deps: MailDeps,
  task: Task,
  state: IssuedState,
  document: InvoiceDocument,
): Promise<ReturnType<DeliveryWords['invoice']>> {
  const { language, currency, payment, issuer, preceding, due_on: dueOn } = document;
  const words = deliveryWords[language];
  const facts = {
    issuer: issuer.name,
    number: document.number,
    amount: formatMoney(document.totals.gross, currency, language),
    dueOn: dueOn === null ? null : formatDate(dueOn, language),
    payLink: isOpen(state) ? ((await knownPaymentPage(deps.pool, task.invoiceId))?.url ?? null) : null,
    fileLink: fileLink(deps, document.invoice_id),
    transfer:
      payment.iban === null ? null : [issuer.name, payment.iban, payment.bic].filter(Boolean).join(', '),
  };
  if (task.kind === 'mail-cancellation') {
    return words.cancellation({ ...facts, preceding: preceding?.number ?? '' });
  }
  if (document.kind === 'correction' && task.kind === 'mail-invoice') {
    const amount = formatMoney(document.totals.gross.replace('-', ''), currency, language);
    return words.correction({ ...facts, amount });
  }
  if (task.kind === 'mail-invoice') return words.invoice(facts);
  const suspendsOn = await suspensionDay(deps, task, document.zone);
  return words.reminder({
    ...facts,
    level: Number(task.detail),
    suspendsOn: suspendsOn === null ? null : formatDate(suspendsOn, language),
  });
}

/** After the last reminder, when the agency suspends at all. */
async function suspensionDay(deps: MailDeps, task: Task, zone: string): Promise<string | null> {
  const { reminderDays, suspendAfterDays } = await settingsOf(deps.store, task.agencyId);
  if (suspendAfterDays === null || Number(task.detail) < reminderDays.length) return null;
  const reminded = Temporal.PlainDate.from(localDate(task.createdAt, zone));
  return reminded.add({ days: suspendAfterDays }).toString();
}

function fileLink({ publicUrl, serverSecret, now }: MailDeps, id: string): string | null {
  if (publicUrl === null) return null;
  const expires = String(Math.floor(Date.parse(now()) / 1_000) + LINK_DAYS * 86_400);
  return `${publicUrl.replace(/\/$/, '')}${signedPath(serverSecret, { id, file: 'pdf', expires })}`;
}

function mailIn(contact: unknown): string | null {
  const email = (contact as { readonly email?: unknown } | null)?.email;
  return typeof email === 'string' && email.trim() !== '' ? email.trim() : null;
}

async function noteSent({ store, now }: MailDeps, task: Task): Promise<void> {
  const stream = invoiceStream(task.agencyId, task.invoiceId);
  const meta = systemMeta(task, 'mail', `sent ${task.taskId}`, now());
  await transact(store, invoice, stream, { type: 'send', channel: 'mail' }, meta);
}
