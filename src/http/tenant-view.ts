import { z } from 'zod';
import type { ContractVersion } from '../domain/contract.ts';
import { standing } from '../domain/tenant-contract.ts';
import { readAgreed, readLimits, readTerms, readVersions } from '../domain/terms-json.ts';
import { KeyAnswer } from './open-project.ts';
import { limitsOfColumns } from './limited-row.ts';
import {
  agencyOf,
  type Db,
  type KeyRow,
  type ProjectRow,
  recordOf,
  tenantOf,
  type TenantRow,
} from './read.ts';
import { limitsAnswer, LimitsAnswer } from './schemas.ts';
import { agreedAnswer, AgreedAnswer, TermsAnswer, termsAnswer } from './terms.ts';

/** Tenants and projects as the API shows them, from the read models and the contact records. */

/** What stands on an invoice as the recipient; kept in `contacts` in this form. */
const Text = z.string().trim().min(1).max(200);
export const Billing = z.strictObject({
  name: Text.describe('Legal name'),
  street: Text,
  postal_code: z.string().trim().min(1).max(20),
  city: Text,
  country: z.string().regex(/^[A-Z]{2}$/, 'expected an ISO 3166 code such as DE'),
  email: z.email().max(254),
  vat_id: z.string().trim().min(4).max(20).nullish(),
  language: z.enum(['de', 'en']).default('de'),
  e_invoice: z
    .enum(['zugferd', 'xrechnung-cii', 'xrechnung-ubl'])
    .default('zugferd')
    .describe('What the recipient wants beside the PDF; the rules of XRechnung are then checked, too'),
  buyer_reference: z.string().trim().min(1).max(100).nullish().describe('Leitweg-ID, or a reference'),
  debtor_account: z
    .string()
    .regex(/^\d{5,9}$/)
    .nullish()
    .describe('Customer account in the DATEV export'),
});

export const TenantAnswer = z
  .object({
    id: z.string(),
    name: z.string().nullable(),
    agency_id: z.string(),
    own: z.boolean().describe('A part of the agency: at cost and never invoiced, until it signs a contract'),
    status: z.string(),
    billing: z.record(z.string(), z.string().nullable()).nullable(),
    onboarded_at: z.string(),
  })
  .meta({ id: 'Tenant' });

export const ContractAnswer = z
  .object({ id: z.string(), effective_from: z.string(), ...TermsAnswer.shape, agreed: AgreedAnswer })
  .meta({ id: 'Contract' });

export const PlannedAnswer = z
  .object({
    effective_from: z.string(),
    plan: z.string().nullable().describe('Null: the contract ends'),
    plan_version: z.number().nullable(),
  })
  .meta({ id: 'PlannedContract' });

export const ProjectAnswer = z
  .object({
    id: z.string(),
    tenant_id: z.string(),
    name: z.string().nullable(),
    status: z.string(),
    environments: z.array(z.string()),
    limits: LimitsAnswer.nullable().describe(
      'Of all keys of the project together; null: those of the contract',
    ),
    opened_at: z.string(),
    keys: z.array(KeyAnswer).describe('Live keys, oldest first, at most 1,000; /key/list has all'),
  })
  .meta({ id: 'Project' });

export type ProjectWithName = ProjectRow & { readonly name: string | null };

/** Display name and billing data, from what contactOf() made. */
export function contactAnswer(contact: unknown): Pick<z.output<typeof TenantAnswer>, 'name' | 'billing'> {
  const { display_name: name, ...billing } = recordOf((contact ?? null) as Parameters<typeof recordOf>[0]);
  const texts = Object.entries(billing).map(([field, value]) => [
    field,
    typeof value === 'string' ? value : null,
  ]);
  return {
    name: typeof name === 'string' ? name : null,
    billing: texts.length === 0 ? null : (Object.fromEntries(texts) as Record<string, string | null>),
  };
}

export function contactOf(name: string, billing: z.output<typeof Billing>) {
  return {
    display_name: name,
    ...billing,
    vat_id: billing.vat_id ?? null,
    buyer_reference: billing.buyer_reference ?? null,
    debtor_account: billing.debtor_account ?? null,
  };
}

