import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { EventStore } from '../../src/store/event-store.ts';
import { type Admin, OWN, startAdmin } from '../support/admin.ts';
import { someLimits, someTerms } from '../support/terms.ts';

let admin: Admin;
beforeAll(async () => {
  const staging = someLimits({ requestsPerMinute: 30, budget: { nanos: 10_000_000_000n, window: '1mo' } });
  const terms = someTerms({ limits: { production: someLimits(), staging } });
  admin = await startAdmin({
    terms: [terms, { ...terms, planVersion: 2, monthlyFeeNanos: 59_000_000_000n }],
  });
});
afterAll(() => admin?.close());

const billing = {
  name: 'Bäckerei Müller GmbH',
  street: 'Marktplatz 3',
  postal_code: '24103',
  city: 'Kiel',
  country: 'DE',
  email: 'rechnung@mueller.example',
};
const body = {
  name: 'Bäckerei Müller',
  plan: 'studio',
  billing,
  projects: [{ name: 'Müller & Söhne: Shop' }, { name: 'Rezepte', environments: ['staging'] }],
};
const onboard = (idempotencyKey?: string, sent: object = body) =>
  admin.call({
    url: '/api/tenants',
    body: sent,
    headers: idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey },
  });
const tenants = async () =>
  (await admin.call({ url: '/api/tenants?limit=100' })).body.data as { id: string; name: string | null }[];

describe('onboarding', () => {
  test('is one call: tenant, contract, projects, and a key for each environment with the limits of the plan', async () => {
    const answer = await onboard();
    expect(answer.status).toBe(201);
    const { tenant, contract, projects, position } = answer.body;
    expect(tenant).toMatchObject({
      name: 'Bäckerei Müller',
      status: 'active',
      own: false,
      billing: { ...billing, language: 'de' },
    });
    expect(contract).toMatchObject({
      plan: 'studio',
      plan_version: 2,
      monthly_fee: { amount: '59.00', currency: 'EUR' },
    });
    expect(
      projects.map((project: { keys: { alias: string }[] }) => project.keys.map(({ alias }) => alias)),
    ).toEqual([['mueller-soehne-shop-production', 'mueller-soehne-shop-staging'], ['rezepte-staging']]);
    expect(projects[0].keys[1].limits).toMatchObject({
      requests_per_minute: 30,
      budget: { amount: '10.00', currency: 'EUR', window: '1mo' },
    });
    for (const { keys } of projects) {
      for (const { secret, id } of keys) {
        expect((await admin.call({ url: '/v1/models', bearer: secret })).status).toBe(200);
        expect((await admin.call({ url: `/key/info?key=${secret}` })).body.info).toMatchObject({
          key_id: id,
          organization_id: tenant.id,
        });
      }
    }
    expect(answer.headers['x-keyledger-position']).toBe(position);
  });

  test('repeated with the same Idempotency-Key answers the same and makes no second tenant', async () => {
    const first = await onboard('same');
    const before = await tenants();
    await admin.call({ url: '/key/block', body: { key: first.body.projects[0].keys[0].token } });
    admin.setNow('2026-11-20T12:00:00.000Z');
    const again = await onboard('same');
    expect(again.status).toBe(201);
    expect(again.body).toEqual(first.body);
    expect(await tenants()).toEqual(before);
    const other = await onboard('same', { ...body, plan: 'other' });
    expect(other).toMatchObject({ status: 422, body: { error: { reason: 'idempotency_key_reused' } } });
    expect(await tenants()).toEqual(before);
    admin.setNow('2026-11-20T10:00:00.000Z');
  });

  test('ten at once with the same Idempotency-Key are one', async () => {
    const before = (await tenants()).length;
    const answers = await Promise.all(Array.from({ length: 10 }, () => onboard('ten at once')));
    for (const answer of answers) expect(answer.body).toEqual(answers[0]!.body);
    expect(answers[0]!.status).toBe(201);
    expect(await tenants()).toHaveLength(before + 1);
  });

  test('cut off anywhere is completed by its repetition', async () => {
    for (let appends = 0; appends <= 4; appends += 1) {
      const name = `cut after ${appends}`;
      const cut = await failingAfter(appends, () => onboard(name, { ...body, name }));
      expect(cut.status).toBe(appends === 4 ? 201 : 500);
      const answer = await onboard(name, { ...body, name });
      expect(answer.status).toBe(201);
      const details = await admin.call({ url: `/api/tenants/${answer.body.tenant.id}` });
      const keys = details.body.projects.flatMap((project: { keys: unknown[] }) => project.keys);
      expect(keys).toHaveLength(3);
      expect((await tenants()).filter((tenant) => tenant.name === name)).toHaveLength(1);
    }
  });
});

