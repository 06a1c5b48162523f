import type { Decider } from './decider.ts';
import { type DatedTaxStatus, taxStatusOn, type TaxStatus } from './tax.ts';

/** Which tax status an agency has from which day on. One stream per agency, beside the agency's own. */

// Events. These names and shapes are stored for ever; see store/codec.ts before changing one.
export type TaxStatusDeclared = {
  readonly type: 'tax-status.declared';
  readonly data: {
    readonly agencyId: string;
    /** Local date `YYYY-MM-DD`. */
    readonly from: string;
    readonly status: TaxStatus;
  };
};

export type TaxStatusCommand = { readonly type: 'declare' } & TaxStatusDeclared['data'];
/** In the order of their declaration: of two for the same day the later one counts. */
export type TaxStatusState = readonly DatedTaxStatus[];

export const agencyTaxStatus: Decider<TaxStatusCommand, TaxStatusState, TaxStatusDeclared> = {
  initial: [],
  decide: ({ agencyId, from, status }, state) =>
    taxStatusOn(state, from) === status
      ? []
      : [{ type: 'tax-status.declared', data: { agencyId, from, status } }],
  evolve: (state, { data: { from, status } }) => [...state, { from, status }],
};
