import { createHash } from 'node:crypto';
import type { EventOf, EventType, NewEvent, Recorded } from '../events.ts';
import { canonicalJson, type JsonObject } from '../domain/json.ts';
import { UndecodableEvent, ZERO_HASH, type StreamHead, type Write } from './event-store.ts';
import { entries } from './event-schemas.ts';

/**
 * Between events in code and events as stored: payload versions, bigints as decimal strings, and
 * the hash chain. Every store writes and reads the same `StoredEvent`, so an event moves between
 * stores unchanged and its hash stays true.
 */

/** The envelope as stored, without its place in the log. */
export interface StoredMeta {
  readonly schema: number;
  readonly agencyId: string;
  readonly tenantId: string | null;
  readonly occurredAt: string;
  readonly actor: JsonObject;
  readonly correlationId: string;
  readonly causationId: string;
  readonly commandHash: string | null;
  readonly hash: string;
  readonly previousHash: string;
}

export interface StoredEvent extends StoredMeta {
  readonly stream: string;
  readonly revision: bigint;
  readonly id: string;
  readonly type: string;
  /** Canonical JSON text of the payload. */
  readonly data: string;
}

/** A stored event and where and when the store put it. */
export interface Placed extends Omit<StoredEvent, 'data'> {
  readonly position: bigint;
  readonly recordedAt: string;
  /** Parsed payload. */
  readonly data: unknown;
}

/** Encodes a write and continues its stream's hash chain. */
export function encode(write: Write): StoredEvent[] {
  if (write.events.length === 0) throw new TypeError(`nothing to append to ${write.stream}`);
  let head: StreamHead = write.expected === 'none' ? { revision: -1n, hash: ZERO_HASH } : write.expected;
  return write.events.map((event) => {
    const stored = encodeOne(write.stream, head, event);
    head = { revision: stored.revision, hash: stored.hash };
    return stored;
  });
}

function encodeOne(stream: string, head: StreamHead, event: NewEvent): StoredEvent {
  const { id, agencyId, tenantId, occurredAt, correlationId, causationId, commandHash } = event;
  const { type } = event.event;
  const unhashed = {
    stream,
    revision: head.revision + 1n,
    id,
    type,
    schema: entries[type].upcasts.length + 1,
    agencyId,
    tenantId,
    occurredAt,
    actor: { ...event.actor },
    correlationId,
    causationId,
    commandHash,
    previousHash: head.hash,
  };
  const data = canonicalJson(event.event.data);
  return { ...unhashed, data, hash: hashOf(unhashed, data) };
}

/**
 * What is sealed: everything that was decided. Position and time of recording belong to the store
 * and are not part of it, so that a log can move to another store with its hashes intact.
 */
export function hashOf(event: Omit<StoredEvent, 'data' | 'hash'>, data: string): string {
  const { stream, revision, id, type, schema, agencyId, tenantId, occurredAt } = event;
  const { actor, correlationId, causationId, commandHash, previousHash } = event;
  const parts = [previousHash, stream, revision, id, type, schema, agencyId, tenantId, occurredAt];
  const sealed = canonicalJson([...parts, actor, correlationId, causationId, commandHash]);
  return createHash('sha256').update(sealed).update('\n').update(data).digest('hex');
}

/** True when the stored hash is the one its content has. */
export function hashHolds(placed: Placed): boolean {
  return hashOf(placed, canonicalJson(placed.data)) === placed.hash;
}

/** Reads a stored event in its newest payload version. Throws UndecodableEvent. */
export function decode(placed: Placed): Recorded {
  const { type, schema } = placed;
  if (!isKnown(type)) throw new UndecodableEvent(placed, 'this build does not know the event type');
  const { read, upcasts } = entries[type];
  if (schema < 1 || schema > upcasts.length + 1) {
    throw new UndecodableEvent(placed, `this build does not know payload version ${schema}`);
  }
  let payload = placed.data as JsonObject;
  for (const upcast of upcasts.slice(schema - 1)) payload = upcast(payload);
  const parsed = read.safeParse(payload);
  if (!parsed.success) throw new UndecodableEvent(placed, 'the payload is not readable', { cause: parsed.error });
  const { data: _, actor, type: __, ...envelope } = placed;
  const event = { type, data: parsed.data } as EventOf<EventType>;
  return { ...envelope, actor: actor as unknown as Recorded['actor'], event };
}

function isKnown(type: string): type is EventType {
  return Object.hasOwn(entries, type);
}
