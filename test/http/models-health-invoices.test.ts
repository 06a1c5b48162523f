import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { invoice, type InvoiceDraft } from '../../src/domain/invoice.ts';
import { DOMESTIC } from '../../src/domain/tax.ts';
import type { RunInvoices } from '../../src/http/deps.ts';
import { single } from '../../src/metrics.ts';
import { transact } from '../../src/transact.ts';
import { type Admin, OWN, startAdmin } from '../support/admin.ts';
import { spendRecorded } from '../support/events.ts';
import { someLimits, someTerms } from '../support/terms.ts';

let admin: Admin;
const runs: Parameters<RunInvoices>[0][] = [];

beforeAll(async () => {
  const narrow = { production: someLimits({ models: ['demo-small', 'openai/*'] }), staging: someLimits() };
  const runInvoices: RunInvoices = async (request) => {
    runs.push(request);
    const position = String(await makeInvoice('inv_1', request.period));
    const invoices = [
      {
        tenant_id: 'ten_x',
        invoice_id: 'inv_1',
        status: 'finalized',
        number: 'RE-2026-00001',
        net: '100.00',
        tax: '19.00',
        gross: '119.00',
        error: null,
      },
    ] as const;
    return { agency_id: OWN.agencyId, currency: 'EUR', closed_position: '5', position, invoices };
  };
  admin = await startAdmin({
    terms: [
      someTerms(),
      someTerms({
        plan: 'narrow',
        limits: narrow,
        prices: { models: someTerms().prices.models, markupPercent: null },
      }),
      someTerms({ plan: 'narrow-with-markup', limits: narrow }),
    ],
    deps: {
      runInvoices,
      status: () => ({
        head: 12n,
        keyTableAgeMs: 250,
        projections: [{ name: 'keys', position: 10n, error: null }],
        deployments: [
          {
            id: 'd1',
            publicName: 'demo-small',
            healthy: true,
            problem: null,
            latencyMs: 41.6,
            cooldownMs: null,
          },
          {
            id: 'd2',
            publicName: 'demo-large',
            healthy: false,
            problem: 'timed out',
            latencyMs: null,
            cooldownMs: 4_200,
          },
        ],
        inFlight: 3,
      }),
    },
  });
});
afterAll(() => admin?.close());

async function onboard(
  plan: string,
): Promise<{ key: string; tenantId: string; keyId: string; projectId: string }> {
  const answer = await admin.call({
    url: '/api/tenants',
    body: {
      name: plan,
      plan,
      billing: { name: 'K', street: 's', postal_code: '1', city: 'c', country: 'DE', email: 'a@b.example' },
      projects: [{ name: plan, environments: ['production'] }],
    },
  });
  const [project] = answer.body.projects;
  return {
    key: project.keys[0].secret,
    keyId: project.keys[0].id,
    tenantId: answer.body.tenant.id,
    projectId: project.id,
  };
}

const modelsOf = async (bearer?: string, query = '') => {
  const answer = await admin.call({ url: `/v1/models${query}`, ...(bearer === undefined ? {} : { bearer }) });
  return answer.body.data.map(({ id }: { id: string }) => id) as string[];
};

describe('the list of models', () => {
  test('has everything for the administrator, patterns on request', async () => {
    expect(await modelsOf()).toEqual(['demo-small', 'demo-large', 'openai/gpt-4o']);
    expect(await modelsOf(undefined, '?return_wildcard_routes=true')).toContain('other/*');
    const [model] = (await admin.call({ url: '/models' })).body.data;
    expect(model).toEqual({
      id: 'demo-small',
      object: 'model',
      created: expect.any(Number),
      owned_by: 'openai',
    });
    expect((await admin.call({ url: '/v1/models?scope=all' })).status).toBe(400);
  });

  test('has what the key, its contract and its price book allow', async () => {
    expect(await modelsOf((await onboard('studio')).key)).toEqual([
      'demo-small',
      'demo-large',
      'openai/gpt-4o',
    ]);
    expect(await modelsOf((await onboard('narrow-with-markup')).key)).toEqual([
      'demo-small',
      'openai/gpt-4o',
    ]);
    expect(await modelsOf((await onboard('narrow')).key)).toEqual(['demo-small']);
    const own = (await admin.call({ url: '/key/generate', body: { models: ['demo-large', 'gone'] } })).body
      .key;
    expect(await modelsOf(own)).toEqual(['demo-large']);
  });

  test('shows one model by its name, slash or not', async () => {
    const own = (await admin.call({ url: '/key/generate', body: { models: ['openai/*'] } })).body.key;
    for (const name of ['openai/gpt-4o', 'openai%2Fgpt-4o']) {
      expect((await admin.call({ url: `/v1/models/${name}`, bearer: own })).body).toMatchObject({
        id: 'openai/gpt-4o',
      });
    }
    expect((await admin.call({ url: '/v1/models/demo-small', bearer: own })).status).toBe(404);
  });
});

