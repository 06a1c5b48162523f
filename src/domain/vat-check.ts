import type { Decider } from './decider.ts';

/**
 * Checks of a tenant's VAT id. The event holds hashes of the id and of the evidence; the evidence
 * itself, which names somebody, is a record beside the log.
 */
export const VAT_CHECK_SOURCES = ['vies', 'by hand'] as const;
export type VatCheckSource = (typeof VAT_CHECK_SOURCES)[number];

// Events. These names and shapes are stored for ever; see store/codec.ts before changing one.
export type VatIdChecked = {
  readonly type: 'vat-id.checked';
  readonly data: {
    readonly tenantId: string;
    readonly checkId: string;
    readonly valid: boolean;
    readonly source: VatCheckSource;
    /** Instant at which the answer was given. */
    readonly checkedAt: string;
    /** Lower-case hex SHA-256 of the id without blanks, in capitals. */
    readonly vatIdHash: string;
    /** SHA-256 of the canonical JSON of the evidence. */
    readonly evidenceHash: string;
  };
};

export type VatCheckCommand = { readonly type: 'record'; readonly check: VatIdChecked['data'] };
/** The newest check; null before the first. */
export type VatCheckState = VatIdChecked['data'] | null;

export const vatCheck: Decider<VatCheckCommand, VatCheckState, VatIdChecked> = {
  initial: null,
  decide: ({ check }) => [{ type: 'vat-id.checked', data: check }],
  evolve: (_state, { data }) => data,
};
