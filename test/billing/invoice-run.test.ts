import { beforeEach, describe, expect, test } from 'vitest';
import { runOrPreview } from '../../src/billing/dry-run.ts';
import { type InvoiceRunReport, runInvoices } from '../../src/billing/invoice-run.ts';
import type { TenantOfAgency } from '../../src/billing/billing-records.ts';
import type { InvoiceDocument } from '../../src/billing/documents/invoice-document.ts';
import type { InvoiceRunDeps } from '../../src/billing/issue-invoice.ts';
import type { DomainEvent } from '../../src/events.ts';
import type { EventStore } from '../../src/store/event-store.ts';
import {
  agencyChanged,
  agencyRegistered,
  contractSigned,
  spendRecorded,
  tenantOnboarded,
  tenantSuspended,
  terms,
} from '../support/events.ts';
import { type MemoryBilling, memoryBilling, RECIPIENT } from './memory-billing.ts';

const CENT = 10_000_000n;
let billing: MemoryBilling;
let requests = 0;

function run(period = '2026-11', deps: InvoiceRunDeps = billing): Promise<InvoiceRunReport> {
  return runInvoices(deps, {
    period,
    agencyId: 'age_1',
    actor: { kind: 'master', id: 'default_user_id' },
    correlationId: 'request-run',
  });
}

async function onboard(
  tenantId: string,
  overrides: Parameters<typeof contractSigned>[0] = {},
): Promise<void> {
  const effectiveFrom = '2026-01-01T00:00:00.000Z';
  const events = [tenantOnboarded({ tenantId }), contractSigned({ tenantId, effectiveFrom, ...overrides })];
  await billing.append(`tenant-${tenantId}`, events, { tenantId });
}

async function spend(tenantId: string, cents: bigint, month = '2026-11'): Promise<void> {
  requests += 1;
  const priceNanos = cents * CENT;
  const line = {
    unit: 'output',
    quantity: Number(cents),
    priceRate: CENT * 1_000_000n,
    priceNanos,
    costNanos: 1n,
  } as const;
  const event = spendRecorded({
    requestId: `req_${requests}`,
    month,
    lines: [line],
    priceNanos,
    costNanos: 1n,
  });
  await billing.append('spend-2026-11-w1', [event], { tenantId });
}

function statuses(report: InvoiceRunReport): Record<string, string> {
  return Object.fromEntries(report.invoices.map(({ tenant_id, status }) => [tenant_id, status]));
}

async function types(): Promise<readonly string[]> {
  return (await billing.events()).map(({ event }) => event.type);
}

function documentOf(report: InvoiceRunReport, index = 0): InvoiceDocument {
  return JSON.parse(billing.documents.get(report.invoices[index]!.invoice_id)!.document) as InvoiceDocument;
}

beforeEach(async () => {
  requests = 0;
  billing = memoryBilling('2026-12-01T08:00:00.000Z');
  await billing.append('agency-age_1', [agencyRegistered()], { tenantId: null });
});

