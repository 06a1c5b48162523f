import type { Decider } from './decider.ts';
import { Refusal } from '../errors.ts';

/** The agency resells capacity and issues the invoices. Its legal data is a contact, not an event. */
export interface AgencySettings {
  readonly agencyId: string;
  /** ISO 4217; every contract of this agency is in it. */
  readonly currency: string;
  /** IANA zone in which its days and months begin. */
  readonly zone: string;
  /** Prefix of its invoice numbers, such as `RE`. */
  readonly invoiceSeries: string;
  /** Version of the contact record (legal name, address, tax numbers) valid from here. */
  readonly contactVersion: number;
}

// Events. These names and shapes are stored for ever; see store/codec.ts before changing one.
export type AgencyRegistered = { readonly type: 'agency.registered'; readonly data: AgencySettings };
export type AgencyChanged = { readonly type: 'agency.changed'; readonly data: AgencySettings };
export type AgencyEvent = AgencyRegistered | AgencyChanged;

export type AgencyCommand =
  | { readonly type: 'register'; readonly settings: AgencySettings }
  | { readonly type: 'change'; readonly settings: AgencySettings };

export type AgencyState = { readonly settings: AgencySettings | null };

export const agency: Decider<AgencyCommand, AgencyState, AgencyEvent> = {
  initial: { settings: null },
  decide,
  evolve,
};

function decide(command: AgencyCommand, state: AgencyState): readonly AgencyEvent[] {
  const { settings } = command;
  if (command.type === 'register') {
    if (state.settings !== null) throw new Refusal('agency_exists');
    return [{ type: 'agency.registered', data: settings }];
  }
  const now = state.settings;
  if (now === null) throw new Refusal('not_found', { what: 'agency' });
  const same = (Object.keys(settings) as (keyof AgencySettings)[]).every(
    (name) => settings[name] === now[name],
  );
  return same ? [] : [{ type: 'agency.changed', data: settings }];
}

function evolve(_state: AgencyState, event: AgencyEvent): AgencyState {
  return { settings: event.data };
}
