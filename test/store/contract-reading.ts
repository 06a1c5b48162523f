import { expect, test } from 'vitest';
import { decode, hashHolds } from '../../src/store/codec.ts';
import { type StreamHead, UndecodableEvent } from '../../src/store/event-store.ts';
import { all, append, freshStream, write } from '../support/log.ts';
import type { Suite } from './contract.ts';
import { logWithDamage } from './damage.ts';

export function reading({ log, reopen, gapless }: Suite): void {
  test('a stream of many pages is read whole and in order', async () => {
    const { store } = log();
    const stream = freshStream();
    let head: StreamHead | 'none' = 'none';
    for (let i = 0; i < 3; i += 1) head = await append(store, stream, head, 500);
    const revisions = (await all(store.readStream(stream))).map(({ revision }) => revision);
    expect(revisions).toEqual(Array.from({ length: 1_500 }, (_, i) => BigInt(i)));
  });

  test('streams whose names begin alike are apart', async () => {
    const { store } = log();
    const stream = freshStream();
    await append(store, stream, 'none', 1);
    await append(store, `${stream}0`, 'none', 2);
    expect(await all(store.readStream(stream))).toHaveLength(1);
    expect(await all(store.readStream(stream.toUpperCase()))).toEqual([]);
  });

  test('reading may stop half-way', async () => {
    const { store } = log();
    const stream = freshStream();
    await append(store, stream, 'none', 3);
    for await (const { revision } of store.readStream(stream)) if (revision === 1n) break;
    expect(await all(store.readStream(stream))).toHaveLength(3);
  });

  test('what was answered is there for every other process', async () => {
    const { store, other } = log();
    const stream = freshStream();
    const head = await append(store, stream, 'none', 2);
    expect((await all(other.readStream(stream))).at(-1)!.hash).toBe(head.hash);
    expect(await other.head()).toBe(await store.head());
  });

  test('the head is the position of the newest event', async () => {
    const { store, start } = log();
    expect(await store.head()).toBe(start);
    const { position } = await store.append([write(freshStream(), 'none', 2)]);
    expect(await store.head()).toBe(position);
    expect((await all(store.readLog(start))).at(-1)!.position).toBe(position);
  });

  test('the log is read as it is stored, and every hash holds', async () => {
    const { store, other, start } = log();
    const streams = [freshStream(), freshStream('spend'), freshStream()];
    for (const stream of streams) await append(store, stream, 'none', 4);
    const placed = await all(other.readLog(start));
    expect(placed.map(({ stream }) => stream)).toEqual(streams.flatMap((stream) => Array(4).fill(stream)));
    expect(placed.every(hashHolds)).toBe(true);
    const decoded = (await Promise.all(streams.map((stream) => all(store.readStream(stream))))).flat();
    expect(placed.map(decode)).toEqual(decoded);
  });

  test('the log is read from the middle, in pages, and from its end', async () => {
    const { store, start } = log();
    for (let i = 0; i < 3; i += 1) await append(store, freshStream(), 'none', 400);
    const whole = await all(store.readLog(start));
    expect(whole).toHaveLength(1_200);
    expect(await all(store.readLog(whole[549]!.position))).toEqual(whole.slice(550));
    expect(await all(store.readLog(whole.at(-1)!.position))).toEqual([]);
  });

  test('reading the log ends where it stood at the beginning', async () => {
    const { store, start } = log();
    await append(store, freshStream(), 'none', 3);
    let count = 0;
    for await (const placed of store.readLog(start)) {
      count += 1;
      expect(placed.position).toBeGreaterThan(start);
      await append(store, freshStream(), 'none', 1);
    }
    expect(count).toBe(3);
  });

  test('an event that cannot be read ends the reading of its stream, after everything before it', async () => {
    const { stored, stream, damaged } = logWithDamage();
    const { store, start } = await reopen(stored);
    const seen: bigint[] = [];
    const failure = await (async () => {
      for await (const { revision } of store.readStream(stream)) seen.push(revision);
    })().catch((error: unknown) => error);
    expect(seen).toEqual([0n, 1n]);
    expect(failure).toBeInstanceOf(UndecodableEvent);
    expect(failure).toMatchObject({ stream, revision: 2n, eventId: damaged.id, eventType: 'key.invented' });
    if (gapless) expect(failure).toMatchObject({ position: start + damaged.position });
    // As it is stored it can still be looked at.
    expect((await all(store.readLog(start))).map(({ type }) => type)).toContain('key.invented');
  });
}
