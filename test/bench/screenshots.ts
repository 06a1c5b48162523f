/**
 * Pictures of every page of the console with the demo data, wide and narrow, light and dark:
 * `npm run screenshots -- <folder>`. Three of them are in the README.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { BrowserContext, Page } from 'playwright-core';
import { complete, type DemoConsole, startDemoConsole } from './demo-console.ts';
import { liveThrough, MONTH_DAYS } from './demo-month.ts';

const [, , folder = 'dist/screenshots', only = ''] = process.argv;
const WIDTHS = [1440, 390] as const;
const SCHEMES = ['light', 'dark'] as const;
const HEIGHT = 900;
const DAY_MS = 86_400_000;
const TALL_MAX = 2_400;

interface Shot {
  readonly name: string;
  readonly path: string;
  /** As whom: a person of the agency, or of a tenant. */
  readonly as?: 'tenant';
}

async function shotsOf({ api }: DemoConsole): Promise<{ shots: readonly Shot[]; tenantId: string }> {
  const figures = await api<{ data: readonly { id: string; own: boolean; plan: unknown }[] }>(
    '/api/tenant-figures',
  );
  const tenantId = figures.data.find(({ plan }) => plan === 'agency')?.id ?? '';
  const { keys } = await api<{ keys: readonly { key_id: string }[] }>(
    `/key/list?return_full_object=true&include_team_keys=true&size=1&sort_by=spend&sort_order=desc&organization_id=${tenantId}`,
  );
  const keyId = keys[0]?.key_id ?? '';
  await furnish(api, tenantId, keyId);
  const invoices = await api<{ data: readonly { id: string }[] }>(
    `/api/invoices?limit=1&tenant_id=${tenantId}`,
  );
  const pages: readonly (readonly [name: string, path: string])[] = [
    ['overview', '/'],
    ['tenants', '/tenants'],
    ['onboard', '/tenants/new'],
    ['tenant', `/tenants/${tenantId}`],
    ['keys', '/keys'],
    ['key', `/keys/${keyId}`],
    ['key-history', `/keys/${keyId}?tab=history`],
    ['usage', '/usage'],
    ['requests', '/requests'],
    ['invoices', '/invoices'],
    ...invoices.data.map(({ id }) => ['invoice', `/invoices/${id}`] as const),
    ['plans', '/plans'],
    ['models', '/models'],
    ['audit', '/audit'],
    ['team', '/team'],
    ['access', '/access'],
    ['settings', '/settings'],
  ];
  const portal = ['/', '/keys', '/usage', '/requests', '/invoices', '/models', '/settings'];
  return {
    tenantId,
    shots: [
      ...pages.map(([name, path]) => ({ name, path })),
      ...portal.map((path) => ({
        name: `portal-${path.slice(1) || 'overview'}`,
        path,
        as: 'tenant' as const,
      })),
    ],
  };
}

/** What a working day adds to the demo: changes of a key, invoices, secrets of others, a verdict. */
async function furnish(api: DemoConsole['api'], tenantId: string, key: string): Promise<void> {
  await api('/key/update', { key, max_budget: '80', rpm_limit: 100 });
  await api('/key/block', { key });
  await api('/key/unblock', { key });
  await api(`/key/regenerate`, { key, grace_period: '24h' });
  const today = new Date();
  const before = new Date(Date.UTC(today.getUTCFullYear(), today.getUTCMonth(), 0));
  await api('/api/invoice-runs', { period: before.toISOString().slice(0, 7) });
  await api('/api/credentials', { name: 'deploy', role: 'proxy_admin' });
  await api('/api/credentials', { name: 'dashboard', role: 'proxy_admin_viewer' });
  await api('/api/credentials', { name: 'their-intranet', role: 'org_admin', tenant_id: tenantId });
  const auditor = await api<{ secret: string }>('/api/audit/credentials', { scope: 'tenant', id: tenantId });
  for (const path of [`keys/${key}`, `tenants/${tenantId}`])
    await api(`/api/audit/${path}`, undefined, auditor.secret);
  await api('/api/audit/verification', {});
}

async function photograph(page: Page, url: string, { name, path }: Shot, look: string): Promise<void> {
  await page.goto(`${url}/ui${path}`);
  await complete(page);
  // Live figures keep a connection open, so the network never rests.
  await page.waitForTimeout(500);
  // As tall as the page, so that what sticks to the window is where it belongs.
  const { width } = page.viewportSize() ?? { width: WIDTHS[0] };
  const tall = (await page.evaluate('document.documentElement.scrollHeight')) as number;
  await page.setViewportSize({ width, height: Math.min(TALL_MAX, Math.max(HEIGHT, tall)) });
  await page.screenshot({ path: join(folder, `${name}-${look}.png`), animations: 'disabled' });
  await page.setViewportSize({ width, height: HEIGHT });
}

const demo = await startDemoConsole(MONTH_DAYS * DAY_MS);
try {
  await liveThrough(demo, demo.setBack);
  mkdirSync(folder, { recursive: true });
  const { shots, tenantId } = await shotsOf(demo);
  const wanted = shots.filter(({ name }) => name.includes(only));
  for (const width of WIDTHS) {
    for (const colorScheme of SCHEMES) {
      const look = { viewport: { width, height: HEIGHT }, colorScheme, locale: 'en-GB' } as const;
      const contexts: readonly [BrowserContext, BrowserContext] = [
        await demo.open(look),
        await demo.openFor(tenantId, look),
      ];
      const [ours, theirs] = await Promise.all(contexts.map((context) => context.newPage()));
      for (const shot of wanted)
        await photograph(shot.as === 'tenant' ? theirs! : ours!, demo.url, shot, `${width}-${colorScheme}`);
      for (const context of contexts) await context.close();
      console.log(`${wanted.length} pages, ${width} px, ${colorScheme}`);
    }
  }
} finally {
  await demo.close();
}
