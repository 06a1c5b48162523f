/** A migrated, empty database for one test file: a copy of the template that global-setup.ts made. */
import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pg';
import { inject } from 'vitest';
import type { HistoryTables } from '../../src/audit/key-history.ts';
import type { BillingTables } from '../../src/billing/billing-records.ts';
import { type Database, openDatabase } from '../../src/database.ts';
import type { Tables } from '../../src/http/read.ts';

type AllTables = Tables & BillingTables & HistoryTables;

export interface TestDatabase extends Pick<Database<AllTables>, 'pool' | 'db'> {
  readonly url: string;
  /**
   * Closes `pool` and removes the database. Call it in afterAll, also when setting up failed half-way.
   * Throws when somebody else's connection is still open: a pool that the tests forgot to close.
   */
  drop(): Promise<void>;
}

/** Connections end a moment after the client has said so. */
const CLOSING_MS_MAX = 2_000;

export async function testDatabase(): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  await onServer((server) => server.query(`create database ${name} template ${inject('templateName')}`));
  const url = new URL(inject('serverUrl'));
  url.pathname = `/${name}`;
  const database = openDatabase<AllTables>({ url: url.href, poolMax: 10, applicationName: 'test' });
  const drop = async (): Promise<void> => {
    await database.close();
    const open = await onServer(async (server) => {
      const left = await connectionsLeft(server, name);
      await server.query(`drop database if exists ${name} with (force)`);
      return left;
    });
    if (open.length > 0) throw new Error(`connections were left open: ${open.join(', ')}`);
  };
  return { url: url.href, pool: database.pool, db: database.db, drop };
}

/** The application names of what is still connected after a moment of grace. */
async function connectionsLeft(server: Client, name: string): Promise<readonly string[]> {
  const giveUp = performance.now() + CLOSING_MS_MAX;
  for (;;) {
    const { rows } = await server.query<{ application_name: string }>(
      `select application_name from pg_stat_activity where datname = $1 and backend_type = 'client backend'`,
      [name],
    );
    if (rows.length === 0 || performance.now() > giveUp)
      return rows.map((row) => row.application_name || 'unnamed');
    await pause(10);
  }
}

async function onServer<T>(task: (server: Client) => Promise<T>): Promise<T> {
  const server = new Client({ connectionString: inject('serverUrl') });
  await server.connect();
  try {
    return await task(server);
  } finally {
    await server.end();
  }
}
