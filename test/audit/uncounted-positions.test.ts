import { expect, test } from 'vitest';
import { chainCheck } from '../../src/audit/chain-check.ts';
import { memoryStore } from '../../src/store/memory.ts';
import type { Placed } from '../../src/store/stored-event.ts';
import { AT } from '../support/events.ts';
import { all, append } from '../support/log.ts';

/** A log whose positions are offsets, as EventStoreDB has them. */
async function uncounted(): Promise<Placed[]> {
  const store = memoryStore({ now: () => AT });
  const head = await append(store, 'key-a', 'none', 3);
  await append(store, 'key-b', 'none', 2);
  await append(store, 'key-a', head, 2);
  return (await all(store.readLog(0n))).map((one) => ({ ...one, position: one.position * 613n + 1_000n }));
}

function problems(log: readonly Placed[]): Record<string, readonly string[]> {
  const check = chainCheck({ gapless: false });
  for (const placed of log) check.accept(placed);
  const failed = check.results(log.at(-1)!.position).filter(({ ok }) => !ok);
  return Object.fromEntries(failed.map(({ name, at }) => [name, at.map(({ problem }) => problem)]));
}

test('positions that are not counted are no holes', async () => {
  const log = await uncounted();
  expect(problems(log)).toEqual({});
  const counted = chainCheck();
  for (const placed of log) counted.accept(placed);
  expect(counted.results(log.at(-1)!.position).find(({ name }) => name === 'positions')?.ok).toBe(false);
});

test('an event that was removed is found by its stream', async () => {
  const log = await uncounted();
  for (const at of [0, 1, 3]) {
    expect(problems(log.toSpliced(at, 1))['chains']?.join()).toContain('events are missing');
  }
});

test('an event that stands behind its place is found', async () => {
  const log = await uncounted();
  const swapped = log.with(3, log[4]!).with(4, log[3]!);
  expect(problems(swapped)['positions']?.join()).toContain('is out of order');
});
