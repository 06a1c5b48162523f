import { registry, type RegistryEvent } from './registry.ts';
import type { BudgetedSubject } from './subject.ts';

/**
 * A person with a role in the installation. Who it is (e-mail, name) stands in the contact record
 * that `contactVersion` counts, so that it can be forgotten; the log knows an id.
 */
export const USER_ROLES = [
  'proxy_admin',
  'proxy_admin_viewer',
  'internal_user',
  'internal_user_viewer',
] as const;
export type UserRole = (typeof USER_ROLES)[number];

export interface UserData extends BudgetedSubject {
  readonly role: UserRole;
  /** Counts the versions of the contact record; 0 while there is none. */
  readonly contactVersion: number;
}

// Events. These names and shapes are stored for ever; see store/codec.ts before changing one.
export type UserEvent = RegistryEvent<'user.registered', 'user', UserData>;

export const user = registry<UserData>()({
  noun: 'user',
  made: 'user.registered',
  taken: 'user_exists',
  what: 'user',
});
