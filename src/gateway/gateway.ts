import type { IncomingMessage, ServerResponse } from 'node:http';
import { readCredential } from '../credentials.ts';
import { formatNanos } from '../domain/money.ts';
import type { Deployment } from '../domain/deployment.ts';
import { ROUTING_DEFAULT } from '../domain/routing.ts';
import { Refusal } from '../errors.ts';
import { admit, callIdOf, endUserOf, tagsOf } from './admission.ts';
import { sendDefect, sendRefusal } from './answers.ts';
import { otherNanos, requirePrices, worstCost } from './billable.ts';
import { readBody } from './body.ts';
import type { GatewayDeps } from './gateway-deps.ts';
import { createCooldownNews } from './cooldown-news.ts';
import { type Call, countInput, formCall, readCall } from './call.ts';
import { createDispatcher, type Running } from './dispatch.ts';
import type { Books, Exchange } from './exchange.ts';
import { readForm } from './form.ts';
import { createKeyTable } from './key-table.ts';
import type { Instant, Level } from './levels.ts';
import {
  createLimiter,
  type Demand,
  type Limiter,
  mostOutput,
  mostTokens,
  type Reservation,
} from './limiter.ts';
import { createNamedSubjects, levelsOf } from './named-subjects.ts';
import { createPlaces } from './places.ts';
import { createProviderBudgets, type ProviderSpend, providerSpends } from './provider-budgets.ts';
import { leaveRoom, type Room, roomFor } from './room.ts';
import { createRouter } from './router.ts';
import { isAbsolute, requireRoute, routeOf, type Target } from './routes.ts';
import { createSpendWriter } from './spend-writer.ts';
import { type DeploymentHealth, startHealthChecks } from './health-checks.ts';
import { createUpstreams, type UpstreamTimeouts } from './upstream.ts';
import { worstRates } from './worst-rates.ts';

/**
 * The hot path: from a request for a model to the end of its answer, directly on node:http and
 * undici. Read from `handle` downwards it is the whole way: body, key, checks, reservation,
 * upstream, answer, usage, durable spend, end. No database is asked on it, except once per budget
 * for what was spent before this process started.
 */
export interface Gateway {
  /** Whether `handle` must have this request: its own routes, and whole addresses as targets, which are refused. */
  matches(method: string, url: string): boolean;
  handle(request: IncomingMessage, response: ServerResponse): void;
  /** Requests that are not answered yet. */
  inFlight(): number;
  /** Takes all spend that was recorded so far to the log; resolves with the highest position of it. */
  flush(): Promise<bigint>;
  /** How much spend waits for the log, and the size of the spool. */
  backlog(): { readonly spends: number; readonly spoolBytes: number };
  /** Other processes keep the same limits from now on; resolves when they know what is used here. */
  share: Limiter['share'];
  /** What another process told by way of its `Sharing`. */
  told(news: string): void;
  /** How often a soft budget was reached since the start. */
  softBudgetsReached(): number;
  /** How each deployment is doing. */
  deployments(): readonly DeploymentHealth[];
  /** What providers were paid in the current windows of their budgets. */
  providerSpends(): Promise<readonly ProviderSpend[]>;
  /** Null when a new request would be served; else why not. */
  trouble(): Refusal | null;
  /** Refuses what is new, lets what is running finish for so long, breaks off the rest, writes what is to be written. */
  close(graceMs: number): Promise<void>;
}

const FILE_BYTES_MAX = 100 * 1024 * 1024;
/** A file of the size that transcription services take. */
const HELD_BYTES_MAX = 26 * 1024 * 1024;
const CONNECTIONS_MAX = 1_024;
/** How often running requests are held against their time-outs. */
const WATCH_MS = 100;
/** Every so many times, also whether their keys are still good: once a second. */
const REVOCATION_TICKS = 10;
/** Every so many times, accounts that nobody uses are looked for: once a minute. */
const SWEEP_TICKS = 600;
const SPEND_BATCH_MAX = 512;
const SPEND_GATHER_MS = 100;
const SPEND_RETRY = { retryMs: 50, retryMsMax: 2_000 };
const TIMEOUTS: UpstreamTimeouts = { connectMs: 10_000, quietMs: 300_000 };
/** How long spend may still wait for the log when everything else has ended. */
const FLUSH_MS_MAX = 10_000;

