import type { Kysely } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { billingRecords, type BillingTables } from '../../src/billing/billing-records.ts';
import { runOrPreview } from '../../src/billing/dry-run.ts';
import { openText } from '../../src/sealed-text.ts';
import { type Admin, type Answer, OWN, startAdmin } from '../support/admin.ts';
import { newEvent, spendRecorded } from '../support/events.ts';
import { startStripeServer, type StripeServer } from '../support/stripe-server.ts';
import { SELLER } from '../billing/documents/invoices.ts';
import {
  hook,
  MONTH,
  OWN_WAYS,
  QUESTIONS,
  type Sample,
  samples,
  STRIPE_KEY,
  tenantNamed,
} from '../support/repeated-writes.ts';

/** Every route that writes is sent twice under one Idempotency-Key, and a third time with something else. */

let admin: Admin;
let stripe: StripeServer;
/** What exists before, by name. */
const is: Record<string, string> = {};
let [retried, verified] = [0, 0];

beforeAll(async () => {
  stripe = await startStripeServer({ secretKey: STRIPE_KEY });
  admin = await startAdmin({
    stripeUrl: stripe.url,
    deps: {
      runInvoices: (request) => {
        const { store, now, settled, log } = admin.deps;
        const db = admin.db as unknown as Kysely<BillingTables>;
        const records = billingRecords({ pool: admin.pool, db });
        return runOrPreview({ store, records, now, settled, log }, request);
      },
    },
  });
  Object.assign(admin.deps.collection, {
    retry: (taskId: string) => {
      retried += 1;
      return Promise.resolve({
        taskId,
        kind: 'mail-invoice',
        agencyId: OWN.agencyId,
        tenantId: is['tenant'],
        invoiceId: '',
        status: 'waiting',
        attempts: retried,
        dueAt: admin.deps.now(),
        note: null,
        createdAt: admin.deps.now(),
        endedAt: null,
      });
    },
  });
  Object.assign(admin.deps.verification, {
    start: () => {
      verified += 1;
      return Promise.resolve();
    },
  });
  await admin.db
    .insertInto('contacts')
    .values({ subject_id: OWN.agencyId, version: 1, data: SELLER })
    .execute();
  is['tenant'] = (await made('/api/tenants', tenantNamed('Sonnenkorn'))).tenant.id;
  is['ending'] = (await made('/api/tenants', tenantNamed('Waldrand'))).tenant.id;
  is['organization'] = (await made('/organization/new', { organization_alias: 'Kranich' })).organization_id;
  await made('/team/new', { team_id: 'team-a', organization_id: is['organization'] });
  await made('/team/new', { team_id: 'team-z' });
  for (const user of ['ada', 'ben', 'cleo'])
    await made('/user/new', {
      user_id: user,
      user_email: `${user}@kunde.example`,
      user_role: 'internal_user',
      auto_create_key: false,
    });
  await made('/team/member_add', { team_id: 'team-a', member: { user_id: 'ben', role: 'user' } });
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f'])
    is[`key ${name}`] = (await made('/key/generate', { key_alias: `key-${name}` })).token;
  for (const id of ['visitor-a', 'visitor-b']) await made('/customer/new', { user_id: id });
  await made('/budget/new', { budget_id: 'budget-a', max_budget: 5 });
  await made('/tag/new', { name: 'tag-a' });
  for (const id of ['model-a', 'model-b'])
    await made('/model/new', {
      model_name: id,
      litellm_params: { model: 'openai/x', api_base: 'https://up.example/v1', api_key: 'k' },
      model_info: { id },
    });
  is['invitation'] = (await made('/invitation/new', { user_id: 'cleo' })).id;
  is['target'] = (await made(`/api/agencies/${OWN.agencyId}/alerts`, hook('first'))).id;
  is['credential'] = (await made('/api/credentials', { name: 'first', role: 'proxy_admin_viewer' })).id;
  is['auditor'] = (await made('/api/audit/credentials', { scope: 'tenant', id: is['tenant'] })).id;
  await spend(is['tenant']!);
  admin.setNow('2026-12-01T09:00:00.000Z');
}, 60_000);
afterAll(async () => {
  await admin?.close();
  await stripe?.close();
});

async function made(url: string, body: object): Promise<Answer['body']> {
  const answer = await admin.call({ url, body });
  expect(answer.status, `${url} ${JSON.stringify(answer.body)}`).toBeLessThan(300);
  return answer.body;
}

