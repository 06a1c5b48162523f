/** A gateway on a real port, in front of the simulated upstream or of one that a test scripts, with the log in memory. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { agencies } from '../../projections/agencies.ts';
import { budgets } from '../../projections/budgets.ts';
import { customers } from '../../projections/customers.ts';
import { keys } from '../../projections/keys.ts';
import { members } from '../../projections/members.ts';
import { projects } from '../../projections/projects.ts';
import { tags } from '../../projections/tags.ts';
import { tenants } from '../../projections/tenants.ts';
import { users } from '../../projections/users.ts';
import {
  type SimulatedUpstream,
  type SimulatedUpstreamSettings,
  startSimulatedUpstream,
} from '../../src/demo/simulated-upstream.ts';
import type { Deployment } from '../../src/domain/deployment.ts';
import type { KeySettings } from '../../src/domain/key.ts';
import { type Limits, UNLIMITED } from '../../src/domain/limits.ts';
import type { Terms } from '../../src/domain/plan.ts';
import { type Routing, ROUTING_DEFAULT } from '../../src/domain/routing.ts';
import type { SpendRecorded } from '../../src/domain/spend.ts';
import type { DomainEvent } from '../../src/events.ts';
import { createGateway, type Gateway } from '../../src/gateway/gateway.ts';
import type { GatewayDeps } from '../../src/gateway/gateway-deps.ts';
import { readSpool } from '../../src/gateway/spool.ts';
import { readRecord } from '../../src/gateway/spool-records.ts';
import { memoryTable } from '../../src/memory-table.ts';
import { hashSecret, maskSecret } from '../../src/secrets.ts';
import type { EventStore } from '../../src/store/event-store.ts';
import { memoryStore } from '../../src/store/memory.ts';
import {
  agencyRegistered,
  contractSigned,
  keyGenerated,
  keySettings,
  projectOpened,
  recorded,
  tenantOnboarded,
  terms,
} from '../support/events.ts';

export const SECRET = 'sk-test-secret-0001';
export const MASTER_KEY = 'sk-master-of-the-tests';
export const UPSTREAM_KEY = 'sk-upstream-credential-1';
/** Nanos per token: 1 in, half of it cached, 3 out. */
export const PRICES = {
  'demo-small': { inputRate: 2_000_000n, cachedInputRate: 1_000_000n, outputRate: 3_000_000n },
  'demo-embed': { inputRate: 1_000_000n, cachedInputRate: 1_000_000n, outputRate: 0n },
  'demo-free': { inputRate: 0n, cachedInputRate: 0n, outputRate: 0n },
};

/**
 * What one `world.chat()` costs: 9 tokens of prompt at 2 and at most 10 of completion at 3, the worst case,
 * which the answer also is.
 */
export const ONE = 48n;

export interface World {
  readonly url: string;
  readonly gateway: Gateway;
  readonly store: EventStore;
  readonly upstream: SimulatedUpstream;
  readonly logged: { readonly level: string; readonly facts: object; readonly message: string }[];
  /** Applies events to the tables that the gateway decides by. */
  apply(...events: readonly DomainEvent[]): void;
  /** Kinds of the records in the spool, in order. */
  spooled(): string[];
  /** All spend in the log, in order. */
  spends(): Promise<SpendRecorded['data'][]>;
  /** Sends JSON to a route. */
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Response>;
  chat(body?: object, headers?: Record<string, string>): Promise<Response>;
  stop(): Promise<void>;
}

export interface WorldOptions {
  readonly limits?: Partial<Limits>;
  readonly settings?: Partial<KeySettings>;
  readonly terms?: Partial<Terms>;
  readonly projectLimits?: Partial<Limits>;
  readonly upstream?: SimulatedUpstreamSettings;
  readonly deployment?: Partial<Deployment>;
  readonly deployments?: (base: Deployment) => readonly Deployment[];
  /** Without retries, unless it says otherwise. */
  readonly routing?: Partial<Routing>;
  readonly deps?: Partial<GatewayDeps>;
  readonly wrapStore?: (store: EventStore) => EventStore;
}

