import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Admin, startAdmin } from '../support/admin.ts';

let admin: Admin;
beforeAll(async () => {
  admin = await startAdmin();
});
afterAll(() => admin?.close());

const post = (url: string, body: object, headers: Record<string, string> = {}, bearer?: string) =>
  admin.call({ url, body, headers, ...(bearer === undefined ? {} : { bearer }) });
const info = (id: string) => admin.call({ url: `/user/info?user_id=${encodeURIComponent(id)}` });

describe('registering a user', () => {
  test('makes a key that is the user’s, unless none is wanted', async () => {
    const made = await post('/user/new', {
      user_email: 'kim@agency.example',
      user_alias: 'Kim',
      max_budget: 20,
      budget_duration: '30d',
      models: ['demo-small'],
      metadata: { floor: 2 },
    });
    expect(made.status).toBe(200);
    expect(made.body).toMatchObject({
      user_email: 'kim@agency.example',
      user_role: 'internal_user',
      max_budget: 20,
      models: ['demo-small'],
      metadata: { floor: 2 },
      key_count: 1,
    });
    const key = await admin.call({ url: `/key/info?key=${made.body.key}` });
    expect(key.body.info.user_id).toBe(made.body.user_id);
    const bare = await post('/user/new', { auto_create_key: false });
    expect(bare.body.key).toBeUndefined();
    expect(bare.body.key_count).toBe(0);
  });

  test('refuses an id and an address that are taken, however they are written', async () => {
    await post('/user/new', { user_id: 'taken', user_email: 'Taken@Agency.example' });
    expect((await post('/user/new', { user_id: 'taken' })).status).toBe(409);
    const same = await post('/user/new', { user_email: 'tAKEN@agency.EXAMPLE' });
    expect(same).toMatchObject({
      status: 409,
      body: { error: { param: 'user_email', reason: 'user_exists' } },
    });
    const racing = await Promise.all(
      Array.from({ length: 5 }, () => post('/user/new', { user_email: 'race@agency.example' })),
    );
    expect(racing.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 409, 409, 409, 409]);
  });

  test('repeated with its Idempotency-Key is one user with one key', async () => {
    const body = { user_email: 'twice@agency.example' };
    const [first, second] = [
      await post('/user/new', body, { 'idempotency-key': 'u1' }),
      await post('/user/new', body, { 'idempotency-key': 'u1' }),
    ];
    expect(second.body).toEqual(first.body);
    expect(second.body.key_count).toBe(1);
  });

  test('leaves nothing about the person in the log', async () => {
    const id = 'log-only-ids';
    await post('/user/new', {
      user_id: id,
      user_email: 'secret@person.example',
      user_alias: 'Secret Person',
    });
    await post('/user/update', { user_id: id, user_alias: 'Other Person', metadata: { phone: '123' } });
    const events: string[] = [];
    for await (const recorded of admin.store.readStream(`user-${id}`)) {
      events.push(
        JSON.stringify(recorded, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)),
      );
    }
    expect(events).toHaveLength(2);
    expect(events.join()).not.toMatch(/person|123/i);
    expect(events[1]).toContain('"contactVersion":2');
  });
});

describe('changing a user', () => {
  test('touches the named fields, and null clears', async () => {
    await post('/user/new', {
      user_id: 'patch',
      user_alias: 'P',
      rpm_limit: 5,
      max_budget: 3,
      auto_create_key: false,
    });
    const raised = await post('/user/update', { user_id: 'patch', max_budget: 9 });
    expect(raised.body).toMatchObject({ user_alias: 'P', rpm_limit: 5, max_budget: 9 });
    const cleared = await post('/user/update', { user_id: 'patch', max_budget: null, user_alias: null });
    expect(cleared.body).toMatchObject({ user_alias: null, rpm_limit: 5, max_budget: null });
    expect((await info('patch')).body.user_info).toEqual(cleared.body);
  });

  test('finds it by its address, and refuses nobody and nothing', async () => {
    await post('/user/new', { user_id: 'by-mail', user_email: 'by@mail.example', auto_create_key: false });
    const changed = await post('/user/update', { user_email: 'BY@mail.example', tpm_limit: 7 });
    expect(changed.body).toMatchObject({ user_id: 'by-mail', tpm_limit: 7 });
    expect((await post('/user/update', { max_budget: 1 })).status).toBe(400);
    expect((await post('/user/update', { user_id: 'nobody' })).status).toBe(404);
    expect((await post('/user/update', { user_id: 'by-mail', max_budget: -1 })).status).toBe(400);
    const fault = await post('/user/update', { user_id: 'by-mail', model_rpm_limit: { m: 'x' } });
    expect(fault).toMatchObject({
      status: 422,
      body: { detail: [{ loc: ['body', 'model_rpm_limit', 'm'] }] },
    });
  });

  test('takes effect for the keys of the user at once', async () => {
    const made = await post('/user/new', { user_id: 'promoted' });
    const list = () => admin.call({ url: '/user/list', bearer: made.body.key });
    expect((await list()).status).toBe(401);
    await post('/user/update', { user_id: 'promoted', user_role: 'proxy_admin_viewer' });
    expect((await list()).status).toBe(200);
  });

  test('of many answers for each of them', async () => {
    await post('/user/new', { user_id: 'bulk-1', auto_create_key: false });
    const answer = await post('/user/bulk_update', {
      users: [
        { user_id: 'bulk-1', max_budget: 4 },
        { user_id: 'nobody', max_budget: 4 },
      ],
    });
    expect(answer.body).toMatchObject({ total_requested: 2, successful_updates: 1, failed_updates: 1 });
    expect((await info('bulk-1')).body.user_info.max_budget).toBe(4);
  });

  test('is recorded with who did it, on whose behalf, and before and after', async () => {
    await post('/user/new', { user_id: 'traced', rpm_limit: 1, auto_create_key: false });
    await post(
      '/user/update',
      { user_id: 'traced', rpm_limit: 2 },
      { 'litellm-changed-by': 'jo@agency.example' },
    );
    const events = [];
    for await (const recorded of admin.store.readStream('user-traced')) events.push(recorded);
    expect(events.map(({ event }) => event)).toMatchObject([
      { type: 'user.registered', data: { limits: { requestsPerMinute: 1 } } },
      { type: 'user.changed', data: { limits: { requestsPerMinute: 2 } } },
    ]);
    expect(events[1]!.actor).toEqual({
      kind: 'master',
      id: 'default_user_id',
      onBehalfOf: 'jo@agency.example',
    });
  });
});

