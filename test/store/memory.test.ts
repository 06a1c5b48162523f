import { expect, test } from 'vitest';
import { hashHolds } from '../../src/store/codec.ts';
import { memoryStore } from '../../src/store/memory.ts';
import { AT } from '../support/events.ts';
import { all, append, freshStream } from '../support/log.ts';
import { eventStoreContract } from './contract.ts';

eventStoreContract('memory', {
  gapless: true,
  comparesHashes: true,
  keepsForeign: false,
  open: (stored = []) => {
    const store = memoryStore({ now: () => AT, stored });
    return Promise.resolve({ store, other: store, start: 0n, close: () => store.close() });
  },
});

test('a log that was read from one store can be opened in another, and continued', async () => {
  const first = memoryStore({ now: () => AT });
  const stream = freshStream();
  const head = await append(first, stream, 'none', 3);
  const second = memoryStore({ now: () => AT, stored: await all(first.readLog(0n)) });
  await append(second, stream, head, 1);
  const placed = await all(second.readLog(0n));
  expect(placed.slice(0, 3)).toEqual(await all(first.readLog(0n)));
  expect(placed[3]).toMatchObject({ position: 4n, revision: 3n, previousHash: head.hash });
  expect(placed.every(hashHolds)).toBe(true);
});
