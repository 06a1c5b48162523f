import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { readModels } from '../../src/read-models.ts';
import { eventStoreDb } from '../../src/store/eventstoredb.ts';
import { dump } from '../../src/table-dump.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

import { type StandIn, startStandIn } from '../support/eventstoredb/stand-in.ts';
import { beginOwnLog } from './own-log.ts';
import { MASTER_KEY, runCommand, type Server, startServer, temporaryDataDir } from './server.ts';

/**
 * An installation moves from PostgreSQL to EventStoreDB and back, through the built program: each
 * test goes on where the last one ended. EVENTSTORE_TEST_URL names a real server, whose log must be
 * empty; without it a stand-in serves.
 */
interface Place {
  readonly folder: ReturnType<typeof temporaryDataDir>;
  readonly database: TestDatabase;
  readonly settings: Readonly<Record<string, string>>;
}

const realUrl = process.env['EVENTSTORE_TEST_URL'];
const places: Place[] = [];
const log = pino({ level: 'silent' });
let standIn: StandIn;
let usable = true;
let secrets: { readonly served: string; readonly blocked: string };
let [origin, moved, back]: Place[] = [];

const url = () => realUrl ?? standIn.url;
const bundleOf = ({ folder }: Place) => join(folder.path, 'bundle.jsonl');

async function place(store: Readonly<Record<string, string>> = {}): Promise<Place> {
  const [folder, database] = [temporaryDataDir(), await testDatabase()];
  const settings = {
    KEYLEDGER_DATA_DIR: folder.path,
    LITELLM_MASTER_KEY: MASTER_KEY,
    DATABASE_URL: database.url,
    ...store,
  };
  const made = { folder, database, settings };
  places.push(made);
  return made;
}

async function command(where: Place, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runCommand(args, where.settings);
  expect(code, stdout + stderr).toBe(0);
  return stdout;
}

