import { createServer, type Server } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import type { Deployment } from '../../src/domain/deployment.ts';
import { ROUTING_DEFAULT, type Routing, STRATEGIES } from '../../src/domain/routing.ts';
import { createRouter } from '../../src/gateway/router.ts';
import { isAvailable } from '../../src/gateway/claims.ts';
import { newStanding, noteAnswer, noteFailure, retryAfterMs } from '../../src/gateway/standing.ts';
import { readLitellmConfig } from '../../src/litellm-config.ts';
import {
  ask,
  PRICES,
  errorOf,
  eventsOf,
  listen,
  startWorld,
  stopServer,
  until,
  type World,
  type WorldOptions,
} from './harness.ts';
import { deploymentOf as deployment } from '../support/deployment.ts';

/** Answers with these statuses in turn, the last one for ever; 0 resets the connection. */
interface Fake {
  readonly url: string;
  readonly server: Server;
  asked: number;
}
const fakes: Fake[] = [];
const worlds: World[] = [];
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.stop();
  for (const { server } of fakes.splice(0)) await stopServer(server);
});

async function fake(
  statuses: readonly number[],
  headers: Record<string, string> = {},
  text = 'no',
): Promise<Fake> {
  const server = createServer((request, response) => {
    request.resume();
    request.on('end', () => {
      const status = statuses[Math.min(made.asked, statuses.length - 1)]!;
      made.asked += 1;
      if (status === 0) {
        request.socket.resetAndDestroy();
        return;
      }
      const good = { id: 'x', choices: [{ index: 0, message: { content: 'hi' }, finish_reason: 'stop' }] };
      const usage = { prompt_tokens: 9, completion_tokens: 1, total_tokens: 10 };
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      response.end(JSON.stringify(status < 300 ? { ...good, usage } : { error: { message: text } }));
    });
  });
  const made: Fake = { url: await listen(server), server, asked: 0 };
  fakes.push(made);
  return made;
}

async function worldOf(
  among: readonly (readonly [id: string, upstream: Fake, different?: Partial<Deployment>])[],
  routing: Partial<Routing> = {},
  options: WorldOptions = {},
): Promise<World> {
  const world = await startWorld({
    ...options,
    routing,
    deployments: (base) =>
      among.map(([id, { url }, different]) => ({
        ...base,
        id,
        publicName: 'demo-small',
        baseUrl: `${url}/v1`,
        ...different,
      })),
  });
  worlds.push(world);
  return world;
}

const counts = (response: Response) => [
  response.headers.get('x-litellm-model-id'),
  response.headers.get('x-litellm-attempted-retries'),
  response.headers.get('x-litellm-attempted-fallbacks'),
];

