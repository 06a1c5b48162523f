import type { IncomingHttpHeaders } from 'node:http';
import { conclude, CLIENT_GONE_STATUS, type Exchange } from './exchange.ts';
import { counted } from './counted-usage.ts';
import { headerLine, pairsOf } from './head.ts';
import { invalid } from './json-relay.ts';
import { failUnbilled, leaveUnbilled, type Relay, type RelayDeps, type Trouble } from './relay.ts';
import { answerHeaders } from './response-headers.ts';
import { providerHeaders } from './upstream-errors.ts';
import type { Outcome } from '../domain/spend.ts';

/**
 * An answer that is no text, such as speech: passed on as it comes. What it costs follows from the
 * request and is owed with its first byte; its end is sent once that is recorded.
 */
const MEDIA_TYPE = /^(?:audio\/[\w.+-]+|application\/octet-stream)(?:; ?[\w.=+-]+)*$/;

export function binaryRelay(
  { books, version }: RelayDeps,
  exchange: Exchange,
  headers: IncomingHttpHeaders,
): Relay {
  const { response, call, inputTokens } = exchange;
  const type = headers['content-type'] ?? '';
  let waiting: Buffer[] | null = [];
  let received = false;
  let draining = false;

  // Nothing goes out before the spool says that it may have gone out.
  books.writer.deliver(exchange.ticket!, 0, (error) => {
    if (error !== null) return;
    const first = waiting ?? [];
    waiting = null;
    for (const chunk of first) write(chunk);
  });

  function write(chunk: Buffer): void {
    if (response.destroyed) return;
    if (!response.headersSent) {
      const provider = providerHeaders(headers, exchange);
      const own = headerLine('content-type', MEDIA_TYPE.test(type) ? type : 'application/octet-stream');
      const answer = answerHeaders(exchange, version, provider, books.monotonicMs());
      response.writeHead(200, pairsOf(own + answer));
    }
    if (response.write(chunk) || draining) return;
    draining = true;
    exchange.upstream?.pause();
    response.once('drain', () => {
      draining = false;
      exchange.upstream?.resume();
    });
  }

  function settle(outcome: Outcome, status: number, then: (recorded: boolean) => void): void {
    const usage = counted(call, inputTokens, 0);
    conclude(
      books,
      exchange,
      { outcome, status, usageSource: 'estimated', usage, responseId: null },
      (refusal) => then(refusal === null),
    );
  }

  return {
    onData(chunk) {
      received = true;
      if (waiting !== null) waiting.push(chunk);
      else write(chunk);
    },
    onEnd() {
      if (!received) return onBroken({ outcome: 'upstream-error', refusal: invalid().refusal });
      settle('completed', 200, (recorded) => {
        for (const chunk of waiting ?? []) write(chunk);
        waiting = null;
        if (recorded) response.end();
        else response.destroy();
      });
    },
    onBroken,
    onClientGone() {
      if (!received) return leaveUnbilled(books, exchange);
      exchange.upstream?.abort();
      settle('client-gone', CLIENT_GONE_STATUS, () => undefined);
    },
  };

  /** A client must not take half a recording for a whole one, so its connection is broken too. */
  function onBroken(trouble: Trouble): void {
    if (!received) return failUnbilled(books, exchange, trouble);
    settle(trouble.outcome, 200, () => response.destroy());
  }
}
