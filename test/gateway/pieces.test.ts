import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Deployment } from '../../src/domain/deployment.ts';
import { membersOf, withMembers } from '../../src/gateway/json-members.ts';
import { allowsModel } from '../../src/gateway/model-names.ts';
import { createRouter } from '../../src/gateway/router.ts';
import { dataOf, eventCollector, splitEvents } from '../../src/gateway/sse.ts';
import { mapErrorObject, mapUpstreamError, scrub } from '../../src/gateway/upstream-errors.ts';
import { readUsage } from '../../src/gateway/usage.ts';

describe('the members of a JSON text', () => {
  const objects = fc.dictionary(fc.string({ minLength: 1 }), fc.jsonValue({ maxDepth: 4 }), { maxKeys: 6 });

  test('are found where they stand, whatever is in them', () => {
    fc.assert(
      fc.property(objects, fc.constantFrom(0, 1, 3), (object, indent) => {
        const text = JSON.stringify(object, null, indent);
        const read = Object.fromEntries(
          membersOf(text, 64)!.map(({ name, start, end }) => [
            name,
            JSON.parse(text.slice(start, end)) as unknown,
          ]),
        );
        expect(JSON.stringify(read)).toBe(JSON.stringify(JSON.parse(text)));
      }),
    );
  });

  test('can be set one by one, and all other bytes stay', () => {
    fc.assert(
      fc.property(objects, fc.jsonValue(), fc.jsonValue(), (object, a, b) => {
        const text = JSON.stringify(object);
        const names = Object.keys(object);
        const values = { [names[0] ?? 'x']: JSON.stringify(a), 'not there': JSON.stringify(b) };
        const set = JSON.parse(withMembers(text, membersOf(text, 64)!, values)) as unknown;
        const wanted = { ...(JSON.parse(text) as object), [names[0] ?? 'x']: a, 'not there': b };
        expect(set).toEqual(JSON.parse(JSON.stringify(wanted)));
      }),
    );
    const text = '{ "seed": 12345678901234567890, "model" : "a\\"}", "n":1}';
    expect(withMembers(text, membersOf(text, 8)!, { model: '"b"' })).toBe(
      '{ "seed": 12345678901234567890, "model" :"b", "n":1}',
    );
  });

  test('show a name that occurs twice, however it is written', () => {
    expect(membersOf('{"model":1,"mod\\u0065l":2}', 8)!.map(({ name }) => name)).toEqual(['model', 'model']);
  });

  test('are not read from what is nested too deeply', () => {
    expect(membersOf(`{"a":${'['.repeat(8)}${']'.repeat(8)}}`, 9)).not.toBeNull();
    expect(membersOf(`{"a":${'['.repeat(9)}${']'.repeat(9)}}`, 9)).toBeNull();
  });
});

describe('events in a stream', () => {
  test('come out whole and unchanged, wherever the stream is cut', () => {
    const events = fc.array(fc.tuple(fc.string({ unit: 'binary' }), fc.constantFrom('\n', '\r\n')), {
      maxLength: 8,
    });
    fc.assert(
      fc.property(events, fc.array(fc.integer({ min: 1, max: 20 })), (parts, cuts) => {
        const texts = parts.map(([text, end]) => `data: ${text.replaceAll(/[\r\n]/g, ' ')}${end}${end}`);
        const bytes = Buffer.from(texts.join(''));
        const collector = eventCollector();
        let out = '';
        let from = 0;
        for (const cut of [...cuts, bytes.length]) {
          const piece = collector.push(bytes.subarray(from, from + cut));
          expect(splitEvents(piece).join('')).toBe(piece);
          out += piece;
          from += cut;
        }
        expect(out).toBe(bytes.toString('latin1'));
        expect([collector.rest(), collector.restBytes]).toEqual(['', 0]);
        expect(splitEvents(out).map(dataOf)).toEqual(
          texts.map((text) => text.slice(6).replace(/(\r?\n){2}$/, '')),
        );
      }),
    );
  });

  test('have data in one line or several, or none', () => {
    expect(dataOf('data: a\ndata:b\n\n')).toBe('a\nb');
    expect(dataOf(': ping\n\n')).toBeNull();
    expect(dataOf('event: x\r\ndata: {}\r\n\r\n')).toBe('{}');
  });
});

