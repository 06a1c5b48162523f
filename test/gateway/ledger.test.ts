import { afterAll, beforeAll, expect, test } from 'vitest';
import { projects } from '../../projections/projects.ts';
import { spendLog } from '../../projections/spend-log.ts';
import { spendTotals } from '../../projections/spend-totals.ts';
import type { LevelName } from '../../src/gateway/levels.ts';
import type { LedgerQuestion } from '../../src/gateway/limiter.ts';
import { createLedger } from '../../src/gateway/ledger.ts';
import { type Projector, startProjector } from '../../src/projector.ts';
import type { EventStore } from '../../src/store/event-store.ts';
import { memoryStore } from '../../src/store/memory.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { AT, newEvent, projectOpened, spendRecorded } from '../support/events.ts';
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
    projections: [spendTotals, spendLog, projects],
    log: silent,
  });
  const spends = [
    { requestId: 'r1', admittedAt: EARLIER, priceNanos: 1n },
    { requestId: 'r2', admittedAt: MIDNIGHT, priceNanos: 10n },
    { requestId: 'r3', admittedAt: AT, priceNanos: 100n, keyId: 'key_2' },
    { requestId: 'r4', admittedAt: AT, priceNanos: 1_000n, projectId: null },
  ];
  const events = spends.map((spend) => newEvent(spendRecorded(spend), spend.requestId));
  const opened = newEvent(projectOpened({ projectId: 'prj_1' }), 'opened');
  await store.append([{ stream: 'tenant-ten_1', expected: 'none', events: [opened] }]);
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
  expect(new Set(sums.map(({ position }) => position))).toEqual(new Set([5n]));
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
