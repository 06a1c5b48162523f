import { formatNanos } from '../domain/money.ts';
import type { Exchange } from './exchange.ts';
import type { Caller } from './caller.ts';
import type { Level } from './levels.ts';
import type { Share } from './shares.ts';

/** The `x-litellm-*` and `x-ratelimit-*` headers of an answer, as a flat list of names and values. */
export function answerHeaders(
  exchange: Exchange,
  version: string,
  providers: readonly string[],
  nowMs: number,
): string[] {
  const { caller, callId, deployment } = exchange;
  const headers = [
    ...providers,
    'x-litellm-call-id',
    callId,
    'x-litellm-model-id',
    headerSafe(deployment.id),
    'x-litellm-version',
    version,
  ];
  addFixed(headers, caller);
  for (const level of exchange.reservation.levels) addRemaining(headers, level, nowMs);
  const meter = caller.keyBudget?.owner.meter ?? null;
  if (meter !== null) headers.push('x-litellm-key-spend', formatNanos(meter.spentNanos));
  return headers;
}

/** What is known only when the whole answer is there. */
export function addFinal(headers: string[], exchange: Exchange, answeredMs: number, nowMs: number): void {
  const { startedMs, sentMs, priceNanos } = exchange;
  headers.push('x-litellm-response-cost', formatNanos(priceNanos));
  headers.push('x-litellm-response-duration-ms', (answeredMs - startedMs).toFixed(3));
  headers.push('x-litellm-overhead-duration-ms', (nowMs - startedMs - (answeredMs - sentMs)).toFixed(3));
}

const fixedByCaller = new WeakMap<Caller, readonly string[]>();

function addFixed(headers: string[], caller: Caller): void {
  let fixed = fixedByCaller.get(caller);
  if (fixed === undefined) {
    const { budget, requestsPerMinute, tokensPerMinute } = caller.limits;
    fixed = [
      'x-litellm-key-max-budget',
      budget === null ? 'None' : formatNanos(budget.nanos),
      'x-litellm-key-rpm-limit',
      String(requestsPerMinute ?? 'None'),
      'x-litellm-key-tpm-limit',
      String(tokensPerMinute ?? 'None'),
    ];
    fixedByCaller.set(caller, fixed);
  }
  headers.push(...fixed);
}

/** Of all levels but two: a request can have several tags, and the installation is not its business. */
function addRemaining(headers: string[], { name, scope, limits, account }: Level, nowMs: number): void {
  if (name === 'tag' || name === 'installation') return;
  const { requestsPerMinute, tokensPerMinute, parallelRequests } = limits;
  const { shares } = account;
  if (requestsPerMinute !== null) {
    const used = account.requests.used(nowMs) + heldByOthers(shares?.requests);
    addPair(headers, scope, 'requests', requestsPerMinute, used);
  }
  if (tokensPerMinute !== null) {
    const used = account.tokens.used(nowMs) + heldByOthers(shares?.tokens);
    addPair(headers, scope, 'tokens', tokensPerMinute, used);
  }
  if (parallelRequests !== null) {
    const used = account.running + heldByOthers(shares?.running);
    addPair(headers, scope, 'max_parallel_requests', parallelRequests, used);
  }
}

/** What other processes may use of a limit without asking: nothing of it can be promised here. */
function heldByOthers(share: Share | undefined): number {
  return share === undefined ? 0 : Number(share.others);
}

function addPair(headers: string[], scope: string, kind: string, limit: number, used: number): void {
  headers.push(`x-ratelimit-${scope}-limit-${kind}`, String(limit));
  headers.push(`x-ratelimit-${scope}-remaining-${kind}`, String(Math.max(limit - used, 0)));
}

/** Names from configuration files may hold anything; headers may not. */
function headerSafe(text: string): string {
  return /^[\x20-\x7e]*$/.test(text) ? text : encodeURIComponent(text);
}
