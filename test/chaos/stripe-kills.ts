/**
 * Invoices that Stripe collects, by processes that die by SIGKILL at any step while Stripe (a stand-in that lives on)
 * fails, loses answers and tells what happened ten times over, in any order, or not at all.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import {
  billingRecords,
  type BillingRecords,
  type BillingTables,
} from '../../src/billing/billing-records.ts';
import { billingSettingsStream, keepSecret, systemMeta } from '../../src/billing/collection-deps.ts';
import { invoiceStream } from '../../src/billing/log-facts.ts';
import { outboxCheckpoint } from '../../src/billing/outbox-records.ts';
import { openDatabase } from '../../src/database.ts';
import { billingSettings } from '../../src/domain/billing-settings.ts';
import { invoice, type InvoiceCommand } from '../../src/domain/invoice.ts';
import { migrate } from '../../src/migrate.ts';
import { startProjector } from '../../src/projector.ts';
import { readModel } from '../../src/read-models.ts';
import { postgresStore } from '../../src/store/postgres.ts';
import type { EventStore } from '../../src/store/event-store.ts';
import { transact } from '../../src/transact.ts';
import { agencyRegistered, newEvent } from '../support/events.ts';
import { issuedInvoice } from '../support/issued-invoice.ts';
import { type Fault, startStripeServer, type StripeServer } from '../support/stripe-server.ts';
import { type Chance, chance } from './random.ts';
import { type Collected, FATES, judgePayments } from './stripe-judge.ts';
import {
  AGENCY,
  type CollectorTask,
  fastClock,
  SERVER_SECRET,
  STRIPE_KEY,
  WEBHOOK_SECRET,
} from './stripe-world.ts';

export interface StripeKillsRequest {
  /** An empty database, or a migrated one without events. */
  readonly url: string;
  readonly kills: number;
  readonly seed: number;
  readonly progress: (line: string) => void;
}

export interface StripeKillsResult {
  readonly kills: number;
  readonly faults: number;
  readonly invoices: number;
  readonly webhooks: number;
  /** How often the process died at each kind of step. */
  readonly places: Readonly<Record<string, number>>;
  readonly fates: Readonly<Record<string, number>>;
  /** From the last kill until everything agreed. */
  readonly reconciledSeconds: number;
  readonly seconds: number;
  readonly violations: readonly string[];
}

const ROOT = fileURLToPath(import.meta.url).replace(/(\/dist)?\/test\/chaos\/[^/]+$/, '');
const WORKER = join(ROOT, 'dist', 'test', 'chaos', 'stripe-worker.js');
const UNSETTLED_MAX = 10;
/** Of all steps, and of those at Stripe and the log. */
const DIE_AT_MAX = 250;
const DIE_AT_STRIPE_MAX = 50;
const QUERIES = 0.3;
const ROUND_MS = 40;
const COPIES = 10;
const UNTOLD = 0.1;
const FAULT = 0.25;
const FAULTS: readonly Fault[] = ['lost-before', 'lost-after', '500-before', '500-after', '409', '429'];
const RECONCILED_MS_MAX = 300_000;
const LOOK_MS = 500;
const log = pino({ level: 'silent' });

interface World {
  readonly stripe: StripeServer;
  readonly store: EventStore;
  readonly records: BillingRecords;
  readonly now: () => string;
  readonly random: Chance;
  readonly invoices: Collected[];
  /** Events that are still to be delivered, each as often as it comes. */
  readonly undelivered: number[];
  delivered: number;
  told: number;
  faults: number;
}

/** The process that collects, as its killer knows it. */
interface Victim {
  /** Null before it hears, and once it is dead. */
  port: number | null;
  readonly child: ChildProcess;
  readonly ended: Promise<string>;
}

