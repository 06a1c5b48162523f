import type { Decider } from './decider.ts';

/** Closing a period cuts the log: what was recorded before is on this month's invoice, the rest on a later one. */

// Events. These names and shapes are stored for ever; see store/codec.ts before changing one.
export type PeriodClosed = {
  readonly type: 'period.closed';
  readonly data: { readonly agencyId: string; /** `YYYY-MM`. */ readonly period: string };
};

export type PeriodCommand = { readonly type: 'close'; readonly agencyId: string; readonly period: string };
export type PeriodState = { readonly closed: boolean };

export const billingPeriod: Decider<PeriodCommand, PeriodState, PeriodClosed> = {
  initial: { closed: false },
  decide: ({ agencyId, period }, { closed }) =>
    closed ? [] : [{ type: 'period.closed', data: { agencyId, period } }],
  evolve: () => ({ closed: true }),
};
