import { expect, test } from 'vitest';
import { type Batch, UndecodableEvent } from '../../src/store/event-store.ts';
import {
  keyBlocked,
  keyDeleted,
  keyGenerated,
  periodClosed,
  planPublished,
  spendRecorded,
} from '../support/events.ts';
import {
  all,
  append,
  appendNew,
  catchUp,
  eventsOf,
  freshStream,
  gate,
  hasReached,
  isCaughtUp,
  watch,
} from '../support/log.ts';
import type { Suite } from './contract.ts';
import { logWithDamage } from './damage.ts';

export function following({ log, reopen, keepsForeign }: Suite): void {
  const never = new AbortController().signal;

  test('a subscription begins with everything after its position, in order', async () => {
    const { store, other, start } = log();
    for (let i = 0; i < 3; i += 1) await append(store, freshStream(), 'none', 4);
    const whole = await all(store.readLog(start));
    for (const from of [-1, 0, 5, 10]) {
      const position = from === -1 ? start : whole[from]!.position;
      const events = eventsOf(await catchUp(other, position));
      expect(events.map(({ id }) => id)).toEqual(whole.slice(from + 1).map(({ id }) => id));
    }
  });

  test.skipIf(keepsForeign)('a subscription from 0 holds the whole log', async () => {
    const { store, start } = log();
    await append(store, freshStream(), 'none', 3);
    const positions = eventsOf(await catchUp(store, 0n)).map(({ position }) => position);
    expect(positions).toEqual((await all(store.readLog(0n))).map(({ position }) => position));
    expect(positions.filter((position) => position > start)).toHaveLength(3);
  });

  test.each(['that is empty', 'that has been read before'])(
    'at the end of a log %s, the first batch comes at once',
    async (what) => {
      const { store, start } = log();
      if (what !== 'that is empty') await append(store, freshStream(), 'none', 2);
      const head = await store.head();
      expect(what === 'that is empty' ? start : head).toBe(head);
      expect(await catchUp(store, head)).toEqual([
        { events: [], last: null, position: head, caughtUp: true },
      ]);
    },
  );

  test('batches hold at most what was asked for, and only the last one has caught up', async () => {
    const { store, other, start } = log();
    await append(store, freshStream(), 'none', 25);
    for (const reader of [store, other]) {
      const batches = await catchUp(reader, start, { batchMax: 10 });
      expect(batches.map(({ events }) => events.length)).toEqual([10, 10, 5]);
      expect(batches.map(({ caughtUp }) => caughtUp)).toEqual([false, false, true]);
    }
  });

  test('a batch that is not asked to be of any size has 500 events at most', async () => {
    const { store, other, start } = log();
    for (let i = 0; i < 3; i += 1) await append(store, freshStream(), 'none', 400);
    const batches = await catchUp(other, start);
    expect(Math.max(...batches.map(({ events }) => events.length))).toBeLessThanOrEqual(500);
    expect(eventsOf(batches)).toHaveLength(1_200);
  });

  test('a subscription can be resumed from any batch', async () => {
    const { store, start } = log();
    await append(store, freshStream(), 'none', 17);
    const ids: string[] = [];
    for (let position = start, caughtUp = false; !caughtUp; ) {
      for await (const batch of store.subscribe(position, never, { batchMax: 5 })) {
        ids.push(...batch.events.map(({ id }) => id));
        ({ position, caughtUp } = batch);
        break;
      }
    }
    expect(ids).toEqual((await all(store.readLog(start))).map(({ id }) => id));
  });

  test.each(['here', 'in another process'])('what is appended %s later arrives too', async (where) => {
    const { store, other, start } = log();
    const watching = watch(store, start);
    await watching.until(isCaughtUp);
    const writer = where === 'here' ? store : other;
    const stream = freshStream();
    let head = await append(writer, stream, 'none', 1);
    await watching.until(() => watching.events().length === 1);
    head = await append(writer, stream, head, 2);
    await watching.until(() => watching.events().length === 3);
    await watching.stop();
    expect(watching.events()).toEqual(await all(store.readStream(stream)));
    expect(watching.batches.at(-1)).toMatchObject({ caughtUp: true });
    expect(head.revision).toBe(2n);
  });

  test.each([
    [['key.'], ['key.generated', 'key.blocked', 'key.deleted']],
    [['key.b'], ['key.blocked']],
    [
      ['key.generated', 'plan.'],
      ['key.generated', 'plan.published'],
    ],
    [['spend.'], ['spend.recorded', 'spend.recorded']],
    [
      ['spend.', 'period.'],
      ['spend.recorded', 'period.closed', 'spend.recorded'],
    ],
    [['nothing.'], []],
    [['%'], []],
  ])('of the types that begin with %j it brings only those', async (prefixes, types) => {
    const { store, other, start } = log();
    const live = watch(store, start, { prefixes });
    await live.until(isCaughtUp);
    const { position } = await appendNew(
      store,
      keyGenerated(),
      spendRecorded(),
      keyBlocked(),
      periodClosed(),
      planPublished(),
      spendRecorded(),
      keyDeleted(),
    );
    await live.until(hasReached(position));
    await live.stop();
    for (const events of [live.events(), eventsOf(await catchUp(other, start, { prefixes }))]) {
      expect(events.map(({ event }) => event.type)).toEqual(types);
    }
  });

  test('the position moves past events of other types', async () => {
    const { store, other, start } = log();
    const live = watch(store, start, { prefixes: ['key.'] });
    await live.until(isCaughtUp);
    const { position } = await appendNew(store, ...Array.from({ length: 30 }, () => spendRecorded()));
    await live.until(hasReached(position));
    await live.stop();
    expect(live.events()).toEqual([]);
    const late = await catchUp(other, start, { prefixes: ['key.'], batchMax: 10 });
    expect(late.at(-1)).toEqual({ events: [], last: null, position, caughtUp: true });
  });

  test.each([[['spend.']], [['key.', 'spend.']], [['key.']], [undefined]])(
    'a bare reader of %j learns where the newest of them is, and nothing else',
    async (prefixes) => {
      const { store, other, start } = log();
      const options = prefixes === undefined ? { bare: true } : { bare: true, prefixes };
      const wanted = (type: string): boolean => prefixes?.some((prefix) => type.startsWith(prefix)) ?? true;
      const readers = [store, other].map((reader) => watch(reader, start, options));
      await Promise.all(readers.map((live) => live.until(isCaughtUp)));
      for (let i = 0; i < 3; i += 1) {
        const written = [spendRecorded(), keyBlocked(), spendRecorded(), keyBlocked(), spendRecorded()];
        const { positions, position } = await appendNew(store, ...written);
        const last = positions[0]!.findLast((_, at) => wanted(written[at]!.type))!;
        const told = (batches: readonly Batch[]): bigint | null =>
          batches.findLast((batch) => batch.last !== null)?.last ?? null;
        for (const live of readers) {
          await live.until(hasReached(position));
          expect(live.events()).toEqual([]);
          expect(told(live.batches)).toBe(last);
        }
        for (const reader of [store, other]) expect(told(await catchUp(reader, start, options))).toBe(last);
      }
      await Promise.all(readers.map((live) => live.stop()));
    },
  );

  test('whoever begins to read spend where others only look how far it goes gets all of it', async () => {
    const { store, other, start } = log();
    const bare = watch(other, start, { prefixes: ['spend.'], bare: true });
    await bare.until(isCaughtUp);
    const first = await appendNew(store, spendRecorded(), keyBlocked(), spendRecorded());
    await bare.until(hasReached(first.position));
    const full = watch(other, start, { prefixes: ['spend.'] });
    await full.until(hasReached(first.position));
    const second = await appendNew(store, spendRecorded(), keyBlocked(), spendRecorded());
    await full.until(hasReached(second.position));
    await Promise.all([bare.stop(), full.stop()]);
    const spend = [first, second].flatMap(({ positions: [one] }) => [one![0], one![2]]);
    expect(full.events().map(({ position }) => position)).toEqual(spend);
  });

  test('batches of a few types hold as many as was asked for, wherever they stand', async () => {
    const { store, other, start } = log();
    const mixed = Array.from({ length: 60 }, (_, i) => (i % 3 === 0 ? keyBlocked() : spendRecorded()));
    const { position } = await appendNew(store, ...mixed);
    for (const prefixes of [['key.'], ['spend.']]) {
      const batches = await catchUp(other, start, { prefixes, batchMax: 8 });
      expect(batches.every(({ events }) => events.length <= 8)).toBe(true);
      expect(eventsOf(batches)).toHaveLength(prefixes[0] === 'key.' ? 20 : 40);
      expect(batches.at(-1)!.position).toBe(position);
      for (const { events, position } of batches) {
        expect(events.every((event) => event.position <= position)).toBe(true);
      }
    }
  });

  test('an aborted subscription ends, while it waits and while a batch is worked on', async () => {
    const { store, start } = log();
    const waiting = watch(store, start);
    await waiting.until(isCaughtUp);
    await waiting.stop();
    await append(store, freshStream(), 'none', 9);
    const ending = new AbortController();
    const batches: Batch[] = [];
    for await (const batch of store.subscribe(start, ending.signal, { batchMax: 3 })) {
      batches.push(batch);
      ending.abort();
    }
    expect(eventsOf(batches)).toHaveLength(3);
    expect(await all(store.subscribe(start, AbortSignal.abort()))).toEqual([]);
  });

  test('a reader that is slower than the writer only falls behind', async () => {
    const { store, start } = log();
    const written = gate();
    const slow = watch(store, start, { batchMax: 20, onBatch: () => written.opened });
    await slow.until(isCaughtUp);
    for (let i = 0; i < 5; i += 1) await append(store, freshStream(), 'none', 60);
    written.open();
    const head = await store.head();
    await slow.until(hasReached(head));
    await slow.stop();
    expect(slow.events().map(({ id }) => id)).toEqual((await all(store.readLog(start))).map(({ id }) => id));
    expect(Math.max(...slow.batches.map(({ events }) => events.length))).toBe(20);
  });

  test('subscriptions do not wait for each other', async () => {
    const { store, start } = log();
    const stuck = gate();
    const slow = watch(store, start, { onBatch: () => stuck.opened });
    const quick = [watch(store, start), watch(store, start, { prefixes: ['key.'] })];
    await slow.until(isCaughtUp);
    const stream = freshStream();
    const head = await append(store, stream, 'none', 10);
    for (const one of quick) await one.until(() => one.events().length === 10);
    expect(slow.events()).toEqual([]);
    stuck.open();
    await slow.until(() => slow.events().length === 10);
    await Promise.all([slow, ...quick].map((one) => one.stop()));
    expect(slow.events().at(-1)!.hash).toBe(head.hash);
    expect(quick[0]!.events()).toEqual(slow.events());
  });

  test('an event that cannot be read fails the subscription, after everything before it', async () => {
    const { stored, stream, damaged } = logWithDamage();
    const { store, start } = await reopen(stored);
    for (const options of [{}, { prefixes: ['key.'] }, { batchMax: 2 }]) {
      const watching = watch(store, start, options);
      const failure = await watching.ended.catch((error: unknown) => error);
      expect(watching.events().map(({ revision }) => revision)).toEqual([0n, 1n]);
      expect(failure).toBeInstanceOf(UndecodableEvent);
      expect(failure).toMatchObject({ stream, eventId: damaged.id, eventType: 'key.invented' });
      const { position } = watching.batches.at(-1)!;
      expect(position).toBeLessThan((failure as UndecodableEvent).position);
      const again = await watch(store, position, options).ended.catch((error: unknown) => error);
      expect(again).toMatchObject({ eventId: damaged.id });
    }
  });

  test('an event that cannot be read does not disturb who does not want it', async () => {
    const { store, start } = await reopen(logWithDamage().stored);
    expect(eventsOf(await catchUp(store, start, { prefixes: ['spend.'] }))).toHaveLength(2);
  });

  test('a reader that has seen more than there is has seen another log', async () => {
    const { store } = log();
    const head = await store.head();
    await expect(catchUp(store, head + 1n)).rejects.toThrow(RangeError);
    await expect(catchUp(store, -1n)).rejects.toThrow(RangeError);
  });

  test('closing ends subscriptions, waits for appends, and then takes nothing more', async () => {
    const { store, other, start } = log();
    const waiting = watch(store, start);
    await waiting.until(isCaughtUp);
    const stream = freshStream();
    const appending = append(store, stream, 'none', 1);
    const closing = store.close();
    await expect(append(store, stream, 'none', 1)).rejects.toThrow('closed');
    await Promise.all([closing, waiting.ended, store.close()]);
    expect((await appending).revision).toBe(0n);
    await expect(store.head()).rejects.toThrow('closed');
    await expect(all(store.readStream(stream))).rejects.toThrow('closed');
    await expect(catchUp(store, start)).rejects.toThrow('closed');
    expect(other === store || (await all(other.readStream(stream))).length === 1).toBe(true);
  });
}
