import type { ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { DomainEvent } from '../../src/events.ts';
import { hashSecret } from '../../src/secrets.ts';
import type { EventStore } from '../../src/store/event-store.ts';
import { keyBlocked, keyDeleted, keyRotated, projectBlocked } from '../support/events.ts';
import { ask, eventsOf, MASTER_KEY, scripted, SECRET, startWorld, until, type World } from './harness.ts';

let world: World;
let stopUpstream: (() => Promise<void>) | null = null;
afterEach(async () => {
  await world.stop();
  await stopUpstream?.();
  stopUpstream = null;
});

/** A gateway whose upstream answers every request with what `answer` writes into an event stream. */
async function startScripted(
  answer: (response: ServerResponse, body: string) => void,
  timeoutMs = 2_000,
): Promise<void> {
  const upstream = await scripted((_request, response, body) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    answer(response, body);
  });
  stopUpstream = () => upstream.stop();
  world = await startWorld({ deployment: { baseUrl: upstream.url, timeoutMs } });
}

const delta = (content: string, finish: string | null = null) =>
  `data: ${JSON.stringify({ id: 'chatcmpl-9', choices: [{ index: 0, delta: { content }, finish_reason: finish }], usage: null })}\n\n`;
const usageEvent = (input: number, output: number) =>
  `data: ${JSON.stringify({ id: 'chatcmpl-9', choices: [], usage: { prompt_tokens: input, completion_tokens: output } })}\n\n`;
const DONE = 'data: [DONE]\n\n';

describe('the usage of a stream', () => {
  test('is asked for, recorded, and not shown to a client that did not ask', async () => {
    world = await startWorld();
    const response = await world.chat({ stream: true });
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    const events = await eventsOf(response);
    expect(events.at(-1)).toBe('[DONE]');
    expect(events.some((event) => event.includes('prompt_tokens'))).toBe(false);
    expect(await world.spends()).toMatchObject([
      {
        stream: true,
        outcome: 'completed',
        usageSource: 'reported',
        usage: { inputTokens: 9, outputTokens: 10 },
      },
    ]);
  });

  test('is shown once to a client that asked, which may also ask for other things', async () => {
    world = await startWorld();
    const options = { include_usage: true, include_obfuscation: false };
    const events = await eventsOf(await world.chat({ stream: true, stream_options: options }));
    expect(events.filter((event) => event.includes('"prompt_tokens":9'))).toHaveLength(1);
    expect(events.at(-1)).toBe('[DONE]');
  });

  test('that is never reported is counted, and marked so', async () => {
    await startScripted((response) => response.end(delta('Hello') + delta(' world', 'stop') + DONE));
    await eventsOf(await world.chat({ stream: true }));
    expect(await world.spends()).toMatchObject([
      { usageSource: 'estimated', usage: { inputTokens: 9, outputTokens: 2 }, responseId: 'chatcmpl-9' },
    ]);
  });

  test('may come with every event, and the last one counts', async () => {
    const running = (output: number, finish: string | null) =>
      `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: 'x' }, finish_reason: finish }], usage: { prompt_tokens: 9, completion_tokens: output } })}\n\n`;
    await startScripted((response) => response.end(running(1, null) + running(2, 'stop') + DONE));
    const events = await eventsOf(await world.chat({ stream: true }));
    expect(events).toHaveLength(3);
    expect(await world.spends()).toMatchObject([{ usageSource: 'reported', usage: { outputTokens: 2 } }]);
  });

  test('inside of an answer is text', async () => {
    const text = '"usage": {"prompt_tokens": 1} [DONE] "error": "finish_reason": "stop"';
    await startScripted((response) =>
      response.end(delta(text) + delta('', 'stop') + usageEvent(9, 30) + DONE),
    );
    const events = await eventsOf(await world.chat({ stream: true }));
    expect(events[0]).toContain(JSON.stringify(text).slice(1, -1));
    expect(await world.spends()).toMatchObject([{ usage: { outputTokens: 30 }, outcome: 'completed' }]);
  });
});

