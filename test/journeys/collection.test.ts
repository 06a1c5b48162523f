import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { startStripeServer, type StripeServer } from '../support/stripe-server.ts';
import { type Server, startServer, temporaryDataDir } from './server.ts';

/** The program is killed while it collects an invoice, after Stripe has done what it was asked for. */
const KEY = 'sk_test_journey0123456789';
const AGENCY = 'age_main';
const data = temporaryDataDir();
let database: TestDatabase;
let stripe: StripeServer;
let server: Server | null = null;

beforeAll(async () => {
  database = await testDatabase();
  stripe = await startStripeServer({ secretKey: KEY });
});
afterAll(async () => {
  await server?.stop();
  await stripe?.close();
  await database?.drop();
  data.remove();
});

/** The process that is starting or running. */
let child: ChildProcess | null = null;

const start = () =>
  startServer(
    data.path,
    {
      DATABASE_URL: database.url,
      STRIPE_URL: stripe.url,
      AGENCY_NAME: 'Agentur Nord GmbH',
      AGENCY_STREET: 'Speicherstraße 7',
      AGENCY_POSTAL_CODE: '24103',
      AGENCY_CITY: 'Kiel',
      AGENCY_EMAIL: 'rechnung@nord.example',
      AGENCY_VAT_ID: 'DE811569869',
    },
    (spawned) => {
      child = spawned;
    },
  );

async function ended(): Promise<void> {
  if (child!.signalCode === null && child!.exitCode === null) await once(child!, 'exit');
}

test('an invoice is collected once, though the program is killed after the draft and after the finalising (K23, K26)', {
  timeout: 120_000,
}, async () => {
  server = await start();
  const secrets = { secret_key: KEY, webhook_secret: 'whsec_journey0123456789' };
  expect((await server.api('PUT', `/api/agencies/${AGENCY}/stripe`, secrets)).status).toBe(200);
  const killing = [/^POST invoices$/, /finalize$/];
  stripe.written = async (request) => {
    if (killing[0]?.test(request) !== true) return;
    killing.shift();
    child?.kill('SIGKILL');
    await ended();
  };
  const tenant = {
    name: 'Sonnenkorn',
    plan: 'studio',
    billing: {
      name: 'Sonnenkorn GmbH',
      street: 'Weg 1',
      postal_code: '12345',
      city: 'Ort',
      country: 'DE',
      email: 'post@sonnenkorn.example',
    },
    projects: [],
  };
  expect((await server.api('POST', '/api/tenants', tenant)).status).toBe(201);
  const period = new Date().toISOString().slice(0, 7);
  await server.api('POST', '/api/invoice-runs', { period }).catch(() => undefined);
  await ended();
  // It goes on at once, so it may be killed before it is ready to be asked anything.
  await start().catch(() => undefined);
  await ended();
  server = await start();
  const { body } = await server.api<{ data: { id: string }[] }>('GET', '/api/invoices');
  expect(body.data).toHaveLength(1);
  const show = async () =>
    (
      await server!.api<{ collection: { reference: string | null } }>(
        'GET',
        `/api/invoices/${body.data[0]!.id}`,
      )
    ).body;
  while ((await show()).collection.reference === null) await pause(100);
  expect(killing).toEqual([]);
  expect(stripe.of('invoice')).toMatchObject([{ status: 'open' }]);
  expect(stripe.of('invoiceitem')).toHaveLength(1);
  expect(stripe.of('customer')).toHaveLength(1);
});
