import type { Kysely } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { billingRecords, type BillingTables } from '../../src/billing/billing-records.ts';
import { runOrPreview } from '../../src/billing/dry-run.ts';
import { type Admin, OWN, startAdmin } from '../support/admin.ts';
import { check } from '../audit/bundles.ts';
import { pdfText } from '../billing/documents/pdf-text.ts';
import { SELLER } from '../billing/documents/invoices.ts';
import { spendRecorded, uuid } from '../support/events.ts';

let admin: Admin;
let tenantId: string;
let austrian: string;

beforeAll(async () => {
  admin = await startAdmin({
    deps: {
      runInvoices: (request) => {
        const { store, now, settled, log } = admin.deps;
        const records = billingRecords({
          pool: admin.pool,
          db: admin.db as unknown as Kysely<BillingTables>,
        });
        return runOrPreview({ store, records, now, settled, log }, request);
      },
    },
  });
  await admin.db
    .insertInto('contacts')
    .values({ subject_id: OWN.agencyId, version: 1, data: SELLER })
    .execute();
  tenantId = await onboard('Sonnenkorn', { country: 'DE', vat_id: 'DE136695976' });
  austrian = await onboard('Wiener Studio', { country: 'AT', vat_id: 'ATU12345678' });
  await spend(tenantId, 12_345_678n);
  admin.setNow('2026-12-01T09:00:00.000Z');
});
afterAll(() => admin?.close());

async function onboard(name: string, billing: object): Promise<string> {
  const answer = await admin.call({
    url: '/api/tenants',
    body: {
      name,
      plan: 'studio',
      billing: { name, street: 'Weg 1', postal_code: '12345', city: 'Ort', email: 'a@b.example', ...billing },
      projects: [{ name: 'Shop', environments: ['production'] }],
    },
  });
  expect(answer.status).toBe(201);
  return answer.body.tenant.id;
}

async function spend(tenant: string, priceNanos: bigint): Promise<void> {
  const quantity = Number(priceNanos);
  const line = { unit: 'output', quantity, priceRate: 1_000_000n, priceNanos, costNanos: 1n } as const;
  const event = spendRecorded({ requestId: `req_${tenant}`, month: '2026-11', lines: [line], priceNanos });
  const envelope = { agencyId: OWN.agencyId, tenantId: tenant, occurredAt: '2026-11-20T10:00:00.000Z' };
  await admin.store.append([
    {
      stream: `spend-2026-11-${tenant}`,
      expected: 'none',
      events: [
        {
          ...envelope,
          id: uuid(tenant),
          commandHash: null,
          actor: { kind: 'key', id: 'key_1' },
          correlationId: 'req',
          causationId: 'req',
          event,
        },
      ],
    },
  ]);
}

const run = async () =>
  (await admin.call({ url: '/api/invoice-runs', body: { period: '2026-11' } })).body.runs[0].invoices as {
    id: string;
    tenant_id: string;
    status: string;
    number: string;
    error: { reason: string; message: string } | null;
  }[];
const invoiceOf = async (tenant: string) => (await run()).find((one) => one.tenant_id === tenant)!;
const bytesOf = async (url: string, bearer?: null) => {
  const headers = bearer === null ? {} : { authorization: `Bearer ${admin.deps.masterKey}` };
  return await admin.app.inject({ method: 'GET', url, headers });
};

test('a dry run says what the run would come to, and writes nothing', async () => {
  const head = await admin.store.head();
  const dry = await admin.call({ url: '/api/invoice-runs', body: { period: '2026-11', dry_run: true } });
  expect(dry.body.runs).toMatchObject([
    {
      closed_position: null,
      invoices: expect.arrayContaining([
        expect.objectContaining({ tenant_id: tenantId, status: 'planned', number: null }),
        expect.objectContaining({ tenant_id: austrian, status: 'failed' }),
      ]) as unknown,
    },
  ]);
  expect(await admin.store.head()).toBe(head);
  const made = (await run()).find((one) => one.tenant_id === tenantId)!;
  const planned = dry.body.runs[0].invoices.find((one: { tenant_id: string }) => one.tenant_id === tenantId);
  expect(made).toEqual({ ...planned, status: 'finalized', number: 'RE-2026-00001' });
});

