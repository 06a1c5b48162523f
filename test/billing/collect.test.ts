import * as fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { collect } from '../../src/billing/collect.ts';
import type { InvoicePlace } from '../../src/billing/collection-deps.ts';
import { type Collector, ProviderFailure } from '../../src/billing/collector.ts';
import { receive } from '../../src/billing/provider-told.ts';
import { stripeCollector } from '../../src/billing/stripe.ts';
import { invoice, type InvoiceCommand, type IssuedState } from '../../src/domain/invoice.ts';
import { load, transact } from '../../src/transact.ts';
import { systemMeta } from '../../src/billing/collection-deps.ts';
import { invoiceStream } from '../../src/billing/log-facts.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { type Fault, startStripeServer, type StripeServer } from '../support/stripe-server.ts';
import { type StripeSide, stripeSide, type Told } from '../support/stripe-side.ts';
import { AGENCY, type Collecting, startCollecting, STRIPE_KEY, WEBHOOK_SECRET } from './collecting.ts';

/** A secret key of a Stripe account in test mode: then these tests are about that account, not about the stand-in. */
const realKey = process.env['STRIPE_TEST_KEY'];
const REAL_URL = process.env['STRIPE_TEST_URL'] ?? 'https://api.stripe.com';
const isReal = realKey !== undefined;
const SLOW_MS = isReal ? 900_000 : 30_000;
const AT_REAL = isReal ? { timeout: SLOW_MS } : {};

let database: TestDatabase;
/** The stand-in; also there, and not used, when Stripe itself is asked. */
let stripe: StripeServer;
let side: StripeSide;
let collecting: Collecting;
let tenants = 0;
/** An account keeps what earlier runs made. */
const run36 = Date.now().toString(36);

beforeAll(async () => {
  database = await testDatabase();
  stripe = await startStripeServer({ secretKey: STRIPE_KEY });
  side = isReal ? stripeSide(REAL_URL, realKey) : stripeSide(stripe.url, STRIPE_KEY);
  collecting = await startCollecting(database, side.url, { secretKey: side.secretKey, series: `T${run36}` });
});
afterAll(async () => {
  await stripe?.close();
  await database?.drop();
});
beforeEach(() => {
  stripe.faults.length = 0;
  stripe.surcharge = 0;
  collecting.openCollector = stripeCollector(side.url);
});

const GROSS_CENTS = 5_832;
async function newInvoice(): Promise<InvoicePlace> {
  tenants += 1;
  return await collecting.invoice(`ten_${run36}_${tenants}`);
}
const run = (place: InvoicePlace) => collect(collecting.deps, place);
const stateOf = async ({ agencyId, invoiceId }: InvoicePlace) =>
  (await load(collecting.deps.store, invoice, invoiceStream(agencyId, invoiceId))) as IssuedState;
const madeOf = ({ invoiceId }: InvoicePlace) => side.invoicesOf(invoiceId);
const referenceOf = async (place: InvoicePlace) => (await stateOf(place)).payment.collection!.reference;

async function command(place: InvoicePlace, given: InvoiceCommand): Promise<void> {
  const { store, now } = collecting.deps;
  const meta = systemMeta(place, 'test', `${given.type} ${place.invoiceId}`, now());
  await transact(store, invoice, invoiceStream(place.agencyId, place.invoiceId), given, meta);
}
const cancel = (place: InvoicePlace) =>
  command(place, {
    type: 'cancel',
    reason: 'wrong',
    cancellationId: `sto_${place.invoiceId}`,
    number: 'RE-2026-09999',
    issuedOn: '2026-12-02',
    documentHash: 'c'.repeat(64),
  });
const transfer = { type: 'pay', paidOn: '2026-12-05', method: 'bank transfer', reference: 'x' } as const;

/** One customer, one open invoice with one item, for exactly what ours says. */
async function expectCollectedOnce(place: InvoicePlace): Promise<void> {
  const [made, ...others] = await madeOf(place);
  expect(others).toEqual([]);
  expect(made).toMatchObject({ status: 'open', total: GROSS_CENTS, amount_due: GROSS_CENTS });
  expect(await side.itemsOf(made!.id)).toHaveLength(1);
  expect(await side.customersOf(place.tenantId)).toHaveLength(1);
  expect((await stateOf(place)).payment.collection).toMatchObject({
    accountId: 'acct_1',
    reference: made!.id,
  });
}

