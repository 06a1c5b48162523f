import { createHash } from 'node:crypto';
import type { Decider } from './domain/decider.ts';
import { canonicalJson } from './domain/json.ts';
import { isRefusal, Refusal } from './errors.ts';
import type { Cause, DomainEvent } from './events.ts';
import type { EventStore, StreamHead } from './store/event-store.ts';

/** How often a command is decided again after losing a race. */
const ATTEMPTS_MAX = 4;

export interface CommandMeta extends Cause {
  /** The Idempotency-Key of the request, or a fresh id. The event ids follow from it. */
  readonly commandId: string;
  /** Instant of the command. */
  readonly at: string;
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
 * events instead of writing a second set; with other input it is refused. A stream of another
 * tenant does not exist here: pass `tenantId: null` only for the administrator, who sees all.
 * Throws Refusal(not_found | idempotency_key_reused | stream_changed) and what `decide` throws.
 */
export async function transact<C, S, E extends DomainEvent>(
  store: EventStore,
  decider: Decider<C, S, E>,
  stream: string,
  command: C,
  meta: CommandMeta,
  options: { readonly scope?: string | null } = {},
): Promise<Outcome<S>> {
  const { commandId, at, ...cause } = meta;
  const commandHash = hashOfCommand(command);
  for (let attempt = 1; ; attempt += 1) {
    let state = decider.initial;
    let head: StreamHead | 'none' = 'none';
    let position = 0n;
    let own: { readonly position: bigint; readonly state: S } | null = null;
    let ownCount = 0;
    let ownNextId = eventId(stream, commandId, 0);
    for await (const recorded of store.readStream(stream)) {
      if (options.scope != null && recorded.tenantId !== options.scope) throw new Refusal('not_found', { what: 'thing' });
      state = decider.evolve(state, recorded.event as E);
      head = { revision: recorded.revision, hash: recorded.hash };
      position = recorded.position;
      if (recorded.id !== ownNextId) continue;
      if (recorded.commandHash !== commandHash) throw new Refusal('idempotency_key_reused');
      own = { position, state };
      ownCount += 1;
      ownNextId = eventId(stream, commandId, ownCount);
    }
    if (own !== null) return { ...own, repeated: true };
    const decided = decider.decide(command, state);
    if (decided.length === 0) return { position, state, repeated: false };
    const events = decided.map((event, index) => ({
      ...cause,
      id: eventId(stream, commandId, index),
      occurredAt: at,
      commandHash,
      event,
    }));
    try {
      const appended = await store.append([{ stream, expected: head, events }]);
      for (const event of decided) state = decider.evolve(state, event);
      return { position: appended.position, state, repeated: false };
    } catch (error) {
      if (!isRefusal(error, 'stream_changed') || attempt === ATTEMPTS_MAX) throw error;
    }
  }
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
  const digest = createHash('sha256').update(`${stream}\n${commandId}\n${index}`).digest();
  digest[6] = (digest[6]! & 0x0f) | 0x80;
  digest[8] = (digest[8]! & 0x3f) | 0x80;
  const hex = digest.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`;
}

function hashOfCommand(command: unknown): string {
  return createHash('sha256').update(canonicalJson(command)).digest('hex');
}
