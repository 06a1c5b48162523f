import { join } from 'node:path';
import { Client } from 'pg';
import { linesOf, readBundle } from '../../src/audit/bundle.ts';
import { decode } from '../../src/store/codec.ts';
import type { Server } from '../journeys/server.ts';
import type { Observation } from './clients.ts';
import type { Evidence, Spend } from './judge.ts';
import type { World } from './world.ts';

const ATTEMPTS_MAX = 20;
const RETRY_MS = 500;

/**
 * Gathers what all parties know after a run. The server is started once more, has to end in order,
 * and is asked before that; the log is read from its export.
 */
export async function gather(
  world: World,
  observations: readonly Observation[],
  longestSyncMs = 0,
): Promise<Evidence> {
  const server = world.server() ?? (await world.startServer());
  const keyIds = new Set(observations.map(({ customer }) => customer.keyId));
  const keySpend = new Map<string, number>();
  for (const keyId of keyIds) {
    keySpend.set(keyId, await spendOf(server, keyId));
  }
  const tenantUsage = await readUsage(world.databaseUrl());
  await world.stopServer();
  const bundle = join(world.dataDir, 'bundle.jsonl');
  const exported = await world.command('audit', 'export', '--all', '--out', bundle);
  if (exported.code !== 0)
    throw new Error(`the log cannot be exported:\n${exported.stdout}${exported.stderr}`);
  return {
    observations,
    calls: await world.upstreamCalls(),
    spends: await readSpends(bundle),
    keySpend,
    tenantUsage,
    spoolFiles: world.spoolFiles(),
    longestSyncMs,
  };
}

/** Read models that have just got their log back may answer that they are not there yet. */
async function spendOf(server: Server, keyId: string): Promise<number> {
  for (let left = ATTEMPTS_MAX; ; left -= 1) {
    const { status, body } = await server.api<{ info: { spend: number } }>('GET', `/key/info?key=${keyId}`);
    if (status === 200) return body.info.spend;
    if (status !== 503 || left === 0)
      throw new Error(`/key/info answered ${status}: ${JSON.stringify(body)}`);
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

async function readUsage(url: string): Promise<ReadonlyMap<string, bigint>> {
  const client = new Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query<{ tenant_id: string; nanos: string }>(
    'select tenant_id, sum(price_nanos)::text as nanos from usage group by tenant_id',
  );
  await client.end();
  return new Map(rows.map(({ tenant_id, nanos }) => [tenant_id, BigInt(nanos)]));
}

async function readSpends(bundle: string): Promise<readonly Spend[]> {
  const spends: Spend[] = [];
  for await (const { entry } of readBundle(linesOf(bundle))) {
    if (entry.kind !== 'event' || entry.placed.type !== 'spend.recorded') continue;
    const { id: eventId, tenantId, event } = decode(entry.placed);
    if (event.type === 'spend.recorded') spends.push({ eventId, tenantId, data: event.data });
  }
  return spends;
}
