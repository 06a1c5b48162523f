import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { errorOf, eventsOf, startWorld, UPSTREAM_KEY, until, type World } from './harness.ts';

type Expected = readonly [
  fault: string,
  status: number,
  outcome: string,
  source: 'reported' | 'estimated' | 'none',
  /** Our own reason, where the error is ours. */
  reason: string | null,
];

/** What the upstream does, and what the client and the books get. Half of a stream's ten tokens is five. */
const json: readonly Expected[] = [
  ['status:400', 400, 'upstream-error', 'none', null],
  ['status:401', 401, 'upstream-error', 'none', null],
  ['status:403', 403, 'upstream-error', 'none', null],
  ['status:404', 404, 'upstream-error', 'none', null],
  ['status:408', 408, 'upstream-error', 'none', null],
  ['status:409', 409, 'upstream-error', 'none', null],
  ['status:422', 422, 'upstream-error', 'none', null],
  ['status:429:7', 429, 'upstream-error', 'none', null],
  ['status:500', 500, 'upstream-error', 'none', null],
  ['status:502', 502, 'upstream-error', 'none', null],
  ['status:503', 503, 'upstream-error', 'none', null],
  ['status:529', 529, 'upstream-error', 'none', null],
  ['reset', 502, 'upstream-error', 'none', 'upstream_unavailable'],
  ['hang', 504, 'timed-out', 'none', 'upstream_timeout'],
  ['redirect', 502, 'upstream-error', 'none', 'upstream_invalid'],
  ['html', 502, 'upstream-error', 'none', 'upstream_invalid'],
  ['error-200', 502, 'upstream-error', 'none', null],
  ['empty-stream', 502, 'upstream-error', 'none', 'upstream_invalid'],
  ['hang-mid', 504, 'timed-out', 'none', 'upstream_timeout'],
  ['truncate', 502, 'truncated', 'none', 'upstream_invalid'],
  ['cut-json', 502, 'upstream-error', 'none', 'upstream_invalid'],
  ['big-line', 200, 'completed', 'reported', null],
  ['no-usage', 200, 'completed', 'estimated', null],
  ['usage-null', 200, 'completed', 'estimated', null],
  ['usage-twice', 200, 'completed', 'reported', null],
  ['usage-huge', 200, 'completed', 'estimated', null],
  ['usage-huge:nan', 502, 'upstream-error', 'none', 'upstream_invalid'],
  ['usage-huge:negative', 200, 'completed', 'estimated', null],
  ['slow-headers:30', 200, 'completed', 'reported', null],
];

const otherwise: readonly Expected[] = [
  ['hang-mid', 200, 'timed-out', 'estimated', null],
  ['truncate', 200, 'truncated', 'estimated', null],
  ['cut-json', 200, 'truncated', 'estimated', null],
  ['usage-huge:nan', 200, 'completed', 'estimated', null],
];
const streams = json.map((expected) => otherwise.find(([fault]) => fault === expected[0]) ?? expected);

const limited = {
  limits: { parallelRequests: 1, tokensPerMinute: 1_000_000, budget: { nanos: 1_000_000n, window: null } },
};
let patient: World;
let hurried: World;
let world: World;
beforeAll(async () => {
  patient = await startWorld(limited);
  hurried = await startWorld({ ...limited, deployment: { timeoutMs: 1_000 } });
  world = patient;
});
afterAll(async () => {
  await patient.stop();
  await hurried.stop();
});

/** Who waits for an upstream that hangs need not wait for long. */
function worldFor(fault: string): World {
  return fault.startsWith('hang') ? hurried : patient;
}

/** One outcome in the books; nothing reserved any more: the only slot is free, spend and tokens are what was recorded. */
async function expectOutcome(before: number, outcome: string, source: string): Promise<void> {
  const spends = await world.spends();
  expect(spends).toHaveLength(before + 1);
  const spend = spends.at(-1)!;
  expect(spend).toMatchObject({ outcome, usageSource: source });
  if (source === 'none') expect(spend).toMatchObject({ lines: [], priceNanos: 0n, costNanos: 0n });
  else
    expect(spend.priceNanos).toBe(
      BigInt(spend.usage.inputTokens) * 2n + BigInt(spend.usage.outputTokens) * 3n,
    );
  const after = await world.chat();
  expect(after.status).toBe(200);
  const all = await world.spends();
  const spent = all.reduce((sum, { priceNanos }) => sum + priceNanos, 0n);
  const tokens = all.reduce((sum, { usage }) => sum + usage.inputTokens + usage.outputTokens, 0);
  expect(after.headers.get('x-litellm-key-spend')).toBe(
    `0.${String(spent).padStart(9, '0')}`.replace(/0+$/, ''),
  );
  expect(after.headers.get('x-ratelimit-api_key-remaining-tokens')).toBe(String(1_000_000 - tokens));
  await after.arrayBuffer();
}

