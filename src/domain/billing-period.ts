import type { Decider } from './decider.ts';

/** Closing a period cuts the log: what was recorded before is on this month's invoice, the rest on a later one. */

// Events. These names and shapes are stored for ever; see store/codec.ts before changing one.
export type PeriodClosed = {
  readonly type: 'period.closed';
  readonly data: {
    readonly agencyId: string;
    /** `YYYY-MM`. */
    readonly period: string;
  };
};

export type PeriodCommand = { readonly type: 'close'; readonly agencyId: string; readonly period: string };
export type PeriodState = { readonly closed: boolean };

export const billingPeriod: Decider<PeriodCommand, PeriodState, PeriodClosed> = {
  initial: { closed: false },
  decide: ({ agencyId, period }, { closed }) =>
    closed ? [] : [{ type: 'period.closed', data: { agencyId, period } }],
  evolve: () => ({ closed: true }),
};

/** First and last day of a period, as local dates `YYYY-MM-DD`. */
export function periodDays(period: string): { readonly first: string; readonly last: string } {
  const year = Number(period.slice(0, 4));
  const month = Number(period.slice(5));
  const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const days = month === 2 ? (isLeap ? 29 : 28) : [4, 6, 9, 11].includes(month) ? 30 : 31;
  return { first: `${period}-01`, last: `${period}-${days}` };
}