describe('an invoice', () => {
  test('of an EU business waits for a checked VAT id, and the run goes on with the others', async () => {
    expect(await invoiceOf(austrian)).toMatchObject({
      status: 'failed',
      error: { reason: 'vat_id_unchecked', message: expect.stringContaining('has not been checked') },
    });
    expect(await invoiceOf(tenantId)).toMatchObject({ number: 'RE-2026-00001', error: null });
    const unavailable = await admin.call({ url: `/api/tenants/${austrian}/vat-checks`, body: {} });
    expect(unavailable).toMatchObject({ status: 502, body: { error: { reason: 'vat_check_unavailable' } } });
    const by_hand = { valid: true, checked_at: '2026-12-01T08:00:00Z', note: 'letter of the tax office' };
    const checked = await admin.call({ url: `/api/tenants/${austrian}/vat-checks`, body: { by_hand } });
    expect(checked).toMatchObject({
      status: 200,
      body: { valid: true, vat_id: 'ATU12345678', source: 'by hand' },
    });
    expect((await admin.call({ url: `/api/tenants/${austrian}/vat-checks` })).body.data).toMatchObject([
      { note: 'letter of the tax office', requester_vat_id: 'DE811569869' },
    ]);
    const { id } = await invoiceOf(austrian);
    const { body } = await admin.call({ url: `/api/invoices/${id}` });
    expect(body).toMatchObject({ taxes: [{ category: 'AE', tax: { amount: '0.00' } }] });
  });

  test('comes as PDF, in three kinds of XML, and with a statement of its usage', async () => {
    const pdf = await bytesOf('/api/invoices/RE-2026-00001/pdf');
    expect(pdf.headers['content-type']).toBe('application/pdf');
    expect(pdf.headers['content-disposition']).toBe('attachment; filename="RE-2026-00001.pdf"');
    expect(pdfText(pdf.rawPayload).join('\n')).toContain('Rechnung RE-2026-00001');
    expect((await bytesOf('/api/invoices/RE-2026-00001/pdf')).rawPayload.equals(pdf.rawPayload)).toBe(true);
    for (const [format, text] of [
      ['cii', '<rsm:CrossIndustryInvoice'],
      ['xrechnung-cii', 'xrechnung_3.0'],
      ['xrechnung-ubl', '<cbc:CustomizationID>'],
    ] as const) {
      const xml = await bytesOf(`/api/invoices/RE-2026-00001/xml?format=${format}`);
      expect(xml.headers['content-type']).toContain('xml');
      expect(xml.body).toContain(text);
    }
    const csv = await bytesOf('/api/invoices/RE-2026-00001/statement.csv');
    expect(csv.body.split('\r\n')[1]).toContain(
      '2026-11,prj_1,,gpt-4o-mini,output,12345678,0.001,0.012345678,0.01,EUR',
    );
    const statement = await bytesOf('/api/invoices/RE-2026-00001/statement.pdf');
    expect(pdfText(statement.rawPayload).join('\n')).toContain('Nutzungsnachweis zur Rechnung RE-2026-00001');
    expect((await admin.call({ url: '/api/invoices/RE-2026-09999/pdf' })).status).toBe(404);
  });

  test('comes with the events behind it, whose sum anybody can check without this installation', async () => {
    const { statusCode, body } = await bytesOf('/api/invoices/RE-2026-00001/events');
    expect(statusCode).toBe(200);
    const lines = body.trimEnd().split('\n');
    const { checks } = await check(lines);
    const sums = checks.find(({ name }) => name === 'sums');
    expect(sums).toMatchObject({
      ok: true,
      detail: expect.stringMatching(/^the usage lines are the sum of 1 req.*EUR/),
    });
    const isSpend = (line: string) => line.includes('"type":"spend.recorded"');
    const without = await check(lines.filter((line) => !isSpend(line)));
    expect(without.checks.find(({ name }) => name === 'sums')).toMatchObject({
      ok: false,
      at: [{ problem: expect.stringContaining('the requests come to 0 for 0') }],
    });
    expect((await admin.call({ url: '/api/invoices/RE-2026-09999/events' })).status).toBe(404);
  });

  test('is downloaded by a signed link without a key, until the link expires or is changed', async () => {
    const link = await admin.call({ url: '/api/invoices/RE-2026-00001/links', body: { minutes: 10 } });
    expect(link.body.expires_at).toBe('2026-12-01T09:10:00.000Z');
    const path = String(link.body.path);
    expect((await bytesOf(path, null)).statusCode).toBe(200);
    for (const wrong of [
      path.replace('/pdf?', '/cii?'),
      path.replace('00001', '00002'),
      path.replace(/expires=(\d)/, 'expires=9'),
      path.slice(0, -1),
    ]) {
      expect((await bytesOf(wrong, null)).statusCode, wrong).toBe(403);
    }
    admin.setNow('2026-12-01T09:10:00.000Z');
    expect((await bytesOf(path, null)).statusCode).toBe(403);
    admin.setNow('2026-12-01T09:00:00.000Z');
  });

  test('is sent, becomes overdue by the day in the zone of its agency, and is paid', async () => {
    const { id } = await invoiceOf(tenantId);
    const status = async () => (await admin.call({ url: `/api/invoices/${id}` })).body.status;
    expect((await admin.call({ url: `/api/invoices/${id}/sent`, body: {} })).status).toBe(200);
    expect(await status()).toBe('sent');
    admin.setNow('2026-12-15T22:59:00.000Z');
    expect(await status()).toBe('sent');
    admin.setNow('2026-12-15T23:00:00.000Z');
    expect(await status()).toBe('overdue');
    const overdue = await admin.call({ url: '/api/invoices?status=overdue' });
    expect(overdue.body.data.map((one: { id: string }) => one.id)).toContain(id);
    const failed = { reason: 'no funds', method: 'direct debit' };
    expect((await admin.call({ url: `/api/invoices/${id}/payment-failed`, body: failed })).status).toBe(200);
    expect((await admin.call({ url: `/api/invoices/${id}` })).body.payment_problem).toBe('no funds');
    const paid = { paid_on: '2026-12-20', reference: 'statement 7' };
    expect((await admin.call({ url: `/api/invoices/${id}/paid`, body: paid })).status).toBe(200);
    expect((await admin.call({ url: `/api/invoices/${id}` })).body).toMatchObject({
      status: 'paid',
      paid_on: '2026-12-20',
      payment_problem: null,
    });
    admin.setNow('2026-12-01T09:00:00.000Z');
  });
});