/** Lets so many appends through and fails the others, as if the process had died there. */
async function failingAfter<T>(appends: number, task: () => Promise<T>): Promise<T> {
  const store = admin.store as { append: EventStore['append'] };
  const { append } = store;
  let left = appends;
  store.append = (writes) => {
    left -= 1;
    return left < 0 ? Promise.reject(new Error('cut off')) : append(writes);
  };
  try {
    return await task();
  } finally {
    store.append = append;
  }
}

describe('a tenant', () => {
  test('is shown with everything but secrets', async () => {
    const made = (await onboard()).body;
    const shown = await admin.call({ url: `/api/tenants/${made.tenant.id}` });
    expect(shown.body.tenant).toEqual(made.tenant);
    expect(shown.body.contract).toEqual(made.contract);
    const shop = shown.body.projects.find(({ id }: { id: string }) => id === made.projects[0].id);
    expect(shop).toMatchObject({ name: 'Müller & Söhne: Shop', status: 'open', limits: null });
    const withoutSecret = made.projects[0].keys.map((key: object) => ({ ...key, secret: undefined }));
    expect(shop.keys).toEqual(withoutSecret);
    expect(JSON.stringify(shown.body)).not.toContain('sk-kl_');
  });

  test('is on exactly one page of the list', async () => {
    const all = await tenants();
    const seen: string[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page = await admin.call({
        url: `/api/tenants?limit=3${cursor === '' ? '' : `&cursor=${cursor}`}`,
      });
      seen.push(...page.body.data.map(({ id }: { id: string }) => id));
      cursor = page.body.next_cursor;
    }
    expect(seen).toEqual(all.map(({ id }) => id));
    expect(seen).toContain(OWN.tenantId);
  });
});

describe('a project', () => {
  test('is opened with its keys, once, and found again', async () => {
    const { tenant } = (await onboard()).body;
    const send = () =>
      admin.call({
        url: '/api/projects',
        body: { tenant_id: tenant.id, name: 'Lager', id: 'lager-1' },
        headers: { 'idempotency-key': 'lager' },
      });
    const opened = await send();
    expect(opened.status).toBe(201);
    expect(opened.body.project).toMatchObject({
      id: 'lager-1',
      tenant_id: tenant.id,
      name: 'Lager',
      environments: ['production', 'staging'],
    });
    expect(opened.body.project.keys.map(({ alias }: { alias: string }) => alias)).toEqual([
      'lager-production',
      'lager-staging',
    ]);
    expect((await send()).body).toEqual(opened.body);
    const shown = await admin.call({ url: '/api/projects/lager-1' });
    expect(shown.body.keys).toHaveLength(2);
    const list = await admin.call({ url: `/api/projects?tenant_id=${tenant.id}` });
    expect(list.body.data.map(({ id }: { id: string }) => id)).toContain('lager-1');
    const again = await admin.call({
      url: '/api/projects',
      body: { tenant_id: tenant.id, name: 'Lager', id: 'lager-1' },
    });
    expect(again).toMatchObject({ status: 400, body: { error: { reason: 'project_exists' } } });
    const foreign = await admin.call({
      url: '/api/projects',
      body: { tenant_id: OWN.tenantId, name: 'Lager', id: 'lager-1' },
    });
    expect(foreign).toMatchObject({ status: 400, body: { error: { reason: 'project_exists' } } });
  });

  test('of the own tenant has keys without limits', async () => {
    const answer = await admin.call({
      url: '/api/projects',
      body: { tenant_id: OWN.tenantId, name: 'Intern' },
    });
    expect(answer.body.project.keys[0].limits).toMatchObject({ requests_per_minute: null, budget: null });
  });
});