async function chat({ url: at }: Server, key: string): Promise<number> {
  const response = await fetch(`${at}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'demo-small', messages: [{ role: 'user', content: 'Hallo' }] }),
  });
  await response.text();
  return response.status;
}

/** The lines of an export without its first, which has a time, and its last, which has the digest of all. */
function linesOf(where: Place): readonly string[] {
  return readFileSync(bundleOf(where), 'utf8').split('\n').slice(1, -2);
}

function withoutPositions(lines: readonly string[]): readonly string[] {
  return lines
    .filter((line) => !line.startsWith('{"footer"'))
    .map((line) => line.replace(/"position":"\d+",/, ''));
}

/** Every row of every read model; without their positions, which each store gives itself, when asked. */
async function tablesOf({ database }: Place, counted: boolean): Promise<Record<string, readonly string[]>> {
  const tables: Record<string, readonly string[]> = {};
  for (const model of readModels) {
    const at = Object.keys(model.columns).indexOf('position');
    const rows: string[] = [];
    await dump(database.pool, model, undefined, (line) => {
      const row = JSON.parse(line) as (string | null)[];
      rows.push(JSON.stringify(counted || at === -1 ? row : row.toSpliced(at, 1)));
    });
    tables[model.name] = rows;
  }
  return tables;
}

beforeAll(async () => {
  standIn = await startStandIn();
  if (realUrl !== undefined) {
    const store = eventStoreDb({ url: realUrl, log });
    usable = (await store.head()) === 0n;
    await store.close();
  }
  const elsewhere = { EVENT_STORE: 'eventstoredb', EVENTSTOREDB_URL: url() };
  [origin, moved, back] = [await place(), await place(elsewhere), await place()];
});

// A real server's log cannot be emptied, and moving into one that holds something is refused.
beforeEach((context) => {
  context.skip(!usable, 'the log of EVENTSTORE_TEST_URL is not empty');
});

afterAll(async () => {
  standIn?.stop();
  for (const { folder, database } of places) {
    await database.drop();
    folder.remove();
  }
});

test('an installation in PostgreSQL has served keys, blocked one, and closed a month', async () => {
  const server = await startServer(origin!.folder.path, {
    ...origin!.settings,
    AGENCY_NAME: 'Nordlicht Digital GmbH',
    AGENCY_STREET: 'Speicherstraße 7',
    AGENCY_POSTAL_CODE: '24103',
    AGENCY_CITY: 'Kiel',
    AGENCY_VAT_ID: 'DE811569869',
  });
  const billing = { name: 'Musterladen GmbH', street: 'Hauptstraße 1', postal_code: '10115', city: 'Berlin' };
  const { body } = await server.api<{ projects: { keys: { id: string; secret: string }[] }[] }>(
    'POST',
    '/api/tenants',
    {
      name: 'Musterladen GmbH',
      plan: 'studio',
      billing: { ...billing, country: 'DE', email: 'a@musterladen.example' },
      projects: [{ name: 'Shop' }],
    },
  );
  const [served, blocked] = body.projects[0]!.keys.map(({ secret }) => secret);
  secrets = { served: served!, blocked: blocked! };
  for (let i = 0; i < 8; i += 1) expect(await chat(server, secrets.served)).toBe(200);
  await server.api('POST', '/key/block', { key: secrets.blocked });
  const zone = { timeZone: 'Europe/Berlin', year: 'numeric', month: '2-digit' } as const;
  const period = new Intl.DateTimeFormat('sv-SE', zone).format(new Date());
  expect((await server.api('POST', '/api/invoice-runs', { period })).status).toBe(200);
  expect(await chat(server, secrets.served)).toBe(200);
  await expect.poll(() => sealed(origin!), { timeout: 10_000 }).toBe(true);
  await server.stop();
  expect(await command(origin!, 'audit', 'export', '--all', '--out', bundleOf(origin!))).toContain('events');
}, 120_000);

async function sealed({ database }: Place): Promise<boolean> {
  const { rows } = await database.pool.query(`select 1 from events where type = 'log.sealed'`);
  return rows.length > 0;
}

test('an import into EventStoreDB that is killed half-way is completed by starting it again', async () => {
  const total = linesOf(origin!).filter((line) => line.startsWith('{"event"')).length;
  if (realUrl === undefined) {
    standIn.faults.appends.push(...Array.from({ length: 7 }, () => 'none' as const), 'write-and-hang');
    const importing = spawn(process.execPath, ['dist/src/cli.js', 'import', bundleOf(origin!)], {
      env: { PATH: process.env['PATH'] ?? '', ...moved!.settings },
      stdio: 'ignore',
    });
    await expect.poll(() => standIn.calls.appends, { timeout: 30_000 }).toBe(8);
    await killed(importing);
    expect(standIn.log.events.length).toBeLessThan(total);
  }
  const said = await command(moved!, 'import', bundleOf(origin!));
  const found = Number(/(\d+) were there already/.exec(said)?.[1]);
  expect(said).toContain(`imported ${total} events`);
  expect(found).toBeGreaterThanOrEqual(realUrl === undefined ? 8 : 0);
  expect(found).toBeLessThan(total);
}, 60_000);

async function killed(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

test('it is the same log there, with its times of recording, and the same read models', async () => {
  await command(moved!, 'audit', 'export', '--all', '--out', bundleOf(moved!));
  expect(withoutPositions(linesOf(moved!))).toEqual(withoutPositions(linesOf(origin!)));
  expect(await tablesOf(moved!, false)).toEqual(await tablesOf(origin!, false));
  const report = JSON.parse(await command(moved!, 'audit', 'verify', '--json')) as {
    ok: boolean;
    sealedTo: string;
  };
  expect(report).toMatchObject({ ok: true, sealedTo: expect.stringMatching(/^\d+$/) });
}, 60_000);

test('from there it comes back into a fresh PostgreSQL, byte for byte', async () => {
  await command(back!, 'import', bundleOf(moved!));
  await command(back!, 'audit', 'export', '--all', '--out', bundleOf(back!));
  expect(linesOf(back!)).toEqual(linesOf(origin!));
  expect(await tablesOf(back!, true)).toEqual(await tablesOf(origin!, true));
  expect(await command(back!, 'audit', 'verify')).toContain('VERIFIED');
}, 60_000);

test('a bundle is not imported over another log, nor read models over an empty one', async () => {
  const other = await place();
  await beginOwnLog(other.database);
  const onto = await runCommand(['import', bundleOf(origin!)], other.settings);
  expect(onto).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('This installation is not empty: at position 1'),
  });
  const stale = { ...back!.settings, DATABASE_URL: moved!.database.url };
  const over = await runCommand(['import', bundleOf(origin!)], stale);
  expect(over).toMatchObject({ code: 1, stderr: expect.stringContaining('are those of another log') });
}, 60_000);

test('a server on the moved installation serves the old keys, and the log goes on, sealed with its key', async () => {
  copyFileSync(
    join(origin!.folder.path, 'audit-signing-key.pem'),
    join(moved!.folder.path, 'audit-signing-key.pem'),
  );
  const server = await startServer(moved!.folder.path, moved!.settings);
  try {
    expect(server.output()).not.toContain('not sealed');
    expect(await chat(server, secrets.served)).toBe(200);
    expect(await chat(server, secrets.blocked)).toBe(401);
    const { body } = await server.api<{ spend: { requests: number }[] }>(
      'GET',
      `/api/audit/keys/${(await keyInfo(server)).key_id}`,
    );
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    expect(metrics).toMatch(/^keyledger_projection_stopped\{projection="usage"\} 0$/m);
    expect(metrics).toMatch(/^keyledger_projection_writes\{projection="usage"\} 1$/m);
    expect(metrics).toMatch(/^keyledger_sealed_events \d+$/m);
    expect(metrics).not.toMatch(/sk-|ten_|prj_|key_[0-9A-Za-z]{8}|Musterladen/);
    expect(body.spend.reduce((sum, { requests }) => sum + requests, 0)).toBe(10);
  } finally {
    await server.stop();
  }
  expect(await command(moved!, 'audit', 'verify')).toContain('VERIFIED');
  const again = await runCommand(['import', bundleOf(origin!)], moved!.settings);
  expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining('has gone on with') });
}, 60_000);

async function keyInfo(server: Server): Promise<{ key_id: string }> {
  const { body } = await server.api<{ info: { key_id: string } }>('GET', `/key/info?key=${secrets.served}`);
  return body.info;
}
