import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { applyDueContracts } from '../../src/http/due-contracts.ts';
import { type Admin, startAdmin } from '../support/admin.ts';
import { someLimits, someTerms } from '../support/terms.ts';

const EUR = 1_000_000_000n;
const plan = (name: string, fee: bigint, requestsPerMinute: number, different = {}) =>
  someTerms({
    plan: name,
    monthlyFeeNanos: fee * EUR,
    includedUsageNanos: 30n * EUR,
    limits: { production: someLimits({ requestsPerMinute }), staging: someLimits({ requestsPerMinute: 30 }) },
    ...different,
  });

let admin: Admin;
beforeAll(async () => {
  const noticed = plan('noticed', 20n, 60, { notice: '30d' });
  const keyRules = { lifetimeMax: '30d', rotation: '7d', keysMax: 3, projectsMax: 1 };
  const ruled = plan('ruled', 20n, 60, { keyRules });
  admin = await startAdmin({ terms: [plan('starter', 49n, 100), plan('studio', 149n, 500), noticed, ruled] });
});
afterAll(() => admin?.close());

const billing = {
  name: 'Kaffee GmbH',
  street: 'Markt 3',
  postal_code: '24103',
  city: 'Kiel',
  country: 'DE',
  email: 'rechnung@kaffee.example',
};

async function onboarded(planName = 'starter') {
  admin.setNow('2026-11-11T10:00:00.000Z');
  const body = { name: 'Kaffee', plan: planName, billing, projects: [{ name: 'Shop' }] };
  const { tenant, projects } = (await admin.call({ url: '/api/tenants', body })).body;
  const [production, staging] = projects[0].keys as { id: string; token: string }[];
  const url = `/api/tenants/${tenant.id}/contract`;
  return { id: tenant.id as string, url, production: production!, staging: staging! };
}

async function limitsOf({ id }: { readonly id: string }) {
  const { body } = await admin.call({ url: `/api/tenants/${id}` });
  const keys = body.projects.flatMap((project: { keys: { id: string; limits: object }[] }) => project.keys);
  return new Map<string, Record<string, unknown>>(
    keys.map((key: { id: string; limits: Record<string, unknown> }) => [key.id, key.limits]),
  );
}

describe('a preview', () => {
  test('says what the change would do to each key and to this month, and changes nothing', async () => {
    const tenant = await onboarded();
    const head = await admin.store.head();
    const { status, body } = await admin.call({ url: `${tenant.url}/preview`, body: { plan: 'studio' } });
    expect(status).toBe(200);
    expect(body).toMatchObject({ kind: 'upgrade', effective_from: '2026-11-11T10:00:00.000Z', dropped: [] });
    expect(body.keys).toMatchObject([
      { id: tenant.production.id, changes: [{ limit: 'requests_per_minute', before: '100', after: '500' }] },
    ]);
    // 20 of 30 days: 49.00 - 16.33 = 32.67, and 149.00 - 49.67 = 99.33 for a change on the first of them.
    expect(body.month).toEqual({
      period: '2026-11',
      fee: { before: { amount: '32.67', currency: 'EUR' }, after: { amount: '99.33', currency: 'EUR' } },
      included_usage: {
        before: { amount: '20.00', currency: 'EUR' },
        after: { amount: '20.00', currency: 'EUR' },
      },
    });
    expect(await admin.store.head()).toBe(head);
  });

  test('is exactly what the change does', async () => {
    const tenant = await onboarded();
    await admin.call({ url: '/key/update', body: { key: tenant.staging.token, rpm_limit: 7 } });
    admin.setNow('2026-11-21T10:00:00.000Z');
    const agreed = { staging: { requests_per_minute: 90, parallel_requests: 40 } };
    const asked = { plan: 'studio', agreed };
    const preview = (await admin.call({ url: `${tenant.url}/preview`, body: asked })).body;
    const changed = await admin.call({
      url: tenant.url,
      body: asked,
      headers: { 'idempotency-key': tenant.id },
    });
    const { position: _position, ...told } = changed.body;
    const { id: _, ...after } = told.after;
    const { id: __, ...promised } = preview.after;
    expect({ ...told, after }).toEqual({ ...preview, after: promised });
    const limits = await limitsOf(tenant);
    for (const key of preview.keys as { id: string; after: object }[])
      expect(limits.get(key.id)).toEqual(key.after);
    // Set lower by hand, and so left alone; agreed higher than the plan.
    expect(limits.get(tenant.staging.id)).toMatchObject({ requests_per_minute: 7, parallel_requests: 40 });
    const repeated = await admin.call({
      url: tenant.url,
      body: asked,
      headers: { 'idempotency-key': tenant.id },
    });
    expect([repeated.status, repeated.body]).toEqual([200, changed.body]);
  });
});

