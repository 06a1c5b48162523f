import { spendLog } from '../../projections/spend-log.ts';
import { tenants } from '../../projections/tenants.ts';
import { usage } from '../../projections/usage.ts';
import { keys } from '../../projections/keys.ts';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { formatVerdict } from '../../src/audit/format-verdict.ts';
import type { VerifyReport } from '../../src/audit/verify.ts';
import { hashOf } from '../../src/store/codec.ts';
import type { Placed } from '../../src/store/stored-event.ts';
import { type AuditedDatabase, auditedDatabase, openStore, seedHistory } from './audited-database.ts';

let audited: AuditedDatabase;
/** Every table that an auditor looks at, with the copy to put back after each test. */
let tables: readonly string[];

beforeAll(async () => {
  audited = await auditedDatabase();
  await seedHistory(audited);
  await audited.stopServer();
  const { rows } = await audited.pool.query<{ table_name: string }>('select table_name from projections');
  tables = ['events', 'invoice_documents', 'projections', ...rows.map((row) => row.table_name)];
  await audited.pool.query(
    tables.map((table) => `create table "copy_${table}" as table "${table}"`).join(';'),
  );
});

afterAll(() => audited.drop());

afterEach(() =>
  forge(
    tables
      .map((table) => `delete from "${table}"; insert into "${table}" select * from "copy_${table}"`)
      .join(';'),
  ),
);

function triggers(what: 'enable' | 'disable'): string {
  return ['events', 'invoice_documents']
    .map((table) => `alter table ${table} ${what} trigger user`)
    .join(';');
}

/** What somebody does who owns the database: no trigger stands in the way. */
async function forge(statements: string): Promise<void> {
  await audited.pool.query(`begin; ${triggers('disable')}; ${statements}; ${triggers('enable')}; commit`);
}

async function one<T>(query: string): Promise<T> {
  const { rows } = await audited.pool.query<{ value: T }>(`select (${query}) as value`);
  return rows[0]!.value;
}

function failures(report: VerifyReport): Record<string, readonly string[]> {
  return Object.fromEntries(
    report.checks
      .filter(({ ok }) => !ok)
      .map(({ name, at }) => [name, at.map(({ position, problem }) => `${position}: ${problem}`)]),
  );
}

test('an untouched log verifies, and the verdict says what was looked at', async () => {
  const parts = new Set<string>();
  const report = await audited.verify(({ part }) => parts.add(part));
  expect(failures(report)).toEqual({});
  expect(report).toMatchObject({ ok: true, head: String(report.events) });
  expect(report.checks.map(({ name }) => name)).toEqual(
    expect.arrayContaining([
      'positions',
      'chains',
      'payloads',
      'end of the log',
      'spend',
      'invoices',
      'read model usage',
    ]),
  );
  expect(report.checks.find(({ name }) => name === 'invoices')?.detail).toContain('4 finalised invoices');
  // 10 requests of each kind at 262,500 nanos for two keys; 1 + 3 of 7 are invoiced.
  expect(report.checks.find(({ name }) => name === 'spend')?.detail).toBe(
    '2 keys spent 0.003675; usage: 0.0021 on invoices, 0.001575 open, 0 in closed periods without an invoice',
  );
  expect(formatVerdict(report)).toContain('VERIFIED');
  expect([...parts]).toContain('invoices');
});

