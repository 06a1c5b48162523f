/**
 * The admin API over a real database, log and read models, without a gateway: what tests of the
 * routes talk to. Time stands still unless a test moves it.
 */
import { type FastifyInstance, type InjectOptions, type LightMyRequestResponse } from 'fastify';
import { pino } from 'pino';
import type { Kysely } from 'kysely';
import type { Pool } from 'pg';
import { agency } from '../../src/domain/agency.ts';
import { plan, type Terms } from '../../src/domain/plan.ts';
import { tenant } from '../../src/domain/tenant.ts';
import type { Cause } from '../../src/events.ts';
import { bundleDesk } from '../../src/audit/bundle-desk.ts';
import { publicKeys } from '../../src/audit/public-keys.ts';
import { timeTravel } from '../../src/audit/time-travel.ts';
import { billingRecords } from '../../src/billing/billing-records.ts';
import { alertDesk } from '../../src/billing/alert-desk.ts';
import { collectionDesk } from '../../src/billing/collection-desk.ts';
import { stripeCollector } from '../../src/billing/stripe.ts';
import { verificationDesk } from '../../src/audit/verification.ts';
import { billingDesk } from '../../src/billing/desk.ts';
import type { HttpDeps } from '../../src/http/deps.ts';
import { keyPolicy } from '../../src/http/key-policy.ts';
import type { Tables } from '../../src/http/read.ts';
import { createLiveHub } from '../../src/http/live-hub.ts';
import { createHttp } from '../../src/http/server.ts';
import { NO_KEY_POLICY } from '../../src/litellm-keys.ts';
import { credentialSeal } from '../../src/model-credentials.ts';
import { startProjector } from '../../src/projector.ts';
import { readModels } from '../../src/read-models.ts';
import { prepareReader } from '../../src/row-security.ts';
import { openScopedReads } from '../../src/scoped-reads.ts';
import type { EventStore } from '../../src/store/event-store.ts';
import { postgresStore } from '../../src/store/postgres.ts';
import { transact } from '../../src/transact.ts';
import { testDatabase } from './database.ts';
import { someTerms } from './terms.ts';

export const MASTER_KEY = 'sk-test-master-key-0123456789';
export const OWN = { agencyId: 'age_test', tenantId: 'ten_own' } as const;
const SERVER_SECRET = 'server secret of the tests';
export const START = '2026-11-20T10:00:00.000Z';

export interface Admin {
  readonly app: FastifyInstance;
  readonly store: EventStore;
  readonly db: Kysely<Tables>;
  readonly pool: Pool;
  readonly deps: HttpDeps;
  /** Lines that were logged, as JSON texts. */
  readonly logged: readonly string[];
  /** Moves the clock. */
  setNow(iso: string): void;
  /** A request as the administrator, or as the bearer that is given; null sends no key. */
  call(request: Call): Promise<Answer>;
  close(): Promise<void>;
}

export interface Call {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'HEAD' | 'OPTIONS';
  readonly url: string;
  /** Sent as JSON; a string as it is. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly bearer?: string | null;
}

export interface Answer {
  readonly status: number;
  readonly headers: LightMyRequestResponse['headers'];
  /** Whatever came. */
  // oxlint-disable-next-line typescript/no-explicit-any -- each test looks into the shape of its own route
  readonly body: any;
}

export interface AdminOptions {
  readonly terms?: readonly Terms[];
  readonly deps?: Partial<HttpDeps>;
  /** Sees the application before its routes are made. */
  readonly prepare?: (app: FastifyInstance) => void;
  /** Of a stand-in for Stripe. */
  readonly stripeUrl?: string;
}