describe('a finalised invoice', AT_REAL, () => {
  test('is made at Stripe once, with our number, each tax in its item, final, and mailed by nobody', async () => {
    const place = await newInvoice();
    expect(await run(place)).toMatchObject({ status: 'done' });
    await expectCollectedOnce(place);
    const [made] = await madeOf(place);
    const { finalized } = await stateOf(place);
    expect(made).toMatchObject({
      number: finalized.number,
      collection_method: 'send_invoice',
      auto_advance: false,
      payment_settings: { payment_method_types: ['card', 'sepa_debit'] },
      metadata: { keyledger_number: finalized.number, keyledger_document: finalized.documentHash },
    });
    const [item] = await side.itemsOf(made!.id);
    expect(item!.description).toBe('Netto 49.01 EUR zuzüglich 19 % USt. 9.31 EUR');
    const { rows } = await database.pool.query('select url from payment_links where invoice_id = $1', [
      place.invoiceId,
    ]);
    expect(rows).toEqual([{ url: made!.hosted_invoice_url }]);
    await run(place);
    await expectCollectedOnce(place);
  });

  test('asks for its customer under the same key when the note of that is lost', async () => {
    const place = await newInvoice();
    await run(place);
    await database.pool.query("delete from provider_steps where step_key like '%customer'");
    await run(place);
    expect(await side.customersOf(place.tenantId)).toHaveLength(1);
  });

  test('stops with what Stripe says when the key is refused, and the key is in no message', async () => {
    const place = await newInvoice();
    collecting.openCollector = () => stripeCollector(side.url)('sk_test_wrong0123456789');
    const worked = await run(place);
    expect(worked).toMatchObject({ status: 'stopped', note: expect.stringContaining('401') });
    expect(JSON.stringify(worked)).not.toContain('wrong0123456789');
    collecting.openCollector = stripeCollector(side.url);
    await run(place);
    await expectCollectedOnce(place);
  });
});

describe('an interruption', AT_REAL, () => {
  /** The collector; `reach` is called at every edge of a call: before it is sent, and after it was answered. */
  function watched(reach: (name: keyof Collector) => void): (key: string) => Collector {
    return (key) =>
      new Proxy(stripeCollector(side.url)(key), {
        get(collector, name: keyof Collector) {
          const call = collector[name] as (...args: unknown[]) => Promise<unknown>;
          return async (...args: unknown[]) => {
            reach(name);
            const answer = await call(...args);
            reach(name);
            return answer;
          };
        },
      });
  }

  /** Throws at the n-th edge. */
  function failingAt(
    edge: number,
    error: () => Error,
  ): { edges: () => number; open: typeof collecting.openCollector } {
    let passed = 0;
    const open = watched(() => {
      passed += 1;
      if (passed === edge) throw error();
    });
    return { edges: () => passed, open };
  }

  test('before or after any request leads to one invoice and one item all the same (K22 to K26)', async () => {
    const killed = () => new Error('killed');
    const whole = failingAt(0, killed);
    collecting.openCollector = whole.open;
    await run(await newInvoice());
    expect(whole.edges()).toBeGreaterThanOrEqual(12);
    for (let edge = 1; edge <= whole.edges(); edge += 1) {
      const place = await newInvoice();
      collecting.openCollector = failingAt(edge, killed).open;
      await expect(run(place), `edge ${edge}`).rejects.toThrow('killed');
      collecting.openCollector = stripeCollector(side.url);
      expect(await run(place), `edge ${edge}`).toMatchObject({ status: 'done' });
      await expectCollectedOnce(place);
    }
  });

  test('of a request or of its answer is waited out, whichever of them it is', async () => {
    const silent = () => new ProviderFailure('unknown', 'Stripe did not answer', false);
    const place = await newInvoice();
    for (let edge = 1; edge <= 12; edge += 1) {
      collecting.openCollector = failingAt(edge, silent).open;
      expect((await run(place)).status, `edge ${edge}`).toMatch(/waiting|done/);
    }
    collecting.openCollector = stripeCollector(side.url);
    await run(place);
    await expectCollectedOnce(place);
  });

  test('after everything was done but before it was noted is found again', async () => {
    const place = await newInvoice();
    const { store } = collecting.deps;
    const failing = {
      ...collecting.deps,
      store: { ...store, append: () => Promise.reject(new Error('killed')) },
    };
    await expect(collect(failing, place)).rejects.toThrow('killed');
    await run(place);
    await expectCollectedOnce(place);
  });
});

