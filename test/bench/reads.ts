/**
 * How long the lists and reports of the management API take in a large installation: 100,000 keys, 5,000 projects,
 * 1,000,000 requests. The tables are filled directly; every route is asked through the real HTTP application, one
 * request at a time. Rows that were read without an index are counted by PostgreSQL itself. PostgreSQL is an embedded
 * one that does not wait for the disk.
 *
 *   node dist/test/bench/reads.js [--keys <n>] [--spends <n>] [--rounds <n>] [--only <part of a name>]
 */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import type { Pool } from 'pg';
import { keys } from '../../projections/keys.ts';
import { members } from '../../projections/members.ts';
import { projects } from '../../projections/projects.ts';
import { spendLog } from '../../projections/spend-log.ts';
import { spendTotals } from '../../projections/spend-totals.ts';
import { tenants } from '../../projections/tenants.ts';
import { agencies } from '../../projections/agencies.ts';
import { users } from '../../projections/users.ts';
import { openDatabase } from '../../src/database.ts';
import { removeEmbeddedPostgres, startEmbeddedPostgres } from '../../src/embedded-postgres.ts';
import type { DomainEvent } from '../../src/events.ts';
import type { HttpDeps } from '../../src/http/deps.ts';
import { keyPolicy } from '../../src/http/key-policy.ts';
import type { Tables } from '../../src/http/read.ts';
import { sumUpDays } from '../../src/http/stored-days.ts';
import { createHttp } from '../../src/http/server.ts';
import { NO_KEY_POLICY } from '../../src/litellm-keys.ts';
import { migrate } from '../../src/migrate.ts';
import { credentialSeal } from '../../src/model-credentials.ts';
import { prepareTables } from '../../src/projection-tables.ts';
import type { Projection } from '../../src/projection.ts';
import { readModels } from '../../src/read-models.ts';
import { prepareReader } from '../../src/row-security.ts';
import { openScopedReads } from '../../src/scoped-reads.ts';
import { hashSecret } from '../../src/secrets.ts';
import { memoryStore } from '../../src/store/memory.ts';
import {
  agencyRegistered,
  keyGenerated,
  projectMemberAdded,
  projectOpened,
  recorded,
  spendRecorded,
  tenantMemberAdded,
  tenantOnboarded,
  userRegistered,
} from '../support/events.ts';

const MASTER_KEY = 'sk-bench-master-key-0123456789';
const LEADER = 'sk-bench-organization-admin';
const TENANTS = 500;
const PROJECTS = 5_000;
const USERS = 2_000;
const DAYS = 30;
const NOW = '2026-11-30T12:00:00.000Z';
const PERIOD = 'start_date=2026-11-01&end_date=2026-11-30';
const MOMENTS = 'start_date=2026-11-01 00:00:00&end_date=2026-11-30 23:59:59';

const { values: options } = parseArgs({
  options: {
    keys: { type: 'string', default: '100000' },
    spends: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '20' },
    only: { type: 'string', default: '' },
  },
});
const KEYS = Number(options.keys);
const SPENDS = Number(options.spends);
const ROUNDS = Number(options.rounds);

/** `i` is the number of the row, from 0. */
const key = `'key_' || lpad((i % ${KEYS})::text, 8, '0')`;
const project = `'prj_' || (i % ${PROJECTS})`;
const tenant = `'ten_' || (i % ${TENANTS})`;
const user = `'usr_' || (i % ${USERS})`;

