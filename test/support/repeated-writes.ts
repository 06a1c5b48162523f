/** One request to every route that writes, and another that the same Idempotency-Key must not be used for. */
import { OWN } from './admin.ts';
import { SELLER } from '../billing/documents/invoices.ts';

export const STRIPE_KEY = 'sk_test_0123456789abcdef';
const WEBHOOK_SECRET = 'whsec_0123456789abcdef';
export const MONTH = '2026-11';

/** Their bodies ask; they change nothing. */
export const QUESTIONS = [
  'POST /v2/key/info',
  'POST /key/health',
  'POST /key/rotated',
  'POST /budget/info',
  'POST /tag/info',
  'POST /organization/info',
  'POST /spend/calculate',
  'POST /cost/estimate',
  'POST /global/spend/end_users',
  'POST /api/tenants/:id/contract/preview',
  'POST /api/invoices/preview',
  // Refused whatever is sent.
  'PATCH /config/cost_discount_config',
  'PATCH /config/cost_margin_config',
];
/** Of people who are not known yet, or of the session itself: nobody's key could be told from another's. */
export const OWN_WAYS = [
  'POST /api/session',
  'DELETE /api/session',
  'POST /api/session/invitation',
  // By a session with a password of its own only; see sessions.test.ts.
  'POST /api/session/password',
  // By its token, once.
  'POST /invitation/update',
  // By the id of Stripe's event; see collection.test.ts.
  'POST /api/stripe/webhook/:agency',
];

export function tenantNamed(name: string) {
  const address = { street: 'Weg 1', postal_code: '12345', city: 'Ort', country: 'DE' };
  return {
    name,
    plan: 'studio',
    billing: { name, ...address, email: 'a@b.example', vat_id: 'DE136695976' },
    projects: [{ name: 'Shop', environments: ['production'] }],
  };
}

export const hook = (name: string) => ({
  channel: 'webhook',
  address: `http://127.0.0.1:9/${name}`,
  alerts: ['unhealthy'],
});

export interface Sample {
  /** Of the parameters in the path. */
  readonly at?: string | undefined;
  readonly body?: object;
  /** What the same key is refused with: another body, or the same route for another thing. */
  readonly other: { readonly at?: string | undefined; readonly body?: object };
}

const agency = { at: OWN.agencyId };
const named = (field: string, one: unknown, other: unknown, rest: object = {}): Sample => ({
  body: { [field]: one, ...rest },
  other: { body: { [field]: other, ...rest } },
});
const elsewhere = (body?: object): Sample['other'] => ({ at: 'something-else', ...(body && { body }) });

