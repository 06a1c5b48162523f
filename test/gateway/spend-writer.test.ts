import { describe, expect, test } from 'vitest';
import { Refusal } from '../../src/errors.ts';
import {
  createSpendWriter,
  type SpendToRecord,
  type SpendWriterOptions,
} from '../../src/gateway/spend-writer.ts';
import type { EventStore, Write } from '../../src/store/event-store.ts';
import { memoryStore } from '../../src/store/memory.ts';
import { AT, spendRecorded } from '../support/events.ts';
import { spendsIn } from './harness.ts';

const spend = (requestId: string, month = '2026-11'): SpendToRecord => ({
  agencyId: 'age_1',
  tenantId: 'ten_1',
  actor: { kind: 'key', id: 'key_1' },
  correlationId: requestId,
  occurredAt: AT,
  data: { ...spendRecorded().data, requestId, month },
});

interface Bench {
  readonly store: EventStore;
  readonly appends: (readonly Write[])[];
  readonly writer: ReturnType<typeof createSpendWriter>;
  readonly logged: string[];
}

/** `before` runs before each append, `after` when it is stored but not yet answered. */
function bench(
  hooks: {
    before?: (nth: number) => Promise<void> | void;
    after?: (nth: number) => Promise<void> | void;
  } = {},
  options: Partial<SpendWriterOptions> = {},
): Bench {
  const store = memoryStore({ now: () => AT });
  const appends: (readonly Write[])[] = [];
  const logged: string[] = [];
  const append: EventStore['append'] = async (writes) => {
    appends.push(writes);
    const nth = appends.length;
    await hooks.before?.(nth);
    const appended = await store.append(writes);
    await hooks.after?.(nth);
    return appended;
  };
  const writer = createSpendWriter({
    store: { append },
    writerId: 'w1',
    batchMax: 100,
    queueMax: 10,
    queueMsMax: 1_000,
    retryMs: 1,
    retryMsMax: 4,
    monotonicMs: () => performance.now(),
    log: {
      warn: (_, message) => void logged.push(message),
      error: (_, message) => void logged.push(message),
    },
    ...options,
  });
  return { store, appends, writer, logged };
}

const gate = () => {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
};

