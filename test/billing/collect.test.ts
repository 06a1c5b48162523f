import * as fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { collect } from '../../src/billing/collect.ts';
import type { InvoicePlace } from '../../src/billing/collection-deps.ts';
import type { Collector } from '../../src/billing/collector.ts';
import { stripeCollector } from '../../src/billing/stripe.ts';
import { invoice, type InvoiceCommand, type IssuedState } from '../../src/domain/invoice.ts';
import { load, transact } from '../../src/transact.ts';
import { systemMeta } from '../../src/billing/collection-deps.ts';
import { invoiceStream } from '../../src/billing/log-facts.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { type Fault, startStripeServer, type StripeServer } from '../support/stripe-server.ts';
import { AGENCY, type Collecting, startCollecting, STRIPE_KEY } from './collecting.ts';

let database: TestDatabase;
let stripe: StripeServer;
let collecting: Collecting;
let tenants = 0;

beforeAll(async () => {
  database = await testDatabase();
  stripe = await startStripeServer({ secretKey: STRIPE_KEY });
  collecting = await startCollecting(database, stripe.url);
});
afterAll(async () => {
  await stripe?.close();
  await database?.drop();
});
beforeEach(() => {
  stripe.faults.length = 0;
  stripe.surcharge = 0;
  collecting.openCollector = stripeCollector(stripe.url);
});

const GROSS_CENTS = 5_832;
async function newInvoice(): Promise<InvoicePlace> {
  tenants += 1;
  return await collecting.invoice(`ten_c${tenants}`);
}
const run = (place: InvoicePlace) => collect(collecting.deps, place);
const stateOf = async ({ agencyId, invoiceId }: InvoicePlace) =>
  (await load(collecting.deps.store, invoice, invoiceStream(agencyId, invoiceId))) as IssuedState;
const metadataOf = (thing: { readonly [name: string]: unknown }) =>
  thing['metadata'] as Record<string, string>;
const invoicesOf = ({ invoiceId }: InvoicePlace) =>
  stripe.of('invoice').filter((one) => metadataOf(one)['keyledger_invoice'] === invoiceId);

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
  const [made, ...others] = invoicesOf(place);
  expect(others).toEqual([]);
  expect(made).toMatchObject({ status: 'open', total: GROSS_CENTS, amount_due: GROSS_CENTS });
  expect(stripe.of('invoiceitem').filter((item) => item['invoice'] === made!.id)).toHaveLength(1);
  const customers = stripe
    .of('customer')
    .filter((one) => metadataOf(one)['keyledger_tenant'] === place.tenantId);
  expect(customers).toHaveLength(1);
  expect((await stateOf(place)).payment.collection).toMatchObject({
    accountId: 'acct_1',
    reference: made!.id,
  });
}

describe('a finalised invoice', () => {
  test('is made at Stripe once, with our number, each tax in its item, final, and mailed by nobody', async () => {
    const place = await newInvoice();
    expect(await run(place)).toMatchObject({ status: 'done' });
    await expectCollectedOnce(place);
    const [made] = invoicesOf(place);
    const { finalized } = await stateOf(place);
    expect(made).toMatchObject({
      number: finalized.number,
      collection_method: 'send_invoice',
      auto_advance: 'false',
      days_until_due: '14',
      pending_invoice_items_behavior: 'exclude',
      payment_settings: { payment_method_types: { 0: 'card', 1: 'sepa_debit' } },
      metadata: { keyledger_number: finalized.number, keyledger_document: finalized.documentHash },
    });
    const item = stripe.of('invoiceitem').find(({ invoice }) => invoice === made!.id);
    expect(item!['description']).toBe('Netto 49.01 EUR zuzüglich 19 % USt. 9.31 EUR');
    const { rows } = await database.pool.query('select url from payment_links where invoice_id = $1', [
      place.invoiceId,
    ]);
    expect(rows).toEqual([{ url: `https://pay.example/${made!.id}` }]);
    expect(stripe.requests.filter((request) => request.includes('/send'))).toEqual([]);
    await run(place);
    await expectCollectedOnce(place);
  });

  test('asks for its customer under the same key when the note of that is lost', async () => {
    const place = await newInvoice();
    await run(place);
    const before = stripe.of('customer').length;
    await database.pool.query("delete from provider_steps where step_key like '%customer'");
    const again = { ...place, tenantId: place.tenantId };
    await run(again);
    expect(stripe.of('customer')).toHaveLength(before);
  });

  test('is not finalised there when the total is another one, and nothing is charged', async () => {
    const place = await newInvoice();
    stripe.surcharge = 1;
    expect(await run(place)).toEqual({
      status: 'stopped',
      note: expect.stringContaining('total is 5833 cents, ours 5832: it was not finalised there'),
    });
    expect(invoicesOf(place)).toMatchObject([{ status: 'draft' }]);
    expect((await stateOf(place)).payment.collection).toBeNull();
  });

  test('stops with what Stripe says when the key is refused, and the key is in no message', async () => {
    const place = await newInvoice();
    collecting.openCollector = () => stripeCollector(stripe.url)('sk_test_wrong0123456789');
    const worked = await run(place);
    expect(worked).toMatchObject({ status: 'stopped', note: expect.stringContaining('401') });
    expect(JSON.stringify(worked)).not.toContain('wrong0123456789');
    collecting.openCollector = stripeCollector(stripe.url);
    await run(place);
    await expectCollectedOnce(place);
  });
});

