import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { priceRate } from '../src/domain/money.ts';
import type { Terms } from '../src/domain/plan.ts';
import { checkPlans, type PlanDefinition, PlansInvalid, publishPlans, readPlans } from '../src/plans.ts';
import type { EventStore } from '../src/store/event-store.ts';
import { memoryStore } from '../src/store/memory.ts';
import type { CommandMeta } from '../src/transact.ts';

const SHIPPED = 'plans';
const GOOD = readFileSync(join(SHIPPED, 'starter.yaml'), 'utf8');
const NOW = '2026-11-20T10:00:00.000Z';
const folders: string[] = [];
let commands = 0;

/** A folder with these plan files; `starter.yaml` is the shipped one when its text is left out. */
function folder(files: Readonly<Record<string, string>>): string {
  const dir = mkdtempSync(join(tmpdir(), 'plans-'));
  folders.push(dir);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  return dir;
}

/** What is said about the shipped starter plan after one edit: `line:column field: message`. */
function problemsAfter(edit: readonly [found: string, put: string]): readonly string[] {
  expect(GOOD).toContain(edit[0]);
  const dir = folder({ 'starter.yaml': GOOD.replace(...edit) });
  return problemsOf(dir).map((problem) => problem.replace(`${join(dir, 'starter.yaml')}:`, ''));
}

function problemsOf(dir: string): readonly string[] {
  try {
    readPlans(dir);
    return [];
  } catch (error) {
    if (error instanceof PlansInvalid) return error.problems;
    throw error;
  }
}

afterEach(() => {
  for (const dir of folders.splice(0)) rmSync(dir, { recursive: true });
});

describe('the plans that come with the product', () => {
  const plans = readPlans(SHIPPED);
  const byName = (name: string) => plans.find(({ terms }) => terms.plan === name)!;

  test('are three valid tiers', () => {
    expect(plans.map(({ terms }) => terms.plan)).toEqual(['agency', 'starter', 'studio']);
    expect(checkPlans(SHIPPED)).toMatchObject({ ok: true });
  });

  test('are read exactly', () => {
    expect(byName('starter')).toMatchObject({
      title: 'Starter',
      terms: {
        planVersion: 1,
        currency: 'EUR',
        monthlyFeeNanos: 49_000_000_000n,
        includedUsageNanos: 10_000_000_000n,
        prices: {
          markupPercent: '30',
          models: {
            'demo-small': {
              inputRate: 300_000_000n,
              cachedInputRate: 150_000_000n,
              outputRate: 1_200_000_000n,
            },
          },
        },
        limits: {
          staging: {
            requestsPerMinute: 30,
            tokensPerMinute: 40_000,
            parallelRequests: 4,
            models: [],
            budget: { nanos: 10_000_000_000n, window: '1mo' },
          },
        },
        tenantLimits: { requestsPerMinute: 300 },
      },
    });
  });

  test('keep titles and descriptions out of what is agreed', () => {
    for (const { terms } of plans) expect(Object.keys(terms)).not.toContain('title');
  });

  test('price every token in whole nanos', () => {
    for (const { terms } of plans) {
      for (const price of Object.values(terms.prices.models)) {
        for (const rate of Object.values(price)) expect(priceRate(rate)).toBe(rate);
      }
    }
  });

  test('price the models of the demo, cheaper in each higher tier', () => {
    for (const model of ['demo-small', 'demo-large', 'demo-embed']) {
      const rates = ['starter', 'studio', 'agency'].map(
        (name) => byName(name).terms.prices.models[model]!.inputRate,
      );
      expect(rates[0]! > rates[1]! && rates[1]! > rates[2]!).toBe(true);
    }
  });

  test('never allow one key more than the whole tenant', () => {
    for (const { terms } of plans) {
      const { tenantLimits } = terms;
      for (const limits of Object.values(terms.limits)) {
        expect(limits.requestsPerMinute!).toBeLessThanOrEqual(tenantLimits.requestsPerMinute!);
        expect(limits.tokensPerMinute!).toBeLessThanOrEqual(tenantLimits.tokensPerMinute!);
        expect(limits.parallelRequests!).toBeLessThanOrEqual(tenantLimits.parallelRequests!);
        expect(limits.budget!.nanos).toBeLessThanOrEqual(tenantLimits.budget!.nanos);
      }
    }
  });
});