describe('a spend writer', () => {
  test('writes at once when idle, and what comes meanwhile together', async () => {
    const first = gate();
    const { writer, appends, store } = bench({ before: (nth) => (nth === 1 ? first.opened : undefined) });
    const one = writer.record(spend('r0'));
    await new Promise(setImmediate);
    const more = Array.from({ length: 7 }, (_, i) => writer.record(spend(`r${i + 1}`)));
    first.open();
    expect(await one).toBe(1n);
    expect(await Promise.all(more)).toEqual([2n, 3n, 4n, 5n, 6n, 7n, 8n]);
    expect(appends.map((writes) => writes.flatMap(({ events }) => events).length)).toEqual([1, 7]);
    expect(writer.position).toBe(8n);
    expect((await spendsIn(store)).map(({ requestId }) => requestId)).toEqual([
      'r0',
      'r1',
      'r2',
      'r3',
      'r4',
      'r5',
      'r6',
      'r7',
    ]);
  });

  test('never makes an append larger than a store takes, whatever clients put into it', async () => {
    const { writer, appends } = bench({}, { batchMax: 512, queueMax: 1_000 });
    const tags = Array.from({ length: 32 }, (_, i) => '\u0001'.repeat(126) + String(i).padStart(2, '0'));
    const all = Array.from({ length: 200 }, (_, i) => {
      const one = spend(`r${i}`);
      return writer.record({ ...one, data: { ...one.data, tags } });
    });
    expect(new Set(await Promise.all(all)).size).toBe(200);
    expect(appends.length).toBeGreaterThan(1);
  });

  test('records what is recorded from within an answer', async () => {
    const { writer } = bench();
    let position = 0n;
    for (let i = 0; i < 20; i += 1) position = await writer.record(spend(`r${i}`));
    expect(position).toBe(20n);
  });

  test('never puts more than the batch size into an append', async () => {
    const { writer, appends } = bench({}, { batchMax: 3, queueMax: 100 });
    await Promise.all(Array.from({ length: 8 }, (_, i) => writer.record(spend(`r${i}`))));
    expect(appends.map((writes) => writes[0]!.events.length)).toEqual([3, 3, 2]);
  });

  test('has a stream for each month, and tells each event its own position', async () => {
    const { writer, store } = bench();
    const months = ['2026-11', '2026-12', '2026-11', '2026-12'];
    const positions = await Promise.all(months.map((month, i) => writer.record(spend(`r${i}`, month))));
    expect(positions).toEqual([1n, 3n, 2n, 4n]);
    const stored = [];
    for await (const { position, revision, event } of store.readStream('spend-2026-12-w1')) {
      stored.push([position, revision, event.type === 'spend.recorded' ? event.data.requestId : '']);
    }
    expect(stored).toEqual([
      [3n, 0n, 'r1'],
      [4n, 1n, 'r3'],
    ]);
  });

  test('repeats an append whose outcome is unknown, as it was, and stores nothing twice', async () => {
    const lost = new Error('connection lost');
    const { writer, appends, store } = bench({
      before: (nth) => {
        if (nth === 1) throw lost;
      },
      after: (nth) => {
        if (nth === 2 || nth === 3) throw lost;
      },
    });
    expect(await Promise.all([writer.record(spend('r1')), writer.record(spend('r2'))])).toEqual([1n, 2n]);
    expect(appends).toHaveLength(4);
    expect(new Set(appends).size).toBe(1);
    expect(await writer.record(spend('r3'))).toBe(3n);
    expect(await spendsIn(store)).toHaveLength(3);
  });

  test('admits nothing new while its queue is full, and again when it is not', async () => {
    const stuck = gate();
    const { writer } = bench({ before: () => stuck.opened });
    const recorded = Array.from({ length: 10 }, (_, i) => writer.record(spend(`r${i}`)));
    expect(writer.refusal()).toMatchObject({ code: 'log_unavailable', status: 503, retryAfterSeconds: 5 });
    // What was served already is recorded all the same.
    const late = writer.record(spend('late'));
    stuck.open();
    await Promise.all([...recorded, late]);
    expect(writer.refusal()).toBeNull();
  });

  test('admits nothing new while something has waited for too long', async () => {
    let nowMs = 0;
    const stuck = gate();
    const { writer } = bench({ before: () => stuck.opened }, { monotonicMs: () => nowMs });
    const recorded = writer.record(spend('r1'));
    expect(writer.refusal()).toBeNull();
    nowMs = 1_001;
    expect(writer.refusal()).toBeInstanceOf(Refusal);
    stuck.open();
    await recorded;
    expect(writer.refusal()).toBeNull();
  });

  test('stops for good when somebody else has written to its stream', async () => {
    const { writer, logged } = bench({
      before: () => {
        throw new Refusal('stream_changed');
      },
    });
    await expect(writer.record(spend('r1'))).rejects.toMatchObject({ code: 'log_unavailable' });
    await expect(writer.record(spend('r2'))).rejects.toMatchObject({ code: 'log_unavailable' });
    expect(writer.refusal()).not.toBeNull();
    expect(logged).toContain('spend could not be written');
  });

  test('writes what waits when it is closed', async () => {
    const { writer, store } = bench();
    const recorded = writer.record(spend('r1'));
    await writer.close(1_000);
    expect(await recorded).toBe(1n);
    expect(await spendsIn(store)).toHaveLength(1);
    await expect(writer.record(spend('r2'))).rejects.toMatchObject({ code: 'log_unavailable' });
  });

  test('gives up on a log that does not come back while it is closed, and says what is lost', async () => {
    const { writer, logged } = bench({
      before: () => {
        throw new Error('no log');
      },
    });
    const recorded = writer.record(spend('r1'));
    await Promise.all([
      expect(recorded).rejects.toMatchObject({ code: 'log_unavailable' }),
      writer.close(20),
    ]);
    expect(logged).toContain('spend could not be written');
  });
});
