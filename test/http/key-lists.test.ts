import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Admin, type Answer, startAdmin } from '../support/admin.ts';

let admin: Admin;
const made: Answer['body'][] = [];

beforeAll(async () => {
  admin = await startAdmin();
  await admin.call({ url: '/team/new', body: { team_id: 'team-list' } });
  for (let i = 0; i < 25; i += 1) {
    admin.setNow(new Date(Date.parse('2026-11-20T10:00:00.000Z') + i * 1_000).toISOString());
    const body = {
      key_alias: `list-${String(i).padStart(2, '0')}`,
      max_budget: i % 5 === 0 ? null : 100 - i,
      ...(i % 2 === 0 ? { team_id: 'team-list' } : { user_id: `user-${i}` }),
    };
    made.push((await admin.call({ url: '/key/generate', body })).body);
  }
});
afterAll(() => admin?.close());

const list = (query: string) => admin.call({ url: `/key/list?${query}` });
const aliasesIn = (answer: Answer): string[] =>
  answer.body.keys.map((key: { key_alias: string }) => key.key_alias);

describe('/key/list', () => {
  test('gives token hashes, the newest first, in pages with totals', async () => {
    const answer = await list('size=10');
    expect(answer.body).toMatchObject({ total_count: 25, current_page: 1, total_pages: 3 });
    expect(answer.body.keys).toEqual(
      made
        .toReversed()
        .slice(0, 10)
        .map(({ token }) => token),
    );
  });

  test('shows every key on exactly one page, whatever it is sorted by', async () => {
    for (const sort of ['spend', 'max_budget', 'created_at', 'updated_at', 'token', 'key_alias']) {
      for (const order of ['asc', 'desc']) {
        const pages = await Promise.all(
          [1, 2, 3].map((page) => list(`size=10&page=${page}&sort_by=${sort}&sort_order=${order}`)),
        );
        const tokens = pages.flatMap(({ body }) => body.keys as string[]);
        expect(tokens.toSorted(), `${sort} ${order}`).toEqual(
          made.map(({ token }) => token as string).toSorted(),
        );
      }
    }
  });

  test('sorts as asked, keys without a value last', async () => {
    const answer = await list('return_full_object=true&size=100&sort_by=max_budget&sort_order=asc');
    const budgets = answer.body.keys.map((key: { max_budget: number | null }) => key.max_budget) as (
      | number
      | null
    )[];
    const amounts = budgets.filter((budget) => budget !== null);
    expect(amounts).toEqual(amounts.toSorted((a, b) => a - b));
    expect(budgets.slice(amounts.length)).toEqual([null, null, null, null, null]);
  });

  test('finds by alias, the exact one first', async () => {
    await admin.call({ url: '/key/generate', body: { key_alias: 'a-list-01-copy' } });
    const answer = await list('return_full_object=true&key_alias=list-01');
    expect(aliasesIn(answer)).toEqual(['list-01', 'a-list-01-copy']);
    await admin.call({ url: '/key/delete', body: { key_aliases: ['a-list-01-copy'] } });
    for (const text of ['%25', '_', '%5C', 'list%5F01'])
      expect((await list(`key_alias=${text}`)).body.total_count, text).toBe(0);
  });

  test('filters by team, user and hash', async () => {
    expect((await list('team_id=team-list')).body.total_count).toBe(13);
    expect(aliasesIn(await list('return_full_object=true&user_id=user-3'))).toEqual(['list-03']);
    expect((await list(`key_hash=${made[4].token}`)).body.keys).toEqual([made[4].token]);
  });

  test('gives hashes that /key/info takes', async () => {
    const [hash] = (await list('key_alias=list-07')).body.keys;
    const { body } = await admin.call({ url: `/key/info?key=${hash}` });
    expect(body.info.key_alias).toBe('list-07');
  });

  test.each([
    ['page=0', 422],
    ['size=101', 422],
    ['size=x', 422],
    ['sort_by=secret', 400],
    ['sort_order=up', 400],
    ['status=blocked', 400],
    ['after=x', 422],
    ['after=999999999', 400],
  ])('refuses %s', async (query, status) => {
    expect((await list(query)).status).toBe(status);
  });
});

describe('/key/aliases', () => {
  test('has all of them, or a page of those that match', async () => {
    const all = await admin.call({ url: '/key/aliases' });
    expect(all.body.aliases).toEqual(made.map(({ key_alias }) => key_alias));
    const page = await admin.call({ url: '/key/aliases?search=LIST-1&page=2&size=4' });
    expect(page.body).toEqual({
      aliases: ['list-14', 'list-15', 'list-16', 'list-17'],
      total_count: 10,
      current_page: 2,
      total_pages: 3,
    });
  });
});
