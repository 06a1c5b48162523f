import { expect, test } from 'vitest';
import { isRefusal } from '../../src/errors.ts';
import { hashHolds } from '../../src/store/codec.ts';
import { type EventStore, type StreamHead, ZERO_HASH } from '../../src/store/event-store.ts';
import { all, append, catchUp, eventsOf, freshStream, someEvents, watch, write } from '../support/log.ts';
import type { Suite } from './contract.ts';

const WRITERS = 16;

export function competing({ log, gapless }: Suite): void {
  const writers = (): EventStore[] =>
    Array.from({ length: WRITERS }, (_, i) => (i % 2 === 0 ? log().store : log().other));

  test(`of ${WRITERS} writers that expect the same head, exactly one wins`, async () => {
    const stream = freshStream();
    let head: StreamHead | 'none' = 'none';
    for (let round = 0; round < 5; round += 1) {
      const expected: StreamHead | 'none' = head;
      const results = await Promise.allSettled(writers().map((store) => append(store, stream, expected, 2)));
      const winners = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
      const losers = results.flatMap((result) =>
        result.status === 'rejected' ? [result.reason as unknown] : [],
      );
      expect(winners).toHaveLength(1);
      expect(losers.every((error) => isRefusal(error, 'stream_changed'))).toBe(true);
      [head] = winners as [StreamHead];
    }
    expect(await all(log().store.readStream(stream))).toHaveLength(10);
  });

  test(`${WRITERS} identical appends at once are one append, answered ${WRITERS} times`, async () => {
    const stream = freshStream();
    const writes = [write(stream, 'none', 3)];
    const answers = await Promise.all(writers().map((store) => store.append(writes)));
    expect(new Set(answers.map(({ position }) => position)).size).toBe(1);
    expect(await all(log().store.readStream(stream))).toHaveLength(3);
  });

  test(`${WRITERS} writers that read again after losing leave one unbroken stream`, async () => {
    const stream = freshStream();
    const each = 2;
    await Promise.all(
      writers().map(async (store, writer) => {
        for (let i = 0; i < each; i += 1) await appendSomehow(store, stream, `${stream} ${writer} ${i}`);
      }),
    );
    const read = await all(log().store.readStream(stream));
    expect(read.map(({ revision }) => revision)).toEqual(read.map((_, i) => BigInt(i)));
    expect(new Set(read.map(({ id }) => id)).size).toBe(WRITERS * each);
    for (const [i, event] of read.entries()) expect(event.previousHash).toBe(read[i - 1]?.hash ?? ZERO_HASH);
  });

  test(`${WRITERS} writers to streams of their own get positions in one order`, async () => {
    const { store, start } = log();
    const answers = await Promise.all(writers().map((one) => writeChain(one, freshStream(), 10)));
    const placed = await all(store.readLog(start));
    expect(placed).toHaveLength(WRITERS * 10);
    const positions = placed.map(({ position }) => position);
    expect(positions).toEqual(positions.toSorted((a, b) => (a < b ? -1 : 1)));
    expect(new Set(positions).size).toBe(positions.length);
    if (gapless) expect(positions).toEqual(positions.map((_, i) => start + 1n + BigInt(i)));
    expect(answers.flat().every((position) => positions.includes(position))).toBe(true);
    expect(placed.every(hashHolds)).toBe(true);
  });

  test(`a reader at the end of the log misses nothing of what ${WRITERS} writers append`, async () => {
    const { store, other, start } = log();
    const watches = [watch(store, start), watch(other, start, { batchMax: 7 })];
    await Promise.all(writers().map((one) => writeChain(one, freshStream(), 15)));
    const written = await all(store.readLog(start));
    expect(written).toHaveLength(WRITERS * 15);
    for (const watching of watches) {
      await watching.until(() => watching.events().length >= written.length);
      await watching.stop();
      const seen = watching.events().map(({ position, id }) => `${position} ${id}`);
      expect(seen).toEqual(written.map(({ position, id }) => `${position} ${id}`));
    }
  });

  test('whoever has reached the position of an answer has seen all that was answered before', async () => {
    const { store, start } = log();
    const done = new Set<string>();
    await Promise.all(
      writers().map(async (one) => {
        const stream = freshStream();
        const events = someEvents(1, stream);
        const { position } = await one.append([write(stream, 'none', events)]);
        done.add(events[0]!.id);
        const answered = [...done];
        const seen = eventsOf(await catchUp(store, start)).filter((event) => event.position <= position);
        const later = new Set(
          (await all(one.readLog(start))).filter((event) => event.position > position).map(({ id }) => id),
        );
        expect(seen.map(({ id }) => id)).toEqual(
          expect.arrayContaining(answered.filter((id) => !later.has(id))),
        );
      }),
    );
  });
}

/** Appends one event at a time and answers with the positions. */
async function writeChain(store: EventStore, stream: string, count: number): Promise<bigint[]> {
  const positions: bigint[] = [];
  let head: StreamHead | 'none' = 'none';
  for (let i = 0; i < count; i += 1) {
    const answer = await store.append([write(stream, head, someEvents(1, `${stream} ${i}`))]);
    [head] = answer.heads as [StreamHead];
    positions.push(answer.position);
  }
  return positions;
}

/** Appends behind whatever is there, however often others are faster. */
async function appendSomehow(store: EventStore, stream: string, name: string): Promise<void> {
  for (;;) {
    const last = (await all(store.readStream(stream))).at(-1);
    const head = last === undefined ? 'none' : { revision: last.revision, hash: last.hash };
    try {
      await append(store, stream, head, someEvents(1, name));
      return;
    } catch (error) {
      if (!isRefusal(error, 'stream_changed')) throw error;
    }
  }
}
