import { readAgreed, readTerms } from '../domain/terms-json.ts';
import type { Environment } from '../domain/limits.ts';
import { Refusal } from '../errors.ts';
import { hashSecret } from '../secrets.ts';
import type { HttpDeps } from './deps.ts';
import { applyNow } from './due-contracts.ts';
import { environmentFrom, type KeyContext } from './key-input.ts';
import type { KeyFields } from './key-fields.ts';
import {
  agencyOf,
  type Db,
  keyViews,
  type KeyView,
  projectOf,
  type ProjectRow,
  tenantOf,
  type TenantRow,
} from './read.ts';

/** Which key a request means, and under which contract and project it stands. */

/** The column and value that a secret, a token hash or a key id stands for; null for anything else. */
export function columnFor(name: string): readonly ['token_hash' | 'key_id', string] | null {
  if (name.startsWith('sk-')) return ['token_hash', hashSecret(name)];
  if (/^[0-9a-f]{64}$/i.test(name)) return ['token_hash', name.toLowerCase()];
  return name.startsWith('key_') ? ['key_id', name] : null;
}

/** The live key with this secret (old ones during their grace period too), hash or id. */
export async function findKey(db: Db, name: string, now: string): Promise<KeyView | undefined> {
  const found = columnFor(name);
  if (found === null) return undefined;
  const [column, value] = found;
  return await keyViews(db)
    .where('keys.status', '!=', 'deleted')
    .where((eb) =>
      column === 'key_id'
        ? eb('keys.key_id', '=', value)
        : eb.or([
            eb('keys.token_hash', '=', value),
            eb.and([eb('keys.old_token_hash', '=', value), eb('keys.grace_ends_at', '>', now)]),
          ]),
    )
    .executeTakeFirst();
}

/** The live keys among these names, in their order. */
export async function findKeys(db: Db, names: readonly string[], now: string): Promise<readonly KeyView[]> {
  const named = names.flatMap((name) => {
    const found = columnFor(name);
    return found === null ? [] : [found];
  });
  if (named.length === 0) return [];
  const values = named.map(([, value]) => value);
  const views = await keyViews(db)
    .where('keys.status', '!=', 'deleted')
    .where((eb) =>
      eb.or([
        eb('keys.token_hash', 'in', values),
        eb('keys.key_id', 'in', values),
        eb.and([eb('keys.old_token_hash', 'in', values), eb('keys.grace_ends_at', '>', now)]),
      ]),
    )
    .execute();
  return values.flatMap((value) => {
    const view = views.find((one) => [one.token_hash, one.key_id, one.old_token_hash].includes(value));
    return view === undefined ? [] : [view];
  });
}

export async function findKeyByAlias(db: Db, alias: string): Promise<KeyView | undefined> {
  return await keyViews(db)
    .where('keys.status', '!=', 'deleted')
    .where('keys.alias', '=', alias)
    .executeTakeFirst();
}

/** The key as it is shown, deleted or not. */
export async function viewOfKey(db: Db, keyId: string): Promise<KeyView> {
  const view = await keyViews(db).where('keys.key_id', '=', keyId).executeTakeFirst();
  if (view === undefined) throw new Refusal('key_not_found');
  return view;
}

/** Throws Refusal(key_not_found | invalid_input). `key` names it, else its alias. */
export async function requireKey(
  deps: HttpDeps,
  named: { readonly key?: string | null | undefined; readonly key_alias?: string | null | undefined },
): Promise<KeyView> {
  const { key, key_alias: alias } = named;
  if (!key && !alias) {
    throw new Refusal('invalid_input', { problems: 'key: send key or key_alias' }, { param: 'key' });
  }
  const found = key ? await findKey(deps.db, key, deps.now()) : await findKeyByAlias(deps.db, alias!);
  if (found === undefined) throw new Refusal('key_not_found', {}, { param: key ? 'key' : 'key_alias' });
  return found;
}

export interface KeyPlace {
  readonly owner: { readonly agencyId: string; readonly tenantId: string };
  readonly context: KeyContext;
}