describe('what is agreed apart from the plan', () => {
  const cheaper = { input: '0.10', cached_input: '0.05', output: '0.40' };

  test('may be prices and discounts, which begin with the change and are shown', async () => {
    const tenant = await onboarded();
    const agreed = {
      prices: { models: { 'demo-small': cheaper } },
      discounts: [
        { name: 'Treue', of: 'usage', percent: '10' },
        { name: 'Start', amount: '20.00', until: '2027-01' },
      ],
    };
    const { body } = await admin.call({ url: tenant.url, body: { agreed, effective: 'next_period' } });
    expect(body.after).toMatchObject({ plan: 'starter', prices: { models: { 'demo-small': {} } } });
    expect(body.after.agreed).toEqual({
      prices: {
        models: {
          'demo-small': {
            input: { amount: '0.10', currency: 'EUR' },
            cached_input: { amount: '0.05', currency: 'EUR' },
            output: { amount: '0.40', currency: 'EUR' },
          },
        },
      },
      discounts: [
        { name: 'Treue', of: 'usage', percent: '10', from: '2026-12', until: null },
        {
          name: 'Start',
          of: 'all',
          amount: { amount: '20.00', currency: 'EUR' },
          from: '2026-12',
          until: '2027-01',
        },
      ],
    });
  });

  test.each([
    [{ discounts: [{ name: 'a', percent: '10', amount: '5.00' }] }, 'write either percent or amount'],
    [{ discounts: [{ name: 'a', percent: '101' }] }, 'more than 0 and at most 100'],
    [
      {
        discounts: [
          { name: 'a', amount: '1.00' },
          { name: 'a', amount: '2.00' },
        ],
      },
      'give each another name',
    ],
    [{ prices: { models: { 'demo-small': { ...cheaper, input: '0.0001' } } } }, 'at most three decimals'],
    [{ staging: { request_per_minute: 5 } }, 'request_per_minute'],
  ])('is refused when it makes no sense: %j', async (agreed, problem) => {
    const tenant = await onboarded();
    const { status, body } = await admin.call({ url: `${tenant.url}/preview`, body: { agreed } });
    expect([status, body.error.message]).toEqual([422, expect.stringContaining(problem)]);
  });
});

