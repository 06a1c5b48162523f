import OpenAI from 'openai';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseNanos } from '../../src/domain/money.ts';
import { MASTER_KEY, runCommand, type Server, startServer, temporaryDataDir } from './server.ts';

/** One agency's month, in order, through the built program: each test goes on where the last one ended. */
interface Onboarded {
  tenant: { id: string; name: string };
  contract: { plan: string };
  projects: {
    id: string;
    name: string;
    keys: { id: string; environment: string; secret: string; token: string }[];
  }[];
}
interface KeyInfo {
  info: {
    spend: number;
    blocked: boolean | null;
    rpm_limit: number | null;
    tpm_limit: number | null;
    max_budget: number | null;
  };
}
interface Invoice {
  id: string;
  number: string;
  tenant_id: string;
  status: string;
  lines: { kind: string; amount_exact?: { amount: string }; service_month: string }[];
}

const folder = temporaryDataDir();
const month = new Intl.DateTimeFormat('sv-SE', {
  timeZone: 'Europe/Berlin',
  year: 'numeric',
  month: '2-digit',
}).format(new Date());
const ONBOARDING = {
  name: 'Musterladen GmbH',
  plan: 'studio',
  billing: {
    name: 'Musterladen GmbH',
    street: 'Hauptstraße 1',
    postal_code: '10115',
    city: 'Berlin',
    country: 'DE',
    email: 'buchhaltung@musterladen.example',
  },
  projects: [{ name: 'Shop' }, { name: 'Chat', environments: ['production'] }],
};
const AGENCY = {
  AGENCY_NAME: 'Nordlicht Digital GmbH',
  AGENCY_STREET: 'Speicherstraße 7',
  AGENCY_POSTAL_CODE: '24103',
  AGENCY_CITY: 'Kiel',
  AGENCY_VAT_ID: 'DE811569869',
};
let server: Server;
let made: Onboarded;

beforeAll(async () => {
  server = await startServer(folder.path, AGENCY);
});

afterAll(async () => {
  await server.stop();
  folder.remove();
});

const secretOf = (project: number, environment: string) =>
  made.projects[project]!.keys.find((key) => key.environment === environment)!.secret;
const clientFor = (apiKey: string) => new OpenAI({ apiKey, baseURL: `${server.url}/v1`, maxRetries: 0 });
const spendOf = async (secret: string) =>
  (await server.api<KeyInfo>('GET', `/key/info?key=${secret}`)).body.info.spend;

test('one call onboards a tenant with a key per project and environment', async () => {
  const answer = await server.api<Onboarded>('POST', '/api/tenants', ONBOARDING, {
    'idempotency-key': 'onboard-1',
  });
  expect(answer.status).toBe(201);
  made = answer.body;
  expect(made.projects.map(({ keys }) => keys.map(({ environment }) => environment).toSorted())).toEqual([
    ['production', 'staging'],
    ['production'],
  ]);
  for (const { keys } of made.projects) for (const { secret } of keys) expect(secret).toMatch(/^sk-kl_/);
});

test('the same call again answers the same and makes no second tenant', async () => {
  const again = await server.api<Onboarded>('POST', '/api/tenants', ONBOARDING, {
    'idempotency-key': 'onboard-1',
  });
  expect(again.body).toEqual(made);
  const { body } = await server.api<{ data: { id: string; name: string }[] }>('GET', '/api/tenants');
  expect(body.data.filter(({ name }) => name === ONBOARDING.name)).toHaveLength(1);
});

test('another body under the same Idempotency-Key is refused', async () => {
  const other = { ...ONBOARDING, plan: 'starter' };
  const answer = await server.api('POST', '/api/tenants', other, { 'idempotency-key': 'onboard-1' });
  expect(answer.status).toBe(422);
});

test('the tenant can be read back without secrets', async () => {
  const { status, body } = await server.api('GET', `/api/tenants/${made.tenant.id}`);
  expect(status).toBe(200);
  const text = JSON.stringify(body);
  expect(text).toContain(made.projects[1]!.id);
  expect(text).not.toContain('sk-kl_');
});

test('the plan gives each environment its limits', async () => {
  const production = (await server.api<KeyInfo>('GET', `/key/info?key=${secretOf(0, 'production')}`)).body
    .info;
  const staging = (await server.api<KeyInfo>('GET', `/key/info?key=${secretOf(0, 'staging')}`)).body.info;
  expect(production.rpm_limit).toBeGreaterThan(staging.rpm_limit!);
  expect(production.max_budget).toBeGreaterThan(staging.max_budget!);
});

test('the OpenAI SDK chats, and the spend shows at once', async () => {
  const secret = secretOf(0, 'production');
  const answer = await clientFor(secret).chat.completions.create({
    model: 'demo-small',
    messages: [{ role: 'user', content: 'Hallo' }],
  });
  expect(answer.choices[0]!.message.content).not.toBe('');
  expect(await spendOf(secret)).toBeGreaterThan(0);
});

