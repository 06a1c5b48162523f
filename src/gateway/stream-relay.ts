import type { IncomingHttpHeaders } from 'node:http';
import type { Outcome, Usage } from '../domain/spend.ts';
import { Refusal } from '../errors.ts';
import { isRecord } from './call.ts';
import { CLIENT_GONE_STATUS, conclude, type Conclusion, type Exchange } from './exchange.ts';
import { invalid, readResponseId, sendMapped } from './json-relay.ts';
import { deliveryGate } from './delivery-gate.ts';
import { producedText } from './produced-text.ts';
import { failUnbilled, leaveUnbilled, type Relay, type RelayDeps } from './relay.ts';
import { answerHeaders } from './response-headers.ts';
import { dataOf, eventCollector, isSpecial, splitEvents } from './sse.ts';
import { type ChunkedBody, chunkedBody } from './stream-writer.ts';
import { mapErrorObject, providerHeaders, streamError } from './upstream-errors.ts';
import { estimated, readUsage } from './usage.ts';

/**
 * A stream of events. What is plainly a piece of the answer goes on at once, unread. The end of the
 * answer (from where every choice has a reason to be finished, to [DONE]) is held back until the
 * spend is durable. The event that only reports usage is passed on if the client asked for it.
 */
const EVENT_BYTES_MAX = 16 * 1024 * 1024;
const DONE = 'data: [DONE]\n\n';
const CUT_OFF = 'The model endpoint broke off the answer.';
const NOT_RECORDED = 'The usage of this answer could not be recorded.';

export function streamRelay(deps: RelayDeps, exchange: Exchange, headers: IncomingHttpHeaders): Relay {
  const { books, version } = deps;
  const { call, deployment, inputTokens } = exchange;
  const collected = eventCollector();
  const produced = producedText();
  const finished = new Set<number>();
  let body: ChunkedBody | null = null;
  /** The end of the answer, once it has begun. */
  let held: string | null = null;
  let usage: Usage | null = null;
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
      return answerHeaders(exchange, version, providerHeaders(headers), now);
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
    if (error !== null) {
      exchange.upstream?.abort();
      if (!received) return sendMapped(deps, exchange, error, headers);
      return breakOff('upstream-error', error.body.error.message);
    }
    usage = readUsage(json['usage']) ?? usage;
    const choices = Array.isArray(json['choices']) ? (json['choices'] as unknown[]) : [];
    for (const choice of choices) {
      if (isRecord(choice) && typeof choice['finish_reason'] === 'string')
        finished.add(Number(choice['index'] ?? 0));
    }
    if (finished.size >= call.choices) held ??= '';
    const onlyUsage = choices.length === 0 && isRecord(json['usage']);
    if (!onlyUsage || call.wantsUsage) pass(event);
    else received = true;
  }

  function conclusion(outcome: Outcome, status: number): Conclusion {
    const usageSource = usage === null ? 'estimated' : 'reported';
    return {
      outcome,
      status,
      usageSource,
      usage: usage ?? estimated(inputTokens, produced.tokens()),
      responseId,
    };
  }

  /** The whole answer is here. */
  function finish(): void {
    conclude(books, exchange, conclusion('completed', 200), (refusal) => {
      exchange.upstream?.resume();
      end(refusal === null ? DONE : streamError(NOT_RECORDED));
    });
  }

  /** The answer has begun and cannot be finished; what came of it is charged. */
  function breakOff(outcome: Outcome, message: string): void {
    conclude(books, exchange, conclusion(outcome, 200), () => end(streamError(message)));
  }

  function end(last: string): void {
    if (exchange.response.destroyed) return;
    const rest = (held ?? '') + last;
    held = null;
    if (body === null) write('');
    body!.end(rest);
  }

  function take(events: string): void {
    if (!isSpecial(events)) return pass(events);
    let plain = '';
    for (const event of splitEvents(events)) {
      if (!isSpecial(event)) {
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
      if (finished.size >= call.choices) finish();
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
