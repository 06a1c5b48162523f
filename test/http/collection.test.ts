import type { Kysely } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { backgroundDeps, type BackgroundDeps, workTask } from '../../src/billing/background.ts';
import { billingRecords, type BillingTables } from '../../src/billing/billing-records.ts';
import { runDunning } from '../../src/billing/dunning.ts';
import { runInvoices } from '../../src/billing/invoice-run.ts';
import { fillOutbox, type OutboxDeps, workOutbox } from '../../src/billing/outbox.ts';
import { paymentLinks } from '../../src/billing/payment-links.ts';
import { reconcileOpen } from '../../src/billing/reconcile.ts';
import { runScheduled } from '../../src/billing/scheduled-run.ts';
import { openDatabase } from '../../src/database.ts';
import { pdfText } from '../billing/documents/pdf-text.ts';
import { SELLER } from '../billing/documents/invoices.ts';
import { type Admin, OWN, startAdmin } from '../support/admin.ts';
import { type SmtpServer, startSmtpServer } from '../support/smtp-server.ts';
import { startStripeServer, type StripeServer } from '../support/stripe-server.ts';

const KEY = 'sk_test_canary0123456789';
const SECRET = 'whsec_canary0123456789';

let admin: Admin;
let stripe: StripeServer;
let smtp: SmtpServer;
let background: BackgroundDeps;
let outbox: OutboxDeps;

beforeAll(async () => {
  stripe = await startStripeServer({ secretKey: KEY });
  smtp = await startSmtpServer();
  admin = await startAdmin({ stripeUrl: stripe.url });
  const { store, pool, deps } = admin;
  const { now, log, settled } = deps;
  const db = admin.db as unknown as Kysely<BillingTables>;
  background = backgroundDeps({
    store,
    pool,
    db,
    now,
    settled,
    log,
    serverSecret: deps.serverSecret,
    health: () => [],
    settings: {
      ALERT_HOSTS_ALLOWED: [],
      STRIPE_URL: stripe.url,
      SMTP_URL: smtp.url,
      PUBLIC_URL: 'https://bill.example/',
    },
  });
  outbox = { store, pool, now, log, work: workTask(background) };
  await admin.db
    .insertInto('contacts')
    .values({ subject_id: OWN.agencyId, version: 1, data: SELLER })
    .execute();
  await fillOutbox(outbox);
});
afterAll(async () => {
  await admin?.close();
  await stripe?.close();
  await smtp?.close();
});

const url = `/api/agencies/${OWN.agencyId}`;
const put = (path: string, body: unknown) => admin.call({ method: 'PUT', url: `${url}${path}`, body });
const show = async (id: string) => (await admin.call({ url: `/api/invoices/${id}` })).body;

async function onboard(name: string, language = 'de'): Promise<{ tenantId: string; secret: string }> {
  const { body } = await admin.call({
    url: '/api/tenants',
    body: {
      name,
      plan: 'studio',
      billing: {
        name,
        street: 'Weg 1',
        postal_code: '12345',
        city: 'Ort',
        country: 'DE',
        email: `${name.toLowerCase()}@kunde.example`,
        language,
      },
      projects: [{ name: 'Shop', environments: ['production'] }],
    },
  });
  const made = await admin.call({ url: '/key/generate', body: { team_id: body.projects[0].id } });
  return { tenantId: body.tenant.id, secret: made.body.key };
}

/** Everything that is due, until nothing is. */
async function settleOutbox(): Promise<void> {
  await fillOutbox(outbox);
  while ((await workOutbox(outbox)) > 0) await fillOutbox(outbox);
}

const schedule = {
  get store() {
    return admin.store;
  },
  get pool() {
    return admin.pool;
  },
  get log() {
    return admin.deps.log;
  },
  runInvoices: (request: Parameters<typeof runInvoices>[1]) => {
    const { store, now, settled, log } = admin.deps;
    const records = billingRecords({ pool: admin.pool, db: admin.db as unknown as Kysely<BillingTables> });
    const paymentLink = paymentLinks({
      store,
      serverSecret: admin.deps.serverSecret,
      publicUrl: 'https://bill.example',
    });
    return runInvoices({ store, records, now, settled, log, paymentLink }, request);
  },
};

