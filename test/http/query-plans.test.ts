import { afterAll, beforeAll, expect, test } from 'vitest';
import { keys } from '../../projections/keys.ts';
import { spendLog } from '../../projections/spend-log.ts';
import { type Admin, startAdmin } from '../support/admin.ts';
import { spend } from '../support/spend.ts';

/**
 * Lists and reports that name something, or a part of it, find it by an index. Enough rows, with statistics, that PostgreSQL has a choice: 8,000 keys and 40,000 requests
 * in 30 days.
 */
const KEYS = 8_000;
const SPENDS = 40_000;
const TEAMS = 50;

let admin: Admin;
const asked: { readonly text: string; readonly values: readonly unknown[] }[] = [];

beforeAll(async () => {
  admin = await startAdmin();
  admin.pool.on('acquire', (client) => {
    const run = client as unknown as { query: (...given: unknown[]) => unknown; noted?: true };
    if (run.noted === true) return;
    run.noted = true;
    const query = run.query.bind(client);
    run.query = (...given) => {
      const [text, values] = given;
      if (typeof text === 'string' && Array.isArray(values)) asked.push({ text, values });
      return query(...given);
    };
  });
  for (let i = 0; i < TEAMS; i += 1) await admin.call({ url: '/team/new', body: { team_id: `team-${i}` } });
  const { body: key } = await admin.call({
    url: '/key/generate',
    body: { team_id: 'team-0', user_id: 'user-0' },
  });
  await spend(admin, key, { admittedAt: '2026-11-01T00:00:00.000Z' });
  await multiply(
    `keys__v${keys.version}`,
    KEYS,
    `'key_id', 'key_' || i, 'token_hash', encode(sha256(i::text::bytea), 'hex'), 'alias', 'alias-' || i,
     'project_id', 'team-' || (i % ${TEAMS}), 'user_id', 'user-' || (i % 500),
     'created_at', timestamptz '2026-01-01Z' + i * interval '1 minute'`,
  );
  await multiply(
    `spend_log__v${spendLog.version}`,
    SPENDS,
    `'position', 1000000 + i, 'request_id', 'req_' || i, 'key_id', 'key_' || (i % ${KEYS}),
     'project_id', 'team-' || (i % ${TEAMS}), 'user_id', 'user-' || (i % 500), 'tenant_id', 'ten_' || (i % ${TEAMS}),
     'admitted_at', timestamptz '2026-10-21Z' + i * interval '65 seconds'`,
  );
}, 120_000);
afterAll(() => admin?.close());

async function multiply(table: string, count: number, differing: string): Promise<void> {
  await admin.pool.query(
    `insert into ${table} select r.* from (select to_jsonb(t) as row from ${table} t limit 1) one, generate_series(1, ${count}) i,
     lateral jsonb_populate_record(null::${table}, one.row || jsonb_build_object(${differing})) r`,
  );
  await admin.pool.query(`vacuum analyze ${table}`);
}

interface Plan {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly Plans?: readonly Plan[];
}

function scans(plan: Plan): readonly string[] {
  const own = plan['Node Type'] === 'Seq Scan' ? [plan['Relation Name'] ?? ''] : [];
  return [...own, ...(plan.Plans ?? []).flatMap(scans)];
}

const DAY = 'start_date=2026-11-10&end_date=2026-11-10';
const MOMENTS = 'start_date=2026-11-01 00:00:00&end_date=2026-11-30 23:59:59';
test.each([
  '/key/info?key=key_77',
  '/key/list?team_id=team-7&size=100',
  '/key/list?user_id=user-77&size=100',
  '/key/list?key_alias=alias-777',
  '/key/list?organization_id=ten_nobody',
  '/key/list?key_hash=abc',
  '/key/aliases?search=ALIAS-777',
  '/team/info?team_id=team-7',
  `/spend/logs/v2?${MOMENTS}&api_key=key_77`,
  '/spend/logs/v2?start_date=2026-11-10 00:00:00&end_date=2026-11-10 00:59:59',
  '/spend/logs?request_id=req_777',
  `/user/daily/activity?${DAY}`,
])('%s reads keys and requests by an index', async (url) => {
  asked.length = 0;
  const answer = await admin.call({ url });
  expect(answer.status, JSON.stringify(answer.body).slice(0, 200)).toBe(200);
  const selects = asked.filter(
    ({ text }) => /^\s*(select|with)\b/i.test(text) && /spend_log|keys/.test(text),
  );
  expect(selects.length).toBeGreaterThan(0);
  for (const { text, values } of selects) {
    const { rows } = await admin.pool.query<{ 'QUERY PLAN': readonly { readonly Plan: Plan }[] }>(
      `explain (format json) ${text}`,
      [...values],
    );
    const found = scans(rows[0]!['QUERY PLAN'][0]!.Plan).filter((table) => /^(spend_log|keys)__/.test(table));
    expect(found, text).toEqual([]);
  }
});
