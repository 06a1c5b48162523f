import type { Decider } from './decider.ts';
import { unreachable } from './decider.ts';
import { canonicalJson } from './json.ts';
import { Refusal, type RefusalCode } from '../errors.ts';

/**
 * Things that are made, changed and removed, and about which there is nothing else to decide: users,
 * end users, shared budgets, tags. Every event holds the whole thing as it is from then on, so that
 * two neighbours in its stream say what was changed. A removed id may be used again.
 */
export interface Entry {
  readonly id: string;
}

export type RegistryEvent<Made extends string, Noun extends string, D extends Entry> =
  | { readonly type: Made; readonly data: D }
  | { readonly type: `${Noun}.changed`; readonly data: D }
  | { readonly type: `${Noun}.removed`; readonly data: Entry };

export type RegistryCommand<D extends Entry> =
  | { readonly type: 'make'; readonly data: D }
  /** Members that are left out stay as they are. */
  | { readonly type: 'change'; readonly data: Partial<Omit<D, 'id'>> }
  | { readonly type: 'remove' };

export type RegistryState<D extends Entry> =
  | { readonly status: 'absent' }
  | { readonly status: 'present'; readonly data: D }
  | { readonly status: 'removed'; readonly id: string };

export interface RegistryNames<Made extends string, Noun extends string> {
  readonly noun: Noun;
  /** The event that makes one. */
  readonly made: Made;
  /** What is refused when there is one already. */
  readonly taken: RefusalCode;
  /** How the public API calls it. */
  readonly what: string;
}

/** The decider of one such kind. It refuses with `taken` and not_found. */
export function registry<D extends Entry>() {
  return <const Made extends string, const Noun extends string>(
    names: RegistryNames<Made, Noun>,
  ): Decider<RegistryCommand<D>, RegistryState<D>, RegistryEvent<Made, Noun, D>> => {
    type Event = RegistryEvent<Made, Noun, D>;
    const changed = `${names.noun}.changed` as const;
    const removed = `${names.noun}.removed` as const;

    function decide(command: RegistryCommand<D>, state: RegistryState<D>): readonly Event[] {
      if (command.type === 'make') {
        if (state.status === 'present') throw new Refusal(names.taken, { id: state.data.id });
        return [{ type: names.made, data: command.data }];
      }
      if (state.status !== 'present') throw new Refusal('not_found', { what: names.what });
      switch (command.type) {
        case 'change': {
          const data = { ...state.data, ...command.data };
          return canonicalJson(data) === canonicalJson(state.data) ? [] : [{ type: changed, data }];
        }
        case 'remove':
          return [{ type: removed, data: { id: state.data.id } }];
        default:
          return unreachable(command);
      }
    }

    function evolve(_state: RegistryState<D>, event: Event): RegistryState<D> {
      return event.type === removed
        ? { status: 'removed', id: event.data.id }
        : { status: 'present', data: event.data as D };
    }

    return { initial: { status: 'absent' }, decide, evolve };
  };
}