/** In this order: what ends something comes after what changes it. */
export const samples = (is: Readonly<Record<string, string>>): Readonly<Record<string, Sample>> => ({
  'POST /key/generate': named('key_alias', 'new-1', 'new-2'),
  'POST /key/service-account/generate': named('key_alias', 'new-3', 'new-4', { team_id: 'team-z' }),
  'POST /key/update': named('max_budget', 3, 4, { key: is['key a'] }),
  'POST /key/bulk_update': named(
    'keys',
    [{ key: is['key a'], max_budget: 5 }],
    [{ key: is['key b'], max_budget: 5 }],
  ),
  'POST /key/block': named('key', is['key a'], is['key b']),
  'POST /key/unblock': named('key', is['key a'], is['key b']),
  'POST /key/:key/reset_spend': {
    at: is['key a'],
    body: { reset_to: 0 },
    other: { at: is['key b'], body: { reset_to: 0 } },
  },
  'POST /key/regenerate': named('key', is['key c'], is['key b']),
  'POST /key/:key/regenerate': { at: is['key d'], body: {}, other: { at: is['key b'], body: {} } },
  'POST /key/delete': named('keys', [is['key e']], [is['key b']]),
  'POST /user/new': named('user_id', 'dora', 'emil', { user_email: 'dora@kunde.example' }),
  'POST /user/update': named('max_budget', 3, 4, { user_id: 'ada' }),
  'POST /user/bulk_update': named(
    'users',
    [{ user_id: 'ada', max_budget: 1 }],
    [{ user_id: 'ben', max_budget: 1 }],
  ),
  'POST /invitation/new': named('user_id', 'ada', 'ben'),
  'POST /invitation/delete': named('invitation_id', is['invitation'], 'another'),
  'POST /team/new': named('team_id', 'team-b', 'team-c'),
  'POST /team/update': named('team_alias', 'one', 'two', { team_id: 'team-a' }),
  'POST /team/block': named('team_id', 'team-a', 'team-z'),
  'POST /team/unblock': named('team_id', 'team-a', 'team-z'),
  'POST /team/member_add': named(
    'member',
    { user_id: 'ada', role: 'user' },
    { user_id: 'cleo', role: 'user' },
    { team_id: 'team-a' },
  ),
  'POST /team/bulk_member_add': named(
    'members',
    [{ user_id: 'ada', role: 'user' }],
    [{ user_id: 'ben', role: 'user' }],
    { team_id: 'team-z' },
  ),
  'POST /team/member_update': named('max_budget_in_team', 1, 2, { team_id: 'team-a', user_id: 'ben' }),
  'POST /team/member_delete': named('user_id', 'ben', 'ada', { team_id: 'team-a' }),
  'POST /team/model/add': named('models', ['demo-small'], ['demo-large'], { team_id: 'team-a' }),
  'POST /team/model/delete': named('models', ['demo-small'], ['demo-large'], { team_id: 'team-a' }),
  'POST /team/permissions_update': named('team_member_permissions', ['/key/info'], ['/key/health'], {
    team_id: 'team-a',
  }),
  'POST /organization/new': named('organization_alias', 'Storch', 'Reiher'),
  'PATCH /organization/update': named('organization_alias', 'Specht', 'Meise', {
    organization_id: is['organization'],
  }),
  'POST /organization/member_add': named(
    'member',
    { user_id: 'ada', role: 'org_admin' },
    { user_id: 'ben', role: 'org_admin' },
    { organization_id: is['organization'] },
  ),
  'PATCH /organization/member_update': named('max_budget_in_organization', 1, 2, {
    organization_id: is['organization'],
    user_id: 'ada',
  }),
  'DELETE /organization/member_delete': named('user_id', 'ada', 'ben', {
    organization_id: is['organization'],
  }),
  ...Object.fromEntries(
    ['customer', 'end_user'].flatMap((name) => [
      [`POST /${name}/new`, named('user_id', `new-${name}`, `other-${name}`)],
      [`POST /${name}/update`, named('alias', `one-${name}`, 'two', { user_id: 'visitor-a' })],
      [`POST /${name}/block`, named('user_ids', ['visitor-a'], ['visitor-b'])],
      [`POST /${name}/unblock`, named('user_ids', ['visitor-a'], ['visitor-b'])],
      [`POST /${name}/delete`, named('user_ids', [`new-${name}`], ['visitor-b'])],
    ]),
  ),
  'POST /budget/new': named('budget_id', 'budget-b', 'budget-c', { max_budget: 1 }),
  'POST /budget/update': named('max_budget', 7, 8, { budget_id: 'budget-a' }),
  'POST /budget/delete': named('id', 'budget-a', 'budget-b'),
  'POST /tag/new': named('name', 'tag-b', 'tag-c'),
  'POST /tag/update': named('description', 'one', 'two', { name: 'tag-a' }),
  'POST /tag/delete': named('name', 'tag-a', 'tag-b'),
  'POST /model/new': named('model_name', 'fresh', 'other', {
    litellm_params: { model: 'openai/x', api_base: 'https://up.example/v1' },
  }),
  'POST /model/update': named('model_name', 'renamed', 'other', { model_info: { id: 'model-a' } }),
  'PATCH /model/:model_id/update': {
    at: 'model-a',
    body: { model_name: 'again' },
    other: { at: 'model-b', body: { model_name: 'again' } },
  },
  'POST /model/delete': named('id', 'model-a', 'model-b'),
  'POST /global/spend/reset': { body: {}, other: { body: { more: 1 } } },
  'POST /api/tenants': { body: tenantNamed('Neu'), other: { body: tenantNamed('Neuer') } },
  'POST /api/tenants/:id/contract': {
    at: is['ending'],
    body: { plan: 'studio', agreed: { production: { models: ['demo-small'] } } },
    other: { at: is['tenant'], body: { end: true } },
  },
  'POST /api/tenants/:id/vat-checks': {
    at: is['tenant'],
    body: { by_hand: { valid: true, checked_at: '2026-11-30T10:00:00Z', note: 'letter' } },
    other: { at: is['ending'], body: {} },
  },
  'POST /api/projects': named('name', 'Blog', 'Wiki', {
    tenant_id: is['tenant'],
    environments: ['production'],
  }),
  'PUT /api/agencies/:id': {
    ...agency,
    body: settings('Europe/Vienna'),
    other: { ...agency, body: settings('Europe/Paris') },
  },
  'PUT /api/agencies/:id/brand': {
    ...agency,
    body: { accent: '#112233' },
    other: { ...agency, body: { accent: '#223344' } },
  },
  'POST /api/agencies/:id/tax-status': {
    ...agency,
    body: { from: '2027-01-01', status: 'standard' },
    other: { ...agency, body: { from: '2028-01-01', status: 'standard' } },
  },
  'PUT /api/agencies/:id/billing': {
    ...agency,
    body: { mail: false },
    other: { ...agency, body: { mail: true } },
  },
  'POST /api/agencies/:id/alerts': {
    ...agency,
    body: hook('second'),
    other: { ...agency, body: hook('third') },
  },
  'PUT /api/agencies/:id/alerts/:target': {
    at: `${OWN.agencyId}/${is['target']}`,
    body: { active: false },
    other: { at: `${OWN.agencyId}/${is['target']}`, body: { active: true } },
  },
  'POST /api/agencies/:id/alerts/:target/secret': {
    at: `${OWN.agencyId}/${is['target']}`,
    body: {},
    other: elsewhere({}),
  },
  'POST /api/agencies/:id/alerts/:target/test': {
    at: `${OWN.agencyId}/${is['target']}`,
    body: {},
    other: elsewhere({}),
  },
  'DELETE /api/agencies/:id/alerts/:target': { at: `${OWN.agencyId}/${is['target']}`, other: elsewhere() },
  'PUT /api/agencies/:id/stripe': {
    ...agency,
    body: { secret_key: STRIPE_KEY, webhook_secret: WEBHOOK_SECRET },
    other: { ...agency, body: { secret_key: STRIPE_KEY, webhook_secret: `${WEBHOOK_SECRET}0` } },
  },
  'DELETE /api/agencies/:id/stripe': { ...agency, other: elsewhere() },
  'POST /api/outbox/retry': named('task_id', 'mail 1', 'mail 2'),
  'POST /api/invoice-runs': named('period', MONTH, '2026-10'),
  'POST /api/invoices/:id/links': {
    at: is['invoice'],
    body: { file: 'pdf' },
    other: { at: is['invoice'], body: { file: 'pdf', minutes: 3 } },
  },
  'POST /api/invoices/:id/sent': {
    at: is['invoice'],
    body: { channel: 'email' },
    other: { at: is['invoice'], body: { channel: 'post' } },
  },
  'POST /api/invoices/:id/payment-failed': {
    at: is['invoice'],
    body: { reason: 'r', method: 'm' },
    other: { at: is['invoice'], body: { reason: 's', method: 'm' } },
  },
  'POST /api/invoices/:id/paid': {
    at: is['invoice'],
    body: { paid_on: '2026-12-01' },
    other: { at: is['invoice'], body: { paid_on: '2026-12-02' } },
  },
  'POST /api/invoices/:id/cancel': {
    at: is['invoice'],
    body: { reason: 'r' },
    other: { at: is['invoice'], body: { reason: 's' } },
  },
  'POST /api/credentials': named('name', 'second', 'third', { role: 'proxy_admin_viewer' }),
  'DELETE /api/credentials/:id': { at: is['credential'], other: elsewhere() },
  'POST /api/audit/credentials': named('id', is['tenant'], is['ending'], { scope: 'tenant' }),
  'DELETE /api/audit/credentials/:id': { at: is['auditor'], other: elsewhere() },
  'POST /api/audit/verification': { body: {}, other: { body: {} } },
  'DELETE /api/sessions': { other: {} },
  'POST /team/delete': named('team_ids', ['team-a'], ['team-z']),
  'POST /user/delete': named('user_ids', ['ada'], ['ben']),
  'DELETE /organization/delete': named('organization_ids', [is['organization']], ['another']),
});

function settings(zone: string) {
  return { contact: SELLER, currency: 'EUR', zone, invoice_series: 'RE' };
}