describe('a failed attempt', () => {
  test.each([408, 409, 429, 500, 503, 0])(
    'with status %i is repeated elsewhere, and billed once',
    async (status) => {
      const [bad, good] = [await fake([status]), await fake([200])];
      const world = await worldOf(
        [
          ['bad', bad],
          ['good', good],
        ],
        { retries: 2 },
      );
      const response = await world.chat();
      expect(response.status).toBe(200);
      expect(counts(response)).toEqual(['good', '1', '0']);
      expect(response.headers.get('x-litellm-model-group')).toBe('demo-small');
      const spends = await world.spends();
      expect(spends).toMatchObject([{ deployment: 'good', outcome: 'completed', priceNanos: 21n }]);
      expect([bad.asked, good.asked]).toEqual([1, 1]);
    },
  );

  test.each([400, 401, 403, 404, 422])('with status %i is not repeated', async (status) => {
    const [bad, good] = [await fake([status]), await fake([200])];
    const world = await worldOf(
      [
        ['bad', bad],
        ['good', good],
      ],
      { retries: 2 },
    );
    expect((await world.chat()).status).toBe(status);
    expect(good.asked).toBe(0);
    expect(await world.spends()).toMatchObject([
      { deployment: 'bad', outcome: 'upstream-error', priceNanos: 0n },
    ]);
  });

  test('is repeated at the only deployment, after a pause, and no oftener than said', async () => {
    const flaky = await fake([503, 500, 200]);
    const world = await worldOf([['only', flaky]], { retries: 2 });
    expect(counts(await world.chat())).toEqual(['only', '2', '0']);
    const dead = await fake([503]);
    const other = await worldOf([['only', dead]], { retries: 1 });
    const refused = await other.chat();
    expect([refused.status, dead.asked]).toEqual([503, 2]);
    expect(refused.headers.get('x-litellm-attempted-retries')).toBe('1');
  });

  test('is not repeated where the upstream asks for more patience than a client has', async () => {
    const busy = await fake([429], { 'retry-after': '30' });
    const world = await worldOf([['only', busy]], { retries: 2 });
    const response = await world.chat();
    expect([response.status, busy.asked]).toEqual([429, 1]);
    expect(response.headers.get('llm_provider-retry-after')).toBe('30');
  });

  test('of which something was delivered is never repeated', async () => {
    const good = await fake([200]);
    const world = await startWorld({
      routing: { retries: 2 },
      deployments: (base) => [
        { ...base, id: 'first', publicName: 'demo-small' },
        { ...base, id: 'good', publicName: 'demo-small', baseUrl: `${good.url}/v1` },
      ],
    });
    worlds.push(world);
    const events = await eventsOf(await world.chat({ stream: true, metadata: { simulate: 'truncate' } }));
    expect(errorOf(JSON.parse(events.at(-1)!)).code).toBe('500');
    expect(good.asked).toBe(0);
    expect(await world.spends()).toMatchObject([{ outcome: 'truncated', deployment: 'first' }]);
  });

  test('ends with the client that waits for the next one', async () => {
    const dead = await fake([503]);
    const world = await worldOf([['only', dead]], { retries: 5, retryAfterMs: 4_000 });
    const leaving = new AbortController();
    const asked = fetch(`${world.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'Bearer sk-test-secret-0001' },
      body: JSON.stringify(ask()),
      signal: leaving.signal,
    }).catch(() => null);
    await until(() => dead.asked === 1);
    leaving.abort();
    await asked;
    await until(() => world.gateway.inFlight() === 0);
    expect(await world.spends()).toMatchObject([{ outcome: 'client-gone', priceNanos: 0n }]);
    expect(dead.asked).toBe(1);
  });
});

describe('fallbacks', () => {
  const dear = { inputRate: 20_000_000n, cachedInputRate: 20_000_000n, outputRate: 30_000_000n };
  const cheap = { inputRate: 2_000_000n, cachedInputRate: 1_000_000n, outputRate: 3_000_000n };
  const terms = { prices: { models: { 'demo-small': cheap, 'demo-large': dear }, markupPercent: null } };

  test('answer for a model that cannot, at their own price, within what was reserved', async () => {
    const [bad, good] = [await fake([401]), await fake([200])];
    const among = [
      ['bad', bad],
      ['good', good, { publicName: 'demo-large' }],
    ] as const;
    const routing = { fallbacks: { 'demo-small': ['demo-large'] } };
    const world = await worldOf(among, routing, { terms, limits: { budget: { nanos: 600n, window: null } } });
    const response = await world.chat();
    expect(counts(response)).toEqual(['good', '0', '1']);
    expect(await world.spends()).toMatchObject([
      { deployment: 'good', model: 'demo-large', priceNanos: 9n * 20n + 30n, outcome: 'completed' },
    ]);
    // The dearer model's worst case has to fit from the start.
    const poor = await worldOf(among, routing, { terms, limits: { budget: { nanos: 400n, window: null } } });
    expect((await poor.chat()).status).toBe(422);
  });

  test('are not tried for a fault of the request, except a prompt that is too long where that is said', async () => {
    const long = await fake([400], {}, "This model's maximum context length is 10 tokens.");
    const [bad, good] = [await fake([400]), await fake([200])];
    const both = [['good', good, { publicName: 'demo-large' }]] as const;
    const plain = await worldOf(
      [['bad', bad], ...both],
      { fallbacks: { 'demo-small': ['demo-large'] } },
      { terms },
    );
    expect((await plain.chat()).status).toBe(400);
    const window = await worldOf(
      [['long', long], ...both],
      { contextFallbacks: { 'demo-small': ['demo-large'] } },
      { terms },
    );
    expect(counts(await window.chat())).toEqual(['good', '0', '1']);
    expect((await window.spends()).map(({ deployment }) => deployment)).toEqual(['good']);
  });

  test('that the key may not call are left out', async () => {
    const [bad, good] = [await fake([500]), await fake([200])];
    const world = await worldOf(
      [
        ['bad', bad],
        ['good', good, { publicName: 'demo-large' }],
      ],
      { defaultFallbacks: ['demo-large'] },
      { terms, limits: { models: ['demo-small'] } },
    );
    expect((await world.chat()).status).toBe(500);
    expect(good.asked).toBe(0);
  });

  test('a global alias is the model it stands for', async () => {
    const good = await fake([200]);
    const world = await worldOf([['good', good]], { aliases: { quick: 'demo-small' } });
    expect((await world.chat({ model: 'quick' })).status).toBe(200);
    expect(await world.spends()).toMatchObject([{ model: 'demo-small' }]);
  });
});

describe('a deployment that fails too often', () => {
  test('is left alone, shown as unhealthy, and all of them are refused with a time', async () => {
    const [a, b] = [await fake([429], { 'retry-after': '3' }), await fake([401])];
    const world = await worldOf(
      [
        ['a', a],
        ['b', b],
      ],
      { cooldownMs: 2_000 },
    );
    expect((await world.chat()).status).toBe(429);
    expect((await world.chat()).status).toBe(401);
    const refused = await world.chat();
    expect(refused.status).toBe(429);
    expect(errorOf(await refused.json()).type).toBe('all_deployments_in_cooldown');
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect([a.asked, b.asked]).toEqual([1, 1]);
    expect(world.gateway.deployments()).toMatchObject([
      { healthy: false },
      { healthy: false, problem: expect.stringContaining('401') as string },
    ]);
  });

  test('is left alone from one failure too many on, for as long as it says, within bounds', () => {
    const standing = newStanding(deployment('a'), false);
    const settings = { allowedFails: 2, cooldownMs: 5_000 };
    const isFree = (nowMs: number) => isAvailable(standing, { nowMs, arrivedMs: nowMs });
    const failure = { status: 500, retryAfterMs: null };
    for (const nowMs of [0, 1]) noteFailure(standing, failure, nowMs, settings);
    expect(isFree(2)).toBe(true);
    noteFailure(standing, failure, 2, settings);
    expect([isFree(5_001), isFree(5_002)]).toEqual([false, true]);
    noteFailure(standing, { status: 429, retryAfterMs: 9_000_000 }, 100_000, settings);
    expect([isFree(159_999), isFree(160_000)]).toEqual([false, true]);
  });

  test('names its time in seconds or as a date', () => {
    expect(['7', '0.5', undefined, 'soon'].map((text) => retryAfterMs(text, 0))).toEqual([
      7_000,
      500,
      null,
      null,
    ]);
    expect(retryAfterMs('Thu, 01 Jan 1970 00:00:10 GMT', 4_000)).toBe(6_000);
  });
});

describe('a strategy', () => {
  const rates = (input: bigint) => ({ input, 'cached-input': input, output: input });
  const group = [
    deployment('a', { costRates: rates(5n) }),
    deployment('b', { costRates: rates(3n) }),
    deployment('c'),
  ];
  test.each(STRATEGIES)('%s picks as it says', (strategy) => {
    const router = createRouter(group, () => 0, { ...ROUTING_DEFAULT, strategy });
    const [a, b, c] = router.standings();
    a!.running = 2;
    b!.running = 1;
    for (const [standing, ms] of [
      [a, 90],
      [b, 80],
      [c, 20],
    ] as const)
      noteAnswer(standing!, ms);
    for (const [standing, tokens] of [
      [a, 5],
      [b, 9],
      [c, 7],
    ] as const)
      standing!.tokens.add(0, tokens);
    const expected = {
      'simple-shuffle': 'a',
      'least-busy': 'c',
      'latency-based-routing': 'c',
      'usage-based-routing': 'a',
      'cost-based-routing': 'b',
    };
    expect(router.pick('m')!.id).toBe(expected[strategy]);
  });

  test('sends nothing beyond a deployment’s own limits', () => {
    let now = 0;
    const limited = [deployment('a', { requestsPerMinute: 1 }), deployment('b', { tokensPerMinute: 10 })];
    const router = createRouter(
      limited,
      () => 0,
      ROUTING_DEFAULT,
      () => now,
    );
    const [a, b] = router.standings();
    a!.requests.add(0, 1);
    expect(router.pick('m')!.id).toBe('b');
    b!.tokens.add(0, 10);
    expect(() => router.pick('m')).toThrow('No deployments available');
    now = 61_000;
    expect(router.pick('m')!.id).toBe('a');
  });
});

describe('a deployment’s own limits', () => {
  const both = { 'demo-small': PRICES['demo-small'], 'demo-large': PRICES['demo-small'] };
  const terms = { prices: { models: both, markupPercent: null } };
  const many = (world: World) => Promise.all(Array.from({ length: 10 }, () => world.chat()));

  test('hold for requests that come at once; the others are refused with a time, and cost nothing', async () => {
    const only = await fake([200]);
    const world = await worldOf([['only', only, { requestsPerMinute: 3 }]]);
    const answers = await many(world);
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
      200,
      200,
      200,
      ...Array<number>(7).fill(429),
    ]);
    expect(only.asked).toBe(3);
    const refused = answers.find(({ status }) => status === 429)!;
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await world.spends()).toHaveLength(3);
  });

  test('lead to the fallback without an attempt in vain', async () => {
    const [first, second] = [await fake([200]), await fake([200])];
    const world = await worldOf(
      [
        ['first', first, { tokensPerMinute: 38 }],
        ['second', second, { publicName: 'demo-large' }],
      ],
      { fallbacks: { 'demo-small': ['demo-large'] } },
      { terms },
    );
    // 19 tokens at most, each; 10 in the end.
    const answers = await many(world);
    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200));
    expect([first.asked, second.asked]).toEqual([2, 8]);
    const models = (await world.spends()).map(({ model }) => model);
    expect(models.filter((model) => model === 'demo-large')).toHaveLength(8);
    expect(counts(await world.chat())).toEqual(['second', '0', '1']);
  });
});

describe('background checks', () => {
  test('find out who does not answer, without a request', async () => {
    const [well, ill] = [await fake([200]), await fake([503])];
    const world = await worldOf(
      [
        ['well', well],
        ['ill', ill],
      ],
      { healthCheckMs: 50 },
    );
    await until(() => world.gateway.deployments()[1]!.problem === 'status 503');
    expect(world.gateway.deployments()[0]).toMatchObject({ healthy: true, problem: null });
    expect(await world.spends()).toEqual([]);
  });
});

describe('the configuration file', () => {
  const text = `
model_list:
  - model_name: gpt
    litellm_params: { model: openai/gpt, api_base: "http://a", rpm: 5, tpm: 6, stream_timeout: 2, cache_creation_input_token_cost: 0.000001 }
  - model_name: "big/*"
    litellm_params: { model: "openai/*", api_base: "http://a" }
router_settings:
  routing_strategy: usage-based-routing-v2
  num_retries: 4
  cooldown_time: 7
  fallbacks: [{ gpt: [big/one] }]
  model_group_alias: { quick: gpt, slow: { model: big/two, hidden: true } }
litellm_settings:
  context_window_fallbacks: [{ gpt: [big/long] }]
  default_fallbacks: [gpt]
general_settings: { background_health_checks: true, health_check_interval: 9 }
`;
  test('says all of it', () => {
    const { routing, deployments, ignored } = readLitellmConfig(text, 'f.yaml', {}, undefined);
    expect(routing).toEqual({
      ...ROUTING_DEFAULT,
      strategy: 'usage-based-routing',
      retries: 4,
      cooldownMs: 7_000,
      fallbacks: { gpt: ['big/one'] },
      contextFallbacks: { gpt: ['big/long'] },
      defaultFallbacks: ['gpt'],
      aliases: { quick: 'gpt', slow: 'big/two' },
      healthCheckMs: 9_000,
    });
    expect(deployments[0]).toMatchObject({
      requestsPerMinute: 5,
      tokensPerMinute: 6,
      streamTimeoutMs: 2_000,
    });
    expect(deployments[0]!.costRates).toMatchObject({ 'cache-write': 1_000_000_000n });
    expect(ignored).toEqual([]);
  });

  test('cannot name a model that nobody serves', () => {
    const wrong = text.replace('quick: gpt', 'quick: gtp');
    expect(() => readLitellmConfig(wrong, 'f.yaml', {}, undefined)).toThrow('there is no model gtp');
  });
});