describe('a team', () => {
  test('is a project: made, shown, listed, blocked and unblocked', async () => {
    const made = await admin.call({
      url: '/team/new',
      body: {
        team_id: 'team-a',
        team_alias: 'Team A',
        max_budget: 20,
        budget_duration: '30d',
        models: ['demo-small'],
        rpm_limit: 9,
      },
    });
    expect(made).toMatchObject({
      status: 200,
      body: {
        team_id: 'team-a',
        team_alias: 'Team A',
        max_budget: 20,
        budget_duration: '30d',
        rpm_limit: 9,
        models: ['demo-small'],
        blocked: false,
        spend: 0,
      },
    });
    const key = (await admin.call({ url: '/key/generate', body: { team_id: 'team-a' } })).body;
    const models = await admin.call({ url: '/v1/models', bearer: key.key });
    expect(models.body.data.map(({ id }: { id: string }) => id)).toEqual(['demo-small']);
    const info = await admin.call({ url: '/team/info?team_id=team-a' });
    expect(info.body).toMatchObject({
      team_id: 'team-a',
      team_memberships: [],
      keys: [{ key_id: key.key_id }],
    });
    const list = await admin.call({ url: '/team/list' });
    expect(list.body.find(({ team_id }: { team_id: string }) => team_id === 'team-a').keys).toHaveLength(1);
    expect((await admin.call({ url: '/team/block', body: { team_id: 'team-a' } })).body.blocked).toBe(true);
    expect((await admin.call({ url: '/v1/models', bearer: key.key })).body.error.reason).toBe(
      'project_blocked',
    );
    expect((await admin.call({ url: '/team/unblock', body: { team_id: 'team-a' } })).body.blocked).toBe(
      false,
    );
    expect((await admin.call({ url: '/v1/models', bearer: key.key })).status).toBe(200);
    expect((await admin.call({ url: '/team/new', body: { team_id: 'team-a' } })).status).toBe(400);
  });

  test('of a tenant belongs to it, and a key never leaves its tenant', async () => {
    const { tenant, projects } = (await onboard()).body;
    const made = await admin.call({
      url: '/team/new',
      body: { organization_id: tenant.id, team_alias: 'Filiale' },
    });
    expect(made.body.organization_id).toBe(tenant.id);
    const key = projects[0].keys[0].token;
    const moved = await admin.call({ url: '/key/update', body: { key, team_id: made.body.team_id } });
    expect(moved).toMatchObject({ status: 200, body: { team_id: made.body.team_id } });
    expect((await admin.call({ url: '/key/update', body: { key, team_id: 'team-a' } })).status).toBe(400);
  });
});

describe('plans and agencies', () => {
  test('show the newest version of each plan, amounts as decimal strings', async () => {
    const { body } = await admin.call({ url: '/api/plans' });
    expect(body.data).toMatchObject([
      {
        name: 'studio',
        version: 2,
        terms: {
          monthly_fee: { amount: '59.00', currency: 'EUR' },
          prices: { models: { 'demo-small': { output: { amount: '0.60' } } } },
        },
      },
    ]);
  });

  test('show the agency', async () => {
    const { body } = await admin.call({ url: '/api/agencies' });
    expect(body.data).toMatchObject([
      { id: OWN.agencyId, currency: 'EUR', zone: 'Europe/Berlin', invoice_series: 'RE' },
    ]);
  });
});
