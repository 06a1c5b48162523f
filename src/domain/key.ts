import type { Decider } from './decider.ts';
import { unreachable } from './decider.ts';
import { carriedOver, type ContractStep } from './contract.ts';
import type { Environment, Limits } from './limits.ts';
import type { KeyExtra } from './extra-limits.ts';
import { canonicalJson, type JsonObject } from './json.ts';
import { Refusal } from '../errors.ts';

/**
 * The virtual key: an id that is safe to show, and a secret of which only the SHA-256 is known
 * here. Expiry is no event, because nothing happens at that moment; it is data compared with a clock.
 */

/** What can be edited without making another key. */
export interface KeySettings {
  readonly alias: string | null;
  readonly userId: string | null;
  readonly projectId: string | null;
  readonly environment: Environment | null;
  /** Instant after which the secret is refused; null never expires. */
  readonly expiresAt: string | null;
  /** Requested model name -> model that serves it. */
  readonly aliases: Readonly<Record<string, string>>;
  /** Exact paths, `prefix/*`, or llm_api_routes, management_routes, info_routes; [] allows all that the role may. */
  readonly allowedRoutes: readonly string[];
  /** The owner's own JSON. */
  readonly metadata: JsonObject;
  /** LiteLLM fields that are kept and echoed. */
  readonly options: JsonObject;
  /** What of them limits the key, resolved; left out by older events, and then nothing is. */
  readonly extra?: KeyExtra | undefined;
}

// Events. These names and shapes are stored for ever; see store/codec.ts before changing one.
export type KeyGenerated = {
  readonly type: 'key.generated';
  readonly data: {
    readonly keyId: string;
    readonly tenantId: string;
    /** Lower-case hex SHA-256 of the secret. It identifies the key in the API and never authenticates. */
    readonly tokenHash: string;
    /** `sk-...` and the last four characters. */
    readonly keyName: string;
    readonly limits: Limits;
    readonly settings: KeySettings;
  };
};
export type KeyLimitsChanged = {
  readonly type: 'key.limits-changed';
  readonly data: {
    readonly keyId: string;
    readonly limits: Limits;
    /** There while the key is paused with its tenant or contract: the parallel requests that it has again afterwards. */
    readonly pausedParallel?: number | null | undefined;
  };
};
export type KeyChanged = {
  readonly type: 'key.changed';
  readonly data: { readonly keyId: string; readonly settings: KeySettings };
};
export type KeyBlocked = { readonly type: 'key.blocked'; readonly data: { readonly keyId: string } };
export type KeyUnblocked = { readonly type: 'key.unblocked'; readonly data: { readonly keyId: string } };
export type KeyRotated = {
  readonly type: 'key.rotated';
  readonly data: {
    readonly keyId: string;
    readonly tokenHash: string;
    readonly keyName: string;
    readonly oldTokenHash: string;
    /** Instant until which the old secret still works; null revokes it at once. */
    readonly graceEndsAt: string | null;
  };
};
export type KeyDeleted = {
  readonly type: 'key.deleted';
  readonly data: { readonly keyId: string; readonly tokenHash: string };
};
/** The spend that the key is shown with and judged by, corrected by hand. What was recorded stays. */
export type KeySpendAdjusted = {
  readonly type: 'key.spend-adjusted';
  readonly data: {
    readonly keyId: string;
    /** Added to what was recorded; negative gives room. */
    readonly byNanos: bigint;
    /** What it was shown with before and is after. */
    readonly fromNanos: bigint;
    readonly toNanos: bigint;
  };
};
export type KeyEvent =
  | KeyGenerated
  | KeyLimitsChanged
  | KeyChanged
  | KeyBlocked
  | KeyUnblocked
  | KeyRotated
  | KeySpendAdjusted
  | KeyDeleted;

export type KeyCommand =
  | { readonly type: 'generate'; readonly key: KeyGenerated['data']; readonly blocked?: boolean }
  | {
      readonly type: 'change';
      readonly limits?: Partial<Limits>;
      readonly settings?: Partial<KeySettings>;
      readonly blocked?: boolean;
    }
  | { readonly type: 'block' }
  | { readonly type: 'unblock' }
  | {
      readonly type: 'rotate';
      readonly tokenHash: string;
      readonly keyName: string;
      readonly graceEndsAt: string | null;
      readonly limits?: Partial<Limits>;
      readonly settings?: Partial<KeySettings>;
    }
  | { readonly type: 'adjust-spend'; readonly fromNanos: bigint; readonly toNanos: bigint }
  /** What follows from the contract: its changes since the key was last brought in line, and whether it runs. */
  | { readonly type: 'comply'; readonly steps: readonly ContractStep[]; readonly paused: boolean }
  | { readonly type: 'delete' };

export type KeyState =
  | { readonly status: 'absent' }
  | {
      readonly status: 'active' | 'blocked';
      readonly keyId: string;
      readonly tenantId: string;
      readonly tokenHash: string;
      readonly keyName: string;
      readonly oldTokenHash: string | null;
      readonly graceEndsAt: string | null;
      readonly rotations: number;
      readonly limits: Limits;
      /** Undefined unless it is paused; see KeyLimitsChanged. */
      readonly pausedParallel?: number | null | undefined;
      readonly settings: KeySettings;
    }
  | { readonly status: 'deleted'; readonly keyId: string };

type LiveKey = Exclude<KeyState, { status: 'absent' | 'deleted' }>;

export const key: Decider<KeyCommand, KeyState, KeyEvent> = { initial: { status: 'absent' }, decide, evolve };