describe('a plan file', () => {
  test.each([
    ['an amount without quotes', ['"49.00"', '49.00'], '12:14 monthly_fee: write the amount in quotes'],
    ['an amount without cents', ['"49.00"', '"49"'], '12:14 monthly_fee: write the amount in quotes'],
    ['a negative amount', ['"10.00"', '"-10.00"'], '13:17 included_usage: write the amount'],
    [
      'a price that is finer than a nano per token',
      ['"0.30"', '"0.3001"'],
      '21:26 prices.models.demo-small.input: write',
    ],
    [
      'an unknown field',
      ['staging:\n', 'staging:\n    rpm: 3\n'],
      '34:10 limits.staging.rpm: there is no such field',
    ],
    ['a misspelt environment', ['  staging:', '  stagin:'], 'limits.stagin: there is no such field'],
    ['an unknown field at the top', ['title:', 'colour: red\ntitle:'], '7:9 colour: there is no such field'],
    ['a missing title', ['title: Starter\n', ''], 'title: is missing'],
    [
      'a missing limit',
      ['    parallel_requests: 10\n', ''],
      '27:3 limits.production.parallel_requests: is missing',
    ],
    [
      'a limit of 0',
      ['requests_per_minute: 120', 'requests_per_minute: 0'],
      '28:26 limits.production.requests_per_minute',
    ],
    [
      'a limit as text',
      ['tokens_per_minute: 40000', 'tokens_per_minute: a lot'],
      'write a whole number, or null',
    ],
    [
      'a window that is no duration',
      ['window: 1mo', 'window: 1month'],
      '31:41 limits.production.budget.window: not a duration',
    ],
    ['a currency without cents', ['EUR', 'JPY'], '9:11 currency'],
    ['a version 0', ['version: 1', 'version: 0'], '6:10 version'],
    [
      'a percentage without quotes',
      ['"30"', '30'],
      '18:19 prices.markup_percent: write the percentage in quotes',
    ],
    [
      'a price for a pattern',
      ['demo-embed:', '"demo-*":'],
      '23:5 prices.models.demo-*: write one model name',
    ],
    ['a field twice', ['version: 1', 'version: 1\nversion: 2'], '7:1 Map keys must be unique'],
    ['an alias', ['version: 1', 'version: &v 1\nother: *v'], '7:8 write it out'],
    ['a tag', ['version: 1', 'version: !!js/function 1'], '6:10 Unresolved tag'],
    ['a second document', ['\nprices:', '\n---\nprices:'], 'multiple documents'],
  ] as const)('with %s is refused at that place', (_, edit, problem) => {
    const problems = problemsAfter(edit);
    expect(problems.join('\n')).toContain(problem);
  });

  test('may only name models that have a price, when others cannot be sold', () => {
    const closed = GOOD.replace('"30"', 'null');
    const dir = folder({ 'starter.yaml': closed.replace('models: []', 'models: [demo-small, gpt-x, "*"]') });
    expect(problemsOf(dir)).toEqual([
      `${join(dir, 'starter.yaml')}:32:26 limits.production.models.1: gpt-x has no price, and there is no markup_percent`,
    ]);
  });

  test('may leave limits open with null', () => {
    const open = GOOD.replace('requests_per_minute: 120', 'requests_per_minute: null').replace(
      'budget: { amount: "100.00", window: 1mo }',
      'budget: null',
    );
    const [plan] = readPlans(folder({ 'starter.yaml': open }));
    expect(plan!.terms.limits.production).toMatchObject({ requestsPerMinute: null, budget: null });
  });

  test('that is empty, or a list, is refused', () => {
    expect(problemsAfter([GOOD, ''])).toHaveLength(1);
    expect(problemsAfter([GOOD, '- a\n'])).toHaveLength(1);
  });
});

