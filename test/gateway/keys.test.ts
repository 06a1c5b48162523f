import { afterEach, describe, expect, test } from 'vitest';
import { hashSecret } from '../../src/secrets.ts';
import {
  keyBlocked,
  keyChanged,
  keyDeleted,
  keyRotated,
  keySettings,
  keyUnblocked,
  projectBlocked,
  projectUnblocked,
  tenantReinstated,
  tenantSuspended,
} from '../support/events.ts';
import { errorOf, SECRET, startWorld, type World, type WorldOptions } from './harness.ts';

let world: World;
afterEach(() => world.stop());

const start = async (options: WorldOptions = {}): Promise<void> => {
  world = await startWorld(options);
};

/** Refused, with this reason, and neither the upstream nor the books know of it. */
async function expectRefused(
  response: Response,
  status: number,
  reason: string,
  param?: string,
): Promise<string> {
  const error = errorOf(await response.json());
  expect({ status: response.status, ...error }).toMatchObject({ status, reason, code: String(status) });
  if (param !== undefined) expect(error.param).toBe(param);
  expect(response.headers.get('www-authenticate')).toBeNull();
  expect(await world.spends()).toEqual([]);
  expect(world.upstream.stats().requests.answered).toBe(0);
  return error.type;
}

const bearer = (secret: string) => ({ authorization: `Bearer ${secret}` });

describe('a credential', () => {
  test('is needed', async () => {
    await start();
    await expectRefused(await world.chat({}, { authorization: '' }), 401, 'no_key');
  });

  test('must be a bearer', async () => {
    await start();
    await expectRefused(await world.chat({}, { authorization: SECRET }), 401, 'malformed_key', 'None');
  });

  test('must be a virtual key: a hash of one is none', async () => {
    await start();
    await expectRefused(await world.chat({}, bearer(hashSecret(SECRET))), 401, 'not_a_virtual_key');
  });

  test('that nobody knows gets one neutral answer, whatever it looks like', async () => {
    await start();
    for (const secret of ["sk-' OR 1=1 --", 'sk-unknown', `sk-kl_${'a'.repeat(43)}_000000`]) {
      const response = await world.chat({}, bearer(secret));
      const text = await response.clone().text();
      expect(text).not.toContain(secret);
      expect(await expectRefused(response, 401, 'unknown_key', 'key')).toBe('token_not_found_in_db');
    }
  });

  test('may be in any of the usual headers, but only in one', async () => {
    await start();
    await expectRefused(await world.chat({}, { 'x-api-key': SECRET }), 400, 'two_credentials');
    const response = await fetch(`${world.url}/v1/embeddings`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-api-key': SECRET },
      body: JSON.stringify({ model: 'demo-embed', input: 'x' }),
    });
    expect(response.status).toBe(200);
  });

  test('is not judged when the key table has not heard from the log', async () => {
    await start({ deps: { tables: { ...emptyTables, isCurrent: () => false } } });
    const response = await world.chat();
    expect(response.headers.get('retry-after')).toBe('1');
    await expectRefused(response, 503, 'key_table_stale');
  });
});

const none = { get: () => undefined, changes: 0, size: 0 };
const emptyTables = {
  keys: { find: () => [], get: () => undefined },
  users: none,
  members: none,
  budgets: none,
  customers: none,
  tags: none,
  projects: { get: () => undefined },
  tenants: { get: () => undefined },
  agencies: { get: () => undefined },
};

