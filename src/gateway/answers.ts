import type { IncomingMessage, ServerResponse } from 'node:http';
import { headerLine, pairsOf, setHead } from './head.ts';
import { defectBody, type ErrorBody, type Refusal, refusalBody } from '../errors.ts';

/** How long a client may go on sending a body that has been refused already. */
const DRAIN_MS_MAX = 5_000;

/**
 * Writes head and body together: one system call instead of two. As Latin-1 text, which carries
 * every byte unchanged, because Node joins only texts.
 */
function sendJson(response: ServerResponse, status: number, headers: string, body: string): void {
  sendBody(response, status, 'application/json', headers, Buffer.from(body).toString('latin1'));
}

/** `body`: a character per byte. `headers`: lines, as setHead takes them. */
export function sendBody(
  response: ServerResponse,
  status: number,
  contentType: string,
  headers: string,
  body: string,
): void {
  if (response.destroyed || response.headersSent) return;
  setHead(response, status, `content-type: ${contentType}\r\ncontent-length: ${body.length}\r\n${headers}`);
  response.end(body, 'latin1');
}

/** Answers with the envelope that every error has. */
export function sendRefusal(response: ServerResponse, refusal: Refusal, callId: string): void {
  let headers = headerLine('x-litellm-call-id', callId);
  if (refusal.retryAfterSeconds !== null) headers += headerLine('retry-after', refusal.retryAfterSeconds);
  if (refusal.code === 'rate_limited' || refusal.code === 'included_usage_spent') {
    headers += headerLine('rate_limit_type', String(refusal.detail['kind']));
    headers += headerLine('reset_at', String(refusal.detail['resetsAt']));
  }
  if (refusal.code === 'method_not_allowed')
    headers += headerLine('allow', String(refusal.detail['allowed']));
  sendError(response, refusal.status, refusalBody(refusal), headers);
}

export function sendDefect(response: ServerResponse, callId: string): void {
  sendError(response, 500, defectBody(callId), headerLine('x-litellm-call-id', callId));
}

export function sendError(
  response: ServerResponse,
  status: number,
  body: ErrorBody | UpstreamErrorBody,
  headers: string,
): void {
  const text = JSON.stringify(body);
  if (response.req.complete) return sendJson(response, status, headers, text);
  sendBeforeTheEnd(response, status, headers, text);
}

/** An error that came from the upstream, in the same envelope. */
export interface UpstreamErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string | null;
    readonly param: string | null;
    readonly code: string;
  };
}

/**
 * The client is still sending. Closing at once would reset the connection and with it the answer,
 * so the rest is read and thrown away, for a while, before the connection is closed.
 */
function sendBeforeTheEnd(response: ServerResponse, status: number, headers: string, text: string): void {
  if (response.destroyed || response.headersSent) return;
  const request: IncomingMessage = response.req;
  const length = String(Buffer.byteLength(text));
  const own = ['content-type', 'application/json', 'content-length', length, 'connection', 'close'];
  response.writeHead(status, [...own, ...pairsOf(headers)]);
  response.write(text);
  const end = (): void => {
    clearTimeout(timer);
    if (!response.writableEnded) response.end();
  };
  const timer = setTimeout(end, DRAIN_MS_MAX);
  request.once('end', end);
  request.once('close', end);
  request.resume();
}
