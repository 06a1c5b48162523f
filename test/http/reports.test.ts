import { afterAll, beforeAll, expect, test } from 'vitest';
import { spendRecorded } from '../support/events.ts';
import { append } from '../support/histories.ts';
import { type Admin, OWN, startAdmin } from '../support/admin.ts';
import { someTerms } from '../support/terms.ts';

const EUR = 1_000_000_000n;
const RATE = 2n * EUR;

let admin: Admin;
let tenantId: string;
beforeAll(async () => {
  const small = { inputRate: RATE, cachedInputRate: RATE, outputRate: 3n * RATE };
  const studio = someTerms({
    plan: 'studio',
    monthlyFeeNanos: 0n,
    prices: { models: { small }, markupPercent: null },
  });
  const steps = [
    { upTo: 1_000_000n, rate: EUR },
    { upTo: null, rate: EUR / 2n },
  ];
  const tiers = { input: { mode: 'graduated', steps, packageSize: 0n } } as const;
  const cheap = { inputRate: EUR, cachedInputRate: EUR, outputRate: EUR, tiers };
  const other = someTerms({
    plan: 'other',
    monthlyFeeNanos: 10n * EUR,
    includedUsageNanos: EUR,
    prices: { models: { small: cheap }, markupPercent: '50' },
  });
  const served = { upstreamModel: null, baseUrl: 'http://127.0.0.1:1/v1', maxOutputTokens: 100 };
  const models = () => [{ ...served, publicName: 'small', id: 'own', monthlyCostNanos: 90n * EUR }];
  admin = await startAdmin({ terms: [studio, other], deps: { models } });
  const billing = {
    name: 'A',
    street: 'B 1',
    postal_code: '1',
    city: 'C',
    country: 'DE',
    email: 'a@b.example',
  };
  const answer = await admin.call({ url: '/api/tenants', body: { name: 'A', plan: 'studio', billing } });
  tenantId = answer.body.tenant.id;
  const spend = (
    requestId: string,
    model: string,
    projectId: string | null,
    tokens: number,
    costNanos: bigint,
  ) => {
    const priceNanos = (RATE / 1_000_000n) * BigInt(tokens);
    const line = { unit: 'input', quantity: tokens, priceRate: RATE, priceNanos, costNanos } as const;
    const usage = { inputTokens: tokens, cachedInputTokens: 0, outputTokens: 0, reasoningTokens: 0 };
    const facts = { requestId, model, projectId, usage, deployment: 'own', month: '2026-11', lines: [line] };
    const event = spendRecorded({ ...facts, admittedAt: '2026-11-10T10:00:00.000Z', priceNanos, costNanos });
    return { event, envelope: { agencyId: OWN.agencyId, tenantId } };
  };
  await append(admin.store, [
    spend('req_1', 'small', 'prj_1', 2_000_000, 0n),
    spend('req_2', 'small', 'prj_2', 1_000_000, 0n),
    spend('req_3', 'large', 'prj_2', 1_000_000, 2n * EUR),
    spend('req_4', 'free', null, 2_000_000, 0n),
  ]);
});
afterAll(() => admin?.close());

test('the margin of a month is price less cost less the share of flat fees, by project, as JSON and CSV', async () => {
  const { body } = await admin.call({ url: '/api/reports/margin?period=2026-11' });
  const row = (project: string | null, price: string, cost: string, flat: string, margin: string) =>
    expect.objectContaining({
      tenant_id: tenantId,
      project_id: project,
      price: { amount: price, currency: 'EUR' },
      cost: { amount: cost, currency: 'EUR' },
      flat_cost: { amount: flat, currency: 'EUR' },
      margin: { amount: margin, currency: 'EUR' },
    });
  expect(body.data).toEqual([
    row(null, '4.00', '0.00', '30.00', '-26.00'),
    row('prj_1', '4.00', '0.00', '30.00', '-26.00'),
    row('prj_2', '4.00', '2.00', '30.00', '-28.00'),
  ]);
  const csv = await admin.call({ url: '/api/reports/margin?period=2026-11&format=csv' });
  expect(String(csv.headers['content-type'])).toContain('text/csv');
  const lines = Buffer.from(csv.body as string)
    .toString()
    .trim()
    .split('\r\n');
  expect(lines).toHaveLength(4);
  expect(lines[3]).toBe(`2026-11,age_test,${tenantId},prj_2,2,2000000,4.00,2.00,30.00,-28.00,EUR`);
  const empty = await admin.call({ url: '/api/reports/margin?period=2026-10' });
  expect(empty.body).toMatchObject({ data: [], unspread: [{ deployment: 'own' }] });
});

test('a month under another plan: its prices, tiers, markup on cost, fee and included usage', async () => {
  const head = await admin.store.head();
  const { status, body } = await admin.call({
    url: '/api/invoices/preview',
    body: { tenant_id: tenantId, period: '2026-11', plan: 'other' },
  });
  expect(status).toBe(200);
  const told = body.lines.map((line: Record<string, string | null>) =>
    [line['kind'], line['project_id'], line['model'], line['net']].join(' '),
  );
  expect(told).toEqual([
    'fee   10.00',
    'usage prj_1 small 2.00',
    // 2.00 per million at cost, plus 50 %.
    'usage prj_2 large 3.00',
    'usage prj_2 small 1.00',
    // Three million: one at 1.00, two at 0.50.
    'tier  small -1.00',
    'included   -1.00',
  ]);
  expect(body).toMatchObject({ net: '14.00', recorded: '12', unpriced: ['free input'] });
  expect(await admin.store.head()).toBe(head);
  const unknown = await admin.call({
    url: '/api/invoices/preview',
    body: { tenant_id: tenantId, period: '2026-12', plan: 'other' },
  });
  expect(unknown.body.error.reason).toBe('period_not_started');
});
