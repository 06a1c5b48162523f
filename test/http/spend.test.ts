import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Admin, type Answer, startAdmin } from '../support/admin.ts';
import { type People, people, TEAM } from '../support/people.ts';
import { spend, type Spender } from '../support/spend.ts';

let admin: Admin;
let who: People;
const keyOf: Record<string, Spender> = {};
/** Nanos of one request, as the support writes it. */
const ONE = 0.0002625;

beforeAll(async () => {
  const budget = { nanos: 100_000_000_000n, window: '1d' };
  const openai = { provider: 'openai', budget, endsAt: '2026-11-20T23:00:00.000Z', nanos: 1_500_000_000n };
  admin = await startAdmin({ deps: { providerSpends: () => Promise.resolve([openai]) } });
  who = await people(admin);
  const make = async (name: string, body: object) =>
    void (keyOf[name] = (
      await admin.call({ url: '/key/generate', body: { key_alias: name, ...body } })
    ).body);
  await make('mine', { user_id: 'user-internal_user' });
  await make('colleague', { user_id: 'user-team_user', team_id: TEAM });
  await make('service', { team_id: TEAM });
  await admin.call({ url: '/team/new', body: { team_id: 'team-other' } });
  await make('other', { team_id: 'team-other', user_id: 'somebody' });
  await spend(
    admin,
    keyOf['mine']!,
    { admittedAt: '2026-11-01T23:30:00.000Z', model: 'demo-small', tags: ['blue', 'red', 'blue'] },
    { admittedAt: '2026-11-02T00:30:00.000Z', model: 'demo-large', endUser: 'visitor' },
    { admittedAt: '2026-11-02T12:00:00.000Z', outcome: 'upstream-error', status: 502, priceNanos: 0n },
  );
  const day = { admittedAt: '2026-11-03T08:00:00.000Z' };
  await spend(admin, keyOf['colleague']!, { ...day, tags: ['blue'] });
  await spend(admin, keyOf['service']!, day, { ...day, endUser: 'visitor' });
  await spend(admin, keyOf['other']!, day);
});
afterAll(() => admin?.close());

const as = (person: keyof People['keys'] | 'master', url: string, body?: unknown) =>
  admin.call({
    url,
    ...(body === undefined ? {} : { body }),
    ...(person === 'master' ? {} : { bearer: who.keys[person] }),
  });
const NOVEMBER = 'start_date=2026-11-01&end_date=2026-11-30';
const v2 = (person: Parameters<typeof as>[0], query = '') =>
  as(person, `/spend/logs/v2?start_date=2026-11-01 00:00:00&end_date=2026-11-30 23:59:59&${query}`);
const aliases = ({ body }: Answer): string[] =>
  body.data.map((row: { metadata: { user_api_key_alias: string } }) => row.metadata.user_api_key_alias);

describe('the list of requests', () => {
  test('shows what a request cost, whose it was, and nothing of what was said', async () => {
    const { body } = await as('master', `/spend/logs?api_key=${keyOf['mine']!.token}`);
    expect(body).toHaveLength(3);
    expect(body[1]).toMatchObject({
      api_key: keyOf['mine']!.token,
      spend: ONE,
      prompt_tokens: 1000,
      completion_tokens: 200,
      total_tokens: 1200,
      model: 'demo-large',
      user: 'user-internal_user',
      end_user: 'visitor',
      status: 'success',
      messages: {},
      response: {},
      metadata: { user_api_key_alias: 'mine', usage: { cached_tokens: 100 } },
    });
    expect(body[0]).toMatchObject({ status: 'failure', spend: 0 });
    const found = await as('master', `/spend/logs?request_id=${body[1].request_id}`);
    expect(found.body).toEqual([body[1]]);
  });

  test('is sorted, filtered and cut into pages that do not overlap', async () => {
    const pages = await Promise.all([1, 2, 3, 4].map((page) => v2('master', `page_size=2&page=${page}`)));
    expect(pages[0]!.body).toMatchObject({ total: 7, page: 1, page_size: 2, total_pages: 4 });
    const ids = pages.flatMap(({ body }) => body.data.map((row: { request_id: string }) => row.request_id));
    expect(new Set(ids).size).toBe(7);
    expect(aliases(await v2('master', 'status_filter=failure'))).toEqual(['mine']);
    expect(aliases(await v2('master', 'error_code=502'))).toEqual(['mine']);
    expect(aliases(await v2('master', `team_id=${TEAM}&end_user=visitor`))).toEqual(['service']);
    expect(aliases(await v2('master', 'tags=blue&sort_by=startTime&sort_order=asc'))).toEqual([
      'mine',
      'colleague',
    ]);
    expect(aliases(await v2('master', 'key_alias=olleag'))).toEqual(['colleague']);
    expect(aliases(await v2('master', 'min_spend=0.0003'))).toEqual([]);
    expect(aliases(await v2('master', 'model=demo-large'))).toEqual(['mine']);
  });

  test.each([
    ['', 400],
    ['start_date=2026-11-01 00:00:00', 400],
    ['start_date=x&end_date=y', 400],
    ['start_date=2026-02-30&end_date=2026-03-01', 400],
    ['start_date=2026-11-02&end_date=2026-11-01', 400],
    ['start_date=2026-11-01&end_date=2026-11-02&page_size=101', 422],
    ['start_date=2026-11-01&end_date=2026-11-02&sort_by=secret', 422],
  ])('refuses %s', async (query, status) => {
    expect((await as('master', `/spend/logs/v2?${query}`)).status).toBe(status);
  });

  test('keeps the requests of deleted keys', async () => {
    const gone = (await admin.call({ url: '/key/generate', body: { key_alias: 'gone' } })).body;
    await spend(admin, gone, { admittedAt: '2026-10-01T00:00:00.000Z' });
    await admin.call({ url: '/key/delete', body: { keys: [gone.key] } });
    expect((await as('master', `/spend/logs?api_key=${gone.token}`)).body).toHaveLength(1);
  });

  test('sums up days when it is asked for some', async () => {
    const { body } = await as('master', `/spend/logs?${NOVEMBER}&api_key=${keyOf['mine']!.token}`);
    expect(body).toEqual([
      {
        startTime: '2026-11-01',
        spend: ONE,
        users: { 'user-internal_user': ONE },
        models: { 'demo-small': ONE },
      },
      {
        startTime: '2026-11-02',
        spend: ONE,
        users: { 'user-internal_user': ONE },
        models: { 'demo-large': ONE, 'gpt-4o-mini': 0 },
      },
    ]);
  });
});

