import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { keys } from '../../projections/keys.ts';
import { onePixel } from '../support/images.ts';
import { barriers } from './axe.ts';
import { type Console, MASTER_KEY, startConsole } from './console.ts';
import { everyPage, type Onboarded } from './every-page.ts';

/** What people do with the console, in a real browser, against the real program. */
let ui: Console;
// The first start unpacks the browser.
beforeAll(async () => {
  ui = await startConsole();
}, 180_000);
afterAll(() => ui?.close());

const heading = (page: Page, name: string | RegExp) => page.getByRole('heading', { level: 1, name });
const press = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click();
const secretOf = (page: Page, name: string) => page.locator(`[data-secret="${name}"]`).innerText();

async function onboard(name: string): Promise<Onboarded> {
  const billing = {
    name,
    street: 'Weg 1',
    postal_code: '24103',
    city: 'Kiel',
    country: 'DE',
    email: 'a@b.example',
  };
  const projects = [{ name: `${name} Shop`, environments: ['production'] }];
  return ui.api<Onboarded>('/api/tenants', { name, plan: 'studio', billing, projects });
}

describe('signing in', () => {
  test('says that a password is wrong, lets in with the right one by keyboard alone, and out again', async () => {
    const page = await ui.visit('/', { signedIn: false });
    await page.getByLabel('User name or e-mail address').waitFor();
    await page.keyboard.type('admin');
    await page.keyboard.press('Tab');
    await page.keyboard.type('not the password');
    await page.keyboard.press('Enter');
    expect(await page.getByRole('alert').innerText()).toBe('The name or the password is wrong.');
    await page.getByLabel('Password').fill(MASTER_KEY);
    await page.keyboard.press('Enter');
    await heading(page, 'Overview').waitFor();
    await press(page, 'Sign out');
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await page.context().close();
  });

  test('is asked for again when the session has ended, and one is back on the same page', async () => {
    const page = await ui.visit('/plans', { signedIn: false });
    const credentials = async () => {
      await page.getByLabel('User name or e-mail address').fill('admin');
      await page.getByLabel('Password').fill(MASTER_KEY);
      await page.keyboard.press('Enter');
    };
    await credentials();
    await heading(page, 'Plans').waitFor();
    // What is still on its way would end the session before the click.
    await page.waitForLoadState('networkidle');
    const cookie = (await page.context().cookies())[0]!;
    await page.context().addCookies([{ ...cookie, value: 'A'.repeat(43) }]);
    await page.getByRole('link', { name: 'Keys' }).click();
    await page.getByText('Your session has ended').waitFor();
    await credentials();
    await heading(page, 'Keys').waitFor();
    await page.context().close();
  });
});

test('onboarding ends with secrets that the gateway takes, shown once', async () => {
  const page = await ui.visit('/tenants');
  await page.getByRole('link', { name: 'Onboard tenant' }).first().click();
  await page.getByLabel('Legal name').fill('Musterladen GmbH');
  await page.getByLabel('Street').fill('Hauptstraße 1');
  await page.getByLabel('Postal code').fill('10115');
  await page.getByLabel('City').fill('Berlin');
  await page.getByLabel('E-mail for invoices').fill('buchhaltung@musterladen.example');
  await press(page, 'Continue');
  await page.getByRole('radio', { name: /studio/i }).check({ force: true });
  await press(page, 'Continue');
  await page.getByRole('textbox', { name: 'Project 1' }).fill('Shop');
  await press(page, 'Continue');
  await page.getByText('€149.00').first().waitFor();
  await press(page, 'Onboard');
  await heading(page, 'Musterladen GmbH is onboard').waitFor();
  const secret = await secretOf(page, 'shop-production');
  expect(await ui.chat(secret)).toEqual({ status: 200, message: '' });
  const downloading = page.waitForEvent('download');
  await press(page, 'Download as .env');
  const file = await (await downloading).path();
  expect(readFileSync(file, 'utf8')).toContain(`SHOP_PRODUCTION_API_KEY=${secret}\n`);
  await page.getByRole('link', { name: 'To the tenant' }).click();
  await page.getByText('1 requests').waitFor();
  await page.reload();
  expect(await page.content()).not.toContain(secret);
  await page.context().close();
});

