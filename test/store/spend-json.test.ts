import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { canonicalJson } from '../../src/domain/json.ts';
import { OTHER_UNITS, OUTCOMES, type SpendRecorded, UNITS } from '../../src/domain/spend.ts';
import { spendJson } from '../../src/store/spend-json.ts';
import { runs } from '../support/runs.ts';

const nanos = fc.bigInt({ min: 0n, max: 10n ** 20n });
const count = fc.nat();
const text = fc.string({ unit: 'binary' });
const maybeText = fc.option(text);
const required = {
  requestId: text,
  responseId: maybeText,
  keyId: text,
  tokenHash: text,
  projectId: maybeText,
  userId: maybeText,
  endUser: maybeText,
  tags: fc.array(text),
  route: text,
  model: text,
  deployment: text,
  stream: fc.boolean(),
  admittedAt: fc.constant('2026-11-20T10:00:00.000Z'),
  month: fc.constant('2026-11'),
  outcome: fc.constantFrom(...OUTCOMES),
  status: count,
  usageSource: fc.constantFrom('reported', 'estimated', 'none'),
  usage: fc.record(
    {
      inputTokens: count,
      cachedInputTokens: count,
      outputTokens: count,
      reasoningTokens: count,
      units: fc.dictionary(fc.constantFrom(...OTHER_UNITS), count),
    },
    { requiredKeys: ['inputTokens', 'cachedInputTokens', 'outputTokens', 'reasoningTokens'] },
  ),
  lines: fc.array(
    fc.record({
      unit: fc.constantFrom(...UNITS),
      quantity: count,
      priceRate: nanos,
      priceNanos: nanos,
      costNanos: nanos,
    }),
  ),
  currency: fc.constantFrom('EUR', 'USD'),
  priceNanos: nanos,
  costNanos: nanos,
  durationMs: count,
  firstByteMs: fc.option(count),
};
const spend: fc.Arbitrary<SpendRecorded['data']> = fc.record(
  { ...required, rawUsage: fc.dictionary(fc.constantFrom('b', 'a', 'total_tokens'), count) },
  { requiredKeys: Object.keys(required) as (keyof typeof required)[] },
);

// Guarantee: the fast way writes what the general way writes, so that hashes hold whoever wrote.
test('spend is written in canonical form, to the byte', () => {
  fc.assert(
    fc.property(spend, (data) => {
      expect(spendJson(data)).toBe(canonicalJson(data));
    }),
    runs(200),
  );
});
