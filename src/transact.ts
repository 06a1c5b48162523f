import { createHash, hash } from 'node:crypto';
import type { Decider } from './domain/decider.ts';
import { canonicalJson } from './domain/json.ts';
import { isRefusal, Refusal } from './errors.ts';
import type { Cause, DomainEvent, NewEvent } from './events.ts';
import { appendSurely } from './store/append-surely.ts';
import type { EventStore, StreamHead } from './store/event-store.ts';

/** How often a command is decided before a lost race is given up. */
const ATTEMPTS_MAX = 4;
/** How often one append is tried while its outcome is unknown. */
const APPEND_ATTEMPTS_MAX = 3;

export interface CommandMeta extends Cause {
  /** The Idempotency-Key of the request, or a fresh id. The event ids follow from it. */
  readonly commandId: string;
  /** Instant of the command. */
  readonly at: string;
}

export interface TransactOptions {
  /** The tenant whose streams exist for the caller; null or left out: the administrator, who sees all. */
  readonly scope?: string | null;
  /**
   * What the caller asked for, when the command also holds what was worked out for it (a fresh secret,
   * a total at that moment). A repeated id is compared by it; default: the command.
   */
  readonly input?: unknown;
}

export interface Outcome<S> {
  /** Position of the command's last event, or of the stream's last one when nothing changed. */
  readonly position: bigint;
  /** The state after the command. */
  readonly state: S;
  /** True when this command had been carried out before; its own events were found. */
  readonly repeated: boolean;
}

/**
 * The whole write side: read the stream, fold it, decide, append. Decides again when somebody else
 * appended in between. The command id becomes the event ids, so a repeated request finds its own
 * events instead of writing a second set; with other input it is refused. A command that changed
 * nothing leaves no trace and is decided anew when it is repeated.
 * Throws Refusal(not_found | idempotency_key_reused | stream_changed) and what `decide` throws.
 */
export async function transact<C, S, E extends DomainEvent>(
  store: EventStore,
  decider: Decider<C, S, E>,
  stream: string,
  command: C,
  meta: CommandMeta,
  options: TransactOptions = {},
): Promise<Outcome<S>> {
  const { commandId, at, ...cause } = meta;
  const commandHash = hashOf(options.input ?? command);
  for (let attempt = 1; ; attempt += 1) {
    const past = await readPast(store, decider, stream, commandId, options.scope ?? null);
    if (past.foreign) return refuseForeign(decider, command);
    if (past.own !== null) {
      if (past.own.commandHash !== commandHash) throw new Refusal('idempotency_key_reused');
      return { position: past.own.position, state: past.own.state, repeated: true };
    }
    const decided = decider.decide(command, past.state);
    if (decided.length === 0) return { position: past.position, state: past.state, repeated: false };
    const events = decided.map(
      (event, index): NewEvent<E> => ({
        ...cause,
        id: eventId(stream, commandId, index),
        occurredAt: at,
        commandHash,
        event,
      }),
    );
    try {
      const writes = [{ stream, expected: past.head, events }];
      const { position } = await appendSurely(store, writes, { attemptsMax: APPEND_ATTEMPTS_MAX });
      return { position, state: decided.reduce(decider.evolve, past.state), repeated: false };
    } catch (error) {
      if (!isRefusal(error, 'stream_changed') || attempt === ATTEMPTS_MAX) throw error;
    }
  }
}

interface Past<S> {
  readonly state: S;
  readonly head: StreamHead | 'none';
  /** Of the stream's last event; 0 when it has none. */
  readonly position: bigint;
  /** Where this command's own events end, and what was true there; null when there are none. */
  readonly own: { readonly position: bigint; readonly state: S; readonly commandHash: string | null } | null;
  /** True when the stream belongs to somebody else. */
  readonly foreign: boolean;
}

async function readPast<C, S, E extends DomainEvent>(
  store: EventStore,
  decider: Decider<C, S, E>,
  stream: string,
  commandId: string,
  scope: string | null,
): Promise<Past<S>> {
  let { initial: state } = decider;
  let head: StreamHead | 'none' = 'none';
  let position = 0n;
  let own: Past<S>['own'] = null;
  let ownCount = 0;
  let ownNextId = eventId(stream, commandId, 0);
  for await (const recorded of store.readStream(stream)) {
    if (scope !== null && recorded.tenantId !== scope) {
      return { state: decider.initial, head: 'none', position: 0n, own: null, foreign: true };
    }
    state = decider.evolve(state, recorded.event as E);
    head = { revision: recorded.revision, hash: recorded.hash };
    ({ position } = recorded);
    if (recorded.id !== ownNextId) continue;
    own = { position, state, commandHash: recorded.commandHash };
    ownCount += 1;
    ownNextId = eventId(stream, commandId, ownCount);
  }
  return { state, head, position, own, foreign: false };
}

/** Answers as for a stream that has no events, so that nobody learns what others have. */
function refuseForeign<C, S, E>(decider: Decider<C, S, E>, command: C): never {
  decider.decide(command, decider.initial);
  throw new Refusal('not_found', { what: 'thing' });
}

/** Reads and folds one stream. */
export async function load<C, S, E extends DomainEvent>(
  store: EventStore,
  decider: Decider<C, S, E>,
  stream: string,
): Promise<S> {
  let state = decider.initial;
  for await (const recorded of store.readStream(stream)) state = decider.evolve(state, recorded.event as E);
  return state;
}

/** A UUID (version 8: a digest) that is the same for the same stream, command and index. */
export function eventId(stream: string, commandId: string, index: number): string {
  // In one call: a Hash object per event costs more in garbage collection than the hashing.
  const digest = hash('sha256', `${stream}\n${commandId}\n${index}`, 'buffer');
  digest[6] = (digest[6]! & 0x0f) | 0x80;
  digest[8] = (digest[8]! & 0x3f) | 0x80;
  const hex = digest.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`;
}

function hashOf(input: unknown): string {
  return createHash('sha256').update(canonicalJson(input)).digest('hex');
}
