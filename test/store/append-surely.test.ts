import { describe, expect, test } from 'vitest';
import { Refusal } from '../../src/errors.ts';
import { appendSurely } from '../../src/store/append-surely.ts';
import type { Appended, Write } from '../../src/store/event-store.ts';
import { memoryStore } from '../../src/store/memory.ts';
import { AT } from '../support/events.ts';
import { freshStream, write } from '../support/log.ts';

const answer: Appended = { position: 1n, positions: [], heads: [] };

/** Fails with these errors, one after the other, then answers; keeps what it was asked and how long was waited. */
function failing(errors: readonly Error[]) {
  const asked: (readonly Write[])[] = [];
  const waits: number[] = [];
  const store = {
    append(writes: readonly Write[]) {
      asked.push(writes);
      const error = errors[asked.length - 1];
      return error === undefined ? Promise.resolve(answer) : Promise.reject(error);
    },
  };
  const pause = (ms: number) => Promise.resolve(waits.push(ms));
  return { store, asked, waits, pause };
}

const lost = (count: number) => Array.from({ length: count }, (_, i) => new Error(`lost ${i}`));

describe('appending surely', () => {
  test('repeats the identical append until its outcome is known, waiting ever longer', async () => {
    const { store, asked, waits, pause } = failing(lost(9));
    const writes = [write(freshStream(), 'none', 2)];
    const retries: number[] = [];
    const onRetry = (_: unknown, attempt: number) => void retries.push(attempt);
    const options = { attemptsMax: 10, pause, random: () => 1, onRetry };
    expect(await appendSurely(store, writes, options)).toBe(answer);
    expect(asked).toHaveLength(10);
    expect(asked.every((one) => one === writes)).toBe(true);
    expect(waits).toEqual([50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    expect(retries).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test('spreads the waits of many, never below the half', async () => {
    const { store, waits, pause } = failing(lost(3));
    await appendSurely(store, [], { attemptsMax: 9, pause, random: () => 0 });
    expect(waits).toEqual([25, 50, 100]);
  });

  test.each([new Refusal('stream_changed'), new TypeError('cannot be stored')])(
    'takes %s for an answer',
    async (error) => {
      const { store, asked, pause } = failing([error]);
      await expect(appendSurely(store, [], { attemptsMax: 9, pause })).rejects.toBe(error);
      expect(asked).toHaveLength(1);
    },
  );

  test('gives up after the attempts it was given, with the last error', async () => {
    const { store, asked, pause } = failing(lost(9));
    await expect(appendSurely(store, [], { attemptsMax: 3, pause })).rejects.toThrow('lost 2');
    expect(asked).toHaveLength(3);
  });

  test('stops waiting when it is told to, and tries once more', async () => {
    const { store, asked } = failing(lost(9));
    const ending = new AbortController();
    const options = { attemptsMax: Number.POSITIVE_INFINITY, signal: ending.signal, random: () => 1 };
    const onRetry = () => ending.abort();
    await expect(appendSurely(store, [], { ...options, onRetry })).rejects.toThrow('lost 1');
    expect(asked).toHaveLength(2);
  });

  test('stores once what was written although the answer was lost', async () => {
    const memory = memoryStore({ now: () => AT });
    let answers = 0;
    const append = async (writes: readonly Write[]) => {
      const appended = await memory.append(writes);
      answers += 1;
      if (answers < 4) throw new Error('the connection was lost');
      return appended;
    };
    const writes = [write(freshStream(), 'none', 3)];
    const appended = await appendSurely({ append }, writes, {
      attemptsMax: 5,
      pause: () => Promise.resolve(),
    });
    expect(appended.position).toBe(3n);
    expect(await memory.head()).toBe(3n);
  });
});
