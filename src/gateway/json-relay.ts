import { isAscii } from 'node:buffer';
import type { IncomingHttpHeaders } from 'node:http';
import { Refusal } from '../errors.ts';
import { sendBody, sendError, sendRefusal } from './answers.ts';
import { type Call, isRecord, isStorable } from './call.ts';
import { conclude, type Exchange, unbilled } from './exchange.ts';
import { failUnbilled, leaveUnbilled, type Relay, type RelayDeps } from './relay.ts';
import { answerHeaders, finalHeaders } from './response-headers.ts';
import { type MappedError, mapErrorObject, mapUpstreamError, providerHeaders } from './upstream-errors.ts';
import { counted } from './counted-usage.ts';

/** Answers that come in one piece. Nothing is sent before the whole answer is here and recorded. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
const ERROR_BYTES_MAX = 64 * 1024;
const RESPONSE_ID_LENGTH_MAX = 256;

export function jsonRelay(
  { books, version }: RelayDeps,
  exchange: Exchange,
  headers: IncomingHttpHeaders,
): Relay {
  const collected = collector(ANSWER_BYTES_MAX);
  const contentType = exchange.call.form === null ? 'application/json' : typeOf(headers);

  /** `body`: a character per byte. */
  function complete(body: string, answer: Readonly<Record<string, unknown>>): void {
    const answeredMs = books.monotonicMs();
    const { call, inputTokens } = exchange;
    const { dialect } = call.route;
    const reported = dialect.readUsage(answer, call);
    const usage = reported ?? counted(call, inputTokens, dialect.countAnswer(answer));
    const usageSource = reported === null ? 'estimated' : 'reported';
    const responseId = readResponseId(answer['id']);
    conclude(
      books,
      exchange,
      { outcome: 'completed', status: 200, usageSource, usage, responseId, report: dialect.reportIn(answer) },
      (refusal) => {
        const { response, callId } = exchange;
        if (refusal !== null) return sendRefusal(response, refusal, callId);
        const nowMs = books.monotonicMs();
        const head =
          answerHeaders(exchange, version, providerHeaders(headers, exchange), nowMs) +
          finalHeaders(exchange, answeredMs, nowMs);
        sendBody(response, 200, contentType, head, body);
      },
    );
  }

  return {
    onData(chunk) {
      if (collected.add(chunk)) return;
      exchange.upstream?.abort();
      failUnbilled(books, exchange, invalid());
    },
    onEnd() {
      const bytes = collected.bytes();
      const body = bytes.toString('latin1');
      // Nearly every answer is ASCII, and then one text is both what is read and what is sent.
      const text = isAscii(bytes) ? body : bytes.toString('utf8');
      const answer = parseObject(text) ?? textAnswer(exchange.call, contentType, text);
      if (answer === null) return failUnbilled(books, exchange, invalid());
      const error = mapErrorObject(answer, exchange.deployment.apiKey);
      if (error !== null) return sendMapped({ books, version }, exchange, error, headers);
      complete(body, answer);
    },
    onBroken: (trouble) => failUnbilled(books, exchange, trouble),
    onClientGone: () => leaveUnbilled(books, exchange),
  };
}

/** An answer with an error status, or a redirect, which is never followed. `takesOver`: somebody else will answer. */
export function errorRelay(
  deps: RelayDeps,
  exchange: Exchange,
  status: number,
  headers: IncomingHttpHeaders,
  takesOver: (body: string) => boolean,
): Relay {
  const collected = collector(ERROR_BYTES_MAX);
  return {
    onData: (chunk) => void collected.add(chunk),
    onEnd() {
      if (status < 400) return failUnbilled(deps.books, exchange, invalid());
      const body = collected.bytes().toString('utf8');
      if (takesOver(body)) return;
      sendMapped(deps, exchange, mapUpstreamError(status, body, exchange.deployment.apiKey), headers);
    },
    // The status is known, which says more than how its explanation got lost.
    onBroken: () => sendMapped(deps, exchange, mapUpstreamError(Math.max(status, 400), '', null), headers),
    onClientGone: () => leaveUnbilled(deps.books, exchange),
  };
}

export function sendMapped(
  { books, version }: RelayDeps,
  exchange: Exchange,
  { status, body }: MappedError,
  headers: IncomingHttpHeaders,
): void {
  conclude(books, exchange, unbilled('upstream-error', status), (refusal) => {
    const { response, callId } = exchange;
    if (refusal !== null) return sendRefusal(response, refusal, callId);
    const head = answerHeaders(exchange, version, providerHeaders(headers, exchange), books.monotonicMs());
    sendError(response, status, body, head);
  });
}

export function invalid() {
  return { outcome: 'upstream-error', refusal: new Refusal('upstream_invalid') } as const;
}

/** The upstream's id of its answer, if it is fit to be kept. */
export function readResponseId(id: unknown): string | null {
  return typeof id === 'string' && id.length <= RESPONSE_ID_LENGTH_MAX && isStorable(id) ? id : null;
}

function collector(bytesMax: number) {
  const parts: Buffer[] = [];
  let length = 0;
  return {
    /** False when it is too much; what is too much is not kept. */
    add(chunk: Buffer): boolean {
      length += chunk.length;
      if (length <= bytesMax) parts.push(chunk);
      return length <= bytesMax;
    },
    bytes: () => (parts.length === 1 ? parts[0]! : Buffer.concat(parts)),
  };
}

function parseObject(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

/** Transcriptions come as plain text or subtitles too. */
function textAnswer(
  { form }: Call,
  contentType: string,
  text: string,
): Readonly<Record<string, unknown>> | null {
  return form !== null && contentType.startsWith('text/') ? { text } : null;
}

const TYPE = /^[\w.+-]+\/[\w.+-]+(?:; ?[\w.=+-]+)*$/;

export function typeOf({ 'content-type': type }: IncomingHttpHeaders): string {
  return type !== undefined && TYPE.test(type) && !type.startsWith('text/html') ? type : 'application/json';
}
