import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Admin, type Answer, MASTER_KEY, START, OWN, startAdmin } from '../support/admin.ts';

let admin: Admin;
beforeAll(async () => {
  admin = await startAdmin();
});
afterAll(() => admin?.close());

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const post = (url: string, body: unknown, headers: Record<string, string> = {}) =>
  admin.call({ method: 'POST', url, body, headers });
async function generate(fields: object = {}): Promise<Answer['body']> {
  const answer = await post('/key/generate', fields);
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer.body;
}
const info = async (key: string) => (await admin.call({ url: `/key/info?key=${key}` })).body.info;
const total = async () => (await admin.call({ url: '/key/list' })).body.total_count as number;
const asKey = (bearer: string) => admin.call({ url: '/v1/models', bearer });

describe('generating a key', () => {
  test('answers with the secret once, its hash, its name and no expiry', async () => {
    const key = await generate();
    expect(key.key).toMatch(/^sk-[A-Za-z0-9_-]{16,}$/);
    expect(key.token).toBe(sha256(key.key));
    expect(key.token_id).toBe(key.token);
    expect(key.key_name).toBe(`sk-...${key.key.slice(-4)}`);
    expect(key).toMatchObject({
      expires: null,
      litellm_budget_table: null,
      created_by: 'default_user_id',
      spend: 0,
    });
    expect([key.created_at, key.updated_at]).toEqual([START, START]);
    expect(JSON.stringify(await info(key.key))).not.toContain(key.key);
  });

  test('ten at once are ten keys', async () => {
    const keys = await Promise.all(Array.from({ length: 10 }, () => generate()));
    expect(new Set(keys.map(({ key }) => key)).size).toBe(10);
  });

  test('echoes every field with its value and type, and so does /key/info', async () => {
    const fields = {
      models: ['demo-small', 'demo-large'],
      key_alias: 'team-a-prod',
      metadata: { owner: 'team-a', nested: { list: [1, 0.5, null] } },
      tpm_limit: 120_000,
      rpm_limit: 300,
      max_parallel_requests: 7,
      max_budget: 250.5,
      budget_duration: '30d',
      aliases: { 'gpt-3.5-turbo': 'demo-small' },
      user_id: 'user-123',
      soft_budget: 200,
      tags: ['blue'],
      permissions: { get_spend_routes: true },
      guardrails: ['pii'],
      allowed_cache_controls: ['no-cache'],
      model_max_budget: { 'demo-small': { budget_limit: 1.5, time_period: '1d' } },
    };
    const key = await generate(fields);
    expect(key).toMatchObject(fields);
    expect(await info(key.key)).toMatchObject(fields);
  });

  test.each([
    ['30s', '2026-11-20T10:00:30.000Z'],
    ['20m', '2026-11-20T10:20:00.000Z'],
    ['30min', '2026-11-20T10:30:00.000Z'],
    ['30h', '2026-11-21T16:00:00.000Z'],
    ['1mo', '2026-12-20T10:00:00.000Z'],
  ])('with the duration %s expires exactly then', async (duration, expires) => {
    expect(await generate({ duration })).toMatchObject({ duration, expires });
  });

  test.each([
    ['2026-12-31', '2026-12-31T23:00:00.000Z'],
    ['2027-06-30', '2027-06-30T22:00:00.000Z'],
    ['2026-12-31T12:00:00+01:00', '2026-12-31T11:00:00.000Z'],
  ])(
    'with expires %s lasts to the end of that day in the zone of the agency, or to that instant',
    async (expires, at) => {
      expect((await generate({ expires })).expires).toBe(at);
    },
  );

  test.each([
    ['30d', '2026-11-30T23:00:00.000Z'],
    ['1mo', '2026-11-30T23:00:00.000Z'],
    ['7d', '2026-11-22T23:00:00.000Z'],
    ['24h', '2026-11-20T23:00:00.000Z'],
    ['30s', '2026-11-20T10:00:30.000Z'],
    ['2h', '2026-11-20T11:00:00.000Z'],
  ])(
    'with the budget window %s is reset at the next boundary of the calendar',
    async (budget_duration, reset) => {
      const key = await generate({ max_budget: 1, budget_duration });
      expect(key).toMatchObject({ budget_duration, budget_reset_at: reset });
    },
  );

  test('takes an amount as a number or as text, and 0 as nothing at all', async () => {
    expect((await generate({ max_budget: '250' })).max_budget).toBe(250);
    expect((await generate({ max_budget: 1e-7 })).max_budget).toBe(1e-7);
    expect((await generate({ max_budget: 0 })).max_budget).toBe(0);
  });

  test('refuses an alias that a live key has, and takes it again after that key is gone', async () => {
    const first = await generate({ key_alias: 'only-one' });
    const second = await post('/key/generate', { key_alias: 'only-one' });
    expect(second).toMatchObject({
      status: 400,
      body: { error: { param: 'key_alias', type: 'bad_request_error' } },
    });
    expect(second.body.error.message).toContain("'only-one' already exists");
    await post('/key/delete', { keys: [first.key] });
    await generate({ key_alias: 'only-one' });
  });

  test('gives an alias to one of ten simultaneous requests', async () => {
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => post('/key/generate', { key_alias: 'raced' })),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 400)).toHaveLength(9);
  });

  test('takes a secret of your own, once', async () => {
    const key = await generate({ key: 'sk-mine-0123456789abc' });
    expect(key).toMatchObject({ key: 'sk-mine-0123456789abc', token: sha256('sk-mine-0123456789abc') });
    expect((await asKey(key.key)).status).toBe(200);
    expect((await post('/key/generate', { key: 'sk-mine-0123456789abc' })).status).toBe(409);
  });

  test.each([
    ['mine-0123456789abcdef', 'secret_prefix'],
    ['sk-short', 'weak_secret'],
    ['sk-with blanks in between', 'weak_secret'],
    [`sk-kl_${'A'.repeat(43)}_000000`, 'weak_secret'],
    [MASTER_KEY, 'weak_secret'],
  ])('refuses the secret %s', async (key, reason) => {
    const before = await total();
    expect(await post('/key/generate', { key })).toMatchObject({ status: 400, body: { error: { reason } } });
    expect(await total()).toBe(before);
  });

  test('schedules a rotation', async () => {
    const key = await generate({ auto_rotate: true, rotation_interval: '90d' });
    expect(await info(key.key)).toMatchObject({
      auto_rotate: true,
      rotation_interval: '90d',
      key_rotation_at: '2027-02-18T10:00:00.000Z',
    });
  });

  test('turns a key type into routes', async () => {
    expect((await generate({ key_type: 'read_only' })).allowed_routes).toEqual(['info_routes']);
  });

  test('can start blocked', async () => {
    const key = await generate({ blocked: true });
    expect(key.blocked).toBe(true);
    expect((await asKey(key.key)).body.error.reason).toBe('key_blocked');
  });

  test('ignores fields that nobody knows', async () => {
    expect((await post('/key/generate', { no_such_field: { at: 'all' } })).status).toBe(200);
  });

  test('for a service account needs a team and has no user', async () => {
    await post('/team/new', { team_id: 'team-service' });
    const url = '/key/service-account/generate';
    expect(await post(url, {})).toMatchObject({ status: 400, body: { error: { param: 'team_id' } } });
    expect((await post(url, { team_id: 'nowhere' })).status).toBe(400);
    const made = await post(url, { team_id: 'team-service', user_id: 'somebody' });
    expect(made).toMatchObject({ status: 200, body: { user_id: null, team_id: 'team-service' } });
  });

  test('repeated with the same Idempotency-Key answers the same and makes no second key', async () => {
    const fields = { duration: '1h', max_budget: 3 };
    const first = await post('/key/generate', fields, { 'idempotency-key': 'gen-1' });
    const count = await total();
    admin.setNow('2026-11-20T10:05:00.000Z');
    const again = await post('/key/generate', fields, { 'idempotency-key': 'gen-1' });
    const other = await post('/key/generate', { max_budget: 4 }, { 'idempotency-key': 'gen-1' });
    admin.setNow(START);
    expect(again).toMatchObject({ status: 200, body: first.body });
    expect(other).toMatchObject({ status: 422, body: { error: { reason: 'idempotency_key_reused' } } });
    expect(await total()).toBe(count);
  });

  test('in a project gets the limits of the contract, and never more', async () => {
    const { team_id } = await contractProject();
    const key = await generate({ team_id });
    expect(key).toMatchObject({
      team_id,
      rpm_limit: 300,
      tpm_limit: 120_000,
      max_budget: 250,
      budget_duration: '1mo',
    });
    expect(await generate({ team_id, environment: 'staging' })).toMatchObject({
      rpm_limit: 30,
      environment: 'staging',
    });
    expect(await generate({ team_id, metadata: { environment: 'staging' } })).toMatchObject({
      rpm_limit: 30,
    });
    expect((await generate({ team_id, rpm_limit: 10 })).rpm_limit).toBe(10);
    const wider = await post('/key/generate', { team_id, rpm_limit: 301 });
    expect(wider).toMatchObject({
      status: 400,
      body: { error: { reason: 'contract_forbids', param: 'rpm_limit' } },
    });
    // Names the term, what it gives, and what was asked for.
    expect(wider.body.error.message).toMatch(/requests_per_minute|rpm_limit/);
    expect(wider.body.error.message).toMatch(/300/);
  });

  test('without a project belongs to the own tenant of the agency', async () => {
    const key = await generate({});
    const { body } = await admin.call({
      url: `/key/list?organization_id=${OWN.tenantId}&key_hash=${key.token}`,
    });
    expect([key.team_id, body.keys]).toEqual([null, [key.token]]);
  });

  test('in a team that does not exist is refused', async () => {
    const answer = await post('/key/generate', { team_id: 'team-nowhere' });
    expect(answer).toMatchObject({ status: 400, body: { error: { param: 'team_id' } } });
  });
});

