import type { IncomingHttpHeaders } from 'node:http';
import type { Outcome } from '../domain/spend.ts';
import { Refusal } from '../errors.ts';
import { isRecord, type Json } from './json-fields.ts';
import { CLIENT_GONE_STATUS, conclude, type Conclusion, type Exchange } from './exchange.ts';
import { invalid, readResponseId, sendMapped } from './json-relay.ts';
import { deliveryGate } from './delivery-gate.ts';
import { producedText } from './produced-text.ts';
import { failUnbilled, leaveUnbilled, type Relay, type RelayDeps } from './relay.ts';
import { answerHeaders } from './response-headers.ts';
import { counted } from './counted-usage.ts';
import { dataOf, eventCollector, splitEvents } from './sse.ts';
import { type ChunkedBody, chunkedBody } from './stream-writer.ts';
import { type MappedError, mapErrorObject, mapUpstreamError, providerHeaders } from './upstream-errors.ts';

/**
 * A stream of events. What is plainly a piece of the answer goes on at once, unread. The end of the
 * answer (from where every choice has a reason to be finished, to [DONE]) is held back until the
 * spend is durable. The event that only reports usage is passed on if the client asked for it.
 */
const EVENT_BYTES_MAX = 16 * 1024 * 1024;
const CUT_OFF = 'The model endpoint broke off the answer.';
const NOT_RECORDED = 'The usage of this answer could not be recorded.';

export function streamRelay(deps: RelayDeps, exchange: Exchange, headers: IncomingHttpHeaders): Relay {
  const { books, version } = deps;
  const { call, deployment, inputTokens } = exchange;
  const collected = eventCollector();
  const dialect = call.route.dialect.stream!;
  const { special } = dialect;
  const produced = producedText(dialect);
  const reader = dialect.open(call);
  let body: ChunkedBody | null = null;
  /** The end of the answer, once it has begun. */
  let held: string | null = null;
  let responseId: string | null = null;
  let received = false;
  let draining = false;

  function pass(events: string): void {
    if (!received) responseId = firstId(events);
    received = true;
    produced.add(events);
    if (held === null) gate.push(events);
    else held += events;
  }

  const gate = deliveryGate(books.writer, exchange.ticket!, {
    send: write,
    refused: () =>
      onBroken({ outcome: 'truncated', refusal: new Refusal('log_unavailable', { retryAfterSeconds: 1 }) }),
  });

  function write(events: string): void {
    body ??= chunkedBody(exchange.response, () => {
      const now = books.monotonicMs();
      return answerHeaders(exchange, version, providerHeaders(headers, exchange), now);
    });
    if (body.write(events) || draining) return;
    draining = true;
    exchange.upstream?.pause();
    exchange.response.once('drain', () => {
      draining = false;
      exchange.upstream?.resume();
    });
  }

  function takeSpecial(event: string): void {
    const data = dataOf(event);
    if (data === '[DONE]') return received ? finish() : failUnbilled(books, exchange, invalid());
    const json = parse(data);
    if (json === null) {
      // A comment goes on; a usage that is no JSON would only break the client's parser.
      if (data === null || !data.includes('"usage"')) pass(event);
      return;
    }
    const error = mapErrorObject(json, deployment.apiKey);
    if (error !== null) return fail(error);
    const verdict = reader.take(json);
    if (verdict === 'failed')
      return fail(mapUpstreamError(502, JSON.stringify({ error: errorIn(json) }), deployment.apiKey));
    if (reader.finished) held ??= '';
    if (verdict === 'drop') received = true;
    else pass(event);
    if (verdict === 'end') finish();
  }

  function fail(error: MappedError): void {
    exchange.upstream?.abort();
    if (!received) return sendMapped(deps, exchange, error, headers);
    breakOff('upstream-error', error.body.error.message);
  }

  function conclusion(outcome: Outcome, status: number): Conclusion {
    const { usage, report } = reader;
    responseId = readResponseId(reader.responseId) ?? responseId;
    if (usage !== null) return { outcome, status, usageSource: 'reported', usage, responseId, report };
    const produces = call.route.dialect.generates ? produced.tokens() : 0;
    const estimate = counted(call, inputTokens, produces);
    return { outcome, status, usageSource: 'estimated', usage: estimate, responseId };
  }

  /** The whole answer is here. */
  function finish(): void {
    conclude(books, exchange, conclusion('completed', 200), (refusal) => {
      exchange.upstream?.resume();
      end(refusal === null ? dialect.closing : dialect.failure(NOT_RECORDED), refusal !== null);
    });
  }

  /** The answer has begun and cannot be finished; what came of it is charged. */
  function breakOff(outcome: Outcome, message: string): void {
    conclude(books, exchange, conclusion(outcome, 200), () => end(dialect.failure(message), true));
  }

  /** What is held back would tell the client that all is well, so it is left out where it is not. */
  function end(last: string, failed: boolean): void {
    if (exchange.response.destroyed) return;
    const rest = (failed && dialect.closing === '' ? '' : (held ?? '')) + last;
    held = null;
    if (body === null) write('');
    body!.end(rest);
  }

  function take(events: string): void {
    if (!special.test(events)) return pass(events);
    let plain = '';
    for (const event of splitEvents(events)) {
      if (!special.test(event)) {
        plain += event;
        continue;
      }
      if (plain !== '') pass(plain);
      plain = '';
      takeSpecial(event);
      if (exchange.concluded) return;
    }
    if (plain !== '') pass(plain);
  }

  function onBroken({ outcome, refusal }: { outcome: Outcome; refusal: Refusal }): void {
    const upstreams = outcome === 'truncated' && refusal.status >= 500;
    if (received) breakOff(outcome, upstreams ? CUT_OFF : refusal.message);
    else failUnbilled(books, exchange, { outcome: outcome as 'truncated', refusal });
  }

  return {
    onData(chunk) {
      if (exchange.concluded) return;
      const events = collected.push(chunk);
      if (events !== '') take(events);
      if (collected.restBytes + (held?.length ?? 0) <= EVENT_BYTES_MAX || exchange.concluded) return;
      exchange.upstream?.abort();
      onBroken({ outcome: 'truncated', refusal: invalid().refusal });
    },
    onEnd() {
      if (exchange.concluded) return;
      const rest = wholeEvent(collected.rest());
      if (rest !== null) take(rest);
      if (exchange.concluded) return;
      if (reader.finished) finish();
      else if (received) onBroken({ outcome: 'truncated', refusal: invalid().refusal });
      else failUnbilled(books, exchange, invalid());
    },
    onBroken,
    onClientGone() {
      if (!received) return leaveUnbilled(books, exchange);
      exchange.upstream?.abort();
      conclude(books, exchange, conclusion('client-gone', CLIENT_GONE_STATUS), () => undefined);
    },
  };
}

/** The last event of an upstream that leaves out the blank line at the very end; null when it is cut off. */
function wholeEvent(rest: string): string | null {
  const event = `${rest.trimEnd()}\n\n`;
  const data = dataOf(event);
  return data !== null && (data === '[DONE]' || parse(data) !== null) ? event : null;
}

/** Where an event of an error has it: in the answer that failed, or all of it is one. */
function errorIn(event: Json): unknown {
  const { response } = event;
  return isRecord(response) && isRecord(response['error']) ? response['error'] : event;
}

function firstId(events: string): string | null {
  return readResponseId(/"id"\s*:\s*"([^"\\]+)"/.exec(events)?.[1]);
}

function parse(data: string | null): Readonly<Record<string, unknown>> | null {
  if (data === null) return null;
  try {
    const value: unknown = JSON.parse(data);
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}
