import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Refusal } from '../../src/errors.ts';
import {
  createSpendWriter,
  type SpendPlace,
  type SpendWriterOptions,
  type Ticket,
} from '../../src/gateway/spend-writer.ts';
import type { Estimate, Intent, SpendToRecord } from '../../src/gateway/spool-records.ts';
import { recoverSpool } from '../../src/gateway/spool-recovery.ts';
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
const RATES = { input: 2_000_000n, 'cached-input': 1_000_000n, output: 3_000_000n };
const ESTIMATE = { inputTokens: 10, outputTokensMax: 100, prices: RATES, costs: RATES };
const begun = (requestId: string, estimate: Estimate | null = ESTIMATE): Intent => {
  const { data, ...cause } = spend(requestId);
  const { admittedAt, month, keyId, tokenHash, projectId, userId, endUser, tags } = data;
  const { route, model, deployment, stream, currency } = data;
  const who = { admittedAt, month, keyId, tokenHash, projectId, userId, endUser, tags };
  return { ...cause, ...who, requestId, route, model, deployment, stream, currency, estimate };
};

const noted = (): void => undefined;

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'keyledger-spool-'));
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

interface Bench {
  readonly store: EventStore;
  readonly appends: (readonly Write[])[];
  readonly writer: ReturnType<typeof createSpendWriter>;
  readonly logged: string[];
  /** Begins and settles a request; resolves once that is durable. */
  record(one: SpendToRecord): Promise<SpendPlace>;
  requestIds(): Promise<string[]>;
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
    spoolDir: dir,
    batchMax: 100,
    gatherMs: 0,
    waitingMax: 10,
    waitingMsMax: 1_000,
    retryMs: 1,
    retryMsMax: 4,
    monotonicMs: () => performance.now(),
    log: {
      warn: (_, message) => void logged.push(message),
      error: (_, message) => void logged.push(message),
    },
    ...options,
  });
  return {
    store,
    appends,
    writer,
    logged,
    record: (one) =>
      new Promise((resolve, reject) => {
        const ticket = writer.begin(begun(one.data.requestId), noted);
        writer.record(ticket, one, (refusal, place) => (refusal === null ? resolve(place) : reject(refusal)));
      }),
    requestIds: async () => (await spendsIn(store)).map(({ requestId }) => requestId),
  };
}

const gate = () => {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
};

const range = (count: number): string[] => Array.from({ length: count }, (_, i) => `r${i}`);

