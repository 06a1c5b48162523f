import { Refusal } from '../errors.ts';
import { sendRefusal } from './answers.ts';
import { type Books, CLIENT_GONE_STATUS, conclude, type Exchange, unbilled } from './exchange.ts';
import type { Receiver, UpstreamFailure } from './upstream.ts';

/** Takes an upstream's answer to the client. Which one it is follows from the head of the answer. */
export interface Relay extends Pick<Receiver, 'onData' | 'onEnd'> {
  /** It cannot be finished, because of the upstream, a time-out or the end of this process. */
  onBroken(trouble: Trouble): void;
  onClientGone(): void;
}

export interface Trouble {
  readonly outcome: 'upstream-error' | 'timed-out' | 'truncated';
  /** What the client is told, as long as nothing else was sent. */
  readonly refusal: Refusal;
}

export interface RelayDeps {
  readonly books: Books;
  readonly version: string;
}

/** How an exchange ends of which the client has got nothing: it costs nothing. */
export function failUnbilled(books: Books, exchange: Exchange, { outcome, refusal }: Trouble): void {
  conclude(books, exchange, unbilled(outcome, refusal.status), (notRecorded) => {
    sendRefusal(exchange.response, notRecorded ?? refusal, exchange.callId);
  });
}

/** The client left before anything was delivered. */
export function leaveUnbilled(books: Books, exchange: Exchange): void {
  exchange.upstream?.abort();
  conclude(books, exchange, unbilled('client-gone', CLIENT_GONE_STATUS), () => undefined);
}

/** While the upstream has not answered yet. */
export function waitingRelay(books: Books, exchange: Exchange): Relay {
  return {
    onData: () => undefined,
    onEnd: () => undefined,
    onBroken: (trouble) => failUnbilled(books, exchange, trouble),
    onClientGone: () => leaveUnbilled(books, exchange),
  };
}

export function timedOut(ms: number): Trouble {
  return {
    outcome: 'timed-out',
    refusal: new Refusal('upstream_timeout', { seconds: Math.round(ms / 1_000) }),
  };
}

/** What a failure of the upstream means, by how far the answer had come. */
export function troubleOf(failure: UpstreamFailure, { deployment, firstByteAtMs }: Exchange): Trouble {
  if (failure === 'timed-out') return timedOut(deployment.timeoutMs);
  const code = firstByteAtMs === null ? 'upstream_unavailable' : 'upstream_invalid';
  return { outcome: firstByteAtMs === null ? 'upstream-error' : 'truncated', refusal: new Refusal(code) };
}
