import type { Page } from 'playwright-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { barriers } from './axe.ts';
import type { Console, SignedIn } from './console.ts';

/** What holds for every page, for whoever looks at it and however: part of journeys.test.ts. */
export interface Onboarded {
  readonly tenant: { readonly id: string };
  readonly projects: readonly {
    readonly id: string;
    readonly keys: readonly { id: string; secret: string }[];
  }[];
}

const PORTAL = ['/', '/keys', '/usage', '/requests', '/invoices', '/models', '/settings'];
const NARROW = { viewport: { width: 390, height: 844 } } as const;
const ENGLISH_LIGHT = { locale: 'en-GB', colorScheme: 'light' } as const;
const GERMAN_DARK = { locale: 'de-DE', colorScheme: 'dark' } as const;
const LOOK_MS = 240_000;

export function everyPage(console: () => Console, onboard: (name: string) => Promise<Onboarded>): void {
  describe('every page', () => {
    let agency: readonly string[];
    let keyPath: string;
    let tenantPath: string;
    let theirs: SignedIn;
    beforeAll(async () => {
      const { tenant, projects } = await onboard('Barrierefrei');
      const { id, secret } = projects[0]!.keys[0]!;
      await console().chat(secret);
      const { data } = await console().api<{ data: readonly { id: string }[] }>('/api/invoices?limit=1');
      keyPath = `/keys/${id}`;
      tenantPath = `/tenants/${tenant.id}`;
      const things = [tenantPath, keyPath, `${keyPath}?tab=history`];
      const invoices = data.map((invoice) => `/invoices/${invoice.id}`);
      const own = ['/tenants', '/tenants/new', '/plans', '/audit', '/team', '/access'];
      const parts = ['brand', 'payments', 'alerts', 'you'].map((part) => `/settings?part=${part}`);
      agency = [...PORTAL, ...own, ...parts, ...things, ...invoices];
      theirs = await console().join(tenant.id);
    });

    /** Every rule once in each language; contrast in each theme of each language. */
    async function inspect(page: Page, paths: readonly string[]): Promise<readonly string[]> {
      const complaints: string[] = [];
      page.on('pageerror', ({ message }) => complaints.push(message));
      page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
      await page.getByRole('heading', { level: 1 }).waitFor();
      for (const path of paths) {
        await go(page, path);
        const excess = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
        if (excess !== 0) complaints.push(`${path} is ${String(excess)} px too wide`);
        complaints.push(...(await barriers(page)).map((barrier) => `${path} ${barrier}`));
        await page.evaluate(TURN);
        const turned = await barriers(page, ['color-contrast']);
        complaints.push(...turned.map((barrier) => `${path}, in the other theme: ${barrier}`));
        await page.evaluate('delete document.documentElement.dataset.theme');
      }
      await page.context().close();
      return complaints;
    }

    test(
      'fits, and has no serious barrier in English and German, light and dark',
      async () => {
        const pages = await Promise.all([
          console().visit('/', ENGLISH_LIGHT),
          console().visit('/', { ...GERMAN_DARK, ...NARROW }),
        ]);
        const found = await Promise.all(pages.map((page) => inspect(page, agency)));
        expect(found.flat()).toEqual([]);
      },
      LOOK_MS,
    );

    test(
      'of a tenant’s own people does so, too',
      async () => {
        const pages = await Promise.all([
          console().visit('/', { ...ENGLISH_LIGHT, ...NARROW, as: theirs }),
          console().visit('/', { ...GERMAN_DARK, as: theirs }),
        ]);
        const found = await Promise.all(pages.map((page) => inspect(page, [...PORTAL, keyPath])));
        expect(found.flat()).toEqual([]);
      },
      LOOK_MS,
    );

    test(
      'can be walked by Tab alone: the skip link first, then every control, seen where one is',
      async () => {
        const page = await console().visit('/');
        await page.getByRole('heading', { level: 1 }).waitFor();
        await page.keyboard.press('Tab');
        expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to the content');
        await page.keyboard.press('Enter');
        expect(await page.evaluate('document.activeElement.id')).toBe('main');
        const complaints: string[] = [];
        for (const path of agency) {
          await go(page, path);
          complaints.push(...(await walk(page)).map((missed) => `${path}: ${missed}`));
        }
        expect(complaints).toEqual([]);
        await page.context().close();
      },
      LOOK_MS,
    );

    test(
      'opens what asks for something with Enter, keeps the focus in it, and gives it back with Escape',
      async () => {
        const litellm_params = { model: 'openai/by-hand', api_base: 'http://127.0.0.1:9/v1', api_key: 'x' };
        await console().api('/model/new', { model_name: 'by-hand', litellm_params });
        const page = await console().visit('/');
        const actions: readonly (readonly [path: string, ...buttons: string[]])[] = [
          ['/keys', 'Create key'],
          [keyPath, 'Edit', 'Rotate', 'Block', 'Delete'],
          [tenantPath, 'Change contract', 'Open project'],
          ['/invoices', 'Run invoices'],
          ['/plans', 'What if: agency'],
          ['/models', 'Add model', 'Test by-hand', 'Edit by-hand', 'Delete by-hand'],
          ['/team', 'Invite'],
          ['/access', 'Create credential', 'Appoint auditor'],
          ['/settings?part=payments', 'Connect Stripe'],
          ['/settings?part=alerts', 'Add a target'],
        ];
        for (const [path, ...buttons] of actions) {
          await go(page, path);
          for (const name of buttons) {
            const button = page.getByRole('main').getByRole('button', { name, exact: true }).first();
            await button.focus();
            await page.keyboard.press('Enter');
            const dialog = page.getByRole('dialog');
            await dialog.waitFor();
            const stops = new Set<string>();
            for (let press = 0; press < 40; press += 1) {
              stops.add(String(await page.evaluate(PLACE)));
              await page.keyboard.press(press === 0 ? 'Shift+Tab' : 'Tab');
            }
            // The window of the browser is one stop on the way round; the page behind is none.
            expect([...stops].filter((stop) => stop !== 'dialog' && stop !== 'window')).toEqual([]);
            expect(stops.has('dialog'), `${path} ${name}`).toBe(true);
            await dialog.getByRole('button').first().focus();
            await page.keyboard.press('Escape');
            await dialog.waitFor({ state: 'detached' });
            expect(await page.evaluate(NAME), path).toBe(name);
          }
        }
        await page.context().close();
      },
      LOOK_MS,
    );
  });

  test('a key is made by keyboard alone, and what is refused is said at its field, in German, too', async () => {
    const page = await console().visit('/keys', { locale: 'de-DE' });
    const open = page.getByRole('button', { name: 'Key anlegen' }).first();
    const make = async () => {
      await open.focus();
      await page.keyboard.press('Enter');
      await page.getByRole('dialog').waitFor();
      await page.keyboard.type('von-hand');
      await page.keyboard.press('Enter');
    };
    await make();
    await page.locator('[data-secret="von-hand"]').waitFor();
    expect(await page.evaluate(PLACE)).toBe('dialog');
    await page.keyboard.press('Escape');
    await page.locator('[data-secret="von-hand"]').waitFor();
    await page.getByRole('button', { name: 'Ich habe es gesichert' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await make();
    const alias = page.getByRole('dialog').getByLabel('Alias');
    const taken = 'Einen Key mit dem Alias „von-hand“ gibt es schon. Aliasse sind einmalig.';
    await page.getByRole('dialog').getByText(taken).first().waitFor();
    expect(await alias.getAttribute('aria-invalid')).toBe('true');
    const described = await alias.getAttribute('aria-describedby');
    expect(await page.locator(`[id="${described}"]`).innerText()).toBe(taken);
    await page.context().close();
  });

  test('what the API would refuse is said before it is sent', async () => {
    const page = await console().visit('/access');
    const sent: string[] = [];
    page.on('request', (request) => request.method() === 'POST' && sent.push(request.url()));
    await page.getByRole('button', { name: 'Create credential' }).click();
    await page.getByLabel('Name').fill('x'.repeat(101));
    await page.getByRole('dialog').getByRole('button', { name: 'Create credential' }).click();
    await page.getByRole('dialog').getByText('At most 100 characters', { exact: true }).waitFor();
    expect(sent).toEqual([]);
    await page.getByLabel('Name').fill('deploy');
    await page.getByRole('dialog').getByRole('button', { name: 'Create credential' }).click();
    const secret = await page.locator('[data-secret="deploy"]').innerText();
    const use = async () =>
      (await fetch(`${console().url}/api/tenants`, { headers: { authorization: `Bearer ${secret}` } }))
        .status;
    expect(await use()).toBe(200);
    await page.getByRole('button', { name: 'I have kept it' }).click();
    await page.reload();
    expect(await page.content()).not.toContain(secret);
    await page.getByRole('button', { name: 'Revoke deploy' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
    await page.getByText('No program has access').waitFor();
    expect(await use()).toBe(401);
    await page.context().close();
  });

  test('the first page loads with less than 250 kB, everything included', async () => {
    const page = await console().visit('/');
    await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
    await expect.poll(() => page.locator('.skeleton').count()).toBe(0);
    const bytes = (await page.evaluate(LOADED)) as number;
    expect(bytes).toBeGreaterThan(50_000);
    expect(bytes).toBeLessThan(250_000);
    await page.context().close();
  });
}

/** The theme that the system did not ask for. */
const TURN = `document.documentElement.dataset.theme =
  matchMedia('(prefers-color-scheme: dark)').matches ? 'light' : 'dark'`;

const NAME = 'document.activeElement.ariaLabel ?? document.activeElement.textContent';

const PLACE = `document.activeElement === document.body ? 'window'
  : document.activeElement.closest('dialog') !== null ? 'dialog' : document.activeElement.outerHTML`;

/** Over the wire, with headers. */
const LOADED = `[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
  .reduce((sum, { transferSize }) => sum + transferSize, 0)`;

/** Numbers the controls of the page that a keyboard must reach. Of radio buttons, the chosen one is. */
const MARK = `(() => {
  const all = [...document.querySelectorAll(
    '#main :is(a[href], button, input, select, textarea, summary, [tabindex="0"])')];
  const wanted = all.filter((one) => !one.disabled && one.checkVisibility() &&
    (one.type !== 'radio' || one.checked) && one.getBoundingClientRect().width > 0);
  wanted.forEach((one, index) => { one.dataset.stop = index; });
  return wanted.map((one) => one.outerHTML.slice(0, 160));
})()`;
const STOP = `(() => {
  const at = document.activeElement;
  if (at === null || at.closest('#main') === null || at.id === 'main') return null;
  const seen = getComputedStyle(at).outlineStyle !== 'none';
  return { stop: at.dataset.stop === undefined ? null : Number(at.dataset.stop), seen, html: at.outerHTML.slice(0, 160) };
})()`;

interface Stop {
  readonly stop: number | null;
  readonly seen: boolean;
  readonly html: string;
}

/** From the top of the page to its end by Tab; what was not reached, or not to be seen when it was. */
async function walk(page: Page): Promise<readonly string[]> {
  await page.evaluate('document.getElementById("main").focus()');
  const wanted = (await page.evaluate(MARK)) as readonly string[];
  const reached = new Set<number>();
  const unseen: string[] = [];
  // Fields for dates have several stops each.
  for (let press = 0; press < wanted.length * 4 + 20; press += 1) {
    await page.keyboard.press('Tab');
    const at = (await page.evaluate(STOP)) as Stop | null;
    if (at === null) break;
    if (!at.seen) unseen.push(`focus is not to be seen on ${at.html}`);
    if (at.stop !== null) reached.add(at.stop);
  }
  const missed = wanted.filter((_, index) => !reached.has(index));
  return [...missed.map((html) => `not reached: ${html}`), ...new Set(unseen)];
}

/** To another page as a link would go there, until everything on it has come. */
async function go(page: Page, path: string): Promise<void> {
  await page.evaluate(`history.pushState(null, '', ${JSON.stringify(`/ui${path}`)})`);
  await expect.poll(() => page.locator('.skeleton').count(), { timeout: 15_000 }).toBe(0);
  await page.getByRole('heading', { level: 1 }).waitFor();
}
