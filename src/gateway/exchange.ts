import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Deployment } from '../domain/deployment.ts';
import { isoInstant } from '../domain/local-time.ts';
import { NO_USAGE, type Outcome, rate, type SpendLine, type Usage } from '../domain/spend.ts';
import type { Refusal } from '../errors.ts';
import type { Call } from './call.ts';
import type { Caller } from './caller.ts';
import { type Claim, settleClaim } from './claims.ts';
import type { Subject } from './named-subjects.ts';
import type { Limiter, Reservation } from './limiter.ts';
import type { Offer } from './offers.ts';
import type { Hold } from './provider-budgets.ts';
import type { Room } from './room.ts';
import type { FailureLog } from './drain.ts';
import type { SpendWriter, Ticket } from './spend-writer.ts';
import type { Estimate, Intent, SpendToRecord } from './spool-records.ts';
import { rawUsage } from './usage.ts';
import type { UpstreamCall } from './upstream.ts';

/** One admitted request on its way: what was decided about it, and how far it is. */
export interface Exchange extends Room {
  /** Ours; no two requests share one. */
  readonly requestId: string;
  /** The client's own id for the call, when it sent one; else the request id. */
  readonly callId: string;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly call: Call;
  readonly caller: Caller;
  /** Whom and what it names besides: end user, tags. */
  readonly subjects: readonly Subject[] | null;
  /** Public name of the model that was asked for, aliases resolved. */
  readonly firstModel: string;
  /** Of the model that is called. */
  model: string;
  deployment: Deployment;
  offer: Offer;
  readonly reservation: Reservation;
  claim: Claim;
  hold: Hold;
  readonly inputTokens: number;
  readonly tags: readonly string[];
  readonly endUser: string | null;
  /** When it came in and when the upstream was called, on the clock that never goes back. */
  readonly startedMs: number;
  sentMs: number;
  /** Attempts after the first: with the same model, and changes to another. */
  retries: number;
  fallbacks: number;
  /** Set before the upstream is called. */
  ticket: Ticket | null;
  upstream: UpstreamCall | null;
  /** When the first byte of the answer came. */
  firstByteAtMs: number | null;
  /** Its outcome is decided; nothing that happens from here on changes it. */
  concluded: boolean;
  /** Known once it is recorded. */
  priceNanos: bigint;
}

export interface Conclusion {
  readonly outcome: Outcome;
  /** HTTP status of the answer; 499 when nobody was there to get one. */
  readonly status: number;
  readonly usageSource: 'reported' | 'estimated' | 'none';
  readonly usage: Usage;
  readonly responseId: string | null;
  /** What the upstream reported, as it did; null when `usage` says all of it. */
  readonly report?: unknown;
}

export const CLIENT_GONE_STATUS = 499;
/** An upstream's id is as long as it likes; an event is not. */
const RESPONSE_ID_LENGTH_MAX = 512;

export interface Books {
  readonly writer: Pick<SpendWriter, 'begin' | 'amend' | 'deliver' | 'record'>;
  readonly limiter: Pick<Limiter, 'settle' | 'release'>;
  readonly wallMs: () => number;
  readonly monotonicMs: () => number;
  readonly log: FailureLog;
}

/** Notes in the spool that the upstream is called, and what the answer may cost; then `go` runs. */
export function begin(books: Books, exchange: Exchange, go: (refusal: Refusal | null) => void): Ticket {
  return books.writer.begin(intentOf(books, exchange), go);
}

/** Notes that another deployment is called instead. */
export function amend(books: Books, exchange: Exchange): void {
  books.writer.amend(intentOf(books, exchange));
}

function intentOf(books: Books, exchange: Exchange): Intent {
  const { call, caller, reservation } = exchange;
  return {
    agencyId: caller.agencyId,
    tenantId: caller.tenantId,
    actor: caller.actor,
    correlationId: exchange.callId,
    occurredAt: isoInstant(books.wallMs()),
    requestId: exchange.requestId,
    admittedAt: isoInstant(reservation.admittedMs),
    month: caller.monthOf(reservation.admittedMs),
    keyId: caller.keyId,
    tokenHash: caller.tokenHash,
    projectId: caller.projectId,
    userId: caller.userId,
    endUser: exchange.endUser,
    tags: exchange.tags,
    route: call.route.name,
    model: exchange.model,
    deployment: exchange.deployment.id,
    stream: call.stream,
    currency: caller.tariff.currency,
    // An answer in one piece goes out after it is settled.
    estimate: call.stream || call.route.binary ? estimateOf(exchange) : null,
  };
}

