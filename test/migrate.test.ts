import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Database, openDatabase } from '../src/database.ts';
import { migrate } from '../src/migrate.ts';
import { type TestDatabase, testDatabase } from './support/database.ts';

let folder: string;
let database: TestDatabase;
let opened: Database[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keyledger-migrations-'));
  opened = [];
  database = await testDatabase();
  // The copy carries the product's own migrations; these tests start from a bare database.
  await sql`drop schema public cascade`.execute(database.db);
  await sql`create schema public`.execute(database.db);
});

afterEach(async () => {
  await Promise.all(opened.map((other) => other.close()));
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

async function write(files: Readonly<Record<string, string>>): Promise<void> {
  await Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(folder, name), text)));
}

async function tables(): Promise<readonly string[]> {
  const { rows } = await sql<{ name: string }>`
    select table_name as name from information_schema.tables
    where table_schema = 'public' and table_name !~ 'migration' order by 1`.execute(database.db);
  return rows.map(({ name }) => name);
}

const two = {
  '0001_first.sql': `-- Several statements, and a body with semicolons.
create table first (id bigint);
create function twice(n int) returns int language plpgsql as $$ begin return n * 2; end $$;`,
  '0002_second.sql': 'create table second (id bigint);',
};

test('files are applied once, in order, and only what is new the next time', async () => {
  await write(two);
  expect(await migrate(database.db, folder)).toEqual(['0001_first', '0002_second']);
  expect(await migrate(database.db, folder)).toEqual([]);
  await write({ '0003_third.sql': 'create table third as select twice(21) as answer;' });
  expect(await migrate(database.db, folder)).toEqual(['0003_third']);
  expect(await tables()).toEqual(['first', 'second', 'third']);
});

test('of three that start at once one applies the files and the others wait for it, however short their patience', async () => {
  await write({ ...two, '0003_slow.sql': 'select pg_sleep(0.3); create table third (id bigint);' });
  const applied = await Promise.all(
    ['a', 'b', 'c'].map(async (applicationName) => {
      const one = openDatabase({ url: database.url, poolMax: 1, applicationName, statementMsMax: 100 });
      opened.push(one);
      const names = await migrate(one.db, folder);
      // Whoever is through finds everything there, and the connection's own limit again.
      await sql`select * from first, second, third`.execute(one.db);
      const { rows } = await sql<{
        limit: string;
      }>`select current_setting('statement_timeout') as limit`.execute(one.db);
      expect(rows).toEqual([{ limit: '100ms' }]);
      return names;
    }),
  );
  expect(applied.filter(({ length }) => length === 0)).toHaveLength(2);
  expect(applied.flat()).toEqual(['0001_first', '0002_second', '0003_slow']);
});

test('a failing statement is named with its file and line, and changes nothing', async () => {
  await write({
    ...two,
    '0003_broken.sql': 'create table third (id bigint);\n\ncreate table fourth (id bogus);',
  });
  await expect(migrate(database.db, folder)).rejects.toThrow(/0003_broken failed at line 3: .*bogus/);
  expect(await tables()).toEqual([]);
  await write({ '0003_broken.sql': 'create table third (id bigint);' });
  expect(await migrate(database.db, folder)).toHaveLength(3);
});

test('a database of a newer version is refused and left alone', async () => {
  await write({ ...two, '0003_third.sql': 'create table third (id bigint);' });
  await migrate(database.db, folder);
  await rm(join(folder, '0003_third.sql'));
  await expect(migrate(database.db, folder)).rejects.toThrow(
    /0003_third.*newest is 0002_second.*newer Keyledger/,
  );
});

test('a file that was edited after it was applied is refused before anything new is applied', async () => {
  await write(two);
  await migrate(database.db, folder);
  await write({
    '0001_first.sql': 'create table first (id text);',
    '0003_third.sql': 'create table third ();',
  });
  await expect(migrate(database.db, folder)).rejects.toThrow(/0001_first\.sql was changed/);
  expect(await tables()).toEqual(['first', 'second']);
});

test('other line ends are not an edit', async () => {
  await write(two);
  await migrate(database.db, folder);
  await write({ '0001_first.sql': two['0001_first.sql'].replaceAll('\n', '\r\n') });
  expect(await migrate(database.db, folder)).toEqual([]);
});

test.each([
  ['a gap', { '0001_first.sql': '', '0003_third.sql': '' }, '0003_third.sql should be named 0002_'],
  ['a number twice', { '0001_a.sql': '', '0001_b.sql': '' }, '0001_b.sql should be named 0002_'],
  ['a name without a number', { 'first.sql': '' }, 'first.sql should be named 0001_'],
])('%s in the series is refused', async (_case, files, message) => {
  await write(files);
  await expect(migrate(database.db, folder)).rejects.toThrow(message);
});
