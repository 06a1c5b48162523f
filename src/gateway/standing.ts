import type { Deployment } from '../domain/deployment.ts';
import { type RateWindow, rateWindow } from './rate-window.ts';
import type { Share, Shares } from './shares.ts';

/** How a deployment is doing, as far as this process has seen or was told. */
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
  /** Of the last minute; counted by claims (claims.ts). */
  readonly requests: RateWindow;
  readonly tokens: RateWindow;
  /** Tokens are counted only where something depends on them. */
  readonly countsTokens: boolean;
  /** This process's parts of the deployment's limits; null while it counts alone. */
  sharing: StandingShares | null;
}

export interface StandingShares {
  readonly shares: Shares;
  readonly requests: Share;
  readonly tokens: Share;
}

const MINUTE_MS = 60_000;
const NEWER_SHARE = 0.2;
/** Nobody is left alone for longer because of what an upstream says. */
const RETRY_AFTER_MS_MAX = 60_000;
/** What no second attempt within seconds can change. */
const AT_ONCE: ReadonlySet<number> = new Set([401, 403, 429]);

/** `before`: of the deployment that had the id until now, whose minute goes on. */
export function newStanding(
  deployment: Deployment,
  countsTokens: boolean,
  before: Standing | null = null,
): Standing {
  return {
    deployment,
    running: 0,
    latencyMs: 0,
    failures: 0,
    failuresSinceMs: -Infinity,
    cooledUntilMs: -Infinity,
    lastProblem: '',
    checkProblem: null,
    requests: before?.requests ?? rateWindow(),
    tokens: before?.tokens ?? rateWindow(),
    countsTokens: countsTokens || deployment.tokensPerMinute != null,
    sharing: before?.sharing ?? null,
  };
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

/** Counts a failure, and leaves the deployment alone when there were too many or when it said so: for so long, null when not. */
export function noteFailure(
  standing: Standing,
  { status, retryAfterMs }: Failure,
  nowMs: number,
  settings: { readonly allowedFails: number; readonly cooldownMs: number },
): number | null {
  if (nowMs - standing.failuresSinceMs > MINUTE_MS) {
    standing.failures = 0;
    standing.failuresSinceMs = nowMs;
  }
  standing.failures += 1;
  standing.lastProblem = status === 0 ? 'no answer' : `status ${status}`;
  const { allowedFails, cooldownMs } = settings;
  if (cooldownMs === 0 || (standing.failures <= allowedFails && !AT_ONCE.has(status))) return null;
  const forMs = Math.min(Math.max(retryAfterMs ?? 0, cooldownMs), RETRY_AFTER_MS_MAX);
  standing.cooledUntilMs = nowMs + forMs;
  return forMs;
}

/** Another process leaves it alone. */
export function leaveAlone(standing: Standing, nowMs: number, forMs: number, problem: string): void {
  standing.cooledUntilMs = Math.max(standing.cooledUntilMs, nowMs + Math.min(forMs, RETRY_AFTER_MS_MAX));
  standing.lastProblem = problem;
}

/** A `retry-after` in seconds or as a date; null when there is none that can be read. */
export function retryAfterMs(header: string | undefined, wallMs: number): number | null {
  if (header === undefined) return null;
  if (/^\d{1,6}(\.\d+)?$/.test(header)) return Math.ceil(Number(header) * 1_000);
  const at = Date.parse(header);
  return Number.isNaN(at) ? null : Math.max(at - wallMs, 0);
}
