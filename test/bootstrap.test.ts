import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bootstrap } from '../src/bootstrap.ts';
import { readConfig } from '../src/config.ts';
import { agency } from '../src/domain/agency.ts';
import { postgresStore } from '../src/store/postgres.ts';
import type { EventStore } from '../src/store/event-store.ts';
import { load, transact } from '../src/transact.ts';
import { testDatabase, type TestDatabase } from './support/database.ts';
import { silent } from './support/read-models.ts';

let database: TestDatabase;
let store: EventStore;
let dataDir: string;
beforeAll(async () => {
  database = await testDatabase();
  store = postgresStore({ pool: database.pool, listenUrl: database.url, log: silent });
  dataDir = mkdtempSync(join(tmpdir(), 'keyledger-bootstrap-'));
});
afterAll(async () => {
  await store?.close();
  await database?.drop();
  rmSync(dataDir, { recursive: true, force: true });
});

const AT = '2026-11-20T10:00:00.000Z';

/** A start with these settings; what it said, and what the agency is afterwards. */
async function start(settings: Readonly<Record<string, string>>) {
  const said: string[] = [];
  const environment = {
    DATABASE_URL: database.url,
    LITELLM_MASTER_KEY: 'sk-bootstrap-0123456789',
    ...settings,
  };
  const config = readConfig(environment, dataDir);
  const say = (line: string) => void said.push(line);
  const plansDir = join(import.meta.dirname, '..', 'plans');
  await bootstrap({ store, pool: database.pool, config, plansDir, now: () => AT, say });
  return { said, settings: (await load(store, agency, 'agency-age_main')).settings };
}

test('the environment says who the agency is until people do; then theirs stays over every start', async () => {
  const first = await start({ AGENCY_NAME: 'Nord GmbH', AGENCY_ZONE: 'Europe/Vienna' });
  expect(first.settings).toMatchObject({ zone: 'Europe/Vienna', contactVersion: 1 });
  const moved = await start({ AGENCY_NAME: 'Nord AG', AGENCY_ZONE: 'Europe/Berlin' });
  expect(moved.settings).toMatchObject({ zone: 'Europe/Berlin', contactVersion: 2 });

  const settings = { ...moved.settings!, zone: 'Europe/Zurich', contactVersion: 3 };
  await transact(
    store,
    agency,
    'agency-age_main',
    { type: 'change', settings },
    {
      agencyId: 'age_main',
      tenantId: null,
      actor: { kind: 'user', id: 'kim' },
      correlationId: 'by hand',
      causationId: 'by hand',
      commandId: 'by hand',
      at: AT,
    },
  );
  const after = await start({ AGENCY_NAME: 'Nord AG', AGENCY_ZONE: 'Europe/Berlin' });
  expect(after.settings).toEqual(settings);
  expect(after.said.join()).toContain('AGENCY_… in the environment is not applied');
  expect((await start({})).said.join()).not.toContain('AGENCY_');
});