export async function killCollectors(request: StripeKillsRequest): Promise<StripeKillsResult> {
  const { url, kills: wanted, progress } = request;
  const began = performance.now();
  const beganMs = Date.now();
  const stripe = await startStripeServer({ secretKey: STRIPE_KEY });
  const database = openDatabase<BillingTables>({ url, poolMax: 10, applicationName: 'chaos' });
  const { pool } = database;
  await migrate(database.db, join(ROOT, 'migrations'));
  const store = postgresStore({ pool, listenUrl: url, log });
  const projections = [readModel('invoices'), readModel('collections')];
  const projector = await startProjector({ store, pool, projections, log });
  const now = fastClock(beganMs);
  const random = chance(request.seed);
  const counts = { delivered: 0, told: 0, faults: 0 };
  const records = billingRecords(database);
  const world: World = { stripe, store, records, now, random, invoices: [], undelivered: [], ...counts };
  const places: Record<string, number> = {};
  let kills = 0;
  let victim: Victim | null = null;
  const start = (queries: boolean, dieAt: number) =>
    startVictim({ url, stripeUrl: stripe.url, beganMs, dieAt, queries });
  try {
    await settle(world, { pool, serverSecret: SERVER_SECRET, now });
    while (kills < wanted) {
      const queries = random.next() < QUERIES;
      victim ??= start(queries, random.between(1, queries ? DIE_AT_MAX : DIE_AT_STRIPE_MAX));
      await round(world, victim, true);
      const place = await Promise.race([victim.ended, pause(ROUND_MS, null)]);
      if (place === null) continue;
      victim = null;
      kills += 1;
      places[place] = (places[place] ?? 0) + 1;
      progress(`${kills} of ${wanted} kills, ${world.invoices.length} invoices, ${world.delivered} webhooks`);
    }
    const lastKill = performance.now();
    victim = start(false, 0);
    world.stripe.faults.length = 0;
    const violations = await untilReconciled(world, victim, lastKill);
    return {
      kills,
      faults: world.faults,
      invoices: world.invoices.length,
      webhooks: world.delivered,
      places,
      fates: countBy(world.invoices.map(({ fate }) => fate)),
      reconciledSeconds: Math.round((performance.now() - lastKill) / 1_000),
      seconds: Math.round((performance.now() - began) / 1_000),
      violations,
    };
  } finally {
    victim?.child.kill('SIGKILL');
    await victim?.ended;
    await projector.stop();
    await store.close();
    await database.close();
    await stripe.close();
  }
}

async function settle({ store, now }: World, secrets: Parameters<typeof keepSecret>[0]): Promise<void> {
  const registered = newEvent(agencyRegistered(), 'agency', { tenantId: null });
  await store.append([{ stream: `agency-${AGENCY}`, expected: 'none', events: [registered] }]);
  await keepSecret(secrets, AGENCY, 'stripe key', STRIPE_KEY);
  await keepSecret(secrets, AGENCY, 'stripe webhook', WEBHOOK_SECRET);
  const stripe = { accountId: 'acct_1', mode: 'test', methods: ['card', 'sepa_debit'] } as const;
  const command = { type: 'change', agencyId: AGENCY, settings: { stripe } } as const;
  const meta = systemMeta({ agencyId: AGENCY, tenantId: null }, 'chaos', 'set stripe', now());
  await transact(store, billingSettings, billingSettingsStream(AGENCY), command, meta);
  // Else what is issued before the first process reads the log would be from before its time.
  await outboxCheckpoint(secrets.pool, await store.head());
}

function startVictim(task: CollectorTask): Victim {
  const child = spawn(process.execPath, [WORKER, JSON.stringify(task)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  const victim: Victim = {
    port: null,
    child,
    ended: once(child, 'close').then(([code, signal]) => {
      victim.port = null;
      if (signal !== 'SIGKILL') return `by itself, ${signal ?? code}`;
      return /^died (.+)$/m.exec(said)?.[1] ?? 'elsewhere';
    }),
  };
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString();
    victim.port = Number(/^hears (\d+)$/m.exec(said)?.[1] ?? 0) || null;
  });
  return victim;
}