test('a key that has reached its budget says so, where it is looked for', async () => {
  const { projects } = await onboard('Knapp');
  const { id, secret } = projects[0]!.keys[0]!;
  const page = await ui.visit(`/keys/${id}`);
  await press(page, 'Edit');
  await page.getByRole('textbox', { name: 'Budget' }).fill('0.00006');
  await press(page, 'Save');
  await page.getByText('/ €0.00006').waitFor();
  let answer = await ui.chat(secret);
  for (let calls = 0; answer.status === 200 && calls < 5; calls += 1) answer = await ui.chat(secret);
  expect(answer).toMatchObject({ status: 422, message: expect.stringContaining('Budget has been exceeded') });
  await page.reload();
  const meter = page.getByRole('meter', { name: 'Budget' }).first();
  await expect.poll(async () => Number(await meter.getAttribute('aria-valuenow'))).toBeGreaterThanOrEqual(80);
  await page.getByRole('link', { name: 'Overview' }).click();
  await page.getByRole('meter', { name: 'Budget of knapp-shop-production' }).waitFor();
  await page.context().close();
});

test('a rotated key has a new secret at once and keeps the old one for its grace period', async () => {
  const { projects } = await onboard('Dreher');
  const { id, secret } = projects[0]!.keys[0]!;
  const page = await ui.visit(`/keys/${id}`);
  await press(page, 'Rotate');
  await page.getByLabel('The old secret works for another').selectOption('1h');
  await page.getByRole('dialog').getByRole('button', { name: 'Rotate' }).click();
  const fresh = await secretOf(page, 'dreher-shop-production');
  expect(fresh).not.toBe(secret);
  expect((await ui.chat(fresh)).status).toBe(200);
  expect((await ui.chat(secret)).status).toBe(200);
  await press(page, 'I have kept it');
  await press(page, 'Block');
  await page.getByRole('dialog').getByRole('button', { name: 'Block' }).click();
  await page.getByText('Blocked', { exact: true }).waitFor();
  expect((await ui.chat(fresh)).status).toBe(401);

  await press(page, 'History');
  const state = page.locator('section', { hasText: 'State at this instant' });
  await state.getByText('A call would have been refused: key_blocked').waitFor();
  await page.getByRole('slider').press('Home');
  await state.getByText('A call would have been let in').waitFor();
  await expect.poll(() => new URL(page.url()).searchParams.get('at')).toMatch(/^20\d\d-/);
  await press(page, 'Next change');
  await page.locator('[aria-current=true]', { hasText: 'Secret rotated' }).waitFor();
  await state.getByText('Old secret in its grace period').waitFor();
  await page.context().close();
});

test('a change of plan is seen before it is made, and then holds for the keys', async () => {
  const { tenant, projects } = await onboard('Wechsler');
  const page = await ui.visit(`/tenants/${tenant.id}`);
  await press(page, 'Change contract');
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Plan').selectOption('starter');
  await dialog.getByLabel('In force').selectOption('now');
  await dialog.getByRole('button', { name: 'See what changes' }).click();
  await dialog.getByRole('heading', { name: 'Downgrade' }).waitFor();
  const change = dialog
    .getByRole('row')
    .filter({ hasText: 'wechsler-shop-production' })
    .filter({ hasText: 'Requests/min' });
  const [, before, after] = await change.getByRole('cell').allInnerTexts();
  const { limits } = (await ui.api<{ levels: readonly { limits: Limits }[] }>(limitsPath(projects)))
    .levels[0]!;
  expect(before).toBe(String(limits.requests_per_minute));
  await dialog.getByRole('button', { name: 'Confirm the change' }).click();
  await dialog.waitFor({ state: 'detached' });
  await page.getByText('starter v1').first().waitFor();
  const history = page.locator('section', { hasText: 'History of the contract' });
  const newest = history.getByRole('listitem').first();
  await newest.getByText('In force', { exact: true }).waitFor();
  await newest.getByRole('button', { name: /changes$/ }).click();
  await newest.getByText('Monthly fee').waitFor();
  expect(await newest.innerText()).toMatch(/€149\.00\s*€49\.00/);
  const now = (await ui.api<{ levels: readonly { limits: Limits }[] }>(limitsPath(projects))).levels[0]!;
  expect(after).toBe(String(now.limits.requests_per_minute));
  await page.context().close();
});

interface Limits {
  readonly requests_per_minute: number;
}
const limitsPath = (projects: Onboarded['projects']) => `/api/keys/${projects[0]!.keys[0]!.id}/limits`;