describe('what somebody sees of what was spent', () => {
  test.each([
    ['proxy_admin_viewer', ['colleague', 'mine', 'mine', 'mine', 'other', 'service', 'service']],
    ['org_admin', ['colleague', 'service', 'service']],
    ['team_admin', ['colleague', 'service', 'service']],
    ['team_user', ['colleague']],
    ['internal_user', ['mine', 'mine', 'mine']],
    ['internal_user_viewer', []],
  ] as const)('is theirs: %s', async (person, expected) => {
    expect(aliases(await v2(person)).toSorted()).toEqual(expected);
    const { metadata } = (await as(person, `/user/daily/activity?${NOVEMBER}`)).body;
    expect(metadata.total_api_requests).toBe(expected.length);
    const seen = new Set<string>(expected);
    const keys = (await as(person, '/spend/keys')).body.map((key: { key_alias: string }) => key.key_alias);
    expect(keys.filter((alias: string | null) => alias !== null && !seen.has(alias))).toEqual([]);
    const users = (await as(person, '/spend/users')).body;
    const total = users.reduce((sum: number, { spend: one }: { spend: number }) => sum + one, 0);
    const mine = { proxy_admin_viewer: 4, internal_user: 2, internal_user_viewer: 0 };
    expect(total).toBeCloseTo((mine[person as keyof typeof mine] ?? 1) * ONE, 10);
  });

  test('is refused when somebody else is named, whether they exist or not', async () => {
    for (const name of ['team-other', 'no-such-team']) {
      expect((await v2('internal_user', `team_id=${name}`)).status, name).toBe(403);
      expect((await v2('team_admin', `team_id=${name}`)).status, name).toBe(403);
      expect((await as('team_admin', `/team/daily/activity?${NOVEMBER}&team_ids=${name}`)).status, name).toBe(
        403,
      );
      expect((await v2('internal_user', `user_id=${name}`)).status, name).toBe(403);
      expect((await v2('org_admin', `organization_id=${name}`)).status, name).toBe(403);
    }
    expect((await v2('internal_user', `api_key=${keyOf['other']!.token}`)).body.total).toBe(0);
    const foreign = (await as('master', `/spend/logs?api_key=${keyOf['other']!.token}`)).body[0].request_id;
    expect((await as('internal_user', `/spend/logs?request_id=${foreign}`)).body).toEqual([]);
    expect((await as('internal_user', `/spend/logs/ui/${foreign}`)).status).toBe(404);
  });

  test('is nothing for keys without a user', async () => {
    expect((await v2('key')).status).toBe(401);
  });
});

