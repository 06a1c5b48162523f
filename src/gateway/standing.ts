import type { Deployment } from '../domain/deployment.ts';
import { type RateWindow, rateWindow } from './rate-window.ts';

/** How a deployment is doing, as far as this process has seen. */
export interface Standing {
  readonly deployment: Deployment;
  /** Requests on their way. */
  running: number;
  /** Until the head of an answer, newer ones counting more; 0 before the first. */
  latencyMs: number;
  /** Since `failuresSinceMs`. */
  failures: number;
  failuresSinceMs: number;
  /** It is left alone until then. */
  cooledUntilMs: number;
  /** Why it failed last. */
  lastProblem: string;
  /** What the last look at it found; null when it was well. */
  checkProblem: string | null;
  readonly requests: RateWindow | null;
  readonly tokens: RateWindow;
  /** Tokens are counted only where something depends on them. */
  readonly countsTokens: boolean;
}

const MINUTE_MS = 60_000;
const NEWER_SHARE = 0.2;
/** Nobody is left alone for longer because of what an upstream says. */
const RETRY_AFTER_MS_MAX = 60_000;
/** What no second attempt within seconds can change. */
const AT_ONCE: ReadonlySet<number> = new Set([401, 403, 429]);

export function newStanding(deployment: Deployment, countsTokens: boolean): Standing {
  return {
    deployment,
    running: 0,
    latencyMs: 0,
    failures: 0,
    failuresSinceMs: -Infinity,
    cooledUntilMs: -Infinity,
    lastProblem: '',
    checkProblem: null,
    requests: deployment.requestsPerMinute == null ? null : rateWindow(),
    tokens: rateWindow(),
    countsTokens: countsTokens || deployment.tokensPerMinute != null,
  };
}

/** False while it is left alone or its own limits are used up. */
export function isAvailable(standing: Standing, nowMs: number): boolean {
  const { deployment, requests, tokens, cooledUntilMs } = standing;
  if (nowMs < cooledUntilMs) return false;
  const { requestsPerMinute, tokensPerMinute } = deployment;
  if (requestsPerMinute != null && requests!.used(nowMs) >= requestsPerMinute) return false;
  return tokensPerMinute == null || tokens.used(nowMs) < tokensPerMinute;
}

export function noteAnswer(standing: Standing, latencyMs: number): void {
  const known = standing.latencyMs;
  standing.latencyMs = known === 0 ? latencyMs : known + NEWER_SHARE * (latencyMs - known);
}

export interface Failure {
  /** HTTP status; 0 when there was no answer. */
  readonly status: number;
  /** What the upstream asks for; null when it says nothing. */
  readonly retryAfterMs: number | null;
}

/** Counts a failure, and leaves the deployment alone when there were too many or when it said so. */
export function noteFailure(
  standing: Standing,
  { status, retryAfterMs }: Failure,
  nowMs: number,
  settings: { readonly allowedFails: number; readonly cooldownMs: number },
): void {
  if (nowMs - standing.failuresSinceMs > MINUTE_MS) {
    standing.failures = 0;
    standing.failuresSinceMs = nowMs;
  }
  standing.failures += 1;
  standing.lastProblem = status === 0 ? 'no answer' : `status ${status}`;
  const { allowedFails, cooldownMs } = settings;
  if (cooldownMs === 0 || (standing.failures <= allowedFails && !AT_ONCE.has(status))) return;
  standing.cooledUntilMs = nowMs + Math.min(Math.max(retryAfterMs ?? 0, cooldownMs), RETRY_AFTER_MS_MAX);
}

/** A `retry-after` in seconds or as a date; null when there is none that can be read. */
export function retryAfterMs(header: string | undefined, wallMs: number): number | null {
  if (header === undefined) return null;
  if (/^\d{1,6}(\.\d+)?$/.test(header)) return Math.ceil(Number(header) * 1_000);
  const at = Date.parse(header);
  return Number.isNaN(at) ? null : Math.max(at - wallMs, 0);
}
