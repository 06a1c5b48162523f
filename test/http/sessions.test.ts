import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Admin, type Answer, START, startAdmin } from '../support/admin.ts';
import { createHttp } from '../../src/http/server.ts';
import { people } from '../support/people.ts';

const CONSOLE = { 'x-keyledger-console': '1' };
const LOGIN = { username: 'admin', password: 'a password of the tests' };
const PASSWORD = 'correct horse battery staple';

let admin: Admin;
let tenantId: string;
beforeAll(async () => {
  admin = await startAdmin();
  ({ tenantId } = await people(admin));
});
afterAll(() => admin?.close());

const signIn = (body: object = LOGIN, headers: Record<string, string> = CONSOLE) =>
  admin.call({ url: '/api/session', body, bearer: null, headers });
const cookieOf = (answer: Answer) => String(answer.headers['set-cookie']).split(';')[0]!;
const withCookie = (cookie: string, url: string, options: object = {}) =>
  admin.call({ url, bearer: null, headers: { ...CONSOLE, cookie }, ...options });
const reasonOf = (answer: Answer) => `${answer.status} ${answer.body?.error?.reason}`;

/** Invites somebody, who accepts and chooses a password. */
async function joins(userId: string, headers: Record<string, string> = CONSOLE): Promise<Answer> {
  const { body } = await admin.call({ url: '/invitation/new', body: { user_id: userId } });
  return admin.call({
    url: '/api/session/invitation',
    body: { invitation_id: body.id, token: body.token, password: PASSWORD },
    bearer: null,
    headers,
  });
}

describe('signing in', () => {
  test('sets a cookie that no script, no other site and no plain connection gets', async () => {
    const plain = await signIn();
    expect(plain.status).toBe(200);
    expect(plain.body).toMatchObject({
      roles: ['proxy_admin'],
      agency: { zone: 'Europe/Berlin', currency: 'EUR' },
    });
    expect(plain.headers['set-cookie']).toMatch(
      /^keyledger=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=86400$/,
    );
    const secure = await signIn(LOGIN, { ...CONSOLE, 'x-forwarded-proto': 'https' });
    expect(secure.headers['set-cookie']).toMatch(/^__Host-keyledger=[\w-]{43}; .*; Secure$/);
  });

  test('keeps no token, only its hash', async () => {
    const token = cookieOf(await signIn()).split('=')[1]!;
    const { rows } = await admin.pool.query('select * from sessions');
    expect(rows.length).toBeGreaterThan(0);
    expect(JSON.stringify(rows)).not.toContain(token);
  });

  test('answers a wrong name and a wrong password alike, and slows down who guesses', async () => {
    const answers: string[] = [];
    for (let i = 0; i < 6; i += 1)
      answers.push(reasonOf(await signIn({ username: 'nobody', password: `${i}` })));
    expect(answers).toEqual([...Array.from({ length: 5 }, () => '401 login_failed'), '429 login_throttled']);
    const refused = await signIn({ username: 'NOBODY', password: 'x' });
    expect(refused.headers['retry-after']).toBe('300');
    expect(refused.body.error.message).toContain('Try again in 300 s');
    admin.setNow('2026-11-20T10:05:00.000Z');
    expect(reasonOf(await signIn({ username: 'nobody', password: 'x' }))).toBe('401 login_failed');
    admin.setNow(START);
  });

  test('counts failures in all processes together, and keeps neither name nor address', async () => {
    const other = createHttp(admin.deps);
    const guess = async () =>
      (await other.inject({ ...guessing, headers: CONSOLE, url: '/api/session' })).statusCode;
    const guessing = { method: 'POST', payload: { username: 'twice', password: 'x' } } as const;
    for (let i = 0; i < 3; i += 1) expect(await guess()).toBe(401);
    for (let i = 0; i < 2; i += 1)
      expect(reasonOf(await signIn({ username: 'twice', password: 'x' }))).toBe('401 login_failed');
    expect(await guess()).toBe(429);
    const { rows } = await admin.pool.query('select * from login_attempts');
    expect(JSON.stringify(rows)).not.toMatch(/twice|127\.0\.0\.1/);
    await other.close();
  });

  test('is not used up for others by who is refused, nor by who gets in', async () => {
    for (let i = 0; i < 40; i += 1) expect((await signIn()).status).toBe(200);
  });

  test('asks a trusted proxy, and nobody else, who the client is', async () => {
    const guess = (app: Admin['app'], address: string) =>
      app.inject({
        method: 'POST',
        url: '/api/session',
        payload: { username: 'behind a proxy', password: 'x' },
        headers: { ...CONSOLE, 'x-forwarded-for': address },
      });
    for (let i = 0; i < 5; i += 1) await guess(admin.app, `192.0.2.${i}`);
    expect((await guess(admin.app, '192.0.2.9')).statusCode).toBe(429);
    const behind = createHttp({ ...admin.deps, trustedProxies: ['127.0.0.0/8'] });
    for (let i = 0; i < 5; i += 1) expect((await guess(behind, '198.51.100.1')).statusCode).toBe(401);
    expect((await guess(behind, '198.51.100.1')).statusCode).toBe(429);
    expect((await guess(behind, '198.51.100.2')).statusCode).toBe(401);
    await behind.close();
  });

  test('is refused to a page of another site', async () => {
    expect(reasonOf(await signIn(LOGIN, {}))).toBe('403 not_from_console');
    const foreign = { ...CONSOLE, 'sec-fetch-site': 'same-site' };
    expect(reasonOf(await signIn(LOGIN, foreign))).toBe('403 not_from_console');
  });
});

