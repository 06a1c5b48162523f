import { hash as digest } from 'node:crypto';
import { canonicalJson, type Json, type JsonObject } from '../domain/json.ts';
import type { Actor, DomainEvent, EventType, NewEvent, Recorded } from '../events.ts';
import { entries } from './event-schemas.ts';
import { checkedSpendJson } from './spend-json.ts';
import { type StreamHead, UndecodableEvent, type Write, WRITE_BYTES_MAX, ZERO_HASH } from './event-store.ts';
import type { Placed, StoredEvent, Unplaced } from './stored-event.ts';

/**
 * Between events in code and events as stored: payload versions, bigints as decimal strings, and
 * the hash chain. Every store writes and reads the same `StoredEvent`, so an event moves between
 * stores unchanged and its hash stays true.
 */

/** An event to be stored, and what reading it back gives. */
export interface Encoded {
  readonly stored: Unplaced;
  readonly actor: Actor;
  readonly event: DomainEvent;
}

const NOWHERE = { position: 0n, recordedAt: '' };

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const INSTANT = /^[12]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const HASH = /^[0-9a-f]{64}$/;
/** Half of a character that needs two code units. */
const LONE_SURROGATE = /\p{Surrogate}/u;
const NAME_LENGTH_MAX = 500;

/** Encodes the writes of one append and continues each stream's hash chain. Throws TypeError. */
export function encodeAll(writes: readonly Write[]): Encoded[][] {
  const streams = new Set(writes.map(({ stream }) => stream));
  if (writes.length === 0) throw new TypeError('nothing to append');
  if (streams.size < writes.length) throw new TypeError('two writes of one append name the same stream');
  return writes.map(encode);
}

/** Encodes a write. Throws TypeError for whatever a store could not keep exactly, or nobody could read again. */
export function encode(write: Write): Encoded[] {
  const { stream, expected, events } = write;
  if (events.length === 0) throw new TypeError(`nothing to append to ${stream}`);
  checkName('stream', stream);
  let head: StreamHead = expected === 'none' ? { revision: -1n, hash: ZERO_HASH } : expected;
  if (!HASH.test(head.hash)) throw new TypeError(`the expected hash of ${stream} is not a SHA-256 in hex`);
  let bytes = 0;
  const encoded = events.map((event) => {
    const one = 'data' in event ? adopt(stream, head, event) : encodeOne(stream, head, event);
    head = { revision: one.stored.revision, hash: one.stored.hash };
    bytes += Buffer.byteLength(one.stored.data) + Buffer.byteLength(one.stored.actor);
    return one;
  });
  if (bytes > WRITE_BYTES_MAX) {
    throw new TypeError(`${bytes} bytes for ${stream} in one write; at most ${WRITE_BYTES_MAX} are possible`);
  }
  return encoded;
}

/** The stream's head once the events are stored. */
export function headAfter(encoded: readonly Encoded[]): StreamHead {
  const { revision, hash } = encoded.at(-1)!.stored;
  return { revision, hash };
}

function encodeOne(stream: string, head: StreamHead, event: NewEvent): Encoded {
  const { id, agencyId, tenantId, occurredAt, correlationId, causationId, commandHash } = event;
  checkEnvelope(event);
  const { type } = event.event;
  if (!isKnown(type)) throw new TypeError(`this build does not know the event type ${type as string}`);
  const schema = entries[type].upcasts.length + 1;
  const actor = actorText(event.actor);
  const data =
    type === 'spend.recorded'
      ? (event.json ?? checkedSpendJson(event.event.data))
      : canonicalJson(event.event.data);
  const stored = {
    stream,
    revision: head.revision + 1n,
    id,
    type,
    schema,
    agencyId,
    tenantId,
    occurredAt,
    actor,
    correlationId,
    causationId,
    commandHash,
    previousHash: head.hash,
    hash: '',
    data,
    ...NOWHERE,
  };
  stored.hash = hashOf(stored);
  return {
    stored,
    actor: event.actor,
    event: type === 'spend.recorded' ? event.event : readBack(type, schema, data),
  };
}

/** A caller has the same object for all its requests. */
const actorTexts = new WeakMap<Actor, string>();

function actorText(actor: Actor): string {
  let text = actorTexts.get(actor);
  if (text === undefined) actorTexts.set(actor, (text = canonicalJson(actor)));
  return text;
}

/** What a reader will get. Throws TypeError when there would be none, or less than was written. */
function readBack(type: EventType, schema: number, data: string): DomainEvent {
  const read = readPayload(type, schema, data);
  if ('problem' in read)
    throw new TypeError(`${type} cannot be stored: ${read.problem}`, { cause: read.cause });
  if (countMembers(read.payload) > countMembers(read.event.data)) {
    throw new TypeError(`${type} cannot be stored: it holds facts that its schema does not know`);
  }
  return read.event;
}

