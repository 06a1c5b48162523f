import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

/** Two installations of the program over one database, as on two machines; the second comes while the first serves. */
const MASTER_KEY = 'sk-two-instances-master-key-0123456789';
const CHUNK_DELAY_MS = 150;
const folders = [0, 1].map(() => mkdtempSync(join(tmpdir(), 'keyledger-instance-')));
const apps: App[] = [];
let database: TestDatabase;

async function startInstance(dataDir: string): Promise<App> {
  const settings = {
    DATABASE_URL: database.url,
    LITELLM_MASTER_KEY: MASTER_KEY,
    KEYLEDGER_DATA_DIR: dataDir,
    KEYLEDGER_DEMO: 'off',
    SIMULATED_LATENCY_MS: '0',
    SIMULATED_CHUNK_DELAY_MS: String(CHUNK_DELAY_MS),
    HOST: '127.0.0.1',
    PORT: '0',
    AUDIT_SEAL_MINUTES: '0',
  };
  const app = await startApp({
    config: readConfig(settings, dataDir),
    log: pino({ level: 'silent' }),
    root: process.cwd(),
    version: '0.0.0-test',
    say: () => undefined,
  });
  apps.push(app);
  return app;
}

beforeAll(async () => {
  database = await testDatabase();
  await startInstance(folders[0]!);
});
afterAll(async () => {
  for (const app of apps) await app.close();
  await database?.drop();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

const BODY = { model: 'demo-small', messages: [{ role: 'user', content: 'Hallo' }], max_tokens: 5 };
const SOMEONE = { ...BODY, user: 'someone' };

function post(at: number, path: string, body: object, bearer = MASTER_KEY): Promise<Response> {
  return fetch(`${apps[at]!.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

async function newKey(at: number, limits: object): Promise<string> {
  const answer = await post(at, '/key/generate', limits);
  expect(answer.status).toBe(200);
  return ((await answer.json()) as { key: string }).key;
}

async function made(path: string, body: object): Promise<Record<string, string>> {
  const answer = await post(0, path, body);
  expect(answer.status).toBe(200);
  return (await answer.json()) as Record<string, string>;
}

/** A key, its project, its tenant and whom its requests name: each with the same budget. */
async function keyOnFourLevels(max_budget: number): Promise<string> {
  const { organization_id } = await made('/organization/new', { organization_alias: 'four', max_budget });
  const { team_id } = await made('/team/new', { organization_id, max_budget });
  await made('/customer/new', { user_id: SOMEONE.user, max_budget });
  return await newKey(0, { team_id, max_budget });
}

async function statusOf(at: number, secret: string, body: object = BODY): Promise<number> {
  const response = await post(at, '/v1/chat/completions', body, secret);
  await response.arrayBuffer();
  return response.status;
}

test('budgets and rates that were begun by one alone are kept to the last request by both together', async () => {
  const probe = await post(0, '/v1/chat/completions', BODY, await newKey(0, {}));
  const cost = Number(probe.headers.get('x-litellm-response-cost'));
  expect(cost).toBeGreaterThan(0);
  const paid = 40;
  const budget = Number((cost * paid).toFixed(9));
  const callers = [
    [await newKey(0, { max_budget: budget }), BODY],
    [await newKey(0, { rpm_limit: paid }), BODY],
    [await keyOnFourLevels(budget), SOMEONE],
  ] as const;
  for (const [secret, body] of callers)
    for (let i = 0; i < 7; i += 1) expect(await statusOf(0, secret, body)).toBe(200);
  await startInstance(folders[1]!);
  for (const [secret, body] of callers) {
    const answers = await Promise.all(Array.from({ length: 120 }, (_, i) => statusOf(i % 2, secret, body)));
    expect(new Set(answers).size).toBe(2);
    expect(7 + answers.filter((status) => status === 200).length).toBe(paid);
  }
});

test('a name is given once, whoever is asked for it at the same time', async () => {
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, i) => post(i % 2, '/key/generate', { key_alias: 'only-one' })),
  );
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
});

test('a read at one shows what the other has answered, and a key made at one works at the other, at once', async () => {
  let cost = 0;
  const secret = await newKey(0, { max_budget: 1 });
  for (let round = 1; round <= 10; round += 1) {
    const answer = await post(round % 2, '/v1/chat/completions', BODY, secret);
    expect(answer.status).toBe(200);
    // Neither of two knows what the other has spent by now.
    expect(answer.headers.get('x-litellm-key-spend')).toBeNull();
    cost += Number(answer.headers.get('x-litellm-response-cost'));
    await answer.arrayBuffer();
    const read = await fetch(`${apps[(round + 1) % 2]!.url}/key/info?key=${secret}`, {
      headers: { authorization: `Bearer ${MASTER_KEY}` },
    });
    const { info } = (await read.json()) as { info: { spend: number } };
    expect(info.spend).toBeCloseTo(cost, 9);
    expect(await statusOf((round + 1) % 2, await newKey(round % 2, {}))).toBe(200);
  }
});

test('a key that is blocked at one is blocked at the other within a second, ten times of ten', async () => {
  for (let trial = 0; trial < 10; trial += 1) {
    const secret = await newKey(trial % 2, {});
    const other = (trial + 1) % 2;
    await post(trial % 2, '/key/block', { key: secret });
    const blockedMs = performance.now();
    for (let sentMs = 0; (await statusOf(other, secret)) !== 401; sentMs = performance.now() - blockedMs)
      expect(sentMs).toBeLessThan(1_000);
  }
});

test.each([
  ['blocked', '/key/block', (key: string) => ({ key })],
  ['deleted', '/key/delete', (key: string) => ({ keys: [key] })],
] as const)(
  'a stream at one ends with an error soon after its key was %s at the other',
  async (_, path, body) => {
    const secret = await newKey(0, {});
    const answer = await post(1, '/v1/chat/completions', { ...BODY, max_tokens: 200, stream: true }, secret);
    expect(answer.status).toBe(200);
    const reader = answer.body!.getReader();
    await reader.read();
    expect((await post(0, path, body(secret))).status).toBe(200);
    const blockedMs = performance.now();
    let text = '';
    const decoder = new TextDecoder();
    for (let part = await reader.read(); !part.done; part = await reader.read())
      text += decoder.decode(part.value);
    expect(performance.now() - blockedMs).toBeLessThan(5_000);
    expect(text).toContain('"error"');
    expect(text).not.toContain('[DONE]');
  },
);
