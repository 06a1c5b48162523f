import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { usage } from '../projections/usage.ts';
import { logMetrics } from '../src/log-metrics.ts';
import { exposition, type Metric } from '../src/metrics.ts';
import type { Projection } from '../src/projection.ts';
import { startProjector } from '../src/projector.ts';
import { memoryStore } from '../src/store/memory.ts';
import { testDatabase, type TestDatabase } from './support/database.ts';
import { AT, spendRecorded } from './support/events.ts';
import { append, happenings } from './support/histories.ts';
import { silent } from './support/read-models.ts';

describe('the text that Prometheus reads', () => {
  test('says what each value means, and escapes what would end a line or a label', () => {
    const metrics: Metric[] = [
      {
        name: 'a_seconds',
        help: 'First line\nand \\ a second.',
        type: 'gauge',
        samples: [
          { labels: { kind: 'with "quotes"\n', other: '\\' }, value: 0.5 },
          { value: Number.POSITIVE_INFINITY },
        ],
      },
      { name: 'b_total', help: 'Large.', type: 'counter', samples: [{ value: 2n ** 62n }] },
      { name: 'c', help: 'Nothing to say.', type: 'gauge', samples: [] },
    ];
    expect(exposition(metrics).split('\n')).toEqual([
      String.raw`# HELP a_seconds First line\nand \\ a second.`,
      '# TYPE a_seconds gauge',
      String.raw`a_seconds{kind="with \"quotes\"\n",other="\\"} 0.5`,
      'a_seconds +Inf',
      '# HELP b_total Large.',
      '# TYPE b_total counter',
      'b_total 4611686018427387904',
      '',
    ]);
  });
});

describe('what the log says of itself', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await testDatabase();
  });
  afterAll(() => database.drop());

  test('shows a read model that stands still, how far behind it is, and for how long', async () => {
    const clock = { ms: 1_000 };
    const store = memoryStore({ now: () => AT });
    const failing: Projection = {
      ...usage,
      apply(recorded) {
        if (recorded.position === 2n) throw new Error('cannot');
        return usage.apply(recorded);
      },
    };
    const { pool } = database;
    const options = { store, pool, log: silent, idleGatherMs: 0, checkpointMs: 10, nowMs: () => clock.ms };
    const projector = await startProjector({ ...options, projections: [failing] });
    const text = (): string =>
      exposition(
        logMetrics({
          store,
          projector,
          follower: { position: 3n, lastHeardMs: () => 1_500 },
          seals: () => ({ last: { position: 2n, sealedAt: '2026-11-20T10:00:00.000Z' }, failures: 1 }),
        }),
      );
    try {
      const spends = ['a', 'b', 'c'].map((requestId) => spendRecorded({ requestId }));
      await append(store, happenings(...spends));
      await expect.poll(text).toMatch(/^keyledger_projection_stopped\{projection="usage"\} 1$/m);
      await expect.poll(text).toMatch(/^keyledger_log_position 3$/m);
      clock.ms += 7_000;
      await expect.poll(text).toMatch(/^keyledger_projection_lag_seconds\{projection="usage"\} 7$/m);
      for (const line of [
        'keyledger_projection_position{projection="usage"} 1',
        'keyledger_projection_lag_positions{projection="usage"} 2',
        'keyledger_projection_failing{projection="usage"} 1',
        'keyledger_projection_writes{projection="usage"} 0',
        'keyledger_key_table_age_seconds 1.5',
        'keyledger_log_restarts_total 0',
        'keyledger_seal_failures_total 1',
        'keyledger_sealed_events 2',
        'keyledger_last_seal_timestamp_seconds 1795168800',
      ])
        expect(text().split('\n')).toContain(line);
    } finally {
      await projector.stop();
    }
  });
});
