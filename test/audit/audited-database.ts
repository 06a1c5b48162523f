/** A database with a whole history in it: keys and their changes, spend, closed and open months, invoices. */
import { performance } from 'node:perf_hooks';
import { pino } from 'pino';
import { billingRecords } from '../../src/billing/billing-records.ts';
import { runInvoices } from '../../src/billing/invoice-run.ts';
import { recomputeDraft } from '../../src/billing/recompute.ts';
import { adoptKey, createSealer, type Sealer } from '../../src/audit/sealer.ts';
import {
  verifyLog,
  type VerifyOptions,
  type VerifyProgress,
  type VerifyReport,
} from '../../src/audit/verify.ts';
import type { SigningKey } from '../../src/audit/signing-key.ts';
import type { Seal } from '../../src/domain/log-seal.ts';
import type { DomainEvent, NewEvent } from '../../src/events.ts';
import { startProjector } from '../../src/projector.ts';
import { readModels } from '../../src/read-models.ts';
import type { EventStore, StreamHead } from '../../src/store/event-store.ts';
import { postgresStore } from '../../src/store/postgres.ts';
import { ISSUER, RECIPIENT } from '../billing/memory-billing.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import {
  agencyRegistered,
  contractSigned,
  keyBlocked,
  keyGenerated,
  keyLimitsChanged,
  keyRotated,
  keyUnblocked,
  limits,
  newEvent,
  projectOpened,
  spendRecorded,
  tenantOnboarded,
} from '../support/events.ts';

export const log = pino({ level: 'silent' });

export interface AuditedDatabase extends TestDatabase {
  /** Of the instant that is recorded. */
  clock: string;
  append(
    stream: string,
    events: readonly DomainEvent[],
    envelope?: Partial<Omit<NewEvent, 'event'>>,
  ): Promise<bigint>;
  invoice(period: string): ReturnType<typeof runInvoices>;
  /** Waits until the read models show everything. */
  settle(): Promise<void>;
  /** No process but the auditor's from here on. */
  stopServer(): Promise<void>;
  /** As the command does: another process with a fresh view of the log. */
  verify(onProgress?: (progress: VerifyProgress) => void, options?: VerifyOptions): Promise<VerifyReport>;
}

export async function auditedDatabase(): Promise<AuditedDatabase> {
  const database = await testDatabase();
  const { pool } = database;
  const heads = new Map<string, StreamHead>();
  let names = 0;
  const store = openStore(database, () => audited.clock);
  const projector = await startProjector({ store, pool, projections: readModels, log, idleGatherMs: 0 });
  const records = billingRecords(database);
  const settled = (position: bigint) => projector.reached(position, 20_000);
  let running = true;

  const audited: AuditedDatabase = {
    ...database,
    clock: '2026-10-01T08:00:00.000Z',
    async append(stream, events, envelope = {}) {
      names += 1;
      const written = events.map((event, i) =>
        newEvent(event, `${stream} ${names} ${i}`, { occurredAt: audited.clock, ...envelope }),
      );
      const { heads: after, position } = await store.append([
        { stream, expected: heads.get(stream) ?? 'none', events: written },
      ]);
      heads.set(stream, after[0]!);
      return position;
    },
    invoice: (period) =>
      runInvoices(
        { store, records, now: () => audited.clock, settled, log },
        {
          period,
          agencyId: 'age_1',
          actor: { kind: 'master', id: 'default_user_id' },
          correlationId: `run-${period}`,
        },
      ),
    settle: async () => settled(await store.head()),
    async stopServer() {
      if (!running) return;
      running = false;
      await projector.stop();
      await store.close();
    },
    async verify(onProgress, options = {}) {
      const auditor = openStore(database);
      try {
        const recompute = recomputeDraft.bind(null, { store: auditor, records });
        return await verifyLog(
          { store: auditor, pool, recompute, nowMs: () => performance.now() },
          { ...options, ...(onProgress === undefined ? {} : { onProgress }) },
        );
      } finally {
        await auditor.close();
      }
    },
    async drop() {
      await audited.stopServer();
      await database.drop();
    },
  };
  return audited;
}

/** Seals what is in the database's log now, with the key, which is made the one in force first. */
export async function sealNow(audited: AuditedDatabase, key: SigningKey): Promise<readonly Seal[]> {
  const store = openStore(audited, () => audited.clock);
  const deps = { store, keys: () => [key], agencyId: 'age_1', now: () => audited.clock };
  const sealer: Sealer = createSealer(deps);
  try {
    await adoptKey(deps);
    return await sealer.seal();
  } finally {
    await store.close();
  }
}

export function openStore({ pool }: Pick<TestDatabase, 'pool'>, now?: () => string): EventStore {
  return postgresStore({ pool, listenUrl: null, pollMs: 20, log, ...(now === undefined ? {} : { now }) });
}

/**
 * Two tenants and three keys. September and October are closed and invoiced; some spend of October
 * came after its close, and November is open.
 */
export async function seedHistory(audited: AuditedDatabase): Promise<void> {
  await audited.pool.query(
    'insert into contacts (subject_id, version, data) values ($1, 1, $4), ($2, 1, $5), ($3, 1, $5)',
    ['age_1', 'ten_1', 'ten_2', JSON.stringify(ISSUER), JSON.stringify(RECIPIENT)],
  );
  await audited.append('agency-age_1', [agencyRegistered()], { tenantId: null });
  for (const tenantId of ['ten_1', 'ten_2']) {
    const effectiveFrom = '2026-09-01T00:00:00.000Z';
    const events = [
      tenantOnboarded({ tenantId }),
      contractSigned({ tenantId, effectiveFrom }),
      projectOpened({ tenantId, projectId: tenantId.replace('ten', 'prj') }),
    ];
    await audited.append(`tenant-${tenantId}`, events, { tenantId });
  }
  await audited.append('key-key_1', [keyGenerated()]);
  await audited.append(
    'key-key_2',
    [keyGenerated({ keyId: 'key_2', tenantId: 'ten_2', tokenHash: 'b'.repeat(64) })],
    {
      tenantId: 'ten_2',
    },
  );
  await spendBoth(audited, 'w1', '2026-09', 1);
  audited.clock = '2026-10-02T08:00:00.000Z';
  await audited.invoice('2026-09');
  audited.clock = '2026-10-10T08:00:00.000Z';
  await audited.append('key-key_1', [keyBlocked()]);
  await audited.append('key-key_1', [
    keyUnblocked(),
    keyLimitsChanged({ limits: limits({ requestsPerMinute: 5 }) }),
  ]);
  audited.clock = '2026-10-20T08:00:00.000Z';
  await audited.append('key-key_1', [keyRotated({ graceEndsAt: '2026-10-21T08:00:00.000Z' })]);
  await spendBoth(audited, 'w2', '2026-10', 3);
  audited.clock = '2026-11-01T08:00:00.000Z';
  await audited.invoice('2026-10');
  await spendBoth(audited, 'w3', '2026-10', 1);
  await spendBoth(audited, 'w3', '2026-11', 2);
  await audited.settle();
}

async function spendBoth(
  audited: AuditedDatabase,
  writer: string,
  month: string,
  times: number,
): Promise<void> {
  for (let i = 0; i < times; i += 1) {
    for (const [keyId, tenantId] of [
      ['key_1', 'ten_1'],
      ['key_2', 'ten_2'],
    ] as const) {
      const requestId = `req_${writer}_${month}_${keyId}_${i}`;
      await audited.append(`spend-${month}-${writer}`, [spendRecorded({ requestId, keyId, month })], {
        tenantId,
      });
    }
  }
}
