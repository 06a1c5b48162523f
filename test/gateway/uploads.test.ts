import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import { afterEach, expect, test } from 'vitest';
import { listen, SECRET, startWorld, stopServer, until, type World } from './harness.ts';

const MB = 1024 * 1024;
const SIZE = 200 * MB;
const PIECE = Buffer.alloc(MB, 7);
/** What sockets and streams hold on the way through, client and upstream included. */
const UNDER_WAY_MAX = 24 * MB;

let world: World;
let server: Server;
afterEach(async () => {
  await world.stop();
  await stopServer(server);
});

test('a recording of 200 MB goes through as it is read, and no faster', async () => {
  let arrived: IncomingMessage | null = null;
  let received = 0;
  server = createServer((incoming, response) => {
    arrived = incoming;
    incoming.pause();
    incoming.on('end', () => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ text: 'one two', usage: { type: 'duration', seconds: 3 } }));
    });
  });
  const upstream = await listen(server);
  const prices = { inputRate: 0n, cachedInputRate: 0n, outputRate: 0n, unitRates: { second: 1_000_000n } };
  world = await startWorld({
    terms: { prices: { models: { listener: prices }, markupPercent: null } },
    deployment: { baseUrl: `${upstream}/v1`, timeoutMs: 60_000 },
    deps: { fileBytesMax: 256 * MB },
  });
  const call = request(`${world.url}/v1/audio/transcriptions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${SECRET}`, 'content-type': 'multipart/form-data; boundary=XX' },
  });
  const answered = new Promise<number>((resolve, reject) => {
    call.on('error', reject);
    call.on('response', (response) => {
      response.resume();
      resolve(response.statusCode!);
    });
  });
  const part = (name: string, more = '') =>
    `--XX\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n`;
  let sent = 0;
  const push = (): void => {
    while (sent < SIZE) {
      sent += PIECE.length;
      if (!call.write(PIECE)) return void call.once('drain', push);
    }
    call.end('\r\n--XX--\r\n');
  };
  call.write(`${part('model')}listener\r\n${part('file', '; filename="a.mp3"')}`);
  push();
  await until(() => arrived !== null);
  // Nobody reads at the end of the way, so at some point nothing more is taken at its beginning.
  let before = -1;
  let still = 0;
  await until(() => {
    still = sent === before ? still + 1 : 0;
    before = sent;
    return still > 30;
  }, 20_000);
  expect(sent).toBeLessThan(UNDER_WAY_MAX);
  let most = 0;
  arrived!.on('data', (bytes: Buffer) => {
    received += bytes.length;
    most = Math.max(most, sent - received);
  });
  arrived!.resume();
  expect(await answered).toBe(200);
  expect(received).toBeGreaterThan(SIZE);
  expect(most).toBeLessThan(UNDER_WAY_MAX);
  expect(await world.spends()).toMatchObject([{ outcome: 'completed', lines: [{ unit: 'second' }] }]);
}, 60_000);
