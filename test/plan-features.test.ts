import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { formatNanos } from '../src/domain/money.ts';
import { overageFor } from '../src/domain/plan.ts';
import { readTerms, termsToJson } from '../src/domain/terms-json.ts';
import { type Tiers, tierDifference } from '../src/domain/tiers.ts';
import { diffTerms } from '../src/plan-diff.ts';
import { planSchema } from '../src/plan-file.ts';
import { PlansInvalid, readPlans } from '../src/plans.ts';

const GOOD = readFileSync('plans/starter.yaml', 'utf8');
const folders: string[] = [];
afterEach(() => {
  for (const dir of folders.splice(0)) rmSync(dir, { recursive: true });
});

/** The shipped starter plan with lines put before its prices and edits of the rest. */
function planWith(lines: string, ...edits: readonly (readonly [string, string])[]) {
  const dir = mkdtempSync(join(tmpdir(), 'plans-'));
  folders.push(dir);
  let text = GOOD.replace('prices:\n', `${lines}\nprices:\n`);
  for (const [found, put] of edits) text = text.replace(found, put);
  writeFileSync(join(dir, 'starter.yaml'), text);
  try {
    return { terms: readPlans(dir)[0]!.terms, problems: [] };
  } catch (error) {
    if (!(error instanceof PlansInvalid)) throw error;
    return {
      terms: null,
      problems: error.problems.map((problem) => problem.replace(/^.*starter\.yaml:/, '')),
    };
  }
}

const THROTTLE = 'throttle: { requests_per_minute: 30, tokens_per_minute: 20000 }';
const ALL = `project_fee: "5.00"
included_tokens: 1000000
included_requests: 5000
minimum_commitment: "100.00"
fees: advance
trial_days: 14
notice_period: 30d
key_rules: { lifetime_max: 1mo, rotation: 7d, keys_max: 20, projects_max: 5 }`;

describe('a plan file', () => {
  test('may say all of it, and the terms come back from a read model as they were', () => {
    const { terms, problems } = planWith(ALL);
    expect(problems).toEqual([]);
    expect(terms).toMatchObject({
      projectFeeNanos: 5_000_000_000n,
      includedTokens: 1_000_000n,
      includedRequests: 5_000n,
      commitmentNanos: 100_000_000_000n,
      feesInAdvance: true,
      trialDays: 14,
      notice: '30d',
      keyRules: { lifetimeMax: '1mo', rotation: '7d', keysMax: 20, projectsMax: 5 },
    });
    expect(readTerms(termsToJson(terms!))).toEqual(terms);
  });

  test('is told what is wrong with its line', () => {
    expect(planWith('trial_dayz: 14').problems).toEqual([
      expect.stringMatching(/^\d+:\d+ trial_dayz: there is no such field$/),
    ]);
    expect(planWith('overage: block\nincluded_tokens: 5').problems).toEqual([
      expect.stringContaining('overage: block needs included_usage as an amount above zero'),
    ]);
    expect(planWith('overage: throttle').problems).toEqual([
      expect.stringMatching(/^\d+:\d+ overage: throttle: .* goes with overage: throttle$/),
    ]);
    expect(planWith(`overage: bill\n${THROTTLE}`).problems).toHaveLength(1);
    expect(planWith(`overage: throttle\n${THROTTLE}\nincluded_tokens: 5`).problems).toHaveLength(1);
    const rateless = THROTTLE.replaceAll(/: \d+/g, ': null');
    expect(planWith(`overage: throttle\n${rateless}`).problems).toEqual([
      expect.stringContaining('throttle needs a rate that is not null'),
    ]);
  });

  test('may slow down what goes beyond the included usage', () => {
    const { terms, problems } = planWith(`overage: throttle\n${THROTTLE}`);
    expect(problems).toEqual([]);
    expect(overageFor(terms!)).toEqual({
      includedNanos: terms!.includedUsageNanos,
      rates: { requestsPerMinute: 30, tokensPerMinute: 20_000 },
    });
    expect(readTerms(termsToJson(terms!))).toEqual(terms);
  });

  test('may have prices in steps, whose first is the price that requests are recorded at', () => {
    const price = 'demo-small: { input: "0.30", cached_input: "0.15", output: "1.20" }';
    const steps = (first: string, last: string) =>
      `demo-small: { input: "0.30", cached_input: "0.15", output: "1.20", tiers: { output: { mode: volume, steps: [{ up_to: 1000, price: "${first}" }, { up_to: ${last}, price: "1.00" }] }, input: { mode: package, size: 500 } } }`;
    const { terms } = planWith('', [price, steps('1.20', 'null')]);
    expect(terms!.prices.models['demo-small']!.tiers).toEqual({
      input: { mode: 'package', steps: [{ upTo: null, rate: 300_000_000n }], packageSize: 500n },
      output: {
        mode: 'volume',
        steps: [
          { upTo: 1000n, rate: 1_200_000_000n },
          { upTo: null, rate: 1_000_000_000n },
        ],
        packageSize: 0n,
      },
    });
    expect(readTerms(termsToJson(terms!))).toEqual(terms);
    expect(planWith('', [price, steps('1.10', 'null')]).problems[0]).toContain('the first step has to cost');
    expect(planWith('', [price, steps('1.20', '900')]).problems[0]).toContain('the steps have to ascend');
  });

  test('has its JSON Schema beside it', () => {
    expect(JSON.parse(readFileSync('plans/plan.schema.json', 'utf8'))).toEqual(planSchema());
  });

  test('differs from another version in the members that are named', () => {
    const { terms } = planWith('trial_days: 14', ['monthly_fee: "49.00"', 'monthly_fee: "59.00"']);
    const before = readPlans('plans').find((plan) => plan.terms.plan === 'starter')!.terms;
    expect(diffTerms(before, terms!)).toEqual([
      { term: 'monthlyFeeNanos', before: '"49000000000"', after: '"59000000000"' },
      { term: 'trialDays', before: null, after: '14' },
    ]);
    expect(diffTerms(before, before)).toEqual([]);
  });
});

describe('the worked example of tiers: 12 million units, 1.00 per million up to 10 million and 0.80 beyond', () => {
  const steps = [
    { upTo: 10_000_000n, rate: 1_000_000_000n },
    { upTo: null, rate: 800_000_000n },
  ];
  const difference = (tiers: Partial<Tiers>, quantity = 12_000_000n) =>
    formatNanos(tierDifference({ mode: 'graduated', steps, packageSize: 0n, ...tiers }, quantity));

  test('recorded at 12.00 comes to 11.60 graduated and 9.60 by volume', () => {
    expect(difference({})).toBe('-0.4');
    expect(difference({ mode: 'volume' })).toBe('-2.4');
    expect(difference({ mode: 'volume' }, 10_000_000n)).toBe('0');
  });

  test('in packages of 5 million comes to three packages', () => {
    expect(difference({ mode: 'package', packageSize: 5_000_000n })).toBe('3');
    expect(difference({ mode: 'package', packageSize: 5_000_000n }, 10_000_000n)).toBe('0');
    expect(difference({ mode: 'package', packageSize: 5_000_000n }, 0n)).toBe('0');
  });
});