async function contractProject(): Promise<{ team_id: string; tenant_id: string }> {
  const answer = await post('/api/tenants', {
    name: 'Kunde',
    plan: 'studio',
    billing: {
      name: 'Kunde GmbH',
      street: 'Weg 1',
      postal_code: '1',
      city: 'Ort',
      country: 'DE',
      email: 'a@kunde.example',
    },
    projects: [{ name: 'Kunde Shop' }],
  });
  return { team_id: answer.body.projects[0].id, tenant_id: answer.body.tenant.id };
}

describe('reading a key', () => {
  test('works by secret, hash and id', async () => {
    const key = await generate({ key_alias: 'readable' });
    for (const name of [key.key, key.token, key.key_id])
      expect((await info(name)).key_alias).toBe('readable');
    expect(await info(key.key)).not.toHaveProperty('token');
  });

  test('refuses a secret that nobody has', async () => {
    const answer = await admin.call({ url: '/key/info?key=sk-0123456789abcdef' });
    expect(answer).toMatchObject({
      status: 404,
      body: { error: { type: 'not_found_error', message: 'Key not found in database' } },
    });
  });

  test('by /v2/key/info gives several and leaves out unknown ones', async () => {
    const { key } = await generate();
    const answer = await post('/v2/key/info', { keys: [key, 'sk-unknown-0123456789'] });
    expect(answer.status).toBe(200);
    expect(answer.body.info).toHaveLength(1);
    expect((await admin.call({ method: 'POST', url: '/v2/key/info' })).status).toBe(422);
  });
});

