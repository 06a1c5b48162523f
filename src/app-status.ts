import type { Follower } from './follow.ts';
import type { Gateway } from './gateway/gateway.ts';
import type { HealthFacts } from './http/deps.ts';
import type { Projector } from './projector.ts';

/** How this process is doing, for health checks, for the console, and for those who want to be told. */
export interface StatusDeps {
  readonly projector: Pick<Projector, 'status' | 'head'>;
  readonly follower: Pick<Follower, 'position' | 'failure' | 'lastHeardMs'>;
  readonly appendedPosition: () => bigint;
}

export function statusOf(options: StatusDeps, gateway: Gateway): HealthFacts {
  const { projector, follower } = options;
  const known = [options.appendedPosition(), follower.position, projector.head()];
  return {
    head: known.reduce((highest, position) => (position > highest ? position : highest)),
    keyTableAgeMs: follower.lastHeardMs(),
    projections: [
      ...projector
        .status()
        .map(({ name, position, error }) => ({ name, position, error: error?.message ?? null })),
      {
        name: 'gateway',
        position: follower.position,
        error:
          gateway.trouble()?.message ??
          (follower.failure === null ? null : 'the gateway no longer follows the log'),
      },
    ],
    deployments: gateway.deployments(),
    inFlight: gateway.inFlight(),
  };
}

/** What people should hear of; a model that is left out for a while is shown and no alarm. */
export function problemsOf({ projections, keyTableAgeMs }: HealthFacts, silentMsMax: number) {
  const stopped = projections.flatMap(({ name, error }) =>
    error === null ? [] : [{ part: name, problem: error }],
  );
  const silent = `nothing was heard of it for ${Math.round(keyTableAgeMs / 1_000)} s`;
  return keyTableAgeMs > silentMsMax ? [...stopped, { part: 'log', problem: silent }] : stopped;
}