describe('tampering with the log', () => {
  const spend = `(select min(position) from events where type = 'spend.recorded')`;

  test.each([
    ['data', `replace(data::text, '"262500"', '"262499"')::json`],
    ['actor', `'{"id":"somebody","kind":"user"}'`],
    ['stream', `'spend-2026-09-other'`],
    ['type', `'key.blocked'`],
    ['id', 'gen_random_uuid()'],
    ['agency_id', `'age_2'`],
    ['tenant_id', `'ten_2'`],
    ['occurred_at', `occurred_at + interval '1 second'`],
    ['correlation_id', `'other'`],
    ['causation_id', `'other'`],
    ['command_hash', `repeat('a', 64)`],
    ['hash', `repeat('a', 64)`],
    ['previous_hash', `repeat('a', 64)`],
    ['schema', '2'],
    ['revision', '7'],
  ])('a changed %s is found at its event', async (column, value) => {
    const position = await one<bigint>(spend);
    await forge(`update events set ${column} = ${value} where position = ${position}`);
    const report = await audited.verify();
    expect(report.ok).toBe(false);
    expect(failures(report)['chains']?.join('\n')).toContain(`${position}: `);
  });

  test('an amount changed with all hashes after it made anew is found by what follows from it', async () => {
    const position = await one<bigint>(spend);
    await forge(
      `update events set data = replace(data::text, '"262500"', '"262499"')::json where position = ${position}`,
    );
    await sealAnew(await one<string>(`select stream from events where position = ${position}`));
    const found = failures(await audited.verify());
    expect(found['chains']).toBeUndefined();
    expect(found['spend']?.join()).toContain(
      `${position}: the lines come to 262500 nanos, the price is 262499`,
    );
    expect(found['spend']?.join()).toContain(
      'key key_1: the log has 7 requests and 1837499 nanos, spend_totals 7 and 1837500',
    );
    expect(found['read model spend_totals']?.join()).toContain('the row key, key_1 is not what the log says');
  });

  test('a deleted event is found where it was', async () => {
    const position = await one<bigint>(`select position from events where type = 'key.blocked'`);
    await forge(`delete from events where position = ${position}`);
    const found = failures(await audited.verify());
    expect(found['positions']).toEqual([`${position}: position ${position} is missing`]);
    expect(found['chains']?.join()).toContain('key-key_1@2 follows revision 0');
  });

  test('a deleted event whose place was closed up is found by its stream', async () => {
    const position = await one<bigint>(spend);
    await forge(`delete from events where position = ${position};
                 update events set position = -position where position > ${position};
                 update events set position = -position - 1 where position < 0`);
    const found = failures(await audited.verify());
    expect(found['positions']).toBeUndefined();
    expect(found['chains']?.[0]).toContain('@1 follows revision -1');
  });

  test('an end that was cut off is found by what the read models have seen', async () => {
    const head = await one<bigint>('select max(position) from events');
    await forge(`delete from events where position > ${head - 2n}`);
    const found = failures(await audited.verify());
    expect(found['end of the log']?.join()).toContain(`${head - 2n}: the log ends here`);
    expect(found['spend']?.join()).toContain('key key_1');
  });

  test('an event put in at the end is found by its hash', async () => {
    const head = await one<bigint>('select max(position) from events');
    await forge(`insert into events select position + 1, stream, revision + 1, gen_random_uuid(), type, schema, agency_id,
      tenant_id, occurred_at, recorded_at, actor, correlation_id, causation_id, command_hash, hash, previous_hash, data
      from events where position = ${head}`);
    expect(failures(await audited.verify())['chains']?.join()).toContain(`${head + 1n}: `);
  });

  test('an event put in between, with everything moved up for it, is found by its hash', async () => {
    const position = await one<bigint>(spend);
    await forge(`update events set position = -position - 1 where position > ${position};
      update events set position = -position where position < 0;
      update events set revision = revision + 100 where stream = 'spend-2026-09-w1' and position > ${position};
      insert into events select position + 1, stream, 1, gen_random_uuid(), type, schema, agency_id, tenant_id,
        occurred_at, recorded_at, actor, correlation_id, causation_id, command_hash, hash, previous_hash, data
        from events where position = ${position};
      update events set revision = revision - 99 where revision >= 100`);
    const found = failures(await audited.verify());
    expect(found['chains']?.join()).toContain(`${position + 1n}: `);
  });

  test.each([
    [
      'of one stream',
      `select position from events where type = 'key.blocked'`,
      `select position from events where type = 'key.unblocked'`,
      'chains',
    ],
    [
      'of a month and its last request',
      `select position from events where stream = 'period-age_1-2026-10'`,
      `select max(position) from events where stream = 'spend-2026-10-w2'`,
      'read model usage',
    ],
    [
      'of two things that do not know each other',
      `select position from events where stream = 'key-key_2'`,
      `select max(position) from events where stream = 'key-key_1'`,
      'times',
    ],
  ])('two events %s that changed places are found', async (_, first, second, check) => {
    const [a, b] = [await one<bigint>(first), await one<bigint>(second)];
    await forge(`update events set position = -1 where position = ${a};
                 update events set position = ${a} where position = ${b};
                 update events set position = ${b} where position = -1`);
    const found = failures(await audited.verify());
    expect(Object.keys(found)).toContain(check);
  });

  test('a time of recording set back is found', async () => {
    const position = await one<bigint>(`select max(position) from events where stream = 'key-key_1'`);
    await forge(
      `update events set recorded_at = recorded_at - interval '20 days' where position = ${position}`,
    );
    expect(failures(await audited.verify())['times']?.join()).toContain(
      `${position}: key-key_1@4 was recorded 864000 s before`,
    );
  });
});

