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

/** Every clock of this process goes forward by so much; what waits for a timer waits as before. */
let ahead = 0;
const { Date: RealDate } = globalThis;
const realNow = performance.now.bind(performance);
class MovedDate extends RealDate {
  constructor(...given: readonly unknown[]) {
    if (given.length === 0) super(RealDate.now() + ahead);
    else super(...(given as [string]));
  }
  static override now(): number {
    return RealDate.now() + ahead;
  }
}

/** The server takes its tables for old until it has heard from the log once more. */
async function pass(ms: number): Promise<void> {
  ahead += ms;
  const { key } = await target.key();
  while ((await target.chat(key)).status === 503) await new Promise((resolve) => setTimeout(resolve, 50));
}

/** The whole program in this process, with the simulated upstream. */
const MASTER_KEY = 'sk-conformance-master-key-0123456789';
const dataDir = mkdtempSync(join(tmpdir(), 'keyledger-conformance-'));
let database: TestDatabase;
let app: App;
let target: Target;

beforeAll(async () => {
  globalThis.Date = MovedDate as DateConstructor;
  performance.now = () => realNow() + ahead;
  database = await testDatabase();
  const settings = {
    DATABASE_URL: database.url,
    LITELLM_MASTER_KEY: MASTER_KEY,
    KEYLEDGER_DATA_DIR: dataDir,
    KEYLEDGER_DEMO: 'off',
    SIMULATED_LATENCY_MS: '0',
    SIMULATED_CHUNK_DELAY_MS: '5',
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
  target = await connect({ url: app.url, masterKey: MASTER_KEY, pause: (ms) => pass(ms) });
});
afterAll(async () => {
  globalThis.Date = RealDate;
  performance.now = realNow;
  await app?.close();
  await database?.drop();
  rmSync(dataDir, { recursive: true, force: true });
});

describe.each(Object.entries(sections))('%s', (_section, cases) => {
  for (const { id, title, run } of cases) test(`case ${id}: ${title}`, () => run(target));
});
