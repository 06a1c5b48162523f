import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatNanos } from '../../src/domain/money.ts';
import type { Outcome } from '../../src/domain/spend.ts';
import { errorOf, listen, startWorld, stopServer, until, type World } from './harness.ts';

/**
 * What an upstream can do to a connection, byte by byte: each ends in exactly one outcome, and leaves
 * nothing reserved. What it can do in a well-formed answer is in faults.test.ts.
 */
type Script = (socket: Socket, stream: boolean) => void;

const JSON_HEAD = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n';
const SSE_HEAD = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n';
const chunk = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
const END = '0\r\n\r\n';
const event = (json: object): string => `data: ${JSON.stringify(json)}\n\n`;
const delta = (content: string, index = 0, finish_reason: string | null = null) =>
  event({ id: 'c', choices: [{ index, delta: { content }, finish_reason }] });
const whole = (usage: object | null, more: object = {}) =>
  JSON.stringify({
    id: 'c',
    choices: [
      { index: 0, message: { role: 'assistant', content: 'one two', ...more }, finish_reason: 'stop' },
    ],
    usage,
  });
const USAGE = { prompt_tokens: 9, completion_tokens: 2, total_tokens: 11 };
const good =
  (usage: object | null, more: object = {}): Script =>
  (socket, stream) => {
    const text = whole(usage, more);
    if (!stream) {
      socket.end(`${JSON_HEAD}content-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
      return;
    }
    const events = [
      delta('one two'),
      delta('', 0, 'stop'),
      event({ id: 'c', choices: [], usage }),
      'data: [DONE]\n\n',
    ];
    socket.end(`${SSE_HEAD}transfer-encoding: chunked\r\n\r\n${events.map(chunk).join('')}${END}`);
  };
const status =
  (head: string): Script =>
  (socket) => {
    const body = '{"error":{"message":"no"}}';
    socket.end(
      `HTTP/1.1 ${head}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
  };
const begin = (stream: boolean): string =>
  stream
    ? `${SSE_HEAD}transfer-encoding: chunked\r\n\r\n${chunk(delta('one two'))}`
    : `${JSON_HEAD}content-length: 900\r\n\r\n${whole(USAGE).slice(0, 40)}`;
/** First byte of a client that speaks TLS. */
const TLS_HANDSHAKE = 0x16;
const bomb = gzipSync(Buffer.alloc(4_000_000, ' '));

interface Scenario {
  readonly name: string;
  readonly script: Script;
  /** Status and outcome of an answer in one piece, and of a stream. */
  readonly json: readonly [number, Outcome];
  readonly stream: readonly [number, Outcome];
}
const both = (name: string, script: Script, end: readonly [number, Outcome]): Scenario => ({
  name,
  script,
  json: end,
  stream: end,
});
const differ = (
  name: string,
  script: Script,
  json: readonly [number, Outcome],
  stream: readonly [number, Outcome],
): Scenario => ({ name, script, json, stream });

const scenarios: readonly Scenario[] = [
  both('closes without a word', (socket) => socket.end(), [502, 'upstream-error']),
  both('resets the connection', (socket) => socket.resetAndDestroy(), [502, 'upstream-error']),
  both('says nothing at all', () => undefined, [504, 'timed-out']),
  both('sends its head a byte at a time', (socket) => drip(socket, JSON_HEAD.split('')), [504, 'timed-out']),
  both('speaks no HTTP', (socket) => socket.end('220 mail.example ESMTP\r\n'), [502, 'upstream-error']),
  both('answers 429 with a date', status('429 Slow\r\nretry-after: Wed, 21 Oct 2099 07:28:00 GMT'), [
    429,
    'upstream-error',
  ]),
  both(
    'sends a length and chunks',
    (socket) =>
      socket.end(`${JSON_HEAD}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n${chunk('{}')}${END}`),
    [502, 'upstream-error'],
  ),
  both(
    'sends a gzip bomb that nobody asked for',
    (socket) =>
      void socket.end(
        Buffer.concat([
          Buffer.from(`${JSON_HEAD}content-encoding: gzip\r\ncontent-length: ${bomb.length}\r\n\r\n`),
          bomb,
        ]),
      ),
    [502, 'upstream-error'],
  ),
  both('sends a head without end', (socket) => socket.write(`${JSON_HEAD}x: ${'y'.repeat(200_000)}`), [
    502,
    'upstream-error',
  ]),
  both(
    'redirects',
    (socket) =>
      socket.end('HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n'),
    [502, 'upstream-error'],
  ),
  differ(
    'stops in the middle',
    (socket, stream) => void socket.write(begin(stream)),
    [504, 'timed-out'],
    [200, 'timed-out'],
  ),
  differ(
    'drips a byte at a time',
    (socket, stream) => {
      socket.write(begin(stream));
      drip(
        socket,
        Array.from({ length: 200 }, () => (stream ? chunk(' ') : ' ')),
      );
    },
    [504, 'timed-out'],
    [200, 'timed-out'],
  ),
  differ(
    'closes in the middle',
    (socket, stream) => socket.end(begin(stream)),
    [502, 'truncated'],
    [200, 'truncated'],
  ),
  differ(
    'resets in the middle',
    (socket, stream) => socket.write(begin(stream), () => setTimeout(() => socket.resetAndDestroy(), 20)),
    [502, 'truncated'],
    [200, 'truncated'],
  ),
  differ(
    'is cut inside of a character',
    (socket, stream) => cutInside(socket, stream),
    [502, 'truncated'],
    [200, 'truncated'],
  ),
  differ(
    'ends its chunks wrongly',
    (socket, stream) =>
      socket.end(stream ? `${begin(true)}zz\r\n` : `${JSON_HEAD}transfer-encoding: chunked\r\n\r\nzz\r\n`),
    [502, 'truncated'],
    [200, 'truncated'],
  ),
  both(
    'reports cached and reasoning tokens',
    good({
      ...USAGE,
      prompt_tokens_details: { cached_tokens: 4 },
      completion_tokens_details: { reasoning_tokens: 1 },
    }),
    [200, 'completed'],
  ),
  both('reports more cached than prompt', good({ ...USAGE, prompt_tokens_details: { cached_tokens: 40 } }), [
    200,
    'completed',
  ]),
  both('reports fractions', good({ ...USAGE, prompt_tokens: 1.5 }), [200, 'completed']),
  both('reports no usage', good(null), [200, 'completed']),
  both(
    'calls tools',
    good(USAGE, {
      content: null,
      tool_calls: [{ id: 't', type: 'function', function: { name: 'f', arguments: '{}' } }],
    }),
    [200, 'completed'],
  ),
  both('answers twice in one', twice, [200, 'completed']),
  both(
    'sends informational answers first',
    (socket, stream) => {
      socket.write('HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n');
      good(USAGE)(socket, stream);
    },
    [200, 'completed'],
  ),
];

/** Two choices, of which nobody asked for the second. */
function twice(socket: Socket, stream: boolean): void {
  const choices = [0, 1].map((index) => ({
    index,
    message: { role: 'assistant', content: 'one two' },
    finish_reason: 'stop',
  }));
  const text = stream
    ? [delta('one', 0), delta('two', 1), delta('', 0, 'stop'), delta('', 1, 'stop')].join('') +
      `${event({ id: 'c', choices: [], usage: USAGE })}data: [DONE]\n\n`
    : JSON.stringify({ id: 'c', choices, usage: USAGE });
  const head = stream ? SSE_HEAD : JSON_HEAD;
  socket.end(`${head}content-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
}

function drip(socket: Socket, pieces: readonly string[]): void {
  let at = 0;
  const timer = setInterval(() => {
    if (socket.destroyed || at >= pieces.length) return clearInterval(timer);
    socket.write(pieces[at]!);
    at += 1;
  }, 60);
  socket.on('close', () => clearInterval(timer));
}

function cutInside(socket: Socket, stream: boolean): void {
  const text = stream ? delta('one two 🌲') : whole(USAGE, { content: 'one two 🌲' });
  const bytes = Buffer.from(text);
  const cut = bytes.subarray(0, bytes.indexOf(Buffer.from('🌲')) + 2);
  if (!stream)
    return void socket.end(
      Buffer.concat([Buffer.from(`${JSON_HEAD}content-length: ${bytes.length}\r\n\r\n`), cut]),
    );
  socket.end(Buffer.concat([Buffer.from(`${begin(true)}${bytes.length.toString(16)}\r\n`), cut]));
}

const BUDGET = { nanos: 1_000_000n, window: null };
let script: Script = good(USAGE);
let server: Server;
let world: World;
beforeAll(async () => {
  server = createServer((socket) => {
    socket.on('error', () => undefined);
    let received = '';
    socket.on('data', (bytes) => {
      if (bytes[0] === TLS_HANDSHAKE) {
        socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
        return;
      }
      received += bytes.toString('latin1');
      const length = Number(/content-length: (\d+)/i.exec(received)?.[1] ?? Infinity);
      if (received.length < received.indexOf('\r\n\r\n') + 4 + length) return;
      const stream = received.includes('"stream":true');
      received = '';
      script(socket, stream);
    });
  });
  const url = await listen(server as never);
  world = await startWorld({
    limits: { parallelRequests: 1, budget: BUDGET },
    deployment: { baseUrl: `${url}/v1`, timeoutMs: 700 },
    deps: { timeouts: { quietMs: 400 } },
  });
});
afterAll(async () => {
  await world.stop();
  await stopServer(Object.assign(server, { closeAllConnections: () => undefined }) as never);
});

describe.each([false, true])('with stream: %s, an upstream that', (stream) => {
  test.each(scenarios.map((scenario) => [scenario.name, scenario] as const))('%s', async (_, scenario) => {
    const before = (await world.spends()).length;
    ({ script } = scenario);
    const [wanted, outcome] = stream ? scenario.stream : scenario.json;
    const response = await world.chat({ stream });
    const text = await response.text();
    expect(response.status).toBe(wanted);
    if (wanted !== 200) expect(errorOf(JSON.parse(text)).code).toBe(String(wanted));
    if (stream && wanted === 200) expect(text.endsWith('data: [DONE]\n\n')).toBe(outcome === 'completed');
    await until(() => world.gateway.inFlight() === 0);
    const spends = await world.spends();
    expect(spends).toHaveLength(before + 1);
    expect(spends.at(-1)!.outcome).toBe(outcome);
    if (wanted !== 200) expect(spends.at(-1)!.priceNanos).toBe(0n);
    // The only slot is free again, and spent is what was recorded and nothing else.
    script = good(USAGE);
    const after = await world.chat();
    expect(after.status).toBe(200);
    await after.arrayBuffer();
    const spent = (await world.spends()).reduce((sum, { priceNanos }) => sum + priceNanos, 0n);
    expect(after.headers.get('x-litellm-key-spend')).toBe(formatNanos(spent));
  });
});

/** The scripted upstream, which speaks no TLS. */
function tlsUrl(): string {
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
}

describe('an address', () => {
  test.each([
    ['that nobody knows', 'http://nowhere.invalid/v1'],
    ['where nobody listens', 'http://127.0.0.1:9/v1'],
    ['where nobody speaks TLS', 'TLS'],
  ])('%s is an upstream error, unbilled', async (_, baseUrl) => {
    const other = await startWorld({ deployment: { baseUrl: baseUrl === 'TLS' ? tlsUrl() : baseUrl } });
    try {
      for (const stream of [false, true]) {
        const response = await other.chat({ stream });
        expect([response.status, errorOf(await response.json()).reason]).toEqual([
          502,
          'upstream_unavailable',
        ]);
      }
      expect(await other.spends()).toMatchObject([{ priceNanos: 0n }, { priceNanos: 0n }]);
    } finally {
      await other.stop();
    }
  });
});
