import { canonicalJson, type Json } from '../domain/json.ts';
import { key, type KeyEvent, type KeyState } from '../domain/key.ts';
import { formatNanos } from '../domain/money.ts';
import type { Actor, EventType } from '../events.ts';
import type { EventStore } from '../store/event-store.ts';

/** What a key looked like, in plain values for screens and JSON: fingerprints instead of hashes. */
export type KeyView = Readonly<Record<string, Json>>;

export interface FieldChange {
  readonly field: string;
  /** Null when the field had no value. */
  readonly before: Json;
  readonly after: Json;
}

export interface Step {
  readonly position: bigint;
  readonly revision: bigint;
  readonly recordedAt: string;
  readonly occurredAt: string;
  readonly actor: Actor;
  readonly correlationId: string;
  readonly causationId: string;
  readonly type: EventType;
  /** Only the fields that changed. */
  readonly changes: readonly FieldChange[];
  readonly state: KeyState;
  /** The state as shown; of a deleted key, the last one it had. */
  readonly view: KeyView;
}

/**
 * Replays one key from the log alone, with the same evolve() that decides live commands.
 *
 * @param keyId  the id as shown on invoices and in `/key/info`; not the secret.
 * @param until  a position in the whole log or an ISO instant of recording, inclusive; omit it for
 *               everything up to now.
 * @returns      one step per event in commit order, [] when the key did not exist by then.
 * @throws       Error when the stream has a hole, UndecodableEvent when an event cannot be read: the
 *               history cannot be trusted and must not be shown as if it could.
 */
export async function replayKey(
  store: EventStore,
  keyId: string,
  options: { readonly until?: bigint | string } = {},
): Promise<readonly Step[]> {
  const stream = `key-${keyId}`;
  const steps: Step[] = [];
  let state = key.initial;
  let view: KeyView = {};
  for await (const recorded of store.readStream(stream)) {
    const { position, revision, recordedAt, occurredAt, actor, correlationId, causationId } = recorded;
    if (isAfter(options.until, position, recordedAt)) break;
    if (revision !== BigInt(steps.length)) {
      throw new Error(`${stream} has a hole before revision ${revision} at position ${position}`);
    }
    state = key.evolve(state, recorded.event as KeyEvent);
    const before = view;
    view = viewOf(state, before);
    const envelope = { position, revision, recordedAt, occurredAt, actor, correlationId, causationId };
    steps.push({ ...envelope, type: recorded.event.type, changes: changesOf(before, view), state, view });
  }
  return steps;
}

export function isAfter(until: bigint | string | undefined, position: bigint, recordedAt: string): boolean {
  if (until === undefined) return false;
  return typeof until === 'bigint' ? position > until : Date.parse(recordedAt) > Date.parse(until);
}

/** The first 16 hex digits of a secret's SHA-256: enough to tell secrets apart, useless for anything else. */
export function fingerprint(tokenHash: string): string {
  return tokenHash.slice(0, 16);
}

function viewOf(state: KeyState, before: KeyView): KeyView {
  if (state.status === 'absent') return {};
  if (state.status === 'deleted') return { ...before, status: 'deleted' };
  const { limits, settings } = state;
  return {
    status: state.status,
    key_name: state.keyName,
    fingerprint: fingerprint(state.tokenHash),
    old_fingerprint: state.oldTokenHash === null ? null : fingerprint(state.oldTokenHash),
    grace_ends_at: state.graceEndsAt,
    rotations: state.rotations,
    tenant_id: state.tenantId,
    project_id: settings.projectId,
    environment: settings.environment,
    user_id: settings.userId,
    alias: settings.alias,
    expires_at: settings.expiresAt,
    models: limits.models,
    requests_per_minute: limits.requestsPerMinute,
    tokens_per_minute: limits.tokensPerMinute,
    parallel_requests: limits.parallelRequests,
    budget: limits.budget === null ? null : formatNanos(limits.budget.nanos),
    budget_window: limits.budget?.window ?? null,
    paused: state.pausedParallel !== undefined,
    aliases: settings.aliases,
    allowed_routes: settings.allowedRoutes,
    metadata: settings.metadata,
    options: settings.options,
  };
}

function changesOf(before: KeyView, after: KeyView): readonly FieldChange[] {
  const changes: FieldChange[] = [];
  for (const [field, value] of Object.entries(after)) {
    const old = before[field] ?? null;
    if (canonicalJson(old) !== canonicalJson(value)) changes.push({ field, before: old, after: value });
  }
  return changes;
}
