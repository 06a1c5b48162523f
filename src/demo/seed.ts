import { randomUUID } from 'node:crypto';
import { type Api, demoApi } from './demo-api.ts';

/**
 * The demo: what an agency does on its first day, through the same HTTP API that everybody uses.
 * Every step carries an Idempotency-Key, and requests are sent only as far as the books do not have them,
 * so an interrupted demo is completed by the next start and nothing is made twice; the secrets of its
 * keys can be shown again for the same reason.
 */
export interface DemoDeps {
  readonly baseUrl: string;
  readonly masterKey: string;
  /** Prints one line for people. */
  readonly say: (line: string) => void;
  /** Breaks the demo off. */
  readonly signal: AbortSignal;
}

export interface DemoResult {
  readonly tenants: readonly DemoTenant[];
  /** A production key to try things with; null when it was blocked, rotated or deleted since. */
  readonly key: DemoKey | null;
}

export interface DemoKey {
  readonly id: string;
  readonly environment: string;
  readonly secret: string;
}

interface DemoTenant {
  readonly tenant: { readonly id: string };
  readonly projects: readonly {
    readonly id: string;
    readonly name: string;
    readonly keys: readonly DemoKey[];
  }[];
}

const TENANTS = [
  {
    name: 'Bäckerei Sonnenkorn GmbH',
    plan: 'starter',
    billing: {
      name: 'Bäckerei Sonnenkorn GmbH',
      street: 'Marktstraße 12',
      postal_code: '29221',
      city: 'Celle',
      country: 'DE',
      email: 'rechnung@sonnenkorn.example',
      language: 'de',
    },
    projects: [{ name: 'Online-Shop' }, { name: 'Rezept-Assistent' }],
  },
  {
    name: 'Fjordlicht Reisen AG',
    plan: 'studio',
    billing: {
      name: 'Fjordlicht Reisen AG',
      street: 'Hafenallee 3',
      postal_code: '20457',
      city: 'Hamburg',
      country: 'DE',
      email: 'buchhaltung@fjordlicht.example',
      vat_id: 'DE136695976',
      language: 'de',
    },
    projects: [{ name: 'Website-Relaunch' }, { name: 'Service-Chat' }],
  },
] as const;

const QUESTIONS = [
  'Schreibe einen Teaser für unser Dinkelbrot, höchstens zwei Sätze.',
  'Welche Unterlagen braucht man für eine Fährreise nach Norwegen mit Hund?',
  'Summarise this week’s support tickets in three bullet points.',
  'Nenne fünf Zutaten für ein glutenfreies Frühstücksgebäck.',
  'Draft a friendly answer to a guest who wants to move the booking to June.',
];

/**
 * Runs the demo, or finds that it has run; `fresh` says which. Null, and nothing is made, when the
 * installation has customers of its own: a log keeps what is put into it.
 */
export async function seedDemo(deps: DemoDeps): Promise<(DemoResult & { readonly fresh: boolean }) | null> {
  const api = demoApi(deps.baseUrl, deps.masterKey, deps.signal);
  const before = await api.get<{ data: readonly { name: string | null; own: boolean }[] }>('/api/tenants');
  const others = before.data.filter(
    ({ name, own }) => !own && !TENANTS.some((tenant) => tenant.name === name),
  );
  const live = await api.get<{ keys: readonly unknown[] }>(`/key/list?key_alias=${DONE_ALIAS}`);
  const gone = await api.get<{ keys: readonly unknown[] }>(
    `/key/list?key_alias=${DONE_ALIAS}&status=deleted`,
  );
  const fresh = live.keys.length + gone.keys.length === 0;
  if (fresh && others.length > 0) return null;
  const say = fresh ? deps.say : () => undefined;
  if (fresh && before.data.every(({ own }) => own))
    say('This is the first start: the demo sets up an agency and its customers.');
  else if (fresh) say('The demo was interrupted: it goes on where it was.');
  const tenants = await onboard(api, say);
  const key = tenants[1]!.projects[0]!.keys.find(({ environment }) => environment === 'production')!;
  if (fresh) {
    await api
      .post('/team/new', { team_id: 'team-engineering', team_alias: 'Engineering (in-house)' }, 'demo-team')
      .catch(ignoreExisting);
    await sendTraffic(api, tenants, say);
    await showLimits(api, key, tenants, say);
    await showLifecycle(api, tenants, say);
    await api.post(
      '/key/generate',
      { key_alias: DONE_ALIAS, team_id: 'team-engineering', max_budget: 5 },
      'demo-done',
    );
  }
  return { tenants, key: (await stateOf(api, key)) === 'works' ? key : null, fresh };
}

/** Of the key with this secret; gone: rotated or deleted. */
async function stateOf(api: Api, key: DemoKey): Promise<'works' | 'blocked' | 'gone'> {
  const found = await api
    .get<{ info: { blocked: boolean | null } }>(`/key/info?key=${key.secret}`)
    .catch(() => null);
  if (found === null) return 'gone';
  return found.info.blocked === true ? 'blocked' : 'works';
}

/** The last thing the demo makes; its presence says that all of it was done. */
const DONE_ALIAS = 'engineering-playground';

