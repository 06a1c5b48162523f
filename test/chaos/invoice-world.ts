/** Agencies, tenants and their usage for runs that are killed, and what must be true of the invoices in the end. */
import { createHash } from 'node:crypto';
import type { Pool } from 'pg';
import { usage } from '../../projections/usage.ts';
import { nextPeriod } from '../../src/domain/period.ts';
import type { DomainEvent } from '../../src/events.ts';
import { memoryTable } from '../../src/memory-table.ts';
import { decode } from '../../src/store/codec.ts';
import type { EventStore, StreamHead } from '../../src/store/event-store.ts';
import {
  agencyRegistered,
  contractSigned,
  newEvent,
  spendRecorded,
  tenantOnboarded,
  terms,
} from '../support/events.ts';
import type { Chance } from './random.ts';

/** The read models that invoices are made from. */
export const NEEDED: readonly string[] = ['tenants', 'usage', 'included_usage', 'billed_lines', 'invoices'];
const CONTACT = {
  name: 'Agentur Nord GmbH',
  street: 'Speicherstraße 7',
  postal_code: '24103',
  city: 'Kiel',
  country: 'DE',
  vat_id: 'DE811569869',
};

export interface InvoiceWorld {
  readonly agencyIds: readonly string[];
  readonly tenants: number;
  readonly periods: readonly string[];
}

export function invoiceWorld(agencies: number, tenants: number, months: number): InvoiceWorld {
  const periods = ['2026-01'];
  while (periods.length < months) periods.push(nextPeriod(periods.at(-1)!));
  return { agencyIds: Array.from({ length: agencies }, (_, n) => `age_${n}`), tenants, periods };
}

export async function settleWorld(
  store: EventStore,
  pool: Pool,
  { agencyIds, tenants }: InvoiceWorld,
): Promise<void> {
  for (const agencyId of agencyIds) {
    const registered = newEvent(agencyRegistered({ agencyId }), agencyId, { agencyId, tenantId: null });
    await store.append([{ stream: `agency-${agencyId}`, expected: 'none', events: [registered] }]);
    await keepContact(pool, agencyId);
    for (let n = 0; n < tenants; n += 1) {
      const tenantId = tenantOf(agencyId, n);
      const contract = terms({ includedUsageNanos: BigInt(n % 3) * 2_000_000_000n });
      const events: readonly DomainEvent[] = [
        tenantOnboarded({ tenantId, agencyId }),
        contractSigned({ tenantId, effectiveFrom: '2025-12-31T23:00:00.000Z', terms: contract }),
      ];
      const written = events.map((event, i) => newEvent(event, `${tenantId} ${i}`, { agencyId, tenantId }));
      await store.append([{ stream: `tenant-${tenantId}`, expected: 'none', events: written }]);
      await keepContact(pool, tenantId);
    }
  }
}

async function keepContact(pool: Pool, subjectId: string): Promise<void> {
  await pool.query('insert into contacts (subject_id, version, data) values ($1, 1, $2)', [
    subjectId,
    CONTACT,
  ]);
}

/** Usage of every tenant for a month, and a little that is late for the month before. */
export async function spendMonth(
  store: EventStore,
  world: InvoiceWorld,
  month: string,
  random: Chance,
): Promise<void> {
  const earlier = world.periods[world.periods.indexOf(month) - 1] ?? month;
  let head: StreamHead | 'none' = 'none';
  for (const agencyId of world.agencyIds) {
    const events = Array.from({ length: world.tenants }, (_, n) =>
      Array.from({ length: 3 }, (__, i) => {
        const tenantId = tenantOf(agencyId, n);
        const nanos = BigInt(random.between(1, 3_000_000)) * 1_000n;
        const spend = spendRecorded({
          requestId: `${month} ${tenantId} ${i}`,
          keyId: `key_${tenantId}`,
          model: i === 0 ? 'small' : 'large',
          month: i === 2 ? earlier : month,
          lines: [
            {
              unit: 'output',
              quantity: Number(nanos / 1_000n),
              priceRate: 1_000_000_000n,
              priceNanos: nanos,
              costNanos: 0n,
            },
          ],
          priceNanos: nanos,
          costNanos: 0n,
        });
        return newEvent(spend, `${month} ${tenantId} ${i}`, { agencyId, tenantId });
      }),
    ).flat();
    const { heads } = await store.append([{ stream: `spend-${month}-w1`, expected: head, events }]);
    head = heads[0]!;
  }
}

