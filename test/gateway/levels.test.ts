import { afterEach, describe, expect, test } from 'vitest';
import { NO_EXTRA } from '../../src/domain/extra-limits.ts';
import { type Limits, UNLIMITED } from '../../src/domain/limits.ts';
import { NO_MEMBER_LIMITS, NO_PROJECT_SETTINGS } from '../../src/domain/project.ts';
import type { DomainEvent } from '../../src/events.ts';
import { hashSecret } from '../../src/secrets.ts';
import {
  budgetDefined,
  keyGenerated,
  keySettings,
  projectChanged,
  projectMemberAdded,
  tenantChanged,
  tenantMemberAdded,
  userRegistered,
} from '../support/events.ts';
import {
  errorOf,
  MASTER_KEY,
  ONE,
  scripted,
  startWorld,
  until,
  type World,
  type WorldOptions,
} from './harness.ts';

let world: World;
afterEach(() => world.stop());

const start = async (events: readonly DomainEvent[], options: WorldOptions = {}): Promise<void> => {
  world = await startWorld({ settings: { userId: 'usr_1' }, ...options });
  world.apply(...events);
};

const budget = (count: bigint, window: string | null = null) => ({ nanos: count * ONE, window });
const some = (limits: Partial<Limits>): Limits => ({ ...UNLIMITED, ...limits });
const PERSONAL: WorldOptions = { settings: { userId: 'usr_1', projectId: null } };
const bearer = (secret: string) => ({ authorization: `Bearer ${secret}` });

/** Another key of the same tenant. */
const another = (secret: string, settings: Parameters<typeof keySettings>[0]): DomainEvent =>
  keyGenerated({
    keyId: `key_${secret}`,
    tokenHash: hashSecret(secret),
    limits: UNLIMITED,
    settings: keySettings(settings),
  });

async function statuses(count: number, headers: Record<string, string> = {}): Promise<number[]> {
  const responses = await Promise.all(Array.from({ length: count }, () => world.chat({}, headers)));
  return responses.map(({ status }) => status).toSorted((a, b) => a - b);
}

async function refusalOf(headers: Record<string, string> = {}): Promise<ReturnType<typeof errorOf>> {
  const response = await world.chat({}, headers);
  expect(response.status).toBeGreaterThanOrEqual(400);
  return errorOf(await response.json());
}

const memberLimits = (nanos: bigint) => ({ ...NO_MEMBER_LIMITS, budget: { nanos, window: null } });
const tenantSettings = { extra: NO_EXTRA, budgetId: null, contactVersion: 1, options: {} };