describe('a usage', () => {
  const right = { prompt_tokens: 10, completion_tokens: 5 };
  test('is read with its parts', () => {
    const details = {
      prompt_tokens_details: { cached_tokens: 4 },
      completion_tokens_details: { reasoning_tokens: 2 },
    };
    expect(readUsage({ ...right, ...details })).toEqual({
      inputTokens: 10,
      cachedInputTokens: 4,
      outputTokens: 5,
      reasoningTokens: 2,
    });
    expect(readUsage({ prompt_tokens: 3, total_tokens: 3 })).toMatchObject({
      inputTokens: 3,
      outputTokens: 0,
    });
  });

  test.each([
    null,
    [],
    {},
    { ...right, prompt_tokens: -1 },
    { ...right, completion_tokens: 1e308 },
    { ...right, completion_tokens: '5' },
    { ...right, prompt_tokens: 1.5 },
    { ...right, prompt_tokens_details: { cached_tokens: 11 } },
    { ...right, completion_tokens_details: { reasoning_tokens: 6 } },
  ])('that cannot be is none: %j', (usage) => {
    expect(readUsage(usage)).toBeNull();
  });
});

describe('an upstream error', () => {
  test('shows no credential, whole or in part, in any of its members', () => {
    const secret = 'sk-proj-very-secret';
    const error = { message: `bad key ${secret} (sk-proj-****cret)`, type: secret, param: secret, code: 400 };
    const mapped = JSON.stringify(mapUpstreamError(400, JSON.stringify({ error }), secret));
    expect(mapped).not.toMatch(/secret|cret/);
    expect(scrub(`${'x'.repeat(1_990)}${secret}`, secret)).not.toContain('sk-proj');
  });

  test('that came with status 200 is one only if it has an error', () => {
    expect(mapErrorObject({ error: null, choices: [] }, null)).toBeNull();
    expect(mapErrorObject({ error: 'no' }, null)).toMatchObject({
      status: 502,
      body: { error: { message: 'no' } },
    });
    expect(mapErrorObject({ error: { code: 429, message: 'slow' } }, null)).toMatchObject({ status: 429 });
  });
});

describe('the router', () => {
  const deployment = (publicName: string, id = publicName, weight = 1): Deployment => ({
    id,
    publicName,
    upstreamModel: null,
    baseUrl: 'http://x',
    apiKey: null,
    maxOutputTokens: 1,
    costRates: null,
    weight,
    timeoutMs: 1,
    extraHeaders: {},
  });

  test('takes the exact name before the longest prefix before everything', () => {
    const router = createRouter(
      ['*', 'openai/*', 'openai/gpt/*', 'openai/x'].map((name) => deployment(name)),
      () => 0,
    );
    const served = ['openai/x', 'openai/gpt/4', 'openai/y', 'openai/', 'z'].map(
      (model) => router.pick(model)?.id,
    );
    expect(served).toEqual(['openai/x', 'openai/gpt/*', 'openai/*', '*', '*']);
    expect(createRouter([deployment('a')], () => 0).pick('b')).toBeNull();
  });

  test('shares the requests of one name by weight', () => {
    let random = 0;
    const router = createRouter([deployment('a', 'one', 1), deployment('a', 'three', 3)], () => random);
    const counts: Record<string, number> = {};
    for (let i = 0; i < 100; i += 1) {
      random = i / 100;
      const { id } = router.pick('a')!;
      counts[id] = (counts[id] ?? 0) + 1;
    }
    expect(counts).toEqual({ one: 25, three: 75 });
  });

  test('lists of models know wildcards and what LiteLLM calls everything', () => {
    expect(allowsModel([], 'a')).toBe(true);
    expect(allowsModel(['b', 'openai/*'], 'openai/gpt')).toBe(true);
    expect(allowsModel(['openai/*'], 'openai/')).toBe(false);
    expect(allowsModel(['all-team-models'], 'a')).toBe(true);
    expect(allowsModel(['no-default-models'], 'a')).toBe(false);
  });
});
