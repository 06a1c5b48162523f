import { formatNanos } from '../domain/money.ts';
import type { Exchange } from './exchange.ts';
import { headerLine } from './head.ts';
import type { Caller } from './caller.ts';
import type { Level } from './levels.ts';
import type { Share } from './shares.ts';

/** The `x-litellm-*` and `x-ratelimit-*` headers of an answer, as lines. */
export function answerHeaders(exchange: Exchange, version: string, providers: string, nowMs: number): string {
  const { caller, callId, deployment } = exchange;
  let headers =
    `${providers}x-litellm-call-id: ${callId}\r\nx-litellm-model-id: ${headerSafe(deployment.id)}\r\n` +
    `x-litellm-version: ${version}\r\n${fixedOf(caller)}`;
  for (const level of exchange.reservation.levels) headers += remaining(level, nowMs);
  const meter = caller.keyBudget?.owner.meter ?? null;
  // What others have spent of a budget by now is not known here: no number is better than a wrong one.
  return meter === null || meter.share !== null
    ? headers
    : headers + headerLine('x-litellm-key-spend', formatNanos(meter.spentNanos));
}

/** What is known only when the whole answer is there. */
export function finalHeaders(exchange: Exchange, answeredMs: number, nowMs: number): string {
  const { startedMs, sentMs, priceNanos } = exchange;
  return (
    `x-litellm-response-cost: ${formatNanos(priceNanos)}\r\n` +
    `x-litellm-response-duration-ms: ${(answeredMs - startedMs).toFixed(3)}\r\n` +
    `x-litellm-overhead-duration-ms: ${(nowMs - startedMs - (answeredMs - sentMs)).toFixed(3)}\r\n`
  );
}

const fixedByCaller = new WeakMap<Caller, string>();

function fixedOf(caller: Caller): string {
  let fixed = fixedByCaller.get(caller);
  if (fixed === undefined) {
    const { budget, requestsPerMinute, tokensPerMinute } = caller.limits;
    fixed =
      headerLine('x-litellm-key-max-budget', budget === null ? 'None' : formatNanos(budget.nanos)) +
      headerLine('x-litellm-key-rpm-limit', requestsPerMinute ?? 'None') +
      headerLine('x-litellm-key-tpm-limit', tokensPerMinute ?? 'None');
    fixedByCaller.set(caller, fixed);
  }
  return fixed;
}

/** Of all levels but two: a request can have several tags, and the installation is not its business. */
function remaining({ name, scope, limits, account }: Level, nowMs: number): string {
  if (name === 'tag' || name === 'installation') return '';
  const { requestsPerMinute, tokensPerMinute, parallelRequests } = limits;
  const { shares } = account;
  let headers = '';
  if (requestsPerMinute !== null) {
    const used = account.requests.used(nowMs) + heldByOthers(shares?.requests);
    headers += pair(scope, 'requests', requestsPerMinute, used);
  }
  if (tokensPerMinute !== null) {
    const used = account.tokens.used(nowMs) + heldByOthers(shares?.tokens);
    headers += pair(scope, 'tokens', tokensPerMinute, used);
  }
  if (parallelRequests !== null) {
    const used = account.running + heldByOthers(shares?.running);
    headers += pair(scope, 'max_parallel_requests', parallelRequests, used);
  }
  return headers;
}

/** What other processes may use of a limit without asking: nothing of it can be promised here. */
function heldByOthers(share: Share | undefined): number {
  return share === undefined ? 0 : Number(share.others);
}

function pair(scope: string, kind: string, limit: number, used: number): string {
  return (
    `x-ratelimit-${scope}-limit-${kind}: ${limit}\r\n` +
    `x-ratelimit-${scope}-remaining-${kind}: ${Math.max(limit - used, 0)}\r\n`
  );
}

/** Names from configuration files may hold anything; headers may not. */
function headerSafe(text: string): string {
  return /^[\x20-\x7e]*$/.test(text) ? text : encodeURIComponent(text);
}
