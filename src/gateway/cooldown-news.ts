import type { Deployment } from '../domain/deployment.ts';
import type { Router } from './router.ts';
import { leaveAlone } from './standing.ts';

/**
 * What processes tell each other of deployments: that one is left alone, and for how long. Each counts
 * failures for itself; whoever has seen too many first says so, and all of them spare it.
 */
export interface CooldownNews {
  /** A deployment is left alone from now on. */
  readonly tell: (deployment: Deployment, forMs: number, problem: string) => void;
  /** Another process said so. */
  readonly told: (news: string) => void;
  /** Others are there from now on; null when they cannot be told. */
  share(tell: ((news: string) => void) | null): void;
}

interface Cooled {
  /** Id of the deployment. */
  readonly cooled: string;
  readonly forMs: number;
  readonly problem: string;
}

export function createCooldownNews(
  router: Pick<Router, 'standings' | 'hasOthers'>,
  monotonicMs: () => number,
): CooldownNews {
  let send: ((news: string) => void) | null = null;
  return {
    tell({ id }, forMs, problem) {
      const news: Cooled = { cooled: id, forMs, problem };
      send?.(JSON.stringify(news));
    },
    told(news) {
      const { cooled, forMs, problem } = JSON.parse(news) as Cooled;
      for (const standing of router.standings()) {
        const { deployment } = standing;
        if (deployment.id === cooled && router.hasOthers(deployment))
          leaveAlone(standing, monotonicMs(), forMs, problem);
      }
    },
    share(tell) {
      send = tell;
    },
  };
}
