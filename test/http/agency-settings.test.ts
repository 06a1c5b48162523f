import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Admin, OWN, startAdmin } from '../support/admin.ts';
import { onePixel } from '../support/images.ts';
import { people, type People } from '../support/people.ts';

let admin: Admin;
let who: People;
beforeAll(async () => {
  admin = await startAdmin();
  who = await people(admin);
});
afterAll(() => admin?.close());

const CONTACT = {
  name: 'Nordlicht Digital GmbH',
  street: 'Speicherstraße 7',
  postal_code: '24103',
  city: 'Kiel',
  country: 'DE',
  email: 'rechnung@nordlicht.example',
  vat_id: 'DE811569869',
  iban: 'de89 3704 0044 0532 0130 00',
};
const change = (body: object, contact: object = {}, headers: Record<string, string> = {}) =>
  admin.call({
    method: 'PUT',
    url: `/api/agencies/${OWN.agencyId}`,
    headers,
    body: {
      contact: { ...CONTACT, ...contact },
      currency: 'EUR',
      zone: 'Europe/Berlin',
      invoice_series: 'RE',
      ...body,
    },
  });
const agencyEvents = async () => {
  const events = [];
  for await (const recorded of admin.store.readStream(`agency-${OWN.agencyId}`)) events.push(recorded);
  return events;
};

test('legal data, zone and series change by an event that holds no address, once for the same request', async () => {
  const before = (await agencyEvents()).length;
  const headers = { 'idempotency-key': 'move to Vienna' };
  const changed = await change({ zone: 'Europe/Vienna', invoice_series: 'NL' }, {}, headers);
  expect(changed).toMatchObject({ status: 200, body: { zone: 'Europe/Vienna', invoice_series: 'NL' } });
  await change({ zone: 'Europe/Vienna', invoice_series: 'NL' }, {}, headers);
  await change({ zone: 'Europe/Vienna', invoice_series: 'NL' });
  const events = await agencyEvents();
  expect(events.length).toBe(before + 1);
  expect(JSON.stringify(events.at(-1)!.event)).not.toMatch(/Speicher|DE89/);
  expect(events.at(-1)!.actor).toEqual({ kind: 'master', id: 'default_user_id' });
  const { data } = (await admin.call({ url: '/api/agencies' })).body;
  expect(data[0]).toMatchObject({
    name: 'Nordlicht Digital GmbH',
    zone: 'Europe/Vienna',
    contact: { city: 'Kiel', iban: 'DE89370400440532013000', payment_days: 14 },
  });
});

test.each([
  ['an IBAN whose check digits are wrong', {}, { iban: 'DE89370400440532013001' }, 'contact.iban'],
  ['a zone that does not exist', { zone: 'Europe/Kiel' }, {}, 'zone'],
  ['neither VAT id nor tax number', {}, { vat_id: null }, 'contact.vat_id'],
  ['a series that no number could begin with', { invoice_series: 're-1' }, {}, 'invoice_series'],
])('%s is refused at its field', async (_, body, contact, field) => {
  const answer = await change(body, contact);
  expect(answer.status).toBe(422);
  const fields = (answer.body.detail as { loc: string[] }[]).map(({ loc }) => loc.slice(1).join('.'));
  expect(fields).toContain(field);
});

test('the currency stays while there are contracts in it', async () => {
  const answer = await change({ currency: 'CHF' });
  expect(answer).toMatchObject({
    status: 409,
    body: { error: { reason: 'currency_in_use', param: 'currency' } },
  });
});

const pixel = (): string => onePixel().toString('base64');

test('a tenant’s people see logo and colour of the agency, and nothing of its settings', async () => {
  const url = `/api/agencies/${OWN.agencyId}/brand`;
  const bearer = who.keys.org_admin;
  const session = async () => (await admin.call({ url: '/api/session', bearer })).body.agency;
  expect(await session()).toMatchObject({ accent: null, logo: null });
  expect((await admin.call({ url: `/api/agencies/${OWN.agencyId}/logo`, bearer })).status).toBe(404);
  const logo = { type: 'image/png', data: pixel() };
  const kept = await admin.call({ method: 'PUT', url, body: { accent: '#8A1C4A', logo } });
  expect(kept.status).toBe(200);
  expect(await session()).toMatchObject({
    accent: '#8a1c4a',
    logo: `/api/agencies/${OWN.agencyId}/logo?v=1`,
  });
  const image = await admin.call({ url: (await session()).logo, bearer });
  expect(image.headers).toMatchObject({
    'content-type': 'image/png',
    'x-content-type-options': 'nosniff',
    'cache-control': expect.stringContaining('immutable'),
  });
  for (const path of ['brand', 'tax-status', 'billing']) {
    const answer = await admin.call({ url: `/api/agencies/${OWN.agencyId}/${path}`, bearer });
    expect(answer.status, path).toBe(401);
  }
});

test.each([
  ['a colour that nobody can read on white', { accent: '#ffe100' }],
  ['an SVG', { logo: { type: 'image/svg+xml', data: 'PHN2Zy8+' } }],
  ['a damaged PNG', { logo: { type: 'image/png', data: pixel().slice(0, 60) } }],
])('a brand with %s is refused', async (_, brand) => {
  const answer = await admin.call({ method: 'PUT', url: `/api/agencies/${OWN.agencyId}/brand`, body: brand });
  expect(answer).toMatchObject({ status: 422, body: { error: { reason: 'invalid_input' } } });
});