describe('a key', () => {
  test('is blocked and unblocked for the very next request', async () => {
    await start();
    world.apply(keyBlocked());
    await expectRefused(await world.chat(), 401, 'key_blocked');
    world.apply(keyUnblocked());
    expect((await world.chat()).status).toBe(200);
  });

  test('that was deleted is unknown', async () => {
    await start();
    world.apply(keyDeleted({ tokenHash: hashSecret(SECRET) }));
    await expectRefused(await world.chat(), 401, 'unknown_key');
  });

  test('that has expired is refused, from that instant on', async () => {
    let now = Date.parse('2026-11-20T09:59:59.999Z');
    await start({ settings: { expiresAt: '2026-11-20T10:00:00.000Z' }, deps: { wallMs: () => now } });
    now += 1;
    expect(await expectRefused(await world.chat(), 401, 'key_expired')).toBe('expired_key');
    now -= 1;
    expect((await world.chat()).status).toBe(200);
  });

  test('that was rotated keeps its old secret until the grace ends', async () => {
    let now = Date.parse('2026-11-20T10:00:00.000Z');
    await start({ deps: { wallMs: () => now } });
    const rotated = { tokenHash: hashSecret('sk-next'), oldTokenHash: hashSecret(SECRET) };
    world.apply(keyRotated({ ...rotated, graceEndsAt: '2026-11-20T11:00:00.000Z' }));
    expect((await world.chat()).status).toBe(200);
    expect((await world.chat({}, bearer('sk-next'))).status).toBe(200);
    now = Date.parse('2026-11-20T11:00:00.000Z');
    expect((await world.chat()).status).toBe(401);
    const hashes = (await world.spends()).map(({ tokenHash }) => tokenHash);
    expect(hashes).toEqual([hashSecret(SECRET), hashSecret('sk-next')]);
  });

  test('that was rotated without grace is unknown at once by its old secret', async () => {
    await start();
    world.apply(
      keyRotated({ tokenHash: hashSecret('sk-next'), oldTokenHash: hashSecret(SECRET), graceEndsAt: null }),
    );
    await expectRefused(await world.chat(), 401, 'unknown_key');
  });

  test('of a blocked project is refused until that is unblocked', async () => {
    await start();
    world.apply(projectBlocked());
    await expectRefused(await world.chat(), 401, 'project_blocked');
    world.apply(projectUnblocked());
    expect((await world.chat()).status).toBe(200);
  });

  test('of a suspended tenant is refused until that is reinstated', async () => {
    await start();
    world.apply(tenantSuspended());
    await expectRefused(await world.chat(), 403, 'tenant_suspended');
    world.apply(tenantReinstated());
    expect((await world.chat()).status).toBe(200);
  });

  test('may call only its routes', async () => {
    await start({ settings: { allowedRoutes: ['/v1/embeddings', 'info_routes'] } });
    await expectRefused(await world.chat(), 403, 'route_not_allowed');
    expect((await world.post('/embeddings', { model: 'demo-embed', input: 'x' })).status).toBe(200);
    world.apply(keyChanged({ settings: keySettings({ allowedRoutes: ['llm_api_routes'] }) }));
    expect((await world.chat()).status).toBe(200);
    world.apply(keyChanged({ settings: keySettings({ allowedRoutes: ['/chat/*'] }) }));
    expect((await world.chat()).status).toBe(200);
  });
});

describe('models', () => {
  test('outside the list of the key are refused without saying what is in it', async () => {
    await start({ limits: { models: ['demo-embed', 'openai/*'] } });
    const response = await world.chat();
    expect(await response.clone().text()).not.toContain('openai');
    expect(await expectRefused(response, 403, 'model_not_allowed', 'model')).toBe('key_model_access_denied');
  });

  test('outside the lists of the project or the contract are refused', async () => {
    await start({ projectLimits: { models: ['demo-embed'] } });
    const type = await expectRefused(await world.chat(), 403, 'project_model_not_allowed', 'model');
    expect(type).toBe('team_model_access_denied');
  });

  test('that no deployment serves are unknown', async () => {
    await start({ deployments: (base) => [{ ...base, publicName: 'openai/*' }] });
    await expectRefused(await world.chat(), 400, 'unknown_model', 'model');
  });

  test('are renamed by an alias of the key, and by the deployment, for the upstream only', async () => {
    await start({
      limits: { models: ['fast'] },
      settings: { aliases: { fast: 'small' } },
      terms: {
        prices: {
          models: { small: { inputRate: 1_000_000n, cachedInputRate: 0n, outputRate: 0n } },
          markupPercent: null,
        },
      },
      deployments: (base) => [{ ...base, publicName: 'small', upstreamModel: 'demo-small' }],
    });
    const response = await world.chat({ model: 'fast' });
    expect(response.status).toBe(200);
    expect(await world.spends()).toMatchObject([{ model: 'small', priceNanos: 9n }]);
  });

  test('without a price of their own are sold at cost and markup, rounded once per token', async () => {
    await start({
      terms: { prices: { models: {}, markupPercent: '33.3' } },
      deployment: { costRates: { input: 1_500_000n, 'cached-input': 0n, output: 10_000_000n } },
    });
    expect((await world.chat()).status).toBe(200);
    // 1.5 * 1.333 = 1.9995 -> 2 per token; 10 * 1.333 = 13.33 -> 13 per token.
    expect(await world.spends()).toMatchObject([{ priceNanos: 9n * 2n + 10n * 13n }]);
  });
});