test('the OpenAI SDK streams; the usage chunk comes only when asked for', async () => {
  const client = clientFor(secretOf(1, 'production'));
  const base = {
    model: 'demo-large',
    messages: [{ role: 'user' as const, content: 'Erzähle etwas' }],
    stream: true as const,
  };
  let withUsage = 0;
  let text = '';
  for await (const chunk of await client.chat.completions.create(base)) {
    text += chunk.choices[0]?.delta.content ?? '';
    if (chunk.usage != null) withUsage += 1;
  }
  expect(text).not.toBe('');
  expect(withUsage).toBe(0);
  const asked = await client.chat.completions.create({ ...base, stream_options: { include_usage: true } });
  for await (const chunk of asked) if (chunk.usage != null) withUsage += 1;
  expect(withUsage).toBe(1);
  expect(await spendOf(secretOf(1, 'production'))).toBeGreaterThan(0);
});

test('the OpenAI SDK makes embeddings and lists models', async () => {
  const client = clientFor(secretOf(0, 'staging'));
  const { data } = await client.embeddings.create({ model: 'demo-embed', input: ['eins', 'zwei'] });
  expect(data).toHaveLength(2);
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  expect(names).toContain('demo-small');
});

test('block, unblock, rotate and delete hold on the very next request', async () => {
  const { body: generated } = await server.api<{ key: string }>('POST', '/key/generate', {
    team_id: made.projects[0]!.id,
  });
  const ask = async (secret: string) => {
    const response = await fetch(`${server.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'demo-small', messages: [{ role: 'user', content: 'Hallo' }] }),
    });
    await response.text();
    return response.status;
  };
  for (let round = 0; round < 5; round += 1) {
    await server.api('POST', '/key/block', { key: generated.key });
    expect(await ask(generated.key)).toBe(401);
    await server.api('POST', '/key/unblock', { key: generated.key });
    expect(await ask(generated.key)).toBe(200);
  }
  const { body: rotated } = await server.api<{ key: string }>('POST', `/key/${generated.key}/regenerate`);
  expect(await ask(generated.key)).toBe(401);
  expect(await ask(rotated.key)).toBe(200);
  await server.api('POST', '/key/delete', { keys: [rotated.key] });
  expect(await ask(rotated.key)).toBe(401);
});

test('200 parallel requests against a budget for 50: exactly 50 are served and paid', async () => {
  const request = {
    model: 'demo-small',
    messages: [{ role: 'user', content: 'Wie spät ist es?' }],
    max_tokens: 40,
  };
  const probe = await server.api<{ key: string }>('POST', '/key/generate', {});
  const send = (secret: string) =>
    fetch(`${server.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
      body: JSON.stringify(request),
    }).then(async (response) => {
      await response.text();
      return response.status;
    });
  expect(await send(probe.body.key)).toBe(200);
  const price = parseNanos((await spendOf(probe.body.key)).toFixed(9));
  const budget = Number(price * 50n) / 1e9;
  const limited = await server.api<{ key: string }>('POST', '/key/generate', { max_budget: budget });
  expect(limited.status).toBe(200);
  const statuses = await Promise.all(Array.from({ length: 200 }, () => send(limited.body.key)));
  expect(statuses.filter((status) => status === 200)).toHaveLength(50);
  expect(statuses.filter((status) => status === 422)).toHaveLength(150);
  expect(parseNanos((await spendOf(limited.body.key)).toFixed(9))).toBe(price * 50n);
});

test('the invoice run bills what was used, and running it again changes nothing', async () => {
  const run = () => server.api('POST', '/api/invoice-runs', { period: month });
  expect((await run()).status).toBeLessThan(300);
  const first = await server.api<{ data: Invoice[] }>('GET', '/api/invoices');
  expect(first.body.data).toHaveLength(1);
  expect(first.body.data[0]).toMatchObject({ tenant_id: made.tenant.id, status: 'finalized' });
  expect((await run()).status).toBeLessThan(300);
  expect((await server.api('GET', '/api/invoices')).body).toEqual(first.body);
  const { body } = await server.api<Invoice>('GET', `/api/invoices/${first.body.data[0]!.id}`);
  expect(body.lines.map(({ kind }) => kind)).toContain('usage');
});

test('a key is replayed from the log: who did what, and what it cost', async () => {
  const { id } = made.projects[0]!.keys[0]!;
  const { status, body } = await server.api('GET', `/api/audit/keys/${id}`);
  expect(status).toBe(200);
  expect(JSON.stringify(body)).toContain('key.generated');
  const settings = { KEYLEDGER_DATA_DIR: folder.path, LITELLM_MASTER_KEY: MASTER_KEY };
  const command = await runCommand(['audit', 'key', id], settings);
  expect(command.code, command.stderr).toBe(0);
  expect(command.stdout).toContain('key.generated');
});

test('the whole log verifies, and every read model equals a rebuild, while the server runs', async () => {
  const settings = { KEYLEDGER_DATA_DIR: folder.path, LITELLM_MASTER_KEY: MASTER_KEY };
  const rebuilt = await runCommand(['rebuild', 'usage'], settings);
  expect(rebuilt.code, rebuilt.stderr).toBe(0);
  const verified = await runCommand(['audit', 'verify', '--json'], settings);
  expect(verified.code, verified.stdout + verified.stderr).toBe(0);
  expect(JSON.parse(verified.stdout)).toMatchObject({ ok: true });
  expect(await spendOf(secretOf(0, 'production'))).toBeGreaterThan(0);
});