export function tenantRows(db: Db) {
  return db
    .selectFrom('tenants')
    .leftJoin('contacts', (join) =>
      join
        .onRef('contacts.subject_id', '=', 'tenants.tenant_id')
        .on((eb) =>
          eb(eb.cast<bigint>('contacts.version', 'bigint'), '=', eb.ref('tenants.contact_version')),
        ),
    )
    .selectAll('tenants')
    .select('contacts.data as contact');
}

export function projectRows(db: Db) {
  return db
    .selectFrom('projects')
    .leftJoin('project_names', 'project_names.project_id', 'projects.project_id')
    .selectAll('projects')
    .select('project_names.name');
}

/** A version as the API shows it; null when the contract has ended. */
export function contractAnswer({ contractId, effectiveFrom, terms, agreed }: ContractVersion) {
  if (terms === null) return null;
  return {
    id: contractId,
    effective_from: effectiveFrom,
    ...termsAnswer(terms),
    agreed: agreedAnswer(agreed, terms.currency),
  };
}

export function plannedAnswer({ effectiveFrom, terms }: ContractVersion): z.output<typeof PlannedAnswer> {
  return {
    effective_from: effectiveFrom,
    plan: terms?.plan ?? null,
    plan_version: terms?.planVersion ?? null,
  };
}

/** The contract in force at an instant, and what is agreed for later. */
function contractIn(row: TenantRow, at: string) {
  const { contract_id: contractId, effective_from: effectiveFrom } = row;
  const applied =
    contractId === null || effectiveFrom === null
      ? null
      : {
          contractId,
          effectiveFrom,
          terms: row.terms === null ? null : readTerms(row.terms),
          agreed: readAgreed(row.agreed),
        };
  const planned = readVersions(row.planned);
  const current = standing({ applied, planned }, at, false).applied;
  return { current, planned: planned.filter((version) => version.effectiveFrom > at) };
}

/** Throws Refusal(not_found). */
export async function tenantDetails(db: Db, tenantId: string, at: string) {
  const { agency_id: agencyId } = await tenantOf(db, tenantId);
  const { currency } = await agencyOf(db, agencyId);
  const row = await tenantRows(db).where('tenants.tenant_id', '=', tenantId).executeTakeFirstOrThrow();
  const projects = await projectRows(db)
    .where('projects.tenant_id', '=', tenantId)
    .orderBy('projects.opened_at')
    .orderBy('project_names.name')
    .orderBy('projects.project_id')
    .execute();
  const { current, planned } = contractIn(row, at);
  return {
    tenant: {
      id: row.tenant_id,
      ...contactAnswer(row.contact),
      agency_id: row.agency_id,
      own: row.own,
      status: row.status,
      onboarded_at: row.onboarded_at,
    },
    contract: current === null ? null : contractAnswer(current),
    planned: planned.map(plannedAnswer),
    projects: await projectAnswers(db, projects, currency),
  };
}

const KEYS_MAX = 1_000;

export async function projectAnswers(db: Db, projects: readonly ProjectWithName[], currency: string) {
  const ids = projects.map(({ project_id }) => project_id);
  const keys =
    ids.length === 0
      ? []
      : await db
          .selectFrom('keys')
          .selectAll()
          .where('project_id', 'in', ids)
          .where('status', '!=', 'deleted')
          .orderBy('created_at')
          .orderBy('environment')
          .orderBy('key_id')
          .limit(KEYS_MAX)
          .execute();
  const byProject = new Map<string | null, KeyRow[]>();
  for (const row of keys) byProject.set(row.project_id, [...(byProject.get(row.project_id) ?? []), row]);
  return projects.map((project) => ({
    ...projectAnswer(project, currency),
    keys: (byProject.get(project.project_id) ?? []).map((row) => keyRowAnswer(row, currency)),
  }));
}

function projectAnswer(project: ProjectWithName, currency: string) {
  return {
    id: project.project_id,
    tenant_id: project.tenant_id,
    name: project.name,
    status: project.status,
    environments: [...project.environments],
    limits: project.limits === null ? null : limitsAnswer(readLimits(project.limits), currency),
    opened_at: project.opened_at,
  };
}

function keyRowAnswer(row: KeyRow, currency: string): z.output<typeof KeyAnswer> {
  return {
    id: row.key_id,
    alias: row.alias,
    environment: row.environment,
    token: row.token_hash,
    key_name: row.key_name,
    status: row.status,
    expires_at: row.expires_at,
    limits: limitsAnswer(limitsOfColumns(row), currency),
  };
}