describe('a spend writer', () => {
  test('is done when the spool has a spend, and takes it to the log in the order of the spool', async () => {
    const first = gate();
    const { writer, record, appends, requestIds } = bench({ before: () => first.opened });
    const places = await Promise.all(range(8).map((id) => record(spend(id))));
    expect(places.map(({ position }) => position)).toEqual(places.map(() => null));
    expect(writer.waiting).toBe(8);
    first.open();
    expect(await writer.flush()).toBe(8n);
    expect(places.map(({ position }) => position)).toEqual([1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n]);
    expect(appends.flat().flatMap(({ events }) => events)).toHaveLength(8);
    expect(await requestIds()).toEqual(range(8));
  });

  test('gathers while nobody waits, and takes everything at once when somebody does', async () => {
    const { writer, record, appends } = bench({}, { gatherMs: 1_000_000 });
    for (const id of range(5)) await record(spend(id));
    expect(appends).toHaveLength(0);
    await writer.flush();
    expect(appends.map((writes) => writes[0]!.events.length)).toEqual([5]);
    expect(await writer.flush()).toBe(5n);
    expect(appends).toHaveLength(1);
  });

  test('never makes an append larger than a store takes, whatever clients put into it', async () => {
    const { writer, record, appends } = bench({}, { batchMax: 512, waitingMax: 1_000 });
    const tags = Array.from({ length: 32 }, (_, i) => '\u0001'.repeat(126) + String(i).padStart(2, '0'));
    await Promise.all(
      range(200).map((id) => {
        const one = spend(id);
        return record({ ...one, data: { ...one.data, tags } });
      }),
    );
    expect(await writer.flush()).toBe(200n);
    expect(appends.length).toBeGreaterThan(1);
  });

  test('never puts more than the batch size into an append', async () => {
    const { writer, record, appends } = bench({}, { batchMax: 3, waitingMax: 100, gatherMs: 1_000_000 });
    await Promise.all(range(8).map((id) => record(spend(id))));
    await writer.flush();
    expect(appends.map((writes) => writes[0]!.events.length).every((count) => count <= 3)).toBe(true);
  });

  test('has a stream for each month, and tells each event its own position', async () => {
    const { writer, record, store } = bench({}, { gatherMs: 1_000_000 });
    const months = ['2026-11', '2026-12', '2026-11', '2026-12'];
    const places = await Promise.all(months.map((month, i) => record(spend(`r${i}`, month))));
    await writer.flush();
    expect(places.map(({ position }) => position)).toEqual([1n, 3n, 2n, 4n]);
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
    const { writer, record, appends, requestIds } = bench(
      {
        before: (nth) => {
          if (nth === 1) throw lost;
        },
        after: (nth) => {
          if (nth === 2 || nth === 3) throw lost;
        },
      },
      { gatherMs: 1_000_000 },
    );
    await Promise.all([record(spend('r1')), record(spend('r2'))]);
    expect(await writer.flush()).toBe(2n);
    expect(appends).toHaveLength(4);
    expect(new Set(appends).size).toBe(1);
    await record(spend('r3'));
    expect(await writer.flush()).toBe(3n);
    expect(await requestIds()).toEqual(['r1', 'r2', 'r3']);
  });

  test('goes on answering while the log is away, until too much waits, and again when it is back', async () => {
    const stuck = gate();
    const { writer, record } = bench({ before: () => stuck.opened });
    await Promise.all(range(9).map((id) => record(spend(id))));
    expect(writer.refusal()).toBeNull();
    await record(spend('r9'));
    expect(writer.refusal()).toMatchObject({ code: 'log_unavailable', status: 503, retryAfterSeconds: 5 });
    // What was served already is recorded all the same.
    await record(spend('late'));
    stuck.open();
    await writer.flush();
    expect(writer.refusal()).toBeNull();
  });

  test('admits nothing new while something has waited for too long', async () => {
    let nowMs = 0;
    const stuck = gate();
    const { writer, record } = bench({ before: () => stuck.opened }, { monotonicMs: () => nowMs });
    await record(spend('r1'));
    expect(writer.refusal()).toBeNull();
    nowMs = 1_001;
    expect(writer.refusal()).toBeInstanceOf(Refusal);
    stuck.open();
    await writer.flush();
    expect(writer.refusal()).toBeNull();
  });

  test('admits nothing new once somebody else has written to its stream, and keeps what is in the spool', async () => {
    const { writer, record } = bench({
      before: () => {
        throw new Refusal('stream_changed');
      },
    });
    await record(spend('r1'));
    await expect(writer.flush()).rejects.toMatchObject({ code: 'log_unavailable' });
    expect(writer.refusal()).not.toBeNull();
    await writer.close(1_000);
    expect(await readdir(dir)).toHaveLength(1);
  });

  test.each(['write', 'sync'] as const)(
    'admits nothing new once the disk fails to %s, and records what is running in the log itself',
    async (step) => {
      let broken = false;
      const { writer, record, requestIds, logged } = bench(
        {},
        {
          spoolFault(at) {
            if (broken && at === step) throw new Error('no space left on device');
          },
        },
      );
      await record(spend('r1'));
      const begin = (id: string): Promise<{ ticket: Ticket; refusal: Refusal | null }> =>
        new Promise((resolve) => {
          const ticket = writer.begin(begun(id), (refusal) => resolve({ ticket, refusal }));
        });
      const running = [await begin('r2'), await begin('r3')];
      broken = true;
      const [second, third] = await Promise.all(
        running.map(
          ({ ticket }) =>
            new Promise<SpendPlace>((resolve) => {
              writer.record(ticket, spend(ticket.requestId), (_, place) => resolve(place));
            }),
        ),
      );
      expect([second?.position, third?.position]).toEqual([2n, 3n]);
      expect((await begin('r4')).refusal).toMatchObject({ code: 'log_unavailable' });
      expect(writer.refusal()).toMatchObject({ code: 'log_unavailable' });
      expect(await requestIds()).toEqual(['r1', 'r2', 'r3']);
      expect(logged).toEqual(['the spool cannot be written; nothing new is served until a restart']);
    },
  );

  test('does not wait for a disk that hangs: what runs is recorded in the log, and nothing new is admitted until it answers', async () => {
    let nowMs = 0;
    let hangs = false;
    let onHung = (_answers: () => void): void => undefined;
    const { writer, record, requestIds } = bench(
      {},
      {
        waitingMsMax: 60_000,
        monotonicMs: () => nowMs,
        spoolSync: (_fd, done) => {
          if (hangs) onHung(() => done(null));
          else setImmediate(done, null);
        },
      },
    );
    await record(spend('r1'));
    const hung = new Promise<() => void>((resolve) => (onHung = resolve));
    hangs = true;
    const waiting = record(spend('r2'));
    const answer = await hung;
    nowMs = 5_000;
    writer.watch();
    expect(writer.refusal()).toBeNull();
    nowMs = 5_001;
    writer.watch();
    expect((await waiting).position).toBe(2n);
    expect(writer.refusal()).toMatchObject({ code: 'log_unavailable' });
    hangs = false;
    answer();
    expect(writer.refusal()).toBeNull();
    await record(spend('r3'));
    await writer.flush();
    expect(await requestIds()).toEqual(['r1', 'r2', 'r3']);
  });

  test('says that nothing was recorded when neither the disk nor the log takes it', async () => {
    const { writer, record } = bench(
      {
        before: () => {
          throw new Error('no log');
        },
      },
      {
        spoolFault: (step) => {
          if (step === 'sync') throw new Error('input/output error');
        },
      },
    );
    const recorded = expect(record(spend('r1'))).rejects.toMatchObject({ code: 'log_unavailable' });
    await writer.close(10);
    await recorded;
  });

  test('leaves nothing behind when it is closed in order', async () => {
    const { writer, record, requestIds } = bench({}, { gatherMs: 1_000_000 });
    await record(spend('r1'));
    await writer.close(1_000);
    expect(await requestIds()).toEqual(['r1']);
    expect(await readdir(dir)).toEqual([]);
    await expect(record(spend('r2'))).rejects.toMatchObject({ code: 'log_unavailable' });
  });

  test('deletes the files that nothing needs any more, and no other', async () => {
    const { writer, record } = bench({}, { segmentBytesMax: 4_096, waitingMax: 1_000 });
    const open = writer.begin(begun('long', null), noted);
    for (const id of range(60)) await record(spend(id));
    await writer.flush();
    expect((await readdir(dir)).length).toBeGreaterThan(5);
    await new Promise<void>((resolve) => writer.record(open, spend('long'), () => resolve()));
    await writer.flush();
    expect((await readdir(dir)).length).toBeLessThanOrEqual(2);
  });
});

