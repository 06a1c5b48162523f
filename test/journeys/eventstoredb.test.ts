import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testDatabase, type TestDatabase } from '../support/database.ts';

import type { StandInOrder } from '../support/eventstoredb/main.ts';
import { beginOwnLog } from './own-log.ts';
import { freePort, MASTER_KEY, runCommand, type Server, startServer, temporaryDataDir } from './server.ts';

/**
 * The main job with the log in EventStoreDB, through the built program: each test goes on where the
 * last one ended. EVENTSTORE_TEST_URL names a real server with an empty log; without it a stand-in
 * runs as a process of its own, and is killed on the way.
 */
interface Onboarded {
  tenant: { id: string };
  projects: { id: string; keys: { id: string; environment: string; secret: string }[] }[];
}
interface KeyInfo {
  info: { spend: number; blocked: boolean | null };
}

const realUrl = process.env['EVENTSTORE_TEST_URL'];
const folder = temporaryDataDir();
let standIn: ChildProcess | null = null;
let database: TestDatabase;
let port = 0;
let server: Server;
let made: Onboarded;

const url = () => realUrl ?? `esdb://127.0.0.1:${port}?tls=false`;
const AGENCY = {
  AGENCY_NAME: 'Nordlicht Digital GmbH',
  AGENCY_STREET: 'Speicherstraße 7',
  AGENCY_POSTAL_CODE: '24103',
  AGENCY_CITY: 'Kiel',
  AGENCY_VAT_ID: 'DE811569869',
};
const settings = () => ({
  ...AGENCY,
  DATABASE_URL: database.url,
  EVENT_STORE: 'eventstoredb',
  EVENTSTOREDB_URL: url(),
});