/** A little of everything that happens while the process works. */
async function round(world: World, victim: Victim, isAdding: boolean): Promise<void> {
  const { stripe, random, invoices, undelivered } = world;
  const unsettled = invoices.filter(({ open }) => open.length > 0);
  if (isAdding && unsettled.length < UNSETTLED_MAX) await issue(world);
  if (isAdding && stripe.faults.length === 0 && random.next() < FAULT) {
    stripe.faults.push(random.pick(FAULTS.map((fault) => [fault, 1])));
    world.faults += 1;
  }
  for (const one of unsettled) if (random.next() < 0.2) await actOn(world, one);
  for (; world.told < stripe.events.length; world.told += 1) {
    if (random.next() < UNTOLD) continue;
    for (let copy = 0; copy < COPIES; copy += 1) {
      undelivered.splice(random.between(0, undelivered.length), 0, world.told);
    }
  }
  await Promise.all(undelivered.splice(0, 6).map((event) => deliver(world, victim, event)));
}

async function issue({ store, records, invoices, random }: World): Promise<void> {
  const n = invoices.length + 1;
  // Tenants have more than one invoice, and are one customer all the same.
  const tenantId = `ten_${Math.ceil(n / 2)}`;
  const invoiceId = `inv_${n}`;
  const place = { agencyId: AGENCY, tenantId, invoiceId, number: `RE-2026-${String(n).padStart(5, '0')}` };
  const { kept, events } = issuedInvoice(place);
  await records.keepDocument(kept);
  const written = events.map((event, i) => newEvent(event, `${invoiceId} ${i}`, { tenantId }));
  await store.append([{ stream: invoiceStream(AGENCY, invoiceId), expected: 'none', events: written }]);
  const fate = random.pick(FATES.map(([name, , weight]) => [name, weight]));
  const [, steps] = FATES.find(([name]) => name === fate)!;
  invoices.push({ ...place, fate, open: [...steps] });
}

/** The next thing that becomes of the invoice, if it can happen already. */
async function actOn({ stripe, store, now }: World, one: Collected): Promise<void> {
  const { invoiceId, open } = one;
  const made = stripe
    .of('invoice')
    .find(({ metadata }) => (metadata as Record<string, string>)['keyledger_invoice'] === invoiceId);
  const isOpen = made?.['status'] === 'open';
  const note = (command: InvoiceCommand) =>
    transact(
      store,
      invoice,
      invoiceStream(AGENCY, invoiceId),
      command,
      systemMeta(one, 'chaos', `${command.type} ${invoiceId}`, now()),
    );
  switch (open[0]) {
    case 'fail':
      if (!isOpen) return;
      stripe.failPayment(made.id, 'the card was declined');
      break;
    case 'pay':
      if (!isOpen) return;
      stripe.pay(made.id);
      break;
    case 'cancel':
      await note({
        type: 'cancel',
        reason: 'wrong',
        cancellationId: `sto_${invoiceId}`,
        number: `ST-${invoiceId}`,
        issuedOn: '2026-12-02',
        documentHash: 'c'.repeat(64),
      });
      break;
    case 'transfer':
      await note({ type: 'pay', paidOn: '2026-12-05', method: 'bank transfer', reference: 'x' });
      break;
    default:
      return;
  }
  open.shift();
}

/** What is not acknowledged is told again, as Stripe does. */
async function deliver(world: World, { port }: Victim, n: number): Promise<void> {
  const { stripe, now, undelivered } = world;
  const seconds = Math.floor(Date.parse(now()) / 1_000);
  const { body, signature } = stripe.signed(stripe.events[n]!, WEBHOOK_SECRET, seconds);
  const answer =
    port === null
      ? null
      : await fetch(`http://127.0.0.1:${port}`, {
          method: 'POST',
          headers: { 'stripe-signature': signature },
          body,
        }).catch(() => null);
  if (answer?.status === 200) world.delivered += 1;
  else undelivered.push(n);
}

/** What does not agree in the end; [] as soon as everything does. */
async function untilReconciled(world: World, victim: Victim, sinceMs: number): Promise<readonly string[]> {
  for (;;) {
    await round(world, victim, false);
    await pause(ROUND_MS);
    const isOver = performance.now() - sinceMs > RECONCILED_MS_MAX;
    const isThrough = world.undelivered.length === 0 && world.invoices.every(({ open }) => open.length === 0);
    if (!isThrough && !isOver) continue;
    const broken = await judgePayments(world.store, world.stripe, world.invoices);
    if (broken.length === 0 || isOver) return broken;
    await pause(LOOK_MS);
  }
}

function countBy(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}