describe('a change', () => {
  test('to less comes into force with the next period by itself, once, and shows until then', async () => {
    const tenant = await onboarded('studio');
    const { body } = await admin.call({ url: tenant.url, body: { plan: 'starter' } });
    expect(body).toMatchObject({ kind: 'downgrade', effective_from: '2026-11-30T23:00:00.000Z' });
    const shown = (await admin.call({ url: `/api/tenants/${tenant.id}` })).body;
    expect(shown).toMatchObject({
      contract: { plan: 'studio' },
      planned: [{ effective_from: '2026-11-30T23:00:00.000Z', plan: 'starter' }],
    });
    expect(await applyDueContracts(admin.deps, { now: '2026-11-30T22:59:59.999Z', tenantsMax: 10 })).toEqual(
      [],
    );
    expect((await limitsOf(tenant)).get(tenant.production.id)).toMatchObject({ requests_per_minute: 500 });
    // Late by a day: the view knows the clock, whatever the job does.
    admin.setNow('2026-12-02T00:00:00.000Z');
    const late = (await admin.call({ url: `/api/tenants/${tenant.id}` })).body;
    expect(late).toMatchObject({ contract: { plan: 'starter' }, planned: [] });
    const now = '2026-12-02T00:00:00.000Z';
    const both = await Promise.all([1, 2].map(() => applyDueContracts(admin.deps, { now, tenantsMax: 10 })));
    expect(both.flat()).toContain(tenant.id);
    expect((await limitsOf(tenant)).get(tenant.production.id)).toMatchObject({ requests_per_minute: 100 });
    expect(await applyDueContracts(admin.deps, { now, tenantsMax: 10 })).toEqual([]);
    const replay = (await admin.call({ url: `/api/audit/keys/${tenant.production.id}` })).body;
    const changes = replay.steps.filter(({ type }: { type: string }) => type === 'key.limits-changed');
    expect(changes).toHaveLength(1);
    const before = `/api/audit/tenants/${tenant.id}?at=${new Date(0).toISOString()}`;
    expect((await admin.call({ url: before })).status).toBe(200);
  });

  test('is dropped by a later word from that date on', async () => {
    const tenant = await onboarded('studio');
    await admin.call({ url: tenant.url, body: { plan: 'starter' } });
    const { body } = await admin.call({
      url: tenant.url,
      body: { agreed: { production: { models: ['a'] } }, effective: 'now' },
    });
    expect(body.dropped).toMatchObject([{ plan: 'starter' }]);
    expect((await admin.call({ url: `/api/tenants/${tenant.id}` })).body).toMatchObject({
      contract: { plan: 'studio', agreed: { production: { models: ['a'] } } },
      planned: [],
    });
  });

  test('of the limits by hand beyond the contract needs an agreed difference', async () => {
    const tenant = await onboarded();
    const raise = () =>
      admin.call({ url: '/key/update', body: { key: tenant.production.token, rpm_limit: 200 } });
    expect((await raise()).body.error).toMatchObject({ reason: 'contract_forbids' });
    const agreed = { production: { requests_per_minute: 200 } };
    await admin.call({ url: tenant.url, body: { agreed, effective: 'now' } });
    expect((await raise()).status).toBe(200);
  });
});

describe('the end of a contract', () => {
  test('pauses every key, and a new one starts them again', async () => {
    const tenant = await onboarded();
    await admin.call({ url: tenant.url, body: { end: true, effective: 'now' } });
    expect((await admin.call({ url: `/api/tenants/${tenant.id}` })).body.contract).toBeNull();
    for (const limits of (await limitsOf(tenant)).values()) expect(limits['parallel_requests']).toBe(0);
    await admin.call({ url: tenant.url, body: { plan: 'studio', effective: 'now' } });
    expect((await limitsOf(tenant)).get(tenant.production.id)).toMatchObject({
      parallel_requests: 20,
      requests_per_minute: 500,
    });
  });

  test('keeps to the notice period unless that is waived', async () => {
    const tenant = await onboarded('noticed');
    const soon = await admin.call({ url: tenant.url, body: { end: true, effective: '2026-12-01' } });
    expect(soon).toMatchObject({ status: 409, body: { error: { reason: 'notice_period' } } });
    const usual = await admin.call({ url: `${tenant.url}/preview`, body: { end: true } });
    expect(usual.body.effective_from).toBe('2026-12-31T23:00:00.000Z');
    const waived = await admin.call({
      url: tenant.url,
      body: { end: true, effective: 'now', waive_notice: true },
    });
    expect(waived.status).toBe(200);
  });
});

test('what is no change of a contract is refused', async () => {
  const tenant = await onboarded();
  const refusal = async (body: object) =>
    (await admin.call({ url: tenant.url, body })).body.error.reason as string;
  expect(await refusal({ plan: 'none' })).toBe('bad_request');
  expect(await refusal({ plan: 'studio', version: 9 })).toBe('bad_request');
  expect(await refusal({ plan: 'studio', effective: '2026-11-01' })).toBe('bad_request');
  expect(await refusal({ plan: 'studio', effective: 'soon' })).toBe('invalid_input');
  const own = await admin.call({ url: '/api/tenants/ten_own/contract', body: { plan: 'studio' } });
  expect(own).toMatchObject({ status: 409, body: { error: { reason: 'no_contract' } } });
});