const NO_DEPLOYMENTS: readonly Deployment[] = [];

/** A request from its arrival on. */
interface Visit {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId: string;
  readonly callId: string;
  readonly startedMs: number;
  /** Set once the upstream was called. */
  running: Running | null;
  /** Among the visits; -1 when it is over. */
  place: number;
}

export function createGateway(deps: GatewayDeps): Gateway {
  const { log, wallMs, monotonicMs, version } = deps;
  const writer = createSpendWriter({
    store: deps.store,
    writerId: deps.writerId,
    spoolDir: deps.spoolDir,
    batchMax: SPEND_BATCH_MAX,
    gatherMs: deps.spendGatherMs ?? SPEND_GATHER_MS,
    waitingMax: deps.spendWaitingMax,
    waitingMsMax: deps.outageMsMax,
    ...SPEND_RETRY,
    monotonicMs,
    log,
  });
  const limiter = createLimiter({
    spentSince: deps.spentSince,
    flush: () => writer.flush(),
    budgetStatus: deps.budgetExceededStatus,
    onSoftBudget(level, spentNanos) {
      softBudgetsReached += 1;
      log.warn(
        { level: level.scope, id: level.id, spent: formatNanos(spentNanos) },
        'a soft budget is reached',
      );
    },
  });
  const keyTable = createKeyTable({
    tables: deps.tables,
    accounts: limiter.accounts,
    masterKey: deps.masterKey,
    ownTenantId: deps.ownTenantId,
    installation: deps.installation,
  });
  const subjects = createNamedSubjects(deps.tables, limiter.accounts);
  const routing = deps.routing ?? ROUTING_DEFAULT;
  const costs = createProviderBudgets({
    budgets: routing.providerBudgets,
    accounts: limiter.accounts,
    providers: deps.providers ?? null,
    zone: keyTable.ownZone,
    wallMs,
  });
  const router = createRouter(deps.deployments, deps.random, routing, monotonicMs, costs);
  const upstreams = createUpstreams({
    connectionsMax: CONNECTIONS_MAX,
    timeouts: { ...TIMEOUTS, ...deps.timeouts },
    userAgent: `keyledger/${version}`,
  });
  const books: Books = { writer, limiter, wallMs, monotonicMs, log };
  const { random } = deps;
  const cooldowns = createCooldownNews(router, monotonicMs);
  const dispatcher = createDispatcher({
    books,
    version,
    upstreams,
    router,
    costs,
    routing,
    random,
    onCooled: cooldowns.tell,
  });
  const worstOf = worstRates(router);
  const health = startHealthChecks({ router, routing, monotonicMs });
  const visits = createPlaces<Visit>();
  let softBudgetsReached = 0;
  let closing = false;
  let onIdle: (() => void) | null = null;

  function handle(request: IncomingMessage, response: ServerResponse): void {
    const requestId = deps.newId();
    const callId = callIdOf(request.headers) ?? requestId;
    const visit: Visit = {
      request,
      response,
      requestId,
      callId,
      startedMs: monotonicMs(),
      running: null,
      place: -1,
    };
    visit.place = visits.add(visit);
    response.on('close', () => leave(visit));
    // Sent before the last one was answered: such a response has no connection yet, and is not told of its end.
    if (response.socket === null) request.socket.once('close', () => leave(visit));
    guarded(visit, () => {
      const target = requireRoute(request.method ?? '', request.url ?? '');
      if (closing) throw new Refusal('shutting_down', {}, { retryAfterSeconds: 1 });
      if (target.route.form) return handleForm(visit, target);
      readBody(request, deps.bodyBytesMax, (refusal, body) => {
        guarded(visit, () => {
          if (refusal !== null) throw refusal;
          serve(visit, readCall(target, body));
        });
      });
    });
  }

  function handleForm(visit: Visit, target: Target): void {
    const { request } = visit;
    // Uploads are large, so nothing is read for somebody without a key.
    keyTable.find(readCredential(request.rawHeaders, deps.keyHeader), wallMs());
    const bytesMax = deps.fileBytesMax ?? FILE_BYTES_MAX;
    readForm(request, target.model, { bytesMax, heldBytesMax: HELD_BYTES_MAX }, (refusal, form) => {
      guarded(visit, () => {
        if (refusal !== null) throw refusal;
        form!.onWrong = (wrong) => {
          if (visit.running !== null)
            dispatcher.stop(visit.running, { outcome: 'truncated', refusal: wrong });
        };
        const length = request.headers['content-length'];
        serve(visit, formCall(target, form!, length === undefined ? bytesMax : Number(length)));
      });
    });
  }

  /** The response is over: sent to the end, or nobody is there any more. */
  function leave(visit: Visit): void {
    if (visit.place === -1) return;
    visits.remove(visit.place);
    visit.place = -1;
    if (visit.running !== null) dispatcher.leave(visit.running);
    if (visits.count() === 0) onIdle?.();
  }

  function guarded(visit: Visit, step: () => void): void {
    try {
      step();
    } catch (error) {
      refuse(visit, error);
    }
  }

  function refuse({ response, requestId, callId }: Visit, error: unknown): void {
    if (error instanceof Refusal) return sendRefusal(response, error, callId);
    log.error({ err: error, requestId, callId }, 'a request failed unexpectedly');
    sendDefect(response, callId);
  }

  /** `without`: deployments that had no room for the request; `unpaid`: those whose provider's budget had none. */
  function serve(visit: Visit, call: Call, without = NO_DEPLOYMENTS, unpaid = NO_DEPLOYMENTS): void {
    const { request, response } = visit;
    if (response.destroyed) return;
    const now = { wallMs: wallMs(), monotonicMs: monotonicMs() };
    const caller = keyTable.find(readCredential(request.rawHeaders, deps.keyHeader), now.wallMs);
    const endUser = endUserOf(call, request.headers);
    const tags = tagsOf(caller, call, request.headers);
    const named = subjects.of(caller, endUser, tags);
    const wish = { arrivedMs: visit.startedMs, without, unpaid };
    const admission = admit(caller, call, named, router, now.wallMs, wish);
    const { firstModel, model, deployment, offer, nextFallback } = admission;
    const levels = levelsOf(caller, named, firstModel);
    const unwritable = writer.refusal();
    if (unwritable !== null) throw unwritable;
    const loading = limiter.prepare(levels, now);
    if (loading !== null) return serveAfter(loading, visit, call);
    requirePrices(call, offer);
    const prices = worstOf(caller.tariff, firstModel, offer);
    const inputTokens = countInput(call);
    const generates = call.route.dialect.generates && !call.bySingleUnit;
    const demand = {
      inputTokens,
      choices: call.choices,
      namedOutputTokens: generates ? call.maxOutputTokens : 0,
      outputTokensMax: deployment.maxOutputTokens,
      otherNanos: otherNanos(call, prices),
      prices,
    };
    const lacking = limiter.lack(levels, demand, now, visit.startedMs);
    if (lacking !== null) return serveAfter(lacking, visit, call);
    const time = { nowMs: now.monotonicMs, arrivedMs: visit.startedMs };
    const nanos = costs.limits(deployment)
      ? worstCost(call, offer.costs, inputTokens, mostOutput(demand))
      : 0n;
    const room = roomFor(router, costs, deployment, { tokens: mostTokens(demand), nanos }, time);
    if (room instanceof Promise) return serveAfter(room, visit, call);
    if (room === 'full') return serve(visit, call, [...without, deployment], unpaid);
    if (room === 'unpaid') return serve(visit, call, [...without, deployment], [...unpaid, deployment]);
    const reservation = reserve(levels, demand, now, room);
    const exchange: Exchange = {
      requestId: visit.requestId,
      callId: visit.callId,
      request,
      response,
      call,
      caller,
      subjects: named,
      firstModel,
      model,
      deployment,
      offer,
      reservation,
      ...room,
      inputTokens,
      tags,
      endUser,
      startedMs: visit.startedMs,
      sentMs: monotonicMs(),
      retries: 0,
      fallbacks: nextFallback === 0 ? 0 : 1,
      ticket: null,
      upstream: null,
      firstByteAtMs: null,
      concluded: false,
      priceNanos: 0n,
    };
    visit.running = dispatcher.start(exchange, nextFallback, (refusal) => refuse(visit, refusal));
  }

  /** On all levels, or nothing anywhere. */
  function reserve(levels: readonly Level[], demand: Demand, now: Instant, room: Room): Reservation {
    try {
      return limiter.reserve(levels, demand, now);
    } catch (error) {
      leaveRoom(room);
      throw error;
    }
  }

  /** What was spent so far is being read; then everything is checked anew. */
  function serveAfter(loading: Promise<void>, visit: Visit, call: Call): void {
    loading.then(
      () => guarded(visit, () => serve(visit, call)),
      (error: unknown) => {
        log.warn({ err: error, requestId: visit.requestId }, 'the ledger could not be read');
        refuse(visit, new Refusal('database_unavailable', {}, { retryAfterSeconds: 1 }));
      },
    );
  }

  /** One timer for all that is running costs less than one each, and time-outs are long. */
  let ticks = 0;
  const watch = setInterval(() => {
    const now = { wallMs: wallMs(), monotonicMs: monotonicMs() };
    ticks += 1;
    writer.watch();
    const checks = ticks % REVOCATION_TICKS === 0;
    for (const visit of visits.all()) {
      const { running } = visit;
      if (running === null) continue;
      if (now.monotonicMs >= running.deadlineMs) dispatcher.expire(running);
      else if (checks) stopRevoked(running, now.wallMs);
    }
    if (ticks % SWEEP_TICKS === 0) limiter.sweep(now.monotonicMs);
  }, WATCH_MS);

  /** A stream does not outlive the right to it; an answer in one piece is nearly there. */
  function stopRevoked(running: Running, nowMs: number): void {
    const { call, caller } = running.exchange;
    const refusal = call.stream ? keyTable.revocation(caller, nowMs) : null;
    if (refusal !== null) dispatcher.stop(running, { outcome: 'truncated', refusal });
  }

  function idle(graceMs: number): Promise<void> {
    if (visits.count() === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, graceMs);
      onIdle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  return {
    matches: (_method, url) => routeOf(url) !== null || isAbsolute(url),
    handle,
    inFlight: visits.count,
    flush: () => writer.flush(),
    backlog: () => ({ spends: writer.waiting, spoolBytes: writer.spoolBytes }),
    async share(sharing) {
      cooldowns.share(sharing.tell ?? null);
      router.share(sharing.shares);
      costs.share(sharing.shares);
      await limiter.share(sharing);
    },
    told: cooldowns.told,
    softBudgetsReached: () => softBudgetsReached,
    deployments: health.all,
    providerSpends: () => providerSpends(costs, deps.spentSince, () => writer.flush()),
    trouble: () => (closing ? new Refusal('shutting_down') : writer.refusal()),
    async close(graceMs) {
      closing = true;
      await idle(graceMs);
      clearInterval(watch);
      health.stop();
      const refusal = new Refusal('shutting_down');
      for (const { running } of visits.all())
        if (running !== null) dispatcher.stop(running, { outcome: 'truncated', refusal });
      await writer.close(FLUSH_MS_MAX);
      await upstreams.close();
    },
  };
}
