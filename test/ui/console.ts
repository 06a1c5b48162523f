import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
import type { Pool } from 'pg';
import { expect } from 'vitest';
import { startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { createLog } from '../../src/log.ts';
import { testDatabase } from '../support/database.ts';
import { launchBrowser } from './browser.ts';

/** The whole program in this process, with the built console, and a browser in front of it. */
export interface Console {
  readonly url: string;
  readonly pool: Pool;
  /** A request of the administrator, past the browser. */
  api<T>(path: string, body?: unknown): Promise<T>;
  /** A chat through the gateway; the status and the message of a refusal. */
  chat(secret: string): Promise<{ readonly status: number; readonly message: string }>;
  /** Somebody new who leads the tenant, signed in. */
  join(tenantId: string): Promise<SignedIn>;
  /** A browser of its own, signed in as the administrator unless told otherwise. */
  visit(path: string, options?: VisitOptions): Promise<Page>;
  close(): Promise<void>;
}

export interface VisitOptions extends BrowserContextOptions {
  readonly signedIn?: boolean;
  readonly as?: SignedIn;
}

export const MASTER_KEY = 'sk-console-test-0123456789abcdef';
const ROOT = join(import.meta.dirname, '..', '..');
/** Another test file may have both cores at that moment. */
const WAIT_MS = 15_000;

export async function startConsole(): Promise<Console> {
  if (!existsSync(join(ROOT, 'dist', 'ui', 'index.html')))
    throw new Error('build the console first: npm run build');
  const database = await testDatabase();
  const dataDir = mkdtempSync(join(tmpdir(), 'keyledger-console-'));
  const environment = {
    DATABASE_URL: database.url,
    LITELLM_MASTER_KEY: MASTER_KEY,
    KEYLEDGER_DEMO: 'off',
    PORT: '0',
    SIMULATED_LATENCY_MS: '0',
    SIMULATED_CHUNK_DELAY_MS: '0',
    ALERT_HOSTS_ALLOWED: '127.0.0.1',
    AGENCY_NAME: 'Nordlicht Digital GmbH',
    AGENCY_STREET: 'Speicherstraße 7',
    AGENCY_POSTAL_CODE: '24103',
    AGENCY_CITY: 'Kiel',
    AGENCY_EMAIL: 'rechnung@nordlicht.example',
    AGENCY_VAT_ID: 'DE811569869',
  };
  const app = await startApp({
    config: readConfig(environment, dataDir),
    log: createLog('silent'),
    root: ROOT,
    version: '0.0.0-test',
    say: () => undefined,
  });
  const browser = await launchBrowser();
  const state = await signIn(browser, app.url, '/api/session', { username: 'admin', password: MASTER_KEY });
  return {
    url: app.url,
    pool: database.pool,
    async api(path, body) {
      const response = await send(app.url, path, MASTER_KEY, body);
      if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
      return (await response.json()) as never;
    },
    async chat(secret) {
      const messages = [{ role: 'user', content: 'Hello' }];
      const response = await send(app.url, '/v1/chat/completions', secret, {
        model: 'demo-small',
        max_tokens: 50,
        messages,
      });
      const { error } = (await response.json()) as { error?: { message: string } };
      return { status: response.status, message: error?.message ?? '' };
    },
    async join(tenantId) {
      const post = async <T>(path: string, body: object): Promise<T> => {
        const answer = await send(app.url, path, MASTER_KEY, body);
        expect(answer.status, path).toBe(200);
        return (await answer.json()) as T;
      };
      const { user_id } = await post<{ user_id: string }>('/user/new', { auto_create_key: false });
      const member = { user_id, role: 'org_admin' };
      await post('/organization/member_add', { organization_id: tenantId, member });
      const { id, token } = await post<{ id: string; token: string }>('/invitation/new', { user_id });
      const accepted = { invitation_id: id, token, password: 'a long enough password' };
      return signIn(browser, app.url, '/api/session/invitation', accepted);
    },
    async visit(path, { signedIn = true, as = state, ...options } = {}) {
      const context = await browser.newContext({
        locale: 'en-GB',
        viewport: { width: 1280, height: 900 },
        reducedMotion: 'reduce',
        ...options,
        ...(signedIn ? { storageState: as } : {}),
      });
      context.setDefaultTimeout(WAIT_MS);
      const page = await context.newPage();
      await page.goto(`${app.url}/ui${path}`);
      return page;
    },
    async close() {
      await browser.close();
      await app.close();
      await database.drop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

export type SignedIn = Awaited<ReturnType<BrowserContext['storageState']>>;

async function signIn(browser: Browser, url: string, path: string, data: object): Promise<SignedIn> {
  const context = await browser.newContext();
  const response = await context.request.post(`${url}${path}`, {
    headers: { 'x-keyledger-console': '1' },
    data,
  });
  expect(response.status()).toBe(200);
  const state = await context.storageState();
  await context.close();
  return state;
}

function send(url: string, path: string, secret: string, body: unknown): Promise<Response> {
  return fetch(`${url}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}
