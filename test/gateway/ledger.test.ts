import { afterAll, beforeAll, expect, test } from 'vitest';
import { keys } from '../../projections/keys.ts';
import { projects } from '../../projections/projects.ts';
import { spendLog } from '../../projections/spend-log.ts';
import { spendTotals } from '../../projections/spend-totals.ts';
import { tenants } from '../../projections/tenants.ts';
import type { Deployment } from '../../src/domain/deployment.ts';
import { deploymentProviders } from '../../src/gateway/deployment-providers.ts';
import type { LevelName } from '../../src/gateway/levels.ts';
import type { LedgerQuestion } from '../../src/gateway/limiter.ts';
import { createLedger } from '../../src/gateway/ledger.ts';
import { type Projector, startProjector } from '../../src/projector.ts';
import type { EventStore } from '../../src/store/event-store.ts';
import { memoryStore } from '../../src/store/memory.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import {
  AT,
  keyGenerated,
  keySettings,
  newEvent,
  projectOpened,
  spendRecorded,
  tenantOnboarded,
} from '../support/events.ts';
import { silent } from '../support/read-models.ts';

const EARLIER = '2026-11-19T22:59:59.999Z';
const MIDNIGHT = '2026-11-19T23:00:00.000Z';

let database: TestDatabase;
let store: EventStore;
let projector: Projector;
beforeAll(async () => {
  database = await testDatabase();
  store = memoryStore({ now: () => AT });
  projector = await startProjector({
    store,
    pool: database.pool,
    projections: [spendTotals, spendLog, projects, keys, tenants],
    log: silent,
  });
  const spends = [
    { requestId: 'r1', admittedAt: EARLIER, priceNanos: 1n, userId: 'usr_1', endUser: 'a/b' },
    { requestId: 'r2', admittedAt: MIDNIGHT, priceNanos: 10n, userId: 'usr_1', tags: ['blue', 'red'] },
    { requestId: 'r3', admittedAt: AT, priceNanos: 100n, keyId: 'key_2', endUser: 'a/b' },
    { requestId: 'r4', admittedAt: AT, priceNanos: 1_000n, projectId: null, model: 'x/y', tags: ['blue'] },
  ];
  const events = spends.map((spend) => newEvent(spendRecorded(spend), spend.requestId));
  const opened = [
    newEvent(tenantOnboarded(), 'onboarded'),
    newEvent(projectOpened({ projectId: 'prj_1' }), 'opened'),
  ];
  await store.append([{ stream: 'tenant-ten_1', expected: 'none', events: opened }]);
  const key = newEvent(keyGenerated({ settings: keySettings({ userId: 'usr_1' }) }), 'generated');
  await store.append([{ stream: 'key-key_1', expected: 'none', events: [key] }]);
  await store.append([{ stream: 'spend-2026-11-w0', expected: 'none', events }]);
});
afterAll(async () => {
  await projector.stop();
  await store.close();
  await database.drop();
});

function question(
  level: LevelName,
  id: string,
  since: string | null = null,
  mustInclude = 0n,
  more: Partial<LedgerQuestion> = {},
): LedgerQuestion {
  return { level, id, since, mustInclude, model: null, after: null, ...more };
}

test('the ledger knows what was spent, ever and since an instant, once the read models have it', async () => {
  const spentSince = createLedger({
    pool: database.pool,
    startPosition: 5n,
    settled: (position) => projector.reached(position, 10_000),
  });
  const sums = await Promise.all([
    spentSince(question('key', 'key_1', null)),
    spentSince(question('key', 'key_1', MIDNIGHT)),
    spentSince(question('project', 'prj_1', null)),
    spentSince(question('project', 'prj_1', MIDNIGHT)),
    spentSince(question('tenant', 'ten_1', null)),
    spentSince(question('tenant', 'ten_1', MIDNIGHT)),
    spentSince(question('key', 'key_unused', null)),
    spentSince(question('key', 'key_unused', MIDNIGHT)),
  ]);
  expect(sums.map(({ nanos }) => nanos)).toEqual([1_011n, 1_010n, 111n, 110n, 1_111n, 1_110n, 0n, 0n]);
  expect(new Set(sums.map(({ position }) => position))).toEqual(new Set([7n]));
});

