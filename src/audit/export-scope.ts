import type { Pool } from 'pg';
import type { EventStore } from '../store/event-store.ts';
import type { Placed } from '../store/stored-event.ts';
import type { Scope } from './bundle.ts';

/** What somebody asks to have exported. */
export type ScopeRequest =
  | { readonly kind: 'all' }
  | { readonly kind: 'tenant'; readonly id: string }
  | { readonly kind: 'key'; readonly id: string }
  /** The agency is needed when several have an invoice of this number. */
  | { readonly kind: 'invoice'; readonly number: string; readonly agencyId: string | undefined };

export interface ScopeDeps {
  readonly store: Pick<EventStore, 'readStream'>;
  readonly pool: Pool;
}

/** Null when there is no such thing. Throws Error when a number means several invoices. */
export async function resolveScope(deps: ScopeDeps, request: ScopeRequest): Promise<Scope | null> {
  switch (request.kind) {
    case 'all':
      return request;
    case 'tenant':
      return (await tenantOf(deps, `tenant-${request.id}`)) === null ? null : request;
    case 'key': {
      const tenantId = await tenantOf(deps, `key-${request.id}`);
      return tenantId === null ? null : { ...request, tenantId };
    }
    default:
      return await resolveInvoice(deps, request);
  }
}

async function tenantOf({ store }: ScopeDeps, stream: string): Promise<string | null> {
  for await (const { tenantId } of store.readStream(stream)) return tenantId;
  return null;
}

async function resolveInvoice(
  { store, pool }: ScopeDeps,
  { number, agencyId }: Extract<ScopeRequest, { kind: 'invoice' }>,
): Promise<Scope | null> {
  const { rows } = await pool.query<{ invoice_id: string; agency_id: string; tenant_id: string }>(
    'select invoice_id, agency_id, tenant_id from invoice_documents where number = $1 and ($2::text is null or agency_id = $2)',
    [number, agencyId ?? null],
  );
  if (rows.length > 1) throw new Error(`Several agencies have an invoice ${number}: name one with --agency.`);
  const [row] = rows;
  if (row === undefined) return null;
  const { invoice_id: id, agency_id, tenant_id: tenantId } = row;
  for await (const { event } of store.readStream(`invoice-${agency_id}-${id}`)) {
    if (event.type !== 'invoice.drafted') continue;
    return { kind: 'invoice', number, id, agencyId: agency_id, tenantId, period: event.data.period };
  }
  return null;
}

/**
 * Which events an export has. Partial ones have no event of another tenant, and of the agency's only
 * the close of an invoice's period and
 * the invoices' numbers, which name nobody else. Seals and keys are in every export.
 */
export async function eventFilter(pool: Pool, scope: Scope): Promise<(placed: Placed) => boolean> {
  switch (scope.kind) {
    case 'all':
      return () => true;
    case 'tenant':
      return tenantFilter(scope.id, await cancellationsOf(pool, 'tenant_id', scope.id));
    case 'key':
      return (placed) =>
        placed.stream === `key-${scope.id}` ||
        (isSpendOf(placed, scope.tenantId) && spendFacts(placed).keyId === scope.id);
    default:
      return await invoiceFilter(pool, scope);
  }
}

/** The numbers of its invoices are in streams that belong to no tenant. */
function tenantFilter(id: string, cancellations: readonly string[]): (placed: Placed) => boolean {
  const drafted = new Set<string>(cancellations);
  return ({ tenantId, type, data }) => {
    if (type === 'number.assigned') return drafted.has(invoiceIdIn(data));
    if (tenantId !== id) return false;
    if (type === 'invoice.drafted') drafted.add(invoiceIdIn(data));
    return true;
  };
}

async function invoiceFilter(
  pool: Pool,
  scope: Extract<Scope, { kind: 'invoice' }>,
): Promise<(placed: Placed) => boolean> {
  const { id, agencyId, tenantId, period } = scope;
  const { rows: closes } = await pool.query<{ period: string; position: bigint }>(
    'select period, position from periods where agency_id = $1 order by position',
    [agencyId],
  );
  const numbered = new Set([id, ...(await cancellationsOf(pool, 'invoice_id', id))]);
  const streams = new Set([
    `invoice-${agencyId}-${id}`,
    `period-${agencyId}-${period}`,
    `tenant-${tenantId}`,
  ]);
  return (placed) => {
    if (streams.has(placed.stream)) return true;
    if (placed.type === 'number.assigned') return numbered.has(invoiceIdIn(placed.data));
    if (!isSpendOf(placed, tenantId) || placed.agencyId !== agencyId) return false;
    // The first close after it of its month or a later one took it: see projections/usage.ts.
    const { month } = spendFacts(placed);
    const close = closes.find((one) => one.position > placed.position && one.period >= month);
    return close?.period === period;
  };
}

/** Ids of Stornorechnungen: their numbers are assigned before the event that names them. */
async function cancellationsOf(
  pool: Pool,
  column: 'tenant_id' | 'invoice_id',
  id: string,
): Promise<readonly string[]> {
  const { rows } = await pool.query<{ cancellation_id: string }>(
    `select cancellation_id from invoices where ${column} = $1 and cancellation_id is not null`,
    [id],
  );
  return rows.map((row) => row.cancellation_id);
}

function isSpendOf({ type, tenantId }: Placed, id: string): boolean {
  return type === 'spend.recorded' && tenantId === id;
}

function invoiceIdIn(data: string): string {
  return (JSON.parse(data) as { invoiceId: string }).invoiceId;
}

function spendFacts({ data }: Placed): { readonly keyId: string; readonly month: string } {
  return JSON.parse(data) as { keyId: string; month: string };
}
