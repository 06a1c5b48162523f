import { type EventData, jsonEvent, type RecordedEvent } from '@eventstore/db-client';
import { canonicalJson } from '../domain/json.ts';
import type { Encoded } from './codec.ts';
import type { Placed, StoredEvent } from './stored-event.ts';

/**
 * Events as EventStoreDB keeps them, readable by every other tool: the payload is the event's JSON
 * data, everything else its JSON metadata, with the names that EventStoreDB's own projections expect
 * of correlation and causation.
 */
interface Metadata {
  readonly schema: number;
  readonly agencyId: string;
  readonly tenantId: string | null;
  readonly occurredAt: string;
  readonly actor: unknown;
  readonly $correlationId: string;
  readonly $causationId: string;
  readonly commandHash: string | null;
  readonly previousHash: string;
  readonly hash: string;
  /** When it was recorded, for an event that was moved here; the server's own time is then that of the move. */
  readonly recordedAt?: string;
}

/** What the server takes in one append, as it counts; larger ones it refuses. */
export const APPEND_BYTES_MAX = 1_048_576;

/**
 * The events of one write; `recordedAt` null leaves the time of recording to the server. Throws
 * TypeError when they are more than the server takes at once.
 */
export function toEventData(encoded: readonly Encoded[], recordedAt: string | null): EventData[] {
  let bytes = 0;
  const events = encoded.map(({ stored }) => {
    const metadata = metadataOf(stored, recordedAt);
    bytes += Buffer.byteLength(stored.data) + metadata.length + 2 * stored.type.length;
    return jsonEvent({
      id: stored.id,
      type: stored.type,
      data: JSON.parse(stored.data) as Record<string, unknown>,
      metadata,
    });
  });
  if (bytes > APPEND_BYTES_MAX) {
    const { stream } = encoded[0]!.stored;
    throw new TypeError(
      `${bytes} bytes with envelopes for ${stream} in one write; EventStoreDB takes at most ${APPEND_BYTES_MAX}`,
    );
  }
  return events;
}

/** As bytes, which the client sends as they are. */
function metadataOf(stored: StoredEvent, recordedAt: string | null): Uint8Array {
  const { schema, agencyId, tenantId, occurredAt, correlationId, causationId } = stored;
  const metadata: Metadata = {
    schema,
    agencyId,
    tenantId,
    occurredAt,
    actor: JSON.parse(stored.actor),
    $correlationId: correlationId,
    $causationId: causationId,
    commandHash: stored.commandHash,
    previousHash: stored.previousHash,
    hash: stored.hash,
    ...(recordedAt === null ? {} : { recordedAt }),
  };
  return new TextEncoder().encode(JSON.stringify(metadata));
}

/**
 * An event of the log as it is stored. What another program has put there lacks an envelope and
 * comes back with empty fields, which nobody can decode and no hash fits.
 */
export function toPlaced(event: RecordedEvent): Placed {
  const metadata = membersOf(event.metadata);
  return {
    position: positionOf(event),
    recordedAt: instantOr(metadata['recordedAt'], event.created),
    stream: event.streamId,
    revision: event.revision,
    id: event.id,
    type: event.type,
    schema: typeof metadata['schema'] === 'number' ? metadata['schema'] : 0,
    agencyId: textOf(metadata['agencyId']),
    tenantId: textOrNull(metadata['tenantId']),
    occurredAt: textOf(metadata['occurredAt']),
    actor: jsonOf(metadata['actor'] ?? null),
    correlationId: textOf(metadata['$correlationId']),
    causationId: textOf(metadata['$causationId']),
    commandHash: textOrNull(metadata['commandHash']),
    previousHash: textOf(metadata['previousHash']),
    hash: textOf(metadata['hash']),
    data: jsonOf(event.data),
  };
}

/** What servers before 22.6 send in the place of a position when a stream is read. */
const NO_POSITION = 2n ** 63n;

export function positionOf(event: RecordedEvent): bigint {
  const position = event.position?.commit ?? NO_POSITION;
  if (position >= NO_POSITION)
    throw new Error('EventStoreDB 23.10 or newer is needed: events lack positions');
  return position;
}

export function isSystemEvent(event: RecordedEvent): boolean {
  return event.type.startsWith('$');
}

function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function instantOr(value: unknown, created: Date): string {
  const ms = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return (Number.isNaN(ms) ? created : new Date(ms)).toISOString();
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

/** The canonical text; what is no JSON stands there as a JSON string, which is no payload. */
function jsonOf(value: unknown): string {
  try {
    return canonicalJson(value);
  } catch {
    return canonicalJson(String(value));
  }
}