describe('users as lists', () => {
  test('are filtered, sorted and cut into pages that do not overlap', async () => {
    for (let i = 0; i < 7; i += 1) {
      await post('/user/new', {
        user_id: `page-${i}`,
        user_email: `p${i}@page.example`,
        auto_create_key: false,
      });
    }
    const page = async (n: number) =>
      (await admin.call({ url: `/user/list?user_email=PAGE.example&page=${n}&page_size=3&sort_by=user_id` }))
        .body;
    const pages = [await page(1), await page(2), await page(3)];
    expect(pages[0]).toMatchObject({ total: 7, page: 1, page_size: 3, total_pages: 3 });
    const ids = pages.flatMap(({ users }) => users.map((one: { user_id: string }) => one.user_id));
    expect(ids).toEqual([6, 5, 4, 3, 2, 1, 0].map((i) => `page-${i}`));
    const two = await admin.call({ url: '/user/list?user_ids=page-1,page-2' });
    expect(two.body.total).toBe(2);
    expect((await admin.call({ url: '/user/get_users?page_size=101' })).status).toBe(422);
    const picked = await admin.call({ url: '/user/filter/ui?user_email=p3@' });
    expect(picked.body).toEqual([{ user_id: 'page-3', user_email: 'p3@page.example' }]);
  });
});

describe('deleting users', () => {
  test('ends their keys and invitations and forgets who they were', async () => {
    const made = await post('/user/new', { user_id: 'leaver', user_email: 'leaver@agency.example' });
    const invited = await post('/invitation/new', { user_id: 'leaver' });
    const gone = await post('/user/delete', { user_ids: ['leaver'] });
    expect(gone.body).toBe(1);
    expect((await info('leaver')).status).toBe(404);
    expect((await admin.call({ url: '/v1/models', bearer: made.body.key })).status).toBe(401);
    expect((await admin.call({ url: `/invitation/info?invitation_id=${invited.body.id}` })).status).toBe(404);
    const left = await admin.db
      .selectFrom('contacts')
      .selectAll()
      .where('subject_id', '=', 'user:leaver')
      .execute();
    expect(left).toEqual([]);
    expect((await post('/user/new', { user_id: 'leaver', user_email: 'leaver@agency.example' })).status).toBe(
      200,
    );
  });

  test('deletes none when one is unknown, and can be repeated', async () => {
    await post('/user/new', { user_id: 'stays', auto_create_key: false });
    expect((await post('/user/delete', { user_ids: ['stays', 'nobody'] })).status).toBe(404);
    expect((await info('stays')).status).toBe(200);
    const [first, second] = [
      await post('/user/delete', { user_ids: ['stays'] }, { 'idempotency-key': 'd1' }),
      await post('/user/delete', { user_ids: ['stays'] }, { 'idempotency-key': 'd1' }),
    ];
    expect([first.status, second.status]).toEqual([200, 200]);
  });
});

describe('an invitation', () => {
  test('is confirmed once, by its token alone, while it lasts', async () => {
    await post('/user/new', { user_id: 'guest', auto_create_key: false });
    const { id, token, ...shown } = (await post('/invitation/new', { user_id: 'guest' })).body;
    expect(shown).toMatchObject({
      user_id: 'guest',
      is_accepted: false,
      expires_at: '2026-11-27T10:00:00.000Z',
    });
    expect(shown.invitation_link).toContain(`#${token}`);
    const confirm = (sent: string) =>
      admin.call({ url: '/invitation/update', bearer: null, body: { invitation_id: id, token: sent } });
    expect((await confirm('wrong')).status).toBe(404);
    const accepted = await confirm(token);
    expect(accepted.body).toMatchObject({ is_accepted: true, accepted_at: '2026-11-20T10:00:00.000Z' });
    expect((await confirm(token)).status).toBe(409);
    const stored = JSON.stringify(await admin.db.selectFrom('invitations').selectAll().execute());
    expect(stored).not.toContain(token);
  });

  test('is refused when it is over or was withdrawn', async () => {
    await post('/user/new', { user_id: 'late', auto_create_key: false });
    const late = (await post('/invitation/new', { user_id: 'late' })).body;
    const withdrawn = (await post('/invitation/new', { user_id: 'late' })).body;
    expect((await post('/invitation/delete', { invitation_id: withdrawn.id })).status).toBe(200);
    admin.setNow('2026-11-27T10:00:00.000Z');
    const confirm = ({ id, token }: { id: string; token: string }) =>
      admin.call({ url: '/invitation/update', bearer: null, body: { invitation_id: id, token } });
    expect(await confirm(late)).toMatchObject({
      status: 409,
      body: { error: { reason: 'invitation_used' } },
    });
    expect((await confirm(withdrawn)).status).toBe(404);
    admin.setNow('2026-11-20T10:00:00.000Z');
    expect((await post('/invitation/new', { user_id: 'nobody' })).status).toBe(404);
  });
});
