import type { IncomingHttpHeaders } from 'node:http';
import type { Deployment } from '../domain/deployment.ts';
import type { Routing } from '../domain/routing.ts';
import type { Refusal } from '../errors.ts';
import { allowsInstead, pickQuietly } from './admission.ts';
import { isBillable, worstCost } from './billable.ts';
import { binaryRelay } from './binary-relay.ts';
import { upstreamBody } from './call.ts';
import { settleClaim } from './claims.ts';
import { amend, begin, type Exchange } from './exchange.ts';
import type { Offer } from './offers.ts';
import { errorRelay, invalid, jsonRelay } from './json-relay.ts';
import type { ProviderBudgets } from './provider-budgets.ts';
import {
  failUnbilled,
  type Relay,
  type RelayDeps,
  timedOut,
  type Trouble,
  troubleOf,
  waitingRelay,
} from './relay.ts';
import { leaveRoom, type Room, roomAtOnce } from './room.ts';
import type { Router } from './router.ts';
import { type Failure, noteAnswer, noteFailure, retryAfterMs } from './standing.ts';
import { streamRelay } from './stream-relay.ts';
import { isContextProblem } from './upstream-errors.ts';
import type { Receiver, Upstreams } from './upstream.ts';

/**
 * Takes an admitted request to its upstream: one attempt, and while nothing of an answer was
 * delivered, others. The books see one request with one outcome, that of the deployment that answered.
 */
export interface Running {
  readonly exchange: Exchange;
  relay: Relay;
  /** When the attempt has lasted too long. */
  deadlineMs: number;
  /** The attempt that counts; what comes of earlier ones is ignored. */
  attempt: number;
  /** It is counted as running at its deployment. */
  open: boolean;
  /** Attempts with this model that may follow. */
  retriesLeft: number;
  /** Place in the list of fallbacks. */
  nextFallback: number;
}

export interface Dispatcher {
  /** `refused` runs instead of the upstream's call when it could not be noted that there is one. */
  start(exchange: Exchange, nextFallback: number, refused: (refusal: Refusal) => void): Running;
  /** Ends a running request from our side. */
  stop(running: Running, trouble: Trouble): void;
  /** Its time is over. */
  expire(running: Running): void;
  /** The client is gone, or has its answer. */
  leave(running: Running): void;
}

export interface DispatcherDeps extends RelayDeps {
  readonly upstreams: Upstreams;
  readonly router: Router;
  readonly costs: ProviderBudgets;
  readonly routing: Routing;
  readonly random: () => number;
  /** A deployment is left alone from now on, for so long. */
  readonly onCooled: (deployment: Deployment, forMs: number, problem: string) => void;
}

/** Where the next attempt goes. */
type Next = Pick<Exchange, 'model' | 'deployment' | 'offer' | keyof Room>;

const BACKOFF_MS = 200;
const BACKOFF_MS_MAX = 2_000;
/** Longer than this nobody is kept waiting for a second attempt. */
const RETRY_WAIT_MS_MAX = 5_000;
const WORTH_REPEATING: ReadonlySet<number> = new Set([408, 409, 429]);
/** Troubles of a deployment that another model's may not have. */
const WORTH_FALLING_BACK: ReadonlySet<number> = new Set([401, 403, 404]);
const NO_ANSWER: Failure = { status: 0, retryAfterMs: null };

