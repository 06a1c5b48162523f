/** The built program with its demo data and a browser in front of it: for figures and pictures of the console. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
import { launchBrowser } from '../ui/browser.ts';
import { stopProcess } from './processes.ts';

export interface DemoConsole {
  readonly url: string;
  readonly browser: Browser;
  /** A browser of its own, signed in as the administrator. */
  open(options?: BrowserContextOptions): Promise<BrowserContext>;
  /** Signed in as somebody who leads the tenant. */
  openFor(tenantId: string, options?: BrowserContextOptions): Promise<BrowserContext>;
  /** As the administrator unless another secret is given. */
  api<T>(path: string, body?: unknown, secret?: string): Promise<T>;
  /** Sets the program's clock so many milliseconds back. */
  setBack(ms: number): void;
  close(): Promise<void>;
}

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const PROGRAM = join(ROOT, 'dist', 'src', 'cli.js');
const CLOCK = join(ROOT, 'dist', 'test', 'bench', 'moved-clock.js');
const MASTER_KEY = 'sk-console-0123456789abcdef0123456789abcdef';
const PASSWORD = 'a password of the pictures';
const READY_WITHIN_MS = 180_000;
const CONSOLE = { 'x-keyledger-console': '1' };

/** `backMs`: its clock starts so far in the past. */
export async function startDemoConsole(backMs = 0): Promise<DemoConsole> {
  const folder = mkdtempSync(join(tmpdir(), 'keyledger-console-'));
  const clock = `${folder}.clock`;
  const setBack = (ms: number) => writeFileSync(clock, String(ms));
  setBack(backMs);
  const moved = backMs === 0 ? [] : ['--import', CLOCK];
  const child = spawn(process.execPath, [...moved, PROGRAM, 'start'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      PORT: '0',
      KEYLEDGER_DATA_DIR: folder,
      MOVED_CLOCK_FILE: clock,
      LITELLM_MASTER_KEY: MASTER_KEY,
      SIMULATED_LATENCY_MS: '0',
      SIMULATED_CHUNK_DELAY_MS: '0',
    },
  });
  const stop = async (): Promise<void> => {
    await stopProcess(child);
    rmSync(folder, { recursive: true, force: true });
    rmSync(clock, { force: true });
  };
  try {
    const url = await addressIn(child.stdout, once(child, 'exit'));
    const browser = await launchBrowser();
    const call = async (path: string, body?: unknown, secret = MASTER_KEY) => {
      const answer = await fetch(url + path, {
        method: body === undefined ? 'GET' : 'POST',
        headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      if (!answer.ok) throw new Error(`${path} answered ${answer.status}: ${await answer.text()}`);
      return (await answer.json()) as never;
    };
    const signedIn = async (path: string, data: object, options: BrowserContextOptions = {}) => {
      const context = await browser.newContext(options);
      const answer = await context.request.post(`${url}${path}`, { headers: CONSOLE, data });
      if (!answer.ok()) throw new Error(`not signed in: ${await answer.text()}`);
      return context;
    };
    return {
      url,
      browser,
      setBack,
      api: call,
      open: (options) => signedIn('/api/session', { username: 'admin', password: MASTER_KEY }, options),
      async openFor(tenantId, options) {
        const invitation = await invite(call, tenantId);
        return signedIn('/api/session/invitation', { ...invitation, password: PASSWORD }, options);
      },
      async close() {
        await browser.close();
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Until everything on the page has come. */
export async function complete(page: Page): Promise<void> {
  await page.getByRole('heading', { level: 1 }).waitFor();
  await page.locator('.skeleton').first().waitFor({ state: 'detached' });
}

/** A new person who leads the tenant, and the way in. */
async function invite(
  call: (path: string, body?: unknown) => Promise<never>,
  tenantId: string,
): Promise<{ readonly invitation_id: string; readonly token: string }> {
  const { user_id }: { user_id: string } = await call('/user/new', {
    user_email: `lea.${crypto.randomUUID().slice(0, 8)}@example.org`,
    user_alias: 'Lea Brandt',
    auto_create_key: false,
  });
  const member = { user_id, role: 'org_admin' };
  await call('/organization/member_add', { organization_id: tenantId, member });
  const { id, token }: { id: string; token: string } = await call('/invitation/new', { user_id });
  return { invitation_id: id, token };
}

/** The program says where it listens when it is ready, after the demo has been made. */
async function addressIn(output: NodeJS.ReadableStream, ended: Promise<unknown[]>): Promise<string> {
  let said = '';
  const found = new Promise<string>((resolve) => {
    output.on('data', (text: Buffer) => {
      said += text.toString();
      const [url] = /http:\/\/localhost:\d+/.exec(said) ?? [];
      if (url !== undefined && said.includes('Keyledger is ready')) resolve(url);
    });
  });
  const late = new Promise<never>((_resolve, reject) => {
    setTimeout(() => reject(new Error('the program was not ready in time')), READY_WITHIN_MS).unref();
  });
  const over = ended.then(() => Promise.reject(new Error(`the program ended:\n${said}`)));
  return Promise.race([found, late, over]);
}