function estimateOf({ call, offer, reservation, inputTokens }: Exchange): Estimate {
  const { prices, costs } = offer;
  const outputTokensMax = reservation.outputTokens * call.choices;
  const tokens = { costs, inputTokens, outputTokensMax, prices };
  return call.quantities === null ? tokens : { ...tokens, units: call.quantities };
}

/**
 * Decides how an exchange ended, once: records it, waits until that is durable, settles what was
 * reserved, and only then calls `answer`, with a refusal when it could not be recorded. Later calls
 * for the same exchange do nothing.
 */
export function conclude(
  books: Books,
  exchange: Exchange,
  conclusion: Conclusion,
  answer: (refusal: Refusal | null) => void,
): void {
  if (exchange.concluded) return;
  exchange.concluded = true;
  const { offer, reservation, requestId, ticket } = exchange;
  const { usage, usageSource } = conclusion;
  const lines = usageSource === 'none' ? NO_LINES : rate(usage, offer.prices, offer.costs);
  const priceNanos = sum(lines, 'priceNanos');
  flagExcess(books.log, exchange, conclusion);
  const { caller, call } = exchange;
  const raw =
    usageSource === 'reported' && (usage.units !== undefined || call.route.unit !== null)
      ? rawUsage(conclusion.report)
      : undefined;
  const spend: SpendToRecord = {
    agencyId: caller.agencyId,
    tenantId: caller.tenantId,
    actor: caller.actor,
    correlationId: exchange.callId,
    occurredAt: isoInstant(books.wallMs()),
    data: {
      admittedAt: isoInstant(reservation.admittedMs),
      costNanos: sum(lines, 'costNanos'),
      currency: caller.tariff.currency,
      deployment: exchange.deployment.id,
      durationMs: Math.round(books.monotonicMs() - exchange.startedMs),
      endUser: exchange.endUser,
      firstByteMs:
        exchange.firstByteAtMs === null ? null : Math.round(exchange.firstByteAtMs - exchange.startedMs),
      keyId: caller.keyId,
      lines,
      model: exchange.model,
      month: caller.monthOf(reservation.admittedMs),
      outcome: conclusion.outcome,
      priceNanos,
      projectId: caller.projectId,
      requestId,
      responseId: conclusion.responseId?.slice(0, RESPONSE_ID_LENGTH_MAX) ?? null,
      route: call.route.name,
      status: conclusion.status,
      stream: call.stream,
      tags: exchange.tags,
      tokenHash: caller.tokenHash,
      usage: usageSource === 'none' ? NO_USAGE : usage,
      usageSource,
      userId: caller.userId,
    },
  };
  const recorded = raw === undefined ? spend : { ...spend, data: { ...spend.data, rawUsage: raw } };
  books.writer.record(ticket!, recorded, (refusal, place) => {
    if (refusal === null) {
      exchange.priceNanos = priceNanos;
      const tokens = usage.inputTokens + usage.outputTokens;
      books.limiter.settle(reservation, tokens, spend, place);
      settleClaim(exchange.claim, usageSource === 'none' ? 0 : tokens);
      const { admittedMs } = reservation;
      exchange.hold.settle({ admittedMs, nanos: spend.data.costNanos, place });
    } else {
      books.limiter.release(reservation);
      exchange.hold.settle(null);
    }
    try {
      answer(refusal);
    } catch (error) {
      books.log.error({ err: error, requestId }, 'an answer could not be sent');
      exchange.response.destroy();
    }
  });
}

const NO_LINES: readonly SpendLine[] = [];

/** Nothing was delivered and nothing is charged. */
export function unbilled(outcome: Outcome, status: number): Conclusion {
  return { outcome, status, usageSource: 'none', usage: NO_USAGE, responseId: null };
}

function sum(lines: readonly SpendLine[], amount: 'priceNanos' | 'costNanos'): bigint {
  let total = 0n;
  for (const line of lines) total += line[amount];
  return total;
}

/** An upstream that reports more than it was allowed to produce is billed as reported, and looked into. */
function flagExcess(log: FailureLog, exchange: Exchange, { usage, usageSource }: Conclusion): void {
  const { reservation, call, inputTokens, deployment, requestId } = exchange;
  const outputMax = reservation.outputTokens * call.choices;
  if (usageSource !== 'reported') return;
  if (usage.inputTokens <= inputTokens && usage.outputTokens <= outputMax) return;
  const reported = { inputTokens: usage.inputTokens, outputTokens: usage.outputTokens };
  const reserved = { inputTokens, outputTokens: outputMax };
  log.warn({ requestId, deployment: deployment.id, reported, reserved }, 'usage above the worst case');
}
