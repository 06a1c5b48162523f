import { createServer, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { pairsOf, setHead } from '../../src/gateway/head.ts';

const HEADERS = 'content-type: application/json\r\ncontent-length: 2\r\nx-a: 1\r\nX-Two: b; c="d: e"\r\n';

let servers: Server[] = [];
afterEach(() => {
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
  servers = [];
});

/** What a server with this way of writing heads sends for some raw requests, without the date. */
async function bytes(
  head: (response: ServerResponse, status: number, headers: string) => void,
  requests: string,
  status: number,
): Promise<string> {
  const server = createServer({ keepAliveTimeout: 65_000 }, (request, response) => {
    request.resume();
    head(response, status, HEADERS);
    response.end('{}', 'latin1');
  });
  servers.push(server);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  let seen = '';
  socket.on('data', (part: Buffer) => (seen += part.toString('latin1')));
  const closed = new Promise<void>((resolve) => {
    socket.on('close', () => resolve());
  });
  socket.write(requests);
  await closed;
  return seen.replaceAll(/^Date: .*\r\n/gm, '');
}

const plain = (response: ServerResponse, status: number, headers: string): void =>
  void response.writeHead(status, pairsOf(headers));
const get = (path: string, rest = ''): string => `GET ${path} HTTP/1.1\r\nhost: x\r\n${rest}\r\n`;

describe('a head that is set as one text', () => {
  test.each([
    ['one request that asks to close', get('/', 'connection: close\r\n'), 200],
    ['several on one connection', get('/1') + get('/2') + get('/3', 'connection: close\r\n'), 200],
    ['another status', get('/', 'connection: close\r\n'), 429],
    ['HTTP/1.0', 'GET / HTTP/1.0\r\nhost: x\r\n\r\n', 200],
    ['a request for the head alone', `HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`, 200],
  ])('is the one that node writes: %s', async (_, requests, status) => {
    expect(await bytes(setHead, requests, status)).toBe(await bytes(plain, requests, status));
  });

  test('says when it was sent, as every answer does', async () => {
    const server = createServer((_request, response) => {
      setHead(response, 200, HEADERS);
      response.end('{}', 'latin1');
    });
    servers.push(server);
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    const { headers } = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    expect(Math.abs(Date.parse(headers.get('date')!) - Date.now())).toBeLessThan(10_000);
  });

  test('ends the connection when the answer says so', async () => {
    const closing = (response: ServerResponse, status: number, headers: string): void =>
      setHead(response, status, headers, true);
    const seen = await bytes(closing, get('/1') + get('/2'), 200);
    expect(seen.match(/HTTP\/1\.1 200/g)).toHaveLength(1);
    expect(seen).toContain('Connection: close\r\n');
  });
});
