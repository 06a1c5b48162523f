import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { sections } from './all.ts';
import { connect, type Target } from './case.ts';

/** The whole program in this process, with the simulated upstream. */
const MASTER_KEY = 'sk-conformance-master-key-0123456789';
const dataDir = mkdtempSync(join(tmpdir(), 'keyledger-conformance-'));
let database: TestDatabase;
let app: App;
let target: Target;

beforeAll(async () => {
  database = await testDatabase();
  const settings = {
    DATABASE_URL: database.url,
    LITELLM_MASTER_KEY: MASTER_KEY,
    KEYLEDGER_DATA_DIR: dataDir,
    KEYLEDGER_DEMO: 'off',
    SIMULATED_LATENCY_MS: '0',
    SIMULATED_CHUNK_DELAY_MS: '0',
    HOST: '127.0.0.1',
    PORT: '0',
    AUDIT_SEAL_MINUTES: '0',
  };
  app = await startApp({
    config: readConfig(settings, dataDir),
    log: pino({ level: 'silent' }),
    root: process.cwd(),
    version: '0.0.0-test',
    say: () => undefined,
  });
  target = await connect({ url: app.url, masterKey: MASTER_KEY });
});
afterAll(async () => {
  await app?.close();
  await database?.drop();
  rmSync(dataDir, { recursive: true, force: true });
});

describe.each(Object.entries(sections))('%s', (_section, cases) => {
  for (const { id, title, run, waitsFor, slow = false } of cases) {
    const wait = waitsFor === undefined ? '' : ` (waits for ${waitsFor})`;
    // Windows of budgets pass in real time: `npm run conformance` waits for them, this does not.
    test.skipIf(waitsFor !== undefined || slow)(`case ${id}: ${title}${wait}`, () => run(target));
  }
});
