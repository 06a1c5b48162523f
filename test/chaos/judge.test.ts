import { expect, test } from 'vitest';
import type { SimulatedCall } from '../../src/demo/simulated-stats.ts';
import { spendRecorded } from '../support/events.ts';
import type { Observation } from './clients.ts';
import { type Evidence, judge, type Spend } from './judge.ts';

/** The judge of a chaos run must be able to convict: each broken promise is shown to it once. */
const rates = { input: 150n, 'cached-input': 75n, output: 600n };
const customer = { keyId: 'key_1', secret: 'sk-1', tenantId: 'ten_1', rates };
const whole: Observation = {
  marker: 'm1',
  customer,
  stream: true,
  maxTokens: 20,
  end: 'whole',
  status: 200,
  tokens: 20,
  usage: { prompt: 10, completion: 20 },
  responseId: 'r',
};
const answered: SimulatedCall = { user: 'm1', outcome: 'answered', promptTokens: 10, completionTokens: 20 };
const completed = (changes: Partial<Spend['data']> = {}): Spend['data'] => ({
  ...spendRecorded().data,
  keyId: 'key_1',
  endUser: 'm1',
  outcome: 'completed',
  usageSource: 'reported',
  usage: { inputTokens: 10, cachedInputTokens: 0, outputTokens: 20, reasoningTokens: 0 },
  priceNanos: 13_500n,
  ...changes,
});
const interrupted = (outputTokens: number): Spend['data'] =>
  completed({
    outcome: 'interrupted',
    usageSource: 'estimated',
    usage: { inputTokens: 10, cachedInputTokens: 0, outputTokens, reasoningTokens: 0 },
    priceNanos: 1_500n + 600n * BigInt(outputTokens),
  });
const spend = (data: Spend['data'], eventId = 'e1'): Spend => ({ eventId, tenantId: 'ten_1', data });

/** With sums that fit the spends. */
function evidence(changes: Partial<Evidence> = {}): Evidence {
  const spends = changes.spends ?? [spend(completed())];
  const nanos = spends.reduce((sum, { data }) => sum + data.priceNanos, 0n);
  return {
    observations: [whole],
    calls: [answered],
    spends,
    keySpend: new Map([['key_1', Number(nanos) / 1e9]]),
    tenantUsage: new Map([['ten_1', nanos]]),
    spoolFiles: [],
    longestSyncMs: 20,
    ...changes,
  };
}

const broken: Observation = { ...whole, end: 'broken', tokens: 7, usage: null };

test('a run in which everything was kept is found in order', () => {
  expect(judge(evidence())).toEqual([]);
  expect(
    judge(
      evidence({
        observations: [broken],
        calls: [{ ...answered, outcome: 'aborted', completionTokens: 9 }],
        spends: [spend(interrupted(9))],
      }),
    ),
  ).toEqual([]);
});

test.each<[string, Evidence, RegExp]>([
  ['an answer without a record', evidence({ spends: [] }), /was delivered and is not recorded/],
  [
    'a call without a record',
    evidence({ observations: [{ ...broken, tokens: 0 }], spends: [] }),
    /reached the upstream and is not recorded/,
  ],
  [
    'a request recorded twice',
    evidence({ spends: [spend(completed()), spend(completed(), 'e2')] }),
    /is recorded 2 times/,
  ],
  [
    'an event that is there twice',
    evidence({ spends: [spend(completed()), spend(completed())] }),
    /an event id is in the log twice/,
  ],
  [
    'a price that is off by one nano',
    evidence({ spends: [spend(completed({ priceNanos: 13_501n }))] }),
    /costs 13501 instead of 13500/,
  ],
  [
    'a wrong usage',
    evidence({
      spends: [
        spend(
          completed({
            usage: { inputTokens: 10, cachedInputTokens: 0, outputTokens: 19, reasoningTokens: 0 },
            priceNanos: 12_900n,
          }),
        ),
      ],
    }),
    /not recorded with the usage that the upstream reported/,
  ],
  [
    'fewer tokens than arrived',
    evidence({ observations: [broken], spends: [spend(interrupted(6))] }),
    /is charged 6 tokens of 7 that arrived/,
  ],
  [
    'more than the worst case',
    evidence({ observations: [broken], spends: [spend(interrupted(21))] }),
    /more than the worst case of 20 tokens/,
  ],
  [
    'a charge for an answer that never began',
    evidence({
      observations: [{ ...broken, tokens: 0 }],
      calls: [{ ...answered, outcome: 'aborted', completionTokens: 0 }],
      spends: [spend(interrupted(1))],
    }),
    /never began and costs something/,
  ],
  ['a record that nobody caused', evidence({ observations: [], calls: [] }), /no client sent it/],
  [
    'an answer recorded as cut off',
    evidence({ spends: [spend(interrupted(20))] }),
    /received in full and is recorded as interrupted/,
  ],
  ['a key that was spent less on', evidence({ keySpend: new Map([['key_1', 0.0000134]]) }), /key\/info says/],
  ['a read model that has less', evidence({ tenantUsage: new Map() }), /the read model usage has 0 nanos/],
  [
    'a client that never got an answer',
    evidence({ observations: [{ ...broken, end: 'silent' }], spends: [spend(interrupted(9))] }),
    /never got an answer/,
  ],
  ['a file in the spool', evidence({ spoolFiles: ['w-000001.spool'] }), /left in the spool/],
])('%s is found', (_, shown, expected) => {
  expect(judge(shown).join('\n')).toMatch(expected);
});
