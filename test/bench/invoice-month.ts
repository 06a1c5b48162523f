/**
 * Two months of an agency with many tenants, written to the log in bulk: contracts, projects, spend of several
 * models with a few large tenants and many small ones, plan changes in the middle of the second month, and
 * usage of the first that comes after it was invoiced.
 */
import type { Pool } from 'pg';
import type { NewEvent } from '../../src/events.ts';
import type { EventStore, StreamHead, Write } from '../../src/store/event-store.ts';
import {
  agencyRegistered,
  contractAmended,
  contractSigned,
  newEvent,
  projectOpened,
  spendRecorded,
  tenantOnboarded,
  terms,
} from '../support/events.ts';

export const AGENCY = 'age_1';
export const FIRST = '2026-09';
export const SECOND = '2026-10';
const PROJECTS = 5;
const KEYS = 20;
const BATCH = 1_000;
/** Appends of different streams at once; the log takes them one after the other. */
const WRITERS = 4;
const STREAM_LENGTH = 50_000;
/** Of a hundred tenants so many change their plan within the second month. */
const AMENDED = 10;
/** Of a hundred spends of the second month so many belong to the first. */
const LATE = 3;
const MODELS = ['gpt-4o', 'gpt-4o-mini', 'mistral-large', 'mistral-small'] as const;
const RATES = [
  { unit: 'input', rate: 150_000_000n, quantity: 900 },
  { unit: 'cached-input', rate: 75_000_000n, quantity: 100 },
  { unit: 'output', rate: 613_000_000n, quantity: 300 },
] as const;

const issuer = {
  name: 'Agentur Nord GmbH',
  street: 'Speicherstraße 7',
  postal_code: '24103',
  city: 'Kiel',
  country: 'DE',
  email: 'rechnung@nord.example',
  vat_id: 'DE811569869',
};

export async function writeTenants(store: EventStore, pool: Pool, tenants: number): Promise<void> {
  const registered = newEvent(agencyRegistered(), 'agency', { tenantId: null });
  await store.append([{ stream: `agency-${AGENCY}`, expected: 'none', events: [registered] }]);
  await pool.query('insert into contacts (subject_id, version, data) values ($1, 1, $2)', [AGENCY, issuer]);
  for (let n = 0; n < tenants; n += 1) {
    const tenantId = tenantName(n);
    const events = [
      tenantOnboarded({ tenantId }),
      contractSigned({ tenantId, effectiveFrom: '2026-08-31T22:00:00.000Z', terms: terms() }),
      ...Array.from({ length: PROJECTS }, (_, i) =>
        projectOpened({ tenantId, projectId: projectName(n, i), limits: null }),
      ),
    ];
    const at = '2026-09-01T08:00:00.000Z';
    const written = events.map((event, i) =>
      newEvent(event, `${tenantId} ${i}`, { tenantId, occurredAt: at }),
    );
    await store.append([{ stream: `tenant-${tenantId}`, expected: 'none', events: written }]);
  }
  const recipient = { ...issuer, name: 'Bäckerei Sonnenkorn GmbH', vat_id: undefined, language: 'de' };
  await pool.query(
    `insert into contacts (subject_id, version, data)
     select 'ten_' || lpad(n::text, 5, '0'), 1, $2 from generate_series(0, $1 - 1) as n`,
    [tenants, recipient],
  );
  await pool.query(
    `insert into project_names (project_id, name)
     select 'prj_' || lpad(n::text, 5, '0') || '_' || i, 'Projekt ' || i
     from generate_series(0, $1 - 1) as n, generate_series(0, $2 - 1) as i`,
    [tenants, PROJECTS],
  );
}

/** Plan changes on the 14th; returns how many. */
export async function amendSome(store: EventStore, tenants: number): Promise<number> {
  let count = 0;
  for (let n = 0; n < tenants; n += 1) {
    if (n % 100 >= AMENDED) continue;
    const tenantId = tenantName(n);
    let head: StreamHead | 'none' = 'none';
    for await (const { revision, hash } of store.readStream(`tenant-${tenantId}`)) head = { revision, hash };
    const version = {
      contractId: 'con_2',
      effectiveFrom: '2026-10-13T22:00:00.000Z',
      terms: terms({ plan: 'agency', monthlyFeeNanos: 149_000_000_000n }),
    };
    const included = [{ effectiveFrom: version.effectiveFrom, nanos: 10_000_000_000n }];
    const amended = contractAmended({
      tenantId,
      ...version,
      planned: [{ ...version, agreed: null }],
      included,
    });
    const at = '2026-10-14T08:00:00.000Z';
    const events = [newEvent(amended, `${tenantId} amended`, { tenantId, occurredAt: at })];
    await store.append([{ stream: `tenant-${tenantId}`, expected: head, events }]);
    count += 1;
  }
  return count;
}

/** Appends so many spends of a month; `onProgress` hears how many are written. Returns their sum in nanos. */
export async function writeSpend(
  store: EventStore,
  month: string,
  { tenants, events }: { readonly tenants: number; readonly events: number },
  onProgress: (done: number) => void,
): Promise<bigint> {
  let next = 0;
  let done = 0;
  let nanos = 0n;
  const writer = async (name: number): Promise<void> => {
    let head: StreamHead | 'none' = 'none';
    for (let stream = 0; next < events; ) {
      const from = next;
      next = Math.min(from + BATCH, events);
      const batch = Array.from({ length: next - from }, (_, i) => spendOf(month, from + i, tenants));
      for (const { event } of batch) if (event.type === 'spend.recorded') nanos += event.data.priceNanos;
      if (head !== 'none' && head.revision >= BigInt(STREAM_LENGTH)) {
        head = 'none';
        stream += 1;
      }
      const write: Write = { stream: `spend-${month}-w${name}_${stream}`, expected: head, events: batch };
      const appended = await store.append([write]);
      head = appended.heads[0]!;
      done += batch.length;
      onProgress(done);
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, (_, name) => writer(name)));
  return nanos;
}

function spendOf(month: string, n: number, tenants: number): NewEvent {
  // A tenth of the tenants makes a third of the usage.
  const tenant = Math.floor(tenants * ((n * 0.618_033_988_7) % 1) ** 2);
  const spread = Math.floor(n / 7);
  const lines = RATES.map(({ unit, rate, quantity: most }, i) => {
    const quantity = 1 + ((n * 31 + i * 17) % most);
    const priceNanos = (rate / 1_000_000n) * BigInt(quantity);
    return { unit, quantity, priceRate: rate, priceNanos, costNanos: priceNanos / 2n };
  });
  const sum = (name: 'priceNanos' | 'costNanos') => lines.reduce((total, line) => total + line[name], 0n);
  const tenantId = tenantName(tenant);
  const day = String(1 + (n % 28)).padStart(2, '0');
  const spend = spendRecorded({
    requestId: `${month}-${n}`,
    keyId: `key_${tenant}_${spread % KEYS}`,
    projectId: projectName(tenant, spread % PROJECTS),
    model: MODELS[spread % MODELS.length]!,
    month: month === SECOND && n % 100 < LATE ? FIRST : month,
    admittedAt: `${month}-${day}T10:00:00.000Z`,
    lines,
    priceNanos: sum('priceNanos'),
    costNanos: sum('costNanos'),
  });
  return newEvent(spend, `spend ${month} ${n}`, { tenantId });
}

function tenantName(n: number): string {
  return `ten_${String(n).padStart(5, '0')}`;
}

function projectName(tenant: number, n: number): string {
  return `prj_${String(tenant).padStart(5, '0')}_${n}`;
}
