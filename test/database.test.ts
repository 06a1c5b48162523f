import { sql } from 'kysely';
import { types } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openDatabase } from '../src/database.ts';
import { type TestDatabase, testDatabase } from './support/database.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await testDatabase();
});

afterAll(() => database.drop());

async function value(expression: string): Promise<unknown> {
  const { rows } = await database.pool.query<{ v: unknown }>(`select ${expression} as v`);
  return rows[0]?.v;
}

describe('values arrive without loss', () => {
  test.each<[string, unknown]>([
    ['9223372036854775807::bigint', 9_223_372_036_854_775_807n],
    ['-1::bigint', -1n],
    ['count(*)', 1n],
    ['123456789012345678901234567890::numeric', 123_456_789_012_345_678_901_234_567_890n],
    ['-5::numeric', -5n],
    ['(select sum(x) from (values (1::bigint), (2)) t(x))', 3n],
    ['1.50::numeric', '1.50'],
    ['1.0::numeric', '1.0'],
    [`'NaN'::numeric`, 'NaN'],
    ['7::int', 7],
    ['null::bigint', null],
    [`'2026-11-20 13:45:10.123456+00'::timestamptz`, '2026-11-20T13:45:10.123Z'],
    [`'2026-11-20 14:45:10.1+01'::timestamptz`, '2026-11-20T13:45:10.100Z'],
    [`'2026-11-20 13:45:10+00'::timestamptz`, '2026-11-20T13:45:10.000Z'],
    [`'infinity'::timestamptz`, 'infinity'],
    [`'2026-03-29'::date`, '2026-03-29'],
    [`'2026-03-29 02:30:00'::timestamp`, '2026-03-29 02:30:00'],
    [`'{"a": [1, "two", null]}'::jsonb`, { a: [1, 'two', null] }],
    [`'[true]'::json`, [true]],
    ['array[1, null, 9223372036854775807]::bigint[]', [1n, null, 9_223_372_036_854_775_807n]],
    [
      'array[[1, 2], [3, 4]]::numeric[]',
      [
        [1n, 2n],
        [3n, 4n],
      ],
    ],
    [`array['2026-11-20 13:45:10+00'::timestamptz]`, ['2026-11-20T13:45:10.000Z']],
    [`array['{"a, b": 1}'::jsonb]`, [{ 'a, b': 1 }]],
    [`array['x', 'y,"z']`, ['x', 'y,"z']],
  ])('%s', async (expression, expected) => {
    expect(await value(expression)).toEqual(expected);
  });

  test('a bigint, an instant and a list of them go in as they come out', async () => {
    const { rows } = await database.pool.query(
      'select $1::numeric as cost, $2::timestamptz as at, $3::bigint[] as many',
      [10n ** 20n, '2026-11-20T13:45:10.123Z', [1n, 2n]],
    );
    expect(rows).toEqual([{ cost: 10n ** 20n, at: '2026-11-20T13:45:10.123Z', many: [1n, 2n] }]);
  });

  test('also through the query builder, and in a session with another time zone', async () => {
    const instant = await database.db.connection().execute(async (connection) => {
      await sql`set time zone 'Asia/Kolkata'`.execute(connection);
      const { rows } = await sql<{ at: string }>`select '2026-11-20T13:45:10.5Z'::timestamptz as at`.execute(
        connection,
      );
      await sql`reset time zone`.execute(connection);
      return rows[0]?.at;
    });
    expect(instant).toBe('2026-11-20T13:45:10.500Z');
  });

  test('other users of the driver in this process keep its own parsers', () => {
    expect(types.getTypeParser(types.builtins.INT8)('1')).toBe('1');
    expect(types.getTypeParser(types.builtins.TIMESTAMPTZ)('2026-11-20 13:45:10+00')).toBeInstanceOf(Date);
  });
});

describe('a pool', () => {
  test('logs an idle connection that the server ended, and goes on', async () => {
    const lines: string[] = [];
    const log = (line: string): void => void lines.push(line);
    const other = openDatabase({ url: database.url, poolMax: 1, applicationName: 'idle', log });
    const { rows } = await other.pool.query<{ pid: number }>('select pg_backend_pid() as pid');
    await database.pool.query('select pg_terminate_backend($1)', [rows[0]?.pid]);
    await expect.poll(() => lines).toHaveLength(1);
    expect(await other.pool.query('select 1')).toMatchObject({ rowCount: 1 });
    await other.close();
  });

  test('ends a statement that takes longer than it may', async () => {
    const other = openDatabase({
      url: database.url,
      poolMax: 1,
      applicationName: 'slow',
      statementMsMax: 50,
    });
    await expect(other.pool.query('select pg_sleep(30)')).rejects.toMatchObject({ code: '57014' });
    await other.close();
  });

  test('names itself to the server and may be closed twice', async () => {
    const other = openDatabase({ url: database.url, poolMax: 1, applicationName: 'keyledger-api' });
    const { rows } = await other.pool.query(`select current_setting('application_name') as name`);
    expect(rows).toEqual([{ name: 'keyledger-api' }]);
    await Promise.all([other.close(), other.close()]);
  });
});

test('a database that a test file leaves connections to says whose they are', async () => {
  const careless = await testDatabase();
  const other = openDatabase({ url: careless.url, poolMax: 1, applicationName: 'forgotten' });
  await other.pool.query('select 1');
  await expect(careless.drop()).rejects.toThrow('forgotten');
  await other.close();
});
