/**
 * Who may call what: the only place where it is written. The checks, the description of the API and
 * the tests that probe every route as every role are made from it.
 *
 * A role opens the route; whose things are touched is decided by the handler with permissions.ts:
 * an organization's admin reaches the tenants where that is so, a team's admin the teams, an internal
 * user what belongs to the user, a key without a user itself.
 */
export const ROLES = [
  /** The master key and no other. */
  'master',
  /** The master key, and keys of users with this role. */
  'proxy_admin',
  'proxy_admin_viewer',
  /** Of at least one organization. */
  'org_admin',
  'internal_user',
  'internal_user_viewer',
  /** Of at least one team. */
  'team_admin',
  'team_user',
  /** A virtual key, whoever it belongs to. Alone, it is a key without a user. */
  'key',
  'auditor',
  /** Anybody, without a key. */
  'public',
] as const;
export type Role = (typeof ROLES)[number];

export interface RouteAccess {
  readonly roles: readonly Role[];
  /** How everybody else is refused: LiteLLM's clients expect 401 on most routes, 403 on some. */
  readonly refusal: 'admin_only' | 'role_forbidden';
}

const admin: readonly Role[] = ['proxy_admin'];
const viewers: readonly Role[] = ['proxy_admin', 'proxy_admin_viewer'];
const tenantAdmins: readonly Role[] = [...admin, 'org_admin'];
const tenantReaders: readonly Role[] = [...viewers, 'org_admin'];
const teamAdmins: readonly Role[] = [...tenantAdmins, 'team_admin'];
/** Everybody who may make and change keys, at least their own. */
const keyMakers: readonly Role[] = [...teamAdmins, 'internal_user', 'team_user'];
/** Everybody with a user behind the key. */
const people: readonly Role[] = [
  ...viewers,
  'org_admin',
  'internal_user',
  'internal_user_viewer',
  'team_admin',
  'team_user',
];
const keys: readonly Role[] = [...people, 'key'];
const auditing: readonly Role[] = ['proxy_admin', 'auditor'];
const everybody: readonly Role[] = ['public'];

type Row = readonly [roles: readonly Role[], refusal?: RouteAccess['refusal']];