test('the ledger knows every level, single models, and what stands beyond a place in the log', async () => {
  const spentSince = createLedger({
    pool: database.pool,
    startPosition: 5n,
    settled: (position) => projector.reached(position, 10_000),
  });
  const sums = async (level: LevelName, id: string, more: Partial<LedgerQuestion> = {}) => {
    const [ever, since] = await Promise.all([
      spentSince(question(level, id, null, 0n, more)),
      spentSince(question(level, id, MIDNIGHT, 0n, more)),
    ]);
    return [ever.nanos, since.nanos];
  };
  expect(await sums('user', 'usr_1')).toEqual([11n, 10n]);
  expect(await sums('member', 'prj_1/usr_1')).toEqual([11n, 10n]);
  expect(await sums('tenant-member', 'ten_1/usr_1')).toEqual([11n, 10n]);
  expect(await sums('end-user', 'ten_1/a/b')).toEqual([101n, 100n]);
  expect(await sums('tag', 'ten_1/blue')).toEqual([1_010n, 1_010n]);
  expect(await sums('installation', '')).toEqual([1_111n, 1_110n]);
  expect(await sums('end-user', 'ten_2/a/b')).toEqual([0n, 0n]);
  expect(await sums('key', 'key_1', { model: 'gpt-4o-mini' })).toEqual([11n, 10n]);
  expect(await sums('key', 'key_1', { model: 'x/*' })).toEqual([1_000n, 1_000n]);
  expect(await sums('key', 'key_1', { model: '*' })).toEqual([1_011n, 1_010n]);
  expect(await sums('key', 'key_1', { model: 'x' })).toEqual([0n, 0n]);
  expect(await sums('key', 'key_1', { after: 4n })).toEqual([1_010n, 1_010n]);
  expect(await sums('key', 'key_1', { tag: 'r1' })).toEqual([1n, 0n]);
  expect(await sums('installation', '', { tag: 'r', after: 5n })).toEqual([1_100n, 1_100n]);
});

test('the ledger waits for what this process has written itself', async () => {
  const waited: bigint[] = [];
  const settled = (position: bigint): Promise<void> => {
    waited.push(position);
    return Promise.resolve();
  };
  const spentSince = createLedger({ pool: database.pool, startPosition: 5n, settled });
  await spentSince(question('key', 'key_1', null, 3n));
  await spentSince(question('key', 'key_1', null, 9n));
  expect(waited).toEqual([5n, 9n]);
});

test('the ledger knows what providers were paid, by deployments that are configured and by those that were', async () => {
  const served = ['upstream-1', 'other'].map((id) => ({ id, provider: 'openai' }) as Deployment);
  const sum = async (
    configured: readonly Deployment[],
    provider: string,
    more: Partial<LedgerQuestion> = {},
  ) => {
    const spentSince = createLedger({
      pool: database.pool,
      startPosition: 5n,
      settled: (position) => projector.reached(position, 10_000),
      providers: deploymentProviders(database.pool, () => configured),
    });
    return (await spentSince(question('provider', provider, MIDNIGHT, 0n, more))).nanos;
  };
  const each = spendRecorded().data.costNanos;
  expect(await sum([], 'openai')).toBe(0n);
  expect(await sum(served, 'openai')).toBe(3n * each);
  expect(await sum([], 'openai', { after: 6n })).toBe(each);
  expect(await sum([], 'openai', { tag: 'r2' })).toBe(each);
  expect(await sum([{ ...served[0]!, provider: undefined }], 'azure')).toBe(0n);
  // Whose it was is not known for each request: it counts for both.
  expect(await sum([{ ...served[0]!, provider: 'azure' }], 'azure')).toBe(3n * each);
  expect(await sum([], 'openai')).toBe(3n * each);
});

test('what can be served is noted once, and what is added is noted before it is asked', async () => {
  const one = { id: 'one', provider: 'p' } as Deployment;
  const two = { id: 'two', provider: 'p' } as Deployment;
  let current = [one];
  const providers = deploymentProviders(database.pool, () => current);
  expect(providers.isNoted(one)).toBe(false);
  await providers.note();
  expect([providers.isNoted(one), providers.isNoted(two)]).toEqual([true, false]);
  current = [one, two];
  await Promise.all([providers.note(), providers.note()]);
  const { rows } = await database.pool.query(
    `select deployment from deployment_providers where provider = 'p' order by 1`,
  );
  expect(rows).toEqual([{ deployment: 'one' }, { deployment: 'two' }]);
});
