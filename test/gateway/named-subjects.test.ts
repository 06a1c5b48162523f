import { afterEach, describe, expect, test } from 'vitest';
import { NO_EXTRA } from '../../src/domain/extra-limits.ts';
import { type Limits, UNLIMITED } from '../../src/domain/limits.ts';
import type { DomainEvent } from '../../src/events.ts';
import { budgetDefined, customerRegistered, tagDefined } from '../support/events.ts';
import { errorOf, ONE, startWorld, type World, type WorldOptions } from './harness.ts';

let world: World;
afterEach(() => world.stop());

const some = (limits: Partial<Limits>): Limits => ({ ...UNLIMITED, ...limits });
const budget = (count: bigint) => ({ nanos: count * ONE, window: null });
const tagged = (...tags: string[]) => ({ metadata: { tags } });
const VISITOR = { user: 'cus_1' };

async function start(events: readonly DomainEvent[], options: WorldOptions = {}): Promise<void> {
  world = await startWorld(options);
  world.apply(...events);
}

async function statuses(
  count: number,
  body: object,
  headers: Record<string, string> = {},
): Promise<number[]> {
  const responses = await Promise.all(Array.from({ length: count }, () => world.chat(body, headers)));
  return responses.map(({ status }) => status).toSorted((a, b) => a - b);
}

async function refusalOf(body: object): Promise<ReturnType<typeof errorOf>> {
  return errorOf(await (await world.chat(body)).json());
}

describe('an end user', () => {
  test('that is blocked is refused, by the body and by the header, and others are not', async () => {
    await start([customerRegistered({ limits: UNLIMITED, blocked: true })]);
    expect(await refusalOf(VISITOR)).toMatchObject({
      code: '403',
      param: 'user',
      reason: 'end_user_blocked',
    });
    expect(await statuses(1, {}, { 'x-litellm-customer-id': 'cus_1' })).toEqual([403]);
    expect(await statuses(1, { user: 'cus_2' })).toEqual([200]);
    expect(await statuses(1, {})).toEqual([200]);
  });

  test('has a budget and rates of its own', async () => {
    await start([customerRegistered({ limits: some({ budget: budget(3n), requestsPerMinute: 5 }) })]);
    const first = await world.chat(VISITOR);
    expect(first.headers.get('x-ratelimit-end_user-remaining-requests')).toBe('4');
    expect(await statuses(4, VISITOR)).toEqual([200, 200, 422, 422]);
    expect((await refusalOf(VISITOR)).message).toContain('End User=cus_1 Current cost: 0.000000144');
    expect(await statuses(2, { user: 'cus_2' })).toEqual([200, 200]);
  });

  test('takes from a shared budget what it has not itself, and follows its changes', async () => {
    const shared = budgetDefined({ limits: some({ budget: budget(1n) }) });
    await start([shared, customerRegistered({ limits: UNLIMITED, budgetId: 'bud_1' })]);
    expect(await statuses(2, VISITOR)).toEqual([200, 422]);
    world.apply({ type: 'budget.changed', data: { ...shared.data, limits: UNLIMITED } });
    expect(await statuses(2, VISITOR)).toEqual([200, 200]);
    // What was spent meanwhile was not counted here: the ledger is asked again.
    world.apply({ type: 'budget.changed', data: { ...shared.data, limits: some({ budget: budget(1n) }) } });
    expect(await statuses(1, VISITOR)).toEqual([200]);
  });

  test('gets its default model for what nothing serves, and for all while it is bound to a region', async () => {
    const registered = customerRegistered({ limits: UNLIMITED, options: { default_model: 'demo-small' } });
    await start([registered], {
      deployments: (base) => [
        { ...base, publicName: 'demo-small' },
        { ...base, publicName: 'demo-free', upstreamModel: 'demo-small' },
      ],
    });
    expect(await statuses(1, { ...VISITOR, model: 'nothing' })).toEqual([200]);
    expect(await statuses(1, { ...VISITOR, model: 'demo-free' })).toEqual([200]);
    const options = { default_model: 'demo-small', allowed_model_region: 'eu' };
    world.apply({ type: 'customer.changed', data: { ...registered.data, options } });
    expect(await statuses(1, { ...VISITOR, model: 'demo-free' })).toEqual([200]);
    expect(await statuses(1, { model: 'nothing' })).toEqual([400]);
    expect((await world.spends()).map(({ model }) => model)).toEqual([
      'demo-small',
      'demo-free',
      'demo-small',
    ]);
  });
});

describe('a tag', () => {
  test('has a budget for the requests that carry it, wherever they carry it', async () => {
    await start([tagDefined({ limits: some({ budget: budget(3n) }) })]);
    expect(await statuses(1, tagged('blue', 'red'))).toEqual([200]);
    expect(await statuses(1, {}, { 'x-litellm-tags': 'blue' })).toEqual([200]);
    expect(await statuses(2, tagged('blue'))).toEqual([200, 422]);
    expect((await refusalOf(tagged('blue'))).message).toContain('Tag=blue');
    expect(await statuses(2, tagged('red'))).toEqual([200, 200]);
  });

  test('limits the models of the requests that carry it', async () => {
    await start([tagDefined({ limits: some({ models: ['demo-embed'] }) })]);
    expect(await refusalOf(tagged('blue'))).toMatchObject({ code: '403', reason: 'tag_model_not_allowed' });
    expect(await statuses(1, tagged('red'))).toEqual([200]);
  });

  test('that is refused uses nothing of any other level', async () => {
    const extra = { ...NO_EXTRA, budgets: [budget(1n)] };
    await start([tagDefined({ limits: UNLIMITED, extra })], {
      limits: { requestsPerMinute: 3, budget: budget(3n) },
    });
    expect(await statuses(4, tagged('blue'))).toEqual([200, 422, 422, 422]);
    expect(await statuses(3, {})).toEqual([200, 200, 422]);
  });
});
