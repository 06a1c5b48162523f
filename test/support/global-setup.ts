/**
 * One PostgreSQL for the whole run: an embedded one that forgets, or the server that
 * TEST_DATABASE_URL names (its role must be allowed to create databases). The migrations run once,
 * into a template that test/support/database.ts copies for every test file.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import type { TestProject } from 'vitest/node';
import { openDatabase } from '../../src/database.ts';
import { removeEmbeddedPostgres, startEmbeddedPostgres } from '../../src/embedded-postgres.ts';
import { migrate } from '../../src/migrate.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** A database on the server of this run; its role may create others. */
    readonly serverUrl: string;
    readonly templateName: string;
  }
}

const MIGRATIONS = join(import.meta.dirname, '..', '..', 'migrations');

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const outside = process.env['TEST_DATABASE_URL'];
  const server =
    outside === undefined ? await startServer() : { url: outside, stop: () => Promise.resolve() };
  const templateName = `keyledger_template_${randomBytes(4).toString('hex')}`;
  try {
    await prepareTemplate(server.url, templateName);
  } catch (error) {
    await server.stop();
    throw error;
  }
  project.provide('serverUrl', server.url);
  project.provide('templateName', templateName);
  return async () => {
    if (outside !== undefined)
      await onServer(outside, `drop database if exists ${templateName} with (force)`);
    await server.stop();
  };
}

async function startServer(): Promise<{ url: string; stop(): Promise<void> }> {
  await sweep();
  const dataDir = await mkdtemp(join(tmpdir(), `keyledger-test-${process.pid}-`));
  const { url } = await startEmbeddedPostgres({ dataDir, durable: false });
  return { url, stop: () => removeEmbeddedPostgres(dataDir) };
}

/** Ends the servers of runs that were killed before they could. */
async function sweep(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = Number(/^keyledger-test-(\d+)-/.exec(name)?.[1] ?? process.pid);
    if (isGone(pid)) await removeEmbeddedPostgres(join(tmpdir(), name));
  }
}

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ESRCH';
  }
}

async function prepareTemplate(serverUrl: string, name: string): Promise<void> {
  await onServer(serverUrl, `create database ${name}`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  const database = openDatabase({ url: url.href, poolMax: 1, applicationName: 'migrations' });
  try {
    await migrate(database.db, MIGRATIONS);
  } finally {
    await database.close();
  }
}

async function onServer(url: string, statement: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