describe('a budget', () => {
  const levels: readonly [string, DomainEvent, WorldOptions, string][] = [
    ['a user', userRegistered({ limits: some({ budget: budget(5n) }) }), PERSONAL, 'User=usr_1'],
    ['a member', projectMemberAdded({ limits: memberLimits(5n * ONE) }), {}, 'TeamMember=usr_1:prj_1'],
    [
      'every member of a project',
      projectChanged({
        limits: UNLIMITED,
        settings: { ...NO_PROJECT_SETTINGS, memberLimits: memberLimits(5n * ONE) },
      }),
      {},
      'TeamMember=usr_1:prj_1',
    ],
    [
      'a tenant beside its contract',
      tenantChanged({
        settings: { ...tenantSettings, limits: some({ budget: budget(5n, '1mo') }) },
      }),
      {},
      'Organization=ten_1',
    ],
    ['a member of a tenant', tenantMemberAdded({ budget: budget(5n) }), {}, 'OrganizationMember=usr_1:ten_1'],
  ];
  test.each(levels)('of %s lets exactly what it pays for through', async (_, event, options, subject) => {
    await start([event], options);
    expect(await statuses(12)).toEqual([200, 200, 200, 200, 200, ...Array.from({ length: 7 }, () => 422)]);
    const { type, message } = await refusalOf();
    expect(type).toBe('budget_exceeded');
    expect(message).toContain(`Budget has been exceeded! ${subject} `);
    expect(message).toContain('Current cost: 0.00000024, Max budget: 0.00000024');
  });

  test('of a user holds for personal keys, and counts what the user spends through projects', async () => {
    await start(
      [userRegistered({ limits: some({ budget: budget(3n) }) }), another('sk-team', { userId: 'usr_1' })],
      PERSONAL,
    );
    expect(await statuses(1)).toEqual([200]);
    expect(await statuses(2, bearer('sk-team'))).toEqual([200, 200]);
    expect(await statuses(1)).toEqual([422]);
    expect(await statuses(1, bearer('sk-team'))).toEqual([200]);
  });

  test('of a member is that member’s alone', async () => {
    await start([
      projectMemberAdded({ limits: memberLimits(ONE) }),
      another('sk-other', { userId: 'usr_2' }),
    ]);
    expect(await statuses(2)).toEqual([200, 422]);
    expect(await statuses(2, bearer('sk-other'))).toEqual([200, 200]);
  });

  test('that is shared holds where a user has none of its own, and follows its changes', async () => {
    const shared = budgetDefined({ limits: some({ budget: budget(1n) }) });
    await start([shared, userRegistered({ limits: UNLIMITED, budgetId: 'bud_1' })], PERSONAL);
    expect(await statuses(2)).toEqual([200, 422]);
    world.apply({ type: 'budget.changed', data: { ...shared.data, limits: some({ budget: budget(2n) }) } });
    expect(await statuses(2)).toEqual([200, 422]);
  });

  test('that is given while requests run counts them once they end, and none is missed in between', async () => {
    const without = userRegistered({ limits: UNLIMITED });
    const limited = {
      type: 'user.changed',
      data: { ...without.data, limits: some({ budget: budget(3n) }) },
    } as const;
    // The ledger of this test knows nothing: whatever is counted was told to the account.
    const waiting: (() => void)[] = [];
    const upstream = await scripted((_request, response) => {
      waiting.push(() => response.end('{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":10}}'));
    });
    await start([without], { ...PERSONAL, deployment: { baseUrl: upstream.url } });
    const early = world.chat();
    await until(() => waiting.length === 1);
    world.apply(limited);
    const late = world.chat();
    await until(() => waiting.length === 2);
    for (const answer of waiting.splice(0)) answer();
    expect([(await early).status, (await late).status]).toEqual([200, 200]);
    const last = statuses(2);
    await until(() => waiting.length === 1);
    waiting[0]!();
    expect(await last).toEqual([200, 422]);
    await upstream.stop();
  });

  test('of the whole installation holds for the administrator too, and says nothing of others', async () => {
    await start([], { deps: { installation: { parallelRequests: null, budget: budget(3n) } } });
    expect(await statuses(2)).toEqual([200, 200]);
    expect((await world.chat({}, bearer(MASTER_KEY))).status).toBe(200);
    const refused = await refusalOf();
    expect(refused).toMatchObject({ type: 'budget_exceeded', reason: 'installation_budget_exceeded' });
    expect(refused.detail).toEqual({ resetsAt: 'never' });
  });
});

describe('rates', () => {
  test('of a user hold for all its keys, of a member for those of the project', async () => {
    await start([
      userRegistered({ limits: some({ requestsPerMinute: 3 }) }),
      projectMemberAdded({ limits: { ...NO_MEMBER_LIMITS, requestsPerMinute: 2 } }),
      another('sk-personal', { userId: 'usr_1', projectId: null }),
    ]);
    const first = await world.chat();
    expect(first.headers.get('x-ratelimit-user-remaining-requests')).toBe('2');
    expect(first.headers.get('x-ratelimit-team_member-remaining-requests')).toBe('1');
    expect(await statuses(2)).toEqual([200, 429]);
    expect((await refusalOf()).detail).toMatchObject({ level: 'team_member', id: 'prj_1:usr_1' });
    expect(await statuses(2, bearer('sk-personal'))).toEqual([200, 429]);
  });

  test('of a tenant are the lower ones of its contract and of what was agreed beside it', async () => {
    const terms = { tenantLimits: { ...UNLIMITED, requestsPerMinute: 5 } };
    await start(
      [tenantChanged({ settings: { ...tenantSettings, limits: some({ requestsPerMinute: 2 }) } })],
      { terms },
    );
    expect(await statuses(4)).toEqual([200, 200, 429, 429]);
  });
});

describe('a user', () => {
  test('that is blocked is refused with every key', async () => {
    await start([userRegistered({ limits: UNLIMITED, options: { blocked: true } })]);
    expect(await refusalOf()).toMatchObject({ code: '401', reason: 'user_blocked' });
  });

  test('gives its models to personal keys, not to those of a project', async () => {
    const registered = userRegistered({ limits: some({ models: ['demo-embed'] }) });
    await start([registered, another('sk-team', { userId: 'usr_1' })], PERSONAL);
    expect(await refusalOf()).toMatchObject({
      code: '403',
      type: 'user_model_access_denied',
      param: 'model',
    });
    expect(await statuses(1, bearer('sk-team'))).toEqual([200]);
  });
});
