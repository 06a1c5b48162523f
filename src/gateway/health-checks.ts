import type { Deployment } from '../domain/deployment.ts';
import type { Routing } from '../domain/routing.ts';
import { request } from 'undici';
import type { Router } from './router.ts';
import type { Standing } from './standing.ts';

/** How a deployment is doing, for whoever asks: what requests have met, and what a look at it found. */
export interface DeploymentHealth {
  readonly id: string;
  readonly publicName: string;
  readonly healthy: boolean;
  readonly problem: string | null;
  /** Until the head of an answer, newer ones counting more; null before the first. */
  readonly latencyMs: number | null;
  /** For how long it is still left alone; null when it is not. */
  readonly cooldownMs: number | null;
}

export interface HealthChecks {
  all(): readonly DeploymentHealth[];
  stop(): void;
}

const CHECK_MS_MAX = 10_000;

/** Asks each deployment for its list of models from time to time: that costs no tokens. */
export function startHealthChecks(options: {
  readonly router: Pick<Router, 'standings'>;
  readonly routing: Pick<Routing, 'healthCheckMs'>;
  readonly monotonicMs: () => number;
}): HealthChecks {
  const { router, routing, monotonicMs } = options;
  const stopping = new AbortController();

  async function checkAll(): Promise<void> {
    await Promise.all(
      router.standings().map(async (standing) => {
        standing.checkProblem = await problemOf(standing.deployment, stopping.signal);
      }),
    );
  }

  let timer: NodeJS.Timeout | undefined;
  if (routing.healthCheckMs !== null) {
    timer = setInterval(() => void checkAll(), routing.healthCheckMs);
    timer.unref();
    void checkAll();
  }

  return {
    all: () => router.standings().map((standing) => healthOf(standing, monotonicMs())),
    stop() {
      clearInterval(timer);
      stopping.abort();
    },
  };
}

function healthOf(
  { deployment, latencyMs, cooledUntilMs, lastProblem, checkProblem }: Standing,
  nowMs: number,
): DeploymentHealth {
  const cooldownMs = nowMs < cooledUntilMs ? cooledUntilMs - nowMs : null;
  const problem = cooldownMs === null ? checkProblem : `left alone for a while after ${lastProblem}`;
  return {
    id: deployment.id,
    publicName: deployment.publicName,
    healthy: problem === null,
    problem,
    latencyMs: latencyMs === 0 ? null : latencyMs,
    cooldownMs,
  };
}

async function problemOf(
  { baseUrl, apiKey, extraHeaders }: Deployment,
  stopping: AbortSignal,
): Promise<string | null> {
  const headers = apiKey === null ? {} : { authorization: `Bearer ${apiKey}`, 'x-api-key': apiKey };
  try {
    const { statusCode, body } = await request(`${baseUrl}/models`, {
      headers: { ...headers, ...extraHeaders },
      signal: AbortSignal.any([stopping, AbortSignal.timeout(CHECK_MS_MAX)]),
    });
    await body.dump();
    // Not every upstream lists its models, but whoever says so is there.
    const isWell = statusCode < 500 && statusCode !== 401 && statusCode !== 403;
    return isWell ? null : `status ${statusCode}`;
  } catch {
    return 'no answer';
  }
}