describe('an invoice run', () => {
  test('finalises one invoice per tenant with fee, usage, included usage, VAT and the next numbers', async () => {
    await onboard('ten_a');
    await onboard('ten_b', { terms: terms({ includedUsageNanos: 0n }) });
    await spend('ten_a', 3_000n);
    await spend('ten_b', 25n);
    const report = await run();
    expect(report).toMatchObject({
      agency_id: 'age_1',
      period: '2026-11',
      currency: 'EUR',
      closed_position: '8',
    });
    expect(report.invoices).toMatchObject([
      // 49.00 + 30.00 - 10.00 = 69.00; VAT 13.11
      {
        tenant_id: 'ten_a',
        status: 'finalized',
        number: 'RE-2026-00001',
        net: '69.00',
        tax: '13.11',
        gross: '82.11',
      },
      // 49.00 + 0.25 = 49.25; VAT 9.3575
      {
        tenant_id: 'ten_b',
        status: 'finalized',
        number: 'RE-2026-00002',
        net: '49.25',
        tax: '9.36',
        gross: '58.61',
      },
    ]);
  });

  test('issues a document with everything that the law asks for', async () => {
    await onboard('ten_a');
    await spend('ten_a', 3_000n);
    const document = documentOf(await run());
    expect(document).toMatchObject({
      number: 'RE-2026-00001',
      issued_on: '2026-12-01',
      service_from: '2026-11-01',
      service_to: '2026-11-30',
      issuer: { name: 'Agentur Nord GmbH', city: 'Kiel', vat_id: 'DE811569869', tax_number: null },
      recipient: { name: 'Bäckerei Sonnenkorn GmbH', postal_code: '29221' },
      taxes: [{ category: 'S', rate_percent: '19', net: '69.00', tax: '13.11' }],
      totals: { net: '69.00', tax: '13.11', gross: '82.11' },
    });
    expect(document.lines.map(({ description, net }) => `${description} ${net}`)).toEqual([
      'Grundgebühr 49.00',
      'Nutzung gpt-4o-mini, Ausgabe-Tokens 30.00',
      'Inklusivnutzung -10.00',
    ]);
    expect(document.lines[1]).toMatchObject({
      project_name: 'Project prj_1',
      quantity: '3000',
      unit_price: '10000',
      price_base: '1000000',
      exact: '30',
    });
  });

  test('run again changes nothing and answers the same', async () => {
    await onboard('ten_a');
    await spend('ten_a', 3_000n);
    const first = await run();
    const events = await types();
    const second = await run();
    expect(await types()).toEqual(events);
    expect(statuses(second)).toEqual({ ten_a: 'repeated' });
    const same = second.invoices.map((one) => Object.assign({}, one, { status: 'finalized' }));
    expect({ ...second, invoices: same }).toEqual(first);
  });

  test('leaves what is recorded after the cut to the next invoice, as usage of its own month', async () => {
    billing.clock = '2026-11-20T08:00:00.000Z';
    await onboard('ten_a');
    await spend('ten_a', 400n);
    await run();
    await spend('ten_a', 800n);
    billing.clock = '2026-12-31T23:30:00.000Z';
    const late = documentOf(await run('2026-12'));
    expect(
      late.lines.map(({ description, service_from, net }) => `${service_from} ${description} ${net}`),
    ).toEqual([
      '2026-12-01 Grundgebühr 49.00',
      '2026-11-01 Nutzung gpt-4o-mini, Ausgabe-Tokens 8.00',
      // 10.00 are included in November; its own invoice granted 4.00 of them.
      '2026-11-01 Inklusivnutzung -6.00',
    ]);
    // Half past midnight in Berlin: dated and numbered in the new year.
    expect(late).toMatchObject({ issued_on: '2027-01-01', number: 'RE-2027-00001' });
  });

  test('refuses a month that has not begun in the zone of the agency, and writes nothing', async () => {
    billing.clock = '2026-11-30T22:59:59.999Z';
    const before = await types();
    await expect(run('2026-12')).rejects.toMatchObject({ code: 'period_not_started' });
    expect(await types()).toEqual(before);
    billing.clock = '2026-11-30T23:00:00.000Z';
    await expect(run('2026-12')).resolves.toMatchObject({ period: '2026-12' });
  });

  test.each(['2026-1', '2026-00', '2026-13', '26-11', '2026-11-01', ''])(
    'refuses %j as a period',
    async (period) => {
      await expect(run(period)).rejects.toMatchObject({ code: 'invalid_input', param: 'period' });
    },
  );

  test('refuses an agency that does not exist', async () => {
    const request = {
      period: '2026-11',
      agencyId: 'age_2',
      actor: { kind: 'master', id: 'x' },
      correlationId: 'r',
    } as const;
    await expect(runInvoices(billing, request)).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('a tenant', () => {
  test('without fee and usage gets no invoice and uses up no number', async () => {
    await onboard('ten_a', { terms: terms({ monthlyFeeNanos: 0n }) });
    await onboard('ten_b');
    const report = await run();
    expect(report.invoices).toMatchObject([
      { tenant_id: 'ten_a', status: 'skipped', number: null, gross: null, error: null },
      { tenant_id: 'ten_b', status: 'finalized', number: 'RE-2026-00001' },
    ]);
  });

  test('whose usage is covered gets an invoice of 0.00 that says so', async () => {
    await onboard('ten_a', { terms: terms({ monthlyFeeNanos: 0n }) });
    await spend('ten_a', 20n);
    expect((await run()).invoices).toMatchObject([{ status: 'finalized', net: '0.00', gross: '0.00' }]);
  });

  test('outside of Germany, or with an incomplete address, fails alone, without a number, until that is settled', async () => {
    for (const tenantId of ['ten_a', 'ten_b', 'ten_c']) await onboard(tenantId);
    billing.contacts.set('ten_a', { ...RECIPIENT, country: 'AT' });
    billing.contacts.set('ten_b', { ...RECIPIENT, street: ' ', city: undefined });
    const report = await run();
    expect(report.invoices).toMatchObject([
      { status: 'failed', number: null, error: { reason: 'tax_case_unsupported' } },
      {
        status: 'failed',
        error: {
          reason: 'invoice_incomplete',
          message: expect.stringContaining('recipient: street, city') as string,
        },
      },
      { status: 'finalized', number: 'RE-2026-00001' },
    ]);
    billing.contacts.clear();
    expect((await run()).invoices.map(({ status, number }) => `${status} ${number}`)).toEqual([
      'finalized RE-2026-00002',
      'finalized RE-2026-00003',
      'repeated RE-2026-00001',
    ]);
  });

  test('gets no invoice from an agency without a tax number', async () => {
    await onboard('ten_a');
    billing.contacts.set('age_1', { ...RECIPIENT });
    expect((await run()).invoices).toMatchObject([
      { status: 'failed', error: { reason: 'invoice_incomplete' } },
    ]);
  });

  test('that is suspended is still invoiced', async () => {
    await onboard('ten_a');
    await billing.append('tenant-ten_a', [tenantSuspended({ tenantId: 'ten_a' })], { tenantId: 'ten_a' });
    expect(statuses(await run())).toEqual({ ten_a: 'finalized' });
  });

  test('that is the agency itself is not invoiced', async () => {
    const own = tenantOnboarded({ tenantId: 'ten_own', own: true });
    await billing.append('tenant-ten_own', [own], { tenantId: 'ten_own' });
    await spend('ten_own', 100n);
    expect((await run()).invoices).toEqual([]);
  });

  test('that signed after the cut is not part of the period, also when the run is repeated', async () => {
    await run();
    await onboard('ten_late', { effectiveFrom: '2026-11-15T00:00:00.000Z' });
    expect((await run()).invoices).toEqual([]);
  });

  test('pays no fee for a month before its contract takes effect', async () => {
    await onboard('ten_a', { effectiveFrom: '2026-11-30T23:00:00.000Z' });
    await onboard('ten_b', { effectiveFrom: '2026-11-30T22:59:59.999Z' });
    expect(statuses(await run())).toEqual({ ten_a: 'skipped', ten_b: 'finalized' });
  });
});

/** Of a kind that nobody tries again: a killed process does not either. */
function dead(): Promise<never> {
  return Promise.reject(new TypeError('killed'));
}

/** Appends up to `count` times; the next append is lost, or done and its answer is lost. */
function killedAfter(count: number, outcome: 'lost' | 'done'): InvoiceRunDeps {
  let left = count;
  const store: EventStore = {
    ...billing.store,
    async append(writes) {
      if (left < 0) return dead();
      left -= 1;
      if (left >= 0) return billing.store.append(writes);
      if (outcome === 'done') await billing.store.append(writes);
      return dead();
    },
  };
  return { ...billing, store };
}

async function month(): Promise<void> {
  await onboard('ten_a');
  await onboard('ten_b');
  await onboard('ten_c', { terms: terms({ monthlyFeeNanos: 0n }) });
  await spend('ten_a', 3_000n);
  await spend('ten_c', 2_000n);
}

/** By stream: tenants are worked on side by side, so that only the order within a stream is certain. */
async function logged(): Promise<ReadonlyMap<string, readonly DomainEvent[]>> {
  const streams = new Map<string, DomainEvent[]>();
  for (const { stream, event } of await billing.events()) {
    streams.set(stream, [...(streams.get(stream) ?? []), event]);
  }
  return streams;
}

describe('a dry run', () => {
  const dry = (period: string) =>
    runOrPreview(billing, {
      period,
      agencyId: 'age_1',
      actor: { kind: 'master', id: 'x' },
      correlationId: 'dry',
      dryRun: true,
    });

  test('says what the run then does, of an open month and of a closed one, and writes nothing', async () => {
    await onboard('ten_a');
    await onboard('ten_b', { terms: terms({ monthlyFeeNanos: 0n }) });
    await onboard('ten_c');
    billing.contacts.set('ten_c', { ...RECIPIENT, city: undefined });
    await spend('ten_a', 3_000n);
    await spend('ten_a', 500n, '2026-12');
    const before = await types();
    const planned = await dry('2026-11');
    expect(statuses(planned)).toEqual({ ten_a: 'planned', ten_b: 'skipped', ten_c: 'failed' });
    expect(planned.closed_position).toBeNull();
    expect(await types()).toEqual(before);
    expect(billing.documents.size).toBe(0);

    const { invoices } = await run();
    const asRun = planned.invoices.map((one) =>
      one.status === 'planned' ? { ...one, status: 'finalized', number: 'RE-2026-00001' } : one,
    );
    expect(invoices).toEqual(asRun);
    billing.contacts.clear();
    const again = await dry('2026-11');
    expect(statuses(again)).toEqual({ ten_a: 'repeated', ten_b: 'skipped', ten_c: 'planned' });
    expect(again.closed_position).not.toBeNull();
    expect((await run()).invoices[2]).toEqual({
      ...again.invoices[2],
      status: 'finalized',
      number: 'RE-2026-00002',
    });
  });

  test('refuses what the run would refuse', async () => {
    await expect(dry('2027-01')).rejects.toMatchObject({ code: 'period_not_started' });
    await expect(dry('2026')).rejects.toMatchObject({ code: 'invalid_input' });
  });
});

describe('tenants that are worked on side by side', () => {
  test('get their numbers in the order of their ids, though some fail and some have nothing to pay', async () => {
    const ids = Array.from({ length: 40 }, (_, n) => `ten_${String(n).padStart(2, '0')}`);
    for (const [n, tenantId] of ids.entries()) {
      await onboard(tenantId, n % 5 === 3 ? { terms: terms({ monthlyFeeNanos: 0n }) } : {});
      if (n % 7 === 4) billing.contacts.set(tenantId, { ...RECIPIENT, city: undefined });
    }
    const slow = {
      ...billing,
      records: {
        ...billing.records,
        async usage(tenant: TenantOfAgency, period: string) {
          for (let turns = Number(tenant.tenantId.slice(4)) % 9; turns > 0; turns -= 1)
            await Promise.resolve();
          return billing.records.usage(tenant, period);
        },
      },
    };
    const report = await run('2026-11', slow);
    expect(report.invoices.map((one) => one.tenant_id)).toEqual(ids);
    const numbers = report.invoices.flatMap(({ number }) => (number === null ? [] : [number]));
    expect(numbers).toEqual(numbers.map((_, n) => `RE-2026-${String(n + 1).padStart(5, '0')}`));
    expect(report.invoices.filter(({ status }) => status === 'failed')).toHaveLength(5);
  });

  test('do not stop each other, though the log holds one that nobody can read', async () => {
    await onboard('ten_a');
    await onboard('ten_b');
    const store: EventStore = {
      ...billing.store,
      readStream: (stream, after) => {
        if (stream === 'tenant-ten_a') throw new Error('damaged');
        return billing.store.readStream(stream, after);
      },
    };
    expect((await run('2026-11', { ...billing, store })).invoices).toMatchObject([
      { tenant_id: 'ten_a', status: 'failed', error: { reason: 'defect' } },
      { tenant_id: 'ten_b', status: 'finalized', number: 'RE-2026-00001' },
    ]);
  });

  test('are left to the next run when the lock is lost, and that one finds what was done', async () => {
    const ids = Array.from({ length: 20 }, (_, n) => `ten_${String(n).padStart(2, '0')}`);
    for (const tenantId of ids) await onboard(tenantId);
    const losing = new AbortController();
    let kept = 0;
    const records = {
      ...billing.records,
      exclusively: <T>(_: string, task: (lost: AbortSignal) => Promise<T>) => task(losing.signal),
      keepDocument: (document: Parameters<typeof billing.records.keepDocument>[0]) => {
        kept += 1;
        if (kept === 5) losing.abort();
        return billing.records.keepDocument(document);
      },
    };
    await expect(run('2026-11', { ...billing, records })).rejects.toThrow('lost its lock');
    expect(billing.documents.size).toBeLessThan(20);
    expect((await types()).filter((type) => type === 'invoice.finalized')).toHaveLength(
      billing.documents.size,
    );
    const { invoices } = await run();
    expect(new Set(invoices.map(({ number }) => number)).size).toBe(20);
    expect(invoices.filter(({ status }) => status === 'repeated')).toHaveLength(kept);
  });

  test('are all told of, those too whom the run does not concern', async () => {
    await run();
    await onboard('ten_late', { effectiveFrom: '2026-11-15T00:00:00.000Z' });
    const told: unknown[] = [];
    const actor = { kind: 'master', id: 'x' } as const;
    const request = { period: '2026-11', agencyId: 'age_1', actor, correlationId: 'r' };
    await runInvoices(billing, { ...request, onProgress: (progress) => told.push(progress) });
    expect(told).toEqual([{ done: 1, total: 1, invoice: null }]);
  });
});

describe('a run that was killed', () => {
  /** Close, and three steps for each of three invoices. */
  const APPENDS = 10;

  test.each(['lost', 'done'] as const)(
    'at any append, which was %s, is completed by the next as if nothing had been',
    async (outcome) => {
      await month();
      const undisturbed = await run();
      const expected = { events: await logged(), documents: new Map(billing.documents) };
      for (let killed = 0; killed < APPENDS; killed += 1) {
        billing = memoryBilling('2026-12-01T08:00:00.000Z');
        requests = 0;
        await billing.append('agency-age_1', [agencyRegistered()], { tenantId: null });
        await month();
        await run('2026-11', killedAfter(killed, outcome)).catch((error: unknown) => {
          expect(error).toMatchObject({ message: 'killed' });
        });
        const report = await run();
        expect(report.invoices.map(({ number, gross }) => [number, gross])).toEqual(
          undisturbed.invoices.map(({ number, gross }) => [number, gross]),
        );
        expect(await logged()).toEqual(expected.events);
        expect(billing.documents).toEqual(expected.documents);
      }
      expect([...expected.events.values()].flat()).toHaveLength(1 + 3 * 2 + 2 + APPENDS);
    },
  );

  test('with its document kept keeps it, though the contact, the series and the year have changed since', async () => {
    await onboard('ten_a');
    const deps = killedAfter(3, 'lost');
    expect((await run('2026-11', deps)).invoices).toMatchObject([
      { status: 'failed', error: { reason: 'defect' } },
    ]);
    const kept = [...billing.documents.values()];
    expect(kept).toHaveLength(1);

    billing.clock = '2027-01-02T08:00:00.000Z';
    billing.contacts.set('ten_a', { ...RECIPIENT, name: 'Another GmbH', country: 'AT' });
    await billing.append('agency-age_1', [agencyChanged({ invoiceSeries: 'XX' })], { tenantId: null });
    expect((await run()).invoices).toMatchObject([{ status: 'finalized', number: 'RE-2026-00001' }]);
    expect([...billing.documents.values()]).toEqual(kept);
    expect(await types()).toContain('invoice.finalized');
    expect((await types()).filter((type) => type === 'number.assigned')).toHaveLength(1);
  });

  test('after its draft uses that draft, though more has become known of the tenant since', async () => {
    await onboard('ten_a');
    await spend('ten_a', 100n);
    await run('2026-11', killedAfter(2, 'lost'));
    await billing.append(
      'tenant-ten_a',
      [contractSigned({ tenantId: 'ten_a', terms: terms({ monthlyFeeNanos: 1n }) })],
      { tenantId: 'ten_a' },
    );
    await spend('ten_a', 500n);
    expect((await run()).invoices).toMatchObject([{ status: 'finalized', net: '49.00' }]);
  });
});