describe('spend', () => {
  test('shows on the key, its team and its history at once', async () => {
    const { key, keyId, tenantId, projectId } = await onboard('studio');
    const event = spendRecorded({ keyId, projectId, requestId: 'req_http', priceNanos: 123_456_789n });
    await admin.store.append([
      {
        stream: 'spend-2026-11-http',
        expected: 'none',
        events: [
          {
            id: '00000000-0000-8000-8000-000000000001',
            agencyId: OWN.agencyId,
            tenantId,
            occurredAt: '2026-11-20T10:00:00.000Z',
            commandHash: null,
            actor: { kind: 'key', id: keyId },
            correlationId: 'req_http',
            causationId: 'req_http',
            event,
          },
        ],
      },
    ]);
    expect((await admin.call({ url: `/key/info?key=${key}` })).body.info).toMatchObject({
      spend: 0.123456789,
    });
    expect((await admin.call({ url: `/team/info?team_id=${projectId}` })).body.team_info.spend).toBe(
      0.123456789,
    );
    const history = await admin.call({ url: `/api/audit/keys/${keyId}` });
    expect(history.body.spend).toMatchObject([
      { month: '2026-11', requests: 1, price: { amount: '0.123456789', currency: 'EUR' } },
    ]);
    const byAlias = await admin.call({ url: `/api/audit/keys/${history.body.state.alias}` });
    expect(byAlias.body.key_id).toBe(keyId);
    const before = await admin.call({ url: `/api/audit/keys/${keyId}?at=1` });
    expect(before.body).toMatchObject({ steps: [], state: null, spend: [] });
    expect((await admin.call({ url: `/api/audit/keys/${keyId}?at=yesterday` })).status).toBe(422);
  });
});

