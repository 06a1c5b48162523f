import type { Decider } from './decider.ts';

/**
 * One stream per agency and series. The number is the revision of its event plus one, so numbers
 * are unique and gapless by construction; assigning again for the same invoice finds its own event.
 */

// Events. These names and shapes are stored for ever; see store/codec.ts before changing one.
export type NumberAssigned = {
  readonly type: 'number.assigned';
  readonly data: { readonly invoiceId: string };
};

export type NumberCommand = { readonly type: 'assign'; readonly invoiceId: string };
/** The newest assignment, linked to the one before it; null before the first. */
export type NumberState = {
  readonly invoiceId: string;
  /** 1-based place in the series. */
  readonly place: number;
  readonly previous: NumberState;
} | null;

export const invoiceNumber: Decider<NumberCommand, NumberState, NumberAssigned> = {
  initial: null,
  decide: ({ invoiceId }, state) =>
    placeOf(invoiceId, state) === null ? [{ type: 'number.assigned', data: { invoiceId } }] : [],
  evolve: (previous, { data }) => ({
    invoiceId: data.invoiceId,
    place: (previous?.place ?? 0) + 1,
    previous,
  }),
};

export function placeOf(invoiceId: string, state: NumberState): number | null {
  for (let at = state; at !== null; at = at.previous) if (at.invoiceId === invoiceId) return at.place;
  return null;
}

/** `RE-2026-00042`. More than 99,999 invoices a year simply take more digits. */
export function formatInvoiceNumber(series: string, place: number): string {
  return `${series}-${String(place).padStart(5, '0')}`;
}
