/** Puts events into a log in EventStoreDB behind the back of the store, as they are. */
import { EventStoreDBClient, jsonEvent } from '@eventstore/db-client';
import type { Placed } from '../../src/store/stored-event.ts';

export async function insertPlaced(url: string, stored: readonly Placed[]): Promise<void> {
  if (stored.length === 0) return;
  const client = EventStoreDBClient.connectionString(url);
  for (const placed of stored) {
    const { id, type, schema, agencyId, tenantId, occurredAt, correlationId, causationId } = placed;
    const metadata = {
      schema,
      agencyId,
      tenantId,
      occurredAt,
      actor: JSON.parse(placed.actor) as unknown,
      $correlationId: correlationId,
      $causationId: causationId,
      commandHash: placed.commandHash,
      previousHash: placed.previousHash,
      hash: placed.hash,
    };
    const data = JSON.parse(placed.data) as Record<string, unknown>;
    // Credentials make the client append alone and not in its shared batch stream.
    const options = { credentials: { username: '', password: '' } };
    await client.appendToStream(placed.stream, jsonEvent({ id, type, data, metadata }), options);
  }
  await client.dispose();
}
