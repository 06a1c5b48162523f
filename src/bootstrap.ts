import type { Pool } from 'pg';
import type { Config } from './config.ts';
import { agency, type AgencySettings } from './domain/agency.ts';
import { canonicalJson, type JsonObject } from './domain/json.ts';
import { tenant } from './domain/tenant.ts';
import type { Cause } from './events.ts';
import { publishPlans, readPlans } from './plans.ts';
import type { EventStore } from './store/event-store.ts';
import { load, transact } from './transact.ts';

/**
 * What an installation has before anybody calls it: its agency, the agency's own tenant for keys
 * without a project, and the published plans. Every start compares and appends only what changed.
 */
export interface OwnTenant {
  readonly agencyId: string;
  readonly tenantId: string;
}

const OWN: OwnTenant = { agencyId: 'age_main', tenantId: 'ten_own' };
const CAUSE: Cause = {
  agencyId: OWN.agencyId,
  tenantId: null,
  actor: { kind: 'system', id: 'start' },
  correlationId: 'start',
  causationId: 'start',
};

/** The agency that the demo plays. */
const DEMO_AGENCY: JsonObject = {
  name: 'Nordlicht Digital GmbH',
  street: 'Speicherstraße 7',
  postal_code: '24103',
  city: 'Kiel',
  country: 'DE',
  email: 'rechnung@nordlicht.example',
  vat_id: 'DE811569869',
  contact_name: 'Jette Petersen',
  phone: '+49 431 5550100',
  iban: 'DE89370400440532013000',
  // A BIC may end with three letters for the branch; three times X is the head office.
  bic: 'COBADEFFXXX',
  payment_days: 14,
};

export interface BootstrapDeps {
  readonly store: EventStore;
  readonly pool: Pool;
  readonly config: Config;
  readonly plansDir: string;
  readonly now: () => string;
  readonly say: (line: string) => void;
}

export async function bootstrap(deps: BootstrapDeps): Promise<OwnTenant> {
  const { store, now } = deps;
  await settleAgency(deps);
  const owner = { ...OWN, own: true, contactVersion: 0 };
  const command = { type: 'onboard', tenant: owner, contract: null, projects: [] } as const;
  const known = await load(store, tenant, `tenant-${OWN.tenantId}`);
  if (known.status === 'absent') {
    const meta = { ...CAUSE, tenantId: OWN.tenantId, commandId: 'own-tenant', at: now() };
    await transact(store, tenant, `tenant-${OWN.tenantId}`, command, meta);
  }
  const plans = readPlans(deps.plansDir);
  const at = now();
  const { published } = await publishPlans(store, plans, { ...CAUSE, commandId: `plans-${at}`, at });
  const names = published.map(({ plan, planVersion }) => `${plan} (version ${planVersion})`);
  if (names.length > 0) deps.say(`published the plans ${names.join(', ')}`);
  return OWN;
}

/** What people have changed through the API stays, whatever the environment says. */
async function settleAgency({ store, pool, config, now, say }: BootstrapDeps): Promise<void> {
  const { settings } = config;
  if (await isKeptByPeople(store)) {
    if (settings.AGENCY_NAME !== undefined)
      say('the agency was changed in the console: AGENCY_… in the environment is not applied');
    return;
  }
  const contactVersion = await settleContact(pool, contactOf(config));
  const wanted: AgencySettings = {
    agencyId: OWN.agencyId,
    currency: settings.AGENCY_CURRENCY,
    zone: settings.AGENCY_ZONE,
    invoiceSeries: settings.AGENCY_INVOICE_SERIES,
    contactVersion,
  };
  const stream = `agency-${OWN.agencyId}`;
  const state = await load(store, agency, stream);
  const type = state.settings === null ? 'register' : 'change';
  const commandId = `${type}-${canonicalJson(wanted)}-${now()}`;
  await transact(store, agency, stream, { type, settings: wanted }, { ...CAUSE, commandId, at: now() });
}

async function isKeptByPeople(store: EventStore): Promise<boolean> {
  for await (const { actor } of store.readStream(`agency-${OWN.agencyId}`)) {
    if (actor.kind !== 'system') return true;
  }
  return false;
}

/** What the settings say of the agency; the demo's when they say nothing; null keeps what is known. */
function contactOf(config: Config): JsonObject | null {
  const { settings } = config;
  if (settings.AGENCY_NAME === undefined) return config.demo ? DEMO_AGENCY : null;
  return {
    name: settings.AGENCY_NAME,
    street: settings.AGENCY_STREET ?? null,
    postal_code: settings.AGENCY_POSTAL_CODE ?? null,
    city: settings.AGENCY_CITY ?? null,
    country: settings.AGENCY_COUNTRY,
    email: settings.AGENCY_EMAIL ?? null,
    vat_id: settings.AGENCY_VAT_ID ?? null,
    tax_number: settings.AGENCY_TAX_NUMBER ?? null,
    contact_name: settings.AGENCY_CONTACT ?? null,
    phone: settings.AGENCY_PHONE ?? null,
    iban: settings.AGENCY_IBAN ?? null,
    bic: settings.AGENCY_BIC ?? null,
    bank: settings.AGENCY_BANK ?? null,
    payment_days: settings.AGENCY_PAYMENT_DAYS,
    register: settings.AGENCY_REGISTER ?? null,
    management: settings.AGENCY_MANAGEMENT ?? null,
    website: settings.AGENCY_WEBSITE ?? null,
  };
}

/** Stores a contact that differs from the newest one as the next version; returns the newest version, 0 for none. */
async function settleContact(pool: Pool, contact: JsonObject | null): Promise<number> {
  const newest = await pool.query<{ version: number; data: JsonObject }>(
    'select version, data from contacts where subject_id = $1 order by version desc limit 1',
    [OWN.agencyId],
  );
  const known = newest.rows[0];
  if (contact === null) return known?.version ?? 0;
  if (known !== undefined && canonicalJson(known.data) === canonicalJson(contact)) return known.version;
  const version = (known?.version ?? 0) + 1;
  await pool.query(
    'insert into contacts (subject_id, version, data) values ($1, $2, $3) on conflict (subject_id, version) do nothing',
    [OWN.agencyId, version, contact],
  );
  return version;
}