describe('an interruption', () => {
  /** The collector, killed at the n-th edge of a call: before it is sent, or after it was answered. */
  function killedAt(edge: number): { edges: () => number; open: (key: string) => Collector } {
    let passed = 0;
    const reach = () => {
      passed += 1;
      if (passed === edge) throw new Error('killed');
    };
    const open = (key: string): Collector =>
      new Proxy(stripeCollector(stripe.url)(key), {
        get(collector, name: keyof Collector) {
          const call = collector[name] as (...args: unknown[]) => Promise<unknown>;
          return async (...args: unknown[]) => {
            reach();
            const answer = await call(...args);
            reach();
            return answer;
          };
        },
      });
    return { edges: () => passed, open };
  }

  test('before or after any request leads to one invoice and one item all the same (K22 to K26)', async () => {
    const whole = killedAt(0);
    collecting.openCollector = whole.open;
    await run(await newInvoice());
    expect(whole.edges()).toBeGreaterThanOrEqual(12);
    for (let edge = 1; edge <= whole.edges(); edge += 1) {
      const place = await newInvoice();
      collecting.openCollector = killedAt(edge).open;
      await expect(run(place), `edge ${edge}`).rejects.toThrow('killed');
      collecting.openCollector = stripeCollector(stripe.url);
      expect(await run(place), `edge ${edge}`).toMatchObject({ status: 'done' });
      await expectCollectedOnce(place);
    }
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

  test.each<Fault>(['lost-before', 'lost-after', '500-before', '500-after', '409', '429'])(
    'by the fault %s at any request that writes is made good by trying again',
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

  test('of a day: the old key is never sent again, and what was made under it is found', async () => {
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

  test('by any mixture of faults ends in one invoice', async () => {
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

describe('an invoice that comes to an end', () => {
  test('before it is open there loses its draft, and one that was never begun is left alone', async () => {
    const place = await newInvoice();
    stripe.faults.push(null, null, '429');
    await run(place);
    expect(invoicesOf(place)).toHaveLength(1);
    await cancel(place);
    expect(await run(place)).toMatchObject({ status: 'done' });
    expect(invoicesOf(place)).toEqual([]);
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
    expect(invoicesOf(open)).toMatchObject([{ status: 'void' }]);

    const paid = await newInvoice();
    await run(paid);
    stripe.pay(invoicesOf(paid)[0]!.id);
    await cancel(paid);
    stripe.faults.push('500-after');
    expect(await run(paid)).toMatchObject({ status: 'waiting' });
    await run(paid);
    await run(paid);
    const reference = invoicesOf(paid)[0]!.id;
    expect(stripe.of('credit_note').filter((note) => note['invoice'] === reference)).toHaveLength(1);
  });

  test('by a transfer is marked paid there, so that nobody pays it twice; who did is told', async () => {
    const place = await newInvoice();
    await run(place);
    await command(place, transfer);
    await run(place);
    expect(invoicesOf(place)).toMatchObject([{ status: 'paid' }]);
    expect(await run(place)).toMatchObject({ status: 'done' });
    expect((await stateOf(place)).paid).toMatchObject({ method: 'bank transfer' });

    const twice = await newInvoice();
    await run(twice);
    stripe.pay(invoicesOf(twice)[0]!.id);
    await command(twice, transfer);
    expect(await run(twice)).toMatchObject({
      status: 'stopped',
      note: expect.stringContaining('paid twice'),
    });
  });

  test('by a payment that nobody told of is noted when it is looked at', async () => {
    const place = await newInvoice();
    await run(place);
    stripe.pay(invoicesOf(place)[0]!.id);
    await run(place);
    expect((await stateOf(place)).paid).toMatchObject({
      method: 'stripe',
      reference: invoicesOf(place)[0]!.id,
    });
  });
});

/** STRIPE_TEST_KEY: a secret key of a Stripe account in test mode. */
const realKey = process.env['STRIPE_TEST_KEY'];
test.skipIf(realKey === undefined)("is made and taken back at Stripe's own test mode", async () => {
  const real = await startCollecting(database, 'https://api.stripe.com', realKey);
  const place = await real.invoice(`ten_real${Date.now()}`);
  expect(await collect(real.deps, place)).toMatchObject({ status: 'done' });
  const state = (await load(real.deps.store, invoice, invoiceStream(AGENCY, place.invoiceId))) as IssuedState;
  const collector = stripeCollector('https://api.stripe.com')(realKey!);
  const reference = state.payment.collection!.reference;
  expect(await collector.invoice(reference)).toMatchObject({ status: 'open', totalCents: 5_832n });
  await collector.void(reference);
});