describe('daily activity', () => {
  test.each(['user', 'team', 'organization', 'customer', 'end_user', 'tag', 'agent'])(
    'of the %s family wants dates and answers in one shape',
    async (family) => {
      expect((await as('master', `/${family}/daily/activity`)).status).toBe(400);
      const { status, body } = await as('master', `/${family}/daily/activity?${NOVEMBER}`);
      expect(status).toBe(200);
      expect(body.metadata).toMatchObject({ page: 1, has_more: false });
      for (const day of body.results) {
        expect(Object.keys(day.breakdown).toSorted()).toEqual([
          'api_keys',
          'endpoints',
          'entities',
          'mcp_servers',
          'model_groups',
          'models',
          'providers',
        ]);
      }
    },
  );

  test('adds up: by model, key, route and entity each day is the same', async () => {
    const { body } = await as('master', `/user/daily/activity/aggregated?${NOVEMBER}`);
    expect(body.results.map((day: { date: string }) => day.date)).toEqual([
      '2026-11-03',
      '2026-11-02',
      '2026-11-01',
    ]);
    expect(body.metadata.total_spend).toBeCloseTo(6 * ONE, 10);
    expect(body.metadata).toMatchObject({ total_failed_requests: 1, total_successful_requests: 6 });
    for (const { metrics, breakdown } of body.results) {
      for (const kind of ['models', 'endpoints', 'api_keys', 'providers'] as const) {
        const parts = Object.values(breakdown[kind]) as {
          metrics: { spend: number; api_requests: number };
        }[];
        const requests = parts.reduce((sum, part) => sum + part.metrics.api_requests, 0);
        expect(requests, kind).toBe(metrics.api_requests);
        expect(
          parts.reduce((sum, part) => sum + part.metrics.spend, 0),
          kind,
        ).toBeCloseTo(metrics.spend, 10);
      }
    }
    expect(body.results[1].breakdown.api_keys[keyOf['mine']!.token].metadata.key_alias).toBe('mine');
  });

  test('knows the days of other zones, and pages of them', async () => {
    const mine = `user_id=user-internal_user&${NOVEMBER}`;
    const berlin = (await as('master', `/user/daily/activity?${mine}&timezone=-60`)).body;
    expect(berlin.results.map((day: { date: string }) => day.date)).toEqual(['2026-11-02']);
    expect(berlin.results[0].metrics.api_requests).toBe(3);
    const second = (await as('master', `/user/daily/activity?${mine}&page_size=1&page=2`)).body;
    expect(second.results.map((day: { date: string }) => day.date)).toEqual(['2026-11-01']);
    expect(second.metadata).toMatchObject({
      page: 2,
      total_pages: 2,
      has_more: false,
      total_api_requests: 3,
    });
  });

  test('tells teams, organizations, end users and tags apart', async () => {
    const entities = async (url: string) => {
      const { results } = (await as('master', url)).body;
      return Object.fromEntries(
        results
          .flatMap((day: { breakdown: { entities: object } }) => Object.entries(day.breakdown.entities))
          .map(([name, part]: [string, { metrics: { api_requests: number } }]) => [
            name,
            part.metrics.api_requests,
          ]),
      );
    };
    expect(await entities(`/team/daily/activity?${NOVEMBER}`)).toEqual({ [TEAM]: 3, 'team-other': 1 });
    expect(await entities(`/team/daily/activity?${NOVEMBER}&exclude_team_ids=${TEAM}`)).toEqual({
      'team-other': 1,
    });
    expect(await entities(`/tag/daily/activity?${NOVEMBER}`)).toEqual({ blue: 1, red: 1 });
    expect(await entities(`/tag/daily/activity?${NOVEMBER}&tags=red`)).toMatchObject({ red: 1 });
    expect(await entities(`/customer/daily/activity?${NOVEMBER}`)).toEqual({ visitor: 1 });
    const own = await entities(`/organization/daily/activity?${NOVEMBER}&organization_ids=${who.tenantId}`);
    expect(own).toEqual({ [who.tenantId]: 3 });
  });
});

test('what providers were paid is the administrator’s to know, in the shape of LiteLLM', async () => {
  const { body } = await as('master', '/provider/budgets');
  const budget = { budget_limit: 100, time_period: '1d', spend: 1.5 };
  expect(body).toEqual({ providers: { openai: { ...budget, budget_reset_at: '2026-11-20T23:00:00.000Z' } } });
  expect((await as('proxy_admin_viewer', '/provider/budgets')).status).toBe(403);
  for (const person of ['org_admin', 'internal_user', 'team_admin', 'key'] as const)
    expect((await as(person, '/provider/budgets')).status, person).toBe(401);
});