/** Delivers an event of Stripe as it comes. */
async function deliver(event: (typeof stripe.events)[number], secret = SECRET) {
  const seconds = Math.floor(Date.parse(admin.deps.now()) / 1_000);
  const { body, signature } = stripe.signed(event, secret, seconds);
  return await admin.call({
    method: 'POST',
    url: `/api/stripe/webhook/${OWN.agencyId}`,
    body,
    bearer: null,
    headers: { 'stripe-signature': signature },
  });
}

describe('the settings of an agency', () => {
  test('take a key of Stripe only when Stripe knows it, and never show or log it', async () => {
    const wrong = await put('/stripe', { secret_key: 'sk_test_wrong0123456789', webhook_secret: SECRET });
    expect(wrong).toMatchObject({ status: 502, body: { error: { reason: 'collector_unavailable' } } });
    const set = await put('/stripe', { secret_key: KEY, webhook_secret: SECRET });
    expect(set).toMatchObject({
      status: 200,
      body: { stripe: { account_id: 'acct_1', mode: 'test', methods: ['card', 'sepa_debit'] } },
    });
    const shown = await admin.call({ url: `${url}/billing` });
    expect(JSON.stringify([set.body, shown.body, wrong.body, admin.logged])).not.toContain('0123456789');
    const { rows } = await admin.pool.query('select sealed from agency_secrets');
    expect(rows).toHaveLength(2);
    expect(JSON.stringify(rows)).not.toMatch(/canary|sk_test|whsec/);
    const events = await admin.pool.query("select data from events where type = 'billing-settings.changed'");
    expect(JSON.stringify(events.rows)).not.toContain('canary');
  });

  test('change one by one, and refuse reminders that do not ascend', async () => {
    const body = { reminder_days: [7, 14], suspend_after_days: 7, invoice_run: { grace_hours: 24 } };
    expect(await put('/billing', body)).toMatchObject({
      status: 200,
      body: { ...body, invoice_run: { from: '2026-11', grace_hours: 24 }, mail: true },
    });
    expect((await put('/billing', { reminder_days: [7, 7] })).status).toBe(422);
    expect((await put('/billing', { mail: true })).body.reminder_days).toEqual([7, 14]);
  });
});

