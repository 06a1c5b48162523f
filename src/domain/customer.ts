import { registry, type RegistryEvent } from './registry.ts';
import type { BudgetedSubject } from './subject.ts';

/**
 * An end user of a tenant: whom the tenant's app names in the request's `user`. Use is recorded for
 * names that nobody registered, too; registering one gives it limits, or blocks it.
 */
export interface CustomerData extends BudgetedSubject {
  readonly blocked: boolean;
  /** Counts the versions of the contact record, which holds the alias; 0 while there is none. */
  readonly contactVersion: number;
}

// Events. These names and shapes are stored for ever; see store/codec.ts before changing one.
export type CustomerEvent = RegistryEvent<'customer.registered', 'customer', CustomerData>;

export const customer = registry<CustomerData>()({
  noun: 'customer',
  made: 'customer.registered',
  taken: 'customer_exists',
  what: 'customer',
});
