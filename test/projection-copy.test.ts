import { afterAll, beforeAll, expect, test } from 'vitest';
import { spendLog } from '../projections/spend-log.ts';
import { copyRows, insertedRows } from '../src/projection-copy.ts';
import { statementsFor, tableDdl } from '../src/projection-sql.ts';
import type { RowChange } from '../src/projection.ts';
import { testDatabase, type TestDatabase } from './support/database.ts';
import { keyGenerated, recordedAll, spendRecorded } from './support/events.ts';
import { keys } from '../projections/keys.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.drop());

const HOSTILE = [
  '',
  '\\N',
  '\\.',
  'a\tb',
  'a\nb\r\n',
  '\\',
  '"',
  '{"a","b"}',
  "'; drop table x; --",
  'ü€😀',
  ' ',
];

function changes(): readonly RowChange[] {
  const spends = HOSTILE.flatMap((endUser, i) => [
    spendRecorded({
      requestId: `r${i}`,
      endUser,
      tags: HOSTILE.slice(0, i),
      responseId: i % 2 === 0 ? null : endUser,
    }),
  ]);
  return recordedAll(spends).flatMap((recorded) => spendLog.apply(recorded));
}

test('rows that are copied are those that would have been inserted, whatever is in them', async () => {
  const rows = insertedRows(changes())!;
  expect(rows).toHaveLength(HOSTILE.length);
  const client = await database.pool.connect();
  try {
    for (const table of ['inserted', 'copied']) {
      for (const ddl of tableDdl(spendLog, table)) await client.query(ddl);
    }
    for (const { text, values } of statementsFor(spendLog, 'inserted', changes())) {
      await client.query(text, values as (string | null)[]);
    }
    await copyRows(client, spendLog, 'copied', rows);
    const dump = async (table: string) =>
      (await client.query(`select row(t.*)::text as row from ${table} t order by position`)).rows;
    expect(await dump('copied')).toEqual(await dump('inserted'));
  } finally {
    client.release();
  }
});

test('a copied row that is there already is refused, and the connection goes on', async () => {
  const rows = insertedRows(changes())!;
  const client = await database.pool.connect();
  try {
    for (const ddl of tableDdl(spendLog, 'twice')) await client.query(ddl);
    await expect(copyRows(client, spendLog, 'twice', [...rows, rows[0]!])).rejects.toMatchObject({
      code: '23505',
    });
    expect((await client.query('select count(*)::int as count from twice')).rows).toEqual([{ count: 0 }]);
  } finally {
    client.release();
  }
});

test('only a batch of nothing but new rows is copied', () => {
  const mixed = recordedAll([keyGenerated(), { type: 'key.blocked', data: { keyId: 'key_1' } }]);
  expect(insertedRows(mixed.flatMap((recorded) => keys.apply(recorded)))).toBeNull();
});