describe('a month', () => {
  let berlin: { tenantId: string; secret: string };
  let english: { tenantId: string; secret: string };
  let invoices: { id: string; tenant_id: string; status: string }[];
  const of = (tenantId: string) => invoices.find((one) => one.tenant_id === tenantId)!.id;
  const referenceOf = async (id: string) => (await show(id)).collection.reference as string;

  test('is invoiced by itself after the grace, once, though one tenant cannot be', async () => {
    berlin = await onboard('Sonnenkorn');
    english = await onboard('Harbour', 'en');
    const broken = await onboard('Kaputt');
    await admin.db
      .insertInto('contacts')
      .values({ subject_id: broken.tenantId, version: 2, data: { name: 'Kaputt' } })
      .execute();
    admin.setNow('2026-12-01T22:59:59.000Z');
    expect(await runScheduled(schedule, admin.deps.now())).toEqual([]);
    admin.setNow('2026-12-01T23:00:00.000Z');
    // As another instance over the same database does.
    const other = openDatabase({
      url: admin.pool.options.connectionString!,
      poolMax: 2,
      applicationName: 'test',
    });
    const { store, log, runInvoices: run } = schedule;
    const both = await Promise.all([
      runScheduled(schedule, admin.deps.now()),
      runScheduled({ store, log, runInvoices: run, pool: other.pool }, admin.deps.now()),
    ]);
    await other.close();
    expect(both.flat()).toEqual([OWN.agencyId]);
    const runs = (await admin.call({ url: '/api/invoice-runs' })).body.data;
    expect(runs).toMatchObject([
      {
        period: '2026-11',
        attempts: 1,
        problem: '1 of 3 tenants failed',
        next_at: '2026-12-02T23:00:00.000Z',
      },
    ]);
    invoices = (await admin.call({ url: '/api/invoices' })).body.data;
    expect(invoices.map(({ status }) => status)).toEqual(['finalized', 'finalized']);
    expect(await runScheduled(schedule, admin.deps.now())).toEqual([]);

    const whole = { ...SELLER, name: 'Kaputt', email: 'kaputt@kunde.example', vat_id: null };
    await admin.db
      .insertInto('contacts')
      .values({ subject_id: broken.tenantId, version: 3, data: whole })
      .execute();
    expect(await runScheduled(schedule, '2026-12-02T23:00:00.000Z')).toEqual([OWN.agencyId]);
    expect((await admin.call({ url: '/api/invoice-runs' })).body.data).toMatchObject([
      { attempts: 2, problem: null, next_at: null },
    ]);
    expect((await admin.call({ url: '/api/invoices' })).body.data).toHaveLength(3);
  });

  test('goes out by mail in the language of each, with the document and where to pay', async () => {
    smtp.faults.push('451 later', '550 no such user');
    await settleOutbox();
    const { data, facts } = (await admin.call({ url: '/api/outbox' })).body;
    expect(facts).toMatchObject({ waiting: 1, failing: 1, stopped: 1 });
    const stopped = data.find((task: { status: string }) => task.status === 'stopped');
    expect(stopped.note).toContain('550 no such user');
    await admin.call({ url: '/api/outbox/retry', body: { task_id: stopped.id } });
    admin.setNow('2026-12-02T08:00:00.000Z');
    await settleOutbox();
    expect(smtp.mails).toHaveLength(3);
    const german = smtp.mails.find((mail) => mail.includes('To: sonnenkorn@kunde.example'))!;
    expect(german).toMatch(/Subject: Rechnung RE-2026-0000\d/);
    expect(german).toContain('filename=RE-2026-0000');
    expect(german.replaceAll('=\r\n', '')).toContain('https://pay.example/in_');
    expect(german.replaceAll('=\r\n', '')).toMatch(/https:\/\/bill\.example\/api\/downloads\/inv_/);
    expect(smtp.mails.some((mail) => /Subject: Invoice RE-2026-0000\d/.test(mail))).toBe(true);
    expect(await show(of(berlin.tenantId))).toMatchObject({
      status: 'sent',
      collection: { provider: 'stripe', payment_link: expect.stringContaining('https://pay.example/in_') },
    });
    await settleOutbox();
    expect(smtp.mails).toHaveLength(3);
  });

  test('has an address of ours on its paper that leads to where it can be paid', async () => {
    const { id, number, document, collection } = await show(of(berlin.tenantId));
    const address = new URL(document.payment_link);
    expect(address.href).toMatch(/^https:\/\/bill\.example\/api\/payments\/inv_\w+\?signature=[\w-]{22}$/);
    const follow = (path: string) => admin.app.inject({ method: 'GET', url: path });
    const led = await follow(`${address.pathname}${address.search}`);
    expect([led.statusCode, led.headers.location]).toEqual([302, collection.payment_link]);
    expect((await follow(`${address.pathname}${address.search.slice(0, -1)}`)).statusCode).toBe(403);
    expect((await follow(`/api/payments/${id}x${address.search}`)).statusCode).toBe(403);
    const headers = { authorization: `Bearer ${admin.deps.masterKey}` };
    const pdf = await admin.app.inject({ method: 'GET', url: `/api/invoices/${number}/pdf`, headers });
    expect(pdfText(pdf.rawPayload).join('')).toContain('Online bezahlen: https://bill.example/api/payments/');
  });

  test('is told what failed and what was paid, in any order and again and again', async () => {
    const id = of(english.tenantId);
    const reference = await referenceOf(id);
    stripe.failPayment(reference, 'Your card was declined.');
    const [failure] = stripe.events.slice(-1);
    expect((await deliver(failure!)).body).toEqual({ outcome: 'fail-payment' });
    expect((await show(id)).payment_problem).toBe('Your card was declined.');
    stripe.failPayment(reference, 'Your card was declined.');
    stripe.pay(reference);
    const [late, paid] = stripe.events.slice(-2);
    const answers = [];
    for (const event of [paid!, paid!, late!, failure!, paid!])
      answers.push((await deliver(event)).body.outcome);
    expect(answers).toEqual(['paid', 'known already', 'too late', 'known already', 'known already']);
    expect(await show(id)).toMatchObject({ status: 'paid', payment_problem: null });
    const log = await admin.pool.query("select 1 from events where type = 'invoice.paid'");
    expect(log.rowCount).toBe(1);
  });

  test('notes refunds and disputes, whatever is told first', async () => {
    const id = of(english.tenantId);
    const reference = await referenceOf(id);
    const refund = stripe.refund(reference, 100, 'pending');
    stripe.setRefund(refund.id, 'succeeded');
    const [created, updated] = stripe.events.slice(-2);
    for (const event of [updated!, created!]) await deliver(event);
    expect((await show(id)).collection.refunded.amount).toBe('1.00');
    stripe.setRefund(refund.id, 'failed');
    await deliver(stripe.events.at(-1)!);
    expect((await show(id)).collection.refunded.amount).toBe('0.00');

    const dispute = stripe.dispute(reference, 'needs_response');
    stripe.setDispute(dispute.id, 'lost');
    const [opened, closed] = stripe.events.slice(-2);
    for (const event of [closed!, opened!]) await deliver(event);
    expect(await show(id)).toMatchObject({
      status: 'sent',
      collection: { dispute: { status: 'lost', reason: 'fraudulent' } },
    });
  });

  test('hears nobody but Stripe', async () => {
    const event = stripe.events[0]!;
    expect((await deliver(event, 'whsec_another0123456789')).status).toBe(400);
    const old = stripe.signed(event, SECRET, Math.floor(Date.parse(admin.deps.now()) / 1_000) - 301);
    const request = { method: 'POST', url: `/api/stripe/webhook/${OWN.agencyId}`, bearer: null } as const;
    const late = await admin.call({
      ...request,
      body: old.body,
      headers: { 'stripe-signature': old.signature },
    });
    expect(late).toMatchObject({ status: 400, body: { error: { reason: 'webhook_invalid' } } });
    const altered = old.body.replace('"paid"', '"void"');
    const changed = await admin.call({
      ...request,
      body: `${altered} `,
      headers: { 'stripe-signature': old.signature },
    });
    expect(changed.status).toBe(400);
    expect(
      (await admin.call({ ...request, url: '/api/stripe/webhook/age_none', body: old.body })).status,
    ).toBe(404);
  });

  test('reminds, suspends after the last reminder, says so to the people of the tenant, and lifts it when it is paid', async () => {
    const id = of(berlin.tenantId);
    const at = async (day: string) => {
      admin.setNow(`${day}T11:00:00.000Z`);
      const steps = await runDunning(background, admin.deps.now());
      expect(await runDunning(background, admin.deps.now()), day).toBe(0);
      await settleOutbox();
      return steps;
    };
    const { due_on: due } = await show(id);
    expect(due).toBe('2026-12-16');
    expect(await at('2026-12-22')).toBe(0);
    expect(await at('2026-12-23')).toBeGreaterThan(0);
    expect((await show(id)).collection).toMatchObject({ reminders: 1, reminded_on: '2026-12-23' });
    expect(smtp.mails.some((mail) => /Subject: Zahlungserinnerung zur Rechnung/.test(mail))).toBe(true);
    await at('2026-12-31');
    // A lost dispute is no payment: that invoice is reminded of, too, though Stripe calls it paid.
    expect((await show(of(english.tenantId))).collection.reminders).toBe(2);
    const last = smtp.mails.findLast((mail) => mail.includes('To: sonnenkorn'))!;
    expect(last.replaceAll('=\r\n', '')).toContain('ab dem 07.01.2027 gesperrt');
    const call = () => admin.call({ url: '/key/info', bearer: berlin.secret });
    await at('2027-01-06');
    expect((await call()).status).toBe(200);
    await at('2027-01-07');
    const refused = await call();
    expect(refused).toMatchObject({ status: 403, body: { error: { reason: 'tenant_unpaid' } } });
    expect(refused.body.error.message).toContain(`the invoice ${(await show(id)).number} was not paid`);

    // Nobody tells of the payment: it is found when Stripe is asked.
    expect(await reconcileOpen(background)).toBe(0);
    stripe.pay(await referenceOf(id));
    expect(await reconcileOpen(background)).toBe(1);
    expect((await show(id)).status).toBe('paid');
    await settleOutbox();
    expect((await call()).status).toBe(200);
    expect(await at('2027-01-08')).toBe(0);
  });

  test('reminds nobody who has paid, though Stripe never told', async () => {
    const open = (await admin.call({ url: '/api/invoices?status=overdue' })).body.data;
    const kaputt = open.find((one: { tenant_id: string }) => one.tenant_id !== english.tenantId);
    const { reminders, reference } = (await show(kaputt.id)).collection;
    await admin.pool.query('update collections set reminders = 0 where invoice_id = $1', [kaputt.id]);
    expect(reminders).toBe(2);
    stripe.pay(reference);
    await runDunning(background, '2027-02-01T11:00:00.000Z');
    expect(await show(kaputt.id)).toMatchObject({ status: 'paid' });
  });
});