describe('updating a key', () => {
  test('changes the named fields only', async () => {
    const key = await generate({
      key_alias: 'partial',
      max_budget: 5,
      rpm_limit: 3,
      metadata: { a: 1 },
      models: ['demo-small'],
    });
    const before = await info(key.key);
    const answer = await post('/key/update', { key: key.key, models: ['demo-large'] });
    expect(answer).toMatchObject({ status: 200, body: { key: key.key, models: ['demo-large'] } });
    expect(await info(key.key)).toEqual({ ...before, models: ['demo-large'], updated_at: START });
  });

  test('clears with null', async () => {
    const { key } = await generate();
    expect((await post('/key/update', { key, max_budget: 10, rpm_limit: 4 })).body).toMatchObject({
      max_budget: 10,
      rpm_limit: 4,
    });
    const cleared = await post('/key/update', { key, max_budget: null, rpm_limit: null });
    expect(cleared.body).toMatchObject({ max_budget: null, rpm_limit: null });
  });

  test('clears to what the contract gives, and refuses more than that', async () => {
    const { team_id } = await contractProject();
    const { key } = await generate({ team_id, rpm_limit: 5, max_budget: 1 });
    const answer = await post('/key/update', { key, rpm_limit: null, max_budget: null });
    expect(answer.body).toMatchObject({ rpm_limit: 300, max_budget: 250 });
    expect((await post('/key/update', { key, max_budget: 251 })).body.error.reason).toBe('contract_forbids');
    expect((await post('/key/update', { key, team_id: null })).status).toBe(400);
  });

  test('knows the key by its hash and by its alias; an alias beside a key renames it', async () => {
    const key = await generate({ key_alias: 'old-name' });
    await post('/key/update', { key: key.token, rpm_limit: 1 });
    await post('/key/update', { key_alias: 'old-name', tpm_limit: 2 });
    await post('/key/update', { key: key.key, key_alias: 'new-name' });
    expect(await info(key.key)).toMatchObject({ rpm_limit: 1, tpm_limit: 2, key_alias: 'new-name' });
    await generate({ key_alias: 'taken' });
    expect((await post('/key/update', { key: key.key, key_alias: 'taken' })).body.error.reason).toBe(
      'alias_taken',
    );
  });

  test('moves the expiry, and takes it away with -1', async () => {
    const { key } = await generate({ duration: '1h' });
    expect((await post('/key/update', { key, duration: '2h' })).body.expires).toBe(
      '2026-11-20T12:00:00.000Z',
    );
    expect((await post('/key/update', { key, duration: '-1' })).body.expires).toBeNull();
  });

  test('keeps a window without an amount until there is one', async () => {
    const { key } = await generate({ budget_duration: '7d' });
    expect((await post('/key/update', { key, max_budget: 2 })).body).toMatchObject({
      max_budget: 2,
      budget_duration: '7d',
    });
    expect((await post('/key/update', { key, budget_duration: null })).body).toMatchObject({
      max_budget: 2,
      budget_duration: null,
      budget_reset_at: null,
    });
  });

  test('holds both of two different changes at the same time', async () => {
    const { key } = await generate();
    await Promise.all([
      post('/key/update', { key, rpm_limit: 11 }),
      post('/key/update', { key, tpm_limit: 22 }),
      post('/key/update', { key, metadata: { x: 1 } }),
    ]);
    expect(await info(key)).toMatchObject({ rpm_limit: 11, tpm_limit: 22, metadata: { x: 1 } });
  });

  test('refuses unknown keys, and a request that names none', async () => {
    expect((await post('/key/update', { key: 'sk-unknown-0123456789', rpm_limit: 1 })).status).toBe(404);
    expect((await post('/key/update', { rpm_limit: 1 })).status).toBe(422);
  });
});

