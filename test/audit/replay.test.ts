import { describe, expect, test } from 'vitest';
import { replayKey } from '../../src/audit/replay.ts';
import type { KeyEvent } from '../../src/domain/key.ts';
import { memoryStore } from '../../src/store/memory.ts';
import {
  keyBlocked,
  keyChanged,
  keyDeleted,
  keyGenerated,
  keyLimitsChanged,
  keyRotated,
  keySettings,
  keyUnblocked,
  limits,
  newEvent,
  TOKEN_HASH,
} from '../support/events.ts';

const HISTORY: readonly (readonly [string, KeyEvent])[] = [
  ['2026-11-01T08:00:00.000Z', keyGenerated()],
  [
    '2026-11-02T08:00:00.000Z',
    keyLimitsChanged({
      limits: limits({ requestsPerMinute: 5, budget: { nanos: 12_500_000_000n, window: '1mo' } }),
    }),
  ],
  ['2026-11-03T08:00:00.000Z', keyBlocked()],
  ['2026-11-04T08:00:00.000Z', keyUnblocked()],
  ['2026-11-05T08:00:00.000Z', keyRotated()],
  ['2026-11-06T08:00:00.000Z', keyChanged({ settings: keySettings({ alias: 'shop' }) })],
  ['2026-11-07T08:00:00.000Z', keyDeleted()],
];

async function logOf(history: typeof HISTORY) {
  let clock = '';
  const store = memoryStore({ now: () => clock });
  let expected: Parameters<typeof store.append>[0][number]['expected'] = 'none';
  for (const [at, event] of history) {
    clock = at;
    const written = newEvent(event, at, {
      occurredAt: at,
      actor: { kind: 'master', id: 'default_user_id', onBehalfOf: 'anna' },
      correlationId: `request ${at}`,
      causationId: `cause ${at}`,
    });
    const { heads } = await store.append([{ stream: 'key-key_1', expected, events: [written] }]);
    expected = heads[0]!;
  }
  return store;
}

describe('a replay', () => {
  test('has one step per event with who, when, why, and only what changed', async () => {
    const steps = await replayKey(await logOf(HISTORY), 'key_1');
    expect(steps.map(({ type }) => type)).toEqual(HISTORY.map(([, { type }]) => type));
    expect(steps[1]).toMatchObject({
      position: 2n,
      revision: 1n,
      recordedAt: '2026-11-02T08:00:00.000Z',
      occurredAt: '2026-11-02T08:00:00.000Z',
      actor: { kind: 'master', id: 'default_user_id', onBehalfOf: 'anna' },
      correlationId: 'request 2026-11-02T08:00:00.000Z',
      causationId: 'cause 2026-11-02T08:00:00.000Z',
      changes: [
        { field: 'requests_per_minute', before: 60, after: 5 },
        { field: 'budget', before: null, after: '12.5' },
        { field: 'budget_window', before: null, after: '1mo' },
      ],
    });
    expect(
      steps
        .slice(2)
        .map(({ changes }) =>
          changes.map(
            ({ field, before, after }) => `${field}: ${JSON.stringify(before)} -> ${JSON.stringify(after)}`,
          ),
        ),
    ).toEqual([
      ['status: "active" -> "blocked"'],
      ['status: "blocked" -> "active"'],
      [
        'key_name: "sk-...test" -> "sk-...next"',
        `fingerprint: "${TOKEN_HASH.slice(0, 16)}" -> ${JSON.stringify(steps[4]!.view['fingerprint'])}`,
        `old_fingerprint: null -> "${TOKEN_HASH.slice(0, 16)}"`,
        'grace_ends_at: null -> "2026-11-21T10:00:00.000Z"',
        'rotations: 0 -> 1',
      ],
      ['alias: null -> "shop"'],
      ['status: "active" -> "deleted"'],
    ]);
  });

  test('shows fingerprints and never a whole hash of a secret', async () => {
    const steps = await replayKey(await logOf(HISTORY), 'key_1');
    const shown = JSON.stringify(steps.map(({ changes, view }) => ({ changes, view })));
    expect(shown).toContain(TOKEN_HASH.slice(0, 16));
    expect(shown).not.toContain(TOKEN_HASH.slice(0, 17));
  });

  test('keeps showing what a deleted key last was', async () => {
    const steps = await replayKey(await logOf(HISTORY), 'key_1');
    expect(steps.at(-1)?.view).toMatchObject({ status: 'deleted', alias: 'shop', requests_per_minute: 5 });
  });

  test.each([
    [3n, 3],
    ['2026-11-03T08:00:00.000Z', 3],
    ['2026-11-03T07:59:59.999Z', 2],
    ['2026-11-03T09:00:00+01:00', 3],
    ['2020-01-01T00:00:00.000Z', 0],
    [0n, 0],
  ])('ends at %s, inclusive', async (until, steps) => {
    expect(await replayKey(await logOf(HISTORY), 'key_1', { until })).toHaveLength(steps);
  });

  test('of a key that never existed is empty', async () => {
    expect(await replayKey(await logOf(HISTORY), 'key_2')).toEqual([]);
  });

  test('refuses a history with a hole instead of showing it', async () => {
    const store = await logOf(HISTORY);
    const holed = {
      ...store,
      async *readStream(stream: string) {
        for await (const recorded of store.readStream(stream)) if (recorded.revision !== 2n) yield recorded;
      },
    };
    await expect(replayKey(holed, 'key_1')).rejects.toThrow(
      'key-key_1 has a hole before revision 3 at position 4',
    );
  });
});
