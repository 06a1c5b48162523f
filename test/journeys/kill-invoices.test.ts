import { afterAll, beforeEach, expect, test } from 'vitest';
import { killInvoiceRuns } from '../chaos/invoice-run-kills.ts';
import { killCollectors } from '../chaos/stripe-kills.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

/** A little of test/chaos/invoices.ts and test/chaos/stripe.ts, whose full runs have 50 and 300 kills. */
const databases: TestDatabase[] = [];
let url = '';

beforeEach(async () => {
  const database = await testDatabase();
  databases.push(database);
  ({ url } = database);
});
afterAll(async () => {
  for (const database of databases) await database.drop();
});

const progress = (): void => undefined;

test('invoice runs at once that die by SIGKILL number every invoice once, without gaps, and change nothing that is final', {
  timeout: 120_000,
}, async () => {
  const sizes = { processes: 2, lanes: 4, kills: 2, agencies: 2, tenants: 4, months: 1 };
  const result = await killInvoiceRuns({ ...sizes, url, seed: 11, progress });
  expect(result).toMatchObject({ violations: [], invoices: 8 });
  expect(result.kills).toBeGreaterThan(0);
});

test('invoices are collected and charged once, though who collects them dies by SIGKILL and Stripe fails, loses answers and repeats itself', {
  timeout: 120_000,
}, async () => {
  const result = await killCollectors({ url, kills: 2, seed: 12, progress });
  expect(result).toMatchObject({ violations: [], kills: 2 });
  expect(result.invoices).toBeGreaterThan(5);
  expect(result.webhooks).toBeGreaterThan(20);
});