describe('a session', () => {
  test('acts as the administrator, and needs the header of the console for every change', async () => {
    const cookie = cookieOf(await signIn());
    expect((await withCookie(cookie, '/api/tenants')).status).toBe(200);
    const forged = await admin.call({
      url: '/key/generate',
      body: { key_alias: 'forged' },
      bearer: null,
      headers: { cookie },
    });
    expect(reasonOf(forged)).toBe('403 not_from_console');
    const made = await withCookie(cookie, '/key/generate', { body: { key_alias: 'from the console' } });
    expect(made.status).toBe(200);
    expect(made.body.created_by).toBe('default_user_id');
  });

  test('gives way to a key that the request names', async () => {
    const cookie = cookieOf(await signIn());
    const answer = await admin.call({
      url: '/api/tenants',
      bearer: 'sk-nonsense-nonsense',
      headers: { cookie },
    });
    expect(reasonOf(answer)).toBe('401 unknown_key');
  });

  test('ends after a day, by signing out, and everywhere at once', async () => {
    const [first, second, third] = [await signIn(), await signIn(), await signIn()].map(cookieOf);
    expect((await withCookie(first!, '/api/session', { method: 'DELETE' })).status).toBe(200);
    expect(reasonOf(await withCookie(first!, '/api/session'))).toBe('401 session_expired');
    expect((await withCookie(second!, '/api/sessions', { method: 'DELETE' })).body.closed).toBeGreaterThan(1);
    expect(reasonOf(await withCookie(third!, '/api/session'))).toBe('401 session_expired');
    const last = cookieOf(await signIn());
    admin.setNow('2026-11-21T10:00:00.000Z');
    expect(reasonOf(await withCookie(last, '/api/session'))).toBe('401 session_expired');
    admin.setNow(START);
  });
});

describe('an invited user', () => {
  test('chooses a password, signs in with the e-mail address, and acts in the own roles', async () => {
    await admin.call({
      url: '/user/update',
      body: { user_id: 'user-org_admin', user_email: 'Lea@k.example' },
    });
    const joined = await joins('user-org_admin');
    expect(joined.body).toMatchObject({
      user: { id: 'user-org_admin', email: 'Lea@k.example' },
      roles: ['internal_user', 'org_admin'],
      tenants: [{ id: tenantId, name: 'K', role: 'org_admin' }],
    });
    const signedIn = await signIn({ username: 'lea@k.example', password: PASSWORD });
    expect(signedIn.status).toBe(200);
    const cookie = cookieOf(signedIn);
    expect(reasonOf(await withCookie(cookie, '/api/tenants'))).toBe('401 admin_only');
    const made = await withCookie(cookie, '/key/generate', { body: { team_id: 'team-people' } });
    expect(made.body).toMatchObject({ user_id: 'user-org_admin', organization_id: tenantId });
  });

  test('cannot use an invitation twice, nor a short password', async () => {
    const { body } = await admin.call({ url: '/invitation/new', body: { user_id: 'user-internal_user' } });
    const accept = (password: string) =>
      admin.call({
        url: '/api/session/invitation',
        body: { invitation_id: body.id, token: body.token, password },
        bearer: null,
        headers: CONSOLE,
      });
    expect(reasonOf(await accept('short'))).toBe('422 invalid_input');
    expect((await accept(PASSWORD)).status).toBe(200);
    expect(reasonOf(await accept(PASSWORD))).toBe('409 invitation_used');
  });

  test('is bound by the own limits without any key', async () => {
    await admin.call({ url: '/user/update', body: { user_id: 'user-internal_user', rpm_limit: 10 } });
    const cookie = cookieOf(await signIn({ username: 'user-internal_user', password: PASSWORD }));
    const make = (rpm_limit: number) => withCookie(cookie, '/key/generate', { body: { rpm_limit } });
    expect((await make(10)).status).toBe(200);
    expect(reasonOf(await make(11))).toBe('403 wider_than_maker');
  });

  test('has one session left after a new password, and none after being deleted', async () => {
    const before = cookieOf(await joins('user-team_user'));
    const changed = await withCookie(before, '/api/session/password', {
      body: { current: PASSWORD, password: 'another long password' },
    });
    expect(changed.status).toBe(200);
    expect(reasonOf(await withCookie(before, '/api/session'))).toBe('401 session_expired');
    expect((await withCookie(cookieOf(changed), '/api/session')).status).toBe(200);
    await admin.call({ url: '/user/delete', body: { user_ids: ['user-team_user'] } });
    expect(reasonOf(await withCookie(cookieOf(changed), '/api/session'))).toBe('401 session_expired');
    const { rows } = await admin.pool.query(`select * from passwords where user_id = 'user-team_user'`);
    expect(rows).toEqual([]);
  });
});