async function startLog(): Promise<void> {
  if (realUrl !== undefined) return;
  const args = [
    'dist/test/support/eventstoredb/main.js',
    '--file',
    join(folder.path, 'log'),
    '--port',
    String(port),
  ];
  standIn = spawn(process.execPath, [...args, '--durable'], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
  await once(standIn.stdout!, 'data');
}

async function killLog(): Promise<void> {
  if (standIn === null) return;
  standIn.kill('SIGKILL');
  await once(standIn, 'exit');
}

beforeAll(async () => {
  database = await testDatabase();
  port = await freePort();
  await startLog();
  server = await startServer(folder.path, settings());
});

afterAll(async () => {
  await server?.stop();
  await killLog();
  await database?.drop();
  folder.remove();
});

const secret = () => made.projects[0]!.keys.find(({ environment }) => environment === 'production')!.secret;
const infoOf = async (key: string) => (await server.api<KeyInfo>('GET', `/key/info?key=${key}`)).body.info;
const order = (what: StandInOrder) => void standIn?.send(what);

async function chat(key: string): Promise<number> {
  const response = await fetch(`${server.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'demo-small',
      messages: [{ role: 'user', content: 'Hallo' }],
      max_tokens: 20,
    }),
  });
  await response.text();
  return response.status;
}

test('a tenant is onboarded, and the same call again finds it', async () => {
  const body = {
    name: 'Musterladen GmbH',
    plan: 'studio',
    billing: {
      name: 'Musterladen GmbH',
      street: 'Hauptstraße 1',
      postal_code: '10115',
      city: 'Berlin',
      country: 'DE',
      email: 'a@musterladen.example',
    },
    projects: [{ name: 'Shop' }],
  };
  const headers = { 'idempotency-key': 'onboard-1' };
  const answer = await server.api<Onboarded>('POST', '/api/tenants', body, headers);
  expect(answer.status).toBe(201);
  made = answer.body;
  expect((await server.api('POST', '/api/tenants', body, headers)).body).toEqual(made);
});

test('a chat is answered, and its price shows at once', async () => {
  const client = new OpenAI({ apiKey: secret(), baseURL: `${server.url}/v1`, maxRetries: 0 });
  const answer = await client.chat.completions.create({
    model: 'demo-small',
    messages: [{ role: 'user', content: 'Hallo' }],
  });
  expect(answer.choices[0]!.message.content).not.toBe('');
  expect((await infoOf(secret())).spend).toBeGreaterThan(0);
});

test('a block holds on the very next request, and so does its end', async () => {
  for (let round = 0; round < 5; round += 1) {
    await server.api('POST', '/key/block', { key: secret() });
    expect(await chat(secret())).toBe(401);
    await server.api('POST', '/key/unblock', { key: secret() });
    expect(await chat(secret())).toBe(200);
  }
});

test('40 requests at once against a budget for 10: exactly 10 are served and paid', async () => {
  const probe = (await server.api<{ key: string }>('POST', '/key/generate', {})).body.key;
  expect(await chat(probe)).toBe(200);
  const { spend } = await infoOf(probe);
  const { body } = await server.api<{ key: string }>('POST', '/key/generate', { max_budget: spend * 10 });
  const statuses = await Promise.all(Array.from({ length: 40 }, () => chat(body.key)));
  expect(statuses.filter((status) => status === 200)).toHaveLength(10);
  expect((await infoOf(body.key)).spend).toBeCloseTo(spend * 10, 9);
});

test('lost answers, cut connections and silent subscriptions cost nothing and double nothing', async () => {
  const { body } = await server.api<{ key: string }>('POST', '/key/generate', { key_alias: 'faults' });
  let answered = 0;
  const faults: StandInOrder[] = [
    { appends: ['lose-answer'] },
    { appends: ['lose-write'] },
    { now: 'end-subscriptions' },
    { appends: ['not-leader'], subscriptions: [{ redeliver: 5 }] },
    { now: 'drop-connections' },
    { appends: ['time-out'] },
  ];
  for (const fault of faults) {
    order(fault);
    if ((await chat(body.key)) === 200) answered += 1;
  }
  expect(answered).toBe(faults.length);
  expect(await requestsOf('faults')).toBe(answered);
});

async function requestsOf(alias: string): Promise<number> {
  const { body } = await server.api<{ spend: { requests: number }[] }>('GET', `/api/audit/keys/${alias}`);
  return body.spend.reduce((sum, { requests }) => sum + requests, 0);
}

test('the log is killed and comes back, the program is killed right after answers, and all is as it was', async () => {
  const before = await infoOf(secret());
  await killLog();
  if (realUrl === undefined) {
    expect((await server.api('POST', '/key/block', { key: secret() })).status).toBe(503);
  }
  await startLog();
  const { body } = await server.api<{ key: string }>('POST', '/key/generate', { key_alias: 'survivor' });
  expect(await Promise.all([1, 2, 3].map(() => chat(body.key)))).toEqual([200, 200, 200]);
  await server.kill();
  await killLog();
  await startLog();
  server = await startServer(folder.path, settings());
  expect(await requestsOf('survivor')).toBe(3);
  expect(await infoOf(secret())).toEqual(before);
  expect(await chat(secret())).toBe(200);
  expect((await infoOf(secret())).spend).toBeGreaterThan(before.spend);
});

test('the invoice run bills from it', async () => {
  const zone = { timeZone: 'Europe/Berlin', year: 'numeric', month: '2-digit' } as const;
  const period = new Intl.DateTimeFormat('sv-SE', zone).format(new Date());
  expect((await server.api('POST', '/api/invoice-runs', { period })).status).toBeLessThan(300);
  const { body } = await server.api<{ data: { tenant_id: string; status: string }[] }>(
    'GET',
    '/api/invoices',
  );
  expect(body.data).toMatchObject([{ tenant_id: made.tenant.id, status: 'finalized' }]);
});

test('a read model is rebuilt from the log, and the whole log verifies', async () => {
  const environment = { KEYLEDGER_DATA_DIR: folder.path, LITELLM_MASTER_KEY: MASTER_KEY, ...settings() };
  const rebuilt = await runCommand(['rebuild', 'usage'], environment);
  expect(rebuilt.code, rebuilt.stderr).toBe(0);
  const verified = await runCommand(['audit', 'verify', '--json'], environment);
  expect(verified.code, verified.stdout + verified.stderr).toBe(0);
  expect(JSON.parse(verified.stdout)).toMatchObject({ ok: true });
});

test('a database that has held a log is not read with another', async () => {
  const [other, held] = [temporaryDataDir(), await testDatabase()];
  await beginOwnLog(held);
  const refused = await runCommand(['audit', 'verify'], {
    KEYLEDGER_DATA_DIR: other.path,
    LITELLM_MASTER_KEY: MASTER_KEY,
    ...settings(),
    DATABASE_URL: held.url,
  });
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain('This database holds a log of its own');
  await held.drop();
  other.remove();
});