async function onboard(api: Api, say: DemoDeps['say']): Promise<readonly DemoTenant[]> {
  const tenants: DemoTenant[] = [];
  for (const body of TENANTS) {
    const made = await api.post<DemoTenant>('/api/tenants', body, `demo-onboard-${body.plan}`);
    tenants.push(made);
    const keys = made.projects.reduce((sum, project) => sum + project.keys.length, 0);
    say(`  onboarded ${body.name} on plan ${body.plan}: ${made.projects.length} projects, ${keys} keys`);
  }
  return tenants;
}

async function sendTraffic(api: Api, tenants: readonly DemoTenant[], say: DemoDeps['say']): Promise<void> {
  for (const { projects } of tenants) {
    for (const project of projects) {
      for (const key of project.keys) {
        await sendRound(api, key);
        const { requests, tokens, spend } = await usageOf(api, key);
        say(`  ${project.name}, ${key.environment}: ${requests} requests, ${tokens} tokens, spend ${spend}`);
      }
    }
  }
}

/** Chats with and without streaming and, in production, one batch of embeddings; what was recorded before is left out. */
async function sendRound(api: Api, key: DemoKey): Promise<void> {
  const isLive = key.environment === 'production';
  const chats = isLive ? 5 : 2;
  const { requests: before } = await usageOf(api, key);
  for (let i = before; i < chats; i += 1) {
    const model = isLive && i % 3 === 2 ? 'demo-large' : 'demo-small';
    const content = QUESTIONS[(i * 2) % QUESTIONS.length]!;
    await api.chat(key.secret, { model, messages: [{ role: 'user', content }], stream: i % 2 === 1 });
  }
  if (isLive && before <= chats)
    await api.embed(key.secret, ['Roggenmischbrot', 'Hafenrundfahrt', 'Schärengarten']);
}

interface KeyUsage {
  readonly requests: number;
  readonly tokens: number;
  /** With the currency. */
  readonly spend: string;
}

/** From the books, and all of one moment. */
async function usageOf(api: Api, key: DemoKey): Promise<KeyUsage> {
  const { data } = await api.get<{ data: readonly Sum[] }>(`/api/usage?by=key&key_id=${key.id}`);
  const [sum] = data;
  if (sum === undefined) return { requests: 0, tokens: 0, spend: 'nothing' };
  const { requests, input_tokens: input, output_tokens: output, price } = sum;
  return {
    requests,
    tokens: input + output,
    spend: `${Number(price.amount).toFixed(6)} ${price.currency}`,
  };
}

interface Sum {
  readonly requests: number;
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly price: { readonly amount: string; readonly currency: string };
}

async function showLimits(
  api: Api,
  key: DemoKey,
  tenants: readonly DemoTenant[],
  say: DemoDeps['say'],
): Promise<void> {
  const project = tenants[1]!.projects[1]!;
  const small = await api.post<{ key: string }>(
    '/key/generate',
    { key_alias: 'service-chat-trial', team_id: project.id, max_budget: 0.0003, models: ['demo-small'] },
    'demo-trial-key',
  );
  const { info } = await api.get<{ info: { spend: number } }>(`/key/info?key=${small.key}`);
  if (info.spend > 0) {
    say('  limits at work: shown before the interruption');
    return;
  }
  const ask = (secret: string, model: string) =>
    api.chatStatus(secret, { model, messages: [{ role: 'user', content: QUESTIONS[1]! }], max_tokens: 200 });
  say('  limits at work:');
  for (const [label, secret, model] of [
    ['a trial key with a budget of 0.0003 EUR, first call', small.key, 'demo-small'],
    ['the same key, second call', small.key, 'demo-small'],
    ['the same key, a model it may not use', small.key, 'demo-large'],
    ['a production key of the studio plan', key.secret, 'demo-large'],
  ] as const) {
    const { status, message } = await ask(secret, model);
    say(`    ${status}  ${label}${message === '' ? '' : `: ${message}`}`);
  }
}

async function showLifecycle(api: Api, tenants: readonly DemoTenant[], say: DemoDeps['say']): Promise<void> {
  const staging = tenants[0]!.projects[0]!.keys.find(({ environment }) => environment === 'staging')!;
  const ask = async (secret: string) =>
    (
      await api.chatStatus(secret, {
        model: 'demo-small',
        messages: [{ role: 'user', content: QUESTIONS[0]! }],
      })
    ).status;
  if ((await stateOf(api, staging)) === 'gone') {
    say('  life of a key: shown before the interruption');
    return;
  }
  // Commands of their own: a repeated one would find itself carried out, and change nothing.
  await api.post('/key/block', { key: staging.id }, randomUUID());
  const blocked = await ask(staging.secret);
  await api.post('/key/unblock', { key: staging.id }, randomUUID());
  const unblocked = await ask(staging.secret);
  const rotated = await api.post<{ key: string }>('/key/regenerate', { key: staging.id }, 'demo-rotate');
  say(
    `  life of a key: blocked -> ${blocked}, unblocked -> ${unblocked}, rotated: old secret -> ${await ask(staging.secret)}, new -> ${await ask(rotated.key)}`,
  );
}

function ignoreExisting(error: unknown): void {
  if (!(error instanceof Error) || !error.message.includes('already exists')) throw error;
}
