import { describe, expect, test } from 'vitest';
import type { Placed } from '../../src/store/stored-event.ts';
import { createTail, follow } from '../../src/store/tail.ts';

const bounds = { eventsMax: 4, charactersMax: 1_000, positions: 'gapless' } as const;

/** Only its place and its type matter here: nobody reads it. */
function event(position: bigint, type: string): Placed {
  return { position, type, data: '{}' } as Placed;
}

function tailOf(...types: readonly string[]) {
  const tail = createTail(bounds);
  types.forEach((type, i) => tail.push(event(BigInt(i + 1), type)));
  return tail;
}

const NOTHING = { prefixes: [], batchMax: 10, bare: false };
const SPEND = { prefixes: ['spend.'], batchMax: 10, bare: false };
const KEYS = { prefixes: ['key.'], batchMax: 10, bare: false };

describe('the tail of a log', () => {
  test('forgets what nobody waits for as soon as somebody reads', () => {
    const tail = tailOf('spend.recorded', 'spend.recorded', 'key.blocked');
    const reader = tail.open(0n, NOTHING);
    expect(tail.cut(reader).position).toBe(3n);
    expect([tail.from, tail.to]).toEqual([3n, 3n]);
  });

  test('keeps an event until the slowest of those who want it has had it', () => {
    const tail = tailOf('spend.recorded', 'spend.recorded');
    const slow = tail.open(0n, SPEND);
    tail.cut(tail.open(0n, NOTHING));
    expect(tail.from).toBe(0n);
    tail.close(slow);
    tail.cut(tail.open(0n, NOTHING));
    expect(tail.from).toBe(2n);
  });

  test('takes a reader along past what it does not want', () => {
    const tail = tailOf('spend.recorded', 'spend.recorded', 'key.blocked');
    const pausing = tail.open(0n, KEYS);
    tail.cut(tail.open(0n, NOTHING));
    expect(pausing.at).toBe(2n);
    expect([tail.from, tail.to]).toEqual([2n, 3n]);
  });

  test('does not wait for a reader of what it has forgotten, and leaves him where he is', () => {
    const tail = tailOf('spend.recorded', 'spend.recorded');
    tail.cut(tail.open(0n, NOTHING));
    const late = tail.open(0n, SPEND);
    tail.push(event(3n, 'spend.recorded'));
    tail.cut(tail.open(2n, NOTHING));
    expect(late.at).toBe(0n);
    expect(tail.from).toBe(3n);
  });

  test('holds no more than it may, however slow a reader is', () => {
    const tail = createTail(bounds);
    const slow = tail.open(0n, SPEND);
    for (let position = 1n; position <= 9n; position += 1n) tail.push(event(position, 'spend.recorded'));
    expect([tail.from, tail.to]).toEqual([5n, 9n]);
    expect(slow.at).toBe(0n);
  });

  test('leaves spend out as long as nobody reads it, and then forgets that stretch', () => {
    const tail = createTail(bounds);
    const bare = tail.open(0n, { ...SPEND, bare: true });
    expect(tail.thin).toBe(true);
    tail.pass(7n, [event(2n, 'key.blocked'), event(6n, 'key.blocked')], 5n);
    expect(tail.cut(bare)).toEqual({ events: [], last: 5n, position: 7n, failure: null });
    tail.pass(9n, [event(6n, 'key.blocked')], 8n);
    tail.open(7n, SPEND);
    expect([tail.thin, tail.from, tail.to]).toEqual([false, 9n, 9n]);
  });

  test('tells a reader who read further in the log itself when it has come there too', async () => {
    const tail = tailOf('spend.recorded');
    tail.cut(tail.open(0n, NOTHING));
    const source = {
      tail,
      refresh: () => Promise.resolve(),
      older: () => Promise.resolve({ events: [], last: null, position: 2n, failure: null }),
      isBehind: () => tail.to < 2n,
    };
    const batches = follow(source, 0n, new AbortController().signal, {});
    expect((await batches.next()).value).toMatchObject({ position: 2n, caughtUp: false });
    const next = batches.next();
    tail.push(event(2n, 'spend.recorded'));
    expect((await next).value).toMatchObject({ position: 2n, caughtUp: true });
    await batches.return();
  });
});
