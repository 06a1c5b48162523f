/** An organization that nobody of the people belongs to, with one of everything, and strings that nobody else may see. */
import type { Admin } from './admin.ts';
import { spend } from './spend.ts';

export interface Victim {
  readonly tenantId: string;
  /** What a request can name, by kind. */
  readonly ids: Readonly<Record<Kind, string>>;
  /** Texts that only this organization and the administrators may read. */
  readonly canaries: readonly string[];
}

export const KINDS = ['key', 'alias', 'team', 'organization', 'user', 'customer', 'tag'] as const;
export type Kind = (typeof KINDS)[number];

export async function victim(admin: Admin): Promise<Victim> {
  const call = async (url: string, body: object) => {
    const answer = await admin.call({ url, body });
    if (answer.status !== 200 && answer.status !== 201)
      throw new Error(`${url}: ${JSON.stringify(answer.body)}`);
    return answer.body;
  };
  const billing = {
    name: 'canary-company GmbH',
    street: 'canary-street 1',
    postal_code: '1',
    city: 'c',
    country: 'DE',
    email: 'canary-bill@b.example',
  };
  const { tenant } = await call('/api/tenants', { name: 'canary-tenant', plan: 'studio', billing });
  const organization_id = tenant.id as string;
  const metadata = { note: 'canary-note' };
  await call('/team/new', { team_id: 'victim-team', team_alias: 'canary-team', organization_id, metadata });
  const user_email = 'canary-person@b.example';
  await call('/user/new', { user_id: 'victim-user', user_email, auto_create_key: false });
  await call('/team/member_add', {
    team_id: 'victim-team',
    member: { user_id: 'victim-user', role: 'admin' },
  });
  const member = { user_id: 'victim-user', role: 'org_admin' };
  await call('/organization/member_add', { organization_id, member });
  const alias = 'victim-alias';
  const key = await call('/key/generate', {
    team_id: 'victim-team',
    user_id: 'victim-user',
    key_alias: alias,
    metadata,
  });
  await call('/customer/new', { user_id: 'victim-customer', organization_id, alias: 'canary-customer' });
  await call('/tag/new', { name: 'victim-tag', organization_id, description: 'canary-tag' });
  const used = {
    endUser: 'canary-visitor',
    tags: ['canary-word'],
    model: 'canary-model',
    deployment: 'canary-place',
  };
  await spend(admin, key, used, { ...used, endUser: 'victim-customer', tags: ['victim-tag'] });
  return {
    tenantId: organization_id,
    ids: {
      key: key.token,
      alias,
      team: 'victim-team',
      organization: organization_id,
      user: 'victim-user',
      customer: 'victim-customer',
      tag: 'victim-tag',
    },
    canaries: ['canary-', key.key, key.key_id],
  };
}

/** Names of nothing that exists, others for every number. */
export function nobody(number: number): Readonly<Record<Kind, string>> {
  return {
    key: number.toString(16).padStart(64, 'f'),
    alias: `nobody-alias-${number}`,
    team: `nobody-team-${number}`,
    organization: `ten_${String(number).padStart(22, '0')}`,
    user: `nobody-user-${number}`,
    customer: `nobody-customer-${number}`,
    tag: `nobody-tag-${number}`,
  };
}
