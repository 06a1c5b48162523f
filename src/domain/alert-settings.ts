import type { Decider } from './decider.ts';
import { canonicalJson } from './json.ts';
import { Refusal } from '../errors.ts';

/**
 * Whom an agency wants to have told of what needs somebody's attention. Where a target is (an e-mail
 * address, an address with a secret in it) is kept sealed beside the log; here is only that it changed.
 */
export const ALERT_KINDS = [
  /** Four fifths of a budget are used. */
  'budget-near',
  'budget-over',
  'key-expiring',
  /** The log, a read model or the gateway's tables do not work. */
  'unhealthy',
  'invoice-run-failed',
  'payment-failed',
] as const;
export type AlertKind = (typeof ALERT_KINDS)[number];

export const ALERT_CHANNELS = ['webhook', 'email'] as const;
export type AlertChannel = (typeof ALERT_CHANNELS)[number];

export interface AlertTarget {
  readonly id: string;
  readonly channel: AlertChannel;
  readonly alerts: readonly AlertKind[];
  readonly language: 'de' | 'en';
  /** False: told of nothing until it is switched on again. */
  readonly active: boolean;
  /** Counts the addresses and secrets that it had. */
  readonly addressVersion: number;
}

// Event. Its name and shape are stored for ever; see store/codec.ts before changing it.
export type AlertSettingsChanged = {
  readonly type: 'alert-settings.changed';
  readonly data: { readonly agencyId: string; readonly targets: readonly AlertTarget[] };
};

type Asked = Omit<AlertTarget, 'id' | 'addressVersion'>;
export type AlertSettingsCommand = { readonly agencyId: string; readonly id: string } & (
  | { readonly type: 'add'; readonly target: Asked }
  | { readonly type: 'change'; readonly target: Partial<Omit<Asked, 'channel'>>; readonly moved: boolean }
  | { readonly type: 'remove' }
);
export type AlertSettingsState = readonly AlertTarget[];

const TARGETS_MAX = 20;

export const alertSettings: Decider<AlertSettingsCommand, AlertSettingsState, AlertSettingsChanged> = {
  initial: [],
  decide(command, known) {
    const targets = targetsAfter(command, known);
    if (canonicalJson(targets) === canonicalJson(known)) return [];
    return [{ type: 'alert-settings.changed', data: { agencyId: command.agencyId, targets } }];
  },
  evolve: (_known, { data }) => data.targets,
};

function targetsAfter(command: AlertSettingsCommand, known: AlertSettingsState): AlertSettingsState {
  const { id } = command;
  if (command.type === 'add') {
    if (known.length >= TARGETS_MAX) {
      throw new Refusal('bad_request', { problem: `There are ${TARGETS_MAX} targets; remove one first.` });
    }
    return [...known, { ...command.target, id, addressVersion: 1 }];
  }
  const target = known.find((one) => one.id === id);
  if (target === undefined) throw new Refusal('not_found', { what: 'alert target' });
  if (command.type === 'remove') return known.filter((one) => one !== target);
  const addressVersion = target.addressVersion + (command.moved ? 1 : 0);
  return known.map((one) => (one === target ? { ...target, ...command.target, addressVersion } : one));
}