/** Where a new key belongs: to the tenant of its project, to the one that is named, or to the agency's own. */
export async function placeOfNewKey(deps: HttpDeps, fields: KeyFields, at: string): Promise<KeyPlace> {
  const { db, ownTenant } = deps;
  const project = await projectNamed(db, fields.team_id);
  const tenantId = project?.tenant_id ?? (fields.organization_id || ownTenant.tenantId);
  const tenant = await inForce(deps, await tenantNamed(db, tenantId), at);
  const owner = { agencyId: tenant.agency_id, tenantId: tenant.tenant_id };
  if (tenant.status !== 'active') throw new Refusal('tenant_not_active', { status: tenant.status });
  if (fields.organization_id && fields.organization_id !== owner.tenantId) {
    const problem = 'organization_id does not name the tenant of the project; leave it out.';
    throw new Refusal('bad_request', { problem }, { param: 'organization_id' });
  }
  const environment = project === null ? (fields.environment ?? null) : environmentFrom(fields);
  requireEnvironment(project, environment);
  const { zone } = await agencyOf(db, owner.agencyId);
  const projectId = project?.project_id ?? null;
  return { owner, context: { at, zone, ...agreementIn(tenant), projectId, environment } };
}

/** Where a key belongs after a change. It never leaves its tenant: its spend is on that tenant's invoices. */
export async function placeOfKey(
  deps: HttpDeps,
  view: KeyView,
  fields: KeyFields,
  at: string,
): Promise<KeyPlace> {
  const { db } = deps;
  const owner = { agencyId: view.agency_id, tenantId: view.tenant_id };
  const leaves = fields.team_id === null;
  const moves = fields.team_id !== undefined && !leaves && fields.team_id !== '';
  const project =
    moves || view.project_id === null
      ? await projectNamed(db, fields.team_id)
      : await projectNamed(db, view.project_id);
  if ((leaves && !view.own) || (project !== null && project.tenant_id !== owner.tenantId)) {
    const problem = 'A key stays with its tenant. Generate another one in the other project.';
    throw new Refusal('bad_request', { problem }, { param: 'team_id' });
  }
  const stays = leaves ? null : project;
  const now = view.environment as Environment | null;
  const environment = fields.environment ?? now ?? (stays === null ? null : environmentFrom(fields));
  requireEnvironment(stays, environment);
  const tenant = await inForce(deps, await tenantOf(db, owner.tenantId), at);
  const projectId = stays?.project_id ?? null;
  return { owner, context: { at, zone: view.zone, ...agreementIn(tenant), projectId, environment } };
}

/** What has come into force by now is written into the keys before one of them is made or changed. */
async function inForce(deps: HttpDeps, tenant: TenantRow, at: string): Promise<TenantRow> {
  if (tenant.due_at === null || tenant.due_at > at) return tenant;
  await applyNow(deps, tenant.tenant_id, at);
  return tenantOf(deps.db, tenant.tenant_id);
}

function agreementIn({ terms, agreed }: TenantRow): Pick<KeyContext, 'terms' | 'agreed'> {
  return { terms: terms === null ? null : readTerms(terms), agreed: readAgreed(agreed) };
}

async function tenantNamed(db: Db, tenantId: string): Promise<TenantRow> {
  const tenant = await db
    .selectFrom('tenants')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where('status', '!=', 'closed')
    .executeTakeFirst();
  if (tenant !== undefined) return tenant;
  const problem = `There is no organization ${tenantId}.`;
  throw new Refusal('bad_request', { problem }, { param: 'organization_id' });
}

async function projectNamed(db: Db, projectId: string | null | undefined): Promise<ProjectRow | null> {
  if (projectId == null || projectId === '') return null;
  const project = await projectOf(db, projectId);
  if (project !== undefined && project.status !== 'closed') return project;
  const problem = `There is no team ${projectId}. Create it with /team/new or POST /api/projects.`;
  throw new Refusal('bad_request', { problem }, { param: 'team_id' });
}

function requireEnvironment(project: ProjectRow | null, environment: Environment | null): void {
  if (project === null || environment === null || project.environments.includes(environment)) return;
  const problem = `The project has no environment ${environment}, only ${project.environments.join(', ')}.`;
  throw new Refusal('bad_request', { problem }, { param: 'environment' });
}
