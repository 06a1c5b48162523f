import { expect, test } from 'vitest';
import { positionWaiters } from '../src/position-waiters.ts';

const LONG_MS = 60_000;

test('releases exactly those whose position is reached, in whatever order they came', async () => {
  const waiters = positionWaiters(0n);
  const released: bigint[] = [];
  const positions = Array.from({ length: 2_000 }, (_, i) => BigInt((i * 7_919) % 2_000) + 1n);
  const all = positions.map((position) =>
    waiters.wait(position, LONG_MS).then(() => released.push(position)),
  );
  waiters.advance(700n);
  await Promise.resolve();
  expect(released.toSorted((a, b) => Number(a - b))).toEqual(
    Array.from({ length: 700 }, (_, i) => BigInt(i + 1)),
  );
  expect(waiters.count).toBe(1_300);
  waiters.advance(2_000n);
  await Promise.all(all);
  expect(waiters.count).toBe(0);
});

test('a position that is reached already is no wait, and an advance never goes back', async () => {
  const waiters = positionWaiters(5n);
  waiters.advance(3n);
  expect(waiters.reached).toBe(5n);
  await waiters.wait(5n, LONG_MS);
});

test('who waits too long is told that the read is stale, and leaves nothing behind', async () => {
  const waiters = positionWaiters(0n);
  await expect(waiters.wait(9n, 1)).rejects.toMatchObject({
    code: 'stale_read',
    status: 503,
    detail: { position: '9' },
  });
  expect(waiters.count).toBe(0);
  waiters.advance(9n);
});

test('when nothing more will come, nobody is left waiting', async () => {
  const waiters = positionWaiters(0n);
  const waiting = waiters.wait(2n, LONG_MS);
  waiters.stop();
  await expect(waiting).rejects.toMatchObject({ code: 'stale_read' });
  await expect(waiters.wait(2n, LONG_MS)).rejects.toMatchObject({ code: 'stale_read' });
});