describe('a Stornorechnung', () => {
  test('takes an invoice back, and the usage is billed anew only when that is asked for', async () => {
    const first = await invoiceOf(tenantId);
    const cancel = { reason: 'Anschrift falsch', replace: false };
    const answer = await admin.call({ url: `/api/invoices/${first.id}/cancel`, body: cancel });
    expect(answer).toMatchObject({
      status: 200,
      body: { cancellation: { number: 'RE-2026-00003' }, replacement: null },
    });
    const again = await admin.call({ url: `/api/invoices/${first.id}/cancel`, body: cancel });
    expect(again.body.cancellation).toEqual(answer.body.cancellation);
    expect((await invoiceOf(tenantId)).status).toBe('cancelled');

    const text = pdfText((await bytesOf('/api/invoices/RE-2026-00003/pdf')).rawPayload).join('\n');
    expect(text).toContain('Stornorechnung RE-2026-00003');
    expect(text).not.toContain('Gutschrift');
    const shown = (await admin.call({ url: `/api/invoices/${first.id}` })).body;
    expect(shown).toMatchObject({
      status: 'cancelled',
      cancellation: { number: 'RE-2026-00003', issued_on: '2026-12-01', reason: 'Anschrift falsch' },
    });

    await admin.db
      .insertInto('contacts')
      .values({
        subject_id: tenantId,
        version: 2,
        data: { ...RECIPIENT, street: 'Neue Straße 9' },
      })
      .execute();
    const replaced = await admin.call({
      url: `/api/invoices/${first.id}/cancel`,
      body: { ...cancel, replace: true },
    });
    expect(replaced.body.replacement).toMatchObject({ number: 'RE-2026-00004' });
    const next = (await admin.call({ url: '/api/invoices/RE-2026-00004' })).body;
    expect(next).toMatchObject({ replaces: first.id, gross: shown.gross, status: 'finalized' });
    expect(next.document).toMatchObject({
      recipient: { street: 'Neue Straße 9' },
      preceding: { number: 'RE-2026-00001' },
    });
    expect((await invoiceOf(tenantId)).number).toBe('RE-2026-00004');
  });

  test('and all invoices around it are proved from the log', async () => {
    for (const number of ['RE-2026-00001', 'RE-2026-00002', 'RE-2026-00004']) {
      const { body } = await admin.call({ url: `/api/invoices/${number}/proof` });
      expect(body, number).toMatchObject({ number, equal: true, differences: [] });
    }
  });

  test('is final, too: nothing more happens to a cancelled invoice', async () => {
    const paid = { paid_on: '2026-12-20' };
    const refused = await admin.call({ url: '/api/invoices/RE-2026-00001/paid', body: paid });
    expect(refused).toMatchObject({ status: 409, body: { error: { reason: 'invoice_state' } } });
    await expect(
      admin.db.updateTable('invoice_documents').set({ document: '{}' }).execute(),
    ).rejects.toMatchObject({ code: 'P0403' });
  });
});