export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const upstream = await startSimulatedUpstream({ apiKey: UPSTREAM_KEY, ...options.upstream });
  const memory = memoryStore({ now: () => new Date().toISOString() });
  const store = options.wrapStore?.(memory) ?? memory;
  const tables = {
    agencies: memoryTable(agencies),
    tenants: memoryTable(tenants),
    projects: memoryTable(projects),
    keys: memoryTable(keys, { indexes: ['token_hash', 'old_token_hash'] }),
    users: memoryTable(users),
    members: memoryTable(members),
    budgets: memoryTable(budgets),
    customers: memoryTable(customers),
    tags: memoryTable(tags),
  };
  const logged: World['logged'] = [];
  let position = 0n;
  const apply = (...events: readonly DomainEvent[]): void => {
    for (const event of events) {
      position += 1n;
      for (const table of Object.values(tables)) table.apply(recorded(event, { position }));
    }
  };
  apply(...foundation(options));
  const spoolDir = await mkdtemp(join(tmpdir(), 'keyledger-spool-'));
  const base: Deployment = {
    id: 'upstream',
    publicName: '*',
    upstreamModel: null,
    baseUrl: `${upstream.url}/v1`,
    apiKey: UPSTREAM_KEY,
    maxOutputTokens: 4096,
    costRates: { input: 1_000_000n, 'cached-input': 500_000n, output: 1_500_000n },
    weight: 1,
    timeoutMs: 10_000,
    extraHeaders: {},
    ...options.deployment,
  };
  let id = 0;
  const gateway = createGateway({
    store,
    writerId: 'w1',
    tables: { ...tables, isCurrent: () => true },
    deployments: options.deployments?.(base) ?? [base],
    routing: { ...ROUTING_DEFAULT, retries: 0, ...options.routing },
    masterKey: MASTER_KEY,
    ownTenantId: 'ten_own',
    installation: null,
    spentSince: () => Promise.resolve({ nanos: 0n, position: 0n }),
    keyHeader: null,
    budgetExceededStatus: 422,
    bodyBytesMax: 4 * 1024 * 1024,
    spoolDir,
    spendWaitingMax: 10_000,
    outageMsMax: 10_000,
    spendGatherMs: 0,
    version: '0.0.0-test',
    log: {
      warn: (facts, message) => void logged.push({ level: 'warn', facts, message }),
      error: (facts, message) => void logged.push({ level: 'error', facts, message }),
    },
    wallMs: Date.now,
    monotonicMs: () => performance.now(),
    newId: () => `request-${(id += 1)}`,
    random: () => 0,
    ...options.deps,
  });
  const server = createServer((request, response) => gateway.handle(request, response));
  const url = await listen(server);
  const post: World['post'] = (path, body, headers = {}) =>
    fetch(url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${SECRET}`, ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  return {
    url,
    gateway,
    store,
    upstream,
    logged,
    apply,
    spooled: () =>
      [...readSpool(spoolDir).values()]
        .flat()
        .flatMap(({ records }) => records.map((text) => readRecord(text).kind)),
    async spends() {
      await gateway.flush();
      return await spendsIn(memory);
    },
    post,
    chat: (body = {}, headers) => post('/v1/chat/completions', { ...ask(), ...body }, headers),
    async stop() {
      await gateway.close(0);
      await upstream.stop();
      await stopServer(server);
      await memory.close();
      await rm(spoolDir, { recursive: true });
    },
  };
}

/** One question, 9 tokens of prompt, with an answer of 10 tokens. */
export function ask(overrides: object = {}): object {
  return {
    model: 'demo-small',
    messages: [{ role: 'user', content: 'Hello you' }],
    max_tokens: 10,
    ...overrides,
  };
}

function foundation({
  limits = {},
  settings = {},
  terms: other = {},
  projectLimits,
}: WorldOptions): DomainEvent[] {
  return [
    agencyRegistered(),
    tenantOnboarded({ tenantId: 'ten_own', own: true }),
    tenantOnboarded(),
    contractSigned({ terms: terms({ prices: { models: PRICES, markupPercent: null }, ...other }) }),
    projectOpened(projectLimits === undefined ? {} : { limits: { ...UNLIMITED, ...projectLimits } }),
    keyGenerated({
      tokenHash: hashSecret(SECRET),
      keyName: maskSecret(SECRET),
      limits: { ...UNLIMITED, ...limits },
      settings: keySettings(settings),
    }),
  ];
}

export async function spendsIn(store: EventStore): Promise<SpendRecorded['data'][]> {
  const abort = new AbortController();
  const found: SpendRecorded['data'][] = [];
  for await (const batch of store.subscribe(0n, abort.signal, { prefixes: ['spend.'] })) {
    for (const { event } of batch.events) if (event.type === 'spend.recorded') found.push(event.data);
    if (batch.caughtUp) abort.abort();
  }
  return found;
}

export async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export function stopServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** An upstream that does exactly what a test says. */
export async function scripted(
  answer: (request: IncomingMessage, response: ServerResponse, body: string) => void,
): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (part: Buffer) => {
      body += part.toString('latin1');
    });
    request.on('end', () => answer(request, response, body));
  });
  const url = await listen(server);
  return { url, stop: () => stopServer(server) };
}

/** Waits until something is so; for what happens after a client has left. */
export async function until(what: () => boolean | Promise<boolean>, msMax = 5_000): Promise<void> {
  const end = Date.now() + msMax;
  while (!(await what())) {
    if (Date.now() > end) throw new Error('it did not happen in time');
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
}

/** The data of all events in a streamed answer. */
export async function eventsOf(response: Response): Promise<string[]> {
  const text = await response.text();
  return text
    .split('\n\n')
    .filter((event) => event.startsWith('data: '))
    .map((event) => event.slice(6));
}

export function errorOf(body: unknown): {
  message: string;
  type: string;
  param: string | null;
  code: string;
} & {
  reason?: string;
  detail?: Record<string, unknown>;
} {
  return (body as { error: ReturnType<typeof errorOf> }).error;
}