describe('health', () => {
  test('is public where probes look, and needs the administrator for details', async () => {
    for (const url of ['/health/liveliness', '/health/liveness']) {
      expect(await admin.call({ url, bearer: null })).toMatchObject({ status: 200, body: "I'm alive!" });
    }
    const ready = await admin.call({ url: '/health/readiness', bearer: null });
    expect(ready).toMatchObject({
      status: 200,
      body: {
        status: 'healthy',
        db: 'connected',
        litellm_version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
        key_table_age_seconds: 0.25,
        projections: [{ name: 'keys', position: '10', lag: 2, error: null }],
      },
    });
    expect((await admin.call({ url: '/health', bearer: null })).status).toBe(401);
    expect((await admin.call({ url: '/health' })).body).toMatchObject({
      healthy_endpoints: [{ model: 'demo-small', latency_ms: 42, cooldown_seconds: null }],
      unhealthy_endpoints: [
        { model: 'demo-large', error: 'timed out', latency_ms: null, cooldown_seconds: 5 },
      ],
      healthy_count: 1,
      unhealthy_count: 1,
    });
    expect((await admin.call({ url: '/health/backlog' })).body).toEqual({
      in_flight_requests: 3,
      outbox: { waiting: 0, failing: 0, stopped: 0, oldest_at: null },
    });
  });

  test('has its measured values where Prometheus looks, for everybody', async () => {
    const metrics = () => [single('gauge', 'keyledger_log_position', 'Newest position.', 12n)];
    const other = await startAdmin({ deps: { metrics } });
    try {
      const answer = await other.call({ url: '/metrics', bearer: null });
      expect(answer).toMatchObject({
        status: 200,
        body: '# HELP keyledger_log_position Newest position.\n# TYPE keyledger_log_position gauge\nkeyledger_log_position 12\n',
      });
      expect(answer.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    } finally {
      await other.close();
    }
  });

  test('is not ready while a read model stands still', async () => {
    const stopped = { name: 'keys', position: 3n, error: 'cannot apply event 4' };
    const other = await startAdmin({
      deps: {
        status: () => ({
          head: 9n,
          keyTableAgeMs: Infinity,
          projections: [stopped],
          deployments: [],
          inFlight: 0,
        }),
      },
    });
    try {
      const ready = await other.call({ url: '/health/readiness', bearer: null });
      expect(ready).toMatchObject({
        status: 503,
        body: { key_table_age_seconds: null, projections: [{ lag: 6, error: 'cannot apply event 4' }] },
      });
    } finally {
      await other.close();
    }
  });
});

const draft = (invoiceId: string, period: string): InvoiceDraft => ({
  invoiceId,
  period,
  currency: 'EUR',
  taxCase: DOMESTIC,
  replaces: null,
  lines: [
    {
      kind: 'usage',
      projectId: 'prj_1',
      model: 'demo-small',
      unit: 'input',
      serviceMonth: period,
      quantity: 1_000_000n,
      priceRate: 150_000_000n,
      nanos: 150_000_000n,
      netCents: 15n,
      tax: { category: 'S', ratePercent: '19' },
    },
  ],
  taxes: [{ category: 'S', ratePercent: '19', netCents: 15n, taxCents: 3n }],
  netCents: 15n,
  taxCents: 3n,
  grossCents: 18n,
});

async function makeInvoice(invoiceId: string, period: string): Promise<bigint> {
  const meta = {
    agencyId: OWN.agencyId,
    tenantId: 'ten_x',
    actor: { kind: 'system', id: 'test' },
    correlationId: 'run',
    causationId: 'run',
    at: '2026-12-01T00:00:00.000Z',
  } as const;
  const stream = `invoice-${OWN.agencyId}-${invoiceId}`;
  await transact(
    admin.store,
    invoice,
    stream,
    { type: 'draft', draft: draft(invoiceId, period) },
    { ...meta, commandId: `draft ${invoiceId}` },
  );
  const finalize = {
    type: 'finalize',
    number: `RE-${invoiceId}`,
    issuedOn: '2026-12-01',
    dueOn: null,
    documentHash: 'hash',
  } as const;
  return (
    await transact(admin.store, invoice, stream, finalize, { ...meta, commandId: `finalize ${invoiceId}` })
  ).position;
}

describe('invoices', () => {
  test('are made by a run for every agency, in the name of the caller', async () => {
    const answer = await admin.call({ url: '/api/invoice-runs', body: { period: '2026-11' } });
    expect(answer).toMatchObject({
      status: 200,
      body: {
        period: '2026-11',
        runs: [
          {
            agency_id: OWN.agencyId,
            closed_position: '5',
            invoices: [
              { id: 'inv_1', status: 'finalized', gross: { amount: '119.00', currency: 'EUR' }, error: null },
            ],
          },
        ],
      },
    });
    expect(runs).toMatchObject([
      { period: '2026-11', agencyId: OWN.agencyId, actor: { kind: 'master', id: 'default_user_id' } },
    ]);
  });

  test('are shown with lines and sums as decimal strings, by id and by number', async () => {
    for (const id of ['inv_1', 'RE-inv_1']) {
      const { body } = await admin.call({ url: `/api/invoices/${id}` });
      expect(body).toMatchObject({
        id: 'inv_1',
        number: 'RE-inv_1',
        status: 'finalized',
        gross: { amount: '0.18', currency: 'EUR' },
        lines: [
          {
            kind: 'usage',
            quantity: 1_000_000,
            price_per_million: { amount: '0.15' },
            amount_exact: { amount: '0.15' },
            amount: { amount: '0.15' },
          },
        ],
        taxes: [{ rate_percent: '19', tax: { amount: '0.03' } }],
        document: null,
      });
    }
  });

  test('are listed in pages, filtered', async () => {
    await makeInvoice('inv_2', '2026-12');
    await makeInvoice('inv_3', '2026-12');
    const ids = async (query: string) =>
      (await admin.call({ url: `/api/invoices?${query}` })).body.data.map(({ id }: { id: string }) => id);
    expect(await ids('period=2026-12&status=finalized')).toEqual(['inv_3', 'inv_2']);
    const first = (await admin.call({ url: '/api/invoices?limit=2' })).body;
    expect(first.data.map(({ id }: { id: string }) => id)).toEqual(['inv_3', 'inv_2']);
    expect(await ids(`limit=2&cursor=${first.next_cursor}`)).toEqual(['inv_1']);
  });
});