test('an invoice run makes invoices that can be downloaded and proven', async () => {
  await onboard('Abrechner');
  const page = await ui.visit('/invoices');
  await press(page, 'Run invoices');
  const dialog = page.getByRole('dialog');
  const current = await dialog.getByLabel('Period').locator('option').first().getAttribute('value');
  await dialog.getByLabel('Period').selectOption(current);
  await dialog.getByText('This month is not over').waitFor();
  await dialog.getByRole('button', { name: /^Close .* and invoice$/ }).click();
  await page.getByText('no problem').waitFor();
  await page.getByRole('dialog').locator('tr', { hasText: 'Abrechner' }).getByRole('link').click();
  await heading(page, /Invoice RE-/).waitFor();
  const downloading = page.waitForEvent('download');
  await page.getByRole('link', { name: 'PDF with ZUGFeRD' }).click();
  const file = await (await downloading).path();
  expect(readFileSync(file).subarray(0, 5).toString()).toBe('%PDF-');
  await press(page, 'Recompute');
  await page.getByText('Recomputed: equal to the cent').waitFor();
  await page.context().close();
});

test('somebody of a tenant joins by a link and sees what is theirs, and nothing else', async () => {
  const mine = await onboard('Eigenes Haus');
  await onboard('Fremdes Haus');
  const page = await ui.visit('/team');
  await page.getByRole('button', { name: 'Invite' }).first().click();
  await page.getByLabel('E-mail address').fill('lea@eigenes.example');
  await page.getByLabel('Leads the tenant').selectOption({ label: 'Eigenes Haus' });
  await page.getByRole('dialog').getByRole('button', { name: 'Invite' }).click();
  const link = new URL(await page.locator('[data-invitation]').innerText());
  await page.context().close();

  const theirs = await ui.visit(`/onboarding${link.search}${link.hash}`, { signedIn: false });
  await theirs.getByLabel('New password', { exact: true }).fill('a long enough password');
  await theirs.getByLabel('New password again').fill('a long enough password');
  await press(theirs, 'Set the password and sign in');
  await heading(theirs, 'Overview').waitFor();
  const places = await theirs.getByRole('navigation', { name: 'Pages of the console' }).innerText();
  expect(places.split('\n')).toEqual([
    'Overview',
    'Keys',
    'Usage',
    'Requests',
    'Invoices',
    'Models',
    'Settings',
  ]);
  await theirs.getByRole('link', { name: 'Keys', exact: true }).click();
  await theirs.getByRole('link', { name: 'eigenes-haus-shop-production' }).waitFor();
  expect(await theirs.content()).not.toMatch(/fremdes/i);
  await theirs.goto(`${ui.url}/ui/tenants/${mine.tenant.id}`);
  await theirs.getByRole('alert').waitFor();
  await theirs.context().close();
});

test('what happens elsewhere shows by itself', async () => {
  const { projects } = await onboard('Lebendig');
  const { id, secret } = projects[0]!.keys[0]!;
  const page = await ui.visit('/');
  await page.locator('[data-live=true]').waitFor();
  await page.evaluate("history.pushState(null, '', '/ui/requests')");
  await page.getByRole('checkbox', { name: 'Live' }).check();
  await page.getByLabel('Key', { exact: true }).fill(id);
  await page.getByText('No request', { exact: true }).waitFor();
  expect((await ui.chat(secret)).status).toBe(200);
  await page.getByRole('cell', { name: 'demo-small' }).waitFor();

  await page.evaluate(`history.pushState(null, '', '/ui/usage?by=key&time=week&key=${id}')`);
  await page.getByRole('button', { name: 'Remove the filter Key: lebendig-shop-production' }).waitFor();
  const downloading = page.waitForEvent('download');
  await press(page, 'CSV');
  const csv = readFileSync(await (await downloading).path(), 'utf8');
  expect(csv.split('\r\n')[0]).toMatch(/^week,key,name,requests,failed,/);
  expect(csv).toContain(`"${id}","lebendig-shop-production",1,0,`);
  await page.context().close();
});