/** Method and path as registered. What has no row is for the administrator, unless it says otherwise itself. */
const rows: Readonly<Record<string, Row>> = {
  'POST /key/generate': [keyMakers],
  'POST /key/service-account/generate': [keyMakers],
  'POST /key/update': [keyMakers],
  'POST /key/bulk_update': [admin, 'role_forbidden'],
  'POST /key/delete': [keyMakers],
  'POST /key/block': [keyMakers],
  'POST /key/unblock': [keyMakers],
  'POST /key/regenerate': [keyMakers],
  'POST /key/:key/regenerate': [keyMakers],
  'POST /key/:key/reset_spend': [teamAdmins, 'role_forbidden'],
  'POST /key/rotated': [keys],
  'GET /key/info': [keys],
  'POST /v2/key/info': [keys],
  'GET /key/list': [people, 'role_forbidden'],
  'GET /key/aliases': [people, 'role_forbidden'],
  'POST /key/health': [keys],
  'GET /v1/models': [keys],
  'GET /v1/models/*': [keys],
  'GET /models': [keys],
  'GET /models/*': [keys],
  'GET /model': [keys],
  'GET /model/info': [keys],
  'GET /v1/model/info': [keys],
  'GET /v2/model/info': [keys],
  'GET /model_group/info': [keys],
  'POST /model/new': [admin, 'role_forbidden'],
  'POST /model/update': [admin, 'role_forbidden'],
  'PATCH /model/:model_id/update': [admin, 'role_forbidden'],
  'POST /model/delete': [admin, 'role_forbidden'],

  'POST /user/new': [tenantAdmins],
  'POST /user/update': [people],
  'POST /user/bulk_update': [admin],
  'POST /user/delete': [admin],
  'GET /user/info': [people],
  'GET /user/list': [tenantReaders],
  'GET /user/get_users': [tenantReaders],
  'GET /user/filter/ui': [tenantReaders],
  'GET /user/available_roles': [people],
  'POST /invitation/new': [admin],
  'GET /invitation/info': [viewers],
  'POST /invitation/update': [everybody],
  'POST /invitation/delete': [admin],

  'POST /team/new': [tenantAdmins],
  'POST /team/update': [teamAdmins],
  'POST /team/delete': [tenantAdmins],
  'POST /team/block': [tenantAdmins],
  'POST /team/unblock': [tenantAdmins],
  'POST /team/member_add': [teamAdmins],
  'POST /team/bulk_member_add': [teamAdmins],
  'POST /team/member_update': [teamAdmins],
  'POST /team/member_delete': [teamAdmins],
  'POST /team/model/add': [tenantAdmins],
  'POST /team/model/delete': [tenantAdmins],
  'POST /team/permissions_update': [teamAdmins],
  'GET /team/permissions_list': [people],
  'GET /team/info': [people],
  'GET /team/list': [people],
  'GET /v2/team/list': [people],
  'GET /team/available': [people],

  'POST /organization/new': [admin],
  'PATCH /organization/update': [tenantAdmins],
  'DELETE /organization/delete': [admin],
  'GET /organization/list': [people],
  'GET /organization/info': [people],
  'POST /organization/info': [people],
  'POST /organization/member_add': [tenantAdmins],
  'PATCH /organization/member_update': [tenantAdmins],
  'DELETE /organization/member_delete': [tenantAdmins],

  ...endUserRows('customer'),
  ...endUserRows('end_user'),

  'POST /budget/new': [admin],
  'POST /budget/update': [admin],
  'POST /budget/delete': [admin],
  'POST /budget/info': [viewers],
  'GET /budget/list': [viewers],
  'GET /budget/settings': [viewers],

  'POST /tag/new': [tenantAdmins],
  'POST /tag/update': [tenantAdmins],
  'POST /tag/delete': [tenantAdmins],
  'POST /tag/info': [tenantReaders],
  'GET /tag/list': [tenantReaders],
  'GET /tag/dau': [tenantReaders],
  'GET /tag/wau': [tenantReaders],
  'GET /tag/mau': [tenantReaders],
  'GET /tag/distinct': [tenantReaders],
  'GET /tag/summary': [tenantReaders],

  'GET /config/cost_discount_config': [viewers],
  'PATCH /config/cost_discount_config': [admin],
  'GET /config/cost_margin_config': [viewers],
  'PATCH /config/cost_margin_config': [admin],
  'GET /health/services': [admin],
  'GET /active/callbacks': [viewers],
  'GET /settings': [viewers],
  'GET /routes': [everybody],
  'GET /test': [everybody],
  'GET /.well-known/litellm-ui-config': [everybody],

  ...spendRows(),

  'POST /api/tenants': [admin],
  'GET /api/tenants': [viewers],
  'GET /api/tenants/:id': [viewers],
  'POST /api/tenants/:id/contract/preview': [viewers],
  'POST /api/tenants/:id/contract': [admin],
  'POST /api/projects': [admin],
  'GET /api/projects': [viewers],
  'GET /api/projects/:id': [viewers],
  'GET /api/reports/margin': [viewers],
  'POST /api/invoices/preview': [viewers],
  'GET /api/live': [people],
  'GET /api/tenants/:id/contracts': [viewers],
  'GET /api/plans': [viewers],
  'GET /api/agencies': [viewers],
  'PUT /api/agencies/:id': [admin],
  'GET /api/agencies/:id/logo': [people],
  'GET /api/agencies/:id/brand': [viewers],
  'PUT /api/agencies/:id/brand': [admin],
  'GET /api/agencies/:id/tax-status': [viewers],
  'POST /api/agencies/:id/tax-status': [admin],
  'GET /api/agencies/:id/billing': [viewers],
  'PUT /api/agencies/:id/billing': [admin],
  'GET /api/agencies/:id/alerts': [viewers],
  'POST /api/agencies/:id/alerts': [admin],
  'PUT /api/agencies/:id/alerts/:target': [admin],
  'POST /api/agencies/:id/alerts/:target/secret': [admin],
  'DELETE /api/agencies/:id/alerts/:target': [admin],
  'POST /api/agencies/:id/alerts/:target/test': [admin],
  'PUT /api/agencies/:id/stripe': [admin],
  'DELETE /api/agencies/:id/stripe': [admin],
  'POST /api/stripe/webhook/:agency': [everybody],
  'GET /api/payments/:id': [everybody],
  'GET /api/outbox': [viewers],
  'POST /api/outbox/retry': [admin],
  'GET /api/invoice-runs': [viewers],
  'GET /api/invoices': [tenantReaders],
  'GET /api/invoices/:id': [tenantReaders],
  'GET /api/invoices/:id/pdf': [tenantReaders],
  'GET /api/invoices/:id/events': [tenantReaders],
  'GET /api/invoices/:id/xml': [tenantReaders],
  'GET /api/invoices/:id/statement.csv': [tenantReaders],
  'GET /api/invoices/:id/statement.pdf': [tenantReaders],
  'GET /api/directory': [people],
  'GET /api/tenant-figures': [people],
  'GET /api/overview': [people],
  'GET /api/usage': [people],
  'GET /api/requests': [people],
  'GET /api/keys/:id/limits': [keys],
  'GET /api/key-budgets': [people],
  'POST /api/session': [everybody],
  'POST /api/session/invitation': [everybody],
  'GET /api/session': [people],
  'POST /api/session/password': [people],
  'DELETE /api/session': [everybody],
  'DELETE /api/sessions': [people],
  'POST /api/audit/credentials': [admin],
  'GET /api/audit/credentials': [viewers],
  'DELETE /api/audit/credentials/:id': [admin],
  'GET /api/audit/consultations': [viewers],
  'GET /api/audit/bundles': [admin],
  'POST /api/credentials': [admin],
  'GET /api/credentials': [viewers],
  'DELETE /api/credentials/:id': [admin],
};