describe('an answer in one piece', () => {
  test.each(json)(
    'of an upstream with %s ends as %i, %s, %s',
    async (fault, status, outcome, source, reason) => {
      world = worldFor(fault);
      const before = (await world.spends()).length;
      const response = await world.chat({ metadata: { simulate: fault } });
      expect(response.status).toBe(status);
      const text = await response.text();
      expect(text).not.toContain(UPSTREAM_KEY);
      if (status !== 200) {
        const error = errorOf(JSON.parse(text));
        expect(error).toMatchObject({ code: String(status) });
        if (reason !== null) expect(error.reason).toBe(reason);
      }
      await expectOutcome(before, outcome, source);
    },
  );
});

describe('a stream', () => {
  test.each(streams)(
    'of an upstream with %s ends as %i, %s, %s',
    async (fault, status, outcome, source, reason) => {
      world = worldFor(fault);
      const before = (await world.spends()).length;
      const response = await world.chat({ stream: true, metadata: { simulate: fault } });
      expect(response.status).toBe(status);
      if (status === 200) {
        const events = await eventsOf(response);
        expect(events.some((event) => event.includes('"usage":{'))).toBe(false);
        if (outcome === 'completed') expect(events.at(-1)).toBe('[DONE]');
        else
          expect(JSON.parse(events.at(-1)!)).toMatchObject({
            error: { code: '500', type: null, param: null },
          });
        if (outcome !== 'completed') expect(events).not.toContain('[DONE]');
      } else {
        const error = errorOf(await response.json());
        expect(error.code).toBe(String(status));
        if (reason !== null) expect(error.reason).toBe(reason);
      }
      await expectOutcome(before, outcome, source);
    },
  );
});

describe('errors of the upstream', () => {
  beforeAll(() => void (world = patient));

  test('have the types that clients know, and do not blame the client for the gateway', async () => {
    const types: Record<number, string> = {};
    for (const status of [400, 401, 403, 404, 429, 500, 503]) {
      const response = await world.chat({ metadata: { simulate: `status:${status}` } });
      const error = errorOf(await response.json());
      types[status] = error.type;
      if (status === 401 || status === 403) expect(error.message).toContain('Your own key is valid');
    }
    expect(types).toEqual({
      400: 'invalid_request_error',
      401: 'authentication_error',
      403: 'permission_error',
      404: 'not_found_error',
      429: 'throttling_error',
      500: 'internal_server_error',
      503: 'internal_server_error',
    });
  });

  test('keep their retry-after under another name, for it is not ours', async () => {
    const response = await world.chat({ metadata: { simulate: 'status:429:7' } });
    expect(response.headers.get('retry-after')).toBeNull();
    expect(response.headers.get('llm_provider-retry-after')).toBe('7');
  });

  test('never lead to another host', () => {
    expect(world.upstream.stats().redirectsFollowed).toBe(0);
  });
});

describe('an upstream', () => {
  let other: World | null = null;
  afterEach(() => other?.stop());

  test('that cannot be reached is an upstream error, unbilled', async () => {
    other = await startWorld({ deployment: { baseUrl: 'http://127.0.0.1:9/v1' } });
    const response = await other.chat();
    expect([response.status, errorOf(await response.json()).reason]).toEqual([502, 'upstream_unavailable']);
    expect(await other.spends()).toMatchObject([
      { outcome: 'upstream-error', usageSource: 'none', status: 502 },
    ]);
  });

  test('that reports more than it was allowed is billed as reported, and looked into', async () => {
    other = await startWorld();
    expect((await other.chat({ metadata: { simulate: 'usage-huge:over' } })).status).toBe(200);
    expect(await other.spends()).toMatchObject([{ usage: { outputTokens: 20 }, usageSource: 'reported' }]);
    expect(other.logged).toMatchObject([{ message: 'usage above the worst case' }]);
  });

  test('has a time of its own for streams', async () => {
    other = await startWorld({ deployment: { timeoutMs: 60_000, streamTimeoutMs: 300 } });
    const response = await other.chat({ stream: true, metadata: { simulate: 'hang' } });
    expect([response.status, errorOf(await response.json()).reason]).toEqual([504, 'upstream_timeout']);
    expect(await other.spends()).toMatchObject([{ outcome: 'timed-out', usageSource: 'none' }]);
  });

  test('that says nothing for too long in the middle is given up', async () => {
    other = await startWorld({ deps: { timeouts: { quietMs: 100 } } });
    const response = await other.chat({ stream: true, metadata: { simulate: 'hang-mid' } });
    expect((await eventsOf(response)).at(-1)).toContain('error');
    await until(async () => (await other!.spends()).length === 1);
    expect(await other.spends()).toMatchObject([{ outcome: 'timed-out', usageSource: 'estimated' }]);
    expect(other.upstream.stats().inFlight).toBe(0);
  });
});