/** Rows like the one that an event makes, each with the members that differ, as SQL over `i`. */
async function fill(
  pool: Pool,
  projection: Projection,
  event: DomainEvent,
  count: number,
  differing: Readonly<Record<string, string>>,
): Promise<void> {
  const change = projection.apply(recorded(event)).find(({ op }) => op === 'insert' || op === 'add');
  if (change === undefined || (change.op !== 'insert' && change.op !== 'add'))
    throw new Error('no row follows');
  const row = change.op === 'insert' ? change.row : { ...change.key, ...change.set, ...change.by };
  const like = JSON.stringify(row, (_, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value,
  );
  const table = `${projection.name}__v${projection.version}`;
  const own = Object.entries(differing).map(([name, value]) => `'${name}', ${value}`);
  await pool.query(
    `insert into ${table} select r.* from generate_series(0, ${count - 1}) as i,
     lateral jsonb_populate_record(null::${table}, $1::jsonb || jsonb_build_object(${own.join(', ')})) r`,
    [like],
  );
  await pool.query(`vacuum analyze ${table}`);
}

async function fillAll(pool: Pool): Promise<void> {
  await fill(pool, agencies, agencyRegistered(), 1, {});
  await fill(pool, tenants, tenantOnboarded(), TENANTS, { tenant_id: tenant });
  await fill(pool, projects, projectOpened(), PROJECTS, { project_id: project, tenant_id: tenant });
  await fill(pool, users, userRegistered(), USERS, { user_id: user });
  await fill(pool, members, projectMemberAdded(), PROJECTS, {
    scope_id: project,
    tenant_id: tenant,
    user_id: user,
    role: `'user'`,
  });
  await fill(pool, members, tenantMemberAdded(), 1, {
    scope_id: `'ten_7'`,
    tenant_id: `'ten_7'`,
    user_id: `'usr_7'`,
    role: `'org_admin'`,
  });
  await fill(pool, keys, keyGenerated(), KEYS, {
    key_id: key,
    token_hash: `encode(sha256(('secret ' || i)::bytea), 'hex')`,
    alias: `'alias-' || i`,
    tenant_id: tenant,
    project_id: project,
    user_id: user,
    created_at: `to_jsonb(timestamptz '2026-01-01Z' + i * interval '1 minute')`,
  });
  await pool.query(`update keys__v${keys.version} set token_hash = $1 where key_id = 'key_00000007'`, [
    hashSecret(LEADER),
  ]);
  const step = (DAYS * 86_400) / SPENDS;
  await fill(pool, spendLog, spendRecorded(), SPENDS, {
    position: 'i + 1',
    request_id: `'req_' || i`,
    response_id: `'chatcmpl-' || md5(i::text)`,
    tenant_id: tenant,
    project_id: project,
    key_id: key,
    user_id: user,
    end_user: `'visitor_' || (i % 997)`,
    tags: `jsonb_build_array('tag_' || (i % 20))`,
    model: `'model-' || (i % 7)`,
    admitted_at: `to_jsonb(timestamptz '2026-11-01Z' + i * interval '${step} seconds')`,
  });
  for (const [level, count, id] of [
    ['key', KEYS, key],
    ['project', PROJECTS, project],
    ['tenant', TENANTS, tenant],
    ['user', USERS, user],
  ] as const) {
    await fill(pool, spendTotals, spendRecorded(), count, {
      level: `'${level}'`,
      id,
      price_nanos: '(i * 37) % 1000000',
    });
  }
}

const never = () => Promise.reject(new Error('not in this measurement'));

function httpOver(db: HttpDeps['db'], dbWithin: HttpDeps['dbWithin']): FastifyInstance {
  const unused = { billing: {}, replay: never, replayTenant: never, diff: never, diffTenant: never };
  return createHttp({
    ...(unused as unknown as HttpDeps),
    store: memoryStore({ now: () => NOW }),
    db,
    dbWithin,
    now: () => NOW,
    settled: () => Promise.resolve(),
    appendedPosition: () => 0n,
    recorded: () => Promise.resolve(),
    masterKey: MASTER_KEY,
    serverSecret: 'bench',
    ownTenant: { agencyId: 'age_1', tenantId: 'ten_0' },
    keyHeader: null,
    keyPolicy: keyPolicy(NO_KEY_POLICY, null),
    version: 'bench',
    log: pino({ level: 'silent' }),
    models: () => [],
    credentials: credentialSeal('bench'),
    upstreamBaseUrl: undefined,
    quote: () => null,
    status: () => ({ head: 0n, keyTableAgeMs: 0, projections: [], deployments: [], inFlight: 0 }),
    metrics: () => [],
    runInvoices: never,
    publicKeys: never,
    bundles: { open: () => Promise.resolve(null) },
    trustedProxies: [],
    bodyBytesMax: 1_048_576,
  });
}

/** `n` is the number of the round: each asks for something else. */
const ROUTES: readonly (readonly [name: string, url: (n: number) => string, bearer?: string])[] = [
  ['/key/list first page', () => '/key/list?size=100'],
  ['/key/list deep page', (n) => `/key/list?size=100&page=${500 + n}`],
  ['/key/list full objects', (n) => `/key/list?size=100&return_full_object=true&page=${n + 1}`],
  ['/key/list by spend', () => '/key/list?size=100&sort_by=spend'],
  ['/key/list by alias', (n) => `/key/list?key_alias=alias-${n * 991}`],
  ['/key/list of a team', (n) => `/key/list?team_id=prj_${n}`],
  ['/key/list of one organization', () => '/key/list?size=100', LEADER],
  ['/key/info', (n) => `/key/info?key=key_${String(n * 97).padStart(8, '0')}`],
  ['/team/info', (n) => `/team/info?team_id=prj_${n * 31}`],
  ['/v2/team/list', (n) => `/v2/team/list?page=${n + 1}&page_size=100`],
  ['/spend/logs/v2 everything', (n) => `/spend/logs/v2?${MOMENTS}&page=${n + 1}`],
  [
    '/spend/logs/v2 of a day',
    (n) =>
      `/spend/logs/v2?start_date=2026-11-${String((n % 28) + 1).padStart(2, '0')} 00:00:00&end_date=2026-11-${String((n % 28) + 1).padStart(2, '0')} 23:59:59`,
  ],
  ['/spend/logs/v2 of a team', (n) => `/spend/logs/v2?${MOMENTS}&team_id=prj_${n * 31}`],
  [
    '/spend/logs/v2 of a key',
    (n) => `/spend/logs/v2?${MOMENTS}&api_key=key_${String(n * 97).padStart(8, '0')}`,
  ],
  ['/spend/logs/v2 of a user', (n) => `/spend/logs/v2?${MOMENTS}&user_id=usr_${n * 13}`],
  ['/spend/logs/v2 of one organization', () => `/spend/logs/v2?${MOMENTS}`, LEADER],
  ['/spend/logs by request id', (n) => `/spend/logs?request_id=req_${n * 7919}`],
  ['/user/daily/activity everything', () => `/user/daily/activity?${PERIOD}`],
  [
    '/user/daily/activity of a day',
    (n) =>
      `/user/daily/activity?start_date=2026-11-${String((n % 28) + 1).padStart(2, '0')}&end_date=2026-11-${String((n % 28) + 1).padStart(2, '0')}`,
  ],
  ['/user/daily/activity of a user', (n) => `/user/daily/activity?${PERIOD}&user_id=usr_${n * 13}`],
  ['/team/daily/activity of a team', (n) => `/team/daily/activity?${PERIOD}&team_ids=prj_${n * 31}`],
  ['/organization/daily/activity of one', () => `/organization/daily/activity?${PERIOD}`, LEADER],
  ['/tag/daily/activity of one organization', () => `/tag/daily/activity?${PERIOD}`, LEADER],
  ['/global/spend/teams everything', () => '/global/spend/teams'],
  ['/global/spend/report of one organization', () => `/global/spend/report?${PERIOD}`, LEADER],
];

async function scanned(pool: Pool): Promise<number> {
  await pool.query('select pg_stat_force_next_flush(), pg_stat_clear_snapshot()');
  const { rows } = await pool.query<{ read: bigint }>(
    `select sum(seq_tup_read)::bigint as read from pg_stat_user_tables where relname ~ '^(spend_log|keys)__'`,
  );
  return Number(rows[0]!.read);
}

async function measure(app: FastifyInstance, pool: Pool): Promise<void> {
  console.log(
    'route                                          p50 ms  p95 ms  max ms  rows scanned without index',
  );
  for (const [name, url, bearer = MASTER_KEY] of ROUTES) {
    if (!name.includes(options.only)) continue;
    const times: number[] = [];
    const before = await scanned(pool);
    for (let n = 0; n < ROUNDS; n += 1) {
      const startedMs = performance.now();
      const answer = await app.inject({ url: url(n), headers: { authorization: `Bearer ${bearer}` } });
      times.push(performance.now() - startedMs);
      if (answer.statusCode !== 200)
        throw new Error(`${name}: ${answer.statusCode} ${answer.body.slice(0, 300)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
    const rows = Math.round(((await scanned(pool)) - before) / ROUNDS);
    times.sort((a, b) => a - b);
    const at = (share: number) => times[Math.min(Math.floor(times.length * share), times.length - 1)]!;
    const cells = [at(0.5), at(0.95), times.at(-1)!].map((ms) => ms.toFixed(1).padStart(7));
    console.log(`${name.padEnd(46)} ${cells.join(' ')} ${String(rows).padStart(10)}`);
  }
}

const dataDir = await mkdtemp(join(tmpdir(), `keyledger-bench-reads-${process.pid}-`));
const { url } = await startEmbeddedPostgres({ dataDir, durable: false });
const database = openDatabase<Tables>({ url, poolMax: 4, applicationName: 'bench' });
try {
  await migrate(database.db, join(process.cwd(), 'migrations'));
  await prepareReader(database.pool);
  await prepareTables(database.pool, readModels);
  const startedMs = performance.now();
  await fillAll(database.pool);
  console.log(
    `${KEYS} keys, ${PROJECTS} projects, ${SPENDS} requests in ${Math.round(performance.now() - startedMs)} ms`,
  );
  const reads = openScopedReads<Tables>({ url, poolMax: 4, applicationName: 'bench' });
  const app = httpOver(database.db, reads.within);
  await app.ready();
  const summingMs = performance.now();
  await sumUpDays({ db: database.db, now: () => NOW });
  console.log(`days that are over summed up in ${Math.round(performance.now() - summingMs)} ms`);
  await measure(app, database.pool);
  await app.close();
  await reads.close();
} finally {
  await database.close();
  await removeEmbeddedPostgres(dataDir);
}
