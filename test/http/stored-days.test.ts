import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openSince, sumUpDays } from '../../src/http/stored-days.ts';
import { type Admin, startAdmin } from '../support/admin.ts';
import { spend, type Spender } from '../support/spend.ts';

let admin: Admin;
let key: Spender;
beforeAll(async () => {
  admin = await startAdmin();
  await admin.call({ url: '/team/new', body: { team_id: 'team-a' } });
  key = (await admin.call({ url: '/key/generate', body: { team_id: 'team-a', user_id: 'someone' } })).body;
  const at = (day: number, hour: number) =>
    `2026-11-${String(day).padStart(2, '0')}T${String(hour).padStart(2, '0')}:30:00.000Z`;
  const some = [2, 2, 3, 10, 19, 20].map((day, i) => ({
    admittedAt: at(day, i),
    tags: i % 2 === 0 ? ['blue', 'blue'] : [],
    endUser: i % 3 === 0 ? 'visitor' : null,
    model: i % 2 === 0 ? 'demo-small' : 'demo-large',
  }));
  await spend(admin, key, ...some);
});
afterAll(() => admin?.close());

const NOVEMBER = 'start_date=2026-11-01&end_date=2026-11-30';
const FAMILIES = {
  user: 'exclude_user_id',
  team: 'exclude_team_ids',
  organization: 'exclude_organization_ids',
  customer: 'exclude_end_user_ids',
  tag: 'exclude_tags',
};
const kept = async (family: string, more = '') =>
  (await admin.call({ url: `/${family}/daily/activity?${NOVEMBER}&page_size=100${more}` })).body;
/** Whoever leaves somebody out is answered from the log of requests, even where nobody is left out. */
const live = (family: keyof typeof FAMILIES) => kept(family, `&${FAMILIES[family]}=nobody`);
const count = async () =>
  (await admin.pool.query('select count(*)::int as rows from day_sums where sums <> $1', ['null'])).rows[0]
    .rows;

describe('days that are over', () => {
  test('are summed up once, and shown as the log of requests has them', async () => {
    for (const family of Object.keys(FAMILIES) as (keyof typeof FAMILIES)[]) {
      const shown = await kept(family);
      expect(shown.results.length, family).toBeGreaterThan(1);
      expect(shown, family).toEqual(await live(family));
    }
    const rows = await count();
    // Days 2, 3, 10 and 19 of three families; fewer where nobody of the kind was there.
    expect(rows).toBeGreaterThan(12);
    await sumUpDays(admin.deps);
    expect(await count()).toBe(rows);
    await admin.pool.query(
      `update day_sums set sums = jsonb_set(sums, '{requests}', '"77"') where day = '2026-11-03' and sums <> 'null'`,
    );
    expect(
      (await kept('user')).results.find(({ date }: { date: string }) => date === '2026-11-03').metrics
        .api_requests,
    ).toBe(77);
  });

  test('take in what was recorded late, and today is never kept', async () => {
    await spend(
      admin,
      key,
      { admittedAt: '2026-11-03T09:00:00.000Z' },
      { admittedAt: '2026-11-20T09:00:00.000Z' },
    );
    const { results } = await kept('user');
    expect(
      results.map(({ date, metrics }: { date: string; metrics: { api_requests: number } }) => [
        date,
        metrics.api_requests,
      ]),
    ).toEqual([
      ['2026-11-20', 2],
      ['2026-11-19', 1],
      ['2026-11-10', 1],
      ['2026-11-03', 2],
      ['2026-11-02', 2],
    ]);
    const { rows } = await admin.pool.query(`select max(day) as day from day_sums`);
    expect(rows[0].day).toBe('2026-11-19');
  });

  test('begin where the reader’s days begin, and are over an hour after their end', async () => {
    expect(openSince('2026-11-20T00:59:59.000Z', 0)).toBe('2026-11-19T00:00:00.000Z');
    expect(openSince('2026-11-20T01:00:00.000Z', 0)).toBe('2026-11-20T00:00:00.000Z');
    expect(openSince('2026-11-20T00:30:00.000Z', -60)).toBe('2026-11-19T23:00:00.000Z');
    const berlin = await kept('user', '&timezone=-60');
    expect(berlin).toEqual(await kept('user', '&timezone=-60&exclude_user_id=nobody'));
  });
});