export async function startAdmin(options: AdminOptions = {}): Promise<Admin> {
  const database = await testDatabase();
  const closers: (() => Promise<void>)[] = [() => database.drop()];
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).toReversed()) await closer();
  };
  try {
    const logged: string[] = [];
    const log = pino({ level: 'warn' }, { write: (line: string) => void logged.push(line) });
    let clock = START;
    let appended = 0n;
    const inner = postgresStore({ pool: database.pool, listenUrl: database.url, log });
    closers.push(() => inner.close());
    const store: EventStore = {
      ...inner,
      async append(writes) {
        const result = await inner.append(writes);
        if (result.position > appended) appended = result.position;
        return result;
      },
    };
    const reads = openScopedReads<Tables>({ url: database.url, poolMax: 4, applicationName: 'test' });
    closers.push(() => reads.close());
    const problem = await prepareReader(database.pool);
    if (problem !== null) throw new Error(problem);
    const projector = await startProjector({ store, pool: database.pool, projections: readModels, log });
    closers.push(() => projector.stop());
    await furnish(store, options.terms ?? [someTerms()]);
    const now = () => clock;
    const deps: HttpDeps = {
      store,
      db: database.db,
      dbWithin: reads.within,
      now,
      settled: (position) => projector.reached(position, 10_000),
      appendedPosition: () => appended,
      claimName: (_name, task) => task(),
      recorded: () => Promise.resolve(),
      masterKey: MASTER_KEY,
      serverSecret: SERVER_SECRET,
      console: { username: 'admin', password: 'a password of the tests' },
      consoleDir: null,
      ownTenant: OWN,
      keyHeader: null,
      keyPolicy: keyPolicy(NO_KEY_POLICY, null),
      version: '0.0.0-test',
      log,
      models: () => ['demo-small', 'demo-large', 'openai/gpt-4o', 'other/*'].map(servedModel),
      credentials: credentialSeal('salt of the tests'),
      upstreamBaseUrl: undefined,
      quote: (_terms, model, { inputTokens, outputTokens }) =>
        model === 'demo-small' ? BigInt(inputTokens * 1_000 + outputTokens * 2_000) : null,
      providerSpends: () => Promise.resolve([]),
      status: () => ({
        head: appended,
        keyTableAgeMs: 0,
        projections: projector.status().map(({ name, position, error }) => ({
          name,
          position,
          error: error === null ? null : error.message,
        })),
        deployments: [],
        inFlight: 0,
      }),
      metrics: () => [],
      billing: billingDesk({
        ...database,
        store,
        now,
        settled: (position) => projector.reached(position, 10_000),
        log,
        askVies: () => Promise.resolve({ kind: 'unavailable', problem: 'there is no network here' }),
      }),
      collection: collectionDesk({
        ...database,
        store,
        records: billingRecords(database),
        now,
        serverSecret: SERVER_SECRET,
        openCollector: stripeCollector(options.stripeUrl ?? 'http://127.0.0.1:9'),
      }),
      alerts: alertDesk({
        ...database,
        store,
        records: billingRecords(database),
        now,
        serverSecret: SERVER_SECRET,
        openCollector: stripeCollector('http://127.0.0.1:9'),
        sendMail: null,
        mailFrom: null,
        publicUrl: null,
        newestContact: billingRecords(database).contact,
        alertHosts: ['127.0.0.1'],
      }),
      runInvoices: () => Promise.reject(new Error('no invoice run here')),
      ...timeTravel({ store, db: database.db, now }),
      publicKeys: () => publicKeys(store),
      verification: verificationDesk({
        store,
        pool: database.pool,
        now,
        log,
        verify: () => Promise.reject(new Error('nothing is verified here')),
      }),
      bundles: bundleDesk({ store, pool: database.pool, now }),
      trustedProxies: [],
      live: createLiveHub({
        store,
        settled: (position) => projector.reached(position, 10_000),
        marks: () => Promise.resolve({}),
        log,
        gapMs: 1,
        heartbeatMs: 20,
      }),
      bodyBytesMax: 1_048_576,
      ...options.deps,
    };
    const app = createHttp(deps);
    closers.push(() => app.close());
    options.prepare?.(app);
    closers.push(() => deps.live.close());
    await app.ready();
    return {
      app,
      store,
      db: deps.db,
      pool: database.pool,
      deps,
      logged,
      setNow: (iso) => void (clock = iso),
      call: (request) => call(app, request),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function servedModel(publicName: string) {
  return {
    publicName,
    id: `${publicName} at upstream`,
    upstreamModel: null,
    baseUrl: 'https://upstream.example/v1',
    maxOutputTokens: 4096,
  };
}

async function call(
  app: FastifyInstance,
  { method, url, body, headers, bearer = MASTER_KEY }: Call,
): Promise<Answer> {
  const options: InjectOptions = {
    method: method ?? (body === undefined ? 'GET' : 'POST'),
    url,
    headers: {
      ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { payload: typeof body === 'string' ? body : JSON.stringify(body) }),
  };
  const response = await app.inject(options);
  const isJson = String(response.headers['content-type']).includes('json');
  return {
    status: response.statusCode,
    headers: response.headers,
    body: isJson && response.body !== '' ? response.json() : response.body,
  };
}

/** The agency, its own tenant and the plans: what every installation has before anybody calls it. */
async function furnish(store: EventStore, terms: readonly Terms[]): Promise<void> {
  const cause: Cause = {
    agencyId: OWN.agencyId,
    tenantId: null,
    actor: { kind: 'system', id: 'test' },
    correlationId: 'start',
    causationId: 'start',
  };
  const settings = {
    agencyId: OWN.agencyId,
    currency: 'EUR',
    zone: 'Europe/Berlin',
    invoiceSeries: 'RE',
    contactVersion: 0,
  };
  const meta = { ...cause, at: START };
  await transact(
    store,
    agency,
    `agency-${OWN.agencyId}`,
    { type: 'register', settings },
    { ...meta, commandId: 'agency' },
  );
  await transact(
    store,
    tenant,
    `tenant-${OWN.tenantId}`,
    { type: 'onboard', tenant: { ...OWN, own: true, contactVersion: 0 }, contract: null, projects: [] },
    { ...meta, tenantId: OWN.tenantId, commandId: 'own tenant' },
  );
  for (const term of terms) {
    const commandId = `${term.plan} ${term.planVersion}`;
    await transact(
      store,
      plan,
      `plan-${term.plan}`,
      { type: 'publish', terms: term },
      { ...meta, commandId },
    );
  }
}
