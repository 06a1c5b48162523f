import { expect, test } from 'vitest';
import type { Deployment } from '../src/domain/deployment.ts';
import { seedCosts } from '../src/price-library.ts';
import { deploymentOf } from './support/deployment.ts';

const deployment = (upstreamModel: string | null, said: Partial<Deployment> = {}) =>
  deploymentOf('d', { upstreamModel, ...said });

test('a well-known model has costs without anybody stating them, in the agency’s currency', async () => {
  const seed = await seedCosts('0.5');
  expect(seed(deployment('gpt-4o-mini')).costRates).toMatchObject({
    input: 75_000_000n,
    'cached-input': 37_500_000n,
    output: 300_000_000n,
  });
});

test('a price that depends on the length of the prompt counts at its dearest', async () => {
  const { costRates } = (await seedCosts('1'))(deployment('claude-sonnet-4-5'));
  expect(costRates).toMatchObject({ input: 6_000_000_000n, 'cache-write': 7_500_000_000n });
});

test('what is stated counts more, and what nobody knows stays unknown', async () => {
  const seed = await seedCosts('1');
  const costRates = { input: 1n, 'cached-input': 1n, output: 1n };
  expect(seed(deployment('gpt-4o-mini', { costRates })).costRates).toBe(costRates);
  for (const name of ['our-own-model', null]) expect(seed(deployment(name)).costRates).toBeNull();
});

test('without the setting nothing is seeded', async () => {
  const one = deployment('gpt-4o-mini');
  expect((await seedCosts(null))(one)).toBe(one);
});
