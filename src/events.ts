import type { AlertSettingsChanged } from './domain/alert-settings.ts';
import type { AgencyEvent } from './domain/agency.ts';
import type { AuditorEvent } from './domain/auditor.ts';
import type { BillingSettingsChanged } from './domain/billing-settings.ts';
import type { BudgetEvent } from './domain/budget.ts';
import type { CustomerEvent } from './domain/customer.ts';
import type { InvitationEvent } from './domain/invitation.ts';
import type { ModelEvent } from './domain/model.ts';
import type { TagEvent } from './domain/tag.ts';
import type { UserEvent } from './domain/user.ts';
import type { PeriodClosed } from './domain/billing-period.ts';
import type { NumberAssigned } from './domain/invoice-number.ts';
import type { InvoiceEvent } from './domain/invoice.ts';
import type { KeyEvent } from './domain/key.ts';
import type { LogSealEvent } from './domain/log-seal.ts';
import type { PlanEvent } from './domain/plan.ts';
import type { SpendEvent } from './domain/spend.ts';
import type { TaxStatusDeclared } from './domain/tax-status.ts';
import type { ProjectSpendAdjusted } from './domain/team-spend.ts';
import type { TenantEvent } from './domain/tenant.ts';
import type { VatIdChecked } from './domain/vat-check.ts';

/** Everything that can be in the log, and the envelope around it. */
export type DomainEvent =
  | AgencyEvent
  | PlanEvent
  | TenantEvent
  | ProjectSpendAdjusted
  | KeyEvent
  | SpendEvent
  | PeriodClosed
  | NumberAssigned
  | InvoiceEvent
  | BillingSettingsChanged
  | AlertSettingsChanged
  | TaxStatusDeclared
  | VatIdChecked
  | LogSealEvent
  | AuditorEvent
  | UserEvent
  | InvitationEvent
  | CustomerEvent
  | BudgetEvent
  | TagEvent
  | ModelEvent;

export type EventType = DomainEvent['type'];
export type EventOf<T extends EventType> = Extract<DomainEvent, { type: T }>;

/** Who did it. */
export interface Actor {
  readonly kind: 'master' | 'key' | 'user' | 'auditor' | 'system';
  /** `default_user_id` for the master key, a key id, a user id, an auditor id, or the part of the system. */
  readonly id: string;
  /** Whom the actor names as acting through it (header `litellm-changed-by`). */
  readonly onBehalfOf?: string;
}

/** Why an event exists and to whom it belongs. */
export interface Cause {
  readonly agencyId: string;
  /** The tenant that it belongs to; null for what belongs to the agency or the installation. */
  readonly tenantId: string | null;
  readonly actor: Actor;
  /** Everything that follows from one request shares it. */
  readonly correlationId: string;
  /** The request or event that led to it. */
  readonly causationId: string;
}

export interface NewEvent<E extends DomainEvent = DomainEvent> extends Cause {
  /** A UUID that is the same whenever the same command is repeated. */
  readonly id: string;
  /** ISO instant, UTC, milliseconds. */
  readonly occurredAt: string;
  /** Digest of the command's input, so that a repeated id with other input is noticed; null where no command exists. */
  readonly commandHash: string | null;
  readonly event: E;
  /** The payload's canonical JSON, where its writer has it already; spend only. */
  readonly json?: string;
}

/** An event read back from the log. */
export interface Recorded<E extends DomainEvent = DomainEvent> extends NewEvent<E> {
  readonly stream: string;
  /** 0-based place in its stream, without gaps. */
  readonly revision: bigint;
  /** Place in the whole log; strictly increasing in commit order. The only checkpoint there is. */
  readonly position: bigint;
  /** Payload version as stored, before upcasting. */
  readonly schema: number;
  readonly recordedAt: string;
  /** SHA-256 over the envelope, the payload and `previousHash`. */
  readonly hash: string;
  /** Hash of the stream's event before this one; 64 zeros for the first. */
  readonly previousHash: string;
}