export function tenantOf(agencyId: string, n: number): string {
  return `ten_${agencyId}_${String(n).padStart(4, '0')}`;
}

/** Remembers what is final and says where that is not what it was. */
export function watchFinal(pool: Pool): { look(): Promise<readonly string[]>; readonly count: () => number } {
  const known = new Map<string, string>();
  return {
    count: () => known.size,
    async look() {
      const changed: string[] = [];
      const { rows } = await pool.query<{ readonly invoice_id: string; readonly final: string }>(
        `select invoice_id, number || ' ' || hash || ' ' || document as final from invoice_documents`,
      );
      const now = new Map(rows.map((row) => [row.invoice_id, row.final]));
      for (const [id, final] of known)
        if (now.get(id) !== final) changed.push(`the document of ${id} changed`);
      for (const [id, final] of now) known.set(id, final);
      return changed;
    },
  };
}

/** Sentences about broken promises, from nothing but the log and the kept documents. */
export async function judgeInvoices(
  store: EventStore,
  pool: Pool,
  world: InvoiceWorld,
): Promise<readonly string[]> {
  const broken: string[] = [];
  const places = new Map<string, string>();
  const finals = new Map<string, { readonly number: string; readonly hash: string }>();
  const drafted = new Map<string, string>();
  const billed = new Map<string, bigint>();
  const counts = new Map<string, number>();
  const table = memoryTable(usage);
  for await (const placed of store.readLog(0n)) {
    const { event, stream, tenantId } = decode(placed);
    if (event.type === 'spend.recorded' || event.type === 'period.closed') table.apply(decode(placed));
    if (event.type === 'number.assigned') {
      const { invoiceId } = event.data;
      if (places.has(invoiceId)) broken.push(`${invoiceId} has two numbers`);
      const place = (counts.get(stream) ?? 0) + 1;
      counts.set(stream, place);
      places.set(invoiceId, `${stream.split('-').slice(2).join('-')}-${String(place).padStart(5, '0')}`);
    }
    if (event.type === 'invoice.finalized') {
      const { invoiceId, number, documentHash: hash } = event.data;
      if (finals.has(invoiceId)) broken.push(`${invoiceId} was finalised twice`);
      finals.set(invoiceId, { number, hash });
    }
    if (event.type !== 'invoice.drafted') continue;
    const { invoiceId, period, lines } = event.data;
    const other = drafted.get(`${tenantId} ${period}`);
    if (other !== undefined) broken.push(`${other} and ${invoiceId} are of one tenant and month`);
    drafted.set(`${tenantId} ${period}`, invoiceId);
    for (const line of lines) {
      if (line.kind !== 'usage') continue;
      const what = [tenantId, line.projectId ?? '', line.model, line.serviceMonth, period].join(' ');
      if (billed.has(what)) broken.push(`${what} is on two lines`);
      billed.set(what, line.nanos);
    }
  }
  for (const row of table.rows()) {
    const what = [row.tenant_id, row.project_id, row.model, row.month, row.invoice_period].join(' ');
    if (billed.get(what) !== row.price_nanos)
      broken.push(`${what}: ${billed.get(what)}, used ${row.price_nanos}`);
    billed.delete(what);
  }
  for (const what of billed.keys()) broken.push(`${what} was never used`);
  const wanted = world.agencyIds.length * world.tenants * world.periods.length;
  if (finals.size !== wanted) broken.push(`${finals.size} invoices are final, not ${wanted}`);
  for (const [id, number] of places) if (finals.get(id)?.number !== number) broken.push(`${number} is lost`);
  return [...broken, ...(await documentProblems(pool, finals))];
}

async function documentProblems(
  pool: Pool,
  finals: ReadonlyMap<string, { readonly number: string; readonly hash: string }>,
): Promise<readonly string[]> {
  const { rows } = await pool.query<{
    readonly invoice_id: string;
    readonly number: string;
    readonly document: string;
  }>('select invoice_id, number, document from invoice_documents');
  const broken = rows.length === finals.size ? [] : [`${rows.length} documents of ${finals.size} invoices`];
  for (const { invoice_id: id, number, document } of rows) {
    const hash = createHash('sha256').update(document).digest('hex');
    const final = finals.get(id);
    if (final?.number !== number || final.hash !== hash) broken.push(`the document of ${id} is another one`);
  }
  return broken;
}