describe('what a killed process has left in the spool', () => {
  const log = { warn: () => undefined, error: () => undefined };
  /** A copy of the folder as it is at this moment is what a kill leaves. */
  async function killed(from = dir): Promise<string> {
    const copy = await mkdtemp(join(tmpdir(), 'keyledger-killed-'));
    await cp(from, copy, { recursive: true });
    return copy;
  }

  test('is taken to the log once, however far the drain had come', async () => {
    for (let appended = 0; appended <= 6; appended += 1) {
      const stuck = gate();
      const { writer, record, store, requestIds } = bench(
        { before: (nth) => (nth > appended ? stuck.opened : undefined) },
        { batchMax: 1, waitingMax: 100, spoolDir: join(dir, `${appended}`) },
      );
      await Promise.all(range(6).map((id) => record(spend(id))));
      while (writer.waiting > 6 - appended) await new Promise(setImmediate);
      const left = await killed(join(dir, `${appended}`));
      expect(await recoverSpool({ dir: left, store, log })).toEqual({ spends: 6 - appended, interrupted: 0 });
      expect(await recoverSpool({ dir: left, store, log })).toEqual({ spends: 0, interrupted: 0 });
      expect(await requestIds()).toEqual(range(6));
      await rm(left, { recursive: true });
    }
  });

  test('is taken to the log once when the recovery itself was killed in the middle', async () => {
    const never = new Promise<void>(() => undefined);
    const { record, store, requestIds } = bench({ before: () => never }, { waitingMax: 10_000 });
    await Promise.all(range(1_200).map((id) => record(spend(id))));
    const left = await killed();
    const again = await killed();
    let appends = 0;
    const dying: Pick<EventStore, 'append' | 'readStream'> = {
      readStream: (stream, after) => store.readStream(stream, after),
      async append(writes) {
        appends += 1;
        if (appends === 2) throw new Refusal('stream_changed');
        return await store.append(writes);
      },
    };
    await expect(recoverSpool({ dir: left, store: dying, log })).rejects.toThrow();
    expect(await recoverSpool({ dir: again, store, log })).toEqual({ spends: 700, interrupted: 0 });
    expect(await requestIds()).toEqual(range(1_200));
    await rm(left, { recursive: true });
    await rm(again, { recursive: true });
  });

  test('charges nothing for an answer that had not begun, and at most the worst case for one that had', async () => {
    const { writer, store } = bench();
    writer.begin(begun('not-begun'), noted);
    const short = writer.begin(begun('begun'), noted);
    const long = writer.begin(begun('long'), noted);
    writer.begin(begun('whole', null), noted);
    const delivered = (ticket: Ticket, tokens: number): Promise<unknown> =>
      new Promise((resolve) => writer.deliver(ticket, tokens, resolve));
    await delivered(short, 20);
    await delivered(short, 40);
    await delivered(long, 4_000);
    const left = await killed();
    expect(await recoverSpool({ dir: left, store, log })).toEqual({ spends: 4, interrupted: 4 });
    const found = new Map((await spendsIn(store)).map((data) => [data.requestId, data]));
    expect(found.get('not-begun')).toMatchObject({
      outcome: 'interrupted',
      usageSource: 'none',
      priceNanos: 0n,
    });
    expect(found.get('whole')).toMatchObject({ outcome: 'interrupted', usageSource: 'none', priceNanos: 0n });
    expect(found.get('begun')).toMatchObject({
      outcome: 'interrupted',
      usageSource: 'estimated',
      usage: { inputTokens: 10, outputTokens: 40 },
      priceNanos: 10n * 2n + 40n * 3n,
    });
    expect(found.get('long')).toMatchObject({
      usage: { outputTokens: 100 },
      priceNanos: 10n * 2n + 100n * 3n,
    });
    await rm(left, { recursive: true });
  });

  test('is left alone while its process lives', async () => {
    const never = new Promise<void>(() => undefined);
    const { record, store, requestIds } = bench({ before: () => never });
    await record(spend('r1'));
    expect(await recoverSpool({ dir, store, log, isAlive: (id) => id === 'w1' })).toEqual({
      spends: 0,
      interrupted: 0,
    });
    expect(await requestIds()).toEqual([]);
    expect(await readdir(dir)).toHaveLength(1);
  });
});
