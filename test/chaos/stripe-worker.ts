/**
 * A process of test/chaos/stripe-kills.ts: what a server does about payments (outbox, webhooks, reconciling), until it
 * dies where it was told. Says on standard output where its webhooks are heard.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { backgroundDeps, workTask } from '../../src/billing/background.ts';
import type { BillingTables } from '../../src/billing/billing-records.ts';
import type { Collector } from '../../src/billing/collector.ts';
import { startOutbox } from '../../src/billing/outbox.ts';
import { receive } from '../../src/billing/provider-told.ts';
import { reconcileOpen } from '../../src/billing/reconcile.ts';
import { stripeCollector } from '../../src/billing/stripe.ts';
import { openDatabase } from '../../src/database.ts';
import { Refusal } from '../../src/errors.ts';
import { postgresStore } from '../../src/store/postgres.ts';
import { dyingAt, stepping } from './dying.ts';
import { AGENCY, type CollectorTask, fastClock, SERVER_SECRET } from './stripe-world.ts';

const RECONCILE_MS = 1_000;
const CALLS: readonly (keyof Collector)[] = [
  'findCustomer',
  'createCustomer',
  'findInvoice',
  'createInvoice',
  'items',
  'createItem',
  'invoice',
  'finalize',
  'deleteDraft',
  'void',
  'markPaidElsewhere',
  'credits',
  'refund',
  'invoiceOfPayment',
  'refundById',
];

const task = JSON.parse(process.argv[2] ?? '') as CollectorTask;
const { url, stripeUrl, beganMs, dieAt, queries } = task;
const log = pino({ level: 'silent' });
const step = dyingAt(dieAt);
const now = fastClock(beganMs);
const database = openDatabase<BillingTables>({ url, poolMax: 10, applicationName: 'collector' });
const pool = queries ? stepping(database.pool, ['query'], step) : database.pool;
const store = stepping(
  postgresStore({ pool: database.pool, listenUrl: url, log, pollMs: 100 }),
  ['append'],
  step,
);
const deps = {
  ...backgroundDeps({
    store,
    pool,
    db: database.db,
    now,
    settled: () => Promise.resolve(),
    serverSecret: SERVER_SECRET,
    log,
    health: () => [],
    settings: { STRIPE_URL: stripeUrl, ALERT_HOSTS_ALLOWED: [] },
  }),
  openCollector: (key: string) => stepping(stripeCollector(stripeUrl)(key), CALLS, step),
};

async function hear(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let body = '';
  for await (const chunk of request) body += String(chunk);
  const signature = String(request.headers['stripe-signature']);
  try {
    await receive(deps, AGENCY, { body, signature });
    response.writeHead(200).end();
  } catch (error) {
    response.writeHead(error instanceof Refusal ? 502 : 500).end();
  }
}

startOutbox({ store, pool, now, log, work: workTask(deps) });
setInterval(() => void reconcileOpen(deps).catch(() => undefined), RECONCILE_MS);
const server = createServer((request, response) => void hear(request, response));
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`hears ${(server.address() as AddressInfo).port}\n`);
});