describe('tampering beside the log', () => {
  test.each([
    [
      'usage',
      `update usage__v${usage.version} set price_nanos = price_nanos + 1 where model = (select max(model) from usage__v${usage.version})`,
    ],
    [
      'spend_totals',
      `update spend_totals__v2 set requests = requests + 1 where level = 'key' and id = 'key_1'`,
    ],
    ['spend_log', `delete from spend_log__v${spendLog.version} where request_id = 'req_w1_2026-09_key_1_0'`],
    ['keys', `update keys__v${keys.version} set status = 'blocked' where key_id = 'key_2'`],
    ['tenants', `update tenants__v${tenants.version} set terms = null where tenant_id = 'ten_1'`],
    ['invoices', `update invoices__v2 set gross_cents = 1 where tenant_id = 'ten_1'`],
    ['included_usage', `insert into included_usage__v2 values ('ten_1', '2026-12', 5)`],
    ['periods', `delete from periods__v1 where period = '2026-09'`],
  ])('a changed read model is found: %s', async (name, statement) => {
    await forge(statement);
    const found = failures(await audited.verify());
    expect(found[`read model ${name}`]?.join('\n')).toMatch(
      /the row .* is not what the log says|the log says otherwise of the row/,
    );
  });

  test.each([
    [
      'altered',
      `update invoice_documents set document = replace(document, '"Celle"', '"Kiel"') where number = 'RE-2026-00002'`,
    ],
    [
      'altered',
      `update invoice_documents set document = replace(document, '"Celle"', '"Kiel"'),
         hash = encode(sha256(convert_to(replace(document, '"Celle"', '"Kiel"'), 'UTF8')), 'hex') where number = 'RE-2026-00002'`,
    ],
    ['missing', `delete from invoice_documents where number = 'RE-2026-00002'`],
    [
      'not about this invoice',
      `update invoice_documents set tenant_id = 'ten_9' where number = 'RE-2026-00002'`,
    ],
    [
      'belongs to no invoice',
      `insert into invoice_documents values ('inv_x', 'RE-2026-00099', 'age_1', 'ten_1', '{}', '')`,
    ],
  ])('a document that is %s is found', async (problem, statement) => {
    await forge(statement);
    expect(failures(await audited.verify())['invoices']?.join()).toContain(problem);
  });

  test('an invoice rewritten in the log with hashes made anew is found by computing it again', async () => {
    const stream = await one<string>(
      `select stream from events where type = 'invoice.drafted' order by position limit 1`,
    );
    const position = await one<bigint>(
      `select position from events where stream = '${stream}' and revision = 0`,
    );
    await forge(
      `update events set data = replace(data::text, '"quantity":"900"', '"quantity":"901"')::json where position = ${position}`,
    );
    await sealAnew(stream);
    const found = failures(await audited.verify());
    expect(found['chains']).toBeUndefined();
    expect(found['invoices']?.join()).toContain(`${position}: inv_`);
  });
});

test('a payload that nobody can read is named', async () => {
  const position = await one<bigint>(`select max(position) from events where type = 'key.rotated'`);
  await forge(`update events set data = '{"keyId":"key_1"}' where position = ${position}`);
  const found = failures(await audited.verify());
  expect(found['payloads']?.join()).toContain(`at position ${position}, key-key_1@4`);
  expect(formatVerdict(await audited.verify())).toMatch(/NOT VERIFIED: \d+ of \d+ checks failed/);
});

/** Gives every event of a stream the hash that its content has: the forger knows how. */
async function sealAnew(stream: string): Promise<void> {
  const store = openStore(audited);
  const placed: Placed[] = [];
  for await (const event of store.readLog(0n)) if (event.stream === stream) placed.push(event);
  await store.close();
  let previousHash = '0'.repeat(64);
  const statements: string[] = [];
  for (const event of placed.toSorted((a, b) => Number(a.revision - b.revision))) {
    const hash = hashOf({ ...event, previousHash });
    statements.push(
      `update events set hash = '${hash}', previous_hash = '${previousHash}' where position = ${event.position}`,
    );
    previousHash = hash;
  }
  await forge(statements.join(';'));
}