describe('exports', () => {
  test('have every document that is dated in the month, and sums that agree', async () => {
    const csv = (await bytesOf(`/api/exports/csv?agency=${OWN.agencyId}&period=2026-12`)).body;
    const rows = csv
      .trim()
      .split('\r\n')
      .slice(1)
      .map((row) => row.split(','));
    expect(rows.map((row) => `${row[1]} ${row[2]} ${row[10]}`)).toEqual([
      'RE-2026-00001 invoice S',
      'RE-2026-00002 invoice AE',
      'RE-2026-00003 cancellation S',
      'RE-2026-00004 invoice S',
    ]);
    expect(Number(rows[0]![14]) + Number(rows[2]![14])).toBe(0);
    const datev = await bytesOf(`/api/exports/datev?agency=${OWN.agencyId}&period=2026-12`);
    expect(datev.headers['content-disposition']).toContain('EXTF_Buchungsstapel_2026-12.csv');
    expect(datev.rawPayload.toString('latin1').split('\r\n').length).toBe(2 + 4 + 1);
    const none = await bytesOf(`/api/exports/csv?agency=${OWN.agencyId}&period=2026-11`);
    expect(none.body.trim().split('\r\n')).toHaveLength(1);
    expect((await bytesOf('/api/exports/datev?agency=age_none&period=2026-12')).statusCode).toBe(404);
  });
});

describe('the tax status and the brand of an agency', () => {
  test('are declared from a day on', async () => {
    const body = { from: '2027-01-01', status: 'small-business' };
    const answer = await admin.call({ url: `/api/agencies/${OWN.agencyId}/tax-status`, body });
    expect(answer).toMatchObject({ status: 200, body: { status: 'small-business' } });
    expect((await admin.call({ url: '/api/agencies/age_none/tax-status', body })).status).toBe(404);
  });

  test('are worn by documents that are issued from then on', async () => {
    const url = `/api/agencies/${OWN.agencyId}/brand`;
    expect((await admin.call({ url })).body.version).toBe(0);
    const given = { accent: '#8a1538', texts: { de: { closing: 'Danke!' } } };
    expect((await admin.call({ method: 'PUT', url, body: given })).body.version).toBe(1);
    expect((await admin.call({ method: 'PUT', url, body: given })).body.version).toBe(1);
    expect((await admin.call({ method: 'PUT', url, body: { accent: '#ffffff' } })).status).toBe(422);
    const issued = pdfText((await bytesOf('/api/invoices/RE-2026-00004/pdf')).rawPayload).join('\n');
    expect(issued).not.toContain('Danke!');
    const cancel = { reason: 'noch einmal', replace: true };
    await admin.call({ url: '/api/invoices/RE-2026-00004/cancel', body: cancel });
    const next = pdfText((await bytesOf('/api/invoices/RE-2026-00006/pdf')).rawPayload).join('\n');
    expect(next).toContain('Danke!');
  });
});

const RECIPIENT = {
  name: 'Sonnenkorn',
  street: 'Weg 1',
  postal_code: '12345',
  city: 'Ort',
  country: 'DE',
  email: 'a@b.example',
  vat_id: 'DE136695976',
  language: 'de',
};

test('a tenant sees its own invoices once they are final, and those of nobody else', async () => {
  const invite = async (user_id: string, organization_id: string) => {
    await admin.call({ url: '/user/new', body: { user_id, auto_create_key: false } });
    const member = { user_id, role: 'org_admin' };
    const added = await admin.call({ url: '/organization/member_add', body: { organization_id, member } });
    expect(added.status).toBe(200);
    return (await admin.call({ url: '/key/generate', body: { user_id } })).body.key as string;
  };
  const [own, other] = [await invite('lea', tenantId), await invite('max', austrian)];
  const statusFor = async (bearer: string, url: string) => (await admin.call({ url, bearer })).status;
  const list = (await admin.call({ url: '/api/invoices', bearer: own })).body.data;
  expect(list.length).toBeGreaterThan(0);
  expect(new Set(list.map((invoice: { tenant_id: string }) => invoice.tenant_id))).toEqual(
    new Set([tenantId]),
  );
  for (const path of ['', '/pdf', '/xml', '/statement.csv', '/statement.pdf']) {
    expect(await statusFor(own, `/api/invoices/RE-2026-00001${path}`), path).toBe(200);
    expect(await statusFor(other, `/api/invoices/RE-2026-00001${path}`), path).toBe(404);
  }
  expect(await statusFor(own, '/api/invoices/RE-2026-00001/proof')).toBe(401);
});
