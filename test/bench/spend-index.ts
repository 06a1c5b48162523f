/**
 * What an index of the log of requests costs each request: the same rows are written, in batches as the projector
 * writes them, to tables with different indexes, in turn. Counted is the time on the processor of the one PostgreSQL
 * process that writes, so that a machine which others use too does not distort it. Linux only.
 *
 *   node dist/test/bench/spend-index.js [--rows <n>]
 */
import { readFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { spendLog } from '../../projections/spend-log.ts';
import { openDatabase } from '../../src/database.ts';
import { removeEmbeddedPostgres, startEmbeddedPostgres } from '../../src/embedded-postgres.ts';
import { statementsFor, tableDdl } from '../../src/projection-sql.ts';
import { recorded, spendRecorded, uuid } from '../support/events.ts';

const { values: options } = parseArgs({ options: { rows: { type: 'string', default: '200000' } } });
const ROWS = Number(options.rows);
const BATCH = 64;
const TICKS_PER_SECOND = 100;
/** Beyond what the table has by its definition. */
const VARIANTS: Readonly<Record<string, readonly string[]>> = {
  defined: [],
  admitted_at: ['(admitted_at)'],
  response_id: ['(response_id)'],
  'both ids, brin bloom': [
    'using brin (response_id text_bloom_ops(n_distinct_per_range = 600), request_id text_bloom_ops(n_distinct_per_range = 600)) with (pages_per_range = 32, autosummarize = on)',
  ],
};

const dataDir = await mkdtemp(join(tmpdir(), `keyledger-bench-index-${process.pid}-`));
const { url } = await startEmbeddedPostgres({ dataDir, durable: false });
const database = openDatabase({ url, poolMax: 1, applicationName: 'bench' });
try {
  const { pool } = database;
  const { rows } = await pool.query<{ pid: number }>('select pg_backend_pid() as pid');
  const usedSeconds = (): number => {
    const fields = readFileSync(`/proc/${rows[0]!.pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  };
  const names = Object.keys(VARIANTS);
  for (const [i, name] of names.entries()) {
    for (const statement of tableDdl(spendLog, `t${i}`)) await pool.query(statement);
    for (const index of VARIANTS[name]!) await pool.query(`create index on t${i} ${index}`);
  }
  const spent = names.map(() => 0);
  for (let row = 0; row < ROWS; row += BATCH) {
    const changes = Array.from({ length: BATCH }, (_, n) => {
      const at = row + n;
      const event = spendRecorded({
        requestId: uuid(`request ${at}`),
        responseId: `chatcmpl-${uuid(`response ${at}`)}`,
        keyId: `key_${uuid(`key ${at % 5_000}`)}`,
        admittedAt: new Date(Date.UTC(2026, 10, 1) + at * 50 + ((at * 7_919) % 2_000)).toISOString(),
      });
      return spendLog.apply(recorded(event, { position: BigInt(at + 1), tenantId: `ten_${at % 100}` }));
    }).flat();
    for (const [i] of names.entries()) {
      const before = usedSeconds();
      for (const { text, values } of statementsFor(spendLog, `t${i}`, changes))
        await pool.query(text, [...values]);
      spent[i]! += usedSeconds() - before;
    }
  }
  for (const [i, name] of names.entries()) {
    const micros = (spent[i]! / ROWS) * 1e6;
    console.log(`${name.padEnd(28)} ${micros.toFixed(1)} µs of PostgreSQL per request`);
  }
} finally {
  await database.close();
  await removeEmbeddedPostgres(dataDir);
}