describe('an invoice that comes to an end', AT_REAL, () => {
  test('before it is open there loses its draft, and one that was never begun is left alone', async () => {
    const place = await newInvoice();
    const made = stripeCollector(side.url);
    collecting.openCollector = (key) => ({
      ...made(key),
      createItem: () => Promise.reject(new ProviderFailure('busy', 'not now', false)),
    });
    await run(place);
    expect(await madeOf(place)).toHaveLength(1);
    collecting.openCollector = made;
    await cancel(place);
    expect(await run(place)).toMatchObject({ status: 'done' });
    expect(await madeOf(place)).toEqual([]);
    expect(await run(place)).toMatchObject({ status: 'skipped' });
    const other = await newInvoice();
    await cancel(other);
    expect(await run(other)).toMatchObject({ status: 'skipped' });
  });

  test('by a Stornorechnung is void there, and refunded once when it was paid there', async () => {
    const open = await newInvoice();
    await run(open);
    await cancel(open);
    await run(open);
    expect(await madeOf(open)).toMatchObject([{ status: 'void' }]);

    const paid = await newInvoice();
    await run(paid);
    const reference = await referenceOf(paid);
    await side.pay(reference, 'good');
    await cancel(paid);
    const made = stripeCollector(side.url);
    collecting.openCollector = (key) => ({
      ...made(key),
      async refund(credit, idempotencyKey) {
        await made(key).refund(credit, idempotencyKey);
        throw new ProviderFailure('unknown', 'the answer is lost', false);
      },
    });
    expect(await run(paid)).toMatchObject({ status: 'waiting' });
    collecting.openCollector = made;
    await run(paid);
    await run(paid);
    expect(await side.creditsOf(reference)).toMatchObject([{ amount: GROSS_CENTS }]);
    await deliver(await side.told('refund.created', reference));
    expect((await stateOf(paid)).payment.refunds.size).toBe(1);
  });

  test('by a transfer is marked paid there, so that nobody pays it twice; who did is told', async () => {
    const place = await newInvoice();
    await run(place);
    await command(place, transfer);
    await run(place);
    expect(await madeOf(place)).toMatchObject([{ status: 'paid' }]);
    expect(await run(place)).toMatchObject({ status: 'done' });
    expect((await stateOf(place)).paid).toMatchObject({ method: 'bank transfer' });

    const twice = await newInvoice();
    await run(twice);
    await side.pay(await referenceOf(twice), 'good');
    await command(twice, transfer);
    expect(await run(twice)).toMatchObject({
      status: 'stopped',
      note: expect.stringContaining('paid twice'),
    });
  });

  test('by a payment that nobody told of is noted when it is looked at', async () => {
    const place = await newInvoice();
    await run(place);
    const reference = await referenceOf(place);
    await side.pay(reference, 'good');
    await run(place);
    expect((await stateOf(place)).paid).toMatchObject({ method: 'stripe', reference });
  });
});

const deliver = (told: Told) =>
  receive(
    collecting.deps,
    AGENCY,
    told.signed(WEBHOOK_SECRET, Math.floor(Date.parse(collecting.deps.now()) / 1_000)),
  );

test(
  'what Stripe tells of a failed and of a good payment is noted once, in any order and however often',
  AT_REAL,
  async () => {
    const place = await newInvoice();
    await run(place);
    const reference = await referenceOf(place);
    await side.pay(reference, 'declined');
    await side.pay(reference, 'good');
    const failed = await side.told('invoice.payment_failed', reference);
    const paid = await side.told('invoice.paid', reference);
    const outcomes: string[] = [];
    for (const told of [paid, failed, paid, failed]) outcomes.push((await deliver(told)).outcome);
    expect(outcomes).toEqual(['paid', 'too late', 'known already', 'known already']);
    expect((await stateOf(place)).paid).toMatchObject({ method: 'stripe', reference });
  },
);

describe.skipIf(isReal)('a failure that Stripe cannot be asked for', () => {
  test('a total that is another one there: it is not finalised, and nothing is charged', async () => {
    const place = await newInvoice();
    stripe.surcharge = 1;
    expect(await run(place)).toEqual({
      status: 'stopped',
      note: expect.stringContaining('total is 5833 cents, ours 5832: it was not finalised there'),
    });
    expect(await madeOf(place)).toMatchObject([{ status: 'draft' }]);
    expect((await stateOf(place)).payment.collection).toBeNull();
  });

  test('nothing is ever sent by Stripe itself', async () => {
    await run(await newInvoice());
    expect(stripe.requests.filter((request) => request.includes('/send'))).toEqual([]);
  });

  test.each<Fault>(['lost-before', 'lost-after', '500-before', '500-after', '409', '429'])(
    'the fault %s at any request that writes is made good by trying again',
    async (fault) => {
      for (let at = 0; at < 4; at += 1) {
        const place = await newInvoice();
        stripe.faults.push(...Array.from({ length: at }, () => null), fault);
        const worked = await run(place);
        expect(worked, `${fault} at ${at}`).toMatchObject({ status: 'waiting', retryAfterMs: null });
        for (let again = 0; again < 3; again += 1) await run(place);
        await expectCollectedOnce(place);
      }
    },
  );

  test('an outage of a day: the old key is never sent again, and what was made under it is found', async () => {
    for (const fault of ['lost-after', 'lost-before'] as const) {
      const place = await newInvoice();
      stripe.faults.push(null, fault);
      await run(place);
      stripe.laterHours += 25;
      collecting.billing.clock = new Date(
        Date.parse(collecting.billing.clock) + 25 * 3_600_000,
      ).toISOString();
      const asked = stripe.requests.length;
      expect(await run(place)).toMatchObject({ status: 'done' });
      expect(stripe.requests[asked]).toBe('GET invoices');
      await expectCollectedOnce(place);
    }
  });

  test('any mixture of faults ends in one invoice', async () => {
    const fault = fc.constantFrom<Fault | null>(
      null,
      'lost-before',
      'lost-after',
      '500-before',
      '500-after',
      '409',
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fault, { maxLength: 12 }), async (faults) => {
        const place = await newInvoice();
        stripe.faults.push(...faults);
        for (let tries = 0; (await run(place)).status !== 'done'; tries += 1) expect(tries).toBeLessThan(30);
        await expectCollectedOnce(place);
        stripe.faults.length = 0;
      }),
      { numRuns: 15 },
    );
  });
});