async function spend(tenantId: string): Promise<void> {
  const priceNanos = 12_345_678n;
  const line = { unit: 'output', quantity: 9, priceRate: 1n, priceNanos, costNanos: 1n } as const;
  const event = spendRecorded({ requestId: 'req_1', month: MONTH, lines: [line], priceNanos });
  const envelope = { agencyId: OWN.agencyId, tenantId, occurredAt: '2026-11-20T10:00:00.000Z' };
  const stream = `spend-${MONTH}-${tenantId}`;
  await admin.store.append([{ stream, expected: 'none', events: [newEvent(event, 'req_1', envelope)] }]);
}

const writes = () =>
  admin.app.routeTable.routes
    .filter(({ method, hidden }) => !hidden && !['GET', 'HEAD', 'OPTIONS'].includes(method))
    .map(({ method, url }) => `${method} ${url}`);

const urlOf = (route: string, at = ''): string => {
  const parts = at.split('/');
  return route.split(' ')[1]!.replaceAll(/:\w+/g, () => encodeURIComponent(parts.shift() ?? 'x'));
};

describe('Idempotency-Key', () => {
  test('has a sample of every route that writes, and none of others', () => {
    const covered = [...Object.keys(samples(is)), ...QUESTIONS, ...OWN_WAYS];
    expect(covered.toSorted()).toEqual(writes().toSorted());
  });

  test('makes one effect and one answer of a request that is sent twice, on every route', async () => {
    const faults: string[] = [];
    for (const route of Object.keys(samples(is))) {
      const sample = samples(is)[route]!;
      const headers = { 'idempotency-key': `once ${route}` };
      const send = ({ at, body }: Sample['other']) =>
        admin.call({
          method: route.split(' ')[0] as 'POST',
          url: urlOf(route, at),
          headers,
          ...(body === undefined ? {} : { body }),
        });
      const first = await send(sample);
      const head = await admin.store.head();
      const effects = [retried, verified];
      const again = await send(sample);
      const asked = JSON.stringify(sample.other) !== JSON.stringify(without(sample));
      const other = asked ? await send(sample.other) : null;
      const fault = (text: string, answer: Answer) =>
        faults.push(`${route}: ${text}: ${answer.status} ${JSON.stringify(answer.body).slice(0, 300)}`);
      if (first.status >= 300) fault('is not carried out', first);
      if (again.status !== first.status || JSON.stringify(again.body) !== JSON.stringify(first.body))
        fault(`answers differ: ${JSON.stringify(first.body).slice(0, 300)}`, again);
      if (other !== null && other.body?.error?.reason !== 'idempotency_key_reused')
        fault('another request is let through', other);
      if ((await admin.store.head()) !== head) fault('has another effect', again);
      if (String([retried, verified]) !== String(effects)) fault('is done again', again);
      if (route === 'POST /api/invoice-runs') is['invoice'] = finalizedIn(first);
    }
    expect(faults).toEqual([]);
  }, 60_000);

  test('keeps answers sealed, and none that shows a secret', async () => {
    const { rows } = await admin.pool.query<{ id: string; answer: string | null }>(
      'select id, answer from repeated_requests',
    );
    const answers = rows.flatMap(({ id, answer }) =>
      answer === null ? [] : [openText(admin.deps.serverSecret, answer, id)],
    );
    expect(answers.length).toBeGreaterThan(50);
    expect(
      answers.filter(
        (text) =>
          /sk-[\w-]{20,}|whsec_|signature=|"token":"[\w-]{20,}"/.test(text) &&
          !/"token":"[0-9a-f]{64}"/.test(text),
      ),
    ).toEqual([]);
  });

  test('of a refused request may be used again, once it is put right', async () => {
    const headers = { 'idempotency-key': 'put right' };
    const wrong = await admin.call({ url: '/key/block', headers, body: { key: 'f'.repeat(64) } });
    expect(wrong.status).toBe(404);
    const right = await admin.call({ url: '/key/block', headers, body: { key: is['key f'] } });
    expect(right.body).toMatchObject({ blocked: true });
    // Undone in between: the repetition neither does it again nor says that it is undone.
    await made('/key/unblock', { key: is['key f'] });
    const again = await admin.call({ url: '/key/block', headers, body: { key: is['key f'] } });
    expect(again.body).toEqual(right.body);
    const { body } = await admin.call({ url: `/key/info?key=${is['key f']}` });
    expect(body.info.blocked).toBe(false);
  });
});

function without({ other: _other, ...rest }: Sample): object {
  return rest;
}

function finalizedIn({ body }: Answer): string {
  const invoices = body.runs[0].invoices as readonly { readonly id: string; readonly status: string }[];
  const issued = invoices.find(({ status }) => status === 'finalized');
  expect(issued, JSON.stringify(invoices)).toBeDefined();
  return issued!.id;
}