describe('blocking a key', () => {
  test('holds on the very next call, and so does unblocking', async () => {
    const { key } = await generate();
    expect(await post('/key/block', { key })).toMatchObject({ status: 200, body: { blocked: true } });
    expect(await asKey(key)).toMatchObject({ status: 401, body: { error: { reason: 'key_blocked' } } });
    expect(await info(key)).toMatchObject({ blocked: true });
    expect(await post('/key/unblock', { key })).toMatchObject({ status: 200, body: { blocked: false } });
    expect((await asKey(key)).status).toBe(200);
  });

  test('refuses what is no key, and keys that do not exist', async () => {
    expect(await post('/key/block', { key: 'nonsense' })).toMatchObject({ status: 400 });
    expect(await post('/key/block', { key: 'sk-unknown-0123456789' })).toMatchObject({ status: 404 });
  });
});

describe('deleting a key', () => {
  test('ends it at once and for ever, and keeps it in the list of the deleted', async () => {
    const key = await generate({ key_alias: 'doomed' });
    const answer = await post('/key/delete', { keys: [key.key, 'sk-unknown-0123456789'] });
    expect(answer).toMatchObject({
      status: 200,
      body: { deleted_keys: [key.key], failed_keys: ['sk-unknown-0123456789'] },
    });
    expect((await admin.call({ url: `/key/info?key=${key.key}` })).status).toBe(404);
    expect((await asKey(key.key)).body.error.type).toBe('token_not_found_in_db');
    const deleted = await admin.call({
      url: '/key/list?status=deleted&return_full_object=true&key_alias=doomed',
    });
    expect(deleted.body.keys[0]).toMatchObject({
      token: key.token,
      status: 'deleted',
      deleted_by: 'default_user_id',
    });
    expect((await post('/key/unblock', { key: key.key })).status).toBe(404);
  });

  test('goes by alias too, and refuses when there is none of them', async () => {
    await generate({ key_alias: 'by-alias' });
    expect((await post('/key/delete', { key_aliases: ['by-alias'] })).body.deleted_keys).toEqual([
      'by-alias',
    ]);
    expect((await post('/key/delete', { key_aliases: ['by-alias'] })).status).toBe(404);
    expect((await post('/key/delete', {})).status).toBe(422);
  });

  test('repeated with the same Idempotency-Key answers the same', async () => {
    const { key } = await generate();
    const first = await post('/key/delete', { keys: [key] }, { 'idempotency-key': 'del-1' });
    const again = await post('/key/delete', { keys: [key] }, { 'idempotency-key': 'del-1' });
    expect([first.status, again.status]).toEqual([200, 200]);
    expect(again.body).toEqual(first.body);
    expect((await post('/key/delete', { keys: [key] })).status).toBe(404);
  });
});