function endUserRows(name: string): Readonly<Record<string, Row>> {
  const written = ['new', 'update', 'delete', 'block', 'unblock'];
  return {
    ...Object.fromEntries(written.map((verb) => [`POST /${name}/${verb}`, [tenantAdmins] as const])),
    [`GET /${name}/info`]: [tenantReaders],
    [`GET /${name}/list`]: [tenantReaders],
  };
}

/** What of it somebody sees follows from what is theirs (spend-scope.ts). */
function spendRows(): Readonly<Record<string, Row>> {
  const rowsFor = (paths: readonly string[], roles: readonly Role[]) =>
    Object.fromEntries(paths.map((path) => [`GET ${path}`, [roles] as const]));
  const single = ['', '/v2', '/ui', '/ui/:request_id', '/session/ui'].map((end) => `/spend/logs${end}`);
  const own = ['/spend/keys', '/spend/users', '/spend/tags', '/user/daily/activity', '/team/daily/activity'];
  const families = ['organization', 'customer', 'end_user', 'tag', 'agent'];
  const sums = ['logs', 'keys', 'models', 'teams', 'provider', 'tags', 'all_tag_names', 'report'];
  const activity = ['', '/model', '/exceptions', '/exceptions/deployment'];
  return {
    ...rowsFor([...single, ...own, '/user/daily/activity/aggregated'], people),
    ...rowsFor(
      [
        ...families.map((family) => `/${family}/daily/activity`),
        '/global/spend',
        ...sums.map((name) => `/global/spend/${name}`),
        ...activity.map((end) => `/global/activity${end}`),
      ],
      tenantReaders,
    ),
    'GET /provider/budgets': [admin],
    'POST /spend/calculate': [keys],
    'POST /cost/estimate': [keys],
    'POST /global/spend/end_users': [tenantReaders],
    'POST /global/spend/reset': [['master']],
  };
}

/** What a route says of itself when it has no row. */
const ROLES_BY_ACCESS = { public: everybody, key: keys, audit: auditing, admin } as const;
export type Access = keyof typeof ROLES_BY_ACCESS;

export function accessTo(method: string, url: string, said: Access | undefined): RouteAccess {
  const name = `${method === 'HEAD' ? 'GET' : method} ${url}`;
  const row: Row | undefined = Object.hasOwn(rows, name) ? rows[name] : undefined;
  return { roles: row?.[0] ?? ROLES_BY_ACCESS[said ?? 'admin'], refusal: row?.[1] ?? 'admin_only' };
}

/** `GET /key/info` …: every route that has a row, for the tests. */
export const routesInTable: readonly string[] = Object.keys(rows);
