import { expect, test } from 'vitest';
import { runChaos } from '../chaos/run.ts';
import type { Store } from '../chaos/world.ts';

/** A little of `npm run test:chaos`, whose full run has 200 kills and 50,000 requests. */
const RUNS: readonly (readonly [Store, number])[] = [
  ['postgres', 11],
  ['eventstoredb', 12],
];

test.each(RUNS)(
  'random SIGKILLs under load lose nothing and double nothing, with the log in %s',
  { timeout: 150_000 },
  async (store, seed) => {
    const result = await runChaos({
      store,
      kills: 2,
      requests: 100,
      seed,
      clients: 12,
      progress: () => undefined,
    });
    expect(result.violations).toEqual([]);
    expect(result.kills).toBeGreaterThanOrEqual(2);
    expect(result.clients.whole).toBeGreaterThan(30);
    expect(result.spends['completed']).toBeGreaterThanOrEqual(result.clients.whole);
  },
);