describe('regenerating a key', () => {
  test('replaces the secret and keeps the rest', async () => {
    const key = await generate({ key_alias: 'rotating', max_budget: 9, metadata: { keep: true } });
    const answer = await admin.call({ method: 'POST', url: `/key/${key.key}/regenerate` });
    expect(answer).toMatchObject({
      status: 200,
      body: {
        key_alias: 'rotating',
        max_budget: 9,
        metadata: { keep: true },
        key_id: key.key_id,
        rotation_count: 1,
      },
    });
    expect(answer.body.token).toBe(sha256(answer.body.key));
    expect((await asKey(key.key)).status).toBe(401);
    expect((await asKey(answer.body.key)).status).toBe(200);
  });

  test('lets the old secret work for the grace period and not longer', async () => {
    const key = await generate();
    const answer = await post('/key/regenerate', { key: key.token, grace_period: '1h' });
    expect((await asKey(key.key)).status).toBe(200);
    expect((await info(key.key)).key_id).toBe(key.key_id);
    admin.setNow('2026-11-20T11:00:00.000Z');
    expect((await asKey(key.key)).body.error.reason).toBe('unknown_key');
    expect((await asKey(answer.body.key)).status).toBe(200);
    admin.setNow(START);
  });

  test('changes named fields with it and takes a secret of your own', async () => {
    const { key } = await generate();
    const answer = await post(`/key/${key}/regenerate`, {
      new_key: 'sk-mine-next-0123456789',
      duration: '2h',
      rpm_limit: 8,
    });
    expect(answer.body).toMatchObject({
      key: 'sk-mine-next-0123456789',
      expires: '2026-11-20T12:00:00.000Z',
      rpm_limit: 8,
    });
    expect((await post('/key/regenerate', { key: 'sk-mine-next-0123456789', new_key: 'abc' })).status).toBe(
      400,
    );
  });

  test('gives an expired key its lifetime anew', async () => {
    const { key } = await generate({ duration: '1m' });
    admin.setNow('2026-11-20T10:30:00.000Z');
    expect((await asKey(key)).body.error.type).toBe('expired_key');
    const answer = await post('/key/regenerate', { key });
    expect(answer.body.expires).toBe('2026-11-20T10:31:00.000Z');
    expect((await asKey(answer.body.key)).status).toBe(200);
    admin.setNow(START);
  });

  test('repeated with the same Idempotency-Key gives the same secret again', async () => {
    const { key } = await generate();
    const first = await post('/key/regenerate', { key }, { 'idempotency-key': 'rot-1' });
    const again = await post('/key/regenerate', { key }, { 'idempotency-key': 'rot-1' });
    expect(again).toMatchObject({ status: 200, body: { key: first.body.key, rotation_count: 1 } });
    const another = await generate();
    const misused = await post('/key/regenerate', { key: another.key }, { 'idempotency-key': 'rot-1' });
    expect(misused.body.error.reason).toBe('idempotency_key_reused');
  });

  test('refuses unknown keys and requests that name none', async () => {
    expect((await post('/key/sk-unknown-0123456789/regenerate', {})).status).toBe(404);
    expect((await post('/key/regenerate', {})).status).toBe(400);
  });
});

describe('every write', () => {
  test('names its position, who asked for it and on whose behalf', async () => {
    const made = await post('/key/generate', {}, { 'litellm-changed-by': 'anna@agency.example' });
    const position = String(made.headers['x-keyledger-position']);
    expect(position).toMatch(/^\d+$/);
    const history = await admin.call({ url: `/api/audit/keys/${made.body.key_id}?after=${position}` });
    expect(history.body.steps).toMatchObject([
      {
        type: 'key.generated',
        position,
        correlation_id: made.headers['x-request-id'],
        actor: { kind: 'master', id: 'default_user_id', on_behalf_of: 'anna@agency.example' },
      },
    ]);
  });

  test('leaves no secret in the log or in the tables', async () => {
    const { key } = await generate({ key_alias: 'canary', metadata: { note: 'x' } });
    const rotated = await post('/key/regenerate', { key, new_key: 'sk-canary-0123456789abcdef' });
    const tables = ['events', 'keys', 'contacts', 'spend_log'];
    for (const table of tables) {
      const { rows } = await sql<{ text: string }>`select t::text as text from ${sql.table(table)} t`.execute(
        admin.db,
      );
      if (table === 'events' || table === 'keys') expect(rows.length).toBeGreaterThan(0);
      for (const { text } of rows) {
        expect(text).not.toContain(key);
        expect(text).not.toContain(rotated.body.key);
        expect(text).not.toContain(MASTER_KEY);
      }
    }
  });
});
