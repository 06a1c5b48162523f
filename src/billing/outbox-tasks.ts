import type { DomainEvent, Recorded } from '../events.ts';

/** Which events ask for what outside this system. The only place where that is written. */
const TASK_KINDS = [
  /** Brings the payment provider in line with the invoice as the log has it. */
  'collect',
  'mail-invoice',
  'mail-cancellation',
  'mail-reminder',
  /** Lifts a suspension whose cause is gone. */
  'reinstate',
  /** Asks who wants to be told of what happened. */
  'raise-alert',
  /** Tells one target of one thing; comes from alerts.ts as well. */
  'alert',
] as const;
export type TaskKind = (typeof TASK_KINDS)[number];

export interface NewTask {
  /** Follows from the event, so that reading the log again asks for nothing twice. */
  readonly taskId: string;
  readonly kind: TaskKind;
  readonly agencyId: string;
  readonly tenantId: string;
  /** '' for what is about no invoice. */
  readonly invoiceId: string;
  /** Of a reminder its level, of a failed payment why, of an alert what it says; null elsewhere. */
  readonly detail: string | null;
  readonly position: bigint;
}

/** Prefixes of the events that can ask for something. */
export const TASK_PREFIXES = ['invoice.'] as const;

export function tasksOf(recorded: Recorded): readonly NewTask[] {
  const { agencyId, tenantId, position, id, event } = recorded;
  if (tenantId === null || !('invoiceId' in event.data)) return [];
  const { invoiceId } = event.data;
  return kindsFor(event).map(([kind, detail]) => ({
    taskId: `${kind} ${id}`,
    kind,
    agencyId,
    tenantId,
    invoiceId,
    detail,
    position,
  }));
}

function kindsFor(event: DomainEvent): readonly (readonly [kind: TaskKind, detail: string | null])[] {
  switch (event.type) {
    case 'invoice.finalized':
      return [
        ['collect', null],
        ['mail-invoice', null],
      ];
    case 'invoice.cancelled':
      return [
        ['collect', null],
        ['mail-cancellation', null],
        ['reinstate', null],
      ];
    case 'invoice.paid':
      return [
        ['collect', null],
        ['reinstate', null],
      ];
    case 'invoice.payment-failed':
      return [['raise-alert', event.data.reason]];
    case 'invoice.reminded':
      return [['mail-reminder', String(event.data.level)]];
    default:
      return [];
  }
}