describe('the bytes of a stream', () => {
  const whole =
    delta('Grüße, ') + `: still there\n\n${delta('世界')}` + delta('', 'stop') + usageEvent(9, 5) + DONE;
  const expected = delta('Grüße, ') + `: still there\n\n${delta('世界')}` + delta('', 'stop') + DONE;
  const sizes = [1, 2, 3, 7, 50, 1_000];

  test.each(sizes)('arrive as they were, cut into pieces of %i', async (size) => {
    const bytes = Buffer.from(whole);
    await startScripted((response) => void sendPieces(response, bytes, size));
    const response = await world.chat({ stream: true });
    expect(await response.text()).toBe(expected);
    expect(await world.spends()).toMatchObject([{ usage: { outputTokens: 5 }, outcome: 'completed' }]);
  });

  test.each(sizes)('may have lines that end with CRLF, cut into pieces of %i', async (size) => {
    const bytes = Buffer.from(whole.replaceAll('\n', '\r\n'));
    await startScripted((response) => void sendPieces(response, bytes, size));
    const text = await (await world.chat({ stream: true })).text();
    expect(text.replaceAll('\r\n', '\n')).toBe(expected);
    expect(await world.spends()).toMatchObject([{ usage: { outputTokens: 5 }, outcome: 'completed' }]);
  });

  test('end with [DONE] also when the upstream leaves it out, or its blank line', async () => {
    await startScripted((response, body) =>
      response.end(delta('x', 'stop') + (body.includes('no-done') ? '' : DONE.trimEnd())),
    );
    for (const user of ['no-done', 'half-done']) {
      const events = await eventsOf(await world.chat({ stream: true, user }));
      expect([events.length, events.at(-1)]).toEqual([2, '[DONE]']);
    }
    expect(await world.spends()).toMatchObject([{ outcome: 'completed' }, { outcome: 'completed' }]);
  });

  test('wait for all choices before the end is held back', async () => {
    world = await startWorld();
    const events = await eventsOf(await world.chat({ stream: true, n: 3 }));
    expect(events.at(-1)).toBe('[DONE]');
    expect(await world.spends()).toMatchObject([{ usage: { outputTokens: 30 }, usageSource: 'reported' }]);
  });

  test('after a mistake in the middle end with an error and without [DONE]', async () => {
    const failed = 'data: {"error":{"message":"overloaded sk-upstream-credential-1"}}\n\n';
    await startScripted((response) => response.end(delta('Hello') + failed + DONE));
    const events = await eventsOf(await world.chat({ stream: true }));
    expect(events).toHaveLength(2);
    expect(JSON.parse(events[1]!)).toEqual({
      error: { message: 'overloaded ***', type: null, param: null, code: '500' },
    });
    expect(await world.spends()).toMatchObject([{ outcome: 'upstream-error', usageSource: 'estimated' }]);
  });
});

describe('the end of an answer', () => {
  const bodies = [{ stream: true }, { stream: false }];
  test.each(bodies)('is sent after its spend is durable: %o', async (body) => {
    let release = (): void => undefined;
    const away = new Promise<void>((resolve) => {
      release = resolve;
    });
    const wrapStore = (store: EventStore): EventStore => ({
      ...store,
      append: (writes) => away.then(() => store.append(writes)),
    });
    world = await startWorld({ wrapStore, upstream: { chunkDelayMs: 1 } });
    let seen = '';
    const before: string[] = [];
    for await (const part of (await world.chat(body)).body!) {
      seen += Buffer.from(part).toString();
      const isEnding = /\[DONE\]|"finish_reason":"/.test(seen);
      before.push(...world.spooled().filter((kind) => isEnding || kind !== 'spend'));
      // What goes out is already noted: that it may, and, once it ends, what it costs.
      expect(before).toContain(isEnding ? 'spend' : 'delivery');
    }
    expect(seen).toContain(body.stream ? '[DONE]' : '"usage"');
    release();
    expect(await world.spends()).toHaveLength(1);
  });
});

