import { expect, test } from 'vitest';
import { WRITE_BYTES_MAX, ZERO_HASH } from '../../src/store/event-store.ts';
import type { NewEvent } from '../../src/events.ts';
import {
  keyChanged,
  keyGenerated,
  keySettings,
  newEvent,
  oneOfEach,
  spendRecorded,
} from '../support/events.ts';
import { all, append, freshStream, someEvents, write } from '../support/log.ts';
import type { Suite } from './contract.ts';

/** Strings that travel badly: escapes, NUL, halves of characters, right to left, outside the BMP. */
const ODD_TEXTS = [
  '"\\/\b\f\n\r\t',
  '\u0000',
  '\ud800',
  '\udfff\ud800',
  'ümläut ﷽ \u202e',
  '👩‍👩‍👧',
  '\u2028',
];

export function appending({ log, gapless, comparesHashes }: Suite): void {
  test('an unknown stream is an empty one', async () => {
    expect(await all(log().store.readStream(freshStream()))).toEqual([]);
  });

  test('a stream can be read from behind a revision on', async () => {
    const { store } = log();
    const stream = freshStream();
    const events = Array.from({ length: 5 }, (_, i) => newEvent(keyGenerated(), `${stream} ${i}`));
    await store.append([write(stream, 'none', events)]);
    const revisions = async (after: bigint) =>
      (await all(store.readStream(stream, after))).map(({ revision }) => revision);
    expect(await revisions(-1n)).toEqual([0n, 1n, 2n, 3n, 4n]);
    expect(await revisions(2n)).toEqual([3n, 4n]);
    expect(await revisions(4n)).toEqual([]);
    expect(await revisions(9n)).toEqual([]);
  });

  test('an event comes back as it was given, first in its stream', async () => {
    const { store, start } = log();
    const stream = freshStream();
    const event = newEvent(keyGenerated(), stream, {
      actor: { kind: 'user', id: 'usr_1', onBehalfOf: 'Zoë' },
      tenantId: null,
      commandHash: 'a'.repeat(64),
    });
    const { position, heads } = await store.append([write(stream, 'none', [event])]);
    const [read] = await all(store.readStream(stream));
    const { recordedAt, hash, ...rest } = read!;
    expect(rest).toEqual({ ...event, stream, position, revision: 0n, schema: 1, previousHash: ZERO_HASH });
    expect(heads).toEqual([{ revision: 0n, hash }]);
    expect(new Date(recordedAt).toISOString()).toBe(recordedAt);
    expect(position).toBeGreaterThan(start);
  });

  test.each(Object.entries(oneOfEach))('%s comes back with the same facts', async (_, build) => {
    const stream = freshStream();
    await append(log().store, stream, 'none', [newEvent(build(), stream)]);
    const [read] = await all(log().other.readStream(stream));
    expect(read!.event).toEqual(build());
  });

  test('the events of a write follow each other, each holding the hash of the one before', async () => {
    const { store, start } = log();
    const stream = freshStream();
    const { position, heads } = await store.append([write(stream, 'none', 5)]);
    const read = await all(store.readStream(stream));
    expect(read.map(({ revision }) => revision)).toEqual([0n, 1n, 2n, 3n, 4n]);
    expect(read.map(({ previousHash }) => previousHash)).toEqual([
      ZERO_HASH,
      ...read.slice(0, -1).map(({ hash }) => hash),
    ]);
    expect(heads).toEqual([{ revision: 4n, hash: read[4]!.hash }]);
    expect(read[4]!.position).toBe(position);
    expectIncreasing(read.map((one) => one.position));
    if (gapless) expect(position).toBe(start + 5n);
  });

  test('the head in the answer is what the next write expects', async () => {
    const { store, other } = log();
    const stream = freshStream();
    let head = await append(store, stream, 'none', 2);
    head = await append(other, stream, head, 1);
    head = await append(store, stream, head, 3);
    expect(head.revision).toBe(5n);
    expect(await all(store.readStream(stream))).toHaveLength(6);
  });

  test.each([
    ['that must not exist yet, and does', 'none'],
    ['as it was before the last write', 'stale'],
    ['as it may be one day', 'future'],
  ] as const)('a stream %s has changed', async (_, kind) => {
    const { store } = log();
    const stream = freshStream();
    const stale = await append(store, stream, 'none', 1);
    const head = await append(store, stream, stale, 1);
    const future = { revision: head.revision + 1n, hash: head.hash };
    const expected = kind === 'none' ? kind : kind === 'stale' ? stale : future;
    const before = await store.head();
    await expect(append(store, stream, expected, 1)).rejects.toMatchObject({ code: 'stream_changed' });
    expect(await all(store.readStream(stream))).toHaveLength(2);
    expect(await store.head()).toBe(before);
    // The refusal used nothing up: the right expectation still holds.
    const next = await store.append([write(stream, head, 1)]);
    if (gapless) expect(next.position).toBe(before + 1n);
  });

  test('a stream that does not exist has no head to follow', async () => {
    const stream = freshStream();
    const head = { revision: 0n, hash: 'a'.repeat(64) };
    await expect(append(log().store, stream, head, 1)).rejects.toMatchObject({ code: 'stream_changed' });
    expect(await all(log().store.readStream(stream))).toEqual([]);
  });

  test.runIf(comparesHashes)('a head with the right revision and another hash is another head', async () => {
    const { store } = log();
    const stream = freshStream();
    const head = await append(store, stream, 'none', 1);
    const expected = { ...head, hash: 'a'.repeat(64) };
    await expect(append(store, stream, expected, 1)).rejects.toMatchObject({ code: 'stream_changed' });
  });

  test('several streams are written with one append, and answered in their order', async () => {
    const { store, start } = log();
    const streams = [freshStream(), freshStream(), freshStream()];
    const { position, heads } = await store.append(streams.map((stream, i) => write(stream, 'none', i + 1)));
    expect(heads.map(({ revision }) => revision)).toEqual([0n, 1n, 2n]);
    for (const [i, stream] of streams.entries()) {
      const read = await all(store.readStream(stream));
      expect(read.at(-1)!.hash).toBe(heads[i]!.hash);
      expect(read.every((one) => one.position > start && one.position <= position)).toBe(true);
    }
  });

  test('an append is refused when one of its streams has changed', async () => {
    const { store } = log();
    const [fresh, taken] = [freshStream(), freshStream()];
    await append(store, taken, 'none', 1);
    const writes = [write(fresh, 'none', 1), write(taken, 'none', 1)];
    await expect(store.append(writes)).rejects.toMatchObject({ code: 'stream_changed' });
    expect(await all(store.readStream(taken))).toHaveLength(1);
  });

  test('nothing to append, and one stream twice, are mistakes of the caller', async () => {
    const { store } = log();
    const stream = freshStream();
    const twice = [write(stream, 'none', 1), write(stream, 'none', 1)];
    await expect(store.append([])).rejects.toThrow(TypeError);
    await expect(store.append([write(stream, 'none', [])])).rejects.toThrow(TypeError);
    await expect(store.append(twice)).rejects.toThrow(TypeError);
    expect(await all(store.readStream(stream))).toEqual([]);
  });

  test.each(['here', 'in another process'])(
    'an append repeated %s is answered alike and stored once',
    async (where) => {
      const { store, other } = log();
      const stream = freshStream();
      const writes = [write(stream, 'none', 3)];
      const first = await store.append(writes);
      expect(await (where === 'here' ? store : other).append(writes)).toEqual(first);
      expect(await all(store.readStream(stream))).toHaveLength(3);
      expect(await store.head()).toBe(first.position);
    },
  );

  test('an append can be repeated however much was appended since', async () => {
    const { store } = log();
    const stream = freshStream();
    const head = await append(store, stream, 'none', 2);
    const again = [write(stream, head, 2)];
    const answer = await store.append(again);
    await append(store, stream, answer.heads[0]!, 300);
    expect(await store.append(again)).toEqual(answer);
    expect(await all(store.readStream(stream))).toHaveLength(304);
  });

  test('an append to several streams can be repeated', async () => {
    const { store } = log();
    const writes = [write(freshStream(), 'none', 2), write(freshStream(), 'none', 1)];
    const answer = await store.append(writes);
    expect(await store.append(writes)).toEqual(answer);
    expect(await store.head()).toBe(answer.position);
  });

  test('an append of which one stream is already written completes the others', async () => {
    const { store } = log();
    const [done, open] = [write(freshStream(), 'none', 2), write(freshStream(), 'none', 2)];
    const earlier = await store.append([done]);
    const { heads, position } = await store.append([done, open]);
    expect(heads[0]).toEqual(earlier.heads[0]);
    expect(await all(store.readStream(done.stream))).toHaveLength(2);
    expect((await all(store.readStream(open.stream))).at(-1)!.position).toBe(position);
  });

  test.each([
    ['fewer of them and another', (events: readonly NewEvent[]) => [events[0]!, ...someEvents(1)]],
    ['all of them and another', (events: readonly NewEvent[]) => [...events, ...someEvents(1)]],
    ['others', () => someEvents(2)],
    ['them in another order', (events: readonly NewEvent[]) => events.toReversed()],
  ])('repeating an append with %s is not repeating it', async (_, changed) => {
    const { store } = log();
    const stream = freshStream();
    const events = someEvents(2);
    await append(store, stream, 'none', events);
    const again = write(stream, 'none', changed(events));
    await expect(store.append([again])).rejects.toMatchObject({ code: 'stream_changed' });
    expect((await all(store.readStream(stream))).map(({ id }) => id)).toEqual(events.map(({ id }) => id));
  });

  test.runIf(comparesHashes)('the same ids with other facts are another append', async () => {
    const { store } = log();
    const stream = freshStream();
    await append(store, stream, 'none', [newEvent(spendRecorded({ status: 200 }), stream)]);
    const other = write(stream, 'none', [newEvent(spendRecorded({ status: 500 }), stream)]);
    await expect(store.append([other])).rejects.toMatchObject({ code: 'stream_changed' });
  });

  test('the same id in another stream is another event', async () => {
    const { store } = log();
    const [one, two] = [freshStream(), freshStream()];
    const events = someEvents(1);
    await append(store, one, 'none', events);
    await append(store, two, 'none', events);
    expect(await all(store.readStream(two))).toHaveLength(1);
  });

  test('900 KB in one event come back', async () => {
    const stream = freshStream();
    const event = keyChanged({ settings: keySettings({ metadata: { big: 'x€"'.repeat(150_000) } }) });
    await append(log().store, stream, 'none', [newEvent(event, stream)]);
    const [read] = await all(log().other.readStream(stream));
    expect(read!.event).toEqual(event);
  });

  test('more than a write can hold is refused before anything is written', async () => {
    const { store } = log();
    const stream = freshStream();
    const big = (name: string) =>
      newEvent(
        keyChanged({ settings: keySettings({ metadata: { big: 'x'.repeat(WRITE_BYTES_MAX / 2) } }) }),
        name,
      );
    await expect(append(store, stream, 'none', [big('1'), big('2')])).rejects.toThrow(/at most 960000/);
    expect(await all(store.readStream(stream))).toEqual([]);
    const { revision } = await append(store, stream, 'none', [big('1')]);
    expect(revision).toBe(0n);
  });

  test.each(ODD_TEXTS)('the text %j comes back to the letter', async (text) => {
    const stream = freshStream();
    const metadata = { [text]: text, nested: [[text, { [text]: null }], 1e21, -0.1, 5e-324, 2 ** 53] };
    const event = keyGenerated({ settings: keySettings({ alias: text, metadata }) });
    const actor = { kind: 'key', id: text } as const;
    await append(log().store, stream, 'none', [newEvent(event, stream, { actor })]);
    const [read] = await all(log().other.readStream(stream));
    expect(read).toMatchObject({ event, actor });
  });

  test.each<[string, Partial<NewEvent>]>([
    ['an id that is no UUID', { id: 'first' }],
    ['an id in capitals', { id: '0C1D2E3F-0000-8000-8000-000000000000' }],
    ['an instant without milliseconds', { occurredAt: '2026-11-20T10:00:00Z' }],
    ['a day that no calendar has', { occurredAt: '2026-02-30T10:00:00.000Z' }],
    ['NUL in an envelope', { correlationId: 'a\0b' }],
    ['half a character in an envelope', { causationId: 'a\ud800' }],
    ['an empty tenant', { tenantId: '' }],
    ['a command hash that is none', { commandHash: 'abc' }],
    ['a fraction where a whole number belongs', { event: spendRecorded({ durationMs: 1.5 }) }],
    ['a type that nobody knows', { event: { type: 'key.invented', data: {} } as never }],
    ['facts that nobody could read', { event: { type: 'key.blocked', data: {} } as never }],
  ])('%s is refused, and nothing is written', async (_, wrong) => {
    const { store } = log();
    const stream = freshStream();
    const events = [...someEvents(1), newEvent(keyGenerated(), stream, {})].map((event, i) =>
      i === 1 ? { ...event, ...wrong } : event,
    );
    await expect(append(store, stream, 'none', events)).rejects.toThrow(TypeError);
    expect(await all(store.readStream(stream))).toEqual([]);
  });

  test.each(['', 'key-\0', 'key-\ud800', `key-${'x'.repeat(500)}`])(
    '%j is no name of a stream',
    async (stream) => {
      await expect(append(log().store, stream, 'none', 1)).rejects.toThrow(TypeError);
    },
  );

  test('the times of recording never go backwards', async () => {
    const { store, other, start } = log();
    for (let i = 0; i < 20; i += 1) await append(i % 2 === 0 ? store : other, freshStream(), 'none', 1);
    const times = (await all(store.readLog(start))).map(({ recordedAt }) => recordedAt);
    expect(times).toHaveLength(20);
    expect(times).toEqual(times.toSorted());
  });
}

function expectIncreasing(positions: readonly bigint[]): void {
  for (const [i, position] of positions.entries()) {
    if (i > 0) expect(position).toBeGreaterThan(positions[i - 1]!);
  }
}
