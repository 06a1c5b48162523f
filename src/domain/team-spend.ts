import type { Decider } from './decider.ts';

/**
 * What a project is said to have spent, set by hand. It has a stream of its own, because nothing
 * about the project itself has to be known to decide it; what was recorded stays as it is.
 */

// Events. These names and shapes are stored for ever; see store/codec.ts before changing one.
export type ProjectSpendAdjusted = {
  readonly type: 'project.spend-adjusted';
  readonly data: {
    readonly projectId: string;
    /** toNanos - fromNanos. */
    readonly byNanos: bigint;
    readonly fromNanos: bigint;
    readonly toNanos: bigint;
  };
};

export interface AdjustTeamSpend {
  readonly projectId: string;
  readonly fromNanos: bigint;
  readonly toNanos: bigint;
}

export const teamSpend: Decider<AdjustTeamSpend, null, ProjectSpendAdjusted> = {
  initial: null,
  decide: ({ projectId, fromNanos, toNanos }) =>
    fromNanos === toNanos
      ? []
      : [
          {
            type: 'project.spend-adjusted',
            data: { projectId, byNanos: toNanos - fromNanos, fromNanos, toNanos },
          },
        ],
  evolve: () => null,
};
