/**
 * The floor that Keyledger is measured against: the least a correct HTTP proxy on node costs. `node:http` on one
 * side, undici's `dispatch` on the other, connections kept alive, bytes passed on as they come, head and body in
 * one write where the body is there at once. No keys, no limits, no books.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type Dispatcher, Pool } from 'undici';
import { endWithParent, report } from './processes.ts';

const pool = new Pool(process.argv[2] ?? '', { connections: 512, pipelining: 1 });

const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  const parts: Buffer[] = [];
  request.on('data', (part: Buffer) => parts.push(part));
  request.on('end', () =>
    forward(request, response, parts.length === 1 ? (parts[0] ?? null) : Buffer.concat(parts)),
  );
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  endWithParent();
  report({ url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}` });
});

function forward(request: IncomingMessage, response: ServerResponse, body: Buffer | null): void {
  const headers = { 'content-type': 'application/json', authorization: request.headers.authorization ?? '' };
  pool.dispatch({ path: request.url ?? '/', method: 'POST', headers, body }, passOn(response));
}

// undici's older handler form: the newer one is wrapped around it and costs an object tree per request.
function passOn(response: ServerResponse): Dispatcher.DispatchHandler {
  let length = -1;
  let status = 0;
  let head: Record<string, string> = {};
  let resumeReading: (() => void) | null = null;
  return {
    onConnect: (abort) => {
      response.on('close', () => {
        if (!response.writableFinished) abort();
      });
    },
    onHeaders: (statusCode, rawHeaders, resume) => {
      status = statusCode;
      head = {};
      resumeReading = resume;
      for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
        const name = String(rawHeaders[i]).toLowerCase();
        const value = String(rawHeaders[i + 1]);
        if (name === 'content-length') length = Number(value);
        if (name === 'content-type' || name === 'content-length') head[name] = value;
      }
      return true;
    },
    onData: (chunk) => {
      if (!response.headersSent) response.writeHead(status, head);
      if (chunk.length === length) {
        response.end(chunk);
        return true;
      }
      if (response.write(chunk) || resumeReading === null) return true;
      response.once('drain', resumeReading);
      return false;
    },
    onComplete: () => {
      if (!response.headersSent) response.writeHead(status, head);
      if (!response.writableEnded) response.end();
    },
    onError: () => {
      if (response.headersSent) response.destroy();
      else response.writeHead(502).end();
    },
  };
}