describe('sums over everything', () => {
  const urls = [
    '/global/spend',
    '/global/spend/logs',
    '/global/spend/keys',
    '/global/spend/models',
    '/global/spend/teams',
    '/global/spend/provider',
    '/global/spend/tags',
    '/global/spend/all_tag_names',
    ...['team', 'organization', 'customer', 'internal_user', 'api_key'].map(
      (by) => `/global/spend/report?group_by=${by}&${NOVEMBER}`,
    ),
    `/global/activity?${NOVEMBER}`,
    `/global/activity/model?${NOVEMBER}`,
    `/global/activity/exceptions?${NOVEMBER}`,
    `/global/activity/exceptions/deployment?${NOVEMBER}`,
  ];

  test.each(urls)('%s answers administrators and organization admins, and nobody else', async (url) => {
    for (const person of ['master', 'proxy_admin_viewer', 'org_admin'] as const) {
      const { status, body } = await as(person, url);
      expect(status, `${person} ${JSON.stringify(body)}`).toBe(200);
      if (person === 'org_admin') expect(JSON.stringify(body)).not.toMatch(/team-other|internal_user"|mine/);
    }
    for (const person of ['internal_user', 'team_admin', 'key'] as const) {
      expect((await as(person, url)).status, person).toBe(401);
    }
  });

  test('agree with one another', async () => {
    const all = (await as('master', '/global/spend')).body.spend;
    const days = (await as('master', '/global/spend/logs')).body as { spend: number }[];
    const teams = (await as('master', '/global/spend/teams')).body;
    expect(days.reduce((sum, day) => sum + day.spend, 0)).toBeCloseTo(6 * ONE, 10);
    expect(all).toBeGreaterThanOrEqual(6 * ONE - 1e-12);
    expect(
      teams.total_spend_per_team.find((team: { team_id: string }) => team.team_id === TEAM).total_spend,
    ).toBeCloseTo(3 * ONE, 10);
    const report = (await as('master', `/global/spend/report?${NOVEMBER}`)).body;
    expect(report).toHaveLength(1);
    expect(report[0]).toMatchObject({ group_by_day: '2026-11-03', teams: [{ team_id: TEAM }, {}] });
    const tags = (await as('master', '/global/spend/tags')).body.spend_per_tag;
    expect(tags).toContainEqual({ name: 'blue', spend: 2 * ONE, log_count: 2 });
    const visitors = (await as('master', '/global/spend/end_users', {})).body;
    expect(visitors).toEqual([{ end_user: 'visitor', total_count: 2, total_spend: 2 * ONE }]);
  });
});

describe('setting back all spend', () => {
  const reset = (bearer?: string, key = 'reset-1') =>
    admin.call({
      url: '/global/spend/reset',
      body: {},
      headers: { 'idempotency-key': key },
      ...(bearer === undefined ? {} : { bearer }),
    });
  const shown = async () => {
    const { info } = (await as('master', `/key/info?key=${keyOf['service']!.token}`)).body;
    const team = (await as('master', `/team/info?team_id=${TEAM}`)).body.team_info;
    return [info.spend, team.spend];
  };

  test('is for the master key alone', async () => {
    for (const person of ['proxy_admin', 'org_admin', 'internal_user'] as const) {
      expect(await reset(who.keys[person]), person).toMatchObject({
        status: 401,
        body: { error: { reason: 'admin_only' } },
      });
    }
  });

  test('shows keys and teams with nothing spent, and leaves the requests as they were', async () => {
    const before = (await v2('master')).body;
    expect(await shown()).not.toEqual([0, 0]);
    expect((await reset()).body.status).toBe('success');
    expect(await shown()).toEqual([0, 0]);
    expect((await v2('master')).body).toEqual(before);
    const [position] = await Promise.all([admin.deps.store.head(), reset()]);
    expect(await admin.deps.store.head()).toBe(position);
  });

  test('lets new spend count from there, also when the request comes once more', async () => {
    await spend(admin, keyOf['service']!, { admittedAt: '2026-11-20T11:00:00.000Z' });
    expect((await reset()).status).toBe(200);
    const [key, team] = await shown();
    expect(key).toBeCloseTo(ONE, 10);
    expect(team).toBeCloseTo(ONE, 10);
    await reset(undefined, 'reset-2');
    expect(await shown()).toEqual([0, 0]);
  });
});

describe('prices', () => {
  const calculate = (body: object) => as('internal_user', '/spend/calculate', body);

  test('are told of a prompt, and of an answer with its usage', async () => {
    const answer = {
      model: 'demo-small',
      usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
    };
    expect((await calculate({ completion_response: answer })).body).toEqual({ cost: 0.00002 });
    const prompt = { model: 'demo-small', messages: [{ role: 'user', content: 'Hello there' }] };
    expect((await calculate(prompt)).body.cost).toBeGreaterThan(0);
    const estimate = { model: 'demo-small', input_tokens: 10, output_tokens: 5, num_requests_per_day: 100 };
    expect((await as('internal_user', '/cost/estimate', estimate)).body).toMatchObject({
      cost_per_request: 0.00002,
      daily_cost: 0.002,
      monthly_cost: null,
    });
  });

  test.each([{}, { model: 'demo-small' }, { messages: [] }, { model: 'nobody', messages: [] }])(
    'are not told of %j',
    async (body) => {
      expect((await calculate(body)).status).toBe(400);
    },
  );
});