describe('an organization that was made without a plan', () => {
  test('signs one with a single call, gives its address, and its keys follow', async () => {
    admin.setNow('2026-11-11T10:00:00.000Z');
    const body = { organization_alias: 'Kiosk' };
    const { organization_id: id } = (await admin.call({ url: '/organization/new', body })).body;
    const key = (await admin.call({ url: '/key/generate', body: { organization_id: id, rpm_limit: 5 } }))
      .body;
    const url = `/api/tenants/${id}/contract`;
    expect((await admin.call({ url, body: { end: true } })).body.error.reason).toBe('no_contract');
    const nameless = await admin.call({ url, body: { plan: 'starter' } });
    expect([nameless.status, nameless.body.error.param]).toEqual([400, 'billing']);

    const signing = { url, body: { plan: 'starter', billing }, headers: { 'idempotency-key': `sign ${id}` } };
    const signed = await admin.call(signing);
    expect(signed.body).toMatchObject({ kind: 'upgrade', before: null, after: { plan: 'starter' } });
    expect((await admin.call(signing)).status).toBe(200);
    const shown = (await admin.call({ url: `/api/tenants/${id}` })).body;
    expect(shown.tenant).toMatchObject({ name: 'Kiosk', own: false, billing: { street: 'Markt 3' } });
    expect(shown.contract).toMatchObject({ plan: 'starter' });
    const { info } = (await admin.call({ url: `/key/info?key=${key.key}` })).body;
    // Set lower by hand, and so left alone; everything else is the contract's.
    expect(info).toMatchObject({ rpm_limit: 5, tpm_limit: 120_000, max_parallel_requests: 20 });
  });
});

describe('the rules of a plan', () => {
  test('hold for every way to make a key or a project', async () => {
    const tenant = await onboarded('ruled');
    const shown = (await admin.call({ url: `/key/info?key=${tenant.production.token}` })).body.info;
    expect(shown).toMatchObject({ expires: '2026-12-11T10:00:00.000Z', rotation_interval: '7d' });
    const generate = (body: object) =>
      admin.call({ url: '/key/generate', body: { organization_id: tenant.id, ...body } });
    expect((await generate({ duration: '60d' })).body.error).toMatchObject({ reason: 'key_rule' });
    const several = await Promise.all([1, 2, 3].map(() => generate({})));
    expect(several.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 400, 400]);
    const open = () => admin.call({ url: '/api/projects', body: { tenant_id: tenant.id, name: 'Lager' } });
    expect((await open()).body.error).toMatchObject({ reason: 'key_rule', detail: { rule: 'projects_max' } });
  });
});

describe('the history of a contract', () => {
  test('names who agreed what and when, what it changed, what holds, and what never came to hold', async () => {
    const tenant = await onboarded('starter');
    const history = async () => (await admin.call({ url: `/api/tenants/${tenant.id}/contracts` })).body.data;
    expect(await history()).toMatchObject([
      { kind: 'signed', plan: 'starter', in_force: true, by: { kind: 'master', id: 'default_user_id' } },
    ]);
    admin.setNow('2026-11-12T10:00:00.000Z');
    const discounts = [{ name: 'Loyalty', percent: '10' }];
    const agreed = { production: { requests_per_minute: 700 }, discounts };
    await admin.call({ url: tenant.url, body: { plan: 'studio', agreed } });
    await admin.call({ url: tenant.url, body: { plan: 'starter', effective: '2027-01-01' } });
    await admin.call({ url: tenant.url, body: { end: true, effective: '2026-12-01' } });
    const [ended, dropped, upgraded, signed] = await history();
    expect(ended).toMatchObject({
      kind: 'ended',
      plan: null,
      in_force: false,
      superseded: false,
      effective_from: '2026-11-30T23:00:00.000Z',
    });
    expect(dropped).toMatchObject({ kind: 'amended', plan: 'starter', superseded: true });
    expect(upgraded).toMatchObject({ plan: 'studio', in_force: true, at: expect.any(String) });
    expect(upgraded.changes).toEqual(
      expect.arrayContaining([
        { place: 'terms', what: 'monthly_fee', before: '49.00 EUR', after: '149.00 EUR' },
        { place: 'production', what: 'requests_per_minute', before: '100', after: '700' },
        expect.objectContaining({
          what: 'discounts',
          before: null,
          after: expect.stringMatching(/^Loyalty: 10 % of /),
        }),
      ]),
    );
    expect(upgraded.changes.some(({ place }: { place: string }) => place === 'staging')).toBe(false);
    expect(signed).toMatchObject({ in_force: false, superseded: false });
  });
});