export function createDispatcher(deps: DispatcherDeps): Dispatcher {
  const { books, upstreams, router, costs, routing, random, onCooled } = deps;
  const { monotonicMs, log } = books;

  function start(exchange: Exchange, nextFallback: number, refused: (refusal: Refusal) => void): Running {
    const running: Running = {
      exchange,
      relay: waitingRelay(books, exchange),
      deadlineMs: Infinity,
      attempt: 0,
      open: false,
      retriesLeft: routing.retries,
      nextFallback,
    };
    exchange.ticket = begin(books, exchange, (refusal) => {
      if (exchange.concluded) return;
      if (refusal === null) return send(running);
      exchange.concluded = true;
      books.limiter.release(exchange.reservation);
      leaveRoom(exchange);
      refused(refusal);
    });
    return running;
  }

  function send(running: Running): void {
    const { exchange } = running;
    const { call, deployment, model, reservation, request } = exchange;
    const { timeoutMs, streamTimeoutMs } = deployment;
    exchange.sentMs = monotonicMs();
    running.deadlineMs = exchange.sentMs + (call.stream ? (streamTimeoutMs ?? timeoutMs) : timeoutMs);
    open(running);
    const granted = call.route.dialect.generates ? reservation.outputTokens : null;
    const name = deployment.upstreamModel ?? model;
    const body = call.form === null ? upstreamBody(call, name, granted) : call.form.body(name);
    const receiver = receiverFor(running);
    try {
      exchange.upstream = upstreams.send(deployment, call.route, body, request.headers, receiver);
    } catch (error) {
      receiver.onFailure('broken', error);
    }
  }

  function receiverFor(running: Running): Receiver {
    const { exchange, attempt } = running;
    return {
      onHead(status, headers) {
        if (running.attempt !== attempt) return;
        if (status < 400) noteAnswer(router.standingOf(exchange.deployment), monotonicMs() - exchange.sentMs);
        else if (failed(running, status, headers)) return;
        exchange.firstByteAtMs = monotonicMs();
        running.relay = relayFor(running, status, headers);
      },
      onData: (chunk) => {
        if (running.attempt === attempt) running.relay.onData(chunk);
      },
      onEnd() {
        if (running.attempt !== attempt) return;
        close(running);
        running.relay.onEnd();
      },
      onFailure(failure, cause) {
        if (running.attempt !== attempt) return;
        const { requestId, deployment } = exchange;
        log.warn({ err: cause, requestId, deployment: deployment.id, failure }, 'the upstream failed');
        close(running);
        note(deployment, NO_ANSWER);
        const undelivered =
          exchange.firstByteAtMs === null || !(exchange.call.stream || exchange.call.route.binary);
        if (failure !== 'timed-out' && undelivered && goOn(running, NO_ANSWER)) return;
        running.relay.onBroken(troubleOf(failure, exchange));
      },
    };
  }

  /** Whether another attempt is made instead of passing an error on. */
  function failed(running: Running, status: number, headers: IncomingHttpHeaders): boolean {
    const { deployment } = running.exchange;
    if (!isOfDeployment(status)) return false;
    const failure = { status, retryAfterMs: retryAfterMs(headers['retry-after'], books.wallMs()) };
    note(deployment, failure);
    return goOn(running, failure);
  }

  function note(deployment: Deployment, failure: Failure): void {
    const { allowedFails, cooldownMs } = routing;
    const settings = { allowedFails, cooldownMs: router.hasOthers(deployment) ? cooldownMs : 0 };
    const standing = router.standingOf(deployment);
    const known = monotonicMs() < standing.cooledUntilMs;
    const forMs = noteFailure(standing, failure, monotonicMs(), settings);
    if (forMs !== null && !known) onCooled(deployment, forMs, standing.lastProblem);
  }

  function goOn(running: Running, failure: Failure): boolean {
    // A form goes through once: nothing of it is kept to be sent again.
    if (running.exchange.concluded || running.exchange.call.form !== null) return false;
    return repeat(running, failure) || fallBack(running, router.fallbacks(running.exchange.firstModel));
  }

  function repeat(running: Running, { status, retryAfterMs: asked }: Failure): boolean {
    const { exchange } = running;
    if (running.retriesLeft === 0 || !(status === 0 || status >= 500 || WORTH_REPEATING.has(status)))
      return false;
    const next = router.again(exchange.model, exchange.deployment);
    const offer = next === null ? null : exchange.caller.tariff.offer(exchange.model, next);
    if (next === null || offer === null) return false;
    const done = routing.retries - running.retriesLeft;
    const backoff = Math.min(BACKOFF_MS * 2 ** done, BACKOFF_MS_MAX) * (0.5 + random() / 2);
    const waitMs = next === exchange.deployment ? Math.max(backoff, routing.retryAfterMs, asked ?? 0) : 0;
    if (waitMs > RETRY_WAIT_MS_MAX) return false;
    const room = roomAt(exchange, next, offer, waitMs);
    if (room === null) return false;
    running.retriesLeft -= 1;
    exchange.retries += 1;
    sendTo(running, { model: exchange.model, deployment: next, offer, ...room }, waitMs);
    return true;
  }

  function fallBack(running: Running, models: readonly string[]): boolean {
    const { exchange } = running;
    const { caller, call } = exchange;
    while (running.nextFallback < models.length) {
      const model = models[running.nextFallback]!;
      running.nextFallback += 1;
      const wish = { without: [], from: exchange.deployment };
      const deployment = allowsInstead(caller, exchange.subjects, model)
        ? pickQuietly(router, model, wish)
        : null;
      const offer = deployment === null ? null : caller.tariff.offer(model, deployment);
      if (deployment === null || offer === null || !isBillable(call, offer)) continue;
      const room = roomAt(exchange, deployment, offer, 0);
      if (room === null) continue;
      exchange.fallbacks += 1;
      running.retriesLeft = routing.retries;
      sendTo(running, { model, deployment, offer, ...room }, 0);
      return true;
    }
    return false;
  }

  /** Of the deployment's own limits and its provider's budget; null when either has too little. */
  function roomAt(exchange: Exchange, next: Deployment, offer: Offer, waitMs: number): Room | null {
    const { call, inputTokens, reservation } = exchange;
    const nanos = worstCost(call, offer.costs, inputTokens, reservation.outputTokens * call.choices);
    const { hold } = exchange;
    return roomAtOnce(router, costs, next, { tokens: reservation.tokens, nanos }, { hold, waitMs });
  }

  function sendTo(running: Running, next: Next, waitMs: number): void {
    const { exchange } = running;
    close(running);
    running.attempt += 1;
    exchange.upstream?.abort();
    running.relay = waitingRelay(books, exchange);
    running.deadlineMs = Infinity;
    exchange.firstByteAtMs = null;
    settleClaim(exchange.claim, 0);
    exchange.claim = next.claim;
    exchange.hold.settle(null);
    exchange.hold = next.hold;
    if (next.deployment !== exchange.deployment) {
      exchange.model = next.model;
      exchange.deployment = next.deployment;
      exchange.offer = next.offer;
      amend(books, exchange);
    }
    const { attempt } = running;
    const go = (): void => {
      if (!exchange.concluded && running.attempt === attempt) send(running);
    };
    if (waitMs === 0) go();
    else setTimeout(go, waitMs);
  }

  function relayFor(running: Running, status: number, headers: IncomingHttpHeaders): Relay {
    const { exchange } = running;
    const { call } = exchange;
    const isPlain = (headers['content-encoding'] ?? 'identity') === 'identity';
    if (status < 200 || status > 299) {
      return errorRelay(deps, exchange, status, headers, (body) => tooLong(running, status, body));
    }
    const isStream = String(headers['content-type']).startsWith('text/event-stream');
    if (isPlain && isStream && call.form !== null) call.stream = true;
    if (isPlain && isStream && call.stream) return streamRelay(deps, exchange, headers);
    if (isPlain && !isStream && call.route.binary) return binaryRelay(deps, exchange, headers);
    if (isPlain && !isStream) return jsonRelay(deps, exchange, headers);
    // Compressed although that was declined, or a stream that nobody asked for.
    exchange.upstream?.abort();
    failUnbilled(books, exchange, invalid());
    return waitingRelay(books, exchange);
  }

  /** The prompt is too long for the model, and another one may take it. */
  function tooLong(running: Running, status: number, body: string): boolean {
    const { exchange } = running;
    const models = router.contextFallbacks(exchange.firstModel);
    if (models.length === 0 || exchange.call.form !== null || !isContextProblem(status, body)) return false;
    return fallBack(running, models);
  }

  function open(running: Running): void {
    running.open = true;
    router.standingOf(running.exchange.deployment).running += 1;
  }

  function close(running: Running): void {
    if (!running.open) return;
    running.open = false;
    router.standingOf(running.exchange.deployment).running -= 1;
  }

  function stop(running: Running, trouble: Trouble): void {
    close(running);
    if (running.exchange.concluded) return;
    running.exchange.upstream?.abort();
    running.relay.onBroken(trouble);
  }

  return {
    start,
    stop,
    expire(running) {
      const { call, deployment, concluded } = running.exchange;
      if (!concluded) note(deployment, NO_ANSWER);
      const { timeoutMs, streamTimeoutMs } = deployment;
      stop(running, timedOut(call.stream ? (streamTimeoutMs ?? timeoutMs) : timeoutMs));
    },
    leave(running) {
      close(running);
      if (!running.exchange.concluded) running.relay.onClientGone();
    },
  };
}

/** A status that speaks of the deployment, not of the request. */
function isOfDeployment(status: number): boolean {
  return status >= 500 || WORTH_REPEATING.has(status) || WORTH_FALLING_BACK.has(status);
}
