/** Keyledger as it is run: the built command, an embedded Postgres in a folder of its own, one tenant, one key. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { postgresPids } from './cpu.ts';
import { stopProcess } from './processes.ts';

export interface Keyledger {
  readonly url: string;
  readonly authorization: string;
  /** The server and its database. */
  readonly pids: readonly number[];
  readonly stop: () => Promise<void>;
}

const PROGRAM = fileURLToPath(new URL('../../src/cli.js', import.meta.url));
const PACKAGE = fileURLToPath(new URL('../../../package.json', import.meta.url));
const MASTER_KEY = 'sk-bench-0123456789abcdef0123456789abcdef';
const PLAN = 'bench';
const PLANS = 'plans';
/** A million keys take a while to load. */
const READY_WITHIN_MS = 300_000;
/** Limits of every kind on key and contract, so that all are checked, and so high that none refuses. */
const LIMITS =
  '{ requests_per_minute: 1000000000, tokens_per_minute: 1000000000, parallel_requests: 100000, models: [], budget: { amount: "1000000.00", window: 30d } }';
const PLAN_FILE = `
name: ${PLAN}
version: 1
title: Bench
description: High limits of every kind
currency: EUR
monthly_fee: "0.00"
included_usage: "0.00"
prices:
  markup_percent: null
  models:
    demo-small: { input: "0.150", cached_input: "0.075", output: "0.600" }
limits:
  production: ${LIMITS}
  staging: ${LIMITS}
tenant_limits: ${LIMITS}
`;

/** As `npm start` runs it: what stands between `node` and the program. */
function nodeOptions(): readonly string[] {
  const { scripts } = JSON.parse(readFileSync(PACKAGE, 'utf8')) as { scripts: { start: string } };
  return scripts.start.split(' ').filter((word) => word.startsWith('--'));
}

export function keyledgerIsBuilt(): boolean {
  return existsSync(PROGRAM);
}

export async function startKeyledger(upstreamUrl: string): Promise<Keyledger> {
  const folder = newFolder();
  try {
    const running = await launch(folder, upstreamUrl);
    const stop = async (): Promise<void> => {
      await running.stop();
      rmSync(folder, { recursive: true, force: true });
    };
    return { ...running, authorization: `Bearer ${await onboard(running.url)}`, stop };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

/** A data folder, and the plan that is measured with. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'keyledger-bench-'));
  mkdirSync(join(folder, PLANS));
  writeFileSync(join(folder, PLANS, `${PLAN}.yaml`), PLAN_FILE);
  return folder;
}

/** The command on a data folder, which stays when it is stopped. */
export async function launch(folder: string, upstreamUrl: string): Promise<Omit<Keyledger, 'authorization'>> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = spawn(process.execPath, [...nodeOptions(), PROGRAM, 'start'], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      PORT: String(port),
      KEYLEDGER_DATA_DIR: folder,
      KEYLEDGER_PLANS_DIR: join(folder, PLANS),
      LITELLM_MASTER_KEY: MASTER_KEY,
      UPSTREAM_BASE_URL: upstreamUrl,
      UPSTREAM_API_KEY: 'sk-upstream-bench',
      KEYLEDGER_DEMO: 'off',
    },
  });
  const stop = () => stopProcess(child);
  try {
    await ready(url, () => child.exitCode);
    return { url, pids: [child.pid ?? 0, ...postgresPids(folder)], stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function ready(url: string, exitCode: () => number | null): Promise<void> {
  const until = Date.now() + READY_WITHIN_MS;
  while (Date.now() < until) {
    if (exitCode() !== null) throw new Error(`keyledger ended with ${exitCode()} before it was ready`);
    const answer = await fetch(`${url}/health/readiness`).catch(() => null);
    if (answer?.status === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('keyledger was not ready in time');
}

/** A tenant with a key; its secret. */
export async function onboard(url: string): Promise<string> {
  const tenant = await post(url, '/api/tenants', {
    name: 'Bench GmbH',
    plan: PLAN,
    billing: {
      name: 'Bench GmbH',
      street: 'Prüfstand 1',
      postal_code: '10115',
      city: 'Berlin',
      country: 'DE',
      email: 'bench@example.com',
    },
    projects: [{ name: 'bench', environments: ['production'] }],
  });
  const secret = secretIn(tenant);
  if (secret === null) throw new Error('onboarding returned no key');
  return secret;
}

async function post(url: string, path: string, body: object): Promise<unknown> {
  const answer = await fetch(url + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${MASTER_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}: ${text.slice(0, 500)}`);
  return JSON.parse(text);
}

/** The first secret anywhere in an answer. */
function secretIn(value: unknown): string | null {
  if (typeof value === 'string') return value.startsWith('sk-') && value.length > 20 ? value : null;
  if (typeof value !== 'object' || value === null) return null;
  for (const item of Object.values(value)) {
    const secret = secretIn(item);
    if (secret !== null) return secret;
  }
  return null;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}