test('an agency puts its logo and colour on, and its tenants see them', async () => {
  const { tenant } = await onboard('Gast');
  const page = await ui.visit('/settings?part=brand');
  await page.getByLabel('Logo', { exact: true }).setInputFiles({
    name: 'logo.png',
    mimeType: 'image/png',
    buffer: onePixel(),
  });
  await page.getByRole('textbox', { name: 'Colour', exact: true }).fill('#ffe100');
  await page.getByText('It takes 4.5 to be read').waitFor();
  expect(await page.getByRole('button', { name: 'Save' }).isDisabled()).toBe(true);
  await page.getByRole('textbox', { name: 'Colour', exact: true }).fill('#8a1c4a');
  await press(page, 'Save');
  await page.getByRole('img', { name: 'Logo' }).waitFor();
  await page.getByRole('button', { name: 'Agency', exact: true }).click();
  await page.getByLabel('Invoice series').fill('NL');
  await press(page, 'Save');
  await page.getByText('Numbers begin with NL-').waitFor();
  await page.context().close();

  await ui.api('/user/new', { user_id: 'gast', user_role: 'internal_user', auto_create_key: false });
  const member = { user_id: 'gast', role: 'org_admin' };
  await ui.api('/organization/member_add', { organization_id: tenant.id, member });
  const { invitation_link: link } = await ui.api<{ invitation_link: string }>('/invitation/new', {
    user_id: 'gast',
  });
  const { search, hash } = new URL(link, ui.url);
  const theirs = await ui.visit(`/onboarding${search}${hash}`, { signedIn: false, colorScheme: 'dark' });
  await theirs.getByLabel('New password', { exact: true }).fill('a long enough password');
  await theirs.getByLabel('New password again').fill('a long enough password');
  await press(theirs, 'Set the password and sign in');
  const logo = theirs.getByRole('img', { name: 'Nordlicht Digital GmbH' }).first();
  await expect
    .poll(() => logo.evaluate((image) => (image as unknown as { naturalWidth: number }).naturalWidth))
    .toBe(1);
  const accent = await theirs.evaluate(
    "getComputedStyle(document.documentElement).getPropertyValue('--accent')",
  );
  expect(accent).not.toBe('#5fcfb3');
  expect(await barriers(theirs)).toEqual([]);
  await theirs.context().close();
});

test('an alert target is tried before it is needed, and its secret is shown once', async () => {
  const heard: string[] = [];
  const server = createServer((request, response) => {
    heard.push(String(request.headers['x-keyledger-signature']));
    response.writeHead(204).end();
  });
  await new Promise<void>((done) => void server.listen(0, '127.0.0.1', done));
  const page = await ui.visit('/settings?part=alerts');
  await press(page, 'Add a target');
  const dialog = page.getByRole('dialog');
  await dialog
    .getByLabel('Address')
    .fill(`http://127.0.0.1:${(server.address() as AddressInfo).port}/hidden-path`);
  await dialog.getByRole('button', { name: 'Save' }).click();
  expect(await secretOf(page, 'webhook')).toMatch(/^whsec_/);
  await press(page, 'I have kept it');
  await page.getByRole('button', { name: /^Send a test to/ }).click();
  await page.getByText(/^It arrived after .*answered 204$/).waitFor();
  expect(heard).toMatchObject([expect.stringMatching(/^t=\d+,v1=[0-9a-f]{64}$/)]);
  expect(await page.content()).not.toMatch(/hidden-path|whsec_/);
  server.close();
  await page.context().close();
});

test('a lost network is said, and what was shown stays', async () => {
  const page = await ui.visit('/plans');
  await heading(page, 'Plans').waitFor();
  await page.context().setOffline(true);
  await page.getByText('There is no network').waitFor();
  expect(await heading(page, 'Plans').isVisible()).toBe(true);
  await page.context().setOffline(false);
  await page.getByText('There is no network').waitFor({ state: 'detached' });
  await page.context().close();
});

everyPage(() => ui, onboard);

test('a page of ten thousand keys comes as fast as one of ten', async () => {
  const table = `keys__v${keys.version}`;
  await ui.pool.query(
    `insert into ${table} select (jsonb_populate_record(k, jsonb_build_object('key_id', 'key_many' || n,
       'token_hash', md5(n::text) || md5(n::text), 'alias', 'many-' || lpad(n::text, 5, '0')))).*
     from ${table} k, generate_series(1, 10000) n
     where k.key_id = (select min(key_id) from ${table} where project_id is not null)`,
  );
  const page = await ui.visit('/keys?sort=key_alias');
  await page.getByText(/10,0\d\d keys/).waitFor();
  expect(await page.getByRole('row').count()).toBeLessThanOrEqual(51);
  await page.getByLabel('Alias').fill('many-04711');
  await page.getByText('1 keys', { exact: true }).waitFor();
  expect(new URL(page.url()).search).toContain('alias=many-04711');
  await page.context().close();
});