/** Takes an event that is in its stored form as it is. Throws TypeError unless it continues the head. */
function adopt(stream: string, head: StreamHead, event: StoredEvent): Encoded {
  const { type, schema, data, actor, revision, previousHash } = event;
  const at = `${event.stream}@${revision}`;
  if (event.stream !== stream || revision !== head.revision + 1n || previousHash !== head.hash) {
    throw new TypeError(`${at} does not continue ${stream}@${head.revision}`);
  }
  if (!hashHolds(event)) throw new TypeError(`${at} is not what was stored: it was altered`);
  checkEnvelope(event);
  const read = readPayload(type, schema, data);
  if ('problem' in read)
    throw new TypeError(`${at} cannot be stored: ${read.problem}`, { cause: read.cause });
  for (const text of [data, actor]) {
    if (canonicalJson(JSON.parse(text)) !== text) throw new TypeError(`${at} is not in canonical form`);
  }
  const { id, agencyId, tenantId, occurredAt, correlationId, causationId, commandHash, hash } = event;
  const cause = { agencyId, tenantId, correlationId, causationId, commandHash };
  const stored = {
    stream,
    revision,
    id,
    type,
    schema,
    occurredAt,
    actor,
    ...cause,
    previousHash,
    hash,
    data,
    ...NOWHERE,
  };
  return { stored, actor: JSON.parse(actor) as Actor, event: read.event };
}

/** What PostgreSQL's text, uuid and timestamptz keep exactly, and no more. */
function checkEnvelope(event: Omit<NewEvent, 'event' | 'actor'>): void {
  const { id, occurredAt, commandHash } = event;
  if (!UUID.test(id)) throw new TypeError(`an event id is a lower-case UUID, not ${id}`);
  if (!isInstant(occurredAt)) {
    throw new TypeError(`an instant is written like 2026-11-20T10:00:00.000Z, not ${occurredAt}`);
  }
  if (commandHash !== null && !HASH.test(commandHash))
    throw new TypeError('commandHash is not a SHA-256 in hex');
  checkName('agencyId', event.agencyId);
  if (event.tenantId !== null) checkName('tenantId', event.tenantId);
  checkName('correlationId', event.correlationId);
  checkName('causationId', event.causationId);
}

/** The last one that was right: of a batch, many are the same. */
let lastInstant = '';

function isInstant(text: string): boolean {
  if (text === lastInstant) return true;
  if (!INSTANT.test(text) || new Date(Date.parse(text)).toISOString() !== text) return false;
  lastInstant = text;
  return true;
}

function checkName(what: string, text: string): void {
  if (
    text.length === 0 ||
    text.length > NAME_LENGTH_MAX ||
    text.includes('\0') ||
    LONE_SURROGATE.test(text)
  ) {
    throw new TypeError(
      `${what} needs 1 to ${NAME_LENGTH_MAX} characters, without NUL and halves of characters`,
    );
  }
}

/**
 * What is sealed: everything that was decided. Position and time of recording belong to the store
 * and are not part of it, so that a log can move to another store with its hashes intact.
 */
export function hashOf(event: Omit<StoredEvent, 'hash'>): string {
  const { stream, revision, id, type, schema, agencyId, tenantId, occurredAt } = event;
  const { actor, correlationId, causationId, commandHash, previousHash, data } = event;
  const before = [previousHash, stream, String(revision), id, type, schema, agencyId, tenantId, occurredAt];
  const after = [correlationId, causationId, commandHash];
  const envelope = `${JSON.stringify(before)}\n${actor}\n${JSON.stringify(after)}\n`;
  return digest('sha256', envelope + data, 'hex');
}

/** True when the stored hash is the one its content has. */
export function hashHolds(stored: StoredEvent): boolean {
  return hashOf(stored) === stored.hash;
}

/** Reads a stored event in its newest payload version. Throws UndecodableEvent. */
export function decode(placed: Placed): Recorded {
  const read = readPayload(placed.type, placed.schema, placed.data);
  if ('problem' in read) throw new UndecodableEvent(placed, read.problem, { cause: read.cause });
  return toRecorded(placed, read.event);
}

export function toRecorded(placed: Placed, event: DomainEvent, actor?: Actor): Recorded {
  return {
    id: placed.id,
    agencyId: placed.agencyId,
    tenantId: placed.tenantId,
    actor: actor ?? (JSON.parse(placed.actor) as Actor),
    correlationId: placed.correlationId,
    causationId: placed.causationId,
    occurredAt: placed.occurredAt,
    commandHash: placed.commandHash,
    event,
    stream: placed.stream,
    revision: placed.revision,
    position: placed.position,
    schema: placed.schema,
    recordedAt: placed.recordedAt,
    hash: placed.hash,
    previousHash: placed.previousHash,
  };
}

type ReadPayload =
  | { readonly event: DomainEvent; readonly payload: Json }
  | { readonly problem: string; readonly cause?: unknown };

function readPayload(type: string, schema: number, text: string): ReadPayload {
  if (!isKnown(type)) return { problem: 'this build does not know the event type' };
  const { read, upcasts } = entries[type];
  if (schema < 1 || schema > upcasts.length + 1) {
    return { problem: `this build does not know payload version ${schema}` };
  }
  let payload: Json;
  try {
    payload = JSON.parse(text) as Json;
    for (const upcast of upcasts.slice(schema - 1)) payload = upcast(payload as JsonObject);
  } catch (cause) {
    return { problem: 'the payload is not readable', cause };
  }
  const parsed = read.safeParse(payload);
  if (!parsed.success) return { problem: 'the payload is not readable', cause: parsed.error };
  return { event: { type, data: parsed.data } as DomainEvent, payload };
}

/** Reading drops members that the schema does not name; this many are there. */
function countMembers(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1;
  let count = 1;
  for (const name in value) count += countMembers((value as Readonly<Record<string, unknown>>)[name]);
  return count;
}

function isKnown(type: string): type is EventType {
  return Object.hasOwn(entries, type);
}
