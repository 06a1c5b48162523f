/** What somebody does who owns the database and knows how this program works, but has no signing key. */
import { hashOf } from '../../src/store/codec.ts';
import type { Placed } from '../../src/store/stored-event.ts';
import { type AuditedDatabase, openStore } from './audited-database.ts';

export interface Forger {
  /** No trigger stands in the way. */
  forge(statements: string): Promise<void>;
  one<T>(query: string): Promise<T>;
  /** Gives every event of a stream the revision of its place and the hash that its content has. */
  chainAnew(stream: string): Promise<void>;
  /** Puts everything back. */
  restore(): Promise<void>;
}

export async function forger(audited: AuditedDatabase): Promise<Forger> {
  const { pool } = audited;
  const { rows } = await pool.query<{ table_name: string }>('select table_name from projections');
  const tables = ['events', 'invoice_documents', 'projections', ...rows.map((row) => row.table_name)];
  await pool.query(tables.map((table) => `create table "copy_${table}" as table "${table}"`).join(';'));
  const triggers = (what: string) =>
    ['events', 'invoice_documents'].map((table) => `alter table ${table} ${what} trigger user`).join(';');

  async function forge(statements: string): Promise<void> {
    await pool.query(`begin; ${triggers('disable')}; ${statements}; ${triggers('enable')}; commit`);
  }

  return {
    forge,
    async one<T>(query: string) {
      const answer = await pool.query<{ value: T }>(`select (${query}) as value`);
      return answer.rows[0]!.value;
    },
    async chainAnew(stream) {
      const store = openStore(audited);
      const placed: Placed[] = [];
      for await (const event of store.readLog(0n)) if (event.stream === stream) placed.push(event);
      await store.close();
      let previousHash = '0'.repeat(64);
      const statements = [`update events set revision = revision + 1000000 where stream = '${stream}'`];
      for (const [i, event] of placed.entries()) {
        const hash = hashOf({ ...event, revision: BigInt(i), previousHash });
        statements.push(
          `update events set revision = ${i}, hash = '${hash}', previous_hash = '${previousHash}' where position = ${event.position}`,
        );
        previousHash = hash;
      }
      await forge(statements.join(';'));
    },
    restore: () =>
      forge(
        tables
          .map((table) => `delete from "${table}"; insert into "${table}" select * from "copy_${table}"`)
          .join(';'),
      ),
  };
}
