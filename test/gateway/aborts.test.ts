import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { ask, SECRET, startWorld, until, type World } from './harness.ts';

const ABORTS = 1_000;
const LANES = 25;
const TOKENS = 24;

let world: World;
afterEach(() => world.stop());

/** A fixed sequence of numbers from 0 to less than 1, so that a failure can be repeated. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state / 2 ** 31;
  };
}

/** Sends a question and resets the connection after so many bytes or milliseconds; what came by then. */
function leaveAfter(port: number, bytesMax: number, msMax: number): Promise<string> {
  return new Promise((resolve) => {
    const body = JSON.stringify(ask({ stream: true, max_tokens: TOKENS }));
    const socket = connect(port, '127.0.0.1');
    let seen = '';
    const leave = () => socket.resetAndDestroy();
    const timer = setTimeout(leave, msMax);
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      seen += bytes.toString('latin1');
      if (seen.length >= bytesMax || seen.includes('[DONE]')) leave();
    });
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(seen);
    });
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${SECRET}\r\n` +
        `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
  });
}

/** Words in the answer; every word of the simulated upstream is one token. */
function tokensIn(seen: string): number {
  const words = [...seen.matchAll(/"content":"([^"]*)"/g)].map(([, text]) => text).join('');
  return words.split(' ').filter((word) => word !== '').length;
}

test('1,000 clients that leave at random points pay for what they got, and their upstream calls end', async () => {
  world = await startWorld({
    upstream: { latencyMs: 1, chunkDelayMs: 1, chunkCount: 12 },
    limits: { parallelRequests: LANES, budget: { nanos: 1_000_000_000n, window: null } },
  });
  const port = Number(new URL(world.url).port);
  const random = numbers(20_261_121);
  const received = new Map<string, number>();
  const lanes = Array.from({ length: LANES }, async () => {
    for (let i = 0; i < ABORTS / LANES; i += 1) {
      const seen = await leaveAfter(port, Math.floor(random() * 4_000), Math.floor(random() * 60));
      const callId = /x-litellm-call-id: (\S+)/.exec(seen)?.[1];
      if (callId !== undefined) received.set(callId, tokensIn(seen));
      // A slot is given back when the gateway has noticed; who comes earlier would only be refused.
      await until(() => world.gateway.inFlight() < LANES);
    }
  });
  await Promise.all(lanes);
  await until(() => world.upstream.stats().inFlight === 0, 1_000);
  await until(() => world.gateway.inFlight() === 0, 1_000);
  const spends = await world.spends();
  expect(new Set(spends.map(({ requestId }) => requestId)).size).toBe(spends.length);
  expect(spends.length).toBeGreaterThan(ABORTS / 2);
  for (const { requestId, usage, usageSource, priceNanos } of spends) {
    const got = received.get(requestId) ?? 0;
    expect(usage.outputTokens).toBeGreaterThanOrEqual(got);
    expect(usage.outputTokens).toBeLessThanOrEqual(TOKENS);
    if (usageSource === 'none') expect([got, priceNanos]).toEqual([0, 0n]);
  }
  // Nobody got anything that is not in the books.
  const recorded = new Set(spends.map(({ requestId }) => requestId));
  for (const [callId, tokens] of received) if (tokens > 0) expect(recorded.has(callId)).toBe(true);
  // All slots are free, and nothing is reserved.
  const answers = await Promise.all(Array.from({ length: LANES }, () => world.chat()));
  expect(answers.every(({ status }) => status === 200)).toBe(true);
});