function decide(command: KeyCommand, state: KeyState): readonly KeyEvent[] {
  if (command.type === 'generate') {
    if (state.status !== 'absent') throw new Refusal('key_already_exists');
    const { keyId } = command.key;
    const generated = { type: 'key.generated', data: command.key } as const;
    return command.blocked === true ? [generated, { type: 'key.blocked', data: { keyId } }] : [generated];
  }
  if (state.status === 'absent') throw new Refusal('key_not_found');
  if (state.status === 'deleted') throw new Refusal('key_deleted');
  const { keyId } = state;
  switch (command.type) {
    case 'change':
      return [...changes(command, state), ...blockChange(command.blocked, state)];
    case 'block':
      return blockChange(true, state);
    case 'unblock':
      return blockChange(false, state);
    case 'rotate': {
      const { tokenHash, keyName, graceEndsAt } = command;
      if (tokenHash === state.tokenHash) throw new Refusal('key_already_exists');
      const rotated = { keyId, tokenHash, keyName, oldTokenHash: state.tokenHash, graceEndsAt };
      return [{ type: 'key.rotated', data: rotated }, ...changes(command, state)];
    }
    case 'adjust-spend': {
      const { fromNanos, toNanos } = command;
      if (fromNanos === toNanos) return [];
      return [
        { type: 'key.spend-adjusted', data: { keyId, byNanos: toNanos - fromNanos, fromNanos, toNanos } },
      ];
    }
    case 'comply':
      return limitsChange(complied(state, command.steps, command.paused), state);
    case 'delete':
      return [{ type: 'key.deleted', data: { keyId, tokenHash: state.tokenHash } }];
    default:
      return unreachable(command);
  }
}

function blockChange(blocked: boolean | undefined, state: LiveKey): readonly KeyEvent[] {
  const { keyId } = state;
  if (blocked === undefined || blocked === (state.status === 'blocked')) return [];
  return [{ type: blocked ? 'key.blocked' : 'key.unblocked', data: { keyId } }];
}

function changes(
  command: { readonly limits?: Partial<Limits>; readonly settings?: Partial<KeySettings> },
  state: LiveKey,
): readonly KeyEvent[] {
  const { keyId } = state;
  const events: KeyEvent[] = [];
  const settings: KeySettings = { ...state.settings, ...command.settings };
  events.push(...limitsChange(asked(state, command.limits), state));
  if (canonicalJson(settings) !== canonicalJson(state.settings)) {
    events.push({ type: 'key.changed', data: { keyId, settings } });
  }
  return events;
}

type KeyLimits = Pick<LiveKey, 'limits' | 'pausedParallel'>;

/** A paused key stays paused: what is asked for holds when it runs again. */
function asked({ limits, pausedParallel }: LiveKey, change: Partial<Limits> = {}): KeyLimits {
  if (pausedParallel === undefined) return { limits: { ...limits, ...change } };
  const { parallelRequests = pausedParallel, ...others } = change;
  return { limits: { ...limits, ...others }, pausedParallel: parallelRequests };
}

/** A key's limits by the contract. Paused, it runs nothing at once, and the rest stays to be seen. */
export function complied(
  { limits, pausedParallel, settings }: KeyLimits & { readonly settings: Pick<KeySettings, 'environment'> },
  steps: readonly ContractStep[],
  paused: boolean,
): KeyLimits {
  const running = pausedParallel === undefined ? limits : { ...limits, parallelRequests: pausedParallel };
  const carried = carriedOver(running, settings.environment, steps);
  if (!paused) return { limits: carried };
  return { limits: { ...carried, parallelRequests: 0 }, pausedParallel: carried.parallelRequests };
}

function limitsChange({ limits, pausedParallel }: KeyLimits, state: LiveKey): readonly KeyEvent[] {
  const data = { limits, ...(pausedParallel === undefined ? {} : { pausedParallel }) };
  const now = {
    limits: state.limits,
    ...(state.pausedParallel === undefined ? {} : { pausedParallel: state.pausedParallel }),
  };
  if (canonicalJson(data) === canonicalJson(now)) return [];
  return [{ type: 'key.limits-changed', data: { keyId: state.keyId, ...data } }];
}

function evolve(state: KeyState, event: KeyEvent): KeyState {
  if (event.type === 'key.generated') {
    const { keyId, tenantId, tokenHash, keyName, limits, settings } = event.data;
    const rotation = { oldTokenHash: null, graceEndsAt: null, rotations: 0 };
    return { status: 'active', keyId, tenantId, tokenHash, keyName, ...rotation, limits, settings };
  }
  if (state.status === 'absent' || state.status === 'deleted') return state;
  switch (event.type) {
    case 'key.limits-changed': {
      const { pausedParallel: _, ...rest } = state;
      const { limits, pausedParallel } = event.data;
      return { ...rest, limits, ...(pausedParallel === undefined ? {} : { pausedParallel }) };
    }
    case 'key.changed':
      return { ...state, settings: event.data.settings };
    case 'key.blocked':
      return { ...state, status: 'blocked' };
    case 'key.unblocked':
      return { ...state, status: 'active' };
    case 'key.rotated': {
      const { tokenHash, keyName, oldTokenHash, graceEndsAt } = event.data;
      return { ...state, tokenHash, keyName, oldTokenHash, graceEndsAt, rotations: state.rotations + 1 };
    }
    case 'key.spend-adjusted':
      return state;
    case 'key.deleted':
      return { status: 'deleted', keyId: state.keyId };
    default:
      return unreachable(event);
  }
}
