/**
 * Brings a database to the tables this code expects: numbered plain SQL files, applied in order, only
 * ever forwards. All that is missing is applied in one transaction, by one process; others that start
 * at the same time wait for it. What was applied is remembered with a checksum, because an edited old
 * file would leave databases that look alike and are not.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Kysely, type Migration, Migrator, sql } from 'kysely';
import { DatabaseError } from 'pg';

interface File {
  /** Without `.sql`, such as `0001_event_log`. */
  readonly name: string;
  readonly text: string;
  /** SHA-256 in hex of the text with Unix line ends, which is how every checkout agrees. */
  readonly checksum: string;
}

/** Any number that nothing else in the database uses. */
const LOCK = 4_817_230_055n;

/**
 * Applies what is missing and returns the names of it, oldest first.
 *
 * @throws Error with a sentence for the operator when the files are not a gapless series, a file was
 *         edited after it was applied, the database knows newer files, or a statement fails; then
 *         nothing has changed.
 */
export async function migrate<Tables>(db: Kysely<Tables>, migrationsDir: string): Promise<readonly string[]> {
  const files = await readFiles(migrationsDir);
  return await db.connection().execute(async (connection) => {
    // Waiting for another process may take longer than any single statement should.
    await sql`set statement_timeout = 0`.execute(connection);
    await sql`select pg_advisory_lock(${LOCK})`.execute(connection);
    try {
      await sql`create table if not exists migration_checksum (name text primary key, sha256 text not null)`.execute(
        connection,
      );
      await check(connection, files, migrationsDir);
      const { error, results = [] } = await new Migrator({
        db: connection,
        provider: { getMigrations: () => Promise.resolve(Object.fromEntries(files.map(toMigration))) },
      }).migrateToLatest();
      if (error !== undefined) throw error;
      return results.map(({ migrationName }) => migrationName);
    } finally {
      await sql`select pg_advisory_unlock(${LOCK})`.execute(connection);
      await sql`reset statement_timeout`.execute(connection);
    }
  });
}

async function readFiles(folder: string): Promise<readonly File[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).toSorted();
  return await Promise.all(
    names.map(async (name, i) => {
      const number = /^(\d{4})_[a-z0-9_]+\.sql$/.exec(name)?.[1];
      const expected = String(i + 1).padStart(4, '0');
      if (number !== expected)
        throw new Error(`${join(folder, name)} should be named ${expected}_<what_it_does>.sql`);
      const text = (await readFile(join(folder, name), 'utf8')).replaceAll('\r\n', '\n');
      return {
        name: name.slice(0, -'.sql'.length),
        text,
        checksum: createHash('sha256').update(text).digest('hex'),
      };
    }),
  );
}

async function check<Tables>(db: Kysely<Tables>, files: readonly File[], folder: string): Promise<void> {
  const { rows } = await sql<{ name: string; sha256: string }>`
    select name, sha256 from migration_checksum order by name`.execute(db);
  for (const { name, sha256 } of rows) {
    const file = files.find((file) => file.name === name);
    if (file === undefined) {
      const newest = files.at(-1)?.name ?? 'none';
      throw new Error(
        `The database has had migration ${name}, which this version does not know (its newest is ${newest}). ` +
          'It belongs to a newer Keyledger: start that one, or restore a backup from before the upgrade.',
      );
    }
    if (file.checksum !== sha256) {
      throw new Error(
        `${join(folder, `${name}.sql`)} was changed after it was applied to this database. ` +
          'Restore the file and put the change into a new migration.',
      );
    }
  }
}

function toMigration({ name, text, checksum }: File): [string, Migration] {
  const up: Migration['up'] = async (db) => {
    try {
      await sql.raw(text).execute(db);
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error;
      const line = text.slice(0, Number(error.position ?? 0)).split('\n').length;
      throw new Error(`Migration ${name} failed at line ${line}: ${error.message}`, { cause: error });
    }
    await sql`insert into migration_checksum (name, sha256) values (${name}, ${checksum})`.execute(db);
  };
  return [name, { up }];
}
