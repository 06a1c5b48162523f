import { join } from 'node:path';
import { Client } from 'pg';
import { linesOf, readBundle } from '../../src/audit/bundle.ts';
import { decode } from '../../src/store/codec.ts';
import type { Observation } from './clients.ts';
import type { Evidence, Spend } from './judge.ts';
import type { World } from './world.ts';

/**
 * Gathers what all parties know after a run. The server is started once more, has to end in order,
 * and is asked before that; the log is read from its export.
 */
export async function gather(world: World, observations: readonly Observation[]): Promise<Evidence> {
  const server = world.server() ?? (await world.startServer());
  const keyIds = new Set(observations.map(({ customer }) => customer.keyId));
  const keySpend = new Map<string, number>();
  for (const keyId of keyIds) {
    const { body } = await server.api<{ info: { spend: number } }>('GET', `/key/info?key=${keyId}`);
    keySpend.set(keyId, body.info.spend);
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
  };
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
