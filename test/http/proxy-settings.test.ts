import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Admin, startAdmin } from '../support/admin.ts';
import { people, type People, TEAM } from '../support/people.ts';
import { spend } from '../support/spend.ts';

let admin: Admin;
let who: People;
beforeAll(async () => {
  admin = await startAdmin();
  who = await people(admin);
  const at = (day: string) => ({ admittedAt: `2026-11-${day}T09:00:00.000Z` });
  const own = (await admin.call({ url: '/key/generate', body: {} })).body;
  const theirs = (await admin.call({ url: '/key/generate', body: { team_id: TEAM } })).body;
  await spend(
    admin,
    own,
    { ...at('20'), tags: ['blue', 'blue'], endUser: 'a' },
    { ...at('20'), tags: ['blue'], endUser: 'b' },
    { ...at('19'), tags: ['blue', 'red'], endUser: 'a', outcome: 'upstream-error' },
  );
  await spend(admin, theirs, { ...at('20'), tags: ['green'] });
});
afterAll(() => admin?.close());

const get = async (url: string, bearer?: string) =>
  (await admin.call({ url, ...(bearer === undefined ? {} : { bearer }) })).body;

test('who was active under a tag is counted by day, week and month, each person once', async () => {
  const { results } = await get('/tag/dau?tag_filter=blue');
  expect(results).toMatchObject([
    { tag: 'blue', active_users: 2, date: '2026-11-20' },
    { tag: 'blue', active_users: 1, date: '2026-11-19' },
  ]);
  expect((await get('/tag/wau?tag_filters=blue,red')).results).toMatchObject([
    { tag: 'blue', active_users: 2, period_end: '2026-11-20' },
    { tag: 'red', active_users: 1 },
  ]);
  expect((await get('/tag/mau')).results).toHaveLength(3);
});

test('tags are listed and summed up for whom they concern', async () => {
  expect((await get('/tag/distinct')).results).toEqual([{ tag: 'blue' }, { tag: 'green' }, { tag: 'red' }]);
  expect((await get('/tag/distinct', who.keys.org_admin)).results).toEqual([{ tag: 'green' }]);
  expect((await get('/tag/summary?start_date=2026-11-19&end_date=2026-11-20')).results[0]).toMatchObject({
    tag: 'blue',
    unique_users: 2,
    total_requests: 3,
    successful_requests: 2,
    failed_requests: 1,
  });
});

test('the proxy says of itself what is there, and that prices belong to plans', async () => {
  expect(await get('/config/cost_margin_config')).toEqual({ values: {} });
  const refused = await admin.call({
    method: 'PATCH',
    url: '/config/cost_discount_config',
    body: { openai: 0.1 },
  });
  expect([refused.status, refused.body.error.param]).toEqual([400, 'cost_discount_config']);
  expect((await get('/active/callbacks')).num_callbacks).toBe(0);
  const { body } = await admin.call({ url: '/routes', bearer: null });
  expect(body.routes.find(({ path }: { path: string }) => path === '/key/info').methods).toContain('GET');
  expect((await admin.call({ url: '/.well-known/litellm-ui-config', bearer: null })).status).toBe(200);
});