describe('a client that leaves', () => {
  const leave = async (body: object, when: (text: string) => boolean): Promise<void> => {
    const abort = new AbortController();
    const sent = fetch(`${world.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${SECRET}` },
      body: JSON.stringify(ask(body)),
      signal: abort.signal,
    });
    const read = async (): Promise<void> => {
      let text = '';
      for await (const part of (await sent).body!) {
        text += Buffer.from(part).toString();
        if (when(text)) abort.abort();
      }
    };
    if (when('')) await until(() => world.upstream.stats().inFlight > 0).then(() => abort.abort());
    await read().catch(() => undefined);
  };

  test('before anything was delivered costs nothing, and the upstream is told within a second', async () => {
    world = await startWorld({ upstream: { latencyMs: 5_000 }, limits: { parallelRequests: 1 } });
    const startedMs = performance.now();
    await leave({}, () => true);
    await until(async () => (await world.spends()).length === 1);
    await until(() => world.upstream.stats().inFlight === 0);
    expect(performance.now() - startedMs).toBeLessThan(1_000);
    expect(await world.spends()).toMatchObject([
      { outcome: 'client-gone', status: 499, lines: [], priceNanos: 0n },
    ]);
  });

  test('in the middle of a stream pays for the prompt and for what was delivered', async () => {
    world = await startWorld({ upstream: { chunkDelayMs: 20 }, limits: { parallelRequests: 1 } });
    await leave({ stream: true, max_tokens: 32 }, (text) => text.split('"content"').length > 4);
    await until(async () => (await world.spends()).length === 1);
    await until(() => world.upstream.stats().inFlight === 0);
    const [spend] = await world.spends();
    expect(spend).toMatchObject({
      outcome: 'client-gone',
      usageSource: 'estimated',
      usage: { inputTokens: 9 },
    });
    expect(spend!.usage.outputTokens).toBeGreaterThanOrEqual(3);
    expect(spend!.usage.outputTokens).toBeLessThan(32);
    const { abandoned } = world.upstream.stats();
    expect(Math.abs(abandoned.completionTokens - spend!.usage.outputTokens)).toBeLessThanOrEqual(1);
    expect((await world.chat()).status).toBe(200);
  });

  test('again and again, at any moment, leaves nothing reserved and one outcome each', async () => {
    world = await startWorld({
      upstream: { chunkDelayMs: 1, latencyMs: 1 },
      limits: { parallelRequests: 16 },
    });
    const rounds = Array.from({ length: 8 }, async (_, lane) => {
      for (let i = 0; i < 12; i += 1) {
        const chunks = (lane * 12 + i) % 9;
        await leave({ stream: true }, (text) =>
          chunks === 0 ? true : text.split('"content"').length > chunks,
        );
      }
    });
    await Promise.all(rounds);
    await until(() => world.gateway.inFlight() === 0 && world.upstream.stats().inFlight === 0);
    const spends = await world.spends();
    const { answered, aborted } = world.upstream.stats().requests;
    // Who leaves before the gateway has read the question leaves no trace; everybody else exactly one.
    expect(spends.length).toBeGreaterThanOrEqual(answered + aborted);
    expect(spends.length).toBeGreaterThan(48);
    expect(spends.length).toBeLessThanOrEqual(96);
    expect(new Set(spends.map(({ requestId }) => requestId)).size).toBe(spends.length);
    const answers = await Promise.all(Array.from({ length: 16 }, () => world.chat()));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(16);
  });

  test('while it sends its question is not even noticed', async () => {
    world = await startWorld();
    const { port } = new URL(world.url);
    const socket = connect(Number(port), '127.0.0.1');
    const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${SECRET}\r\n`;
    socket.write(`${head}content-type: application/json\r\ncontent-length: 1000\r\n\r\n{"model":`);
    await until(() => world.gateway.inFlight() === 1);
    socket.destroy();
    await until(() => world.gateway.inFlight() === 0);
    expect(await world.spends()).toEqual([]);
  });
});

describe('a slow client', () => {
  test('slows the upstream down instead of filling the memory', async () => {
    let written = 0;
    const line = delta('x'.repeat(100_000));
    await startScripted((response) => {
      const more = (): void => {
        while (written < 2_000 && !response.destroyed) {
          written += 1;
          if (!response.write(line)) return void response.once('drain', more);
        }
        response.end(delta('', 'stop') + DONE);
      };
      more();
    });
    const { port } = new URL(world.url);
    const socket = connect(Number(port), '127.0.0.1');
    const body = JSON.stringify(ask({ stream: true }));
    const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${MASTER_KEY}\r\n`;
    socket.write(`${head}content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    socket.pause();
    await until(async () => (await world.spends()).length === 1, 10_000);
    // 200 MB were there to be sent; what the sockets hold between them is far less.
    expect(written).toBeLessThan(500);
    expect(await world.spends()).toMatchObject([{ outcome: 'timed-out', usageSource: 'estimated' }]);
    socket.destroy();
  });
});

async function sendPieces(response: ServerResponse, bytes: Buffer, size: number): Promise<void> {
  response.socket?.setNoDelay(true);
  for (let from = 0; from < bytes.length; from += size) {
    response.write(bytes.subarray(from, from + size));
    await new Promise(setImmediate);
  }
  response.end();
}

describe('a stream whose key loses its right to it', () => {
  const lost: readonly [string, () => DomainEvent, string][] = [
    ['is blocked', () => keyBlocked(), 'Key is blocked'],
    ['is deleted', () => keyDeleted({ tokenHash: hashSecret(SECRET) }), 'Invalid API key'],
    [
      'is rotated without grace',
      () => keyRotated({ oldTokenHash: hashSecret(SECRET), graceEndsAt: null }),
      'Invalid API key',
    ],
    ['belongs to a project that is blocked', () => projectBlocked(), 'Team=prj_1 is blocked'],
  ];
  test.each(lost)(
    'because it %s ends within 5 seconds, with an error, and is charged',
    async (_, event, says) => {
      await startScripted((response) => response.write(delta('Hello')), 20_000);
      const response = await world.chat({ stream: true });
      const startedMs = performance.now();
      world.apply(event());
      const events = await eventsOf(response);
      expect(performance.now() - startedMs).toBeLessThan(5_000);
      expect(events.at(-1)).toContain(says);
      expect(JSON.parse(events.at(-1)!)).toMatchObject({ error: { code: '500' } });
      expect(events).not.toContain('[DONE]');
      expect(await world.spends()).toMatchObject([{ outcome: 'truncated', usage: { outputTokens: 1 } }]);
    },
  );

  test('goes on while an old secret is in its grace', async () => {
    await startScripted((response) => {
      response.write(delta('Hello'));
      setTimeout(() => response.end(delta('', 'stop') + DONE), 1_300);
    }, 20_000);
    const response = await world.chat({ stream: true });
    const graceEndsAt = new Date(Date.now() + 60_000).toISOString();
    world.apply(keyRotated({ oldTokenHash: hashSecret(SECRET), graceEndsAt }));
    expect((await eventsOf(response)).at(-1)).toBe('[DONE]');
  });
});
