import { afterEach, beforeEach, expect, test } from 'vitest';
import { type NameClaims, nameClaims } from '../src/name-claims.ts';
import { testDatabase, type TestDatabase } from './support/database.ts';

let database: TestDatabase;
let claims: readonly NameClaims[];
beforeEach(async () => {
  database = await testDatabase();
  claims = [0, 1].map(() => nameClaims({ pool: database.pool, current: () => Promise.resolve() }));
});
afterEach(async () => {
  for (const { stop } of claims) await stop();
  await database.drop();
});

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('two processes that look for a free name and take it do so one after the other', async () => {
  await Promise.all(claims.map(({ share }) => share()));
  const taken = new Set<string>();
  let inside = 0;
  const take = (name: string) => async () => {
    inside += 1;
    expect(inside).toBe(1);
    const isFree = !taken.has(name);
    for (let i = 0; i < 20; i += 1) await turn();
    taken.add(name);
    inside -= 1;
    return isFree;
  };
  for (let round = 0; round < 5; round += 1) {
    const got = await Promise.all(claims.map(({ claim }) => claim('alias', take(`a${round}`))));
    expect(got.filter((isFree) => isFree)).toHaveLength(1);
  }
});

test('other names are claimed at the same time, and a task that fails frees its name', async () => {
  await Promise.all(claims.map(({ share }) => share()));
  const [a, b] = claims as [NameClaims, NameClaims];
  await expect(a.claim('x', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  const nested = a.claim('x', () => b.claim('y', () => Promise.resolve('both')));
  expect(await nested).toBe('both');
});

test('a process that was alone shares names only after what it had begun without claims is over', async () => {
  const [a] = claims as [NameClaims];
  let finish = (): void => {};
  const running = a.claim('x', () => new Promise<void>((resolve) => (finish = resolve)));
  let shared = false;
  const sharing = a.share().then(() => (shared = true));
  for (let i = 0; i < 5; i += 1) await turn();
  expect(shared).toBe(false);
  finish();
  await Promise.all([running, sharing]);
  expect(shared).toBe(true);
});
