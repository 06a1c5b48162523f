/** Everything that an invoice run needs, in memory: the log, the read models that it reads, and its records. */
import { billedLines } from '../../projections/billed-lines.ts';
import { includedUsage } from '../../projections/included-usage.ts';
import { spendTotals } from '../../projections/spend-totals.ts';
import { tenants } from '../../projections/tenants.ts';
import { OPEN, usage } from '../../projections/usage.ts';
import {
  billedLine,
  type BillingRecords,
  type StoredDocument,
  usageSum,
} from '../../src/billing/billing-records.ts';
import type { InvoiceRunDeps } from '../../src/billing/issue-invoice.ts';
import type { DomainEvent, NewEvent, Recorded } from '../../src/events.ts';
import { memoryTable } from '../../src/memory-table.ts';
import { decode } from '../../src/store/codec.ts';
import type { EventStore, StreamHead } from '../../src/store/event-store.ts';
import { memoryStore } from '../../src/store/memory.ts';
import { newEvent } from '../support/events.ts';
import { ISSUER, RECIPIENT } from '../support/issued-invoice.ts';

export { ISSUER, RECIPIENT };

export interface MemoryBilling extends InvoiceRunDeps {
  readonly store: EventStore;
  /** Contacts by subject; a subject that is not in it has the usual one. */
  readonly contacts: Map<string, unknown>;
  readonly documents: Map<string, StoredDocument>;
  readonly tables: ReturnType<typeof newTables>;
  /** What the clock says; settable. */
  clock: string;
  /** Appends to a stream at its head. */
  append(
    stream: string,
    events: readonly DomainEvent[],
    envelope?: Partial<Omit<NewEvent, 'event'>>,
  ): Promise<void>;
  events(): Promise<readonly Recorded[]>;
}

function newTables() {
  return {
    tenants: memoryTable(tenants),
    usage: memoryTable(usage),
    included: memoryTable(includedUsage),
    billed: memoryTable(billedLines),
    totals: memoryTable(spendTotals),
  };
}

export function memoryBilling(clock: string): MemoryBilling {
  const store = memoryStore({ now: () => billing.clock });
  const heads = new Map<string, StreamHead>();
  const documents = new Map<string, StoredDocument>();
  const contacts = new Map<string, unknown>();
  const tables = newTables();
  const running = new Set<string>();
  let applied = 0n;
  let names = 0;

  async function catchUp(): Promise<void> {
    for await (const placed of store.readLog(applied)) {
      const recorded = decode(placed);
      for (const table of Object.values(tables)) table.apply(recorded);
      applied = placed.position;
    }
  }

  const records: BillingRecords = {
    tenantIds: (agencyId) =>
      Promise.resolve(
        [...tables.tenants.rows()]
          .filter((row) => row.agency_id === agencyId && row.contract_id !== null)
          .map((row) => row.tenant_id)
          .toSorted(),
      ),
    usage: ({ tenantId }, period) =>
      Promise.resolve(
        [...tables.usage.rows()]
          .filter((row) => row.tenant_id === tenantId && row.invoice_period === period)
          .map(usageSum),
      ),
    openUsage: ({ tenantId }, period) =>
      Promise.resolve(
        [...tables.usage.rows()]
          .filter((row) => row.tenant_id === tenantId && row.invoice_period === OPEN && row.month <= period)
          .map(usageSum),
      ),
    includedGranted: (tenantId) => {
      const rows = [...tables.included.rows()].filter((row) => row.tenant_id === tenantId);
      return Promise.resolve(new Map(rows.map((row) => [row.month, row.granted_nanos])));
    },
    billed: (tenantId) =>
      Promise.resolve([...tables.billed.rows()].filter((row) => row.tenant_id === tenantId).map(billedLine)),
    contact: (subjectId) =>
      Promise.resolve(contacts.get(subjectId) ?? (subjectId.startsWith('age_') ? ISSUER : RECIPIENT)),
    projectNames: (ids) => Promise.resolve(new Map(ids.map((id) => [id, `Project ${id}`]))),
    brandHash: () => Promise.resolve(null),
    document: (invoiceId) => Promise.resolve(documents.get(invoiceId) ?? null),
    keepDocument: (document) => {
      if (!documents.has(document.invoiceId)) documents.set(document.invoiceId, document);
      return Promise.resolve(documents.get(document.invoiceId)!);
    },
    async exclusively(agencyId, task) {
      if (running.has(agencyId)) throw new Error(`two runs of ${agencyId} at once`);
      running.add(agencyId);
      try {
        return await task(new AbortController().signal);
      } finally {
        running.delete(agencyId);
      }
    },
  };

  const billing: MemoryBilling = {
    store,
    records,
    contacts,
    documents,
    tables,
    clock,
    now: () => billing.clock,
    settled: catchUp,
    log: { error: () => undefined },
    async events() {
      const all: Recorded[] = [];
      for await (const placed of store.readLog(0n)) all.push(decode(placed));
      return all;
    },
    async append(
      stream: string,
      events: readonly DomainEvent[],
      envelope: Partial<Omit<NewEvent, 'event'>> = {},
    ) {
      names += 1;
      const written = events.map((event, i) => newEvent(event, `${stream} ${names} ${i}`, envelope));
      const { heads: after } = await store.append([
        { stream, expected: heads.get(stream) ?? 'none', events: written },
      ]);
      heads.set(stream, after[0]!);
    },
  };
  return billing;
}