describe('a folder of plans', () => {
  test('tells all problems of all files at once, in order', () => {
    const dir = folder({
      'starter.yaml': GOOD.replace('"49.00"', '49').replace('window: 1mo', 'window: soon'),
      'broken.yaml': 'name: [',
      'other.yaml': GOOD,
      'short.yml': GOOD,
    });
    const places = problemsOf(dir).map((problem) => problem.replace(`${dir}/`, '').split(' ')[0]);
    expect(places).toEqual([
      'broken.yaml:1:8',
      'other.yaml:',
      'short.yml:',
      'starter.yaml:12:14',
      'starter.yaml:31:41',
    ]);
    const { ok, report } = checkPlans(dir);
    expect(ok).toBe(false);
    for (const problem of problemsOf(dir)) expect(report).toContain(problem);
  });

  test('without a plan is refused, and files of other kinds do not matter', () => {
    expect(problemsOf(folder({}))).toHaveLength(1);
    expect(readPlans(folder({ 'starter.yaml': GOOD, 'NOTES.md': 'x' }))).toHaveLength(1);
  });
});

describe('publishing', () => {
  test('writes each plan into its own stream, and says where they are', async () => {
    const store = newStore();
    const plans = readPlans(SHIPPED);
    const { position, published } = await publishPlans(store, plans, meta());
    expect(published).toEqual(plans.map(({ terms }) => terms));
    expect(position).toBe(await store.head());
    for (const { terms } of plans) {
      expect(await events(store, terms.plan)).toEqual([{ type: 'plan.published', data: { terms } }]);
    }
  });

  test('again leaves no event', async () => {
    const store = newStore();
    await publishPlans(store, readPlans(SHIPPED), meta());
    const before = await store.head();
    expect(await publishPlans(store, readPlans(SHIPPED), meta())).toEqual({ position: 0n, published: [] });
    expect(await store.head()).toBe(before);
  });

  test('takes another title for the same version, and another price only with a higher one', async () => {
    const store = newStore();
    await publishPlans(store, starter(), meta());
    await publishPlans(store, starter(['title: Starter', 'title: Basic']), meta());
    expect(await events(store, 'starter')).toHaveLength(1);
    const dearer = starter(['"49.00"', '"59.00"']);
    const refusal = await publishPlans(store, dearer, meta()).catch((error: unknown) => error);
    const message = 'Version 1 of plan starter is published and cannot change. Raise the version.';
    expect(refusal).toMatchObject({ code: 'plan_version_immutable', message });
    const raised = dearer.map((plan) => withTerms(plan, { planVersion: 2 }));
    await publishPlans(store, raised, meta());
    expect(await events(store, 'starter')).toHaveLength(2);
  });

  test('refuses a file that is older than the log', async () => {
    const store = newStore();
    await publishPlans(store, starter(['version: 1', 'version: 2']), meta());
    const refusal = await publishPlans(store, starter(), meta()).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: 'plan_version_order' });
  });

  test('publishes nothing when one of the plans cannot be', async () => {
    const store = newStore();
    await publishPlans(store, starter(), meta());
    const edited = readPlans(SHIPPED).map((plan) => withTerms(plan, { monthlyFeeNanos: 1n }));
    const refusal = await publishPlans(store, edited, meta()).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: 'plan_version_immutable' });
    expect(await store.head()).toBe(1n);
  });

  test('by two processes at once leaves one event for each plan', async () => {
    const store = newStore();
    const plans = readPlans(SHIPPED);
    await Promise.all([publishPlans(store, plans, meta()), publishPlans(store, plans, meta())]);
    for (const { terms } of plans) expect(await events(store, terms.plan)).toHaveLength(1);
  });
});

function meta(): CommandMeta {
  commands += 1;
  return {
    agencyId: 'age_1',
    tenantId: null,
    actor: { kind: 'system', id: 'start' },
    correlationId: 'c',
    causationId: 'c',
    commandId: `command-${commands}`,
    at: NOW,
  };
}

function starter(edit: readonly [string, string] = ['', '']): readonly PlanDefinition[] {
  return readPlans(folder({ 'starter.yaml': GOOD.replace(...edit) }));
}

function newStore(): EventStore {
  return memoryStore({ now: () => NOW });
}

function withTerms({ terms, ...plan }: PlanDefinition, different: Partial<Terms>): PlanDefinition {
  return { ...plan, terms: { ...terms, ...different } };
}

async function events(store: EventStore, name: string): Promise<readonly unknown[]> {
  const found: unknown[] = [];
  for await (const { event } of store.readStream(`plan-${name}`)) found.push(event);
  return found;
}
