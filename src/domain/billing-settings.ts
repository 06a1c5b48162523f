import type { Decider } from './decider.ts';
import { canonicalJson } from './json.ts';

/**
 * How an agency delivers its invoices and gets its money. What cannot stand in a log, such as the
 * secret of its payment provider, is kept beside it.
 */
export const PAYMENT_METHODS = ['card', 'sepa_debit'] as const;
export type PaymentMethod = (typeof PAYMENT_METHODS)[number];

export interface BillingSettings {
  /** Whether invoices, reminders and Stornorechnungen go out by e-mail. */
  readonly mail: boolean;
  /** Days after the due date on which the first, second … reminder is due; ascending. [] reminds nobody. */
  readonly reminderDays: readonly number[];
  /** Days from the last reminder until the tenant's keys are suspended; null never suspends. */
  readonly suspendAfterDays: number | null;
  /** Months are invoiced by themselves from `from` (`YYYY-MM`) on, so long after they end; null: by hand. */
  readonly invoiceRun: { readonly from: string; readonly graceHours: number } | null;
  /** Who collects; null: the recipient transfers it. */
  readonly stripe: {
    readonly accountId: string;
    readonly mode: 'test' | 'live';
    readonly methods: readonly PaymentMethod[];
  } | null;
}

export const BILLING_SETTINGS_DEFAULT: BillingSettings = {
  mail: true,
  reminderDays: [],
  suspendAfterDays: null,
  invoiceRun: null,
  stripe: null,
};

// Event. Its name and shape are stored for ever; see store/codec.ts before changing it.
export type BillingSettingsChanged = {
  readonly type: 'billing-settings.changed';
  readonly data: { readonly agencyId: string; readonly settings: BillingSettings };
};

export interface BillingSettingsCommand {
  readonly type: 'change';
  readonly agencyId: string;
  readonly settings: Partial<BillingSettings>;
}

export const billingSettings: Decider<BillingSettingsCommand, BillingSettings, BillingSettingsChanged> = {
  initial: BILLING_SETTINGS_DEFAULT,
  decide({ agencyId, settings: given }, known) {
    const settings = { ...known, ...given };
    if (canonicalJson(settings) === canonicalJson(known)) return [];
    return [{ type: 'billing-settings.changed', data: { agencyId, settings } }];
  },
  evolve: (_known, { data }) => data.settings,
};
